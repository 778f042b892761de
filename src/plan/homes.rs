//! Which host a job goes to, and what keeps it from going there.
//!
//! Asks `home` among the hosts whose `when` allows the job. It probes nothing: which host answers is told to it.

use crate::campaign::Host;
use crate::ids::HostName;
use crate::plan::PlanError;
use crate::plan::action::{Action, Reason};
use crate::plan::eval::Test;
use crate::plan::expand::Expansion;
use crate::plan::home::{Candidate, home};
use crate::plan::planned::{Decision, HostStatus, PlannedHost};

/// Which host a job belongs to.
pub(super) struct Homes<'a> {
    hosts: &'a [PlannedHost],
    candidates: Vec<Candidate>,
    /// `when` of each host.
    tests: Vec<Option<Test<'a>>>,
    eligible: Vec<usize>,
}

impl<'a> Homes<'a> {
    pub(super) fn new(expansion: &'a Expansion, hosts: &'a [PlannedHost]) -> Self {
        let campaign = expansion.campaign();
        let candidates =
            campaign.hosts.iter().map(|(name, h)| Candidate::new(name.as_str(), h.slots));
        let test = |(name, host): (&HostName, &'a Host)| {
            let what = format!("hosts.{name}.when");
            let when = host.when.as_ref()?;
            Some(Test::new(when, what, &campaign.matrix, expansion.columns()))
        };
        Self {
            hosts,
            candidates: candidates.collect(),
            tests: campaign.hosts.iter().map(test).collect(),
            eligible: Vec::new(),
        }
    }

    pub(super) fn place(&self, name: &HostName) -> Option<usize> {
        self.hosts.iter().position(|host| host.name == *name)
    }

    /// The home of a job; `None` when no host may run it.
    pub(super) fn of(
        &mut self,
        expansion: &Expansion,
        job: usize,
    ) -> Result<Option<usize>, PlanError> {
        self.eligible.clear();
        for (at, test) in self.tests.iter_mut().enumerate() {
            let may = match test {
                Some(test) => test.holds(expansion.row(job))?,
                None => true,
            };
            if may {
                self.eligible.push(at);
            }
        }
        let eligible = self.eligible.iter().copied();
        Ok(match self.eligible.len() {
            1 => self.eligible.first().copied(),
            _ => home(expansion.ids()[job], &self.candidates, eligible),
        })
    }

    /// Gives a job that should run its home, or says why it has none.
    pub(super) fn settle(
        &mut self,
        expansion: &Expansion,
        mut decision: Decision,
    ) -> Result<Decision, PlanError> {
        decision.home = self.of(expansion, decision.job)?;
        match decision.home.map(|at| &self.hosts[at]) {
            None => {
                decision.action = Action::Blocked;
                let wants: Vec<String> = self
                    .hosts
                    .iter()
                    .zip(&self.tests)
                    .filter_map(|(h, test)| {
                        Some(format!("{} wants `{}`", h.name, test.as_ref()?.text()))
                    })
                    .collect();
                decision.detail = format!("no host may run it: {}", wants.join(", ")).into();
            }
            Some(PlannedHost { name, status: HostStatus::Unreachable { .. } }) => {
                let why = decision.reason;
                decision.action = Action::Blocked;
                decision.reason = Reason::Unreachable;
                decision.detail =
                    format!("{name} decides and does not answer; to run: {why}").into();
            }
            Some(_) => {}
        }
        Ok(decision)
    }

    /// What a host that does not answer was last heard to have may have ended since.
    pub(super) fn doubt(&self, mut decision: Decision) -> Decision {
        if let Some(PlannedHost { name, status: HostStatus::Unreachable { .. } }) =
            decision.home.map(|at| &self.hosts[at])
        {
            decision.detail = format!("{} on {name} when it last answered", decision.reason).into();
            decision.reason = Reason::Unreachable;
        }
        decision
    }
}

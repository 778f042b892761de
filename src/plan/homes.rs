//! Which host a job goes to, and what keeps it from going there.
//!
//! Asks `home` among the hosts whose `when` allows the job, and `dealt` for those that may have it from earlier. It probes
//! nothing: which host answers is told to it.

use std::collections::BTreeSet;

use crate::campaign::Host;
use crate::ids::{Attempt, HostName};
use crate::plan::PlanError;
use crate::plan::action::{Action, Reason};
use crate::plan::dealt::{Earlier, Lists};
use crate::plan::detail::Detail;
use crate::plan::eval::Test;
use crate::plan::expand::Expansion;
use crate::plan::home::Score;
use crate::plan::known::{Known, KnownJob};
use crate::plan::planned::{Decision, HostStatus, PlannedHost};
use crate::plan::prefix::Prefixes;

/// Hosts that may run a job, and which of them is its home.
pub(super) struct Eligible<'a> {
    expansion: &'a Expansion,
    /// Name, slots and `when` of each host of the file.
    hosts: Vec<(&'a str, u32, Option<Test<'a>>)>,
}

impl<'a> Eligible<'a> {
    pub(super) fn new(expansion: &'a Expansion) -> Self {
        let campaign = expansion.campaign();
        let host = |(name, host): (&'a HostName, &'a Host)| {
            let test = host.when.as_ref().map(|when| {
                let what = format!("hosts.{name}.when");
                Test::new(when, what, &campaign.matrix, expansion.columns())
            });
            (name.as_str(), host.slots, test)
        };
        Self { expansion, hosts: campaign.hosts.iter().map(host).collect() }
    }

    /// The home of a job, as a place in the file's hosts; `None` when no host may run it.
    pub(super) fn home(&mut self, job: usize) -> Result<Option<usize>, PlanError> {
        let (id, row) = (self.expansion.ids()[job], self.expansion.row(job));
        let only = self.hosts.len() == 1;
        let mut best: Option<(Score<'a>, usize)> = None;
        for (at, (name, slots, test)) in self.hosts.iter_mut().enumerate() {
            let may = match test {
                Some(test) => test.holds(row)?,
                None => true,
            };
            if may && only {
                return Ok(Some(at));
            }
            if may {
                best = best.max(Some((Score::new(id, name, *slots), at)));
            }
        }
        Ok(best.map(|(_, at)| at))
    }

    /// What each host wants of a job.
    fn wants(&self) -> String {
        let wants: Vec<String> = self
            .hosts
            .iter()
            .filter_map(|(name, _, test)| Some(format!("{name} wants `{}`", test.as_ref()?.text())))
            .collect();
        wants.join(", ")
    }
}

/// Which host a job belongs to.
pub(super) struct Homes<'a> {
    hosts: &'a [PlannedHost],
    eligible: Eligible<'a>,
    earlier: Earlier<'a>,
}

impl<'a> Homes<'a> {
    pub(super) fn new(
        expansion: &'a Expansion,
        hosts: &'a [PlannedHost],
        lists: &'a Lists<'a>,
    ) -> Self {
        let (eligible, earlier) = (Eligible::new(expansion), Earlier::new(lists, expansion));
        Self { hosts, eligible, earlier }
    }

    pub(super) fn place(&self, name: &HostName) -> Option<usize> {
        self.hosts.iter().position(|host| host.name == *name)
    }

    /// The home of a job, for one that stays as it is.
    pub(super) fn of(&mut self, job: usize) -> Result<Option<usize>, PlanError> {
        self.eligible.home(job)
    }

    /// Gives a job that should run its home, or says why it cannot go there.
    pub(super) fn settle(
        &mut self,
        mut decision: Decision,
        known: Option<&KnownJob>,
    ) -> Result<Decision, PlanError> {
        let why = decision.reason;
        // Its home by the list has written down that it gave the job away, so only the new one is asked. Where that left
        // the file, a person may call the job back.
        let moved = known.and_then(|known| known.moved_to.as_ref());
        if let Some(to) = moved.filter(|to| why != Reason::Forced || self.place(to).is_some()) {
            decision.home = self.place(to);
            return Ok(match decision.home.map(|at| &self.hosts[at]) {
                None => blocked(
                    decision,
                    Reason::Unreachable,
                    format!(
                        "it was moved to {to}, which is no host of the file any more; to run: {why}"
                    ),
                ),
                Some(host) if is_silent(host) => silent(decision, &host.name),
                Some(_) => decision,
            });
        }
        decision.home = self.of(decision.job)?;
        let Some(home) = decision.home.map(|at| &self.hosts[at]) else {
            let detail = format!("no host may run it: {}", self.eligible.wants());
            return Ok(blocked(decision, Reason::NoHost, detail));
        };
        if is_silent(home) {
            return Ok(silent(decision, &home.name));
        }
        // Where nobody was asked the plan is a look at what is known; else a host that was left out vouches for nothing.
        let some_asked = self.hosts.iter().any(|host| host.status != HostStatus::NotAsked);
        let vouches = |host: &PlannedHost| matches!(host.status, HostStatus::Probed(_));
        if !some_asked || self.hosts.iter().all(vouches) {
            return Ok(decision);
        }
        let hosts = self.hosts;
        let silent = |name: &str| hosts.iter().any(|h| h.name.as_str() == name && !vouches(h));
        let had = self.earlier.silent_home(self.eligible.expansion, decision.job, &silent);
        Ok(match had {
            None => decision,
            Some(host) => {
                let detail = format!(
                    "{host} may have it by an earlier list of hosts and has not answered; to run: {why}"
                );
                blocked(decision, Reason::Unreachable, detail)
            }
        })
    }

    /// What is said of a job that a host has, when that host cannot be asked.
    pub(super) fn doubt(
        &self,
        mut decision: Decision,
        known: Option<&KnownJob>,
        prefixes: &Prefixes,
    ) -> Decision {
        let state = decision.reason;
        match (decision.home.map(|at| &self.hosts[at]), known) {
            (Some(host), _) if is_silent(host) => {
                decision.detail = format!("{state} on {} when it last answered", host.name).into();
                decision.reason = Reason::Unreachable;
                decision
            }
            (None, Some(KnownJob { host: Some(gone), id, .. })) => {
                let detail = format!(
                    "{state} on {gone}, which is no host of the file any more; `sp apply --rerun {}` runs it elsewhere",
                    prefixes.short(*id)
                );
                blocked(decision, Reason::Unreachable, detail)
            }
            _ => decision,
        }
    }
}

fn is_silent(host: &PlannedHost) -> bool {
    matches!(host.status, HostStatus::Unreachable { .. })
}

fn silent(decision: Decision, name: &HostName) -> Decision {
    let detail = format!("{name} decides and does not answer; to run: {}", decision.reason);
    blocked(decision, Reason::Unreachable, detail)
}

fn blocked(mut decision: Decision, reason: Reason, detail: impl Into<Detail>) -> Decision {
    decision.action = Action::Blocked;
    decision.reason = reason;
    decision.detail = detail.into();
    decision
}

/// Says of a job that should run why no attempt can come behind its newest one. Such a number is no count of attempts: a
/// host's records are damaged, or it lies.
pub(super) fn exhausted(decision: Decision, known: Option<&KnownJob>) -> Decision {
    let host = known.and_then(|known| known.host.as_ref().or(known.moved_to.as_ref()));
    let told = host.map_or_else(|| "a host has".to_owned(), |host| format!("host {host} has"));
    let detail = format!(
        "{told} attempt {} of it on record, the last number there is; with another command or `[env]` it is another job, \
         which begins at 1; to run: {}",
        Attempt::LAST,
        decision.reason
    );
    blocked(decision, Reason::NoAttemptLeft, detail)
}

/// Which of the file's hosts may run each of these jobs.
///
/// # Errors
/// An expression of `[hosts.NAME] when` that has no answer for a job.
pub fn eligible(
    expansion: &Expansion,
    jobs: &[usize],
) -> Result<BTreeSet<(usize, HostName)>, PlanError> {
    let names: Vec<&HostName> = expansion.campaign().hosts.keys().collect();
    let mut hosts = Eligible::new(expansion).hosts;
    let mut may = BTreeSet::new();
    for job in jobs {
        for (name, (_, _, test)) in names.iter().zip(&mut hosts) {
            let takes = match test {
                Some(test) => test.holds(expansion.row(*job))?,
                None => true,
            };
            if takes {
                may.insert((*job, (*name).clone()));
            }
        }
    }
    Ok(may)
}

/// The host of every job: the one that has or had it, else its home; `None` when no host may run it.
///
/// # Errors
/// An expression of `[hosts.NAME] when` that has no answer for a job.
pub fn hosts_of(expansion: &Expansion, known: &Known) -> Result<Vec<Option<HostName>>, PlanError> {
    let mut eligible = Eligible::new(expansion);
    let names: Vec<&HostName> = expansion.campaign().hosts.keys().collect();
    let host = |job: usize| {
        let known = known.get(expansion.ids()[job]);
        match known.and_then(|known| known.host.as_ref().or(known.moved_to.as_ref())) {
            Some(host) => Ok(Some(host.clone())),
            None => Ok(eligible.home(job)?.map(|at| names[at].clone())),
        }
    };
    (0..expansion.len()).map(host).collect()
}

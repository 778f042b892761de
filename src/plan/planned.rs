//! The plan as one value: what `sp plan` prints and `sp apply` executes.
//!
//! Brings expansion, known jobs and hosts together. It stores nothing and asks no host; what hosts answered is in the
//! evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::ids::{Attempt, HostName, JobId};
use crate::plan::PlanError;
use crate::plan::action::{Action, Reason};
use crate::plan::dealt::{HostList, Lists};
use crate::plan::decide::{Options, decide};
use crate::plan::detail::{self, Detail};
use crate::plan::expand::Expansion;
use crate::plan::homes::{self, Homes};
use crate::plan::job::CellKeys;
use crate::plan::known::{CellKey, Known, KnownJob, Parts};
use crate::plan::past::Past;
use crate::plan::prefix::Prefixes;
use crate::state::{Files, State};

/// What a plan rests on for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostStatus {
    /// It answered.
    Probed(Timestamp),
    /// It was asked and did not answer.
    Unreachable {
        /// Since when, as far as is known.
        since: Timestamp,
    },
    /// It was not asked: the plan rests on the checkpoint alone.
    NotAsked,
}

/// A host of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedHost {
    /// Its name.
    pub name: HostName,
    /// What the plan rests on there.
    pub status: HostStatus,
}

/// What is known beside the file.
pub struct Evidence<'a> {
    /// Jobs of the checkpoint and of the hosts that answered.
    pub known: &'a Known,
    /// Parts of a known job, asked for only where an edit is told.
    pub parts: &'a dyn Fn(JobId) -> Option<Parts>,
    /// What each host answered; a host that is not here was not asked.
    pub hosts: &'a BTreeMap<HostName, HostStatus>,
    /// The lists of hosts that earlier applies dealt jobs by, as the checkpoint and the hosts that answered have them.
    pub earlier: &'a [HostList],
}

/// What happens to one job, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Place of the job in the expansion.
    pub job: usize,
    /// What.
    pub action: Action,
    /// Why, as a code.
    pub reason: Reason,
    /// Why, as a sentence.
    pub detail: Detail,
    /// Place in [`Plan::hosts`] of the host that decides about the job, or that has it; `None` when none may.
    pub home: Option<usize>,
    /// The newest attempt that any host knew when this was decided: what runs is the one behind it, and no other.
    pub attempt: Option<Attempt>,
}

/// A known job that the matrix does not have any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Obsolete {
    /// What is known of it.
    pub known: KnownJob,
    /// `withdraw`, or `skip` where it stays.
    pub action: Action,
    /// The sentence.
    pub detail: Detail,
}

/// How many jobs get which action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Jobs that the plan is about, without the obsolete ones.
    pub total: usize,
    /// To run.
    pub run: usize,
    /// To leave as they are.
    pub skip: usize,
    /// To take over.
    pub adopt: usize,
    /// To wait for.
    pub wait: usize,
    /// Obsolete jobs that leave a queue.
    pub withdraw: usize,
    /// That should run and cannot.
    pub blocked: usize,
    /// Obsolete jobs, withdrawn or kept.
    pub obsolete: usize,
    /// Jobs of other clients of the instance, which are left alone.
    pub others: usize,
    /// Of those that are left as they are, how many have no records on their host any more.
    pub without_records: usize,
}

/// A plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The jobs.
    pub expansion: Arc<Expansion>,
    /// Hosts in file order.
    pub hosts: Vec<PlannedHost>,
    /// One for each job that the plan is about, in the order of jobs.
    pub decisions: Vec<Decision>,
    /// In order of ids.
    pub obsolete: Vec<Obsolete>,
    /// Counts.
    pub summary: Summary,
}

/// Makes the plan.
///
/// # Errors
/// An expression of `[hosts.NAME] when` that has no answer for a job.
pub fn plan(
    expansion: Arc<Expansion>,
    evidence: &Evidence<'_>,
    options: &Options,
) -> Result<Plan, PlanError> {
    let status = |name| evidence.hosts.get(name).cloned().unwrap_or(HostStatus::NotAsked);
    let names = expansion.campaign().hosts.keys();
    let hosts: Vec<PlannedHost> =
        names.map(|name| PlannedHost { name: name.clone(), status: status(name) }).collect();
    let known_ids = evidence.known.jobs().iter().map(|job| job.id);
    let prefixes = Prefixes::new(expansion.ids().iter().copied().chain(known_ids));
    let lists = Lists::read(evidence.earlier, &expansion);
    let mut planner = Planner {
        past: Past::new(&expansion, evidence.known),
        homes: Homes::new(&expansion, &hosts, &lists),
        expansion: &expansion,
        evidence,
        options,
        prefixes: &prefixes,
    };
    let mut decisions = match &options.selection {
        None => {
            (0..expansion.len()).map(|job| planner.decide(job)).collect::<Result<Vec<_>, _>>()?
        }
        Some(jobs) => {
            let mut jobs = jobs.clone();
            jobs.sort_unstable();
            jobs.dedup();
            jobs.into_iter().map(|job| planner.decide(job)).collect::<Result<Vec<_>, _>>()?
        }
    };
    if let Some(chosen) = &options.hosts {
        let is = |at: usize| chosen.contains(&hosts[at].name);
        decisions.retain(|decision| decision.home.is_some_and(is));
    }
    if let Some(limit) = options.limit {
        hold_back(&mut decisions, limit);
    }
    // A selection is about jobs of the file.
    let all = options.selection.is_none() && options.hosts.is_none();
    let (obsolete, others) = if all { planner.obsolete() } else { (Vec::new(), 0) };
    let summary = Summary {
        others,
        without_records: without_records(&expansion, evidence.known, &decisions),
        ..summarize(&decisions, &obsolete)
    };
    Ok(Plan { expansion, hosts, decisions, obsolete, summary })
}

/// `--limit`: the first so many are run, the others stay for a later apply.
fn hold_back(decisions: &mut [Decision], limit: usize) {
    let running = decisions.iter_mut().filter(|decision| decision.action == Action::Run);
    for decision in running.skip(limit) {
        decision.action = Action::Skip;
        decision.detail = format!("beyond `--limit {limit}`").into();
    }
}

fn summarize(decisions: &[Decision], obsolete: &[Obsolete]) -> Summary {
    let count = |action| decisions.iter().filter(|d| d.action == action).count();
    Summary {
        total: decisions.len(),
        run: count(Action::Run),
        skip: count(Action::Skip),
        adopt: count(Action::Adopt),
        wait: count(Action::Wait),
        withdraw: obsolete.iter().filter(|o| o.action == Action::Withdraw).count(),
        blocked: count(Action::Blocked),
        obsolete: obsolete.len(),
        ..Summary::default()
    }
}

fn without_records(expansion: &Expansion, known: &Known, decisions: &[Decision]) -> usize {
    let left = decisions.iter().filter(|d| matches!(d.action, Action::Skip | Action::Adopt));
    let jobs = left.filter_map(|decision| known.get(expansion.ids()[decision.job]));
    jobs.filter(|job| job.state.is_final() && job.files == Files::RecordsGone).count()
}

struct Planner<'a> {
    expansion: &'a Expansion,
    evidence: &'a Evidence<'a>,
    options: &'a Options,
    prefixes: &'a Prefixes,
    past: Past<'a>,
    homes: Homes<'a>,
}

impl Planner<'_> {
    fn decide(&mut self, job: usize) -> Result<Decision, PlanError> {
        let id = self.expansion.ids()[job];
        let known = self.evidence.known.get(id);
        let predecessor = self.past.predecessors[job];
        let holder = known.and_then(|known| self.homes.place(known.host.as_ref()?));
        let (action, reason) = match decide(id, known, predecessor.is_some(), self.options) {
            // Its host left the file and cannot be asked; whether to run it all the same is for a person to say.
            (Action::Wait, _) if holder.is_none() && self.options.rerun.has(id) => {
                (Action::Run, Reason::Forced)
            }
            decided => decided,
        };
        let detail = match (reason, known, predecessor) {
            (Reason::New, ..) => self.past.of_new(self.expansion, job),
            (Reason::Changed, _, Some(old)) => {
                let old = (self.evidence.parts)(old.id);
                detail::of_edit(old.as_ref(), &self.expansion.job(job).parts()?)
            }
            (_, Some(known), _) => detail::of_known(action, reason, known, self.prefixes),
            _ => Detail::default(),
        };
        let attempt = known.and_then(|known| known.attempt);
        let decision = Decision { job, action, reason, detail, home: holder, attempt };
        match action {
            Action::Run if decision.attempt == Some(Attempt::LAST) => {
                Ok(homes::exhausted(decision, known))
            }
            Action::Run => self.homes.settle(decision, known),
            Action::Wait => Ok(self.homes.doubt(decision, known, self.prefixes)),
            _ => {
                let home = match holder {
                    Some(holder) => Some(holder),
                    None => self.homes.of(job)?,
                };
                Ok(Decision { home, ..decision })
            }
        }
    }

    /// Jobs that were planned here and that no cell gives any more, and how many other clients of the instance have that never
    /// were. A job that no host ever had has nothing to keep and is not worth a line.
    fn obsolete(&self) -> (Vec<Obsolete>, usize) {
        let gone =
            |known: &&KnownJob| known.has_history() && self.expansion.index_of(known.id).is_none();
        let gone = self.evidence.known.jobs().iter().filter(gone);
        let (obsolete, others): (Vec<&KnownJob>, Vec<&KnownJob>) =
            gone.partition(|known| self.options.others || known.cell.is_some());
        if obsolete.is_empty() {
            return (Vec::new(), others.len());
        }
        // By cell, not by the decisions' predecessors: a version stays an older one when its successor has run too.
        let mut keys = CellKeys::new(self.expansion);
        let cells: BTreeSet<CellKey> = obsolete.iter().filter_map(|known| known.cell).collect();
        let successors: BTreeMap<CellKey, JobId> = (self.expansion.ids().iter().enumerate())
            .map(|(job, id)| (keys.key(job), *id))
            .filter(|(cell, _)| cells.contains(cell))
            .collect();
        let make = |known: &KnownJob| {
            let withdrawn = self.options.withdraw
                && known.state == State::Queued
                && (known.ours || self.options.others);
            let successor = known.cell.and_then(|cell| successors.get(&cell).copied());
            Obsolete {
                action: if withdrawn { Action::Withdraw } else { Action::Skip },
                detail: detail::of_obsolete(known, successor, withdrawn, self.prefixes),
                known: known.clone(),
            }
        };
        (obsolete.into_iter().map(make).collect(), others.len())
    }
}

//! The rule: what to do with one job, from what is known of it.
//!
//! Looks at one job alone. Whether a host may run it, whether that host answers, and `--limit` come after, in `planned`.

use std::collections::BTreeSet;

use crate::ids::{HostName, JobId};
use crate::plan::action::{Action, Reason};
use crate::plan::known::KnownJob;
use crate::state::State;

/// The reason code of a cancellation that lasts until a person takes it back.
pub const BY_USER: &str = "by-user";

/// Which jobs `--rerun` names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Rerun {
    /// None.
    #[default]
    None,
    /// `--rerun all`.
    All,
    /// `--rerun JOB`.
    Jobs(BTreeSet<JobId>),
}

impl Rerun {
    /// Whether a job is named.
    pub fn has(&self, id: JobId) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Jobs(ids) => ids.contains(&id),
        }
    }
}

/// What a person asked of a plan.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Jobs that run again whatever their state.
    pub rerun: Rerun,
    /// Leave jobs that ended badly as they are.
    pub no_failed: bool,
    /// Take obsolete jobs out of the queues.
    pub withdraw: bool,
    /// Obsolete jobs are also those that only another client of the instance has planned and handed over.
    pub others: bool,
    /// Start at most so many jobs, the first ones.
    pub limit: Option<usize>,
    /// Digests of code that makes a finished job run again, since the code is another one now.
    pub other_code: BTreeSet<[u8; 32]>,
    /// Only jobs whose home, or the host that has them, is one of these; `None` for all. It moves no job.
    pub hosts: Option<BTreeSet<HostName>>,
    /// Indices of the jobs that the plan is about; `None` for all.
    pub selection: Option<Vec<usize>>,
}

/// What to do with a job, as far as its own past tells. `predecessor` says that another version of its cell has a past.
pub fn decide(
    id: JobId,
    known: Option<&KnownJob>,
    predecessor: bool,
    options: &Options,
) -> (Action, Reason) {
    let first = if predecessor { Reason::Changed } else { Reason::New };
    let Some(known) = known.filter(|known| known.has_history()) else {
        return (Action::Run, first);
    };
    let forced = options.rerun.has(id);
    let reason = Reason::of_state(known.state);
    match known.state {
        State::Pending => (Action::Run, if forced { Reason::Forced } else { first }),
        // What a host has is not handed over twice; `--rerun` counts once it has ended.
        State::Queued | State::Running => (Action::Wait, reason),
        _ if forced => (Action::Run, Reason::Forced),
        State::Succeeded if known.code.is_some_and(|code| options.other_code.contains(&code)) => {
            (Action::Run, Reason::CodeChanged)
        }
        State::Succeeded if known.accepted_from.is_some() => (stay(known), Reason::Accepted),
        State::Succeeded => (stay(known), reason),
        State::Cancelled if known.reason == BY_USER => (stay(known), reason),
        State::Cancelled => (Action::Run, reason),
        State::Failed | State::Timeout | State::Stalled | State::Oom | State::Lost => {
            (if options.no_failed { stay(known) } else { Action::Run }, reason)
        }
    }
}

/// A final state stays as it is; one that the checkpoint has not got yet is taken over.
fn stay(known: &KnownJob) -> Action {
    if known.stored { Action::Skip } else { Action::Adopt }
}

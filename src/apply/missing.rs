//! What a host was thought to have and does not name any more: it never arrived there, it left the queue unstarted, or it is
//! gone with the host's records. Asks no host, records nothing.

use std::collections::BTreeSet;

use super::{ApplyError, Workspace};
use crate::host::Probe;
use crate::ids::{ApplyId, Attempt, HostName};
use crate::lifecycle::{AttemptState, Fact, HostFact, JournalPosition, Unit};
use crate::store::Intended;

/// An attempt by its unit, its number, and the apply that handed it over: once it was taken back, another one may hand
/// the same number over again.
pub(super) type Handed = (Unit, Attempt, ApplyId);

/// What the checkpoint knew of a host before it was asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    /// How far its journal was read: its answer holds what lies behind.
    pub(super) journal: Option<JournalPosition>,
    /// What the host had said to have, and not to have ended.
    pub(super) had: BTreeSet<Handed>,
}

/// An attempt that has not ended, by the checkpoint.
pub(super) struct Unended {
    handed: Handed,
    state: AttemptState,
}

/// What a whole answer does not name.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// Came to nothing, and is to be forgotten.
    pub(super) unstarted: Vec<Intended>,
    /// Went with the host's records: nobody can say whether it ran.
    pub(super) gone: Vec<HostFact>,
    /// Whether only the whole journal can tell about some of them.
    pub(super) in_doubt: bool,
}

impl Workspace {
    /// How far each host's journal has been read. To be asked before what is open, which may be less by then.
    pub(super) fn read_so_far(&self) -> Result<Vec<Option<JournalPosition>>, ApplyError> {
        self.hosts.iter().map(|host| Ok(self.store.host(host.name())?.journal)).collect()
    }

    /// What is known of each host; to be asked before the hosts are.
    pub(super) fn before(&self) -> Result<Vec<Before>, ApplyError> {
        let read = self.read_so_far()?;
        let before = self.hosts.iter().zip(read);
        before.map(|(host, journal)| Ok(Before { journal, had: self.had(host.name())? })).collect()
    }

    /// What a host had said to have, and not to have ended.
    pub(super) fn had(&self, host: &HostName) -> Result<BTreeSet<Handed>, ApplyError> {
        let had = self.unended(host)?.into_iter().filter(|one| one.state != AttemptState::Intended);
        Ok(had.map(|one| one.handed).collect())
    }

    /// What has not ended at a host, by the checkpoint.
    pub(super) fn unended(&self, host: &HostName) -> Result<Vec<Unended>, ApplyError> {
        let there = self.store.open_attempts()?.into_iter().filter(|one| one.host == *host);
        let there = there
            .map(|one| Unended { handed: (one.unit, one.attempt, one.apply), state: one.state });
        Ok(there.collect())
    }
}

impl Unended {
    fn gone(self) -> HostFact {
        let (unit, attempt, apply) = self.handed;
        HostFact::Attempt { unit, attempt, apply, fact: Fact::RootGone }
    }
}

impl Missing {
    /// After the answer of another root than the one that had them.
    pub(super) fn with_their_root(unended: Vec<Unended>) -> Self {
        Self { gone: unended.into_iter().map(Unended::gone).collect(), ..Self::default() }
    }

    /// What of `unended`, all at one host and as it is by now, an answer of the same root does not name.
    ///
    /// A root that is being removed loses claims before it loses its name, so what is not named may have run. What the host
    /// had may be forgotten only where it says that it left its queue; it is gone only where neither a line that could not
    /// be read nor the journal that was read before can be the one that is missed.
    pub(super) fn of(unended: Vec<Unended>, probe: &Probe, before: &Before) -> Self {
        let mut named = BTreeSet::new();
        let mut busy = BTreeSet::new();
        for fact in &probe.facts {
            let HostFact::Attempt { unit, attempt, fact, .. } = fact else { continue };
            match fact {
                // It stands in the journal still when there is nothing else left.
                Fact::Started { .. } => continue,
                Fact::Open { .. } => busy.insert(*unit),
                Fact::Queued | Fact::Ended(_) | Fact::RootGone => false,
            };
            named.insert((*unit, *attempt));
        }
        let mut missing = Self::default();
        for one in unended {
            let (unit, attempt, apply) = &one.handed;
            if named.contains(&(*unit, *attempt)) {
                continue;
            }
            // Behind an attempt that has not ended no other one of its job is started. Only jobs are queued.
            let unstarted = unit.job().filter(|_| match one.state {
                AttemptState::Intended => true,
                AttemptState::Queued => probe.left.contains(apply) || busy.contains(unit),
                AttemptState::Running | AttemptState::Ended(_) => false,
            });
            if let Some(job) = unstarted {
                missing.unstarted.push(Intended { job, attempt: *attempt });
            } else if !before.had.contains(&one.handed) || !probe.refused.is_empty() {
                // It came after the question, or may be what was refused.
            } else if before.journal.is_some() {
                missing.in_doubt = true;
            } else {
                missing.gone.push(one.gone());
            }
        }
        missing
    }
}

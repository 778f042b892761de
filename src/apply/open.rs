//! What has not ended yet, by the checkpoint. Asks no host.

use std::collections::{BTreeMap, BTreeSet};

use super::{ApplyError, Workspace};
use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::lifecycle::AttemptState;
use crate::store::OpenAttempt;

/// Attempts, and what they are at.
pub(super) type Open = BTreeMap<(JobId, Attempt), AttemptState>;

/// Attempts of a host as its script wants them.
#[derive(Debug, Default)]
pub struct Named {
    /// Each with the apply that handed it over.
    pub attempts: Vec<(JobId, Attempt, ApplyId)>,
    /// The root they are in, as far as the host has told it.
    pub root_id: Option<String>,
}

impl Workspace {
    /// What has not ended of these jobs of the file, of all where none are named, by host.
    pub(super) fn open_in(
        &self,
        jobs: Option<&[usize]>,
    ) -> Result<BTreeMap<HostName, Open>, ApplyError> {
        let ids = self.settings.expansion.ids();
        match jobs {
            None => self.open_by_host(|job| self.settings.expansion.index_of(job).is_some()),
            Some(jobs) => {
                let chosen: BTreeSet<JobId> = jobs.iter().map(|job| ids[*job]).collect();
                self.open_by_host(|job| chosen.contains(&job))
            }
        }
    }

    /// Attempts that have not ended by the checkpoint, by host.
    pub(super) fn open_by_host(
        &self,
        chosen: impl Fn(JobId) -> bool,
    ) -> Result<BTreeMap<HostName, Open>, ApplyError> {
        let mut hosts: BTreeMap<HostName, Open> = BTreeMap::new();
        for open in self.store.open_attempts()? {
            let Some(job) = open.unit.job().filter(|job| chosen(*job)) else { continue };
            hosts.entry(open.host).or_default().insert((job, open.attempt), open.state);
        }
        Ok(hosts)
    }

    /// Attempts that have not ended, as the host script wants them, by host.
    pub fn attempts_by_host(
        &self,
        chosen: impl Fn(JobId) -> bool,
    ) -> Result<BTreeMap<HostName, Named>, ApplyError> {
        Ok(by_host(self.store.open_attempts()?.into_iter(), |job, _| chosen(job)))
    }

    /// The same with those that a host is to get because another one gave them away, which it may not know of yet: what a
    /// cancel must reach.
    pub fn attempts_that_may_run(
        &self,
        chosen: impl Fn(JobId, &OpenAttempt) -> bool,
    ) -> Result<BTreeMap<HostName, Named>, ApplyError> {
        let all = self.store.open_attempts()?.into_iter().chain(self.store.moved_attempts()?);
        Ok(by_host(all, chosen))
    }

    /// Whether an attempt of a job is this folder's to end: it handed it over, or has the job in its matrix. Others are another
    /// folder's of the same instance.
    pub fn may_end(&self, job: JobId, open: &OpenAttempt) -> bool {
        open.ours || self.settings.expansion.index_of(job).is_some()
    }
}

/// Attempts of the chosen jobs by host. A setup is nobody's to end or to move: it ends with the jobs that need it.
fn by_host(
    attempts: impl Iterator<Item = OpenAttempt>,
    chosen: impl Fn(JobId, &OpenAttempt) -> bool,
) -> BTreeMap<HostName, Named> {
    let mut hosts: BTreeMap<HostName, Named> = BTreeMap::new();
    for open in attempts {
        let Some(job) = open.unit.job().filter(|job| chosen(*job, &open)) else { continue };
        let named = hosts.entry(open.host).or_default();
        named.attempts.push((job, open.attempt, open.apply));
        named.root_id = open.root_id;
    }
    hosts
}

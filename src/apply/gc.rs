//! Which attempts, logs and files of the client nothing needs any more. Removes nothing on a host by itself.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{ApplyError, Workspace, log_file};
use crate::host::sync::Memory;
use crate::ids::{Attempt, HostName, JobId};
use crate::lifecycle::AttemptState;
use crate::store::older_copies;

/// What nobody wants of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Useless {
    /// Ended attempts: of obsolete jobs all, of the others those before the newest that has ended.
    pub attempts: Vec<(JobId, Attempt)>,
    /// Jobs that left the matrix and of which nothing is queued or runs.
    pub obsolete: Vec<JobId>,
}

impl Workspace {
    /// What nobody wants of a host, as far as the checkpoint knows. A job whose result another one counts by is wanted.
    pub fn useless_on(&self, host: &HostName) -> Result<Useless, ApplyError> {
        let snapshot = self.store.snapshot()?;
        let sources: BTreeSet<JobId> =
            snapshot.jobs.iter().filter_map(|job| job.accepted_from).collect();
        let mut useless = Useless::default();
        for job in snapshot.jobs.iter().filter(|job| !sources.contains(&job.id)) {
            let ended = |state: AttemptState| matches!(state, AttemptState::Ended(_));
            let obsolete = self.settings.expansion.index_of(job.id).is_none();
            if obsolete && !job.attempts.iter().all(|row| ended(row.state)) {
                continue;
            }
            let newest = job.attempts.iter().rposition(|row| ended(row.state));
            let rows = job.attempts.iter().enumerate().filter(|(at, row)| {
                row.host == *host && ended(row.state) && (obsolete || Some(*at) != newest)
            });
            useless.attempts.extend(rows.map(|(_, row)| (job.id, row.attempt)));
            if obsolete && job.attempts.iter().any(|row| row.host == *host) {
                useless.obsolete.push(job.id);
            }
        }
        Ok(useless)
    }

    /// Keeps the logs of a host's ended attempts here, before they go there.
    pub async fn keep_all_logs(&self, name: &HostName) -> Result<(), ApplyError> {
        let host = self.host(name)?;
        if host.is_here() {
            return self.keep_logs(name, &self.ended_on(name)?);
        }
        let wanted = self.logs_wanted(name)?;
        if !wanted.is_empty() {
            host.fetch_logs(&self.settings.campaign.name, &wanted).await?;
        }
        Ok(())
    }

    /// Logs here of jobs that are obsolete.
    pub fn obsolete_logs(&self, host: &HostName) -> Result<Vec<PathBuf>, ApplyError> {
        let useless = self.useless_on(host)?;
        let folder = self.state_folder();
        let attempts = useless.attempts.iter().filter(|(job, _)| useless.obsolete.contains(job));
        let files = attempts.map(|(job, attempt)| log_file(&folder, *job, *attempt));
        Ok(files.filter(|file| file.exists()).collect())
    }

    /// Files beside the checkpoint that nothing needs, by kind: `lists` of code that no job of the matrix ran with, and
    /// `checkpoints` that were damaged, but for the newest.
    pub fn useless_here(&self) -> Result<Vec<(&'static str, Vec<PathBuf>)>, ApplyError> {
        let folder = self.state_folder();
        let known = self.store.known()?;
        let jobs = known.iter().filter(|job| self.settings.expansion.index_of(job.id).is_some());
        let digests = jobs.filter_map(|job| job.code).collect();
        Ok(vec![
            ("lists", Memory::new(&folder).useless(&digests)),
            ("checkpoints", older_copies(&folder)?),
        ])
    }
}

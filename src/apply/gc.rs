//! Which attempts, logs and files of the client nothing needs any more, and asking the hosts for the rest. What is asked of
//! a host is looked at again there; nothing here decides what lies safe.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{ApplyError, Workspace, joined, log_file};
use crate::host::Waste;
use crate::host::sync::Memory;
use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::lifecycle::AttemptState;
use crate::state::{Files, State};
use crate::store::{AttemptRow, Snapshot, older_copies};

/// What nobody wants of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Useless {
    /// Ended attempts: of obsolete jobs all, of the others all but the newest and the newest that has succeeded.
    pub attempts: Vec<(JobId, Attempt)>,
    /// Jobs that left the matrix and of which nothing is queued, runs or is kept.
    pub obsolete: Vec<JobId>,
    /// Ended attempts of obsolete jobs, those too that have no files on the host any more: logs of them may lie here.
    pub logs: Vec<(JobId, Attempt)>,
    /// Attempts that would be among them, had this folder handed them over and not another one of the instance.
    pub others: usize,
}

/// What of the outputs is kept all the same.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// What ended after this time, by this machine's clock.
    pub ended_after: Timestamp,
    /// What another folder of the instance handed over.
    pub others: bool,
}

impl Workspace {
    /// What nobody wants of a host, as far as the checkpoint knows. A job whose result another one counts by is wanted.
    ///
    /// An obsolete job is one that was planned here; of others that are not in the matrix another folder of the instance may
    /// have them in its own.
    pub fn useless_on(
        &self,
        snapshot: &Snapshot,
        host: &HostName,
        keep: Keep,
    ) -> Result<Useless, ApplyError> {
        let begun = snapshot.applies.iter().filter(|apply| apply.started_at.is_some());
        let ours: BTreeSet<&ApplyId> = begun.map(|apply| &apply.id).collect();
        let sources: BTreeSet<JobId> =
            snapshot.jobs.iter().filter_map(|job| job.accepted_from).collect();
        let ahead = self.store.host(host)?.clock_offset_ms.unwrap_or(0);
        let since = keep.ended_after.as_millisecond().saturating_add(ahead);
        let mut useless = Useless::default();
        for job in snapshot.jobs.iter().filter(|job| !sources.contains(&job.id)) {
            let ended = |state: AttemptState| matches!(state, AttemptState::Ended(_));
            let obsolete = self.settings.expansion.index_of(job.id).is_none();
            if obsolete && !job.attempts.iter().all(|row| ended(row.state)) {
                continue;
            }
            // The tables show the newest that has ended; one that has succeeded is not given up for one that has not.
            let last = job.last_ended().map(|row| row.attempt);
            let succeeded = |row: &&AttemptRow| row.state.shown() == State::Succeeded;
            let result = job.attempts.iter().rev().find(succeeded).map(|row| row.attempt);
            let wanted = |row: &AttemptRow| [last, result].contains(&Some(row.attempt));
            // What was moved has no files.
            let rows = job.attempts.iter().filter(|row| {
                row.host == *host
                    && ended(row.state)
                    && row.moved_to.is_none()
                    && (obsolete || !wanted(row))
            });
            let theirs =
                |row: &AttemptRow| obsolete && !(job.planned_here && ours.contains(&row.apply));
            let mut kept = keep.others && job.attempts.iter().any(theirs);
            for row in rows {
                let young = row.ended_at.is_some_and(|ended| ended.as_millisecond() > since);
                let has_files = row.files == Files::Kept;
                if keep.others && theirs(row) {
                    useless.others += usize::from(has_files);
                } else if young {
                    kept = true;
                } else {
                    useless.logs.extend(obsolete.then_some((job.id, row.attempt)));
                    useless.attempts.extend(has_files.then_some((job.id, row.attempt)));
                }
            }
            if obsolete && !kept && job.attempts.iter().any(|row| row.host == *host) {
                useless.obsolete.push(job.id);
            }
        }
        Ok(useless)
    }

    /// What hosts hold that nothing needs, side by side; with `remove`, after it was removed. Logs that are about to go are
    /// kept here before.
    pub async fn gc(
        &self,
        asked: &[(HostName, Useless)],
        remove: bool,
    ) -> Result<Vec<(HostName, Result<Vec<Waste>, ApplyError>)>, ApplyError> {
        let mut asking = JoinSet::new();
        for (at, (name, useless)) in asked.iter().enumerate() {
            let (host, useless) = (self.host(name)?.clone(), useless.clone());
            let instance = self.instance().clone();
            // On this machine they are linked at once.
            let wanted = if !remove {
                Ok(Vec::new())
            } else if host.is_here() {
                self.ended_on(name)
                    .and_then(|ended| self.keep_logs(name, &ended))
                    .map(|()| Vec::new())
            } else {
                self.logs_wanted(name)
            };
            asking.spawn(async move {
                let answer = async {
                    let wanted = wanted?;
                    if !wanted.is_empty() {
                        host.fetch_logs(&instance, &wanted).await?;
                    }
                    Ok(host.gc(&instance, &useless.attempts, &useless.obsolete, remove).await?)
                };
                (at, answer.await)
            });
        }
        let mut answers = BTreeMap::new();
        while let Some(answer) = asking.join_next().await {
            answers.extend(joined(answer));
        }
        Ok(answers.into_iter().map(|(at, answer)| (asked[at].0.clone(), answer)).collect())
    }

    /// Logs here of jobs that are obsolete.
    pub fn obsolete_logs(&self, useless: &Useless) -> Vec<PathBuf> {
        let folder = self.state_folder();
        let files = useless.logs.iter().map(|(job, attempt)| log_file(&folder, *job, *attempt));
        files.filter(|file| file.exists()).collect()
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

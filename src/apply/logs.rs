//! Logs of ended attempts, kept beside the checkpoint.
//!
//! On this machine they are linked as attempts end; from another one they come at the end, in one question.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{ApplyError, Workspace};
use crate::host::{HostError, WantedLog};
use crate::ids::{Attempt, HostName, JobId};
use crate::lifecycle::AttemptState;
use crate::plain_file::{self, own_folder};

/// Where the log of an attempt is kept: `logs/<id>.<attempt>.log` in the checkpoint's folder.
pub(super) fn log_file(state_folder: &Path, job: JobId, attempt: Attempt) -> PathBuf {
    state_folder.join("logs").join(format!("{job}.{attempt}.log"))
}

impl Workspace {
    /// Logs of a host's ended attempts that are not here yet.
    pub(super) fn logs_wanted(&self, host: &HostName) -> Result<Vec<WantedLog>, ApplyError> {
        let state_folder = self.state_folder();
        let wanted: Vec<WantedLog> = self
            .ended_on(host)?
            .into_iter()
            .map(|(job, attempt)| WantedLog {
                job,
                attempt,
                target: log_file(&state_folder, job, attempt),
            })
            .filter(|wanted| !wanted.target.exists())
            .collect();
        if !wanted.is_empty() {
            make_folder(&state_folder)?;
        }
        Ok(wanted)
    }

    /// Keeps the logs of attempts that ended on this machine and have none here yet. A hard link costs no room; between two
    /// file systems it is a copy. Another host's are left to [`Workspace::logs_wanted`].
    pub(super) fn keep_logs(
        &self,
        host: &HostName,
        ended: &[(JobId, Attempt)],
    ) -> Result<(), ApplyError> {
        let Some(root) = self.host(host)?.root_here() else { return Ok(()) };
        let state_folder = self.state_folder();
        let mut folder_made = false;
        for (job, attempt) in ended {
            let target = log_file(&state_folder, *job, *attempt);
            if target.exists() {
                continue;
            }
            let jobs = root.join("v2").join(self.instance().as_str()).join("jobs");
            let source = jobs.join(job.to_string()).join(attempt.to_string()).join("log");
            let failed = |source: io::Error| HostError::Io {
                what: "keep the log",
                path: target.clone(),
                source,
            };
            if !folder_made {
                make_folder(&state_folder)?;
                folder_made = true;
            }
            // A log is a plain file; what else a host shows under its name is not followed.
            match fs::symlink_metadata(&source) {
                Ok(about) if about.is_file() => {}
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error).into()),
            }
            match fs::hard_link(&source, &target) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) => copy(&source, &target).map_err(failed)?,
            }
        }
        Ok(())
    }

    /// Attempts of a host that have ended, as far as the checkpoint knows.
    pub(super) fn ended_on(&self, host: &HostName) -> Result<Vec<(JobId, Attempt)>, ApplyError> {
        let snapshot = self.store.snapshot()?;
        let ended = snapshot.jobs.iter().flat_map(|job| {
            let rows = job.attempts.iter().filter(|row| row.host == *host);
            let rows = rows.filter(|row| matches!(row.state, AttemptState::Ended(_)));
            rows.map(|row| (job.id, row.attempt))
        });
        let setups = snapshot.setups.iter().filter(|setup| {
            setup.row.host == *host && matches!(setup.row.state, AttemptState::Ended(_))
        });
        Ok(ended.chain(setups.map(|setup| (setup.id, setup.row.attempt))).collect())
    }
}

fn make_folder(state_folder: &Path) -> Result<(), ApplyError> {
    let path = state_folder.join("logs");
    own_folder(&path)
        .map_err(|source| HostError::Io { what: "make the folder", path, source }.into())
}

fn copy(source: &Path, target: &Path) -> io::Result<()> {
    let (mut from, _) = plain_file::open(source)?;
    crate::atomic_file::replace_with(target, crate::atomic_file::Durability::Cached, |to| {
        io::copy(&mut from, to).map(drop)
    })
}

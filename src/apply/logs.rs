//! Logs of ended attempts, kept beside the checkpoint.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{ApplyError, Workspace};
use crate::atomic_file::private_folder;
use crate::host::HostError;
use crate::ids::{Attempt, JobId};

/// Where the log of an attempt is kept: `logs/<id>.<attempt>.log` in the checkpoint's folder.
pub fn log_file(state_folder: &Path, job: JobId, attempt: Attempt) -> PathBuf {
    state_folder.join("logs").join(format!("{job}.{attempt}.log"))
}

impl Workspace {
    /// Fetches the logs of attempts that have ended and have none here yet. On this machine a hard link costs no room;
    /// between two file systems it is a copy.
    pub fn collect_logs(
        &self,
        ended: impl Iterator<Item = (JobId, Attempt)>,
    ) -> Result<(), ApplyError> {
        let state_folder = self.state_folder();
        let mut folder_made = false;
        for (job, attempt) in ended {
            let target = log_file(&state_folder, job, attempt);
            if target.exists() {
                continue;
            }
            let source =
                self.host.attempt_folder(&self.settings.campaign.name, job, attempt).join("log");
            let failed = |source: io::Error| HostError::Io {
                what: "keep the log",
                path: target.clone(),
                source,
            };
            if !folder_made {
                private_folder(&state_folder.join("logs")).map_err(failed)?;
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
}

fn copy(source: &Path, target: &Path) -> io::Result<()> {
    let mut from = fs::File::open(source)?;
    crate::atomic_file::replace_with(target, crate::atomic_file::Durability::Cached, |to| {
        io::copy(&mut from, to).map(drop)
    })
}

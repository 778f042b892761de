//! The lock of an apply: one at a time per campaign, freed by the kernel when its process ends, however it ends.
//!
//! It keeps a second apply from handing jobs over at the same time; it protects no file, the checkpoint does that itself.

use std::fs::{File, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::atomic_file::is_full;
use crate::crash::crash_point;
use crate::plain_file::{Wrong, open_own, own_folder};

const FILE: &str = "apply.lock";
/// More than any holder writes.
const CONTENT_MAX: u64 = 64 * 1024;

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// The machine it runs on; the folder may be a shared one.
    pub host: String,
    /// When it took the lock.
    pub since: Timestamp,
    /// Its command line, for people.
    pub command: String,
}

impl Holder {
    /// This process.
    pub fn here(since: Timestamp, command: String) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { pid: std::process::id(), host, since, command }
    }
}

/// What came of an attempt to take the lock.
#[derive(Debug)]
pub enum Lock {
    /// Ours.
    Acquired(ApplyLock),
    /// Another process has it; who, unless it had not yet said so.
    Held(Option<Holder>),
}

/// The lock, held until dropped.
#[derive(Debug)]
pub struct ApplyLock {
    file: File,
}

/// The lock file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot lock `{}`: {source}; {}", path.display(), advice(source))]
pub struct LockError {
    path: PathBuf,
    source: io::Error,
}

/// Says what to do about a lock file that cannot be opened or locked.
pub(super) fn advice(source: &io::Error) -> &'static str {
    match Wrong::of(source) {
        Some(_) => {
            "what sp keeps lies in files and folders of its own and of this user, so move that away"
        }
        None if is_full(source) => "make room on its disk: `df -h` and `df -i` tell",
        None => "put the campaign on a file system with locks, in a folder you may write",
    }
}

impl ApplyLock {
    /// Takes the lock of the campaign whose checkpoint lies in `folder`, without waiting.
    pub fn acquire(folder: &Path, holder: &Holder) -> Result<Lock, LockError> {
        let path = folder.join(FILE);
        acquire(folder, &path, holder).map_err(|source| LockError { path, source })
    }
}

impl Drop for ApplyLock {
    fn drop(&mut self) {
        // Only for people who look at the file; a stale text is never read, since nobody holds the lock.
        drop(self.file.set_len(0));
        // A child that is just being started has a copy of the descriptor until its exec: closing ours is not enough.
        drop(self.file.unlock());
    }
}

/// Makes the campaign's folder where it is missing, and `.sp` with it.
fn make_folder(folder: &Path) -> io::Result<()> {
    match (own_folder(folder), folder.parent()) {
        (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
            own_folder(parent)?;
            own_folder(folder)
        }
        (made, _) => made,
    }
}

fn acquire(folder: &Path, path: &Path, holder: &Holder) -> io::Result<Lock> {
    make_folder(folder)?;
    loop {
        let mut file = open_own(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let whole = (&file).take(CONTENT_MAX).read_to_string(&mut text);
                return Ok(Lock::Held(whole.ok().and_then(|_| serde_json::from_str(&text).ok())));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Somebody may have removed the folder in between: a lock on a file that is gone keeps nobody out.
        let ours = file.metadata()?;
        match std::fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {}
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(folder)?;
                continue;
            }
            Err(error) => return Err(error),
        }
        file.set_permissions(Permissions::from_mode(0o600))?;
        let mut line = serde_json::to_vec(holder)?;
        line.push(b'\n');
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&line)?;
        crash_point("store.lock.after");
        return Ok(Lock::Acquired(ApplyLock { file }));
    }
}

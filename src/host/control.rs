//! The folder for sockets of our ssh masters: one a process, 0700, short enough for a socket's path, gone with the process.
//! What a killed process left is found by its lock and cleared away, its masters ended.
//!
//! It opens no connection.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use super::error::{HostError, io_error};
use super::random_word;
use super::transport::command;

/// A socket's path has 108 bytes on Linux and 104 on macOS (unix(7), unix(4)); the rest of it takes 46.
const LONGEST: usize = 57;

/// Where sockets go; made when it is first needed.
#[derive(Debug)]
pub struct ControlFolder {
    candidates: Vec<PathBuf>,
    made: OnceLock<Made>,
}

#[derive(Debug)]
struct Made {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: File,
    /// Folders of killed processes that were cleared away.
    cleared: usize,
}

impl ControlFolder {
    /// A folder below the first of these that is short enough: the session's runtime folder, the temporary one, `/tmp`.
    pub fn new(runtime: Option<&Path>, temporary: Option<&Path>) -> Self {
        let own = format!("sp-{}", rustix::process::geteuid().as_raw());
        let candidates =
            [runtime.map(|folder| folder.join("sp")), temporary.map(|folder| folder.join(&own))]
                .into_iter()
                .flatten()
                .chain([Path::new("/tmp").join(&own)])
                .collect();
        Self { candidates, made: OnceLock::new() }
    }

    /// The folder.
    pub(super) fn folder(&self) -> Result<&Path, HostError> {
        if self.made.get().is_none() {
            let made = self.make()?;
            // Of two at once one is dropped, and takes its folder with it.
            drop(self.made.set(made));
        }
        Ok(&self.made.get().expect("just made").folder)
    }

    /// How many folders of killed processes were found and cleared away.
    pub(super) fn cleared(&self) -> usize {
        self.made.get().map_or(0, |made| made.cleared)
    }

    fn make(&self) -> Result<Made, HostError> {
        let word = &random_word()[..8];
        let mut refused = None;
        for parent in &self.candidates {
            let folder = parent.join(word);
            if folder.as_os_str().len() > LONGEST {
                continue;
            }
            match own_folder(parent) {
                Ok(()) => {}
                Err(error) => {
                    refused = Some(error);
                    continue;
                }
            }
            let cleared = clear_dead(parent);
            // Under its name it is never seen unlocked.
            let lock_path = parent.join(format!("{word}.lock"));
            let unlocked = parent.join(format!("{word}.new"));
            let lock = File::create_new(&unlocked).map_err(io_error("make the file", &unlocked))?;
            lock.lock().map_err(io_error("lock", &unlocked))?;
            fs::rename(&unlocked, &lock_path).map_err(io_error("rename", &unlocked))?;
            fs::DirBuilder::new()
                .mode(0o700)
                .create(&folder)
                .map_err(io_error("make the folder", &folder))?;
            return Ok(Made { folder, lock_path, _lock: lock, cleared });
        }
        Err(refused.unwrap_or_else(|| {
            let path = self.candidates.last().cloned().unwrap_or_default();
            let source = std::io::Error::other("its path is too long for a socket");
            HostError::Io { what: "use the folder", path, source }
        }))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        clear(&self.folder);
        let _unlocked = fs::remove_file(&self.lock_path);
    }
}

/// Makes the folder, or checks that it is ours alone: in a shared temporary folder somebody else may have been first.
fn own_folder(folder: &Path) -> Result<(), HostError> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io_error("make the folder", folder)(error)),
    }
    let about = fs::symlink_metadata(folder).map_err(io_error("look at", folder))?;
    let ours = about.uid() == rustix::process::geteuid().as_raw();
    if about.is_dir() && ours && about.mode().trailing_zeros() >= 6 {
        return Ok(());
    }
    let source = std::io::Error::other("it is not a folder of this user alone");
    Err(io_error("use the folder", folder)(source))
}

/// Ends the masters of processes that are gone, and removes their folders; how many there were.
fn clear_dead(parent: &Path) -> usize {
    let Ok(entries) = fs::read_dir(parent) else { return 0 };
    let mut cleared = 0;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Ok(lock) = File::open(&path) else { continue };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => continue,
        }
        clear(&path.with_extension(""));
        let _unlocked = fs::remove_file(&path);
        cleared += 1;
    }
    cleared
}

/// Ends the masters of a folder and removes it. It loses its name first: a master that is about to make its socket finds no
/// place for it and ends by itself, where it would else live on without one that anybody could reach it by.
fn clear(folder: &Path) {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    // No longer than the name was, and none that a folder is given: those are hexadecimal.
    let dead = folder.with_file_name(name.replacen(|_| true, "x", 1));
    // A process that was killed at this step has renamed it already; another may be clearing the same.
    let _renamed = fs::rename(folder, &dead);
    end_masters(&dead);
    // What cannot be removed now is cleared away by a later process.
    let _removed = fs::remove_dir_all(&dead);
}

/// Ends every master that has its socket here.
fn end_masters(folder: &Path) {
    for connection in fs::read_dir(folder).into_iter().flatten().flatten() {
        let socket = connection.path().join("master");
        if !socket.exists() {
            continue;
        }
        let mut ssh = command("ssh").into_std();
        // Only the socket counts: nobody's configuration is read for a host that is none.
        ssh.args(["-F", "none", "-S"]).arg(socket).args(["-O", "exit", "none"]);
        ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A master that does not answer is gone, or goes by itself once it is idle for long enough.
        let _asked = ssh.status();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    #[test]
    fn what_is_cleared_away_has_no_place_for_a_socket_any_more() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("0a1b2c3d");
        fs::create_dir_all(folder.join(".ssh-connection")).expect("a folder");
        clear(&folder);
        assert!(!folder.exists());
        // As if the process that cleared it away had been killed in between.
        fs::create_dir_all(place.path().join("xa1b2c3d/.ssh-connection")).expect("a folder");
        clear(&folder);
        assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_folder_that_others_could_have_made_is_not_used() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("sp-7");
        own_folder(&folder).expect("it is made");
        own_folder(&folder).expect("it is ours alone");
        for mode in [0o770, 0o701, 0o777] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("ours");
            assert!(own_folder(&folder).is_err(), "{mode:o}");
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("ours");
        let link = place.path().join("link");
        symlink(&folder, &link).expect("a link");
        assert!(own_folder(&link).is_err());
        if rustix::process::geteuid().is_root() {
            chown(&folder, Some(65534), None).expect("it is given away");
            assert!(own_folder(&folder).is_err());
        }
    }
}

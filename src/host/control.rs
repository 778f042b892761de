//! The folder for sockets of our ssh masters: one a process, 0700, short enough for a socket's path, gone with the process.
//! What a killed process left is found by its lock and cleared away, its masters ended.
//!
//! It opens no connection.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use super::error::HostError;
use super::transport::command;
use super::{parents, random_word};

/// A socket's path has 108 bytes on Linux and 104 on macOS (unix(7), unix(4)); the rest of it takes 46.
const LONGEST: usize = 57;

/// Where sockets go; made when it is first needed.
#[derive(Debug)]
pub struct ControlFolder {
    candidates: Vec<PathBuf>,
    /// The last of them: one that nobody else knows, and that goes with the process.
    fresh: PathBuf,
    made: OnceLock<Made>,
}

#[derive(Debug)]
struct Made {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: File,
    /// Folders of killed processes that were cleared away.
    cleared: usize,
    /// The folder above, where it is this process's alone.
    fresh: Option<PathBuf>,
    /// Candidates that somebody else has taken or may write to, and why each is not used.
    taken: Vec<String>,
}

/// Why a folder cannot hold sockets; reads after its path.
#[derive(Debug)]
enum Unfit {
    /// Its path, or the machine, does not allow it.
    Here(String),
    /// Somebody else has taken it, or could.
    Taken(String),
}

impl ControlFolder {
    /// A folder below the first of these that is short enough and ours alone: the session's runtime folder, the temporary
    /// one, `/tmp`, the home's cache; at last one of a name in `/tmp` that nobody could take before.
    pub fn new(runtime: Option<&Path>, temporary: Option<&Path>, home: Option<&Path>) -> Self {
        let own = format!("sp-{}", rustix::process::geteuid().as_raw());
        let candidates = [
            runtime.map(|folder| folder.join("sp")),
            temporary.map(|folder| folder.join(&own)),
            Some(Path::new("/tmp").join(&own)),
            home.map(|home| home.join(".cache/sp")),
        ];
        let fresh = Path::new("/tmp").join(format!("{own}.{}", &random_word()[..8]));
        Self::among(candidates.into_iter().flatten().collect(), fresh)
    }

    fn among(candidates: Vec<PathBuf>, fresh: PathBuf) -> Self {
        Self { candidates, fresh, made: OnceLock::new() }
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

    /// Folders that were not used because somebody else has taken them or may write to them, each with why, and the one that
    /// is used; `None` where there were none.
    pub(super) fn taken(&self) -> Option<(Vec<String>, PathBuf)> {
        let made = self.made.get().filter(|made| !made.taken.is_empty())?;
        Some((made.taken.clone(), made.folder.parent()?.to_owned()))
    }

    fn make(&self) -> Result<Made, HostError> {
        let word = &random_word()[..8];
        let (mut refused, mut taken) = (Vec::new(), Vec::new());
        for parent in self.candidates.iter().chain([&self.fresh]) {
            let why = match make_below(parent, word) {
                Ok(mut made) => {
                    made.fresh = (*parent == self.fresh).then(|| parent.clone());
                    made.taken = taken;
                    return Ok(made);
                }
                Err(why) => why,
            };
            let (Unfit::Here(text) | Unfit::Taken(text)) = &why;
            let text = format!("`{}` {text}", parent.display());
            if matches!(why, Unfit::Taken(_)) {
                taken.push(text.clone());
            }
            refused.push(text);
        }
        Err(HostError::Sockets { refused })
    }
}

/// Makes the folder of this process below `parent`.
fn make_below(parent: &Path, word: &str) -> Result<Made, Unfit> {
    let folder = parent.join(word);
    if folder.as_os_str().len() > LONGEST {
        return Err(Unfit::Here("is too long for a socket's path".to_owned()));
    }
    own_folder(parent)?;
    let cleared = clear_dead(parent);
    // Under its name it is never seen unlocked.
    let lock_path = parent.join(format!("{word}.lock"));
    let unlocked = parent.join(format!("{word}.new"));
    let lock = File::create_new(&unlocked)?;
    lock.lock()?;
    fs::rename(&unlocked, &lock_path)?;
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(Made { folder, lock_path, _lock: lock, cleared, fresh: None, taken: Vec::new() })
}

impl Drop for Made {
    fn drop(&mut self) {
        clear(&self.folder);
        let _unlocked = fs::remove_file(&self.lock_path);
        // A folder that is not empty stays, with what is in it.
        let _removed = self.fresh.as_ref().map(fs::remove_dir);
    }
}

impl From<std::io::Error> for Unfit {
    fn from(error: std::io::Error) -> Self {
        Self::Here(format!("cannot be used: {error}"))
    }
}

/// Makes the folder, or checks that it is ours alone: in a shared temporary folder somebody else may have been first.
fn own_folder(folder: &Path) -> Result<(), Unfit> {
    let taken = |why: String| Err(Unfit::Taken(why));
    // The home's cache may not be there yet.
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Unfit::Here(format!("cannot be made: {error}"))),
    }
    let about = fs::symlink_metadata(folder)?;
    if !about.is_dir() {
        return taken("is no folder".to_owned());
    }
    if about.uid() != rustix::process::geteuid().as_raw() {
        return taken("belongs to another user".to_owned());
    }
    if about.mode().trailing_zeros() < 6 {
        return taken("is open to other users (`chmod go=` would close it)".to_owned());
    }
    match parents::suspects(folder)?.first() {
        Some(parent) => taken(format!("lies below `{}`, which others may write to", parent.path)),
        None => Ok(()),
    }
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
    fn a_place_that_somebody_else_has_taken_gives_way_to_the_next() {
        let place = tempfile::tempdir_in("/tmp").expect("a folder");
        let own = format!("sp-{}", rustix::process::geteuid().as_raw());
        // As long as a socket allows.
        let home = place.path().join("h");
        fs::create_dir_all(home.join(".cache")).expect("a folder");
        File::create(place.path().join(&own)).expect("a file");
        let fresh = place.path().join("fresh");
        let taken = place.path().join(&own);
        let candidates = vec![taken.clone(), home.join(".cache/sp")];
        let control = ControlFolder::among(candidates, fresh.clone());
        let folder = control.folder().expect("the next one").to_owned();
        assert!(folder.starts_with(home.join(".cache/sp")), "{}", folder.display());
        let told = control.taken().expect("one is taken");
        let why = format!("`{}` is no folder", taken.display());
        assert_eq!(told, (vec![why], home.join(".cache/sp")));
        // At last one whose name nobody could know, which does not stay.
        let control = ControlFolder::among(vec![taken.clone()], fresh.clone());
        assert!(control.folder().expect("the last one").starts_with(&fresh));
        drop(control);
        assert!(!fresh.exists());
        let [first, second] = [0; 2].map(|_| ControlFolder::new(None, None, None).fresh);
        assert_ne!(first, second);
        // None of them: each is named with what is wrong with it.
        let control = ControlFolder::among(vec![taken], place.path().join("x".repeat(80)));
        let said = control.folder().expect_err("no folder").to_string();
        assert!(said.contains("is no folder; ") && said.contains("too long"), "{said}");
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

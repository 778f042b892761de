//! The state of a campaign whose folder cannot be written, for a command that only looks: a copy that goes with the command.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use tempfile::TempDir;

use super::open::FILE;
use super::{Identity, Store, StoreError};

/// Whether the folder of a checkpoint can be written, or made where it is not there yet.
pub fn is_writable(folder: &Path) -> bool {
    let may = |path: &Path, what: Access| access(path, what).is_ok();
    // Up to the campaign's folder, past `.sp`.
    let there = folder.ancestors().take(3).find(|path| is_there(path));
    let file = folder.join(FILE);
    there.is_some_and(|path| may(path, Access::WRITE_OK | Access::EXEC_OK))
        && (!is_there(&file) || may(&file, Access::WRITE_OK))
}

/// Whether something is there; what cannot be looked at is.
fn is_there(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// A folder with a copy of a checkpoint, for this user alone; it is removed when this is dropped.
#[derive(Debug)]
pub struct Borrowed {
    path: PathBuf,
    _folder: TempDir,
}

impl Borrowed {
    /// Copies what can be read in the folder of a checkpoint.
    ///
    /// # Errors
    /// There is no room for a copy, or what was read makes no sense.
    pub fn of(folder: &Path) -> Result<Self, StoreError> {
        let temporary = std::env::temp_dir();
        let made = tempfile::Builder::new().prefix("sp-").tempdir_in(&temporary);
        let made = made.map_err(StoreError::io("write in", &temporary))?;
        let path = made.path().join(folder.file_name().unwrap_or_default());
        fs::create_dir(&path).map_err(StoreError::io("make the folder", &path))?;
        if let Some(identity) = Identity::read(folder).or_else(none_for_us)? {
            identity.write(&path)?;
        }
        if let Some(store) = Store::open_read_only(folder).or_else(none_for_us)? {
            store.copy_to(&path.join(FILE))?;
        }
        Ok(Self { path, _folder: made })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What another user keeps for itself is as good as not there.
fn none_for_us<T>(error: StoreError) -> Result<Option<T>, StoreError> {
    if error.is_denied() { Ok(None) } else { Err(error) }
}

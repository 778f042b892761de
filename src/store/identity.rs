//! Which instance of its campaign a folder is, on record beside the checkpoint: `.sp/NAME/id`, four lines for people and
//! programs, `id`, `settled`, `machine` and `file`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::open::make_folder;
use super::{ApplyLock, Holder, Lock, StoreError};
use crate::atomic_file::{Durability, replace};
use crate::crash::crash_point;
use crate::ids::{Instance, InstanceId};
use crate::plain_file::{self, Wrong};

const FILE: &str = "id";
/// More bytes than the file has, whatever the path in it.
const MOST: u64 = 64 << 10;
/// So many folders that were set aside under one name are told apart.
const ASIDE_MAX: u32 = 1000;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The instance's id.
    pub id: InstanceId,
    /// Whether it stays, whatever comes: from the first hand-over on, or once a host knew it.
    pub settled: bool,
    /// Identity of the machine that the campaign file lies on.
    pub machine: String,
    /// Absolute path of the campaign file.
    pub file: PathBuf,
}

impl Identity {
    /// Reads the file in the folder of a checkpoint; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or holds something else, or the folder or `.sp` is a link: what it leads to is somebody else's.
    pub fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        check_not_linked(folder)?;
        let path = folder.join(FILE);
        let read = plain_file::open(&path).and_then(|(file, _)| plain_file::read(&file, MOST));
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        Self::parse(&bytes).map(Some).ok_or(StoreError::Identity { path })
    }

    /// Writes the file anew, and makes the folder where it is missing.
    pub fn write(&self, folder: &Path) -> Result<(), StoreError> {
        make_folder(folder)?;
        let path = folder.join(FILE);
        crash_point("store.identity.before");
        replace(&path, &self.bytes(), Durability::Synced)
            .map_err(StoreError::io("write", &path))?;
        crash_point("store.identity.after");
        Ok(())
    }

    /// Writes the file where there is none, and returns what it says then: of several processes at once one is first, and all
    /// take what that one wrote.
    pub fn write_first(self, folder: &Path) -> Result<Self, StoreError> {
        make_folder(folder)?;
        let path = folder.join(FILE);
        let written = || {
            let mut file = tempfile::Builder::new().prefix(".id-").tempfile_in(folder)?;
            file.write_all(&self.bytes())?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        let file = written().map_err(StoreError::io("write", &path))?;
        match file.persist_noclobber(&path) {
            Ok(_) => Ok(self),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Self::read(folder)?.ok_or(StoreError::Identity { path })
            }
            Err(error) => Err(StoreError::io("write", &path)(error.error)),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        // The path is last and may hold anything.
        let (id, rest) = line(bytes.strip_prefix(b"id ")?)?;
        let (settled, rest) = line(rest.strip_prefix(b"settled ")?)?;
        let (machine, file) = line(rest.strip_prefix(b"machine ")?)?;
        let file = file.strip_prefix(b"file ")?.strip_suffix(b"\n")?;
        Some(Self {
            id: id.parse().ok()?,
            settled: match settled {
                "yes" => true,
                "no" => false,
                _ => return None,
            },
            machine: machine.to_owned(),
            file: PathBuf::from(OsString::from_vec(file.to_vec())),
        })
    }

    fn bytes(&self) -> Vec<u8> {
        let settled = if self.settled { "yes" } else { "no" };
        let lines = format!("id {}\nsettled {settled}\nmachine {}\nfile ", self.id, self.machine);
        let mut bytes = lines.into_bytes();
        bytes.extend_from_slice(self.file.as_os_str().as_bytes());
        bytes.push(b'\n');
        bytes
    }
}

fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// Sees to it that neither the folder of a checkpoint nor `.sp` is a link, as far as they are there.
fn check_not_linked(folder: &Path) -> Result<(), StoreError> {
    for path in folder.parent().into_iter().chain([folder]) {
        match fs::symlink_metadata(path) {
            Ok(about) if about.is_symlink() => {
                return Err(StoreError::io("use", path)(Wrong::Link.into()));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("look at", path)(error));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Puts the folder of a checkpoint aside that belongs to another instance, and says where it is now. `us`: this process, which
/// takes the campaign's lock for it.
///
/// # Errors
/// An apply works with the folder.
pub fn set_folder_aside(
    folder: &Path,
    owner: &Instance,
    us: &Holder,
) -> Result<PathBuf, StoreError> {
    let _lock = match ApplyLock::acquire(folder, us)? {
        Lock::Acquired(lock) => lock,
        Lock::Held(holder) => {
            return Err(StoreError::OtherInUse { path: folder.to_owned(), holder });
        }
    };
    let mut target = folder.with_file_name(owner.as_str());
    for n in 2..ASIDE_MAX {
        if !target.try_exists().map_err(StoreError::io("look at", &target))? {
            break;
        }
        target.set_file_name(format!("{owner}.{n}"));
    }
    match fs::rename(folder, &target) {
        Ok(()) => Ok(target),
        Err(error) => Err(StoreError::io("set aside", folder)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_read_back() {
        for (settled, file) in
            [(true, &b"/home/ann/a b\nfile x/\xff.toml"[..]), (false, b"/c.toml")]
        {
            let identity = Identity {
                id: "3fa9c2d41b07".parse().expect("an id"),
                settled,
                machine: "m".to_owned(),
                file: PathBuf::from(OsString::from_vec(file.to_vec())),
            };
            assert_eq!(Identity::parse(&identity.bytes()), Some(identity));
        }
        for wrong in [
            "",
            "id x\n",
            "id a b\nsettled yes\nmachine m\nfile /x\n",
            "id x\nsettled so\nmachine m\nfile /x\n",
            "id x\nsettled yes\nmachine m\nfile /x",
        ] {
            assert_eq!(Identity::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}

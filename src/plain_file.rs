//! Files that others may have put in place of what is expected: opened without following a link out of a folder and without
//! waiting for a pipe, read only as far as a bound.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// What lies at a path instead of a plain file or a folder of our own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A link, where none is followed.
    #[error("it is a link")]
    Link,
    /// A link that leads out of the folder that it stands in, and the path that it leads to.
    #[error("a link in it leads out of the folder, to `{}`", .0.display())]
    LeadsOut(PathBuf),
    /// A pipe, a device, a socket: anything that is no file to be read.
    #[error("it is a {0}, no plain file")]
    Kind(&'static str),
    /// A file where a folder should be.
    #[error("it is no folder")]
    NoFolder,
    /// Something of another user.
    #[error("it belongs to the user with the number {0}")]
    Owner(u32),
    /// More than may be read into memory, in bytes.
    #[error("it has more than {} MiB", .0 >> 20)]
    Large(u64),
}

impl From<Wrong> for io::Error {
    fn from(wrong: Wrong) -> Self {
        Self::other(wrong)
    }
}

impl Wrong {
    /// The fault that an error of this module stands for; `None` for an error of the system.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// Opens a plain file for reading, and says how it looks. A link at the end of the path is not followed.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    checked(path, OpenOptions::new().read(true))
}

/// Opens a file of our own for reading and writing, for this user alone, and makes it where it is missing. A link is not
/// followed.
pub fn open_own(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    checked(path, &mut options).map(|(file, _)| file)
}

/// Opens a plain file, given by its path from a folder, which is absolute and without links. Links are followed as long as
/// they stay in the folder.
pub fn open_within(folder: &Path, path: &Path) -> io::Result<(File, Metadata)> {
    open(&real(folder, path)?)
}

/// Returns where a path from a folder leads, which is absolute and without links; it may be the folder itself.
///
/// # Errors
/// A link on the way leads out of the folder, or there is nothing.
pub fn real(folder: &Path, path: &Path) -> io::Result<PathBuf> {
    let target = folder.join(path).canonicalize()?;
    if target.starts_with(folder) { Ok(target) } else { Err(Wrong::LeadsOut(target).into()) }
}

/// Reads a file that was opened; one of more bytes than `most` is an error.
pub fn read(file: &File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Wrong::Large(most).into());
    }
    Ok(bytes)
}

/// Makes a folder of our own with mode 0700 where it is missing; what lies there is neither a link nor another user's.
pub fn own_folder(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        // The mode of a new folder, whatever the umask.
        Ok(()) => {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
        Err(error) => return Err(error),
    }
    check_folder(path)
}

/// Sees to it that what lies at a path, if anything, is a plain file.
pub fn check(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(about) => wrong_kind(about.file_type()).map_or(Ok(()), |wrong| Err(wrong.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Sees to it that a folder is neither a link nor another user's.
pub fn check_folder(path: &Path) -> io::Result<()> {
    let about = fs::symlink_metadata(path)?;
    let wrong = match about.file_type() {
        kind if kind.is_symlink() => Wrong::Link,
        kind if !kind.is_dir() => Wrong::NoFolder,
        _ if about.uid() != rustix::process::geteuid().as_raw() => Wrong::Owner(about.uid()),
        _ => return Ok(()),
    };
    Err(wrong.into())
}

/// Says what is wrong with a kind of file that should be a plain one; `None` for a plain file and for a folder, which the
/// system has its own words for.
pub fn wrong_kind(kind: FileType) -> Option<Wrong> {
    match () {
        () if kind.is_file() || kind.is_dir() => None,
        () if kind.is_symlink() => Some(Wrong::Link),
        () if kind.is_fifo() => Some(Wrong::Kind("named pipe")),
        () if kind.is_socket() => Some(Wrong::Kind("socket")),
        () => Some(Wrong::Kind("device")),
    }
}

fn checked(path: &Path, options: &mut OpenOptions) -> io::Result<(File, Metadata)> {
    // To open some devices does something already, so that they are not even opened.
    check(path)?;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0)).open(path)?;
    // What lies there now may be another one.
    let about = file.metadata()?;
    match wrong_kind(about.file_type()) {
        Some(wrong) => Err(wrong.into()),
        None if about.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        None => Ok((file, about)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test writes files as users do")]
    fn only_plain_files_are_opened_and_links_only_within_the_folder() {
        let place = tempfile::tempdir().expect("a folder");
        let out = place.path().canonicalize().expect("a folder");
        let folder = out.join("a");
        fs::create_dir_all(folder.join("d")).expect("a folder");
        fs::write(folder.join("d/plain"), "text").expect("a file");
        fs::write(out.join("outside"), "secret").expect("a file");
        let pipe = folder.join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
        for (link, target) in [
            ("in", "d/plain"),
            ("into", "d"),
            ("out", "../outside"),
            ("up", ".."),
            ("zero", "/dev/zero"),
            ("round", "d/../../a/d/plain"),
        ] {
            symlink(target, folder.join(link)).expect("a link");
        }
        for (path, expected) in [
            ("d/plain", Ok(())),
            ("in", Ok(())),
            ("into/plain", Ok(())),
            ("round", Ok(())),
            ("out", Err("a link in it leads out of the folder, to `OUT/outside`")),
            ("up/outside", Err("a link in it leads out of the folder, to `OUT/outside`")),
            ("zero", Err("a link in it leads out of the folder, to `/dev/zero`")),
            ("pipe", Err("it is a named pipe, no plain file")),
            ("d", Err("is a directory")),
            ("gone", Err("No such file or directory (os error 2)")),
        ] {
            let opened = open_within(&folder, Path::new(path)).map(drop);
            let out = out.display().to_string();
            let opened = opened.map_err(|error| error.to_string().replace(&out, "OUT"));
            assert_eq!(opened, expected.map_err(str::to_owned), "{path}");
        }
        let link = open(&folder.join("in")).expect_err("a link");
        assert_eq!(Wrong::of(&link), Some(&Wrong::Link));
        let (file, _) = open(&folder.join("d/plain")).expect("a file");
        assert_eq!(read(&file, 4).expect("all of it"), b"text");
        let (file, _) = open(&folder.join("d/plain")).expect("a file");
        assert_eq!(Wrong::of(&read(&file, 3).expect_err("more")), Some(&Wrong::Large(3)));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test writes files as users do")]
    fn a_folder_of_ours_is_no_link_and_no_file() {
        let place = tempfile::tempdir().expect("a folder");
        let path = |name: &str| place.path().join(name);
        own_folder(&path("new")).expect("it is made");
        own_folder(&path("new")).expect("it is there");
        fs::write(path("file"), "").expect("a file");
        symlink("new", path("link")).expect("a link");
        for (name, wrong) in [("file", Wrong::NoFolder), ("link", Wrong::Link)] {
            let error = own_folder(&path(name)).expect_err(name);
            assert_eq!(Wrong::of(&error), Some(&wrong), "{name}");
        }
    }
}

//! What can go wrong with the checkpoint, told with the next step.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::{Holder, LockError};
use crate::ids::{Attempt, HostName, JobId};
use crate::plain_file::Wrong;

/// Why the checkpoint could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer `sp` wrote it.
    #[error(
        "the checkpoint `{}` has format {found}, this sp knows format {known}; update sp, or move the file away and let it be rebuilt from the hosts",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// A database of another program.
    #[error("`{}` is a database of another program; move it away, then run sp again", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file that says which instance this is makes no sense.
    #[error("`{}` does not say which instance of the campaign this is; remove it, then run sp again: the hosts know the instance", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
    },
    /// It belongs to a campaign of another name.
    #[error(
        "the checkpoint `{}` belongs to the campaign `{owner}`; its folder was renamed: name it back, or remove it and let it be rebuilt from the hosts",
        path.display()
    )]
    OtherCampaign {
        /// The file.
        path: PathBuf,
        /// The campaign it belongs to.
        owner: String,
    },
    /// It cannot be written.
    #[error("the checkpoint `{}` cannot be written; make the file and its folder writable for you", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds its lock.
    #[error("the checkpoint `{}` is locked by another process; run sp again when that has ended", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("no room to write the checkpoint `{}`; free some space, then run sp again", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Its content is damaged; see [`super::set_aside`].
    #[error(
        "the checkpoint `{}` is damaged ({cause}); run `sp apply` again: it is set aside and rebuilt from the hosts",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        cause: String,
    },
    /// It is damaged, and another process holds the campaign's lock: it is that one's to set aside.
    #[error(
        "the checkpoint `{}` is damaged ({cause}), and {} works with it; run sp again when that has ended",
        path.display(), named(holder.as_ref())
    )]
    DamagedInUse {
        /// The file.
        path: PathBuf,
        /// What was found.
        cause: String,
        /// Who holds the lock, unless it had not yet said so.
        holder: Option<Holder>,
    },
    /// The folder belongs to another instance by now, and another process holds the campaign's lock.
    #[error(
        "`{}` is of another instance than the campaign file now, and {} works with it; run the same command again when that \
         has ended",
        path.display(), named(holder.as_ref())
    )]
    OtherInUse {
        /// The folder of the checkpoint.
        path: PathBuf,
        /// Who holds the lock, unless it had not yet said so.
        holder: Option<Holder>,
    },
    /// The campaign's lock cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// An attempt is to be handed over that already was.
    #[error(
        "attempt {attempt} of job {job} was already handed to host `{host}`; plan again, then apply"
    )]
    AttemptTaken {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
        /// The host.
        host: HostName,
    },
    /// What a host said cannot be written down: a reader let a value pass that no row may have.
    #[error(
        "what host `{host}` said cannot be written down ({cause}); nothing of its answer counts"
    )]
    Unwritable {
        /// The host.
        host: HostName,
        /// SQLite's words.
        cause: String,
    },
    /// Something else lies where a file or folder of the checkpoint belongs.
    #[error(
        "`{}` cannot be used: {wrong}; what sp keeps lies in files and folders of its own and of this user, so move that \
         away, then run sp again",
        path.display()
    )]
    NotOwn {
        /// Where.
        path: PathBuf,
        /// What lies there.
        wrong: Wrong,
    },
    /// The system refused something else than SQLite's own work.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Anything else that SQLite says.
    #[error("the checkpoint `{}` cannot be used: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's words.
        source: rusqlite::Error,
    },
}

fn named(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { pid, host, since, command }) => {
            format!("`{command}` (process {pid} on {host}, since {since:.0})")
        }
        None => "another apply".to_owned(),
    }
}

impl StoreError {
    /// Sorts SQLite's errors by what a person can do about them.
    pub(super) fn of(path: &Path) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| {
            let path = path.clone();
            match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    Self::Damaged { path, cause: source.to_string() }
                }
                Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
                Some(ErrorCode::DiskFull) => Self::Full { path },
                // The statements are fixed, so a table that they do not find is gone from the file.
                _ if source.to_string().contains("no such table") => {
                    Self::Damaged { path, cause: source.to_string() }
                }
                _ => match source {
                    // A value that no version of sp writes.
                    rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..) => {
                        Self::Damaged { path, cause: source.to_string() }
                    }
                    source => Self::Sqlite { path, source },
                },
            }
        }
    }

    /// The same for the answer of a host: a constraint that it breaks is that host's fault alone.
    pub(super) fn of_answer(
        path: &Path,
        host: &HostName,
    ) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let (of, host) = (Self::of(path), host.clone());
        move |source| match source.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => {
                Self::Unwritable { host: host.clone(), cause: source.to_string() }
            }
            _ => of(source),
        }
    }

    /// Whether the same command may succeed later without anybody's doing: another process is at work.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::DamagedInUse { .. } | Self::OtherInUse { .. })
    }

    /// Whether this user may not do what was tried with a file.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::ReadOnly { .. } => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ),
            Self::Sqlite { source, .. } => {
                source.sqlite_error_code() == Some(ErrorCode::CannotOpen)
            }
            _ => false,
        }
    }

    /// What to do next, where the sentence does not say it.
    pub fn help(&self) -> String {
        let (Self::Io { path, .. } | Self::Sqlite { path, .. } | Self::ReadOnly { path }) = self
        else {
            return String::new();
        };
        let state = path.ancestors().find(|path| path.file_name() == Some(OsStr::new(".sp")));
        match state.filter(|_| self.is_denied()) {
            Some(state) => format!(
                "`{}` must be a folder that you may write: have it made for you, or work in a copy or clone of the campaign \
                 that is yours; to look, `sp plan`, `status`, `results`, `explain`, `logs` and `path` do without",
                state.display()
            ),
            None => String::new(),
        }
    }

    /// For `map_err` of file operations.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match Wrong::of(&source) {
            Some(wrong) => Self::NotOwn { wrong: wrong.clone(), path },
            None => Self::Io { action, path, source },
        }
    }
}

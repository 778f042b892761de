//! What keeps the tables from being written, told with the next step.

use std::io;
use std::path::{Path, PathBuf};

use super::lock::advice;
use super::results_folder::OWN_PREFIX;
use crate::atomic_file::is_full;

/// Why the tables cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The folder has another campaign's tables.
    #[error(
        "the folder `{}` of `[results] dir` belongs to the campaign `{owner}`, whose tables are kept there",
        folder.display()
    )]
    OtherCampaign {
        /// The folder.
        folder: PathBuf,
        /// The other campaign.
        owner: String,
    },
    /// The folder has tables of another copy of the campaign.
    #[error(
        "the folder `{}` of `[results] dir` holds tables of another copy of the campaign `{campaign}`",
        folder.display()
    )]
    OtherCopy {
        /// The folder.
        folder: PathBuf,
        /// The campaign.
        campaign: String,
    },
    /// What lies where the tables go is somebody's own.
    #[error("{}", told(files))]
    NotOurs {
        /// Each with what it is; reads after the path.
        files: Vec<(PathBuf, &'static str)>,
    },
    /// A link on the way.
    #[error("`{}`, which `[results] dir` names or lies in, is a link; tables go only into folders of the campaign itself", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// A file on the way.
    #[error("`{}`, which `[results] dir` names or lies in, is no folder", path.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// The list is none.
    #[error("`{}` does not say which tables beside it sp wrote", path.display())]
    List {
        /// The list.
        path: PathBuf,
    },
    /// The lock of those who write the tables cannot be used.
    #[error("cannot lock `{}`: {source}", path.display())]
    Lock {
        /// The lock, beside the checkpoint.
        path: PathBuf,
        /// The system's words, or what lies there.
        source: io::Error,
    },
    /// The system refused a table beside the checkpoint.
    #[error("cannot write `{}`: {source}", path.display())]
    Kept {
        /// The table.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The system refused something in `[results] dir`.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

impl ResultsError {
    /// What to do next.
    pub fn help(&self) -> String {
        const OTHER: &str = "write another `dir` below `[results]`";
        match self {
            Self::OtherCampaign { .. } => OTHER.to_owned(),
            Self::OtherCopy { .. } => format!(
                "{OTHER}; or, if those tables are not needed, remove them and `{OWN_PREFIX}` there. \
                 `sp help instances` says which copies are one"
            ),
            Self::NotOurs { files } => {
                let it = if files.len() == 1 { "the file" } else { "the files" };
                format!("rename {it}, or {OTHER}")
            }
            Self::Link { .. } => format!("make a folder of it, or {OTHER}"),
            Self::NoFolder { .. } => format!("rename it, or {OTHER}"),
            Self::List { .. } => {
                format!("move it away together with the tables beside it, or {OTHER}")
            }
            Self::Lock { source, .. } => advice(source).to_owned(),
            Self::Kept { source, .. } => refused(source).to_owned(),
            Self::Io { source, .. } if is_full(source) => refused(source).to_owned(),
            Self::Io { source, .. } => format!("{}, or {OTHER}", refused(source)),
        }
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// What to do about a file that the system does not let anybody read or write.
fn refused(source: &io::Error) -> &'static str {
    match source.kind() {
        _ if is_full(source) => "make room on its disk: `df -h` and `df -i` tell",
        io::ErrorKind::PermissionDenied => {
            "make the folder and what is in it readable and writable for you"
        }
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => "move away what lies there",
        io::ErrorKind::ReadOnlyFilesystem => "mount its file system for writing",
        _ => "see whether its disk is in order",
    }
}

fn told(files: &[(PathBuf, &'static str)]) -> String {
    let files: Vec<String> =
        files.iter().map(|(path, what)| format!("`{}` {what}", path.display())).collect();
    format!("{}; sp would write a table there, and replaces only its own", files.join(", and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_system_has_a_help_that_can_help() {
        let path = PathBuf::from("/x/results.csv");
        let error = |kind: io::ErrorKind| io::Error::from(kind);
        for (kind, words) in [
            (io::ErrorKind::PermissionDenied, "readable and writable"),
            (io::ErrorKind::StorageFull, "make room"),
            (io::ErrorKind::QuotaExceeded, "make room"),
            (io::ErrorKind::ReadOnlyFilesystem, "mount"),
            (io::ErrorKind::Other, "in order"),
        ] {
            let shared = ResultsError::io("write", &path)(error(kind)).help();
            let kept = ResultsError::Kept { path: path.clone(), source: error(kind) }.help();
            assert!(shared.contains(words) && kept.contains(words), "{kind}: {shared}; {kept}");
            // Only tables that go into `dir` can go into another one, and there the disk may be the same.
            assert_eq!(shared.contains("another `dir`"), !words.contains("room"), "{kind}");
            assert!(!kept.contains("`dir`"), "{kind}: {kept}");
        }
        for (source, words) in [
            (io::Error::from(crate::plain_file::Wrong::Link), "move that away"),
            (error(io::ErrorKind::StorageFull), "make room"),
            (error(io::ErrorKind::Unsupported), "a file system with locks"),
        ] {
            let lock = ResultsError::Lock { path: path.clone(), source };
            let help = lock.help();
            assert!(help.contains(words) && !help.contains("`dir`"), "{lock}: {help}");
        }
    }
}

//! What keeps the tables from being written, told with the next step.

use std::io;
use std::path::{Path, PathBuf};

use super::results_folder::OWN_PREFIX;

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
    /// The system refused.
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
            Self::Io { .. } => format!("make the folder writable for you, or {OTHER}"),
        }
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

fn told(files: &[(PathBuf, &'static str)]) -> String {
    let files: Vec<String> =
        files.iter().map(|(path, what)| format!("`{}` {what}", path.display())).collect();
    format!("{}; sp would write a table there, and replaces only its own", files.join(", and "))
}

//! What keeps an apply from going on; never how a job ended.

use std::path::PathBuf;

use crate::host::{HostError, Lasting};
use crate::ids::{Attempt, JobId};
use crate::plan::PlanError;
use crate::store::{LockError, ResultsError, StoreError};

/// Why a step came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The checkpoint.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lock of the campaign.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The plan.
    #[error(transparent)]
    Plan(Box<PlanError>),
    /// The folder of the tables.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// A root that cannot be a path.
    #[error("host `{host}`: {why}")]
    Root {
        /// The host.
        host: String,
        /// What is wrong with `root`.
        why: String,
    },
    /// What is asked for lies on a host that the file does not name any more.
    #[error("host `{host}` is not in the campaign file any more")]
    HostRemoved {
        /// The host.
        host: String,
    },
    /// What is asked for was never on a host, or was moved and not taken up yet.
    #[error("no host has this job")]
    NoHost,
    /// The newest attempt of a job has the last number that there is.
    #[error(
        "job {job} cannot run again: attempt {} of it is on record, the last number there is",
        Attempt::LAST
    )]
    NoAttemptLeft {
        /// The job.
        job: JobId,
    },
    /// A shallow clone, which does not have what tells its repository from others, and no host knows it.
    #[error(
        "`{}` lies in a shallow clone, which does not tell whether its results are those of other clones, and no host knows \
         it",
        file.display()
    )]
    Shallow {
        /// The campaign file.
        file: PathBuf,
    },
    /// Git has no answer about the repository that the campaign file lies in.
    #[error("`{}` lies in a repository, and git does not tell which ({why})", file.display())]
    Repository {
        /// The campaign file.
        file: PathBuf,
        /// Git's words.
        why: String,
    },
    /// Two campaign files of one folder have one name.
    #[error("`{}` and `{}` have the same name, `{name}`", file.display(), other.display())]
    SameName {
        /// The campaign file.
        file: PathBuf,
        /// The one that the state in `.sp` belongs to.
        other: PathBuf,
        /// The name.
        name: String,
    },
    /// Two hosts of the file are one.
    #[error("the hosts `{one}` and `{other}` are the same place: they show one root")]
    SamePlace {
        /// The first one.
        one: String,
        /// The other one.
        other: String,
    },
    /// Jobs cannot be told the folder that they would run in.
    #[error("the name of the folder `{}` is not UTF-8, so jobs cannot be told to run in it", folder.display())]
    FolderName {
        /// The folder.
        folder: PathBuf,
    },
    /// A secret is not in the environment.
    #[error("`[env]` takes {} from the environment, which does not have {} as UTF-8 text", names.join(", "), if names.len() == 1 { "it" } else { "them" })]
    Secrets {
        /// The variables.
        names: Vec<String>,
    },
    /// Programs of `require`, or that every job needs, are not there.
    #[error("host `{host}` lacks {}", programs.join(", "))]
    Programs {
        /// The host.
        host: String,
        /// The programs.
        programs: Vec<String>,
    },
    /// The runtime of this process.
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
}

impl From<PlanError> for ApplyError {
    fn from(error: PlanError) -> Self {
        Self::Plan(Box::new(error))
    }
}

impl ApplyError {
    /// Whether asking again may help without anybody's doing.
    pub fn lasting(&self) -> Lasting {
        match self {
            Self::Host(error) => error.lasting(),
            Self::Store(error) if error.is_passing() => Lasting::Passing,
            Self::Store(_)
            | Self::Lock(_)
            | Self::Plan(_)
            | Self::Results(_)
            | Self::FolderName { .. }
            | Self::Signals(_)
            | Self::SamePlace { .. }
            | Self::Root { .. }
            | Self::HostRemoved { .. }
            | Self::NoHost
            | Self::NoAttemptLeft { .. }
            | Self::Shallow { .. }
            | Self::Repository { .. }
            | Self::SameName { .. }
            | Self::Secrets { .. }
            | Self::Programs { .. } => Lasting::Standing,
        }
    }

    /// Whether the connection to a host failed or the host fell silent; see [`HostError::is_silence`].
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Host(error) if error.is_silence())
    }

    /// Whether it is about this side, so that no host can be told of in its place.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Self::Store(error) => !matches!(error, StoreError::Unwritable { .. }),
            Self::Lock(_)
            | Self::Plan(_)
            | Self::Results(_)
            | Self::Shallow { .. }
            | Self::Repository { .. }
            | Self::SameName { .. }
            | Self::FolderName { .. }
            | Self::Signals(_) => true,
            Self::Host(_)
            | Self::SamePlace { .. }
            | Self::Root { .. }
            | Self::HostRemoved { .. }
            | Self::NoHost
            | Self::NoAttemptLeft { .. }
            | Self::Secrets { .. }
            | Self::Programs { .. } => false,
        }
    }
}

//! What keeps an apply from going on; never how a job ended.

use crate::host::HostError;
use crate::plan::PlanError;
use crate::store::{LockError, StoreError};

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
    /// A root that cannot be a path.
    #[error("host `{host}`: {why}")]
    Root {
        /// The host.
        host: String,
        /// What is wrong with `root`.
        why: String,
    },
    /// Hosts that cannot be asked yet.
    #[error("this campaign has {0}; this version of sp runs jobs on one host, this machine")]
    Hosts(&'static str),
    /// The host's campaign of this name belongs to another repository.
    #[error(
        "host `{host}` has a campaign `{campaign}` that came from another repository \
         ({theirs}; this one is {ours}); nothing of it is taken over"
    )]
    OtherOrigin {
        /// The host.
        host: String,
        /// The campaign.
        campaign: String,
        /// First commit of the repository it came from.
        theirs: String,
        /// First commit of this one.
        ours: String,
    },
    /// A secret is not in the environment.
    #[error("`[env]` takes {} from the environment, which does not have {}", names.join(", "), if names.len() == 1 { "it" } else { "them" })]
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

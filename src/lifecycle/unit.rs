//! Units: what hosts attempt.

use std::str::FromStr;

use crate::ids::JobId;

/// Names something that a host attempts. Jobs and setups have ids of the same form; the kind tells which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// A job of the campaign.
    Job(JobId),
    /// The campaign's setup for one host and one state of the code.
    Setup(JobId),
}

/// A kind of unit, as records and the checkpoint spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind {
    /// `job`.
    Job,
    /// `setup`.
    Setup,
}

impl Unit {
    /// Returns the unit of this kind and id.
    pub fn new(kind: UnitKind, id: JobId) -> Self {
        match kind {
            UnitKind::Job => Self::Job(id),
            UnitKind::Setup => Self::Setup(id),
        }
    }

    /// Returns its kind.
    pub fn kind(self) -> UnitKind {
        match self {
            Self::Job(_) => UnitKind::Job,
            Self::Setup(_) => UnitKind::Setup,
        }
    }

    /// Returns its id, which names its folder on a host.
    pub fn id(self) -> JobId {
        match self {
            Self::Job(id) | Self::Setup(id) => id,
        }
    }

    /// Returns the job that it is; `None` for every other kind.
    pub fn job(self) -> Option<JobId> {
        match self {
            Self::Job(id) => Some(id),
            Self::Setup(_) => None,
        }
    }
}

impl UnitKind {
    /// Returns the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Setup => "setup",
        }
    }
}

/// A word that names no kind of unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no kind of unit `{0}`")]
pub struct UnitKindError(String);

impl FromStr for UnitKind {
    type Err = UnitKindError;
    fn from_str(word: &str) -> Result<Self, UnitKindError> {
        let of = |kind: &Self| kind.word() == word;
        let found = [Self::Job, Self::Setup].into_iter().find(of);
        found.ok_or_else(|| UnitKindError(word.to_owned()))
    }
}

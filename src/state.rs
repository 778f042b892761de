//! The states of a job and of its files: the lists of words that files, tables and JSON use.
//!
//! No rule how a state comes about; that is `lifecycle`.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Where a job is, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not handed to a host.
    Pending,
    /// In a host's queue.
    Queued,
    /// Claimed and alive; an orphan too.
    Running,
    /// An accepted exit code was recorded for this attempt, and every marker holds.
    Succeeded,
    /// Exit code, signal or marker, told apart in the reason.
    Failed,
    /// Stopped by the wrapper's own clock.
    Timeout,
    /// Stopped by the stall rule.
    Stalled,
    /// Killed by the kernel for its memory.
    Oom,
    /// Stopped by a person.
    Cancelled,
    /// Nobody is left who could say how it ended.
    Lost,
}

impl State {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Timeout,
        Self::Stalled,
        Self::Oom,
        Self::Cancelled,
        Self::Lost,
    ];

    /// The word in files, tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Stalled => "stalled",
            Self::Oom => "oom",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }

    /// Whether an attempt in this state has ended for good.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Queued | Self::Running)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A word that is no state, cut short.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no state")]
pub struct StateError(String);

impl StateError {
    pub(crate) fn of(word: &str) -> Self {
        Self(word.chars().take(40).collect())
    }
}

impl FromStr for State {
    type Err = StateError;
    fn from_str(word: &str) -> Result<Self, StateError> {
        Self::ALL.into_iter().find(|state| state.word() == word).ok_or_else(|| StateError::of(word))
    }
}

/// What a host has of an attempt that has ended; the state does not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Files {
    /// Its records and its files, as far as is known.
    #[default]
    Kept,
    /// Its records: `sp gc` removed the files.
    RemovedByGc,
    /// Nothing: the records are gone, since the root was deleted or rolled back. The state rests on the checkpoint alone.
    RecordsGone,
}

impl Files {
    const ALL: [Self; 3] = [Self::Kept, Self::RemovedByGc, Self::RecordsGone];

    /// Returns the word of tables, JSON and the checkpoint.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::RemovedByGc => "removed-by-gc",
            Self::RecordsGone => "records-gone",
        }
    }

    /// Returns what people are told; nothing where all is there.
    pub fn told(self) -> Option<&'static str> {
        match self {
            Self::Kept => None,
            Self::RemovedByGc => Some("files removed by gc"),
            Self::RecordsGone => Some("the host's records of it are gone"),
        }
    }
}

/// A word that is none of [`Files`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` says nothing of an attempt's files")]
pub struct FilesError(String);

impl FromStr for Files {
    type Err = FilesError;

    fn from_str(text: &str) -> Result<Self, FilesError> {
        let found = Self::ALL.into_iter().find(|files| files.word() == text);
        found.ok_or_else(|| FilesError(text.to_owned()))
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

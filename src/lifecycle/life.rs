//! The life of one attempt as the client remembers it: which fact leads from which state to which.
//!
//! It does not decide whether a fact is true; the host did. It only refuses what cannot be.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::lifecycle::fact::{Fact, Verdict};
use crate::state::State;

/// How an attempt ended, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Final {
    /// See [`State::Succeeded`].
    Succeeded,
    /// See [`State::Failed`].
    Failed,
    /// See [`State::Timeout`].
    Timeout,
    /// See [`State::Stalled`].
    Stalled,
    /// See [`State::Oom`].
    Oom,
    /// See [`State::Cancelled`].
    Cancelled,
    /// See [`State::Lost`].
    Lost,
}

impl Final {
    /// Every final state.
    pub const ALL: [Self; 7] = [
        Self::Succeeded,
        Self::Failed,
        Self::Timeout,
        Self::Stalled,
        Self::Oom,
        Self::Cancelled,
        Self::Lost,
    ];
}

impl From<Final> for State {
    fn from(state: Final) -> Self {
        match state {
            Final::Succeeded => Self::Succeeded,
            Final::Failed => Self::Failed,
            Final::Timeout => Self::Timeout,
            Final::Stalled => Self::Stalled,
            Final::Oom => Self::Oom,
            Final::Cancelled => Self::Cancelled,
            Final::Lost => Self::Lost,
        }
    }
}

/// The client's memory of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttemptState {
    /// About to be handed over: written before the host was asked, confirmed by nobody.
    Intended,
    /// In the host's queue.
    Queued,
    /// Claimed and alive.
    Running,
    /// Ended.
    Ended(Final),
}

/// A fact that cannot follow: an attempt that has ended is said to have ended otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the attempt has ended as {} and is now said to have ended as {}; the first stands", State::from(*.stands), State::from(*.refused))]
pub struct IllegalEvent {
    /// The state that stays.
    pub stands: Final,
    /// The state that was refused.
    pub refused: Final,
}

impl AttemptState {
    /// The state after a fact. Facts may come twice, late and out of order (a queue is read before a claim and told
    /// after it), so whatever lies behind the present state changes nothing.
    pub fn next(self, fact: &Fact) -> Result<Self, IllegalEvent> {
        use Verdict::{Foreign, Orphan, Running, Starting};
        match (self, fact) {
            (Self::Intended | Self::Queued, Fact::Queued) => Ok(Self::Queued),
            (
                Self::Intended | Self::Queued | Self::Running,
                Fact::Started { .. }
                | Fact::Open { verdict: Starting | Running | Orphan | Foreign, .. },
            )
            | (Self::Running, Fact::Queued) => Ok(Self::Running),
            (Self::Intended | Self::Queued | Self::Running, Fact::Ended(ending)) => {
                Ok(Self::Ended(ending.state))
            }
            (Self::Intended | Self::Queued | Self::Running, Fact::RootGone) => {
                Ok(Self::Ended(Final::Lost))
            }
            (
                Self::Ended(state),
                Fact::Queued | Fact::Started { .. } | Fact::Open { .. } | Fact::RootGone,
            ) => Ok(Self::Ended(state)),
            (Self::Ended(stands), Fact::Ended(ending)) if stands == ending.state => {
                Ok(Self::Ended(stands))
            }
            (Self::Ended(stands), Fact::Ended(ending)) => {
                Err(IllegalEvent { stands, refused: ending.state })
            }
        }
    }

    /// The state that files, tables and JSON show. What is only intended counts as queued: it may have arrived.
    pub fn shown(self) -> State {
        match self {
            Self::Intended | Self::Queued => State::Queued,
            Self::Running => State::Running,
            Self::Ended(state) => state.into(),
        }
    }

    /// The word in the checkpoint.
    pub fn word(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ended(state) => State::from(state).word(),
        }
    }
}

impl fmt::Display for AttemptState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A word that is no state of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no state of an attempt")]
pub struct WordError(String);

impl FromStr for Final {
    type Err = WordError;
    fn from_str(word: &str) -> Result<Self, WordError> {
        Self::ALL
            .into_iter()
            .find(|state| State::from(*state).word() == word)
            .ok_or_else(|| WordError(word.chars().take(40).collect()))
    }
}

impl FromStr for AttemptState {
    type Err = WordError;
    fn from_str(word: &str) -> Result<Self, WordError> {
        match word {
            "intended" => Ok(Self::Intended),
            "queued" => Ok(Self::Queued),
            "running" => Ok(Self::Running),
            _ => word.parse().map(Self::Ended),
        }
    }
}

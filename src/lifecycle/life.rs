//! The life of one attempt as the client remembers it: which fact leads from which state to which.
//!
//! It does not decide whether a fact is true; the host did. It only refuses what cannot be.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::lifecycle::fact::{Fact, Verdict};
use crate::state::{State, StateError};

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

    /// The same as an end; `None` for a state that is none.
    fn of(state: State) -> Option<Self> {
        Self::ALL.into_iter().find(|end| State::from(*end) == state)
    }
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
            other => other.shown().word(),
        }
    }
}

impl fmt::Display for AttemptState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Final {
    type Err = StateError;
    fn from_str(word: &str) -> Result<Self, StateError> {
        Self::of(word.parse()?).ok_or_else(|| StateError::of(word))
    }
}

impl FromStr for AttemptState {
    type Err = StateError;
    fn from_str(word: &str) -> Result<Self, StateError> {
        if word == Self::Intended.word() {
            return Ok(Self::Intended);
        }
        match word.parse()? {
            State::Queued => Ok(Self::Queued),
            State::Running => Ok(Self::Running),
            state => Final::of(state).map(Self::Ended).ok_or_else(|| StateError::of(word)),
        }
    }
}

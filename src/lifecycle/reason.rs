//! Why an attempt ended as it did: the one list of reason codes.
//!
//! What a code means for people is in `sentence`; which state it goes with is the host's to say.

use std::fmt;
use std::str::FromStr;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// The reason code of an ended attempt.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
            /// A code of a newer host script: kept as it is, since the state beside it still counts.
            Other(Box<str>),
        }

        impl Reason {
            /// Every code of this version.
            pub const KNOWN: &[Self] = &[$(Self::$name),*];

            /// The code in files, tables and JSON.
            pub fn word(&self) -> &str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl FromStr for Reason {
            type Err = ReasonError;
            fn from_str(word: &str) -> Result<Self, ReasonError> {
                match word {
                    $($word => Ok(Self::$name),)*
                    _ if is_code(word) => Ok(Self::Other(word.into())),
                    _ => Err(ReasonError(word.chars().take(40).collect())),
                }
            }
        }
    };
}

reasons! {
    /// The exit code was accepted and every marker holds.
    Ok = "ok",
    /// An exit code that is not accepted.
    ExitCode = "exit-code",
    /// Killed by a signal.
    Signal = "signal",
    /// `init` failed; neither `prepare` nor the command started.
    Init = "init",
    /// `prepare` failed; the command did not start.
    Prepare = "prepare",
    /// A marker's file is not there.
    MarkerMissing = "marker-missing",
    /// A marker's file is empty.
    MarkerEmpty = "marker-empty",
    /// A marker's file is older than the attempt.
    MarkerStale = "marker-stale",
    /// The log does not match.
    MarkerLog = "marker-log",
    /// Too few files match.
    MarkerCount = "marker-count",
    /// The markers could not be judged in the time for it.
    MarkerLimit = "marker-limit",
    /// The clock of the file system went back, so that no file can be called fresh.
    MarkerClock = "marker-clock",
    /// The time limit.
    TimeLimit = "time-limit",
    /// The kernel killed it for its memory.
    Memory = "memory",
    /// Perhaps killed for memory, perhaps another job of the same group was.
    OomSuspected = "oom-suspected",
    /// `sp cancel`.
    ByUser = "by-user",
    /// Its tmux session was closed.
    ByTmux = "by-tmux",
    /// A setup that nothing in the queue needed any more.
    ByQueue = "by-queue",
    /// Taken out of the queue before it started.
    Withdrawn = "withdrawn",
    /// Given to another host before it started; no end of the job.
    Moved = "moved",
    /// The machine was started anew.
    Reboot = "reboot",
    /// The container or the user's processes were started anew.
    Restart = "restart",
    /// Wrapper and job were killed together.
    Killed = "killed",
    /// The wrapper died before it started the command.
    BeforeStart = "before-start",
    /// The witness of the exit code was killed.
    StubKilled = "stub-killed",
    /// The host could not start it.
    NotStartable = "not-startable",
    /// The host's records of it are gone; said by the client, and only of an attempt that had not ended.
    RootGone = "root-gone",
}

/// A text that is no reason code: lower-case words joined by `-` are wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no reason code")]
pub struct ReasonError(String);

fn is_code(word: &str) -> bool {
    word.len() <= 32
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

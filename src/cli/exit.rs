//! The codes that `sp` ends with; `sp help exit-codes` lists them for people.

use std::process::ExitCode;

/// How a command ended. Where several apply, the first in this order wins, see [`Exit::rank`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked for is done.
    Done,
    /// A person must act.
    Person,
    /// Only `plan --detailed-exitcode`: there is work.
    Work,
    /// The selection holds no job.
    NothingSelected,
    /// Wrong usage of the command line.
    Usage,
    /// Unfinished; run again.
    Unfinished,
    /// All done, and a job ended otherwise than `succeeded`.
    JobsFailed,
    /// `sp wait --timeout` ran out.
    TimedOut,
    /// Ctrl-C.
    Interrupted,
    /// TERM.
    Terminated,
}

impl Exit {
    /// The code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Person => 1,
            Self::Work => 2,
            Self::NothingSelected => 4,
            Self::Usage => 64,
            Self::Unfinished => 75,
            Self::JobsFailed => 100,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Usage | Self::Person => 0,
            Self::Interrupted | Self::Terminated => 1,
            Self::TimedOut | Self::Unfinished => 2,
            Self::JobsFailed => 3,
            Self::NothingSelected => 4,
            Self::Work => 5,
            Self::Done => 6,
        }
    }

    /// The one of both that counts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if other.rank() < self.rank() { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

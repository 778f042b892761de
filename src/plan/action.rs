//! What a plan says of a job: the closed lists of actions and reasons, as the JSON has them.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::state::State;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word in tables and JSON.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }
    };
}

words! {
    /// What `sp apply` does with a job.
    Action {
        /// Hand it to its home.
        Run = "run",
        /// Nothing.
        Skip = "skip",
        /// Take over a result that only a host knows.
        Adopt = "adopt",
        /// A host has it; wait for its end.
        Wait = "wait",
        /// Take it out of a host's queue.
        Withdraw = "withdraw",
        /// It should run and cannot.
        Blocked = "blocked",
    }
}

words! {
    /// Why.
    Reason {
        /// No version of the job has ever been handed to a host.
        New = "new",
        /// Another version of the job's cell has.
        Changed = "changed",
        /// Its last attempt failed.
        Failed = "failed",
        /// Its last attempt ran out of time.
        Timeout = "timeout",
        /// Its last attempt stood still.
        Stalled = "stalled",
        /// Its last attempt ran out of memory.
        Oom = "oom",
        /// Its last attempt got lost.
        Lost = "lost",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// It runs.
        Running = "running",
        /// It is in a queue.
        Queued = "queued",
        /// It has succeeded.
        Succeeded = "succeeded",
        /// A person took an older result over.
        Accepted = "accepted",
        /// It succeeded with other code, and the campaign wants it again.
        CodeChanged = "code-changed",
        /// `--rerun` names it.
        Forced = "forced",
        /// The host that decides about it does not answer.
        Unreachable = "unreachable",
        /// No host of the file may run it.
        NoHost = "no-host",
        /// Its newest attempt has the last number that there is.
        NoAttemptLeft = "no-attempt-left",
        /// It left the matrix.
        Obsolete = "obsolete",
    }
}

impl Reason {
    /// The reason that a state is; a job that no host had is new.
    pub fn of_state(state: State) -> Self {
        match state {
            State::Pending => Self::New,
            State::Queued => Self::Queued,
            State::Running => Self::Running,
            State::Succeeded => Self::Succeeded,
            State::Failed => Self::Failed,
            State::Timeout => Self::Timeout,
            State::Stalled => Self::Stalled,
            State::Oom => Self::Oom,
            State::Cancelled => Self::Cancelled,
            State::Lost => Self::Lost,
        }
    }
}

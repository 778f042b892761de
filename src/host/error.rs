//! What can go wrong between the client and a host; never a state of a job.

use std::io;
use std::path::{Path, PathBuf};

use super::trouble::{End, Lack, Lasting, LoginTrouble, RootTrouble, SshTrouble, lasting_of};

/// A conversation with a host that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A program of this machine cannot be started.
    #[error("cannot start `{program}`: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The answer did not come whole.
    #[error("host `{host}` gave no whole answer to `{verb}` ({end}){}", tail(stderr))]
    NoAnswer {
        /// The host.
        host: String,
        /// What it was asked.
        verb: &'static str,
        /// How its process ended.
        end: End,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// The account carries out no command as it is sent.
    #[error("host `{host}` {trouble}{}", tail(said))]
    Login {
        /// The host.
        host: String,
        /// What is wrong with the account.
        trouble: LoginTrouble,
        /// The end of what came in place of an answer; may be empty.
        said: String,
    },
    /// The machine lacks what the host script stands on.
    #[error("host `{host}` cannot run jobs: {}", lacks.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unfit {
        /// The host.
        host: String,
        /// What it lacks.
        lacks: Vec<Lack>,
    },
    /// The script cannot work at its root, whatever it is asked.
    #[error("host `{host}` cannot {what} `{path}`")]
    Place {
        /// The host.
        host: String,
        /// What was tried; reads after "cannot".
        what: &'static str,
        /// On which path there.
        path: String,
    },
    /// The answer took too long.
    #[error("host `{host}` did not answer within {seconds} s (it was asked `{verb}`)")]
    TooSlow {
        /// The host.
        host: String,
        /// What it was asked.
        verb: &'static str,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The answer is longer than any true one.
    #[error("host `{host}` answered `{verb}` with more than {limit} bytes")]
    TooLong {
        /// The host.
        host: String,
        /// What it was asked.
        verb: &'static str,
        /// The most that is read.
        limit: usize,
    },
    /// The answer is not in the words of the protocol.
    #[error("host `{host}` answered `{verb}` with a line that makes no sense: `{line}`")]
    Nonsense {
        /// The host.
        host: String,
        /// What it was asked.
        verb: &'static str,
        /// The line, control characters made visible.
        line: String,
    },
    /// A hand-over did not arrive as it was sent.
    #[error("the hand-over to host `{host}` arrived damaged; is its disk full?")]
    Damaged {
        /// The host.
        host: String,
    },
    /// The root is another one than when the host was last asked.
    #[error("the root of host `{host}` was made anew: what it had is gone")]
    OtherRoot {
        /// The host.
        host: String,
    },
    /// The host keeps as many lists of hosts as it can.
    #[error(
        "host `{host}` keeps no further list of hosts for the campaign `{campaign}`: `[hosts]` was edited too often"
    )]
    ManyLists {
        /// The host.
        host: String,
        /// The campaign.
        campaign: String,
    },
    /// Something on the host's file system.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No folder can hold the sockets of ssh's connections.
    #[error("no folder can hold the sockets of ssh: {}", refused.join("; "))]
    Sockets {
        /// Each folder that was tried, and what is wrong with it.
        refused: Vec<String>,
    },
    /// A root that is not safe to use.
    #[error("the root `{}` of host `{host}` {trouble}", path.display())]
    Root {
        /// The host.
        host: String,
        /// The root.
        path: PathBuf,
        /// The same as a word of a shell there, for commands that a person copies.
        word: String,
        /// What is wrong with it.
        trouble: RootTrouble,
    },
    /// A root that is no path.
    #[error("the root of host `{host}`: {why}")]
    RootText {
        /// The host.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// No connection by ssh.
    #[error("host `{host}` ({destination}): {trouble}{}", tail(said))]
    Ssh {
        /// The host.
        host: String,
        /// What the file says as `ssh`.
        destination: String,
        /// What kind of trouble it is.
        trouble: SshTrouble,
        /// What ssh said of it; may be empty.
        said: String,
    },
    /// A job cannot be said in the words of the host script.
    #[error("job `{job}` cannot be handed over: {why}")]
    Job {
        /// Its name.
        job: String,
        /// Why.
        why: String,
    },
    /// The list of files, or its transfer.
    #[error(transparent)]
    Sync(#[from] Box<super::sync::SyncError>),
    /// Programs that every job needs are missing.
    #[error("host `{host}` lacks {}", programs.join(", "))]
    Missing {
        /// The host.
        host: String,
        /// The programs.
        programs: Vec<String>,
    },
}

impl HostError {
    /// Whether asking again may help without anybody's doing.
    pub fn lasting(&self) -> Lasting {
        match self {
            Self::NoAnswer { end, .. } => match end {
                // The script's word for a question that it does not understand (`90-main.sh`); it is always the same one.
                End::Code(NOT_UNDERSTOOD) => Lasting::Standing,
                End::Code(_) | End::Signal(_) | End::Cut | End::Runs | End::Unread(_) => {
                    Lasting::Passing
                }
            },
            Self::TooSlow { .. } | Self::Damaged { .. } | Self::OtherRoot { .. } => {
                Lasting::Passing
            }
            Self::Ssh { trouble, .. } => trouble.lasting(),
            Self::Sync(error) => error.lasting(),
            Self::Start { source, .. } | Self::Io { source, .. } => lasting_of(source),
            Self::Login { .. }
            | Self::Unfit { .. }
            | Self::Sockets { .. }
            | Self::Place { .. }
            | Self::TooLong { .. }
            | Self::Nonsense { .. }
            | Self::ManyLists { .. }
            | Self::Root { .. }
            | Self::RootText { .. }
            | Self::Job { .. }
            | Self::Missing { .. } => Lasting::Standing,
        }
    }

    /// Whether the connection failed or the host fell silent, so that nobody knows what it heard. What else may pass by itself is
    /// what the host said.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::NoAnswer { end, .. } => matches!(end, End::Cut | End::Runs | End::Unread(_)),
            Self::TooSlow { .. } | Self::Ssh { .. } => true,
            Self::Sync(error) => error.is_silence(),
            _ => false,
        }
    }
}

/// `EX_USAGE` of sysexits(3).
const NOT_UNDERSTOOD: i32 = 64;

fn tail(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("; it said: {stderr}") }
}

pub(super) fn io_error<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> HostError + 'a {
    move |source| HostError::Io { what, path: path.to_owned(), source }
}
impl From<super::sync::SyncError> for HostError {
    fn from(error: super::sync::SyncError) -> Self {
        Self::Sync(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_says_what_is_wrong_is_not_silent() {
        let host = || "box".to_owned();
        let no_answer =
            |end| HostError::NoAnswer { host: host(), verb: "probe", end, stderr: String::new() };
        let ssh = HostError::Ssh {
            host: host(),
            destination: host(),
            trouble: SshTrouble::Cut,
            said: String::new(),
        };
        let slow = HostError::TooSlow { host: host(), verb: "probe", seconds: 1 };
        for error in [ssh, slow, no_answer(End::Cut), no_answer(End::Runs)] {
            assert!(error.is_silence(), "{error}");
        }
        let (damaged, root) =
            (HostError::Damaged { host: host() }, HostError::OtherRoot { host: host() });
        for error in [damaged, root, no_answer(End::Code(74)), no_answer(End::Signal(9))] {
            assert!(!error.is_silence(), "{error}");
            assert_eq!(error.lasting(), Lasting::Passing, "{error}");
        }
    }
}

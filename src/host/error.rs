//! What can go wrong between the client and a host; never a state of a job.

use std::io;
use std::path::{Path, PathBuf};

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
    #[error("host `{host}` gave no whole answer to `{verb}` ({status}){}", tail(stderr))]
    NoAnswer {
        /// The host.
        host: String,
        /// What it was asked.
        verb: &'static str,
        /// How its process ended.
        status: String,
        /// The end of what it wrote to stderr.
        stderr: String,
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
    /// A root that is not safe to use.
    #[error("the root `{}` of host `{host}` {trouble}", path.display())]
    Root {
        /// The host.
        host: String,
        /// The root.
        path: PathBuf,
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
    /// Whether asking again may help without anybody's doing: the connection, not the answer, is at fault.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer { .. } | Self::TooSlow { .. } => true,
            Self::Ssh { trouble, .. } => !trouble.needs_person(),
            Self::Start { .. }
            | Self::TooLong { .. }
            | Self::Nonsense { .. }
            | Self::Damaged { .. }
            | Self::ManyLists { .. }
            | Self::OtherRoot { .. }
            | Self::Io { .. }
            | Self::Root { .. }
            | Self::RootText { .. }
            | Self::Job { .. }
            | Self::Missing { .. } => false,
            Self::Sync(error) => error.is_passing(),
        }
    }
}

fn tail(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("; it said: {stderr}") }
}

/// Why a root cannot be used; reads after its path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootTrouble {
    /// It does not begin with `/`, once its variables are filled in.
    #[error("is no absolute path there")]
    Relative,
    /// A folder of it cannot be made.
    #[error("cannot be made")]
    Make,
    /// Nothing can be written to it.
    #[error("cannot be written; is the disk full, or mounted read-only?")]
    Write,
    /// Somebody else could make it lie.
    #[error("belongs to another user")]
    Owner,
    /// Somebody else could make it lie.
    #[error("can be written by other users")]
    Mode,
    /// Its file system is shared with other machines; this is the kernel's name for it.
    #[error(
        "lies on a network file system ({0}), where a lock may be lost, and with it the rule that a job starts once"
    )]
    Network(String),
    /// Programs cannot be started from it.
    #[error(
        "lies on a file system mounted `noexec`: no program that is sent there or built there can start"
    )]
    NoExec,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SshTrouble {
    /// There is no `ssh` on this machine.
    #[error("this machine has no `ssh`")]
    NoSsh,
    /// The name leads nowhere.
    #[error("its name cannot be resolved")]
    Name,
    /// Nobody listens there.
    #[error("the connection was refused")]
    Refused,
    /// Nobody answers.
    #[error("it does not answer")]
    NoAnswer,
    /// The host's key is not known yet.
    #[error("its host key is not known")]
    KeyUnknown,
    /// The host's key is another one than before.
    #[error("its host key has changed")]
    KeyChanged,
    /// The login was refused.
    #[error("the login was refused")]
    Login,
    /// The connection was cut.
    #[error("the connection was cut")]
    Cut,
    /// The server gives no more sessions on a connection.
    #[error("its ssh server refuses another session")]
    Sessions,
    /// Something else.
    #[error("ssh cannot connect")]
    Other,
}

impl SshTrouble {
    /// By what OpenSSH's client writes (sshconnect.c, clientloop.c, readconf.c).
    pub(super) fn of(said: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if has(&["REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
            Self::KeyChanged
        } else if has(&["host key is known for", "Host key verification failed"]) {
            Self::KeyUnknown
        } else if has(&["Permission denied", "Too many authentication failures"]) {
            Self::Login
        } else if has(&["Could not resolve"]) {
            Self::Name
        } else if has(&["Connection refused"]) {
            Self::Refused
        } else if has(&["timed out", "No route to host", "Network is unreachable"]) {
            Self::NoAnswer
        } else if has(&["Connection closed", "Connection reset", "Broken pipe", "not responding"]) {
            Self::Cut
        } else {
            Self::Other
        }
    }

    /// Whether a person must act before another try makes sense.
    pub fn needs_person(self) -> bool {
        match self {
            Self::NoSsh | Self::KeyUnknown | Self::KeyChanged | Self::Login => true,
            Self::Name
            | Self::Refused
            | Self::NoAnswer
            | Self::Cut
            | Self::Sessions
            | Self::Other => false,
        }
    }
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

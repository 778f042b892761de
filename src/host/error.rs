//! What can go wrong between the client and a host; never a state of a job.

use std::io;
use std::path::PathBuf;

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
    #[error("host `{host}` did not answer `{verb}` within {seconds} s")]
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
    #[error("the root `{}` of host `{host}` {why}", path.display())]
    Root {
        /// The host.
        host: String,
        /// The root.
        path: PathBuf,
        /// What is wrong with it; reads after the path.
        why: &'static str,
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

fn tail(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("; it said: {stderr}") }
}

impl From<super::sync::SyncError> for HostError {
    fn from(error: super::sync::SyncError) -> Self {
        Self::Sync(Box::new(error))
    }
}

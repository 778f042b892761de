//! The events of an apply: the one closed list that is shown live and printed as JSON Lines.
//!
//! An event tells; it never decides. What holds of an attempt is its facts, see `fact` and `life`.

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Serialize;

use crate::ids::{ApplyId, Attempt, CampaignName, HostName, JobId};
use crate::state::State;

/// Something that happened, and when by the client's clock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// When, RFC 3339 UTC.
    pub ts: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened; the field `event` of a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The plan that is about to be executed.
    Plan {
        /// The campaign.
        campaign: CampaignName,
        /// This apply.
        apply: ApplyId,
        /// Number of jobs by action, and `total`.
        summary: IndexMap<String, u64>,
    },
    /// A host answered, stopped answering, or changed.
    Host {
        /// The host.
        host: HostName,
        /// Its condition.
        state: HostState,
        /// One sentence; may be empty.
        detail: String,
    },
    /// A host has the tree of files that jobs run in.
    Sync {
        /// The host.
        host: HostName,
        /// Name of the snapshot.
        snapshot: String,
        /// Files in it.
        files: u64,
        /// Their bytes.
        bytes: u64,
        /// Files that had to be sent.
        sent_files: u64,
        /// Their bytes.
        sent_bytes: u64,
    },
    /// The campaign's setup began on a host, or has ended there.
    Setup {
        /// The host.
        host: HostName,
        /// Which setup; of the form of a job's id.
        id: JobId,
        /// Which of its attempts.
        attempt: Attempt,
        /// `running`, or how it ended.
        state: State,
        /// The text of the campaign file.
        text: String,
        /// One sentence; may be empty.
        detail: String,
        /// Exit code as a shell sees it.
        exit_code: Option<i32>,
        /// Seconds it ran.
        elapsed_s: Option<f64>,
    },
    /// A job lies in a host's queue.
    JobQueued {
        /// The job.
        #[serde(flatten)]
        job: JobAt,
    },
    /// A job was started.
    JobStarted {
        /// The job.
        #[serde(flatten)]
        job: JobAt,
        /// The slot it holds.
        slot: u32,
        /// The tmux session to look at it.
        session: Option<String>,
    },
    /// A job that had not started was given to another host.
    JobMoved {
        /// The job.
        id: JobId,
        /// Its name for people.
        name: String,
        /// The host that had it in its queue.
        from: HostName,
        /// The host that gets it.
        to: HostName,
        /// The attempt that came to nothing by it.
        attempt: Attempt,
    },
    /// A job has ended.
    JobFinished {
        /// The job.
        #[serde(flatten)]
        job: JobAt,
        /// How.
        state: State,
        /// Reason code.
        reason: String,
        /// One sentence.
        detail: String,
        /// Exit code as a shell sees it.
        exit_code: Option<i32>,
        /// Signal name such as `SIGKILL`.
        signal: Option<String>,
        /// Seconds it ran.
        elapsed_s: Option<f64>,
    },
    /// Something a person should know that stops nothing.
    Warning {
        /// A stable code.
        code: String,
        /// One sentence.
        detail: String,
        /// The host it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<HostName>,
        /// The job it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<JobId>,
    },
    /// The last event of an apply.
    Summary {
        /// Number of jobs by state.
        counts: IndexMap<State, u64>,
        /// Seconds since the apply began.
        elapsed_s: f64,
        /// The code that `sp` ends with.
        exit_code: u8,
    },
}

/// Which attempt of which job, where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobAt {
    /// The job.
    pub id: JobId,
    /// Its name for people.
    pub name: String,
    /// The host.
    pub host: HostName,
    /// Which of its attempts.
    pub attempt: Attempt,
}

/// The condition of a host as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// It answers.
    Reachable,
    /// It does not; its jobs go on without the client.
    Unreachable,
    /// Not asked.
    Unknown,
}

impl HostState {
    /// The word in tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
        }
    }
}

//! What is known of jobs from earlier: the plan's second input, filled by the store and by what hosts answered.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, HostName, JobId};
use crate::state::State;

/// Hash of a cell: axis values as typed values by name and `repeat`, nothing else. Two jobs of one cell are versions of
/// each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey(pub [u8; 16]);

/// The parts of a job that its id is computed from, kept as text so that an edit can be told in words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Parts {
    /// The command as text for the shell; references spelled `{{ job.out_dir }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell_command: Option<String>,
    /// The command as words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    /// The shell's words.
    pub shell: Vec<String>,
    /// `prepare`, rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<String>,
    /// `working-dir`.
    pub working_dir: String,
    /// `[env]` rendered, by name; a secret is `{ from-env = NAME }` as text, never its value.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// Content digests of `inputs` by path, hex.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, String>,
}

/// The newest that is known of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownJob {
    /// Identity.
    pub id: JobId,
    /// Cell; `None` for a job that only a host knows.
    pub cell: Option<CellKey>,
    /// Name for people, as last planned.
    pub name: String,
    /// State of the newest attempt, or `Succeeded` by acceptance.
    pub state: State,
    /// Reason code of that state; empty where there is none.
    pub reason: String,
    /// One sentence with the particulars; may be empty.
    pub detail: String,
    /// Exit code, where one was recorded.
    pub exit_code: Option<i32>,
    /// Signal name such as `SIGKILL`, where a witness saw it.
    pub signal: Option<String>,
    /// Host of the newest attempt.
    pub host: Option<HostName>,
    /// The newest attempt that any host knows; `Attempt(0)` for none.
    pub attempt: Attempt,
    /// The job whose result was taken over by `sp accept`.
    pub accepted_from: Option<JobId>,
    /// Whether it was part of the newest plan that was applied.
    pub planned: bool,
    /// Running time of the newest ended attempt in seconds.
    pub elapsed_s: Option<f64>,
}

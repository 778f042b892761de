//! What is known of jobs from earlier: the plan's second input, filled by the store and by what hosts answered.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, HostName, JobId};
use crate::state::{Files, State};

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
    /// The host that the job was moved to, as its home before has written down; it is the home since.
    pub moved_to: Option<HostName>,
    /// The newest attempt that any host knows.
    pub attempt: Option<Attempt>,
    /// The job whose result was taken over by `sp accept`.
    pub accepted_from: Option<JobId>,
    /// Whether it was part of the newest plan that was applied.
    pub planned: bool,
    /// Whether this checkpoint handed the newest attempt over, and no other client of the instance.
    pub ours: bool,
    /// Running time of the newest ended attempt in seconds.
    pub elapsed_s: Option<f64>,
    /// Whether the checkpoint has this state; `false` when only a host has told it so far.
    pub stored: bool,
    /// What became of the files of the newest attempt.
    pub files: Files,
    /// Digest of the code that the newest ended attempt, or the accepted one, ran with.
    pub code: Option<[u8; 32]>,
}

impl KnownJob {
    /// Whether a host ever had the job, or a person accepted a result for it: else there is nothing to compare with.
    pub fn has_history(&self) -> bool {
        self.attempt.is_some() || self.accepted_from.is_some() || self.state != State::Pending
    }
}

/// Everything that is known, to be found by id and by cell.
#[derive(Debug, Default)]
pub struct Known {
    /// In order of ids.
    jobs: Vec<KnownJob>,
    /// Cells with a history, in order of cell and then of how recent the version is, the newest last.
    by_cell: Vec<(CellKey, u32)>,
}

impl Known {
    /// An index over jobs in the order in which they became known, the newest last. Of two entries of one job the later
    /// one counts.
    pub fn new(jobs: Vec<KnownJob>) -> Self {
        let mut order: Vec<u32> = (0..u32::try_from(jobs.len()).unwrap_or(u32::MAX)).collect();
        order.sort_by_key(|at| (jobs[*at as usize].id, *at));
        order.dedup_by(|later, earlier| {
            let same = jobs[*later as usize].id == jobs[*earlier as usize].id;
            if same {
                *earlier = *later;
            }
            same
        });
        let mut slots: Vec<Option<KnownJob>> = jobs.into_iter().map(Some).collect();
        let jobs: Vec<KnownJob> =
            order.iter().filter_map(|at| slots[*at as usize].take()).collect();
        let mut by_cell: Vec<(CellKey, bool, u32, u32)> = (0_u32..)
            .zip(jobs.iter().zip(&order))
            .filter(|(_, (job, _))| job.has_history())
            .filter_map(|(at, (job, age))| Some((job.cell?, job.planned, *age, at)))
            .collect();
        by_cell.sort_unstable();
        let by_cell = by_cell.into_iter().map(|(cell, _, _, at)| (cell, at)).collect();
        Self { jobs, by_cell }
    }

    /// Every job, in order of ids.
    pub fn jobs(&self) -> &[KnownJob] {
        &self.jobs
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// A job by its id.
    pub fn get(&self, id: JobId) -> Option<&KnownJob> {
        let at = self.jobs.binary_search_by_key(&id, |job| job.id).ok()?;
        Some(&self.jobs[at])
    }

    /// The newest other version of a job that has a history: the one of the last plan, else the last that became known.
    pub fn predecessor(&self, cell: CellKey, id: JobId) -> Option<&KnownJob> {
        let end = self.by_cell.partition_point(|(key, _)| *key <= cell);
        self.by_cell[..end]
            .iter()
            .rev()
            .take_while(|(key, _)| *key == cell)
            .map(|(_, at)| &self.jobs[*at as usize])
            .find(|job| job.id != id)
    }
}

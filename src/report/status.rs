//! Where a campaign stands: the `status` document, see the command line's JSON contract.
//!
//! What holds of hosts right now is not in the store; the caller says it.

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Serialize;

use crate::ids::{Attempt, HostName, JobId};
use crate::lifecycle::event::HostState;
use crate::plan::Params;
use crate::state::State;
use crate::store::{AttemptRow, JobRow, SetupRow, Snapshot};

/// A host of the campaign as the caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostView {
    /// Its name.
    pub name: HostName,
    /// Whether it answers.
    pub state: HostState,
    /// Jobs at once.
    pub slots: u32,
}

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Version of the document.
    pub schema: u32,
    /// The campaign.
    pub campaign: String,
    /// Planned jobs by state; every state is there.
    pub counts: IndexMap<State, u64>,
    /// Hosts in file order.
    pub hosts: Vec<HostStatus>,
    /// Planned jobs in plan order.
    pub jobs: Vec<JobStatus>,
    /// Seconds until everything has ended, by the mean of what has; none without one.
    pub eta_s: Option<f64>,
}

/// A host in the document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostStatus {
    /// Its name.
    pub name: HostName,
    /// Whether it answers.
    pub state: HostState,
    /// Jobs at once.
    pub slots: u32,
    /// Jobs that run there.
    pub running: Vec<JobId>,
    /// Number of jobs in its queue.
    pub queued: u64,
    /// The newest setup there; none where the campaign never had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup: Option<SetupStatus>,
    /// When it last answered.
    pub last_seen: Option<Timestamp>,
}

/// The newest setup of a host in the document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetupStatus {
    /// Which setup; of the form of a job's id.
    pub id: JobId,
    /// Which of its attempts.
    pub attempt: Attempt,
    /// Present state.
    pub state: State,
    /// One sentence; may be empty.
    pub detail: String,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// Seconds it ran.
    pub elapsed_s: Option<f64>,
}

impl SetupStatus {
    fn of(SetupRow { id, row }: &SetupRow) -> Self {
        Self {
            id: *id,
            attempt: row.attempt,
            state: row.state.shown(),
            detail: row.detail.clone(),
            started_at: row.started_at,
            elapsed_s: row.elapsed_s,
        }
    }
}

/// A job in the document: its newest attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobStatus {
    /// Identity.
    pub id: JobId,
    /// Name for people.
    pub name: String,
    /// Place in the plan.
    pub index: Option<u32>,
    /// Axis values by name.
    pub params: Params,
    /// Present state.
    pub state: State,
    /// Reason code; empty where there is none.
    pub reason: String,
    /// One sentence; may be empty.
    pub detail: String,
    /// Exit code as a shell sees it.
    pub exit_code: Option<u8>,
    /// Signal name.
    pub signal: Option<String>,
    /// Host.
    pub host: Option<HostName>,
    /// Which attempt; none before the first.
    pub attempt: Option<Attempt>,
    /// The tmux session to look at it.
    pub session: Option<String>,
    /// Whether it runs without its wrapper.
    pub orphan: bool,
    /// What the job itself said of its progress.
    pub progress: Option<f64>,
    /// Name of the synced tree.
    pub snapshot: Option<String>,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Seconds it ran.
    pub elapsed_s: Option<f64>,
    /// Since when nothing was heard of it, for a job whose host does not answer.
    pub stale_since: Option<Timestamp>,
}

/// The document of this moment.
pub fn status(snapshot: &Snapshot, hosts: &[HostView]) -> Status {
    let jobs: Vec<&JobRow> = snapshot.jobs.iter().filter(|job| job.index.is_some()).collect();
    let mut counts: IndexMap<State, u64> = State::ALL.into_iter().map(|state| (state, 0)).collect();
    for job in &jobs {
        *counts.entry(job.state()).or_default() += 1;
    }
    let hosts: Vec<HostStatus> =
        hosts.iter().map(|view| host_status(view, snapshot, &jobs)).collect();
    Status {
        schema: 1,
        campaign: snapshot.campaign.clone(),
        eta_s: eta(&jobs, hosts.iter().map(|host| u64::from(host.slots)).sum()),
        jobs: jobs.iter().map(|job| job_status(job, &hosts)).collect(),
        counts,
        hosts,
    }
}

/// The attempt that a job's state is of; none where another job's result stands for it.
fn present(job: &JobRow) -> Option<&AttemptRow> {
    job.newest().filter(|_| job.accepted_from.is_none())
}

fn host_status(view: &HostView, snapshot: &Snapshot, jobs: &[&JobRow]) -> HostStatus {
    let there = |state: State| {
        jobs.iter().filter(move |job| {
            present(job).is_some_and(|row| row.host == view.name && row.state.shown() == state)
        })
    };
    HostStatus {
        name: view.name.clone(),
        state: view.state,
        slots: view.slots,
        running: there(State::Running).map(|job| job.id).collect(),
        queued: there(State::Queued).count() as u64,
        setup: snapshot.setups.iter().rfind(|one| one.row.host == view.name).map(SetupStatus::of),
        last_seen: snapshot
            .hosts
            .iter()
            .find(|row| row.name == view.name)
            .and_then(|row| row.last_seen),
    }
}

fn job_status(job: &JobRow, hosts: &[HostStatus]) -> JobStatus {
    let row = present(job);
    let state = job.state();
    let stale = row.filter(|_| !state.is_final()).and_then(|row| {
        hosts.iter().find(|host| host.name == row.host && host.state == HostState::Unreachable)
    });
    let (reason, detail) = match (job.accepted_from, row) {
        (Some(from), _) => {
            ("accepted".to_owned(), format!("the result of job {from} was accepted"))
        }
        (None, Some(row)) => (row.reason.clone(), row.detail.clone()),
        (None, None) => (String::new(), String::new()),
    };
    JobStatus {
        id: job.id,
        name: job.name.clone(),
        index: job.index,
        params: job.params.clone(),
        state,
        reason,
        detail,
        exit_code: row.and_then(|row| row.exit_code),
        signal: row.and_then(|row| row.signal.clone()),
        host: row.map(|row| row.host.clone()),
        attempt: row.map(|row| row.attempt),
        session: row.and_then(|row| row.session.clone()).filter(|_| state == State::Running),
        orphan: row.is_some_and(|row| row.orphan),
        progress: None,
        snapshot: row.and_then(|row| row.provenance.as_ref()?.snapshot.clone()),
        started_at: row.and_then(|row| row.started_at),
        ended_at: row.and_then(|row| row.ended_at),
        elapsed_s: row.and_then(|row| row.elapsed_s),
        stale_since: stale.and_then(|host| host.last_seen),
    }
}

/// Mean time of jobs that ended by themselves, times what is left, by the slots there are. Not the median: the rest is a
/// sum, and a few long jobs are most of it.
fn eta(jobs: &[&JobRow], slots: u64) -> Option<f64> {
    let left = jobs.iter().filter(|job| !job.state().is_final()).count();
    if left == 0 {
        return Some(0.0);
    }
    let times: Vec<f64> = jobs
        .iter()
        .filter_map(|job| job.last_ended())
        .filter(|row| !matches!(row.state.shown(), State::Cancelled | State::Lost))
        .filter_map(|row| row.elapsed_s)
        .collect();
    if times.is_empty() || slots == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers of jobs and slots are far below 2^53")]
    let seconds = times.iter().sum::<f64>() / times.len() as f64 * left as f64 / slots as f64;
    Some((seconds * 1000.0).round() / 1000.0)
}

//! From facts to the checkpoint, then to who watches: bundles recorded, events told, tables written.
//!
//! It asks no host and decides nothing.

use std::time::{Duration, Instant};

use super::again::Repeated;
use super::follow::Follower;
use super::lane::{Chunk, SetupFailure};
use super::run::is_failure;
use super::{ApplyError, Workspace};
use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::lifecycle::event::JobAt;
use crate::lifecycle::{
    AttemptState, Event, EventKind, Fact, Final, HostFact, LineError, Reason, Unit,
};
use crate::store::{HostMemory, HostReport, Recorded};

/// Between two writings of the tables at least.
const TABLES: Duration = Duration::from_secs(1);

impl Follower<'_> {
    /// Keeps a stretch of a journal until the bundle is recorded.
    pub(super) fn hear(&mut self, workspace: &Workspace, chunk: Chunk) {
        self.warn_refused(workspace, chunk.lane, &chunk.refused);
        let lane = &mut self.lanes[chunk.lane];
        lane.bundle.extend(chunk.facts);
        lane.position = Some(chunk.position);
    }

    /// Records what came, one transaction a host, and tells it. A lane that has nothing left to wait for ends its question.
    pub(super) fn record_bundles(&mut self, workspace: &mut Workspace) -> Result<(), ApplyError> {
        let mut recorded_any = false;
        for at in 0..self.lanes.len() {
            let lane = &mut self.lanes[at];
            let Some(journal) = lane.position.take() else { continue };
            let mut facts = std::mem::take(&mut lane.bundle);
            workspace.fill_sentences(&mut facts);
            let name = lane.host.name().clone();
            let last_seen = Some(workspace.clock().now());
            let read_from = lane.read.replace(journal.clone());
            let memory = HostMemory { journal: Some(journal), last_seen, ..HostMemory::default() };
            let report = HostReport { host: &name, memory, read_from, whole: false, facts: &facts };
            match workspace.store.record(&report) {
                Ok(recorded) => self.told(workspace, at, facts, &recorded)?,
                Err(error) => self.failed(workspace, at, Repeated::Look, error.into())?,
            }
            recorded_any = true;
            let lane = &mut self.lanes[at];
            if lane.ask_now {
                lane.stop_looking();
            }
            if lane.is_quiet()
                && let Some((_, step)) = lane.step.take()
            {
                step.abort();
            }
        }
        if recorded_any && self.tables_at <= Instant::now() {
            self.write_tables(workspace)?;
        }
        Ok(())
    }

    /// Tells facts that were recorded.
    pub(super) fn told(
        &mut self,
        workspace: &Workspace,
        at: usize,
        facts: Vec<HostFact>,
        recorded: &Recorded,
    ) -> Result<(), ApplyError> {
        let name = self.lanes[at].host.name().clone();
        for (unit, attempt, illegal) in &recorded.illegal {
            let kind = EventKind::Warning {
                code: "contradiction".to_owned(),
                detail: format!("attempt {attempt}: {illegal}"),
                host: Some(name.clone()),
                id: Some(unit.id()),
            };
            self.observer.event(&Event { ts: workspace.clock().now(), kind });
        }
        if recorded.records_gone > 0 {
            let kind = EventKind::Warning {
                code: "records-gone".to_owned(),
                detail: format!(
                    "{} ended attempts have no records there any more: its root was deleted or rolled back",
                    recorded.records_gone
                ),
                host: Some(name.clone()),
                id: None,
            };
            self.observer.event(&Event { ts: workspace.clock().now(), kind });
        }
        let ended: Vec<(JobId, Attempt)> = facts
            .iter()
            .filter_map(|fact| match fact {
                HostFact::Attempt { unit, attempt, fact: Fact::Ended(_), .. } => {
                    Some((unit.id(), *attempt))
                }
                _ => None,
            })
            .collect();
        self.lanes[at].logs |= !ended.is_empty();
        workspace.keep_logs(&name, &ended)?;
        let mut changes = recorded.changes.iter().peekable();
        for (index, fact) in facts.into_iter().enumerate() {
            let change = changes.next_if(|change| change.fact == index);
            let HostFact::Attempt { unit, attempt, apply, fact } = fact else { continue };
            match (unit, change) {
                (Unit::Job(job), _) => self.tell(workspace, at, (job, attempt, apply), fact),
                (Unit::Setup(id), Some(change)) => {
                    self.tell_setup(workspace, at, (id, attempt), fact, change.to);
                }
                (Unit::Setup(_), None) => {}
            }
        }
        Ok(())
    }

    /// Tells how an attempt of a setup stands now.
    fn tell_setup(
        &mut self,
        workspace: &Workspace,
        at: usize,
        (id, attempt): (JobId, Attempt),
        fact: Fact,
        state: AttemptState,
    ) {
        let lane = &mut self.lanes[at];
        lane.news = true;
        lane.sets_up = state == AttemptState::Running;
        let (mut detail, mut exit_code, mut elapsed_s) = (String::new(), None, None);
        // Where nobody waits for it any more, it was ended with those who did.
        let mut needed = !lane.open.is_empty();
        match fact {
            Fact::Ended(ending) => {
                (exit_code, elapsed_s) = (ending.exit_code.map(i32::from), ending.elapsed_s);
                needed &= !matches!(ending.reason, Reason::ByQueue | Reason::Withdrawn);
                detail = ending.detail;
            }
            Fact::RootGone => "the host's records of it are gone".clone_into(&mut detail),
            Fact::Queued | Fact::Started { .. } | Fact::Open { .. } => {}
        }
        match state {
            AttemptState::Ended(Final::Succeeded) => {
                lane.setup_failed.take_if(|failed| failed.id == id);
            }
            AttemptState::Ended(end) if needed => {
                let detail = detail.clone();
                lane.setup_failed = Some(SetupFailure { id, attempt, state: end.into(), detail });
                // What was queued is queued no more.
                lane.ask_now = true;
            }
            AttemptState::Ended(_)
            | AttemptState::Intended
            | AttemptState::Queued
            | AttemptState::Running => {}
        }
        let kind = EventKind::Setup {
            host: lane.host.name().clone(),
            id,
            attempt,
            state: state.shown(),
            text: workspace.campaign().setup.clone().unwrap_or_default(),
            detail,
            exit_code,
            elapsed_s,
        };
        self.observer.event(&Event { ts: workspace.clock().now(), kind });
    }

    /// Tells how an attempt of a job that is waited for stands now.
    fn tell(
        &mut self,
        workspace: &Workspace,
        at: usize,
        (job, attempt, apply): (JobId, Attempt, ApplyId),
        fact: Fact,
    ) {
        let lane = &mut self.lanes[at];
        let key = (job, attempt);
        let Some(before) = lane.open.get(&key).copied() else { return };
        let Ok(after) = before.next(&fact) else { return };
        if after == before {
            return;
        }
        lane.news = true;
        if matches!(after, AttemptState::Ended(_)) {
            lane.open.remove(&key);
        } else {
            lane.open.insert(key, after);
        }
        if let Fact::Ended(ending) = &fact {
            if let Some(to) = &ending.moved_to {
                let job = job_at(workspace, lane.host.name(), job, attempt);
                return self.hand_on(workspace, job, to);
            }
            if let Some(seconds) = ending.elapsed_s {
                lane.measured = (lane.measured.0 + 1, lane.measured.1 + seconds);
            }
            let ours = self.hand.as_ref().is_some_and(|hand| *hand.apply == apply);
            if ours && is_failure(ending.state.into()) {
                self.failed.insert(job);
            }
        }
        let lane = &self.lanes[at];
        let job = job_at(workspace, lane.host.name(), job, attempt);
        let now = workspace.clock().now();
        let mut event = |kind| self.observer.event(&Event { ts: now, kind });
        match (after, fact) {
            (AttemptState::Running, Fact::Started { slot, .. }) => {
                event(EventKind::JobStarted { job, slot, session: None });
            }
            (AttemptState::Running, Fact::Open { slot, session, .. }) => {
                event(EventKind::JobStarted { job, slot, session });
            }
            (AttemptState::Ended(state), Fact::Ended(ending)) => {
                // One that began and ended between two looks is told as a whole.
                if before != AttemptState::Running && ending.started.is_some() {
                    let job = job.clone();
                    event(EventKind::JobStarted { job, slot: 0, session: None });
                }
                event(EventKind::JobFinished {
                    job,
                    state: state.into(),
                    reason: ending.reason.word().to_owned(),
                    detail: ending.detail,
                    exit_code: ending.exit_code.map(i32::from),
                    signal: ending.signal,
                    elapsed_s: ending.elapsed_s,
                });
            }
            (AttemptState::Ended(state), Fact::RootGone) => event(EventKind::JobFinished {
                job,
                state: state.into(),
                reason: Reason::RootGone.word().to_owned(),
                detail: "the host's records of it are gone".to_owned(),
                exit_code: None,
                signal: None,
                elapsed_s: None,
            }),
            _ => {}
        }
    }

    /// Has the tables written. Large ones less often, so that they never take more than a tenth of the time.
    pub(super) fn write_tables(&mut self, workspace: &Workspace) -> Result<(), ApplyError> {
        let began = Instant::now();
        self.observer.tables(&workspace.store.snapshot()?);
        self.tables_at = Instant::now() + TABLES.max(began.elapsed() * 10);
        Ok(())
    }

    pub(super) fn warn_refused(&mut self, workspace: &Workspace, at: usize, errors: &[LineError]) {
        for error in errors {
            let detail = format!("a line of the host's answer was refused: {error}");
            self.warn(workspace, at, "host-answer", detail);
        }
    }

    pub(super) fn warn(&mut self, workspace: &Workspace, at: usize, code: &str, detail: String) {
        let host = Some(self.lanes[at].host.name().clone());
        let kind = EventKind::Warning { code: code.to_owned(), detail, host, id: None };
        self.observer.event(&Event { ts: workspace.clock().now(), kind });
    }
}

/// Which attempt of which job, for people.
pub(super) fn job_at(
    workspace: &Workspace,
    host: &HostName,
    job: JobId,
    attempt: Attempt,
) -> JobAt {
    let expansion = workspace.expansion();
    let name = match expansion.index_of(job) {
        Some(index) => expansion.job(index).name(),
        None => job.to_string().chars().take(8).collect(),
    };
    JobAt { id: job, name, host: host.clone(), attempt }
}

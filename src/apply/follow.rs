//! Following hosts until what was handed over has ended: facts are recorded in bundles, events told, tables written.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{ApplyError, Interrupt, Interrupts, Observer, Workspace};
use crate::ids::{Attempt, JobId};
use crate::lifecycle::event::JobAt;
use crate::lifecycle::{
    AttemptState, Event, EventKind, Fact, HostFact, JournalPosition, LineError,
};
use crate::state::State;
use crate::store::{ApplyLock, HostMemory, HostReport};

/// One bounded question; a cut connection is noticed by its end.
const POLL_SECONDS: u64 = 50;
/// Facts of so long make one transaction: a transaction a job would compete with the host's own disk writes.
const BUNDLE: Duration = Duration::from_millis(100);
/// Between two writings of the tables at least.
const TABLES: Duration = Duration::from_secs(1);
/// Answers without any news, before it is said that the queue does not move.
const IDLE_ROUNDS: u32 = 12;

/// Why the following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// Nothing is queued or running any more.
    Ended,
    /// A signal came.
    Interrupted(Interrupt),
    /// The hosts have entries and nothing moves.
    Stuck,
    /// The time was over.
    TimedOut,
    /// Another apply's lock came free.
    LockFree,
}

/// What the following watches and tells.
pub(super) struct Follower<'a> {
    pub(super) observer: &'a mut dyn Observer,
    pub(super) interrupts: &'a mut Interrupts,
    /// Attempts that are waited for.
    pub(super) open: BTreeMap<(JobId, Attempt), AttemptState>,
    /// Slots for runners that are asked for when the queue stands still; `None` where nothing may be started.
    pub(super) kick: Option<u32>,
    /// When to give up.
    pub(super) deadline: Option<Instant>,
    /// Whether to look if the lock is free.
    pub(super) until_lock: bool,
    pub(super) tables_at: Instant,
}

type Chunk = (Vec<HostFact>, Vec<LineError>, JournalPosition);

impl Follower<'_> {
    /// Follows until the end of what is waited for.
    pub(super) async fn follow(
        &mut self,
        workspace: &mut Workspace,
        lock: Option<&ApplyLock>,
    ) -> Result<Followed, ApplyError> {
        let mut idle = 0;
        loop {
            if self.open.is_empty() {
                return Ok(Followed::Ended);
            }
            let began = Instant::now();
            let before = self.open.clone();
            if let Some(stopped) = self.stream(workspace).await? {
                return Ok(stopped);
            }
            // Runners have left, or the time of one question is over: what does the host say as a whole?
            let collected = workspace.collect(lock).await?;
            self.see_recorded(workspace)?;
            for one in &collected.vanished {
                self.open.remove(&(one.job, one.attempt));
            }
            // With the other apply gone there is nobody to see to what stands still: that is ours now.
            if self.until_lock && workspace.lock_is_free()? {
                return Ok(Followed::LockFree);
            }
            idle = if self.open == before && began.elapsed() < Duration::from_secs(5) {
                idle + 1
            } else {
                0
            };
            if idle > IDLE_ROUNDS {
                return Ok(Followed::Stuck);
            }
            if let Some(slots) = self.kick.filter(|_| !self.open.is_empty()) {
                workspace.host.kick(slots).await?;
            }
            if idle > 0 {
                let pause = Duration::from_millis(50 << idle.min(6));
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    interrupt = self.interrupts.next() => return Ok(Followed::Interrupted(interrupt)),
                }
            }
        }
    }

    /// One long question. `Some` when the following is over.
    async fn stream(&mut self, workspace: &mut Workspace) -> Result<Option<Followed>, ApplyError> {
        let Some(journal) = workspace.store.host(workspace.host.name())?.journal else {
            return Ok(None);
        };
        let seconds = match self.deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(Some(Followed::TimedOut));
                }
                POLL_SECONDS.min(left.as_secs() + 1)
            }
            None => POLL_SECONDS,
        };
        let seconds = if self.until_lock { seconds.min(2) } else { seconds };
        let (sender, mut receiver) = mpsc::unbounded_channel::<Chunk>();
        let host = workspace.host.clone();
        let campaign = workspace.settings.campaign.name.clone();
        let mut question = Box::pin(async move {
            host.follow(&campaign, &journal, seconds, |facts, errors, position| {
                // A receiver that is gone wants no more news.
                drop(sender.send((facts, errors, position.clone())));
            })
            .await
        });
        let mut bundle: Vec<HostFact> = Vec::new();
        let mut position = None;
        let mut due: Option<Instant> = None;
        let mut answer = None;
        loop {
            let flush_in = due.map_or(Duration::from_hours(1), |due| {
                due.saturating_duration_since(Instant::now())
            });
            let give_up = self.deadline.map_or(Duration::from_hours(1), |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            tokio::select! {
                chunk = receiver.recv() => if let Some((facts, errors, at)) = chunk {
                    bundle.extend(facts);
                    self.warn_refused(workspace, &errors);
                    position = Some(at);
                    due.get_or_insert_with(|| Instant::now() + BUNDLE);
                } else {
                    let ended = match answer.take() {
                        Some(ended) => ended,
                        None => question.as_mut().await,
                    };
                    self.record(workspace, &mut bundle, position.take())?;
                    ended?;
                    return Ok(None);
                },
                ended = &mut question, if answer.is_none() => answer = Some(ended),
                () = tokio::time::sleep(flush_in), if due.is_some() => {
                    due = None;
                    self.record(workspace, &mut bundle, position.take())?;
                    if self.open.is_empty() {
                        return Ok(Some(Followed::Ended));
                    }
                }
                () = tokio::time::sleep(give_up), if self.deadline.is_some() => {
                    self.record(workspace, &mut bundle, position.take())?;
                    return Ok(Some(Followed::TimedOut));
                }
                interrupt = self.interrupts.next() => {
                    self.record(workspace, &mut bundle, position.take())?;
                    return Ok(Some(Followed::Interrupted(interrupt)));
                }
            }
        }
    }

    /// Records a bundle of facts as one transaction, then tells them.
    fn record(
        &mut self,
        workspace: &mut Workspace,
        bundle: &mut Vec<HostFact>,
        position: Option<JournalPosition>,
    ) -> Result<(), ApplyError> {
        let Some(journal) = position else { return Ok(()) };
        let mut facts = std::mem::take(bundle);
        workspace.fill_sentences(&mut facts);
        let name = workspace.host.name().clone();
        let now = workspace.clock().now();
        let memory =
            HostMemory { journal: Some(journal), last_seen: Some(now), ..HostMemory::default() };
        let recorded =
            workspace.store.record(&HostReport { host: &name, memory, facts: &facts })?;
        for (job, attempt, illegal) in &recorded.illegal {
            let kind = EventKind::Warning {
                code: "contradiction".to_owned(),
                detail: format!("attempt {attempt}: {illegal}"),
                host: Some(name.clone()),
                id: Some(*job),
            };
            self.observer.event(&Event { ts: now, kind });
        }
        let ended = facts.iter().filter_map(|fact| match fact {
            HostFact::Attempt { job, attempt, fact: Fact::Ended(_), .. } => Some((*job, *attempt)),
            _ => None,
        });
        workspace.collect_logs(ended)?;
        for fact in facts {
            self.tell(workspace, fact);
        }
        if self.tables_at <= Instant::now() {
            let began = Instant::now();
            self.observer.tables(&workspace.store.snapshot()?);
            // Large tables are written less often, so that they never take more than a tenth of the time.
            self.tables_at = Instant::now() + TABLES.max(began.elapsed() * 10);
        }
        Ok(())
    }

    fn tell(&mut self, workspace: &Workspace, fact: HostFact) {
        let HostFact::Attempt { job, attempt, fact, .. } = fact else { return };
        let key = (job, attempt);
        let Some(before) = self.open.get(&key).copied() else { return };
        let Ok(after) = before.next(&fact) else { return };
        let at = job_at(workspace, job, attempt);
        let now = workspace.clock().now();
        let kind = match (after, fact) {
            (AttemptState::Running, Fact::Started { slot, .. }) if before != after => {
                Some(EventKind::JobStarted { job: at, slot, session: None })
            }
            (AttemptState::Running, Fact::Open { slot, session, .. }) if before != after => {
                Some(EventKind::JobStarted { job: at, slot, session })
            }
            (AttemptState::Ended(state), Fact::Ended(ending)) => Some(EventKind::JobFinished {
                job: at,
                state: state.into(),
                reason: ending.reason.word().to_owned(),
                detail: ending.detail.clone(),
                exit_code: ending.exit_code.map(i32::from),
                signal: ending.signal.clone(),
                elapsed_s: ending.elapsed_s,
            }),
            _ => None,
        };
        if matches!(after, AttemptState::Ended(_)) {
            self.open.remove(&key);
        } else {
            self.open.insert(key, after);
        }
        if let Some(kind) = kind {
            self.observer.event(&Event { ts: now, kind });
        }
    }

    /// Takes over what a probe recorded beside the stream.
    fn see_recorded(&mut self, workspace: &Workspace) -> Result<(), ApplyError> {
        let snapshot = workspace.store.snapshot()?;
        let mut news = Vec::new();
        for job in &snapshot.jobs {
            for row in &job.attempts {
                let key = (job.id, row.attempt);
                let Some(before) = self.open.get(&key).copied() else { continue };
                if row.host == *workspace.host.name() && row.state != before {
                    news.push((key, row.clone()));
                }
            }
        }
        let now = workspace.clock().now();
        let mut ended = Vec::new();
        for ((job, attempt), row) in news {
            let at = job_at(workspace, job, attempt);
            let kind = match row.state {
                AttemptState::Ended(state) => {
                    // One that began and ended between two looks is told as a whole.
                    if row.started_at.is_some()
                        && self.open.get(&(job, attempt)) != Some(&AttemptState::Running)
                    {
                        let kind = EventKind::JobStarted {
                            job: at.clone(),
                            slot: row.slot.unwrap_or(0),
                            session: row.session.clone(),
                        };
                        self.observer.event(&Event { ts: now, kind });
                    }
                    self.open.remove(&(job, attempt));
                    ended.push((job, attempt));
                    EventKind::JobFinished {
                        job: at,
                        state: State::from(state),
                        reason: row.reason,
                        detail: row.detail,
                        exit_code: row.exit_code.map(i32::from),
                        signal: row.signal,
                        elapsed_s: row.elapsed_s,
                    }
                }
                state => {
                    self.open.insert((job, attempt), state);
                    if state != AttemptState::Running {
                        continue;
                    }
                    EventKind::JobStarted {
                        job: at,
                        slot: row.slot.unwrap_or(0),
                        session: row.session,
                    }
                }
            };
            self.observer.event(&Event { ts: now, kind });
        }
        workspace.collect_logs(ended.into_iter())?;
        self.observer.tables(&snapshot);
        Ok(())
    }

    fn warn_refused(&mut self, workspace: &Workspace, errors: &[LineError]) {
        for error in errors {
            let kind = EventKind::Warning {
                code: "host-answer".to_owned(),
                detail: format!("a line of the host's journal was refused: {error}"),
                host: Some(workspace.host.name().clone()),
                id: None,
            };
            self.observer.event(&Event { ts: workspace.clock().now(), kind });
        }
    }
}

/// Which attempt of which job, for people.
pub(super) fn job_at(workspace: &Workspace, job: JobId, attempt: Attempt) -> JobAt {
    let expansion = workspace.expansion();
    let name = match expansion.index_of(job) {
        Some(index) => expansion.job(index).name(),
        None => job.to_string().chars().take(8).collect(),
    };
    JobAt { id: job, name, host: workspace.host.name().clone(), attempt }
}

//! Executing a plan: intents, hand-over, following to the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::collect::Collected;
use super::follow::{Followed, Follower, job_at};
use super::hand_over::Hand;
use super::{ApplyError, Interrupt, Interrupts, Observer, Workspace};
use crate::ids::{ApplyId, Attempt, JobId};
use crate::lifecycle::{AttemptState, Event, EventKind};
use crate::plan::{Action, Known, Plan, Reason};
use crate::state::State;
use crate::store::{ApplyLock, PlannedJob};

/// Entries that leave the queue without a word, because their secrets went with a reboot, are handed over so often.
const ROUNDS: u32 = 3;

/// How to execute a plan.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// This apply, see [`new_apply_id`].
    pub apply: ApplyId,
    /// Leave after the hand-over.
    pub detach: bool,
    /// Jobs at once; wins over the file's.
    pub max_parallel: Option<u32>,
    /// Failures that stop the apply; wins over the file's.
    pub max_fail: Option<u32>,
    /// Locale variables of the account.
    pub locale: Vec<(String, String)>,
    /// Seconds between TERM and KILL at a time limit; 10 unless a test wants it otherwise.
    pub kill_after: Option<u32>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything has ended.
    Done,
    /// Everything was handed over, and is left to the hosts.
    Detached,
    /// A signal came; the jobs go on.
    Interrupted(Interrupt),
    /// The queue does not move, or entries keep vanishing.
    Stuck,
    /// The time was over.
    TimedOut,
}

impl Workspace {
    /// Executes a plan: hands over what is to run, follows it and what was under way, to the end.
    pub async fn run(
        &mut self,
        plan: &Plan,
        collected: &Collected,
        lock: &ApplyLock,
        options: &RunOptions,
        observer: &mut dyn Observer,
        interrupts: &mut Interrupts,
    ) -> Result<Ended, ApplyError> {
        let campaign = self.settings.campaign.clone();
        let slots = self.slots(options);
        self.withdraw_obsolete(plan).await?;
        self.record_jobs()?;
        self.collect_logs(self.ended_attempts()?.into_iter())?;
        let mut known = Known::new(self.store.known()?);
        let mut jobs: Vec<usize> = plan
            .decisions
            .iter()
            .filter(|decision| decision.action == Action::Run)
            .map(|decision| decision.job)
            .collect();
        let forced: BTreeSet<usize> = plan
            .decisions
            .iter()
            .filter(|decision| decision.reason == Reason::Forced)
            .map(|decision| decision.job)
            .collect();
        let mut follower = Follower {
            observer,
            interrupts,
            open: self.open_of(plan)?,
            kick: Some(slots),
            deadline: None,
            until_lock: false,
            tables_at: Instant::now(),
        };
        if jobs.is_empty() && follower.open.is_empty() {
            follower.observer.tables(&self.store.snapshot()?);
            return Ok(Ended::Done);
        }
        let apply = options.apply.clone();
        let began = self.clock().now();
        self.store.begin_apply(&apply, began)?;
        self.begun = Some(apply.clone());
        let mut ended = Ended::Done;
        for number in 1..=ROUNDS {
            if !jobs.is_empty() {
                let observer = &mut *follower.observer;
                let mut hand =
                    Hand { apply: &apply, number, slots, options, forced: &forced, observer };
                let intended = self.hand_over(&mut hand, collected, &known, &jobs).await?;
                for one in &intended {
                    follower.open.insert((one.job, one.attempt), AttemptState::Queued);
                    let job = job_at(self, one.job, one.attempt);
                    let event =
                        Event { ts: self.clock().now(), kind: EventKind::JobQueued { job } };
                    follower.observer.event(&event);
                }
            }
            if options.detach {
                if jobs.is_empty() {
                    self.host.kick(slots).await?;
                }
                ended = Ended::Detached;
                break;
            }
            if jobs.is_empty() {
                // What was under way may have lost its runner.
                self.host.kick(slots).await?;
            }
            match follower.follow(self, Some(lock)).await? {
                Followed::Ended | Followed::LockFree => {}
                Followed::Interrupted(interrupt) => {
                    ended = Ended::Interrupted(interrupt);
                    break;
                }
                Followed::Stuck => {
                    ended = Ended::Stuck;
                    break;
                }
                Followed::TimedOut => {
                    ended = Ended::TimedOut;
                    break;
                }
            }
            known = Known::new(self.store.known()?);
            let untouched = |job: &usize| {
                known.get(self.settings.expansion.ids()[*job]).is_none_or(|job| !job.has_history())
            };
            jobs.retain(untouched);
            if jobs.is_empty() || self.stopped_by_failures(&apply, options, &campaign)? {
                break;
            }
            if number == ROUNDS {
                ended = Ended::Stuck;
            }
        }
        let observer = follower.observer;
        self.collect_logs(self.ended_attempts()?.into_iter())?;
        let snapshot = self.store.snapshot()?;
        observer.tables(&snapshot);
        Ok(ended)
    }

    /// Writes down the code that the apply ends with; nothing where it had nothing to do.
    pub fn end(&mut self, exit_code: u8) -> Result<(), ApplyError> {
        if let Some(apply) = self.begun.take() {
            self.store.end_apply(&apply, self.clock().now(), exit_code)?;
        }
        Ok(())
    }

    /// Follows what others handed over, until it has ended. With `until_lock`, until the lock of the apply that handed it
    /// over is free as well.
    pub async fn watch(
        &mut self,
        jobs: Option<&[usize]>,
        until_lock: bool,
        deadline: Option<Instant>,
        observer: &mut dyn Observer,
        interrupts: &mut Interrupts,
    ) -> Result<Ended, ApplyError> {
        let mut idle: u32 = 0;
        loop {
            self.collect(None).await?;
            let open = self.open_in(jobs)?;
            idle = if open.is_empty() { idle + 1 } else { 0 };
            let mut follower = Follower {
                observer: &mut *observer,
                interrupts: &mut *interrupts,
                open,
                kick: None,
                deadline,
                until_lock,
                tables_at: Instant::now(),
            };
            match follower.follow(self, None).await? {
                Followed::Interrupted(interrupt) => return Ok(Ended::Interrupted(interrupt)),
                Followed::TimedOut => return Ok(Ended::TimedOut),
                Followed::LockFree => return Ok(Ended::Done),
                Followed::Ended if !until_lock => return Ok(Ended::Done),
                // A queue that stands still may be started by somebody later: only `apply` starts.
                Followed::Stuck if !until_lock => return Ok(Ended::Stuck),
                Followed::Ended | Followed::Stuck if self.lock_is_free()? => {
                    return Ok(Ended::Done);
                }
                Followed::Ended | Followed::Stuck => {
                    // The other apply is about to hand over, or to leave.
                    let pause = Duration::from_millis(50 << idle.min(5));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        interrupt = interrupts.next() => return Ok(Ended::Interrupted(interrupt)),
                    }
                }
            }
        }
    }

    fn slots(&self, options: &RunOptions) -> u32 {
        let campaign = &self.settings.campaign;
        let own = campaign.hosts.get(self.host.name()).map_or(1, |host| host.slots).max(1);
        options.max_parallel.or(campaign.max_parallel).map_or(own, |most| own.min(most))
    }

    async fn withdraw_obsolete(&mut self, plan: &Plan) -> Result<(), ApplyError> {
        let gone: BTreeSet<JobId> = plan
            .obsolete
            .iter()
            .filter(|obsolete| obsolete.action == Action::Withdraw)
            .map(|obsolete| obsolete.known.id)
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let attempts = self.attempts_of(|job| gone.contains(&job))?;
        self.host.cancel(&self.settings.campaign.name, "withdraw", 0, &attempts).await?;
        Ok(())
    }

    /// Writes the file's jobs down in the checkpoint.
    pub fn record_jobs(&mut self) -> Result<(), ApplyError> {
        let expansion = Arc::clone(&self.settings.expansion);
        let mut rows = Vec::with_capacity(expansion.len());
        for job in expansion.jobs() {
            let params = match job.spec()?.params_json() {
                serde_json::Value::Object(params) => params,
                _ => serde_json::Map::new(),
            };
            rows.push((job.id(), job.cell_key(), job.name(), job.index(), params, job.parts()?));
        }
        self.store.record_plan(rows.iter().map(|(id, cell, name, index, params, parts)| {
            PlannedJob {
                id: *id,
                cell: *cell,
                name,
                index: u32::try_from(*index).unwrap_or(u32::MAX),
                params,
                parts,
            }
        }))?;
        Ok(())
    }

    /// What the plan waits for.
    fn open_of(&self, plan: &Plan) -> Result<BTreeMap<(JobId, Attempt), AttemptState>, ApplyError> {
        let waiting: BTreeSet<JobId> = plan
            .decisions
            .iter()
            .filter(|decision| decision.action == Action::Wait)
            .map(|decision| plan.expansion.ids()[decision.job])
            .collect();
        self.open_where(|job| waiting.contains(&job))
    }

    fn open_in(
        &self,
        jobs: Option<&[usize]>,
    ) -> Result<BTreeMap<(JobId, Attempt), AttemptState>, ApplyError> {
        let ids = self.settings.expansion.ids();
        match jobs {
            None => self.open_where(|job| self.settings.expansion.index_of(job).is_some()),
            Some(jobs) => {
                let chosen: BTreeSet<JobId> = jobs.iter().map(|job| ids[*job]).collect();
                self.open_where(|job| chosen.contains(&job))
            }
        }
    }

    fn open_where(
        &self,
        chosen: impl Fn(JobId) -> bool,
    ) -> Result<BTreeMap<(JobId, Attempt), AttemptState>, ApplyError> {
        let snapshot = self.store.snapshot()?;
        let mut open = BTreeMap::new();
        for job in snapshot.jobs.iter().filter(|job| chosen(job.id)) {
            for row in &job.attempts {
                if !matches!(row.state, AttemptState::Ended(_)) {
                    open.insert((job.id, row.attempt), row.state);
                }
            }
        }
        Ok(open)
    }

    /// Attempts that have not ended, as the host script wants them.
    pub fn attempts_of(
        &self,
        chosen: impl Fn(JobId) -> bool,
    ) -> Result<Vec<(JobId, Attempt, ApplyId)>, ApplyError> {
        let snapshot = self.store.snapshot()?;
        let mut attempts = Vec::new();
        for job in snapshot.jobs.iter().filter(|job| chosen(job.id)) {
            for row in &job.attempts {
                if !matches!(row.state, AttemptState::Ended(_)) {
                    attempts.push((job.id, row.attempt, row.apply.clone()));
                }
            }
        }
        Ok(attempts)
    }

    fn ended_attempts(&self) -> Result<Vec<(JobId, Attempt)>, ApplyError> {
        let snapshot = self.store.snapshot()?;
        let ended = snapshot.jobs.iter().flat_map(|job| {
            job.attempts
                .iter()
                .filter(|row| matches!(row.state, AttemptState::Ended(_)))
                .map(|row| (job.id, row.attempt))
        });
        Ok(ended.collect())
    }

    /// Whether so many jobs of this apply failed that nothing of it starts any more.
    fn stopped_by_failures(
        &self,
        apply: &ApplyId,
        options: &RunOptions,
        campaign: &crate::campaign::Campaign,
    ) -> Result<bool, ApplyError> {
        let Some(most) = options.max_fail.or(campaign.max_fail) else { return Ok(false) };
        let snapshot = self.store.snapshot()?;
        let failed = snapshot
            .jobs
            .iter()
            .filter(|job| {
                job.newest().is_some_and(|row| row.apply == *apply && is_failure(row.state.shown()))
            })
            .count();
        Ok(failed >= most as usize)
    }
}

fn is_failure(state: State) -> bool {
    matches!(state, State::Failed | State::Timeout | State::Stalled | State::Oom | State::Lost)
}

/// Unique for ever: batches of it are named on the host.
pub fn new_apply_id() -> ApplyId {
    crate::host::random_word().parse().expect("hex digits are a name")
}

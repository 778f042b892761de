//! Executing a plan: intents, hand-over, following to the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::collect::Collected;
use super::follow::{Followed, Follower};
use super::hand_over::Hand;
use super::lane::{Lane, Trouble};
use super::{ApplyError, Interrupt, Interrupts, Observer, Workspace};
use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::lifecycle::shares::{Wish, shares};
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
    /// Hosts that may get jobs of others; `None` for all.
    pub hosts: Option<BTreeSet<HostName>>,
    /// Locale variables of the account.
    pub locale: Vec<(String, String)>,
    /// Seconds between TERM and KILL at a time limit; 10 unless a test wants it otherwise.
    pub kill_after: Option<u32>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Everything that could has ended.
    Done,
    /// Everything was handed over, and is left to the hosts.
    Detached,
    /// A signal came; the jobs go on.
    Interrupted(Interrupt),
    /// The time was over.
    TimedOut,
}

/// How it ended, and which hosts went no further.
#[derive(Debug)]
pub struct Ended {
    /// As a whole.
    pub how: How,
    /// Number of jobs that arrived at hosts.
    pub handed_over: usize,
    /// Hosts with something left, and why it is left; their jobs go on without us.
    pub troubles: Vec<(HostName, Trouble)>,
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
        let mut troubles = self.withdraw_obsolete(plan, collected).await?;
        self.record_jobs()?;
        let forced: BTreeSet<usize> = plan
            .decisions
            .iter()
            .filter(|decision| decision.reason == Reason::Forced)
            .map(|decision| decision.job)
            .collect();
        let missing: BTreeMap<HostName, Vec<String>> = collected
            .hosts
            .iter()
            .map(|(name, answer)| (name.clone(), answer.missing.clone()))
            .collect();
        let asked_for: BTreeSet<JobId> = plan
            .decisions
            .iter()
            .filter(|decision| matches!(decision.action, Action::Run | Action::Wait))
            .map(|decision| plan.expansion.ids()[decision.job])
            .collect();
        let mut lanes = self.lanes(plan, options)?;
        self.take_up_earlier(&mut lanes, collected)?;
        if lanes.iter().all(|lane| lane.is_quiet() && !lane.logs) {
            observer.tables(&self.store.snapshot()?);
            return Ok(Ended { how: How::Done, handed_over: 0, troubles });
        }
        if !lanes.iter().all(Lane::is_quiet) {
            self.store.begin_apply(&options.apply, self.clock().now())?;
            self.begun = Some(options.apply.clone());
        }
        let mut how = How::Done;
        let mut handed_over = 0;
        let last = plan.decisions.iter().map(|decision| (decision.job, decision.attempt));
        let mut last: BTreeMap<usize, Option<Attempt>> = last.collect();
        for number in 1..=ROUNDS {
            let wanted: Vec<(usize, usize)> =
                lanes.iter().flat_map(|lane| lane.jobs.iter().map(|job| (lane.at, *job))).collect();
            let apply = &options.apply;
            let mut follower = Follower {
                observer: &mut *observer,
                interrupts: &mut *interrupts,
                lanes,
                hand: Some(Hand {
                    apply,
                    options,
                    forced: &forced,
                    last: &last,
                    missing: &missing,
                }),
                deadline: None,
                until_lock: false,
                detach: options.detach,
                tables_at: Instant::now(),
                arrived: 0,
                failed: BTreeSet::new(),
                stopped: false,
            };
            let followed = follower.follow(self, Some(lock)).await?;
            handed_over += follower.arrived;
            lanes = follower.lanes;
            for lane in &mut lanes {
                let found = lane.troubles();
                if !found.is_empty() {
                    lane.fit = Some(false);
                    lane.open.clear();
                }
                troubles.extend(found);
            }
            match followed {
                Followed::Ended | Followed::LockFree => {}
                Followed::Interrupted(interrupt) => how = How::Interrupted(interrupt),
                Followed::TimedOut => how = How::TimedOut,
            }
            if options.detach && how == How::Done {
                how = How::Detached;
            }
            if how != How::Done || self.stopped_by_failures(options)? {
                break;
            }
            last.extend(self.take_up_left(&mut lanes, &wanted, &asked_for, &troubles)?);
            if lanes.iter().all(Lane::is_quiet) {
                break;
            }
            if number == ROUNDS {
                let stuck = lanes.iter().filter(|lane| !lane.is_quiet());
                troubles.extend(stuck.map(|lane| (lane.host.name().clone(), Trouble::Stuck)));
            }
        }
        let snapshot = self.store.snapshot()?;
        observer.tables(&snapshot);
        Ok(Ended { how, handed_over, troubles })
    }

    /// Gives the lanes again what left a queue without a word, and what has not ended by the checkpoint, which is the one to
    /// say what is still waited for. Those in trouble, or without a share, get nothing. Returns the newest attempts of what is
    /// wanted, by which that is decided.
    fn take_up_left(
        &self,
        lanes: &mut [Lane],
        wanted: &[(usize, usize)],
        asked_for: &BTreeSet<JobId>,
        troubles: &[(HostName, Trouble)],
    ) -> Result<BTreeMap<usize, Option<Attempt>>, ApplyError> {
        let known = Known::new(self.store.known()?);
        let mut open = self.open_by_host(|job| asked_for.contains(&job))?;
        for lane in lanes {
            let name = lane.host.name();
            let in_trouble = troubles.iter().any(|(trouble, _)| trouble == name);
            let is_left = |(at, job): &&(usize, usize)| {
                let known = known.get(self.settings.expansion.ids()[*job]);
                let left = known.is_none_or(|job| job.state == State::Pending);
                let here = match known.and_then(|known| known.moved_to.as_ref()) {
                    Some(host) => host == name,
                    None => *at == lane.at,
                };
                left && here && !in_trouble && lane.slots > 0
            };
            lane.jobs = wanted.iter().filter(is_left).map(|(_, job)| *job).collect();
            lane.open = open.remove(name).filter(|_| !in_trouble).unwrap_or_default();
        }
        let last = |job: usize| Some((job, known.get(self.settings.expansion.ids()[job])?.attempt));
        Ok(wanted.iter().filter_map(|(_, job)| last(*job)).collect())
    }

    /// Brings the lanes to what the hosts have just answered, and keeps the logs that an earlier command left.
    fn take_up_earlier(&self, lanes: &mut [Lane], collected: &Collected) -> Result<(), ApplyError> {
        for lane in lanes {
            let name = lane.host.name();
            if let Some(error) = collected.trouble_of(name) {
                // It gives nothing and gets nothing of others.
                lane.fit = Some(false);
                if matches!(error, ApplyError::SamePlace { .. }) {
                    // What lies there is told under its other name.
                    lane.open.clear();
                }
            }
            if lane.host.is_here() {
                self.keep_logs(name, &self.ended_on(name)?)?;
            } else if collected.hosts.get(name).is_some_and(|answer| answer.trouble.is_none()) {
                lane.logs = !self.logs_wanted(name)?.is_empty();
            }
        }
        Ok(())
    }

    /// A lane for each host: what it is to get, and what it has already.
    fn lanes(&self, plan: &Plan, options: &RunOptions) -> Result<Vec<Lane>, ApplyError> {
        let ids = plan.expansion.ids();
        let deciding = |action| plan.decisions.iter().filter(move |one| one.action == action);
        let waiting: BTreeSet<JobId> = deciding(Action::Wait).map(|one| ids[one.job]).collect();
        let read = self.read_so_far()?;
        let mut open = self.open_by_host(|job| waiting.contains(&job))?;
        let setups = self.store.open_attempts()?.into_iter().filter(|one| one.unit.job().is_none());
        let setting_up: BTreeSet<HostName> = setups.map(|one| one.host).collect();
        let mut lanes = Vec::new();
        for (at, host) in self.hosts.iter().enumerate() {
            let mut lane = Lane::new(at, host.clone(), self.slots(host.name()));
            if options.hosts.as_ref().is_some_and(|hosts| !hosts.contains(host.name())) {
                lane.fit = Some(false);
            }
            let home = plan.hosts.iter().position(|planned| planned.name == *host.name());
            let here = deciding(Action::Run).filter(|one| one.home == home);
            lane.jobs = here.map(|one| one.job).collect();
            lane.open = open.remove(host.name()).unwrap_or_default();
            lane.read.clone_from(&read[at]);
            lane.sets_up = setting_up.contains(host.name());
            lanes.push(lane);
        }
        let most = options.max_parallel.or(self.settings.campaign.max_parallel);
        let wish =
            |lane: &Lane| Wish { slots: lane.slots, jobs: lane.jobs.len() + lane.open.len() };
        let shares = shares(most, &lanes.iter().map(wish).collect::<Vec<_>>());
        for (lane, share) in lanes.iter_mut().zip(shares) {
            lane.slots = share;
        }
        Ok(lanes)
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
            let asked = tokio::select! {
                asked = self.collect(None) => Ok(asked?),
                () = until(deadline) => Err(How::TimedOut),
                interrupt = interrupts.next() => Err(How::Interrupted(interrupt)),
            };
            let collected = match asked {
                Ok(collected) => collected,
                Err(how) => return Ok(Ended { how, handed_over: 0, troubles: Vec::new() }),
            };
            let read = self.read_so_far()?;
            let mut open = self.open_in(jobs)?;
            // What lies at a host that is another one of the file is told under its other name.
            open.retain(|host, _| {
                !matches!(collected.trouble_of(host), Some(ApplyError::SamePlace { .. }))
            });
            idle = if open.is_empty() { idle + 1 } else { 0 };
            let lanes = self.hosts.iter().enumerate().map(|(at, host)| {
                let mut lane = Lane::new(at, host.clone(), 0);
                lane.open = open.remove(host.name()).unwrap_or_default();
                lane.read.clone_from(&read[at]);
                lane
            });
            let mut follower = Follower {
                observer: &mut *observer,
                interrupts: &mut *interrupts,
                lanes: lanes.collect(),
                hand: None,
                deadline,
                until_lock,
                detach: false,
                tables_at: Instant::now(),
                arrived: 0,
                failed: BTreeSet::new(),
                stopped: false,
            };
            let followed = follower.follow(self, None).await?;
            let troubles = follower.lanes.into_iter();
            let troubles: Vec<(HostName, Trouble)> =
                troubles.flat_map(|mut lane| lane.troubles()).collect();
            let how = match followed {
                Followed::Interrupted(interrupt) => How::Interrupted(interrupt),
                Followed::TimedOut => How::TimedOut,
                Followed::LockFree => How::Done,
                // A queue that stands still may be started by somebody later: only `apply` starts.
                Followed::Ended if !until_lock || self.lock_is_free()? => How::Done,
                Followed::Ended => {
                    // The other apply is about to hand over, or to leave.
                    let pause = Duration::from_millis(50 << idle.min(5));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => continue,
                        interrupt = interrupts.next() => How::Interrupted(interrupt),
                    }
                }
            };
            return Ok(Ended { how, handed_over: 0, troubles });
        }
    }

    /// Jobs at once that a host can run.
    fn slots(&self, host: &HostName) -> u32 {
        self.settings.campaign.hosts.get(host).map_or(1, |host| host.slots).max(1)
    }

    /// Writes down the file's jobs, and which instance they are of.
    pub fn record_jobs(&mut self) -> Result<(), ApplyError> {
        self.settle()?;
        let expansion = Arc::clone(&self.settings.expansion);
        let mut rows = Vec::with_capacity(expansion.len());
        for job in expansion.jobs() {
            let params = job.params_by_name();
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

    /// Whether so many jobs of this apply failed that nothing of it starts any more.
    fn stopped_by_failures(&self, options: &RunOptions) -> Result<bool, ApplyError> {
        let Some(most) = options.max_fail.or(self.settings.campaign.max_fail) else {
            return Ok(false);
        };
        let apply = &options.apply;
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

/// Comes at the deadline; never where there is none.
pub async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

pub(super) fn is_failure(state: State) -> bool {
    matches!(state, State::Failed | State::Timeout | State::Stalled | State::Oom | State::Lost)
}

/// Unique for ever: batches of it are named on the host.
pub fn new_apply_id() -> ApplyId {
    crate::host::random_word().parse().expect("hex digits are a name")
}

//! Following hosts until what was handed over has ended: steps are started, what they bring is recorded and told.
//!
//! It is the one owner of the store while hosts are asked side by side. It decides nothing about a job.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::again::{Down, Repeated};
use super::hand_over::{Hand, prepare_step};
use super::lane::{Chunk, IDLE_ROUNDS, Lane, Said, Step, Trouble};
use super::missing::Before;
use super::tell::job_at;
use super::{ApplyError, Interrupt, Interrupts, Observer, Workspace, joined};
use crate::host::{HostError, Lasting, Probe};
use crate::ids::JobId;
use crate::lifecycle::event::HostState;
use crate::lifecycle::{AttemptState, Event, EventKind};
use crate::store::ApplyLock;

/// One bounded question; a cut connection is noticed by its end.
const POLL_SECONDS: u64 = 50;
/// Between two transactions at least: one a job would compete with the host's own disk writes.
const BUNDLE: Duration = Duration::from_millis(100);
/// How long a host that does not answer is asked again when nothing else is left to wait for.
const DOWN_PATIENCE: Duration = Duration::from_mins(2);
/// Further away than any deadline.
const NEVER: Duration = Duration::from_hours(1);

/// Why the following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// Nothing is left to wait for, or each lane that has something is in trouble.
    Ended,
    /// A signal came.
    Interrupted(Interrupt),
    /// The time was over.
    TimedOut,
    /// Another apply's lock came free.
    LockFree,
}

/// What the following watches and tells.
pub(super) struct Follower<'a> {
    pub(super) observer: &'a mut dyn Observer,
    pub(super) interrupts: &'a mut Interrupts,
    pub(super) lanes: Vec<Lane>,
    /// What may be handed over; `None` where nothing may be started.
    pub(super) hand: Option<Hand<'a>>,
    /// When to give up.
    pub(super) deadline: Option<Instant>,
    /// Whether to look if the lock is free.
    pub(super) until_lock: bool,
    /// Leave as soon as everything was handed over.
    pub(super) detach: bool,
    pub(super) tables_at: Instant,
    /// Number of jobs that arrived at hosts.
    pub(super) arrived: usize,
    /// Jobs of this apply that failed, on whatever host.
    pub(super) failed: BTreeSet<JobId>,
    /// Whether those are so many that nothing of this apply starts any more.
    pub(super) stopped: bool,
}

impl Follower<'_> {
    /// Follows until the end of what is waited for.
    pub(super) async fn follow(
        &mut self,
        workspace: &mut Workspace,
        lock: Option<&ApplyLock>,
    ) -> Result<Followed, ApplyError> {
        let (news, mut receiver) = mpsc::unbounded_channel::<Chunk>();
        let mut steps: JoinSet<(usize, u32, Said)> = JoinSet::new();
        let mut due: Option<Instant> = None;
        let mut recorded: Option<Instant> = None;
        loop {
            self.stop_after_failures(workspace);
            self.pass_shares_on();
            if let Some((lane, step)) = self.deal(workspace)? {
                self.start_beside(lane, step, &news, &mut steps);
            }
            for lane in 0..self.lanes.len() {
                if let Some(step) = self.next_step(workspace, lane)? {
                    self.start(lane, step, &news, &mut steps);
                }
            }
            if self.lanes.iter().all(|lane| lane.step.is_none() && !lane.giving) {
                return Ok(Followed::Ended);
            }
            self.give_up_on_the_silent();
            let flush_in = due.map_or(NEVER, |due| due.saturating_duration_since(Instant::now()));
            let give_up = self
                .deadline
                .map_or(NEVER, |deadline| deadline.saturating_duration_since(Instant::now()));
            tokio::select! {
                Some(chunk) = receiver.recv() => {
                    self.hear(workspace, chunk);
                    // News that come alone are recorded at once.
                    let now = Instant::now();
                    due.get_or_insert(recorded.map_or(now, |at| now.max(at + BUNDLE)));
                }
                Some(said) = steps.join_next() => {
                    // What was streamed before comes first.
                    while let Ok(chunk) = receiver.try_recv() {
                        self.hear(workspace, chunk);
                    }
                    due = None;
                    self.record_bundles(workspace)?;
                    let Some((lane, number, said)) = joined(said) else { continue };
                    if let Said::Gave(gave) = said {
                        self.gave(workspace, lane, gave)?;
                        continue;
                    }
                    if self.lanes[lane].step.as_ref().is_none_or(|(now, _)| *now != number) {
                        continue;
                    }
                    self.lanes[lane].step = None;
                    let looked = matches!(said, Said::Looked(_));
                    self.take(workspace, lane, said, lock)?;
                    // With the other apply gone there is nobody to see to what stands still: that is ours now.
                    if looked && self.until_lock && workspace.lock_is_free()? {
                        return Ok(Followed::LockFree);
                    }
                }
                () = tokio::time::sleep(flush_in), if due.is_some() => {
                    (due, recorded) = (None, Some(Instant::now()));
                    self.record_bundles(workspace)?;
                }
                () = tokio::time::sleep(give_up), if self.deadline.is_some() => {
                    self.record_bundles(workspace)?;
                    return Ok(Followed::TimedOut);
                }
                interrupt = self.interrupts.next() => {
                    self.record_bundles(workspace)?;
                    return Ok(Followed::Interrupted(interrupt));
                }
            }
        }
    }

    fn start(
        &mut self,
        at: usize,
        step: Step,
        news: &mpsc::UnboundedSender<Chunk>,
        steps: &mut JoinSet<(usize, u32, Said)>,
    ) {
        let lane = &mut self.lanes[at];
        lane.steps += 1;
        (lane.news, lane.began) = (false, Instant::now());
        lane.looking = matches!(step, Step::Look { .. });
        let (number, news) = (lane.steps, news.clone());
        let handle = steps.spawn(async move { (at, number, step.take(at, news).await) });
        lane.step = Some((number, handle));
    }

    /// Takes a step while another one of the lane may be under way.
    fn start_beside(
        &self,
        at: usize,
        step: Step,
        news: &mpsc::UnboundedSender<Chunk>,
        steps: &mut JoinSet<(usize, u32, Said)>,
    ) {
        let (number, news) = (self.lanes[at].steps, news.clone());
        steps.spawn(async move { (at, number, step.take(at, news).await) });
    }

    /// What a lane that is not busy does next.
    fn next_step(
        &mut self,
        workspace: &mut Workspace,
        at: usize,
    ) -> Result<Option<Step>, ApplyError> {
        let lane = &mut self.lanes[at];
        if lane.step.is_some() || lane.trouble.is_some() {
            return Ok(None);
        }
        if let Some(step) = lane.next.take() {
            return Ok(Some(step));
        }
        if let Some(hand) = self.hand.as_ref().filter(|_| lane.withdraw) {
            return Ok(Some(Step::Withdraw {
                host: lane.host.clone(),
                instance: workspace.instance().clone(),
                apply: hand.apply.clone(),
                pause: lane.pause(),
            }));
        }
        if let Some(hand) = self.hand.as_ref().filter(|_| !lane.jobs.is_empty() && lane.slots > 0) {
            return Ok(Some(prepare_step(workspace, hand, lane)?));
        }
        if lane.open.is_empty() {
            // Logs come at the end, in one question.
            if !std::mem::take(&mut lane.logs) || lane.host.is_here() {
                return Ok(None);
            }
            let wanted = workspace.logs_wanted(lane.host.name())?;
            let (host, instance) = (lane.host.clone(), workspace.instance().clone());
            return Ok((!wanted.is_empty()).then_some(Step::Logs { host, instance, wanted }));
        }
        let left =
            self.deadline.map(|at| at.saturating_duration_since(Instant::now()).as_secs() + 1);
        let longest = if self.until_lock { 2 } else { POLL_SECONDS };
        let seconds = left.unwrap_or(longest).min(longest);
        // What an earlier apply handed over is seen to though nothing new may be started there.
        let least = u32::from(self.hand.is_some());
        let kick = if lane.kicked { 0 } else { lane.slots.max(least) };
        lane.kicked = true;
        lane.had = workspace.had(lane.host.name())?;
        Ok(Some(Step::Look {
            question: workspace.question(lane.at, lane.read.clone()),
            seconds: (!self.detach && !std::mem::take(&mut lane.ask_now)).then_some(seconds),
            kick,
            pause: lane.pause(),
        }))
    }

    /// Takes over what a step brought.
    fn take(
        &mut self,
        workspace: &mut Workspace,
        at: usize,
        said: Said,
        lock: Option<&ApplyLock>,
    ) -> Result<(), ApplyError> {
        let asked = said.asked();
        match said {
            Said::Prepared(ready) => match *ready {
                Ok(ready) => {
                    self.lanes[at].fit = Some(true);
                    match self.send(workspace, at, ready) {
                        // What a host said of itself cannot be handed back to it: that keeps no other host waiting.
                        Err(error @ ApplyError::Host(_)) => {
                            return self.failed(workspace, at, Repeated::Prepare, error);
                        }
                        sent => sent?,
                    }
                }
                Err(error) if self.lanes[at].jobs.is_empty() => {
                    self.is_unfit(workspace, at, error)?;
                    return Ok(());
                }
                Err(error) => return self.failed(workspace, at, Repeated::Prepare, error),
            },
            Said::Withdrawn(Ok(())) => self.lanes[at].withdraw = false,
            Said::Gave(gave) => return self.gave(workspace, at, gave),
            Said::HandedOver(Ok(())) => self.arrived(workspace, at)?,
            // What became of what was there is told by the next look.
            Said::HandedOver(Err(HostError::OtherRoot { .. })) => self.lanes[at].await_sent(),
            Said::Looked(Ok(probe)) => self.looked(workspace, at, &probe, lock)?,
            Said::HandedOver(Err(error)) => {
                return self.failed(workspace, at, Repeated::HandOver, error.into());
            }
            Said::Looked(Err(error)) => {
                return self.failed(workspace, at, Repeated::Look, error.into());
            }
            Said::Withdrawn(Err(error)) => {
                return self.failed(workspace, at, Repeated::Withdraw, error.into());
            }
            Said::Logs(Ok(())) => {}
            Said::Logs(Err(error)) => {
                let detail = format!("logs were not fetched, the next command does: {error}");
                self.warn(workspace, at, "logs", detail);
            }
        }
        let lane = &mut self.lanes[at];
        let is_done = lane.jobs.is_empty();
        if let Some(down) = lane.down.filter(|down| down.is_over(asked, is_done)) {
            lane.down = None;
            if down.is_silent() {
                let (name, detail) = (lane.host.name().clone(), "it answers again".to_owned());
                let kind = EventKind::Host { host: name, state: HostState::Reachable, detail };
                self.observer.event(&Event { ts: workspace.clock().now(), kind });
            }
        }
        Ok(())
    }

    /// A hand-over arrived, and with it runners were asked for.
    fn arrived(&mut self, workspace: &mut Workspace, at: usize) -> Result<(), ApplyError> {
        let lane = &mut self.lanes[at];
        let sent = std::mem::take(&mut lane.sent);
        let Some(hand) = &self.hand else { return Ok(()) };
        workspace.record_queued(lane.host.name(), hand.apply, &sent)?;
        lane.kicked = true;
        lane.logs = true;
        self.arrived += sent.len();
        for one in &sent {
            if !self.detach {
                lane.open.insert((one.job, one.attempt), AttemptState::Queued);
            }
            let job = job_at(workspace, lane.host.name(), one.job, one.attempt);
            let kind = EventKind::JobQueued { job };
            self.observer.event(&Event { ts: workspace.clock().now(), kind });
        }
        if self.detach {
            lane.open.clear();
        }
        Ok(())
    }

    /// A whole answer came.
    fn looked(
        &mut self,
        workspace: &mut Workspace,
        at: usize,
        probe: &Probe,
        lock: Option<&ApplyLock>,
    ) -> Result<(), ApplyError> {
        let lane = &mut self.lanes[at];
        let before = Before { journal: lane.read.clone(), had: std::mem::take(&mut lane.had) };
        let taken = match workspace.take_answer(lane.at, probe, &before, lock) {
            Err(error) if !error.is_ours() => {
                return self.failed(workspace, at, Repeated::Look, error);
            }
            taken => taken?,
        };
        // With nothing read yet, the next look asks at once and for all of it.
        lane.read = probe.journal.clone().filter(|_| !taken.in_doubt);
        self.warn_refused(workspace, at, &taken.answer.refused);
        self.told(workspace, at, taken.facts, &taken.recorded)?;
        let lane = &mut self.lanes[at];
        // What still waits by a whole answer was asked for in vain, and may be asked for again.
        lane.asked.clear();
        for one in &taken.unstarted {
            lane.news |= lane.open.remove(&(one.job, one.attempt)).is_some();
        }
        if self.detach {
            lane.open.clear();
            return Ok(());
        }
        let quick = lane.began.elapsed() < Duration::from_secs(5);
        lane.idle = if quick && !lane.news { lane.idle + 1 } else { 0 };
        if lane.idle > IDLE_ROUNDS {
            lane.trouble = Some(Trouble::Stuck);
        }
        // Runners have left with entries in the queue: the next look asks for them.
        lane.kicked = false;
        self.write_tables(workspace)
    }

    /// A step failed: the host is asked again where that may help.
    pub(super) fn failed(
        &mut self,
        workspace: &Workspace,
        at: usize,
        asked: Repeated,
        error: ApplyError,
    ) -> Result<(), ApplyError> {
        if error.is_ours() {
            return Err(error);
        }
        let lane = &mut self.lanes[at];
        // Whether the hand-over arrived is told by the next look.
        lane.await_sent();
        // This machine is not asked again: what it cannot do now it tells the person who sits here.
        if lane.host.is_here() || error.lasting() == Lasting::Standing {
            lane.trouble = Some(Trouble::Error(error));
            return Ok(());
        }
        let is_silent = error.is_silence();
        let (down, is_news) = Down::after(lane.down, asked, is_silent);
        lane.down = Some(down);
        let mut detail = error.to_string();
        if lane.open.values().any(|state| *state == AttemptState::Running) {
            detail.push_str("; what runs there goes on");
        }
        lane.silent = Some(error);
        if is_news && !is_silent {
            self.warn(workspace, at, "asked-again", format!("{detail}; asking again"));
        } else if is_news {
            let host = lane.host.name().clone();
            let kind = EventKind::Host { host, state: HostState::Unreachable, detail };
            self.observer.event(&Event { ts: workspace.clock().now(), kind });
        }
        Ok(())
    }

    /// When only hosts that do not answer are left, they are asked for a while longer, not for ever.
    fn give_up_on_the_silent(&mut self) {
        let working = |lane: &Lane| (lane.step.is_some() && lane.down.is_none()) || lane.giving;
        if self.lanes.iter().any(working) {
            return;
        }
        for lane in &mut self.lanes {
            let Some(down) = lane.down.filter(|_| lane.trouble.is_none()) else { continue };
            if down.lasted() > DOWN_PATIENCE {
                if let Some((_, step)) = lane.step.take() {
                    step.abort();
                }
                lane.trouble = lane.silent.take().map(Trouble::Error);
            }
        }
    }
}

//! Between the hosts of one apply: jobs that move to a host that has run dry, shares that pass on, failures counted over all.
//!
//! Which jobs move is decided by `lifecycle::dealing`, and whether one does by the host that has it: its record comes first.

use std::collections::BTreeSet;

use super::again::Repeated;
use super::follow::Follower;
use super::hand_over::prepare_step;
use super::lane::{Lane, Step};
use super::{ApplyError, Workspace};
use crate::host::HostError;
use crate::ids::{Attempt, HostName, JobId};
use crate::lifecycle::dealing::{Load, steal};
use crate::lifecycle::event::JobAt;
use crate::lifecycle::{AttemptState, Event, EventKind, Fact, HostFact, LineError};
use crate::plan::eligible;
use crate::store::{HostMemory, HostReport};

impl Lane {
    /// Attempts that wait in the host's queue, as far as is known, and that may be given away: behind the last number there is
    /// no attempt for another host.
    fn waiting(&self) -> impl Iterator<Item = (JobId, Attempt)> + '_ {
        let queued = |state: &AttemptState| *state == AttemptState::Queued;
        let open = self.open.iter().filter(move |(_, state)| queued(state));
        open.map(|(key, _)| *key).filter(|key| !self.asked.contains(key) && key.1.next().is_some())
    }

    /// Whether nothing waits here, nor is on its way.
    fn is_dry(&self) -> bool {
        let waits =
            |state: &AttemptState| matches!(state, AttemptState::Intended | AttemptState::Queued);
        self.slots > 0
            && self.jobs.is_empty()
            && self.sent.is_empty()
            && self.next.is_none()
            && (self.step.is_none() || self.looking)
            && !self.open.values().any(waits)
    }

    /// The host as dealing sees it. `index`: the place of a job in the campaign, which is the order of queues.
    fn load(&self, index: impl Fn(JobId) -> Option<usize>) -> Load {
        let mut queued: Vec<(usize, JobId)> =
            self.waiting().filter_map(|(job, _)| Some((index(job)?, job))).collect();
        queued.sort_unstable();
        let running = |state: &&AttemptState| **state == AttemptState::Running;
        let running = self.open.values().filter(running).count();
        let running = u32::try_from(running).unwrap_or(u32::MAX);
        let (ended, seconds) = self.measured;
        Load {
            host: self.host.name().clone(),
            slots: self.slots,
            // One that was not seen to run dry takes nothing.
            reachable: self.is_of_use() && (self.is_dry() || !queued.is_empty()),
            // A setup runs alone, so it is on every slot.
            running: if self.sets_up { self.slots } else { running },
            queued: queued.into_iter().map(|(_, job)| job).collect(),
            mean_s: (ended > 0).then(|| seconds / f64::from(ended)),
        }
    }
}

impl Follower<'_> {
    /// Looks for a host that has run dry while another one has jobs that wait, and says what to ask that one: to give some
    /// of them away. One question at a time.
    pub(super) fn deal(
        &mut self,
        workspace: &mut Workspace,
    ) -> Result<Option<(usize, Step)>, ApplyError> {
        let Some(hand) = self.hand.as_ref().filter(|_| !self.detach && !self.stopped) else {
            return Ok(None);
        };
        let takes = |lane: &Lane| lane.is_of_use() && lane.is_dry();
        let gives = |lane: &Lane| lane.is_of_use() && lane.waiting().next().is_some();
        if self.lanes.iter().any(|lane| lane.giving)
            || !self.lanes.iter().any(takes)
            || !self.lanes.iter().any(gives)
        {
            return Ok(None);
        }
        let expansion = workspace.expansion();
        let index = |job: JobId| expansion.index_of(job);
        let loads: Vec<Load> = self.lanes.iter().map(|lane| lane.load(index)).collect();
        let waiting: Vec<usize> =
            loads.iter().flat_map(|load| &load.queued).filter_map(|job| index(*job)).collect();
        let may = eligible(expansion, &waiting)?;
        let may_run = |job: JobId, host: &HostName| {
            index(job).is_some_and(|job| may.contains(&(job, host.clone())))
        };
        let moves = steal(&loads, may_run);
        let Some(first) = moves.first() else { return Ok(None) };
        let (Some(from), Some(to)) = (self.lane_of(&first.from), self.lane_of(&first.to)) else {
            return Ok(None);
        };
        if self.lanes[to].fit.is_none() {
            // What it lacks is found out before it gets anything.
            let step = prepare_step(workspace, hand, &self.lanes[to])?;
            self.lanes[to].stop_looking();
            self.lanes[to].next = Some(step);
            return Ok(None);
        }
        let chosen: BTreeSet<JobId> = moves
            .iter()
            .filter(|one| (&one.from, &one.to) == (&first.from, &first.to))
            .map(|one| one.job)
            .collect();
        let mut attempts = workspace.attempts_by_host(|job| chosen.contains(&job))?;
        let mut named = attempts.remove(&first.from).unwrap_or_default();
        let lane = &mut self.lanes[from];
        let waiting: BTreeSet<(JobId, Attempt)> = lane.waiting().collect();
        named.attempts.retain(|(job, attempt, _)| waiting.contains(&(*job, *attempt)));
        named.attempts.sort_by_key(|(job, _, _)| index(*job));
        lane.asked.extend(waiting.into_iter().filter(|(job, _)| chosen.contains(job)));
        if named.attempts.is_empty() {
            return Ok(None);
        }
        lane.giving = true;
        let (host, instance) = (lane.host.clone(), workspace.instance().clone());
        Ok(Some((from, Step::GiveAway { host, instance, to: first.to.clone(), named })))
    }

    /// A host said which of its jobs it gave away: that is recorded, then told, then those that get them have them.
    pub(super) fn gave(
        &mut self,
        workspace: &mut Workspace,
        at: usize,
        gave: Result<(Vec<HostFact>, Vec<LineError>), HostError>,
    ) -> Result<(), ApplyError> {
        self.lanes[at].giving = false;
        let (mut facts, refused) = match gave {
            Ok(gave) => gave,
            Err(error) => {
                // The next look tells what it has written down.
                let detail = format!("jobs were not moved: {error}");
                self.warn(workspace, at, "move", detail);
                return Ok(());
            }
        };
        self.warn_refused(workspace, at, &refused);
        facts.retain(|fact| matches!(fact, HostFact::Attempt { fact: Fact::Ended(end), .. } if end.moved_to.is_some()));
        workspace.fill_sentences(&mut facts);
        let host = self.lanes[at].host.name().clone();
        let report = HostReport {
            host: &host,
            memory: HostMemory::default(),
            read_from: None,
            whole: false,
            facts: &facts,
        };
        match workspace.store.record(&report) {
            Ok(recorded) => self.told(workspace, at, facts, &recorded)?,
            Err(error) => self.failed(workspace, at, Repeated::Look, error.into())?,
        }
        if self.lanes[at].is_quiet() {
            self.lanes[at].stop_looking();
        }
        Ok(())
    }

    /// A job that a host gave away is the other one's to get.
    pub(super) fn hand_on(&mut self, workspace: &Workspace, job: JobAt, to: &HostName) {
        let JobAt { id, name, host, attempt } = job;
        let kind = EventKind::JobMoved { id, name, from: host, to: to.clone(), attempt };
        self.observer.event(&Event { ts: workspace.clock().now(), kind });
        // Where nothing may be started, or nothing more, it is the next apply's.
        if self.hand.is_none() || self.stopped || attempt.next().is_none() {
            return;
        }
        let (Some(at), Some(index)) = (self.lane_of(to), workspace.expansion().index_of(id)) else {
            return;
        };
        let lane = &mut self.lanes[at];
        lane.jobs.push(index);
        lane.given.insert(index, attempt);
        lane.stop_looking();
    }

    /// A host without a job to run lacks what jobs need, or did not answer: it gets none.
    pub(super) fn is_unfit(
        &mut self,
        workspace: &Workspace,
        at: usize,
        error: ApplyError,
    ) -> Result<(), ApplyError> {
        if error.is_ours() {
            return Err(error);
        }
        self.lanes[at].fit = Some(false);
        let detail = format!("it gets no jobs of others: {error}");
        self.warn(workspace, at, "unfit", detail);
        Ok(())
    }

    /// A host that has no share gets the one of a host that is done.
    pub(super) fn pass_shares_on(&mut self) {
        for at in 0..self.lanes.len() {
            let lane = &self.lanes[at];
            if lane.slots > 0 || lane.jobs.is_empty() || lane.trouble.is_some() {
                continue;
            }
            let none_starts = |lane: &Lane| lane.is_of_use() || lane.setup_failed.is_some();
            let done = |lane: &Lane| lane.slots > 0 && lane.is_quiet() && none_starts(lane);
            let Some(from) = self.lanes.iter().position(done) else { return };
            let share = self.lanes[from].slots.min(self.lanes[at].own_slots);
            self.lanes[from].slots -= share;
            self.lanes[at].slots = share;
        }
    }

    /// So many failures on all hosts together: what is queued of this apply is taken out of every queue.
    pub(super) fn stop_after_failures(&mut self, workspace: &Workspace) {
        let Some(hand) = self.hand.as_ref().filter(|_| !self.stopped) else { return };
        let most = hand.options.max_fail.or(workspace.campaign().max_fail);
        if most.is_none_or(|most| self.failed.len() < most as usize) {
            return;
        }
        self.stopped = true;
        // A single host counts by itself.
        let several = self.lanes.len() > 1;
        for lane in &mut self.lanes {
            lane.jobs.clear();
            lane.given.clear();
            if several && lane.number > 0 {
                lane.withdraw = true;
                lane.stop_looking();
            }
        }
    }

    fn lane_of(&self, host: &HostName) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.host.name() == host)
    }
}

//! Dealing: which waiting jobs move to a host that has run dry.
//!
//! Pure and a proposal: a move counts once the host that gives has written it down, which it refuses when the job has been
//! claimed meanwhile. Where a job begins is not decided here; that is `plan::home`.

use crate::ids::{HostName, JobId};

/// A host as dealing sees it, as it last answered.
#[derive(Debug, Clone)]
pub struct Load {
    /// The host.
    pub host: HostName,
    /// Jobs at once; counts as 1 at least.
    pub slots: u32,
    /// Whether it answers. One that does not takes nothing and gives nothing.
    pub reachable: bool,
    /// Jobs that run there, or slots that nothing can start on.
    pub running: u32,
    /// Jobs of its queue that nobody has claimed, the next one first.
    pub queued: Vec<JobId>,
    /// Measured mean time of a job there in seconds. Where there is none, the slowest of the others counts.
    pub mean_s: Option<f64>,
}

/// A job that should move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The job.
    pub job: JobId,
    /// The host whose queue it leaves.
    pub from: HostName,
    /// The host that gets it.
    pub to: HostName,
}

/// The moves after which all is done sooner, in the order in which the jobs are to stand in the queues of those that get
/// them. `may_run` says whether a host takes a job at all.
///
/// Only a host without a waiting job takes, from the tail of the queue that ends last, and only a job that it ends before
/// the giver would have ended its own last one. So with every move the later of the two ends sooner, and a job that was
/// moved leaves again only when another host has worked off all it had.
pub fn steal(loads: &[Load], may_run: impl Fn(JobId, &HostName) -> bool) -> Vec<Move> {
    let slowest = loads.iter().filter_map(|load| measured(load.mean_s)).reduce(f64::max);
    let reachable = loads.iter().filter(|load| load.reachable);
    let (takers, givers): (Vec<_>, Vec<_>) =
        reachable.partition(|load: &&Load| load.queued.is_empty());
    let half_s = |load: &Load| measured(load.mean_s).or(slowest).unwrap_or(1.0) / 2.0;
    let mut takers: Vec<Taker<'_>> =
        takers.into_iter().map(|load| Taker { load, half_s: half_s(load), got: 0 }).collect();
    let mut givers: Vec<Giver<'_>> = givers
        .into_iter()
        .map(|load| Giver {
            load,
            half_s: half_s(load),
            left: load.queued.clone(),
            unseen: vec![load.queued.len(); takers.len()],
        })
        .collect();
    let mut moves = Vec::new();
    while let Some((giver, taker, at)) = next(&givers, &takers, &may_run) {
        let job = givers[giver].take(taker, at);
        takers[taker].got += 1;
        let (from, to) = (givers[giver].load.host.clone(), takers[taker].load.host.clone());
        moves.push(Move { job, from, to });
    }
    // Taken from the tail; they keep the order they had.
    moves.reverse();
    moves
}

/// The next job to move: whose it is, who gets it, and its place in the queue.
fn next(
    givers: &[Giver<'_>],
    takers: &[Taker<'_>],
    may_run: &impl Fn(JobId, &HostName) -> bool,
) -> Option<(usize, usize, usize)> {
    let mut from: Vec<(f64, usize)> = givers.iter().map(Giver::ends_s).zip(0..).collect();
    let mut to: Vec<(f64, usize)> = takers.iter().map(Taker::ends_s).zip(0..).collect();
    from.sort_by(|a, b| b.0.total_cmp(&a.0));
    to.sort_by(|a, b| a.0.total_cmp(&b.0));
    from.iter().find_map(|&(from_s, giver)| {
        let sooner = to.iter().take_while(|(to_s, _)| to_s * (1.0 + TIE) < from_s);
        sooner.into_iter().find_map(|&(_, taker)| {
            let unseen = &givers[giver].left[..givers[giver].unseen[taker]];
            let at = unseen.iter().rposition(|job| may_run(*job, &takers[taker].load.host))?;
            Some((giver, taker, at))
        })
    })
}

/// Two ends that differ by less are one.
const TIE: f64 = 1e-9;

fn measured(mean_s: Option<f64>) -> Option<f64> {
    mean_s.filter(|mean| mean.is_finite() && *mean > 0.0)
}

/// A host without a waiting job.
struct Taker<'a> {
    load: &'a Load,
    /// Half of a job's time in seconds.
    half_s: f64,
    /// Jobs that come to it.
    got: usize,
}

impl Taker<'_> {
    /// Seconds until it has done one job more.
    fn ends_s(&self) -> f64 {
        halves(self.load, self.got + 1) * self.half_s
    }
}

/// A host with waiting jobs.
struct Giver<'a> {
    load: &'a Load,
    /// Half of a job's time in seconds.
    half_s: f64,
    /// Jobs that it keeps so far.
    left: Vec<JobId>,
    /// For each taker how many of them, from the front, may be for it; those behind are not.
    unseen: Vec<usize>,
}

impl Giver<'_> {
    /// Seconds until it has done what it keeps.
    fn ends_s(&self) -> f64 {
        halves(self.load, self.left.len()) * self.half_s
    }

    fn take(&mut self, taker: usize, at: usize) -> JobId {
        self.unseen[taker] = at;
        for unseen in self.unseen.iter_mut().filter(|unseen| **unseen > at) {
            *unseen -= 1;
        }
        self.left.remove(at)
    }
}

/// Half times of a job until a host with so many waiting ones has done all. One that runs has half of its time to go, as
/// far as anybody knows.
#[expect(clippy::cast_precision_loss, reason = "a campaign has at most a million jobs")]
fn halves(load: &Load, waiting: usize) -> f64 {
    let slots = load.slots.max(1) as usize;
    let running = (load.running as usize).min(slots);
    let halves = match waiting.checked_sub(1) {
        None => running.min(1),
        Some(before_last) => {
            let (rounds, place) = (before_last / slots, before_last % slots);
            // Slots that are free now end each round half a job before those that are not.
            2 * (rounds + 1) + usize::from(place >= slots - running)
        }
    };
    halves as f64
}

//! How far an apply is, in one line: counts, what runs and for how long, how long the rest will take.

use std::time::{Duration, Instant};

use crate::ids::JobId;
use crate::report::span;

/// How far things are.
#[derive(Debug)]
pub(super) struct Progress {
    total: u64,
    ended: u64,
    failed: u64,
    handing_over: bool,
    began: Instant,
    last_end: Option<Instant>,
    running: Vec<(JobId, String, Instant)>,
}

impl Progress {
    /// Nothing has happened yet.
    pub(super) fn new(total: u64, began: Instant) -> Self {
        Self {
            total,
            ended: 0,
            failed: 0,
            handing_over: false,
            began,
            last_end: None,
            running: Vec::new(),
        }
    }

    /// Whether jobs are on their way to a host, which is all that happens then.
    pub(super) fn set_handing_over(&mut self, handing_over: bool) {
        self.handing_over = handing_over;
    }

    /// A job was started.
    pub(super) fn started(&mut self, job: JobId, name: &str, at: Instant) {
        self.running.push((job, name.to_owned(), at));
    }

    /// A job has ended.
    pub(super) fn ended(&mut self, job: JobId, good: bool, at: Instant) {
        if let Some(place) = self.running.iter().position(|(running, ..)| *running == job) {
            self.running.remove(place);
        }
        self.ended += 1;
        self.failed += u64::from(!good);
        self.last_end = Some(at);
    }

    /// The line, cut to `room` characters.
    pub(super) fn text(&self, now: Instant, room: usize) -> String {
        let failed = match self.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let left = self
            .left(now)
            .map_or_else(String::new, |left| format!(", about {} left", seconds(left)));
        let running = match self.running.as_slice() {
            [] if self.handing_over => "  handing over".to_owned(),
            [] => String::new(),
            [(_, name, since), others @ ..] => {
                let ran = seconds(now.saturating_duration_since(*since));
                let others = match others.len() {
                    0 => String::new(),
                    others => format!(" and {others} more"),
                };
                format!("  running {name} {ran}{others}")
            }
        };
        let text = format!("{}/{} ended{failed}{left}{running}", self.ended, self.total);
        if text.chars().count() <= room {
            return text;
        }
        let mut cut: String = text.chars().take(room.saturating_sub(1)).collect();
        cut.push('…');
        cut
    }

    /// The time that the rest takes if it goes on as it went, once it is worth telling.
    fn left(&self, now: Instant) -> Option<Duration> {
        let last_end = self.last_end?;
        let open = u32::try_from(self.total.saturating_sub(self.ended)).ok()?;
        let ended = u32::try_from(self.ended).ok()?;
        let whole = last_end.saturating_duration_since(self.began).checked_div(ended)?;
        let left = whole.saturating_mul(open);
        // Counts down between two ends; a job that takes longer than all before it is not awaited at 0 s.
        let left = left.saturating_sub(now.saturating_duration_since(last_end));
        (left >= Duration::from_secs(5)).then_some(left)
    }
}

/// Whole seconds: a number that changes twice a second is no news.
fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{}s", time.as_secs())
    } else {
        span(Duration::from_secs(time.as_secs()).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_counts_time_and_what_runs() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut progress = Progress::new(10, began);
        assert_eq!(progress.text(at(0), 80), "0/10 ended");
        progress.set_handing_over(true);
        assert_eq!(progress.text(at(0), 80), "0/10 ended  handing over");
        progress.set_handing_over(false);
        let job = |n| JobId([n; 16]);
        progress.started(job(1), "a=1", at(0));
        assert_eq!(progress.text(at(3), 80), "0/10 ended  running a=1 3s");
        progress.ended(job(1), false, at(60));
        progress.started(job(2), "a=2", at(60));
        // Names may repeat.
        progress.started(job(3), "a=2", at(60));
        progress.ended(job(3), true, at(61));
        progress.started(job(4), "a=4", at(61));
        let told = "2/10 ended, 1 failed, about 3m 35s left  running a=2 30s and 1 more";
        assert_eq!(progress.text(at(90), 80), told);
        assert_eq!(progress.text(at(90), 10), "2/10 ende…");
    }
}

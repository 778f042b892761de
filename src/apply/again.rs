//! What a host is asked again where it failed: after which pause, and when it has succeeded.

use std::time::{Duration, Instant};

/// Between two tries to reach a host: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is asked in a step that is repeated when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeated {
    Prepare,
    HandOver,
    Look,
    Withdraw,
}

/// Something that a host is asked again and again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Down {
    asked: Repeated,
    since: Instant,
    tries: u32,
}

impl Down {
    /// After a first try.
    pub(super) fn new(asked: Repeated) -> Self {
        Self { asked, since: Instant::now(), tries: 1 }
    }

    /// After one more try at whatever it was.
    pub(super) fn again(self) -> Self {
        Self { tries: self.tries + 1, ..self }
    }

    /// How long this has gone on.
    pub(super) fn lasted(self) -> Duration {
        self.since.elapsed()
    }

    /// Whether an answer to `asked` ends it. One to something else does not, or a host that does one thing and never the other
    /// would be asked without end. Where nothing is left to be done (`is_done`), a look tells what became of the rest.
    pub(super) fn is_over(self, asked: Option<Repeated>, is_done: bool) -> bool {
        asked == Some(self.asked) || (asked == Some(Repeated::Look) && is_done)
    }

    /// How long to wait before the next try.
    pub(super) fn pause(self) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.tries.min(10)).min(LONGEST_PAUSE);
        // So that many clients do not come back in step.
        pause.mul_f64(0.5 + fraction() / 2.0)
    }
}

/// A number below 1, another one each time.
fn fraction() -> f64 {
    let word = crate::host::random_word();
    let bits = u32::from_str_radix(&word[..8], 16).unwrap_or(0);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_failed_ends_it_by_succeeding() {
        let down = Down::new(Repeated::HandOver).again();
        assert!(!down.is_over(Some(Repeated::Prepare), false));
        assert!(!down.is_over(Some(Repeated::Look), false) && !down.is_over(None, true));
        assert!(down.is_over(Some(Repeated::HandOver), false));
        assert!(down.is_over(Some(Repeated::Look), true));
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let mut down = Down::new(Repeated::Look);
        assert!(down.pause() <= Duration::from_secs(1) && down.pause() >= FIRST_PAUSE);
        for _ in 0..40 {
            down = down.again();
        }
        assert!(down.pause() <= LONGEST_PAUSE && down.pause() >= LONGEST_PAUSE / 2);
    }
}

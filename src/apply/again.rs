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
    /// Whether it did not answer, at one try at least.
    is_silent: bool,
}

impl Down {
    /// After a first try, or one more try at whatever it was; and whether people are to be told, as of the first try and of a
    /// host that fell silent only then.
    pub(super) fn after(before: Option<Self>, asked: Repeated, is_silent: bool) -> (Self, bool) {
        match before {
            None => (Self { asked, since: Instant::now(), tries: 1, is_silent }, true),
            Some(down) => {
                let now = is_silent || down.is_silent;
                (Self { tries: down.tries + 1, is_silent: now, ..down }, now != down.is_silent)
            }
        }
    }

    /// Whether the host did not answer at one try at least.
    pub(super) fn is_silent(self) -> bool {
        self.is_silent
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

    /// After one try, and so many more.
    fn down(asked: Repeated, more: usize) -> Down {
        let first = Down::after(None, asked, true).0;
        (0..more).fold(first, |down, _| Down::after(Some(down), asked, true).0)
    }

    #[test]
    fn silence_is_news_once() {
        let told = |silent: &[bool]| {
            let mut down = None;
            let mut told = Vec::new();
            for is_silent in silent {
                let (now, is_news) = Down::after(down, Repeated::HandOver, *is_silent);
                assert!(now.is_silent() >= *is_silent);
                down = Some(now);
                told.push(is_news);
            }
            told
        };
        assert_eq!(told(&[true, true, false, true]), [true, false, false, false]);
        assert_eq!(told(&[false, false, true, false, true]), [true, false, true, false, false]);
    }

    #[test]
    fn only_what_failed_ends_it_by_succeeding() {
        let down = down(Repeated::HandOver, 1);
        assert!(!down.is_over(Some(Repeated::Prepare), false));
        assert!(!down.is_over(Some(Repeated::Look), false) && !down.is_over(None, true));
        assert!(down.is_over(Some(Repeated::HandOver), false));
        assert!(down.is_over(Some(Repeated::Look), true));
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let first = down(Repeated::Look, 0);
        assert!(first.pause() <= Duration::from_secs(1) && first.pause() >= FIRST_PAUSE);
        let down = down(Repeated::Look, 40);
        assert!(down.pause() <= LONGEST_PAUSE && down.pause() >= LONGEST_PAUSE / 2);
    }
}

//! The wall clock, injected so that outputs can be compared byte for byte.

use std::time::SystemTime;

use jiff::Timestamp;

/// Where the time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The system's clock.
    System,
    /// Always this moment; for tests.
    Fixed(Timestamp),
}

impl Clock {
    /// The present moment.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that others are given")]
    pub fn now(self) -> Timestamp {
        match self {
            // A clock that was set beyond the last moment that can be told stands at that one.
            Self::System => Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::MAX),
            Self::Fixed(moment) => moment,
        }
    }
}

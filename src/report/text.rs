//! Text for people: moments and durations as they are read.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use crate::plan::visible;

/// A moment in files: RFC 3339 UTC, always with milliseconds: readers guess the format of a column from its first value.
pub fn utc(moment: Timestamp) -> String {
    format!("{moment:.3}")
}

/// A moment on a terminal: local, to the second, with the zone.
pub fn local(moment: Timestamp, zone: &TimeZone) -> String {
    moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// Seconds on a terminal: `0.42s`, `3.1s`, `12m 05s`, `2h 03m`, `4d 07h`.
pub fn span(seconds: f64) -> String {
    let Ok(whole) = Duration::try_from_secs_f64(seconds.max(0.0)) else { return "?".to_owned() };
    let rounded = (whole + Duration::from_millis(500)).as_secs();
    match rounded {
        _ if whole < Duration::from_secs(1) => format!("{:.2}s", whole.as_secs_f64()),
        _ if whole < Duration::from_secs(10) => format!("{:.1}s", whole.as_secs_f64()),
        0..60 => format!("{rounded}s"),
        60..3600 => format!("{}m {:02}s", rounded / 60, rounded % 60),
        3600..86_400 => format!("{}h {:02}m", rounded / 3600, rounded / 60 % 60),
        _ => format!("{}d {:02}h", rounded / 86_400, rounded / 3600 % 24),
    }
}

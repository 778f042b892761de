//! Durations: `30s`, `1h 30m`, `1.5h`, ISO 8601's `PT30M`, and Slurm's `D-HH:MM:SS`, `HH:MM:SS` and `MM:SS`.
//!
//! A bare number is refused: Slurm reads it as minutes, most other tools as seconds.

use std::time::Duration;

use jiff::{SpanRelativeTo, fmt::friendly::SpanParser};

/// Why a text is no duration; reads after "the duration …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// A number without a unit.
    #[error("has no unit")]
    NoUnit,
    /// Zero or less.
    #[error("is not longer than nothing")]
    NotPositive,
    /// Anything else.
    #[error("cannot be read")]
    Unreadable,
}

/// Reads a duration longer than zero.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    if text.parse::<f64>().is_ok() {
        return Err(DurationError::NoUnit);
    }
    let duration =
        if text.contains(':') { slurm(text) } else { slurm(text).or_else(|| words(text)) };
    let duration = duration.ok_or(DurationError::Unreadable)?;
    if duration.is_zero() { Err(DurationError::NotPositive) } else { Ok(duration) }
}

/// `D-HH[:MM[:SS]]`, `HH:MM:SS`, `MM:SS`; source: the `--time` option in Slurm's `sbatch(1)`.
fn slurm(text: &str) -> Option<Duration> {
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(digits(days)?), clock),
        None => (None, text),
    };
    let fields = clock.split(':').map(digits).collect::<Option<Vec<_>>>()?;
    let (hours, minutes, seconds) = match (days, fields.as_slice()) {
        (Some(_), [h]) => (*h, 0, 0),
        (Some(_), [h, m]) => (*h, *m, 0),
        (None, [m, s]) => (0, *m, *s),
        (_, [h, m, s]) => (*h, *m, *s),
        _ => return None,
    };
    let carries = seconds < 60
        && (minutes < 60 || fields.len() == 2 && days.is_none())
        && (hours < 24 || days.is_none());
    let hours = days.unwrap_or(0).checked_mul(24)?.checked_add(hours)?;
    let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
    carries.then_some(Duration::from_secs(minutes.checked_mul(60)?.checked_add(seconds)?))
}

fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// jiff's friendly form and ISO 8601, with days of 24 hours; months and years have no fixed length and are refused.
fn words(text: &str) -> Option<Duration> {
    let span = match SpanParser::new().parse_span(text) {
        Ok(span) => span,
        Err(_) => text.parse::<jiff::Span>().ok()?,
    };
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    if duration.is_negative() { None } else { duration.try_into().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_and_slurm_write() {
        for (text, seconds) in [
            ("30s", 30.0),
            ("10m", 600.0),
            ("1h 30m", 5400.0),
            ("1.5h", 5400.0),
            ("1h30m", 5400.0),
            ("2d", 172_800.0),
            ("2 days", 172_800.0),
            ("500ms", 0.5),
            ("PT30M", 1800.0),
            ("01:30:00", 5400.0),
            ("90:00", 5400.0),
            ("0-00:30:00", 1800.0),
            ("1-12:00:00", 129_600.0),
            ("1-12", 129_600.0),
            ("100:00:00", 360_000.0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for (text, error) in [
            ("90", DurationError::NoUnit),
            ("1.5", DurationError::NoUnit),
            ("0s", DurationError::NotPositive),
            ("00:00", DurationError::NotPositive),
            ("", DurationError::Unreadable),
            ("soon", DurationError::Unreadable),
            ("-5m", DurationError::Unreadable),
            ("1-25:00:00", DurationError::Unreadable),
            ("01:60:00", DurationError::Unreadable),
            ("10:99", DurationError::Unreadable),
            ("1 month", DurationError::Unreadable),
            ("99999999999999999-00:00:00", DurationError::Unreadable),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}

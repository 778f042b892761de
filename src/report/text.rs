//! Text for people: control characters made visible, moments and durations as they are read.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The text with everything that would steer a terminal or hide from the eye written out: `\n`, `\u{1b}`. Names and values
/// come from files and hosts that others write.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            c if is_hidden(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Control characters, line separators, marks that turn the direction of text, and characters without width.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

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

//! Names of jobs for people: never a terminal escape, whatever the values hold.
//!
//! A name identifies nothing; two jobs may have the same one.

use std::borrow::Cow;

use crate::campaign::Value;
use crate::campaign::template::text_of;

/// `text` with control characters and the invisible characters that reorder text spelled out, so that it can be printed.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) {
            // `\n`, `\t`, `\r` by their short forms, the rest as `\u{1b}`.
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Control characters of both sets, line separators, and the marks that change the direction of what follows.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `axis=value` pairs joined by commas.
pub(super) fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a Value)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(name);
        out.push('=');
        out.push_str(&visible(&text_of(value)));
    }
    out
}

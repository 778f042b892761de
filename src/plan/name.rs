//! Names of jobs for people: never a terminal escape, whatever the values hold.
//!
//! A name identifies nothing; two jobs may have the same one.

use std::borrow::Cow;

use crate::campaign::Value;
use crate::campaign::template::text_of;

/// The text with everything that would steer a terminal or hide from the eye spelled out: `\n`, `\u{1b}`. Names and values
/// come from files and hosts that others write.
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

/// Control characters, line separators, marks that turn the direction of text, and characters without width.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
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

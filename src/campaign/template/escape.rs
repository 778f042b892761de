//! A value's text, and its escape for each place.

use std::borrow::Cow;

use crate::campaign::model::Value;
use crate::campaign::template::{Place, RenderError};
use crate::shell;

/// The text of a value: integers in decimal, floats as spelled, `true` and `false`.
pub fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Str(text) => Cow::Borrowed(text),
        Value::Int(number) => Cow::Owned(number.to_string()),
        Value::Float { spelled, .. } => Cow::Borrowed(spelled),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
    }
}

/// The text of a value, escaped for a place: in [`Place::Shell`] one word.
///
/// # Errors
/// A text with a NUL byte.
pub fn escape(place: Place, value: &Value) -> Result<Cow<'_, str>, RenderError> {
    match text_of(value) {
        Cow::Borrowed(text) => escape_text(place, text),
        Cow::Owned(text) => Ok(Cow::Owned(escape_text(place, &text)?.into_owned())),
    }
}

/// Escapes a text for a place.
pub(super) fn escape_text(place: Place, text: &str) -> Result<Cow<'_, str>, RenderError> {
    if text.contains('\0') {
        return Err(RenderError::new(
            "a value holds a NUL byte, which nothing on a host can carry",
        ));
    }
    match place {
        Place::Plain => Ok(Cow::Borrowed(text)),
        Place::Shell => quote(text),
        Place::Glob => Ok(escape_glob(text)),
        Place::Regex => Ok(escape_regex(text)),
    }
}

/// Words that begin or end a command of their own where a command may stand; sources: POSIX, XCU 2.4, and bash's manual.
const RESERVED: [&str; 17] = [
    "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for",
    "in", "function", "select", "time", "coproc",
];

/// One word. Plain words stay as they are; everything else is quoted, `a=b` and `time` too, which would be an
/// assignment and a keyword at the head of a command.
fn quote(text: &str) -> Result<Cow<'_, str>, RenderError> {
    let plain = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b':' | b',' | b'@')
    };
    if !text.is_empty() && text.bytes().all(plain) && !RESERVED.contains(&text) {
        return Ok(Cow::Borrowed(text));
    }
    let quoted =
        shell::quote(text).map_err(|error| RenderError::new(format!("a value {error}")))?;
    Ok(Cow::Owned(if quoted == text { format!("'{text}'") } else { quoted }))
}

/// Bracket sets and no backslash: in a shell's unquoted `$pattern` the backslash is no escape everywhere.
fn escape_glob(text: &str) -> Cow<'_, str> {
    if !text.contains(['*', '?', '[', '{', '}', '~', '\\']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 4);
    for c in text.chars() {
        match c {
            '*' | '?' | '[' | '{' | '}' | '~' => out.extend(['[', c, ']']),
            '\\' => out.push_str("[\\\\]"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// `regex_syntax`'s escape, and blanks too, so that a value means itself under `(?x)`.
fn escape_regex(text: &str) -> Cow<'_, str> {
    let special = |c: char| regex_syntax::is_meta_character(c) || c.is_whitespace();
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 4);
    for c in text.chars() {
        if c.is_whitespace() {
            out.extend(["\\x{", &format!("{:x}", u32::from(c)), "}"]);
        } else {
            if regex_syntax::is_meta_character(c) {
                out.push('\\');
            }
            out.push(c);
        }
    }
    Cow::Owned(out)
}

//! The only place that quotes for a shell.
//!
//! Quoting is for POSIX `sh` and everything that reads single quotes alike (bash, zsh, ksh, ash). It runs nothing.

/// A text that a shell word cannot carry, because it ends every C string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("holds a NUL byte, which no argument, variable or file name can carry")]
pub struct NulError;

/// Quotes `text` as one shell word; plain words stay as they are.
pub fn quote(text: &str) -> Result<String, NulError> {
    match shlex::try_quote(text) {
        Ok(quoted) => Ok(quoted.into_owned()),
        Err(_) => Err(NulError),
    }
}

/// Quotes `text` as one shell word of a command that a person may copy, and leaves it as it is where it means the same behind a
/// command's name, such as `n=1`. A NUL byte, which no name has, is left out.
pub fn word(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_./:=,@%+-".contains(&b);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    quote(&text.replace('\0', "")).unwrap_or_default()
}

/// Quotes `text` as one shell word on one line: a newline becomes a reference to the variable `NL`, which the reader
/// has set to a newline. Always quoted, so that the word can stand behind `=`.
pub fn quote_line(text: &str) -> Result<String, NulError> {
    if text.contains('\0') {
        return Err(NulError);
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("'\\''"),
            '\n' => out.push_str("'\"$NL\"'"),
            c => out.push(c),
        }
    }
    out.push('\'');
    Ok(out)
}

/// Splits the words of a setting such as `shell = "bash -euo pipefail"`; `None` when a quote is not closed.
pub fn split(text: &str) -> Option<Vec<String>> {
    shlex::split(text)
}

//! Fields `key=value` of a line that a host sent, and the numbers in them, each within the bound that everything behind the
//! reader can bear: SQLite, JSON, the host script itself.
//!
//! Every kind of line lists the fields that its reader looks at, so that a test can try each of them.

use crate::ids::Attempt;

/// Longer lines are errors; the longest that the host script writes has about 600 bytes.
pub const LINE_MAX: usize = 2048;
/// So many fields at most.
const FIELDS_MAX: usize = 40;
/// The largest number of things and the last place of a list: nine digits, see `is_number` in `10-records.sh`.
pub const COUNT_MAX: u32 = 999_999_999;
/// The largest number of bytes: the last that a reader of JSON keeps exactly. SQLite holds it, too.
pub const SIZE_MAX: u64 = (1 << 53) - 1;

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than [`LINE_MAX`].
    #[error("a line of {0} bytes, more than {LINE_MAX}")]
    TooLong(usize),
    /// A byte that is not printable ASCII.
    #[error("a line with byte {0:#04x}")]
    Byte(u8),
    /// Not `key=value` fields separated by one blank.
    #[error("`{0}` is no field `key=value`")]
    Shape(String),
    /// More fields than any line has.
    #[error("more than {FIELDS_MAX} fields")]
    Crowded,
    /// A key twice.
    #[error("`{0}` stands twice")]
    Twice(&'static str),
    /// A field that this kind of line must have.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A field whose value is not of its form.
    #[error("`{key}={value}` is malformed")]
    Value {
        /// The key.
        key: &'static str,
        /// The value, cut short.
        value: String,
    },
    /// Fields that deny each other.
    #[error("{0}")]
    Contradiction(&'static str),
}

/// A kind of line.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The word that it begins with.
    pub word: &'static str,
    /// The keys of all fields that its reader looks at.
    pub fields: &'static [&'static str],
}

/// The fields of a line; only keys that are asked for are looked at, so a newer script may add some.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    kind: &'static Kind,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    /// Splits what stands behind the word of a line.
    pub(crate) fn parse(kind: &'static Kind, text: &'a str) -> Result<Self, LineError> {
        let mut pairs = Vec::new();
        for field in text.split(' ') {
            let (key, value) = field
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| LineError::Shape(cut(field)))?;
            if pairs.len() == FIELDS_MAX {
                return Err(LineError::Crowded);
            }
            pairs.push((key, value));
        }
        Ok(Self { kind, pairs })
    }

    /// Reads a field that must be there, once.
    pub(crate) fn get<T>(
        &self,
        key: &'static str,
        read: impl Fn(&'a str) -> Option<T>,
    ) -> Result<T, LineError> {
        debug_assert!(
            self.kind.fields.contains(&key),
            "the list of fields of `{}` lacks `{key}`",
            self.kind.word
        );
        let mut found = self.pairs.iter().filter(|(name, _)| *name == key);
        let (_, value) = found.next().ok_or(LineError::Missing(key))?;
        if found.next().is_some() {
            return Err(LineError::Twice(key));
        }
        read(value).ok_or_else(|| LineError::Value { key, value: cut(value) })
    }

    /// Reads a field that may be missing as a whole.
    pub(crate) fn get_newer<T>(
        &self,
        key: &'static str,
        read: impl Fn(&'a str) -> Option<Option<T>>,
    ) -> Result<Option<T>, LineError> {
        match self.get(key, read) {
            Err(LineError::Missing(_)) => Ok(None),
            other => other,
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Reads a number up to `max`, spelled as the shell spells it: digits alone, none of them a leading zero.
fn number(text: &str, max: u64) -> Option<u64> {
    let plain = text == "0" || !text.starts_with('0');
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (plain && digits).then(|| text.parse().ok()).flatten().filter(|number| *number <= max)
}

/// Reads a number of things or a place in a list.
pub(crate) fn count(text: &str) -> Option<u32> {
    number(text, COUNT_MAX.into()).and_then(|number| number.try_into().ok())
}

/// Reads a number of bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    number(text, SIZE_MAX)
}

/// Reads the number of an attempt.
pub(crate) fn attempt(text: &str) -> Option<Attempt> {
    count(text).and_then(Attempt::new)
}

/// Reads an exit code as a shell sees it.
pub(super) fn exit_code(text: &str) -> Option<u8> {
    number(text, u8::MAX.into()).and_then(|number| number.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_the_next_reader_ends() {
        for (text, read) in [
            ("0", Some(0)),
            ("1", Some(1)),
            ("999999999", Some(COUNT_MAX)),
            ("1000000000", None),
            ("4294967296", None),
            ("99999999999999999999999", None),
            ("01", None),
            ("+1", None),
            ("-1", None),
            ("1.0", None),
            ("", None),
        ] {
            assert_eq!(count(text), read, "{text}");
        }
        assert_eq!(attempt("0"), None);
        assert_eq!(attempt("999999999"), Some(Attempt::LAST));
        assert_eq!(Attempt::LAST.next(), None);
        assert_eq!(attempt("999999998").and_then(Attempt::next), Some(Attempt::LAST));
        assert_eq!(size("9007199254740991"), Some(SIZE_MAX));
        assert_eq!(size("9007199254740992"), None);
        assert_eq!((exit_code("255"), exit_code("256")), (Some(255), None));
    }
}

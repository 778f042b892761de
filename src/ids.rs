//! The names and numbers that identify things: campaigns, hosts, axes, jobs, attempts, applies.
//!
//! Only values and their text forms; what a job's id is *computed from* is in `plan::identity`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a name was refused; reads after "the name …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No character at all.
    #[error("is empty")]
    Empty,
    /// More characters than a folder or session name should have.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// A character outside the allowed set.
    #[error("holds `{c}`; allowed are {1}", c = shown(*.0))]
    Character(char, &'static str),
    /// The first character would be read as an option or a number.
    #[error("starts with `{c}`; it starts with {1}", c = shown(*.0))]
    Start(char, &'static str),
}

/// A character in a message, which is never a terminal escape.
fn shown(c: char) -> String {
    if c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric() {
        c.to_string()
    } else {
        c.escape_unicode().to_string()
    }
}

fn check_name(
    text: &str,
    max: usize,
    allowed: fn(char) -> bool,
    words: &'static str,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.chars().count() > max {
        return Err(NameError::TooLong(max));
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(NameError::Character(c, words)),
        None => Ok(()),
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let refused =
                    |error| serde::de::Error::custom(format!("the name `{}` {error}", text.escape_debug()));
                text.parse().map_err(refused)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

fn word(text: &str) -> Result<(), NameError> {
    check_name(
        text,
        64,
        |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'),
        "letters, digits, `_` and `-`",
    )?;
    match text.chars().next() {
        Some('-') => Err(NameError::Start('-', "a letter, a digit or `_`")),
        _ => Ok(()),
    }
}

fn identifier(text: &str) -> Result<(), NameError> {
    check_name(text, 64, |c| c.is_ascii_alphanumeric() || c == '_', "letters, digits and `_`")?;
    match text.chars().next() {
        Some(c) if c.is_ascii_digit() => Err(NameError::Start(c, "a letter or `_`")),
        _ => Ok(()),
    }
}

name_type! {
    /// Name of a campaign, `[A-Za-z0-9_-]{1,64}` with no leading `-`: a folder on every host and part of session names.
    CampaignName, word
}
name_type! {
    /// What tells an instance of a campaign from the others of its name, of the same form as a campaign's name: the file's
    /// `id`, or hex digits that `sp` found or drew (see `apply::instance`).
    InstanceId, word
}
name_type! {
    /// Name of a host in `[hosts.NAME]`, of the same form as a campaign's.
    HostName, word
}
name_type! {
    /// Identity of one `sp apply`, of the same form as a campaign's name: part of file names and lines on hosts.
    ApplyId, word
}
name_type! {
    /// Name of an axis, a variable or a column: an identifier, so that `{{ name }}` is no subtraction.
    AxisName, identifier
}

/// One living copy of a campaign: its name and its id. As text, `NAME~ID`, it names the copy's folder on every host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance {
    /// `NAME~ID`.
    text: String,
    /// Bytes of the name in it.
    name: usize,
}

impl Instance {
    /// The instance of a campaign that has this id.
    pub fn new(campaign: &CampaignName, id: &InstanceId) -> Self {
        Self { text: format!("{campaign}~{id}"), name: campaign.as_str().len() }
    }

    /// `NAME~ID`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The campaign's name.
    pub fn campaign(&self) -> &str {
        &self.text[..self.name]
    }

    /// The id.
    pub fn id(&self) -> InstanceId {
        InstanceId(self.text[self.name + 1..].to_owned())
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that names no instance: `NAME~ID` is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no instance is called so (`NAME~ID`)")]
pub struct InstanceError;

impl FromStr for Instance {
    type Err = InstanceError;
    fn from_str(text: &str) -> Result<Self, InstanceError> {
        let (name, id) = text.split_once('~').ok_or(InstanceError)?;
        let name: CampaignName = name.parse().map_err(|_| InstanceError)?;
        let id: InstanceId = id.parse().map_err(|_| InstanceError)?;
        Ok(Self::new(&name, &id))
    }
}

/// Identity of a job: the first 128 bits of a BLAKE3 hash over its content (see `plan::identity`), 32 hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub [u8; 16]);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is no job id: 32 lower-case hex digits are wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no job id (32 hex digits)")]
pub struct JobIdError(String);

impl FromStr for JobId {
    type Err = JobIdError;
    fn from_str(text: &str) -> Result<Self, JobIdError> {
        let wrong = || JobIdError(text.to_owned());
        if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong());
        }
        u128::from_str_radix(text, 16).map(|n| Self(n.to_be_bytes())).map_err(|_| wrong())
    }
}

/// The n-th execution of a job on a host, from 1; never reused, so that a late report of an old one cannot count.
///
/// Only numbers that the host script can write exist: at most nine digits, see `is_number` in `10-records.sh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Attempt(u32);

impl Attempt {
    /// The first attempt of a job.
    pub const FIRST: Self = Self(1);
    /// The last attempt that a host can write down; behind it a job cannot run again.
    pub const LAST: Self = Self(999_999_999);

    /// Returns the attempt with this number; `None` for a number that no host can write.
    pub fn new(number: u32) -> Option<Self> {
        (Self::FIRST.0..=Self::LAST.0).contains(&number).then_some(Self(number))
    }

    /// Returns the attempt behind this one; `None` behind the last.
    pub fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// Returns the attempt that comes behind the newest one, which is the first where there was none.
    pub fn behind(newest: Option<Self>) -> Option<Self> {
        newest.map_or(Some(Self::FIRST), Self::next)
    }

    /// Returns the number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

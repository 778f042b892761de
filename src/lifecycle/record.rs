//! The lines that hosts answer with: bytes in, facts out.
//!
//! What a host sends is not trusted: every line is bounded, a malformed one is an error of that line alone, and nothing
//! here panics or guesses. A line without its end mark ` .` was torn and does not exist. Framing is `host`'s work.

use std::str::FromStr;

use jiff::Timestamp;

use crate::ids::{ApplyId, HostName, JobId};
use crate::lifecycle::fact::{BadCleanup, Ending, Fact, HostFact, Marker, Tree, Verdict};
use crate::lifecycle::fields::{
    Fields, Kind, LINE_MAX, LineError, attempt, count, exit_code, size,
};
use crate::lifecycle::life::Final;
use crate::lifecycle::reason::Reason;
use crate::lifecycle::unit::{Unit, UnitKind};

/// So many errors of one answer are kept word for word; the rest is counted.
const ERRORS_KEPT: usize = 16;

/// What a stretch of lines held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lines {
    /// The facts, in order.
    pub facts: Vec<HostFact>,
    /// The first errors, each with the offset of its line.
    pub errors: Vec<(usize, LineError)>,
    /// How many lines were refused in all.
    pub refused: usize,
    /// Bytes up to and with the last line end; what follows may still be being written, and is read again.
    pub consumed: usize,
}

/// Reads whole lines; what stands behind the last line end is left.
pub fn parse_lines(bytes: &[u8]) -> Lines {
    let mut lines = Lines::default();
    while let Some(length) = bytes[lines.consumed..].iter().position(|b| *b == b'\n') {
        let start = lines.consumed;
        match parse_line(&bytes[start..start + length]) {
            Ok(fact) => lines.facts.extend(fact),
            Err(error) => {
                lines.refused += 1;
                if lines.errors.len() < ERRORS_KEPT {
                    lines.errors.push((start, error));
                }
            }
        }
        lines.consumed = start + length + 1;
    }
    lines
}

/// Reads one line, without its line end. `None`: a torn line, or a kind of line that this version does not know.
pub fn parse_line(line: &[u8]) -> Result<Option<HostFact>, LineError> {
    if line.len() > LINE_MAX {
        return Err(LineError::TooLong(line.len()));
    }
    let Some(body) = line.strip_suffix(b" .") else { return Ok(None) };
    if let Some(byte) = body.iter().find(|b| !matches!(b, b' '..=b'~')) {
        return Err(LineError::Byte(*byte));
    }
    // All bytes are ASCII by now.
    let body = String::from_utf8_lossy(body);
    let (word, rest) = body.split_once(' ').unwrap_or((&body, ""));
    let Some((kind, read)) = RECORDS.iter().find(|(kind, _)| kind.word == word) else {
        return Ok(None);
    };
    read(&Fields::parse(kind, rest)?).map(Some)
}

type Read = fn(&Fields<'_>) -> Result<HostFact, LineError>;

/// The kinds of lines that are facts, with all fields that are looked at, and their readers.
const RECORDS: &[(Kind, Read)] = &[
    (Kind { word: "start", fields: &["id", "n", "apply", "kind", "slot", "t", "up"] }, start),
    (
        Kind {
            word: "end",
            fields: &[
                "id", "n", "apply", "kind", "slot", "up", "state", "reason", "rc", "sig", "by",
                "marker", "left", "cleanup", "cut", "started", "ended", "el", "to", "snapshot",
                "code", "git", "dirty",
            ],
        },
        end,
    ),
    (Kind { word: "accept", fields: &["id", "from"] }, accept),
    (Kind { word: "removed", fields: &["id", "n"] }, removed),
    (
        Kind {
            word: "open",
            fields: &["id", "n", "apply", "kind", "verdict", "slot", "t", "session"],
        },
        open,
    ),
    (Kind { word: "queued", fields: &["id", "n", "apply", "kind"] }, queued),
];

/// Returns every kind of line that is a fact.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    RECORDS.iter().map(|(kind, _)| kind)
}

fn start(fields: &Fields<'_>) -> Result<HostFact, LineError> {
    fields.get("up", seconds)?;
    let started = Fact::Started { slot: fields.get("slot", count)?, at: fields.get("t", moment)? };
    of_attempt(fields, started)
}

fn queued(fields: &Fields<'_>) -> Result<HostFact, LineError> {
    of_attempt(fields, Fact::Queued)
}

fn open(fields: &Fields<'_>) -> Result<HostFact, LineError> {
    let verdict = fields.get("verdict", |word| match word {
        "starting" => Some(Verdict::Starting),
        "running" => Some(Verdict::Running),
        "orphan" => Some(Verdict::Orphan),
        "foreign" => Some(Verdict::Foreign),
        _ => None,
    })?;
    let open = Fact::Open {
        verdict,
        slot: fields.get("slot", count)?,
        started: fields.get("t", |text| or_none(text, moment))?,
        session: fields.get("session", |text| or_none(text, session))?,
    };
    of_attempt(fields, open)
}

fn accept(fields: &Fields<'_>) -> Result<HostFact, LineError> {
    let (job, from): (JobId, JobId) = (fields.get("id", parsed)?, fields.get("from", parsed)?);
    if job == from {
        return Err(LineError::Contradiction("a job cannot accept its own result"));
    }
    Ok(HostFact::Accepted { job, from })
}

fn removed(fields: &Fields<'_>) -> Result<HostFact, LineError> {
    Ok(HostFact::FilesRemoved {
        job: fields.get("id", parsed)?,
        attempt: fields.get("n", attempt)?,
    })
}

fn end(fields: &Fields<'_>) -> Result<HostFact, LineError> {
    // An attempt that was cancelled in the queue never had a slot.
    fields.get("slot", |text| or_none(text, count))?;
    fields.get("up", seconds)?;
    let ending = Ending {
        state: fields.get("state", parsed::<Final>)?,
        reason: fields.get("reason", parsed::<Reason>)?,
        exit_code: fields.get("rc", |text| or_none(text, exit_code))?,
        signal: fields.get("sig", |text| or_none(text, signal))?,
        by: fields.get("by", word)?,
        marker: fields.get("marker", |text| or_none(text, marker))?,
        leftovers: fields.get("left", word)?,
        cleanup: fields.get_newer("cleanup", cleanup)?,
        cut: fields.get_newer("cut", |text| or_none(text, size))?,
        started: fields.get("started", |text| or_none(text, moment))?,
        ended: fields.get("ended", moment)?,
        elapsed_s: fields.get("el", |text| or_none(text, seconds))?,
        moved_to: fields.get_newer("to", |text| or_none(text, parsed::<HostName>))?,
        tree: tree(fields)?,
        detail: String::new(),
    };
    // `succeeded` is the one state that lets later work rest on it: it needs an exit code that a witness recorded.
    if (ending.state == Final::Succeeded) != (ending.reason == Reason::Ok) {
        return Err(LineError::Contradiction("state and reason deny each other"));
    }
    if ending.state == Final::Succeeded
        && (ending.exit_code.is_none() || ending.signal.is_some() || ending.marker.is_some())
    {
        return Err(LineError::Contradiction("succeeded without an exit code of its own"));
    }
    // Another host may start the job by this: it needs to be said in full.
    let moved = ending.reason == Reason::Moved;
    if moved != ending.moved_to.is_some()
        || (moved && (ending.state != Final::Cancelled || ending.started.is_some()))
    {
        return Err(LineError::Contradiction("it is not clear whether another host got the job"));
    }
    of_attempt(fields, Fact::Ended(Box::new(ending)))
}

/// Fields that came later than the others: a line of an older script has none of them.
fn tree(fields: &Fields<'_>) -> Result<Tree, LineError> {
    Ok(Tree {
        snapshot: fields.get_newer("snapshot", |text| or_none(text, name))?,
        code: fields.get_newer("code", |text| or_none(text, digest))?,
        git_rev: fields.get_newer("git", |text| or_none(text, commit))?,
        dirty: fields.get_newer("dirty", |text| or_none(text, flag))?,
    })
}

/// Reads whose attempt a line is about, and makes the fact one of that attempt.
fn of_attempt(fields: &Fields<'_>, fact: Fact) -> Result<HostFact, LineError> {
    let id = fields.get("id", parsed::<JobId>)?;
    let attempt = fields.get("n", attempt)?;
    let apply = fields.get("apply", parsed::<ApplyId>)?;
    // The lines of jobs have no kind.
    let kind = fields
        .get_newer("kind", |word| parsed(word).filter(|kind| *kind != UnitKind::Job).map(Some))?;
    let unit = Unit::new(kind.unwrap_or(UnitKind::Job), id);
    // A setup is run when a job needs it; it never waits in a queue.
    if fact == Fact::Queued && unit.job().is_none() {
        return Err(LineError::Contradiction("a setup is not queued"));
    }
    Ok(HostFact::Attempt { unit, attempt, apply, fact })
}

/// Reads a word by its type; a leading `+`, which no host writes, is not taken for a part of it.
fn parsed<T: FromStr>(text: &str) -> Option<T> {
    (!text.starts_with('+')).then(|| text.parse().ok()).flatten()
}

#[expect(clippy::option_option, reason = "outer: is it well-formed; inner: is there a value")]
/// `none` is nothing; anything else must be of the form.
fn or_none<'a, T>(text: &'a str, read: impl Fn(&'a str) -> Option<T>) -> Option<Option<T>> {
    if text == "none" { Some(None) } else { read(text).map(Some) }
}

/// Digits with at most three decimals, as milliseconds.
fn millis(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 12 || fraction.len() > 3 {
        return None;
    }
    let thousandths: i64 = format!("{fraction:0<3}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(thousandths)
}

fn moment(text: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis(text)?).ok()
}

fn seconds(text: &str) -> Option<f64> {
    // 12 digits and 3 decimals are exact in a double.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53 by the check in `millis`")]
    millis(text).map(|millis| millis as f64 / 1000.0)
}

fn signal(text: &str) -> Option<String> {
    let fits = (1..=12).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-'));
    fits.then(|| format!("SIG{text}"))
}

fn session(text: &str) -> Option<String> {
    let fits = (1..=160).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'~'));
    fits.then(|| text.to_owned())
}

/// Words that are kept as evidence and decide nothing.
fn word(text: &str) -> Option<String> {
    let fits =
        (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    fits.then(|| text.to_owned())
}

/// A name as the host lets it stand in a record, see `is_name` there.
fn name(text: &str) -> Option<String> {
    let fits = (1..=100).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    fits.then(|| text.to_owned())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// SHA-1 or SHA-256, whole.
fn commit(text: &str) -> Option<String> {
    (matches!(text.len(), 40 | 64) && is_hex(text)).then(|| text.to_owned())
}

fn digest(text: &str) -> Option<[u8; 32]> {
    is_hex(text).then(|| blake3::Hash::from_hex(text).ok().map(|hash| *hash.as_bytes())).flatten()
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[expect(clippy::option_option, reason = "outer: is it well-formed; inner: is there a bad end")]
fn cleanup(text: &str) -> Option<Option<BadCleanup>> {
    Some(match text {
        "none" | "ok" => None,
        "limit" => Some(BadCleanup::Limit),
        "cancelled" => Some(BadCleanup::Cancelled),
        code => Some(BadCleanup::Code(parsed(code)?)),
    })
}

fn marker(text: &str) -> Option<Marker> {
    match text {
        "log" => Some(Marker::Log),
        "count" => Some(Marker::Count),
        _ => text.strip_prefix("files.").and_then(count).map(Marker::File),
    }
}

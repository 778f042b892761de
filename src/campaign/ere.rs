//! A Rust regular expression as a POSIX extended one, for `LC_ALL=C grep -aqE` on the host.
//!
//! The meaning is that of the Rust syntax over the characters of a line: `^` and `$` are its ends, `.` is any character,
//! `\d \w \s` are ASCII. Since a host may have no UTF-8 locale, characters outside ASCII are spelled out as bytes: the host
//! puts them between the pieces that [`translate`] returns. Greed makes no difference to whether a line matches. What
//! `grep -E` cannot say is refused in words. Measured against GNU and busybox grep; see the differential test.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Look};

/// POSIX promises no more repetitions than this (`RE_DUP_MAX`; musl has exactly that many).
const MAX_REPEAT: u32 = 255;
/// Characters of an expression with its repetitions written out; more is no marker.
const MAX_COST: u64 = 20_000;
/// Where the bytes outside ASCII go as the end of a set, in the text that is being printed. No character.
const HIGH: char = '\u{fdd0}';
/// Where any character outside ASCII goes.
const NON_ASCII: char = '\u{fdd1}';

/// Why an expression cannot run on a host; reads as a sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EreError {
    /// No regular expression at all.
    #[error("{0}")]
    Syntax(String),
    /// `\b`, `\B` and their kin.
    #[error("`\\b` and other word boundaries do not exist in every host's `grep -E`")]
    WordBoundary,
    /// `\A` and `\z`.
    #[error("`\\A` and `\\z` have no meaning in a log that is searched line by line")]
    TextBoundary,
    /// `\p{…}`, `(?u)`, and sets with characters outside ASCII.
    #[error("a set that names characters outside ASCII is not supported")]
    Unicode,
    /// A newline that must be there.
    #[error("a match lies within one line, so it cannot hold a newline")]
    Newline,
    /// NUL or a byte that is no text.
    #[error("a pattern cannot carry NUL or single bytes outside ASCII")]
    Byte,
    /// A repetition above 255.
    #[error("a repetition of more than 255 does not exist in every host's `grep -E`")]
    Repeat,
    /// Such as `(^a)+`.
    #[error("`^` or `$` is repeated, which greps read in different ways")]
    RepeatedAnchor,
    /// Such as `[a&&b]`.
    #[error("a set is empty, so nothing can match")]
    Nothing,
    /// An expression that expands to too much.
    #[error("the expression is too large")]
    TooLarge,
}

impl EreError {
    /// The next edit.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Syntax(_) => {
                "the syntax is that of https://docs.rs/regex; a literal `(` is `\\(`"
            }
            Self::WordBoundary => {
                "write what stands beside the word, as in `(^|[^A-Za-z])done([^A-Za-z]|$)`"
            }
            Self::TextBoundary => "write `^` and `$` for the ends of a line",
            Self::Unicode => "write the characters out, joined by `|`: `(é|è)`",
            Self::Newline => "choose one line that tells",
            Self::Byte => "write printable characters, or `.` for any",
            Self::Repeat => "write `+`, or a smaller number",
            Self::RepeatedAnchor => "take the anchor out of the repetition: `^(a)+`",
            Self::Nothing => "leave the set out",
            Self::TooLarge => "shorten it; a marker is best one plain line",
        }
    }
}

/// Prints a Rust regular expression as the pieces of a POSIX ERE. Between them the host puts in turn the range of the bytes
/// outside ASCII, within a set, and an expression for any character outside ASCII.
///
/// # Errors
/// See [`EreError`].
pub fn translate(pattern: &str) -> Result<Vec<String>, EreError> {
    if pattern.contains([HIGH, NON_ASCII]) {
        return Err(EreError::Byte);
    }
    let hir = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .multi_line(true)
        .build()
        .parse(pattern)
        .map_err(|error| syntax(&error))?;
    if cost(&hir) > MAX_COST {
        return Err(EreError::TooLarge);
    }
    let mut out = String::new();
    print(&hir, &mut out)?;
    Ok(out.split([HIGH, NON_ASCII]).map(str::to_owned).collect())
}

fn syntax(error: &regex_syntax::Error) -> EreError {
    use regex_syntax::{ast, hir};
    match error {
        regex_syntax::Error::Parse(e) => match e.kind() {
            ast::ErrorKind::UnsupportedLookAround => {
                EreError::Syntax("look-around (`(?=`, `(?!`, `(?<`) is not supported".to_owned())
            }
            ast::ErrorKind::UnsupportedBackreference => {
                EreError::Syntax("back-references are not supported".to_owned())
            }
            kind => EreError::Syntax(kind.to_string()),
        },
        regex_syntax::Error::Translate(e) => match e.kind() {
            hir::ErrorKind::UnicodeNotAllowed
            | hir::ErrorKind::UnicodePropertyNotFound
            | hir::ErrorKind::UnicodePropertyValueNotFound
            | hir::ErrorKind::UnicodePerlClassNotFound
            | hir::ErrorKind::UnicodeCaseUnavailable => EreError::Unicode,
            hir::ErrorKind::InvalidUtf8 => EreError::Byte,
            kind => EreError::Syntax(kind.to_string()),
        },
        _ => EreError::Syntax(error.to_string()),
    }
}

/// Characters and sets with every repetition written out, which is what a grep holds in memory.
fn cost(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        // As many as the bytes of characters outside ASCII are told in.
        HirKind::Class(_) => 8,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Capture(capture) => cost(&capture.sub),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            cost(&repetition.sub).saturating_mul(u64::from(times))
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(cost).fold(0, u64::saturating_add)
        }
    }
}

fn print(hir: &Hir, out: &mut String) -> Result<(), EreError> {
    match hir.kind() {
        HirKind::Empty => Ok(()),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).map_err(|_| EreError::Byte)?;
            text.chars().try_for_each(|c| print_char(c, out))
        }
        HirKind::Class(class) => print_class(class, out),
        HirKind::Look(Look::StartLF) => {
            out.push('^');
            Ok(())
        }
        HirKind::Look(Look::EndLF) => {
            out.push('$');
            Ok(())
        }
        HirKind::Look(Look::Start | Look::End | Look::StartCRLF | Look::EndCRLF) => {
            Err(EreError::TextBoundary)
        }
        HirKind::Look(_) => Err(EreError::WordBoundary),
        HirKind::Capture(capture) => print_group(&capture.sub, out),
        HirKind::Repetition(repetition) => {
            let (min, max) = (repetition.min, repetition.max);
            if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT) {
                return Err(EreError::Repeat);
            }
            if max == Some(0) || is_empty(&repetition.sub) {
                return Ok(());
            }
            if let HirKind::Look(_) = repetition.sub.kind() {
                // Some greps read `^*` as a literal star; the anchor counts once or not at all.
                return if min == 0 { Ok(()) } else { print(&repetition.sub, out) };
            }
            if !repetition.sub.properties().look_set().is_empty() {
                return Err(EreError::RepeatedAnchor);
            }
            print_repeated(&repetition.sub, out)?;
            match (min, max) {
                (0, None) => out.push('*'),
                (1, None) => out.push('+'),
                (0, Some(1)) => out.push('?'),
                (1, Some(1)) => {}
                (min, None) => out.push_str(&format_bounds(min, ",", "")),
                (min, Some(max)) if min == max => out.push_str(&format_bounds(min, "", "")),
                (min, Some(max)) => out.push_str(&format_bounds(min, ",", &max.to_string())),
            }
            Ok(())
        }
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| match part.kind() {
            HirKind::Alternation(_) => print_group(part, out),
            _ => print(part, out),
        }),
        HirKind::Alternation(parts) => print_choice(parts, out),
    }
}

fn format_bounds(min: u32, comma: &str, max: &str) -> String {
    format!("{{{min}{comma}{max}}}")
}

fn is_empty(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Capture(capture) => is_empty(&capture.sub),
        _ => false,
    }
}

/// A group; an empty one is left out, since `()` is not known everywhere.
fn print_group(sub: &Hir, out: &mut String) -> Result<(), EreError> {
    let start = out.len();
    out.push('(');
    print(sub, out)?;
    if out.len() == start + 1 {
        out.truncate(start);
    } else {
        out.push(')');
    }
    Ok(())
}

/// What a repetition applies to: a single character, set or group.
fn print_repeated(sub: &Hir, out: &mut String) -> Result<(), EreError> {
    match sub.kind() {
        HirKind::Class(_) | HirKind::Capture(_) => print(sub, out),
        HirKind::Literal(literal) if literal.0.len() == 1 => print(sub, out),
        _ => print_group(sub, out),
    }
}

/// Branches; an empty one makes the rest optional, since `(a|)` is not known everywhere.
fn print_choice(parts: &[Hir], out: &mut String) -> Result<(), EreError> {
    let start = out.len();
    let mut optional = false;
    for part in parts {
        let from = out.len();
        if from > start {
            out.push('|');
        }
        let branch = out.len();
        print(part, out)?;
        if out.len() == branch {
            out.truncate(from);
            optional = true;
        }
    }
    if optional && out.len() > start {
        out.insert(start, '(');
        out.push_str(")?");
    }
    Ok(())
}

fn print_char(c: char, out: &mut String) -> Result<(), EreError> {
    match c {
        '\n' => return Err(EreError::Newline),
        '\0' => return Err(EreError::Byte),
        '.' | '[' | '\\' | '(' | ')' | '*' | '+' | '?' | '{' | '|' | '^' | '$' => out.push('\\'),
        _ => {}
    }
    out.push(c);
    Ok(())
}

fn print_class(class: &Class, out: &mut String) -> Result<(), EreError> {
    let mut set = match class {
        Class::Bytes(bytes) => bytes.clone(),
        Class::Unicode(unicode) => unicode.to_byte_class().ok_or(EreError::Unicode)?,
    };
    if set.ranges().is_empty() {
        return Err(EreError::Nothing);
    }
    // A line holds no newline, and a newline would split the pattern in two.
    let newline = ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]);
    set.difference(&newline);
    if set.ranges().is_empty() {
        return Err(EreError::Newline);
    }
    if set.ranges().iter().any(|range| range.end() > 0x7f) {
        // Printed by what is left out, which must then be all ASCII, with the other characters beside it.
        set.union(&newline);
        set.negate();
        if set.ranges().iter().any(|range| range.end() > 0x7f || range.start() == 0) {
            return Err(EreError::Byte);
        }
        out.push_str("([^");
        let start = out.len();
        print_set(&set, out);
        // A `-` means itself at the end alone.
        let dash = out.len() > start && out.ends_with('-');
        if dash {
            out.pop();
        }
        out.push(HIGH);
        out.push_str(if dash { "-]|" } else { "]|" });
        out.push(NON_ASCII);
        out.push(')');
        return Ok(());
    }
    if set.ranges().first().is_some_and(|range| range.start() == 0) {
        return Err(EreError::Byte);
    }
    if let [one] = set.ranges()
        && one.start() == one.end()
    {
        return print_char(char::from(one.start()), out);
    }
    out.push('[');
    print_set(&set, out);
    out.push(']');
    Ok(())
}

/// The inside of a bracket set: `]` first, `[`, `^` and `-` last, so that none of them has its special meaning.
fn print_set(set: &ClassBytes, out: &mut String) {
    let special = |b: u8| matches!(b, b']' | b'[' | b'^' | b'-');
    let has = |b: u8| set.ranges().iter().any(|range| (range.start()..=range.end()).contains(&b));
    let first = out.len();
    if has(b']') {
        out.push(']');
    }
    for range in set.ranges() {
        let (mut start, mut end) = (range.start(), range.end());
        while start < end && special(start) {
            start += 1;
        }
        while start < end && special(end) {
            end -= 1;
        }
        match end - start {
            0 if special(start) => {}
            0 => out.push(char::from(start)),
            1 => {
                let both = [start, end].into_iter().filter(|b| !special(*b));
                out.extend(both.map(char::from));
            }
            _ => out.extend([char::from(start), '-', char::from(end)]),
        }
    }
    if has(b'[') {
        out.push('[');
    }
    // `[^` would negate; `[-^]` does not.
    let only_signs = out.len() == first && out.ends_with('[');
    if has(b'-') && only_signs && has(b'^') {
        out.push_str("-^");
        return;
    }
    if has(b'^') {
        out.push('^');
    }
    if has(b'-') {
        out.push('-');
    }
}

#[cfg(test)]
mod tests;

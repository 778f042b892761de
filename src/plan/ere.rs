//! `[done] log`: from the regular expressions of Rust to the extended ones of `grep -E`.
//!
//! The host judges the log line by line, in the C locale, with GNU, busybox or musl underneath; what means the same
//! everywhere is translated and the rest is refused with a sentence, because a marker that quietly means something else
//! would give a wrong final state. `\d`, `\w` and `\s` are ASCII here.

use regex_syntax::ast::{
    AssertionKind, Ast, ClassAsciiKind, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem,
    GroupKind, Literal, RepetitionKind, RepetitionRange,
};

/// Why a pattern has no translation; reads after "and".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EreError {
    /// No regular expression at all.
    #[error("that is no regular expression: {0}")]
    Syntax(String),
    /// Something that the host's `grep -E` does not have, or not everywhere.
    #[error("the host's `grep -E` has no {0}")]
    Missing(&'static str),
    /// A line break.
    #[error("the log is matched line by line, so a line break matches nothing")]
    LineBreak,
    /// No pattern, or an empty branch of one.
    #[error("an empty pattern or branch matches every line")]
    Empty,
}

/// `RE_DUP_MAX` of POSIX: a larger count is not accepted everywhere.
const MOST_REPETITIONS: u32 = 255;

/// Translates a pattern.
///
/// # Errors
/// A pattern that Rust would not accept, or that not every `grep -E` could say.
pub fn translate(pattern: &str) -> Result<String, EreError> {
    regex_syntax::parse(pattern).map_err(|error| {
        EreError::Syntax(match error {
            regex_syntax::Error::Parse(error) => error.kind().to_string(),
            regex_syntax::Error::Translate(error) => error.kind().to_string(),
            error => error.to_string(),
        })
    })?;
    let ast = regex_syntax::ast::parse::Parser::new()
        .parse(pattern)
        .map_err(|error| EreError::Syntax(error.kind().to_string()))?;
    let mut out = String::with_capacity(pattern.len());
    write(&ast, &mut out)?;
    Ok(out)
}

fn write(ast: &Ast, out: &mut String) -> Result<(), EreError> {
    match ast {
        Ast::Empty(_) => Err(EreError::Empty),
        Ast::Flags(_) => Err(EreError::Missing("flags such as `(?i)`; write `[Dd]one`")),
        Ast::Literal(literal) => write_literal(literal, out),
        Ast::Dot(_) => {
            out.push('.');
            Ok(())
        }
        Ast::Assertion(assertion) => match assertion.kind {
            AssertionKind::StartLine => {
                out.push('^');
                Ok(())
            }
            AssertionKind::EndLine => {
                out.push('$');
                Ok(())
            }
            AssertionKind::StartText | AssertionKind::EndText => {
                Err(EreError::Missing("`\\A` and `\\z`; use `^` and `$`"))
            }
            _ => {
                Err(EreError::Missing("word boundaries on every system; use `[^a-z]` and the like"))
            }
        },
        Ast::ClassUnicode(_) => Err(EreError::Missing("Unicode classes")),
        Ast::ClassPerl(class) => {
            let mut set = Set::default();
            set.perl_kind(&class.kind);
            set.write(class.negated, out)
        }
        Ast::ClassBracketed(class) => {
            let mut set = Set::default();
            match &class.kind {
                ClassSet::Item(item) => set.item(item)?,
                ClassSet::BinaryOp(_) => {
                    return Err(EreError::Missing("`&&`, `--` and `~~` in a class"));
                }
            }
            set.write(class.negated, out)
        }
        Ast::Repetition(repetition) => {
            let atom = match &*repetition.ast {
                // A letter of several bytes is several characters in the C locale.
                Ast::Literal(literal) => literal.c.is_ascii(),
                Ast::Dot(_) | Ast::ClassPerl(_) | Ast::ClassBracketed(_) | Ast::Group(_) => true,
                _ => false,
            };
            if atom {
                write(&repetition.ast, out)?;
            } else {
                out.push('(');
                write(&repetition.ast, out)?;
                out.push(')');
            }
            // Whether it is greedy changes what is matched, not whether.
            out.push_str(&repetition_text(&repetition.op.kind)?);
            Ok(())
        }
        Ast::Group(group) => {
            if let GroupKind::NonCapturing(flags) = &group.kind
                && !flags.items.is_empty()
            {
                return Err(EreError::Missing("flags such as `(?i:…)`; write `[Dd]one`"));
            }
            out.push('(');
            write(&group.ast, out)?;
            out.push(')');
            Ok(())
        }
        Ast::Alternation(alternation) => {
            for (n, branch) in alternation.asts.iter().enumerate() {
                if n > 0 {
                    out.push('|');
                }
                write(branch, out)?;
            }
            Ok(())
        }
        Ast::Concat(concat) => concat.asts.iter().try_for_each(|part| write(part, out)),
    }
}

fn write_literal(literal: &Literal, out: &mut String) -> Result<(), EreError> {
    match literal.c {
        '\n' => return Err(EreError::LineBreak),
        '\0' => return Err(EreError::Missing("NUL bytes")),
        '.' | '[' | '\\' | '(' | ')' | '*' | '+' | '?' | '{' | '|' | '^' | '$' => out.push('\\'),
        _ => {}
    }
    out.push(literal.c);
    Ok(())
}

fn repetition_text(kind: &RepetitionKind) -> Result<String, EreError> {
    let range = match kind {
        RepetitionKind::ZeroOrOne => return Ok("?".to_owned()),
        RepetitionKind::ZeroOrMore => return Ok("*".to_owned()),
        RepetitionKind::OneOrMore => return Ok("+".to_owned()),
        RepetitionKind::Range(range) => range,
    };
    let (text, most) = match range {
        RepetitionRange::Exactly(n) => (format!("{{{n}}}"), *n),
        RepetitionRange::AtLeast(n) => (format!("{{{n},}}"), *n),
        RepetitionRange::Bounded(n, m) => (format!("{{{n},{m}}}"), *m),
    };
    match most {
        0..=MOST_REPETITIONS => Ok(text),
        _ => Err(EreError::Missing("repetition of more than 255 times")),
    }
}

/// ASCII characters of a class. Line breaks and NUL are left out: no line has one.
struct Set([bool; 128]);

impl Default for Set {
    fn default() -> Self {
        Self([false; 128])
    }
}

impl Set {
    fn item(&mut self, item: &ClassSetItem) -> Result<(), EreError> {
        match item {
            ClassSetItem::Empty(_) => Ok(()),
            ClassSetItem::Literal(literal) => self.range(literal.c, literal.c),
            ClassSetItem::Range(range) => self.range(range.start.c, range.end.c),
            ClassSetItem::Ascii(class) if !class.negated => {
                self.ascii(&class.kind);
                Ok(())
            }
            ClassSetItem::Perl(ClassPerl { kind, negated: false, .. }) => {
                self.perl_kind(kind);
                Ok(())
            }
            ClassSetItem::Ascii(_) | ClassSetItem::Perl(_) => {
                Err(EreError::Missing("negated class within a class"))
            }
            ClassSetItem::Unicode(_) => Err(EreError::Missing("Unicode classes")),
            ClassSetItem::Bracketed(_) => Err(EreError::Missing("class within a class")),
            ClassSetItem::Union(union) => union.items.iter().try_for_each(|item| self.item(item)),
        }
    }

    fn range(&mut self, first: char, last: char) -> Result<(), EreError> {
        if !last.is_ascii() {
            return Err(EreError::Missing("class of characters beyond ASCII; use `(é|è)`"));
        }
        self.add(|c| (first..=last).contains(&c));
        Ok(())
    }

    fn add(&mut self, is_member: impl Fn(char) -> bool) {
        for (byte, member) in (0_u8..).zip(&mut self.0) {
            *member |= is_member(char::from(byte)) && !matches!(byte, 0 | b'\n');
        }
    }

    fn perl_kind(&mut self, kind: &ClassPerlKind) {
        match kind {
            ClassPerlKind::Digit => self.add(|c| c.is_ascii_digit()),
            ClassPerlKind::Space => self.add(|c| c.is_ascii_whitespace() || c == '\x0b'),
            ClassPerlKind::Word => self.add(|c| c.is_ascii_alphanumeric() || c == '_'),
        }
    }

    fn ascii(&mut self, kind: &ClassAsciiKind) {
        self.add(|c| match kind {
            ClassAsciiKind::Alnum => c.is_ascii_alphanumeric(),
            ClassAsciiKind::Alpha => c.is_ascii_alphabetic(),
            ClassAsciiKind::Ascii => true,
            ClassAsciiKind::Blank => matches!(c, ' ' | '\t'),
            ClassAsciiKind::Cntrl => c.is_ascii_control(),
            ClassAsciiKind::Digit => c.is_ascii_digit(),
            ClassAsciiKind::Graph => c.is_ascii_graphic(),
            ClassAsciiKind::Lower => c.is_ascii_lowercase(),
            ClassAsciiKind::Print => c.is_ascii_graphic() || c == ' ',
            ClassAsciiKind::Punct => c.is_ascii_punctuation(),
            ClassAsciiKind::Space => c.is_ascii_whitespace() || c == '\x0b',
            ClassAsciiKind::Upper => c.is_ascii_uppercase(),
            ClassAsciiKind::Word => c.is_ascii_alphanumeric() || c == '_',
            ClassAsciiKind::Xdigit => c.is_ascii_hexdigit(),
        });
    }

    /// A bracket expression. Within one, POSIX gives a meaning to `]` unless first, to `^` if first, to `-` unless last,
    /// and to `[` before `.`, `=` and `:`; the backslash is itself.
    fn write(&self, negated: bool, out: &mut String) -> Result<(), EreError> {
        let has = |c: u8| self.0[usize::from(c)];
        let plain = |c: u8| !matches!(c, b']' | b'^' | b'-' | b'[');
        let members = self.0.iter().filter(|member| **member).count();
        if members == 0 {
            return if negated {
                out.push('.');
                Ok(())
            } else {
                Err(EreError::LineBreak)
            };
        }
        if has(b'^') && members == 1 && !negated {
            out.push_str("\\^");
            return Ok(());
        }
        out.push_str(if negated { "[^" } else { "[" });
        if has(b']') {
            out.push(']');
        }
        let mut byte = 0;
        while byte < 128 {
            let run = (byte..128).take_while(|c| has(*c) && plain(*c)).count();
            let last = byte + u8::try_from(run).unwrap_or(0);
            if run > 3 {
                out.extend([char::from(byte), '-', char::from(last - 1)]);
            } else {
                out.extend((byte..last).map(char::from));
            }
            byte = last + 1;
        }
        // `^` may be alone with `-`, and is first then unless `-` goes before it.
        for (c, text) in [(b'[', "["), (b'^', "^"), (b'-', "-")] {
            if has(c) {
                out.push_str(text);
            }
        }
        if out.ends_with("[^-") && !negated {
            out.truncate(out.len() - 2);
            out.push_str("-^");
        }
        out.push(']');
        Ok(())
    }
}

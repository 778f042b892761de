//! Names in templates: what they stand for, and the templates that hold nothing else.

use std::fmt;
use std::ops::Range;

use crate::campaign::template::scan::{Kind, Piece};
use crate::campaign::template::{Reference, Segment, TemplateError};

/// A free name of a template or expression.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// An axis, or in an expression another plain word.
    Axis(String),
    /// `repeat`.
    Repeat,
    /// `vars.x`.
    Var(String),
    /// What only the host knows.
    Ref(Reference),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Axis(name) => f.write_str(name),
            Self::Repeat => f.write_str("repeat"),
            Self::Var(name) => write!(f, "vars.{name}"),
            Self::Ref(reference) => write!(f, "{reference}"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutDir => f.write_str("job.out_dir"),
            Self::StateDir => f.write_str("job.state_dir"),
            Self::WorkDir => f.write_str("work_dir"),
            Self::HostVar(name) => write!(f, "host.{name}"),
        }
    }
}

/// Words of the engine's language that are no names.
const WORDS: [&str; 13] = [
    "true", "True", "false", "False", "none", "None", "not", "and", "or", "in", "is", "if", "else",
];

impl Name {
    /// What a dotted name stands for.
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let no_parts = |head: &str| {
            TemplateError::new(format!("`{text}`: `{head}` has no parts"))
                .help(format!("write `{head}` alone"))
        };
        match text.split_once('.') {
            None => match text {
                "repeat" => Ok(Self::Repeat),
                "work_dir" => Ok(Self::Ref(Reference::WorkDir)),
                "vars" | "host" => Err(TemplateError::new(format!("`{text}` alone has no value"))
                    .help(format!("write `{text}.NAME`"))),
                "job" => Err(TemplateError::new("`job` alone has no value")
                    .help("there are `job.out_dir` and `job.state_dir`")),
                name => Ok(Self::Axis(name.to_owned())),
            },
            Some(("vars", name)) if !name.contains('.') => Ok(Self::Var(name.to_owned())),
            Some(("host", name)) if !name.contains('.') => {
                Ok(Self::Ref(Reference::HostVar(name.to_owned())))
            }
            Some(("vars" | "host", name)) => {
                let (head, _) = name.split_once('.').unwrap_or((name, ""));
                Err(no_parts(&text[..text.len() - name.len() + head.len()]))
            }
            Some(("job", "out_dir")) => Ok(Self::Ref(Reference::OutDir)),
            Some(("job", "state_dir")) => Ok(Self::Ref(Reference::StateDir)),
            Some(("job", name)) => Err(TemplateError::new(format!("there is no `job.{name}`"))
                .help("there are `job.out_dir` and `job.state_dir`")),
            // Names of other tools.
            Some(("matrix" | "params" | "param" | "axes" | "axis", name)) => {
                Err(TemplateError::new(format!("`{text}`: an axis stands by its name alone"))
                    .help(format!("write `{name}`")))
            }
            Some(("env" | "environ", name)) => Err(TemplateError::new(format!(
                "`{text}`: the environment is that of the host, which no template knows"
            ))
            .help(format!("write `${name}` in a shell text"))),
            Some((head, _)) => Err(no_parts(head)),
        }
    }
}

/// The segments of a template without engine syntax; `None` when it needs the engine. The names that stand for nothing go
/// to `errors`.
pub(super) fn segments(
    text: &str,
    pieces: &[Piece],
    errors: &mut Vec<TemplateError>,
) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut wrong = Vec::new();
    for piece in pieces {
        match &piece.kind {
            _ if piece.trims => return None,
            Kind::Text => push(&mut segments, &text[piece.range.clone()]),
            Kind::Literal(value, _) => push(&mut segments, value),
            Kind::Raw(range) => push(&mut segments, &text[range.clone()]),
            Kind::Value(inner) => {
                let range = plain_name(text, inner.clone())?;
                match Name::parse(&text[range.clone()]) {
                    Ok(name) => segments.push(Segment::Name(name)),
                    Err(error) => wrong.push(error.at(range)),
                }
            }
            Kind::Block | Kind::Comment | Kind::Open => return None,
        }
    }
    errors.extend(wrong);
    Some(segments)
}

fn push(segments: &mut Vec<Segment>, text: &str) {
    match segments.last_mut() {
        Some(Segment::Text(last)) => last.push_str(text),
        _ if text.is_empty() => {}
        _ => segments.push(Segment::Text(text.to_owned())),
    }
}

/// The bytes of the one dotted name between braces, blanks left out.
fn plain_name(text: &str, within: Range<usize>) -> Option<Range<usize>> {
    let inner = &text[within.clone()];
    let trimmed = inner.trim_ascii();
    let start = within.start + (inner.len() - inner.trim_ascii_start().len());
    let identifier = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let plain = trimmed.split('.').all(identifier) && !WORDS.contains(&trimmed);
    plain.then_some(start..start + trimmed.len())
}

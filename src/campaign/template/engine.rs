//! The minijinja side: one environment a place, built once; values in, marked text out.
//!
//! References travel through the engine as text between NUL bytes, which no value can hold, so that `{{ job.out_dir ~
//! '/x' }}` works; a filter that changes the letters between them is found out here.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use crate::campaign::template::bounds::{Bounded, MAX_TEXT, bound};
use crate::campaign::template::error::describe;
use crate::campaign::template::escape::escape_text;
use crate::campaign::template::scan::{Kind, Piece};
use crate::campaign::template::slices::as_subscripts;
use crate::campaign::template::values::{self, SELF, Slots, Values, marker, pieces};
use crate::campaign::template::{
    Name, Place, RenderError, Scope, Sink, TemplateError, TemplateErrors,
};

/// Instructions that one rendering may take; a loop over a million things is a mistake.
const FUEL: u64 = 200_000;
/// The one template's name within its environment.
const TEMPLATE: &str = "template";

/// Bytes of one expression. The engine's parser and compiler recurse without a bound for `not not …` and `1 + 1 + …`;
/// this and the next two keep them well within a thread's stack.
const MAX_EXPRESSION: usize = 2000;
/// Signs of one expression that may nest.
const MAX_NESTING: usize = 500;
/// `{% … %}` of one template.
const MAX_BLOCKS: usize = 200;

/// Refuses what the engine would follow too deep; without pieces the text is one expression.
pub(super) fn check_size(text: &str, pieces: Option<&[Piece]>) -> Result<(), TemplateError> {
    let too_long = |at: usize, length: usize| {
        let signs = text[at..at + length].matches(['-', '[', '(']).count();
        (length > MAX_EXPRESSION || signs > MAX_NESTING).then(|| {
            TemplateError::new(format!(
                "this expression has more than {MAX_EXPRESSION} bytes or {MAX_NESTING} signs and brackets"
            ))
            .at(at..at + length)
            .help("put its parts into axes with `expr`, or into a script")
        })
    };
    let Some(pieces) = pieces else {
        return too_long(0, text.len()).map_or(Ok(()), Err);
    };
    let mut blocks = 0;
    for piece in pieces {
        match piece.kind {
            Kind::Text | Kind::Literal(..) | Kind::Raw(_) | Kind::Comment => continue,
            Kind::Block => blocks += 1,
            Kind::Value(_) | Kind::Open => {}
        }
        if let Some(error) = too_long(piece.range.start, piece.range.len()) {
            return Err(error);
        }
    }
    if blocks > MAX_BLOCKS {
        return Err(TemplateError::new(format!("the template has more than {MAX_BLOCKS} blocks"))
            .help("put the text into a script and run that"));
    }
    Ok(())
}

/// A template that the engine has compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    environment: Environment<'static>,
    names: BTreeSet<Name>,
    slots: Arc<Slots>,
    /// Where [`AS_TEXT`] was put into the text.
    inserted: Vec<usize>,
}

/// What makes the engine put a string out as it is.
const AS_TEXT: &str = "|safe";

/// A template in which each string that is text of its own is marked so.
struct Literals {
    text: String,
    inserted: Vec<usize>,
}

impl Literals {
    fn new(text: &str, pieces: &[Piece]) -> Self {
        let mut marked = Self { text: String::with_capacity(text.len()), inserted: Vec::new() };
        for piece in pieces {
            let range = piece.range.clone();
            if let Kind::Literal(_, end) = piece.kind {
                marked.text.push_str(&text[range.start..end]);
                marked.inserted.push(marked.text.len());
                marked.text.push_str(AS_TEXT);
                marked.text.push_str(&text[end..range.end]);
            } else {
                marked.text.push_str(&text[range]);
            }
        }
        marked
    }

    fn error(&self, error: &Error) -> TemplateError {
        let found = syntax_error(error, &self.text);
        TemplateError { range: found.range.map(|range| unmarked(&self.inserted, range)), ..found }
    }
}

/// The bytes of the text as the file has it.
fn unmarked(inserted: &[usize], range: Range<usize>) -> Range<usize> {
    let place = |at: usize| {
        let before = inserted.iter().filter(|place| **place < at).count();
        at.saturating_sub(before * AS_TEXT.len())
    };
    place(range.start)..place(range.end)
}

/// All mistakes of syntax: that of each value by itself, else what is wrong with the whole.
fn syntax_errors(
    whole: TemplateError,
    text: &str,
    pieces: &[Piece],
    place: Place,
) -> TemplateErrors {
    let mut found = TemplateErrors { errors: Vec::new(), names: BTreeSet::new() };
    for piece in pieces.iter().filter(|piece| matches!(piece.kind, Kind::Value(_))) {
        let alone = &text[piece.range.clone()];
        let mut environment = environment(place).clone();
        if let Err(error) = environment.add_template_owned(TEMPLATE, alone.to_owned()) {
            let mut error = syntax_error(&error, alone);
            let from = piece.range.start;
            error.range = error.range.map(|range| from + range.start..from + range.end);
            found.errors.push(error);
        }
    }
    if found.errors.is_empty() {
        found.errors.push(whole);
    }
    found
}

impl Compiled {
    pub(super) fn parse(
        text: &str,
        pieces: &[Piece],
        place: Place,
    ) -> Result<Self, TemplateErrors> {
        let only = |error| TemplateErrors { errors: vec![error], names: BTreeSet::new() };
        check_size(text, Some(pieces)).map_err(only)?;
        let literals = Literals::new(text, pieces);
        let mut environment = environment(place).clone();
        if let Err(error) = environment.add_template_owned(TEMPLATE, literals.text.clone()) {
            return Err(syntax_errors(literals.error(&error), text, pieces, place));
        }
        let free = |environment: &Environment<'_>| {
            let template = environment.get_template(TEMPLATE)?;
            Ok(template.undeclared_variables(true))
        };
        let mut plain = free(&environment).map_err(|error| only(literals.error(&error)))?;
        let copy: String = pieces
            .iter()
            .map(|piece| match piece.kind {
                Kind::Value(_) | Kind::Block => as_subscripts(&text[piece.range.clone()], true),
                _ => Cow::Borrowed(&text[piece.range.clone()]),
            })
            .collect();
        if copy != text {
            let mut other = self::environment(place).clone();
            if other.add_template_owned(TEMPLATE, copy).is_ok() {
                plain = free(&other).map_err(|error| only(syntax_error(&error, text)))?;
            }
        }
        let (names, errors) = free_names(plain, text);
        if !errors.is_empty() {
            return Err(TemplateErrors { errors, names });
        }
        let slots = Slots::new(&names);
        Ok(Self { environment, names, slots, inserted: literals.inserted })
    }

    pub(super) fn names(&self) -> &BTreeSet<Name> {
        &self.names
    }

    pub(super) fn render_into(
        &self,
        scope: &dyn Scope,
        sink: &mut dyn Sink,
    ) -> Result<(), RenderError> {
        let values = Values::collect(&self.slots, scope)?;
        let template = self.environment.get_template(TEMPLATE)?;
        let mut text = Bounded::default();
        let values = minijinja::Value::from_dyn_object(values);
        template.render_captured_to(values, &mut text).map_err(|error| self.told(&error, scope))?;
        // The engine writes whole texts only.
        let text = String::from_utf8_lossy(&text.0);
        for piece in pieces(&text).map_err(RenderError::new)? {
            match piece {
                values::Piece::Text(text) => sink.text(text),
                values::Piece::Ref(reference) => sink.reference(&reference),
            }
        }
        Ok(())
    }

    fn told(&self, error: &Error, scope: &dyn Scope) -> RenderError {
        let range = error.range().map(|range| unmarked(&self.inserted, range));
        match (error.kind(), self.names.iter().find(|name| is_empty(name, scope))) {
            (ErrorKind::UndefinedError, Some(name)) => {
                RenderError { range, ..RenderError::empty(name) }
            }
            // Nothing else can go wrong with a text in memory.
            (ErrorKind::WriteFailure, _) => RenderError {
                message: format!("it gives more than {} MiB of text", MAX_TEXT >> 20),
                range,
            },
            _ => RenderError { message: describe(error), range },
        }
    }
}

fn is_empty(name: &Name, scope: &dyn Scope) -> bool {
    match name {
        Name::Axis(axis) => scope.axis(axis).is_none(),
        Name::Var(var) => scope.var(var).is_none(),
        Name::Repeat | Name::Ref(_) => false,
    }
}

/// The shared environment of a place; a template's own is a cheap clone of it.
pub(super) fn environment(place: Place) -> &'static Environment<'static> {
    static SHELL: OnceLock<Environment<'static>> = OnceLock::new();
    static GLOB: OnceLock<Environment<'static>> = OnceLock::new();
    static REGEX: OnceLock<Environment<'static>> = OnceLock::new();
    static PLAIN: OnceLock<Environment<'static>> = OnceLock::new();
    let cell = match place {
        Place::Shell => &SHELL,
        Place::Glob => &GLOB,
        Place::Regex => &REGEX,
        Place::Plain => &PLAIN,
    };
    cell.get_or_init(|| {
        let mut environment = base();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Any mode but `None`, so that captured blocks are known to be escaped already.
        environment.set_auto_escape_callback(|_| AutoEscape::Custom(Cow::Borrowed("sp")));
        environment.set_formatter(move |out, state, value| format(place, out, state, value));
        environment
    })
}

/// The shared environment of expressions. Lenient: names are checked before, and an axis that an `include` leaves out
/// can be compared.
pub(super) fn expressions() -> &'static Environment<'static> {
    static CELL: OnceLock<Environment<'static>> = OnceLock::new();
    CELL.get_or_init(|| {
        let mut environment = base();
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment
    })
}

fn base() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));
    let syntax = SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .comment_delimiters("{{#", "#}}")
        .build()
        .unwrap_or_default();
    environment.set_syntax(syntax);
    for global in ["debug", "dict", "namespace"] {
        environment.remove_global(global);
    }
    // They escape for HTML, and mark what they return as safe in every place.
    for filter in ["escape", "e", "pprint"] {
        environment.remove_filter(filter);
    }
    bound(&mut environment);
    environment
}

/// Free names as the engine lists them, as ours, and those that stand for nothing.
pub(super) fn free_names(
    names: impl IntoIterator<Item = String>,
    text: &str,
) -> (BTreeSet<Name>, Vec<TemplateError>) {
    let names: BTreeSet<String> = names.into_iter().collect();
    let (mut good, mut errors) = (BTreeSet::new(), Vec::new());
    for name in names.iter().filter(|name| *name != "range" || !text.contains("range(")) {
        match (Name::parse(name), text.find(name.as_str())) {
            (Ok(name), _) => {
                good.insert(name);
            }
            (Err(error), Some(at)) => errors.push(error.at(at..at + name.len())),
            (Err(error), None) => errors.push(error),
        }
    }
    (good, errors)
}

pub(super) fn syntax_error(error: &Error, text: &str) -> TemplateError {
    // For a character outside ASCII that it does not expect, the engine names its first byte only.
    let whole = |range: Range<usize>| {
        text.floor_char_boundary(range.start)..text.ceil_char_boundary(range.end)
    };
    let range =
        error.range().filter(|range| range.start < range.end && range.end <= text.len()).map(whole);
    TemplateError { message: describe(error), range, help: None }
}

/// Shows a value in its place.
fn format(
    place: Place,
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &minijinja::Value,
) -> Result<(), Error> {
    let Some(text) = plain_text(state, value)? else {
        return Err(Error::new(ErrorKind::UndefinedError, "a value is undefined"));
    };
    let refuse = |message: String| Error::new(ErrorKind::InvalidOperation, message);
    if value.is_safe() {
        return Ok(out.write_str(&text)?);
    }
    let pieces = pieces(&text).map_err(refuse)?;
    if pieces.is_empty() {
        return Ok(out.write_str(&escape_text(place, "").map_err(|e| refuse(e.message))?)?);
    }
    for piece in pieces {
        match piece {
            values::Piece::Ref(reference) => write!(out, "\0{}\0", marker(&reference))?,
            values::Piece::Text(text) => {
                out.write_str(&escape_text(place, text).map_err(|e| refuse(e.message))?)?;
            }
        }
    }
    Ok(())
}

/// The text of an engine's value by the rules of `text_of`; `None` when it is undefined.
fn plain_text(state: &State<'_, '_>, value: &minijinja::Value) -> Result<Option<String>, Error> {
    let refuse = |what: &str| {
        Err(Error::new(
            ErrorKind::InvalidOperation,
            format!(
                "{what} cannot be written as text; choose one value of it, or join them: `| join(' ')`"
            ),
        ))
    };
    match value.kind() {
        ValueKind::Undefined => Ok(None),
        ValueKind::Bool => Ok(Some(if value.is_true() { "true" } else { "false" }.to_owned())),
        ValueKind::String => Ok(Some(value.to_string())),
        ValueKind::Number if value.is_integer() => Ok(Some(value.to_string())),
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(number) if number.is_finite() => {
                let spelled = state.lookup(SELF).and_then(|own| {
                    own.downcast_object_ref::<Values>().and_then(|own| own.spelling(number))
                });
                Ok(Some(spelled.unwrap_or_else(|| format!("{number:?}"))))
            }
            _ => refuse("a number that is not finite"),
        },
        ValueKind::None => refuse("`none`"),
        ValueKind::Seq | ValueKind::Iterable => refuse("a list"),
        ValueKind::Map => refuse("a map"),
        _ => refuse("this value"),
    }
}

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
use crate::campaign::template::slices::as_subscripts;
use crate::campaign::template::values::{Piece, SELF, Slots, Values, marker, pieces};
use crate::campaign::template::{Name, Place, RenderError, Scope, Sink, TemplateError};

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

/// Refuses what the engine would follow too deep.
pub(super) fn check_size(text: &str, in_braces: bool) -> Result<(), TemplateError> {
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
    if !in_braces {
        return too_long(0, text.len()).map_or(Ok(()), Err);
    }
    let mut from = 0;
    let mut blocks = 0;
    while let Some(at) = text[from..].find(['{']).map(|at| from + at) {
        from = at + 1;
        let Some(("{{" | "{%", _)) = text[at..].split_at_checked(2) else { continue };
        let end = text[at..].find(if text[at..].starts_with("{{") { "}}" } else { "%}" });
        let length = end.unwrap_or(text.len() - at);
        if let Some(error) = too_long(at, length) {
            return Err(error);
        }
        blocks += usize::from(text[at..].starts_with("{%"));
        from = at + length.max(1);
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
}

impl Compiled {
    pub(super) fn parse(text: &str, place: Place) -> Result<Self, TemplateError> {
        check_size(text, true)?;
        let mut environment = environment(place).clone();
        environment
            .add_template_owned(TEMPLATE, text.to_owned())
            .map_err(|error| syntax_error(&error, text))?;
        let template = environment.get_template(TEMPLATE).map_err(|e| syntax_error(&e, text))?;
        let mut plain = template.undeclared_variables(true);
        if let Cow::Owned(copy) = as_subscripts(text, true) {
            let mut other = self::environment(place).clone();
            if other.add_template_owned(TEMPLATE, copy).is_ok() {
                plain = other
                    .get_template(TEMPLATE)
                    .map_err(|e| syntax_error(&e, text))?
                    .undeclared_variables(true);
            }
        }
        let names = free_names(plain, text)?;
        let slots = Slots::new(&names);
        Ok(Self { environment, names, slots })
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
                Piece::Text(text) => sink.text(text),
                Piece::Ref(reference) => sink.reference(&reference),
            }
        }
        Ok(())
    }

    fn told(&self, error: &Error, scope: &dyn Scope) -> RenderError {
        let range = error.range();
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

/// Free names as the engine lists them, as ours.
pub(super) fn free_names(
    names: impl IntoIterator<Item = String>,
    text: &str,
) -> Result<BTreeSet<Name>, TemplateError> {
    let names: BTreeSet<String> = names.into_iter().collect();
    names
        .iter()
        .filter(|name| *name != "range" || !text.contains("range("))
        .map(|name| {
            Name::parse(name).map_err(|error| match text.find(name.as_str()) {
                Some(at) => error.at(at..at + name.len()),
                None => error,
            })
        })
        .collect()
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
            Piece::Ref(reference) => write!(out, "\0{}\0", marker(&reference))?,
            Piece::Text(text) => {
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

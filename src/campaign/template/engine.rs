//! The minijinja side: one environment a place, built once; values in, marked text out.
//!
//! References travel through the engine as text between NUL bytes, which no value can hold, so that `{{ job.out_dir ~
//! '/x' }}` works; a filter that changes the letters between them is found out here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Object, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use crate::campaign::model::Value;
use crate::campaign::template::error::describe;
use crate::campaign::template::escape::escape_text;
use crate::campaign::template::slices::as_subscripts;
use crate::campaign::template::{Name, Place, Reference, RenderError, Scope, Sink, TemplateError};

/// Instructions that one rendering may take; a loop over a million things is a mistake.
const FUEL: u64 = 200_000;
/// The one template's name within its environment.
const TEMPLATE: &str = "template";
/// A name that no template can spell; its value is the values themselves.
const SELF: &str = "\0";

/// A template that the engine has compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    environment: Environment<'static>,
    names: BTreeSet<Name>,
    slots: Arc<Slots>,
}

impl Compiled {
    pub(super) fn parse(text: &str, place: Place) -> Result<Self, TemplateError> {
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
        let text =
            template.render(minijinja::Value::from_dyn_object(values)).map_err(
                |error| match self.names.iter().find(|name| is_empty(name, scope)) {
                    Some(name) if error.kind() == ErrorKind::UndefinedError => {
                        RenderError { range: error.range(), ..RenderError::empty(name) }
                    }
                    _ => RenderError::from(error),
                },
            )?;
        for piece in pieces(&text).map_err(RenderError::new)? {
            match piece {
                Piece::Text(text) => sink.text(text),
                Piece::Ref(reference) => sink.reference(&reference),
            }
        }
        Ok(())
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
    environment.add_filter(
        "tojson",
        |value: &minijinja::Value, indent: Option<minijinja::Value>, args: Kwargs| {
            let json = minijinja::filters::tojson(value, indent, args)?;
            Ok::<_, Error>(minijinja::Value::from(json.to_string()))
        },
    );
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
    let range: Option<Range<usize>> =
        error.range().filter(|range| range.start < range.end && range.end <= text.len());
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

/// Text or a reference within an engine's output.
enum Piece<'a> {
    Text(&'a str),
    Ref(Reference),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    for (at, piece) in text.split('\0').enumerate() {
        if at % 2 == 1 {
            pieces.push(Piece::Ref(unmark(piece).ok_or_else(mangled)?));
        } else if !piece.is_empty() {
            pieces.push(Piece::Text(piece));
        }
    }
    if text.matches('\0').count() % 2 == 1 {
        return Err(mangled());
    }
    Ok(pieces)
}

fn mangled() -> String {
    "a filter changes `job.out_dir`, `job.state_dir`, `work_dir` or `host.…`, which only the host knows; use it as it is, or join with `~`".to_owned()
}

/// Letters of both cases, so that neither `lower` nor `upper` nor `title` leaves them as they are.
fn marker(reference: &Reference) -> String {
    match reference {
        Reference::OutDir => "oUt_dIr".to_owned(),
        Reference::StateDir => "sTate_dIr".to_owned(),
        Reference::WorkDir => "wOrk_dIr".to_owned(),
        Reference::HostVar(name) => format!("hOst.{name}"),
    }
}

fn unmark(text: &str) -> Option<Reference> {
    match text {
        "oUt_dIr" => Some(Reference::OutDir),
        "sTate_dIr" => Some(Reference::StateDir),
        "wOrk_dIr" => Some(Reference::WorkDir),
        _ => text.strip_prefix("hOst.").map(|name| Reference::HostVar(name.to_owned())),
    }
}

/// Where a template's names stand in the engine: made once, used for every job.
#[derive(Debug)]
pub(super) struct Slots(Vec<Slot>);

#[derive(Debug)]
struct Slot {
    /// `vars`, `job` or `host`; `None` for a plain name.
    group: Option<&'static str>,
    key: String,
    name: Name,
    /// What every job has alike.
    fixed: Option<minijinja::Value>,
}

impl Slots {
    pub(super) fn new(names: &BTreeSet<Name>) -> Arc<Self> {
        Arc::new(Self(names.iter().map(Slot::new).collect()))
    }
}

impl Slot {
    fn new(name: &Name) -> Self {
        let (group, key) = match name {
            Name::Axis(axis) => (None, axis.as_str()),
            Name::Repeat => (None, "repeat"),
            Name::Var(var) => (Some("vars"), var.as_str()),
            Name::Ref(Reference::OutDir) => (Some("job"), "out_dir"),
            Name::Ref(Reference::StateDir) => (Some("job"), "state_dir"),
            Name::Ref(Reference::HostVar(var)) => (Some("host"), var.as_str()),
            Name::Ref(Reference::WorkDir) => (None, "work_dir"),
        };
        let fixed = match name {
            Name::Ref(reference) => {
                Some(minijinja::Value::from(format!("\0{}\0", marker(reference))))
            }
            _ => None,
        };
        Self { group, key: key.to_owned(), name: name.clone(), fixed }
    }
}

/// What the engine sees of one job: the values of the names in use, `None` for an empty axis.
#[derive(Debug)]
pub(super) struct Values {
    slots: Arc<Slots>,
    entries: Vec<Option<Entry>>,
    /// Spelling of each float by its bits, the one looked up last: that is the one about to be shown.
    spellings: Mutex<BTreeMap<u64, String>>,
}

#[derive(Debug)]
struct Entry {
    value: minijinja::Value,
    spelled: Option<(u64, String)>,
}

/// `vars`, `job` or `host` within [`Values`].
#[derive(Debug)]
struct Group(&'static str, Arc<Values>);

impl Values {
    /// # Errors
    /// A value with a NUL byte.
    pub(super) fn collect(slots: &Arc<Slots>, scope: &dyn Scope) -> Result<Arc<Self>, RenderError> {
        let entry = |slot: &Slot| match (&slot.name, &slot.fixed) {
            (Name::Axis(axis), _) => scope.axis(axis).map(Entry::of).transpose(),
            (Name::Var(var), _) => scope.var(var).map(Entry::of).transpose(),
            (Name::Repeat, _) => Entry::of(&Value::Int(i64::from(scope.repeat()))).map(Some),
            (Name::Ref(_), fixed) => Ok(fixed.clone().map(|value| Entry { value, spelled: None })),
        };
        let entries = slots.0.iter().map(entry).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self { slots: Arc::clone(slots), entries, spellings: Mutex::default() }))
    }

    fn look_up(&self, group: Option<&str>, key: &str) -> Option<minijinja::Value> {
        let at = self.slots.0.iter().position(|slot| slot.group == group && slot.key == key)?;
        let entry = self.entries.get(at)?.as_ref()?;
        if let Some((bits, spelled)) = &entry.spelled {
            let mut spellings = self.spellings.lock().unwrap_or_else(PoisonError::into_inner);
            spellings.insert(*bits, spelled.clone());
        }
        Some(entry.value.clone())
    }

    /// How the file spelled a float that has been looked up.
    pub(super) fn spelling(&self, number: f64) -> Option<String> {
        let spellings = self.spellings.lock().unwrap_or_else(PoisonError::into_inner);
        spellings.get(&number.to_bits()).cloned()
    }
}

impl Entry {
    fn of(value: &Value) -> Result<Self, RenderError> {
        let mut spelled = None;
        let value = match value {
            Value::Str(text) if text.contains('\0') => {
                return Err(RenderError::new(
                    "a value holds a NUL byte, which nothing on a host can carry",
                ));
            }
            Value::Str(text) => minijinja::Value::from(text.as_str()),
            Value::Int(number) => minijinja::Value::from(*number),
            Value::Bool(flag) => minijinja::Value::from(*flag),
            Value::Float { value, spelled: text } => {
                spelled = Some((value.to_bits(), text.clone()));
                minijinja::Value::from(*value)
            }
        };
        Ok(Self { value, spelled })
    }
}

impl Object for Values {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<minijinja::Value> {
        if key == SELF {
            return Some(minijinja::Value::from_dyn_object(Arc::clone(self)));
        }
        if let Some(group) = self.slots.0.iter().find_map(|slot| slot.group.filter(|g| *g == key)) {
            return Some(minijinja::Value::from_object(Group(group, Arc::clone(self))));
        }
        self.look_up(None, key)
    }
}

impl Object for Group {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        self.1.look_up(Some(self.0), key.as_str()?)
    }
}

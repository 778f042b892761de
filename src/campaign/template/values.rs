//! The values of one job as the engine sees them, and the marks that references carry through it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::Object;

use crate::campaign::model::Value;
use crate::campaign::template::{Name, Reference, RenderError, Scope};

/// A name that no template can spell; its value is the values themselves.
pub(super) const SELF: &str = "\0";

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

/// Text or a reference within an engine's output.
pub(super) enum Piece<'a> {
    Text(&'a str),
    Ref(Reference),
}

pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
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
pub(super) fn marker(reference: &Reference) -> String {
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

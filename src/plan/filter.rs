//! `-F EXPR`: sets of jobs by the language of `when`, over axes and over what is known of a job.
//!
//! Names and words that can be checked before the first job are: a filter that selects nothing because of a slip would
//! look like one that selects nothing.

use crate::campaign::kind::Kind;
use crate::campaign::suggest;
use crate::campaign::template::{Expression, Literal, Name, Scope, comparisons};
use crate::campaign::{FILTER_WORDS, Value};
use crate::ids::Attempt;
use crate::plan::axes::Row;
use crate::plan::expand::Expansion;
use crate::plan::job::Job;
use crate::plan::known::KnownJob;
use crate::plan::name::visible;
use crate::state::State;

/// A filter that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// What is wrong.
    pub message: String,
    /// The next edit.
    pub help: Option<String>,
}

/// A checked filter.
#[derive(Debug, Clone)]
pub struct Filter {
    expression: Expression,
    warnings: Vec<String>,
}

impl Filter {
    /// Parses a filter for a campaign.
    ///
    /// # Errors
    /// Syntax, a name that is no axis and no word, a comparison with a host or a state that does not exist.
    pub fn parse(text: &str, expansion: &Expansion) -> Result<Self, FilterError> {
        let expression = Expression::parse(text).map_err(|error| FilterError {
            message: format!("the filter `{}` cannot be read: {}", visible(text), error.message),
            help: error.help,
        })?;
        let campaign = expansion.campaign();
        let axes = expansion.columns().iter().map(|column| column.name.as_str());
        let known: Vec<&str> = axes.chain(FILTER_WORDS).collect();
        for name in expression.names() {
            check_name(name, &known, expansion)?;
        }
        let hosts: Vec<&str> = campaign.hosts.keys().map(AsRef::as_ref).collect();
        check_words(text, "host", &hosts)?;
        check_words(text, "state", &State::ALL.map(State::word))?;
        let other_types = comparisons(text).into_iter().filter_map(|comparison| {
            let told = kind(comparison.name, expansion)?.told(&comparison)?;
            Some(format!("the filter compares {}; {}", told.message, told.help))
        });
        Ok(Self { expression, warnings: other_types.collect() })
    }

    /// What is most likely not meant, such as a comparison that every job answers alike.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether a job of the file is selected.
    ///
    /// # Errors
    /// An expression that has no answer for this job.
    pub fn matches(&self, job: Job<'_>, known: Option<&KnownJob>) -> Result<bool, FilterError> {
        let facts = Facts { job, known };
        let words = self.expression.names().iter().filter_map(|name| match name {
            Name::Axis(word) => FILTER_WORDS.iter().find(|known| *known == word),
            _ => None,
        });
        let values = words.filter_map(|word| Some((*word, facts.value(word)?))).collect();
        self.expression.test(&FilterScope { values, row: job.row() }).map_err(|error| FilterError {
            message: format!("{error}; the job is `{}`", job.name()),
            help: None,
        })
    }
}

fn check_name(name: &Name, known: &[&str], expansion: &Expansion) -> Result<(), FilterError> {
    let campaign = expansion.campaign();
    let (spelled, right) = match name {
        Name::Repeat | Name::Ref(_) => return Ok(()),
        Name::Axis(axis) if known.contains(&axis.as_str()) => return Ok(()),
        Name::Axis(axis) => (axis, known.to_vec()),
        Name::Var(var) if campaign.vars.contains_key(var.as_str()) => return Ok(()),
        Name::Var(var) => (var, campaign.vars.keys().map(AsRef::as_ref).collect()),
    };
    let is_text = |text: &str| {
        let values = expansion.columns().iter().flat_map(|column| &column.values);
        State::ALL.iter().any(|state| state.word() == text)
            || campaign.hosts.contains_key(text)
            || values.into_iter().any(|value| matches!(value, Value::Str(value) if value == text))
    };
    let help = match name {
        Name::Axis(word) if is_text(word) => Some(format!("texts stand in quotes: `'{word}'`")),
        _ => suggest::help(spelled, &right, "it knows"),
    };
    Err(FilterError { message: format!("a filter knows no `{name}`"), help })
}

/// What is known of one job, as values.
struct Facts<'a> {
    job: Job<'a>,
    known: Option<&'a KnownJob>,
}

impl Facts<'_> {
    fn value(&self, word: &str) -> Option<Value> {
        let known = self.known;
        let text = |text: &str| (!text.is_empty()).then(|| Value::Str(text.to_owned()));
        match word {
            "state" => text(known.map_or(State::Pending, |known| known.state).word()),
            "host" => text(known?.host.as_ref()?.as_str()),
            "exit_code" => Some(Value::Int(known?.exit_code?.into())),
            "signal" => text(known?.signal.as_ref()?),
            "reason" => text(&known?.reason),
            "attempt" => {
                let newest = known.and_then(|known| known.attempt);
                Some(Value::Int(newest.map_or(0, Attempt::number).into()))
            }
            "name" => Some(Value::Str(self.job.name())),
            "id" => Some(Value::Str(self.job.id().to_string())),
            "index" => Some(Value::Int(i64::try_from(self.job.index()).ok()?)),
            "elapsed_s" => {
                let value = known?.elapsed_s.filter(|elapsed| elapsed.is_finite())?;
                Some(Value::Float { value, spelled: value.to_string() })
            }
            _ => None,
        }
    }
}

struct FilterScope<'a> {
    values: Vec<(&'static str, Value)>,
    row: Row<'a>,
}

impl Scope for FilterScope<'_> {
    fn axis(&self, name: &str) -> Option<&Value> {
        match self.values.iter().find(|(word, _)| *word == name) {
            Some((_, value)) => Some(value),
            None => self.row.axis(name),
        }
    }

    fn repeat(&self) -> u32 {
        self.row.repeat()
    }

    fn var(&self, name: &str) -> Option<&Value> {
        self.row.var(name)
    }
}

/// Checks the texts that a word is compared with. Only plain comparisons are seen; what else an expression does with the
/// word is not judged.
fn check_words(text: &str, word: &str, right: &[&str]) -> Result<(), FilterError> {
    for comparison in comparisons(text).iter().filter(|comparison| comparison.name == word) {
        if let Literal::Text(value) = comparison.literal
            && comparison.by_equality
            && !right.contains(&value)
        {
            return Err(FilterError {
                message: format!("there is no {word} `{}`", visible(value)),
                help: suggest::help(value, right, &format!("the {word}s are")),
            });
        }
    }
    Ok(())
}

/// What a name of a filter is, where that does not depend on the job.
fn kind(name: &str, expansion: &Expansion) -> Option<Kind> {
    match name {
        "state" | "host" | "signal" | "reason" | "name" | "id" => Some(Kind::Text),
        "exit_code" | "attempt" | "index" | "elapsed_s" => Some(Kind::Number),
        axis => {
            let columns = expansion.columns();
            columns.iter().find(|c| c.name.as_str() == axis).and_then(|c| Kind::of(&c.values))
        }
    }
}

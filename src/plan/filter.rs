//! `-F EXPR`: sets of jobs by the language of `when`, over axes and over what is known of a job.
//!
//! Names and words that can be checked before the first job are: a filter that selects nothing because of a slip would
//! look like one that selects nothing.

use crate::campaign::suggest;
use crate::campaign::template::{Expression, Name, Scope};
use crate::campaign::{Campaign, FILTER_WORDS, Value};
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
            check_name(name, &known, campaign)?;
        }
        let hosts: Vec<&str> = campaign.hosts.keys().map(AsRef::as_ref).collect();
        check_words(text, "host", &hosts)?;
        check_words(text, "state", &State::ALL.map(State::word))?;
        Ok(Self { expression })
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

fn check_name(name: &Name, known: &[&str], campaign: &Campaign) -> Result<(), FilterError> {
    let (spelled, right) = match name {
        Name::Repeat | Name::Ref(_) => return Ok(()),
        Name::Axis(axis) if known.contains(&axis.as_str()) => return Ok(()),
        Name::Axis(axis) => (axis, known.to_vec()),
        Name::Var(var) if campaign.vars.contains_key(var.as_str()) => return Ok(()),
        Name::Var(var) => (var, campaign.vars.keys().map(AsRef::as_ref).collect()),
    };
    Err(FilterError {
        message: format!("a filter knows no `{name}`"),
        help: suggest::help(spelled, &right, "it knows"),
    })
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

/// Finds the texts that a word is compared with and checks them. Only plain comparisons are seen; what else an expression
/// does with the word is not judged.
fn check_words(text: &str, word: &str, right: &[&str]) -> Result<(), FilterError> {
    let tokens = tokens(text);
    let is = |at: Option<usize>, token: &Token<'_>| at.and_then(|at| tokens.get(at)) == Some(token);
    let mut compared = Vec::new();
    for at in (0..tokens.len()).filter(|at| tokens[*at] == Token::Word(word)) {
        let (before, after) = (at.checked_sub(1), Some(at + 1));
        if is(before, &Token::Sign(".")) {
            continue;
        }
        for sign in [Token::Sign("=="), Token::Sign("!=")] {
            if is(after, &sign) {
                compared.extend(tokens.get(at + 2));
            }
            if is(before, &sign) {
                compared.extend(at.checked_sub(2).and_then(|at| tokens.get(at)));
            }
        }
        let list = at + 1 + usize::from(is(after, &Token::Word("not")));
        if is(Some(list), &Token::Word("in"))
            && matches!(tokens.get(list + 1), Some(Token::Sign("[" | "(")))
        {
            let members = tokens[list + 2..].iter();
            compared.extend(members.take_while(|t| !matches!(t, Token::Sign("]" | ")"))));
        }
    }
    for token in compared {
        if let Token::Text(value) = token
            && !right.contains(value)
        {
            return Err(FilterError {
                message: format!("there is no {word} `{}`", visible(value)),
                help: suggest::help(value, right, &format!("the {word}s are")),
            });
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// A literal without an escape in it.
    Text(&'a str),
    Sign(&'a str),
}

/// As much of the expression's tokens as a comparison needs.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => {
                let Some(end) = rest[1..].find(first).map(|end| end + 1) else { return tokens };
                if rest[1..end].contains('\\') {
                    // Where it ends cannot be said so simply; the engine can.
                    return tokens;
                }
                tokens.push(Token::Text(&rest[1..end]));
                end + 1
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let end = end.unwrap_or(rest.len());
                tokens.push(Token::Word(&rest[..end]));
                end
            }
            _ => {
                let two = ["==", "!="].iter().any(|sign| rest.starts_with(sign));
                let length = if two { 2 } else { first.len_utf8() };
                tokens.push(Token::Sign(&rest[..length]));
                length
            }
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

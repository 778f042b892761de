//! A JOB of the command line: an id prefix, a name, or `axis=value,axis=value`. Numbers compare by value: `lr=0.1` finds a
//! job whose file says `0.10`.
//!
//! Finds exactly one job, be it of the file or known from earlier. Sets of jobs are chosen by `filter`.

use std::cmp::Ordering;

use crate::campaign::Value;
use crate::campaign::suggest;
use crate::campaign::template::text_of;
use crate::ids::JobId;
use crate::plan::axes::{Column, ColumnKind, EMPTY, index};
use crate::plan::expand::Expansion;
use crate::plan::job::Job;
use crate::plan::known::Known;
use crate::plan::name::visible;
use crate::plan::prefix::Prefixes;

/// A job that was selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobRef {
    /// Identity.
    pub id: JobId,
    /// Its place in the expansion; `None` for a job that left the matrix.
    pub index: Option<usize>,
}

/// A text that does not select one job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// It could be several.
    #[error("`{selector}` is {total} jobs: {}{}", .candidates.join("; "), if .candidates.len() < *.total { "; …" } else { "" })]
    Ambiguous {
        /// What was asked for.
        selector: String,
        /// How many it could be.
        total: usize,
        /// The first of them, as short id and name.
        candidates: Vec<String>,
    },
    /// It is none.
    #[error("no job is `{selector}`")]
    Unknown {
        /// What was asked for.
        selector: String,
        /// What may have been meant.
        help: Option<String>,
    },
}

impl SelectError {
    /// The next step.
    pub fn help(&self) -> String {
        match self {
            Self::Ambiguous { .. } => "give more of the id, or more axes".to_owned(),
            Self::Unknown { help: Some(help), .. } => help.clone(),
            Self::Unknown { help: None, .. } => {
                "`sp plan` and `sp status` list the jobs with id and name".to_owned()
            }
        }
    }
}

/// So many candidates of an ambiguous selector are told.
const TOLD: usize = 5;

/// Finds jobs by what a person typed.
pub struct Selector<'a> {
    expansion: &'a Expansion,
    known: &'a Known,
    prefixes: Prefixes,
}

impl<'a> Selector<'a> {
    /// A selector over the jobs of the file and those that are known.
    pub fn new(expansion: &'a Expansion, known: &'a Known) -> Self {
        let known_ids = known.jobs().iter().map(|job| job.id);
        let prefixes = Prefixes::new(expansion.ids().iter().copied().chain(known_ids));
        Self { expansion, known, prefixes }
    }

    /// The shortest unique prefixes over all these jobs.
    pub fn prefixes(&self) -> &Prefixes {
        &self.prefixes
    }

    /// The job that `text` selects.
    ///
    /// # Errors
    /// A text that selects no job or several.
    pub fn resolve(&self, text: &str) -> Result<JobRef, SelectError> {
        // A value may hold anything, so a name is tried before a text is taken for an id.
        let found = [Self::by_pairs, Self::by_name, Self::by_id, Self::by_known_name]
            .into_iter()
            .map(|find| find(self, text))
            .find(|found| !found.is_empty())
            .unwrap_or_default();
        match found.as_slice() {
            [] => Err(SelectError::Unknown { selector: shown(text), help: self.suggest(text) }),
            [id] => Ok(self.job_ref(*id)),
            several => Err(SelectError::Ambiguous {
                selector: shown(text),
                total: several.len(),
                candidates: several.iter().take(TOLD).map(|id| self.candidate(*id)).collect(),
            }),
        }
    }

    fn job_ref(&self, id: JobId) -> JobRef {
        JobRef { id, index: self.expansion.index_of(id) }
    }

    fn candidate(&self, id: JobId) -> String {
        let name = match self.expansion.index_of(id) {
            Some(index) => self.expansion.job(index).name(),
            None => self.known.get(id).map(|job| shown(&job.name)).unwrap_or_default(),
        };
        format!("{} {name}", self.prefixes.short(id))
    }

    /// Jobs whose values are the given ones; a cell that has no other values wins over those that have.
    fn by_pairs(&self, text: &str) -> Vec<JobId> {
        let Some(pairs) = self.pairs(text) else { return Vec::new() };
        let found: Vec<Job<'_>> = self
            .expansion
            .jobs()
            .filter(|job| pairs.iter().all(|pair| pair.values.contains(&job.cell()[pair.column])))
            .collect();
        if found.len() > 1 {
            let columns = self.expansion.columns();
            let has_no_other = |job: &&Job<'_>| {
                job.cell().iter().zip(columns).enumerate().all(|(at, (value, column))| {
                    *value == EMPTY
                        || column.kind == ColumnKind::Derived
                        || pairs.iter().any(|pair| pair.column == at)
                })
            };
            let mut whole = found.iter().filter(has_no_other);
            if let (Some(job), None) = (whole.next(), whole.next()) {
                return vec![job.id()];
            }
        }
        found.into_iter().map(Job::id).collect()
    }

    /// `axis=value` pairs, when the text begins like one. A part that names no axis belongs to the value before it.
    fn pairs(&self, text: &str) -> Option<Vec<Pair>> {
        let columns = self.expansion.columns();
        let column = |name: &str| columns.iter().position(|column| column.name.as_str() == name);
        let mut pairs: Vec<(usize, String)> = Vec::new();
        for part in text.split(',') {
            let named =
                part.split_once('=').and_then(|(axis, value)| Some((column(axis.trim())?, value)));
            match (named, pairs.last_mut()) {
                (Some((at, value)), _) => pairs.push((at, value.to_owned())),
                (None, Some((_, value))) => {
                    value.push(',');
                    value.push_str(part);
                }
                (None, None) => return None,
            }
        }
        let pair = |(column, text): (usize, String)| Pair {
            values: values_of(&columns[column], &text),
            column,
            text,
        };
        Some(pairs.into_iter().map(pair).collect())
    }

    fn by_name(&self, text: &str) -> Vec<JobId> {
        self.expansion.jobs().filter(|job| job.name() == text).map(Job::id).collect()
    }

    fn by_id(&self, text: &str) -> Vec<JobId> {
        let is_hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hex {
            self.prefixes.matching(&text.to_ascii_lowercase()).to_vec()
        } else {
            Vec::new()
        }
    }

    fn by_known_name(&self, text: &str) -> Vec<JobId> {
        self.known.jobs().iter().filter(|job| job.name == text).map(|job| job.id).collect()
    }

    /// The likeliest slip: a value that its axis does not have, an axis that is not there, a name that is not quite one.
    fn suggest(&self, text: &str) -> Option<String> {
        if let Some(pairs) = self.pairs(text) {
            for pair in &pairs {
                if self.expansion.jobs().any(|job| pair.values.contains(&job.cell()[pair.column])) {
                    continue;
                }
                let column = &self.expansion.columns()[pair.column];
                let values: Vec<_> = column.values.iter().map(text_of).collect();
                let near = suggest::nearest(&pair.text, values.iter().map(AsRef::as_ref));
                return Some(match near {
                    Some(near) => format!("did you mean `{}={}`?", column.name, visible(near)),
                    None => {
                        format!("axis `{}` has no value `{}`", column.name, visible(&pair.text))
                    }
                });
            }
            return Some("no cell has all of these values together".to_owned());
        }
        if let Some((axis, _)) = text.split_once('=') {
            let axes: Vec<&str> =
                self.expansion.columns().iter().map(|c| c.name.as_str()).collect();
            return suggest::help(axis.trim(), &axes, "the axes are");
        }
        let names: Vec<String> = self.expansion.jobs().map(Job::name).collect();
        let near = suggest::nearest(text, names.iter().map(String::as_str))?;
        Some(format!("did you mean `{near}`?"))
    }
}

/// One `axis=value` of a text.
struct Pair {
    /// The axis.
    column: usize,
    /// The value as it was typed.
    text: String,
    /// What a job's cell may have of that axis.
    values: Vec<u32>,
}

/// Returns the indices of a column's values that a text stands for: those that are spelled like it; without one, the
/// numbers that are equal to it. An empty text is an axis without a value.
fn values_of(column: &Column, text: &str) -> Vec<u32> {
    let those = |is: &dyn Fn(&Value) -> bool| -> Vec<u32> {
        let found = column.values.iter().enumerate().filter(|(_, value)| is(value));
        found.map(|(at, _)| index(at)).collect()
    };
    let mut values = those(&|value| text_of(value) == text);
    if values.is_empty() {
        values = those(&|value| is_number(value, text));
    }
    if text.is_empty() {
        values.push(EMPTY);
    }
    values
}

/// Whether a text is another spelling of a number.
fn is_number(value: &Value, text: &str) -> bool {
    match value {
        Value::Int(number) => match text.parse::<i64>() {
            Ok(other) => other == *number,
            // Beyond 2^53 a double stands for several integers.
            Err(_) => text.parse::<f64>().is_ok_and(|other| {
                number.unsigned_abs() <= 1 << 53
                    && other.fract().abs().total_cmp(&0.0).is_eq()
                    && format!("{other:.0}").parse() == Ok(*number)
            }),
        },
        Value::Float { value, .. } => {
            text.parse::<f64>().is_ok_and(|other| other.partial_cmp(value) == Some(Ordering::Equal))
        }
        Value::Str(_) | Value::Bool(_) => false,
    }
}

fn shown(text: &str) -> String {
    visible(text).into_owned()
}

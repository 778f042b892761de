//! A JOB of the command line: an id prefix, a name, or `axis=value,axis=value`.
//!
//! Finds exactly one job, be it of the file or known from earlier. Sets of jobs are chosen by `filter`.

use crate::campaign::suggest;
use crate::campaign::template::text_of;
use crate::ids::JobId;
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
        let jobs = || {
            let jobs = self.expansion.jobs();
            jobs.filter(|job| pairs.iter().all(|(axis, value)| job.has(axis, value)))
        };
        let all: Vec<JobId> = jobs().map(Job::id).collect();
        if all.len() > 1 {
            let whole: Vec<JobId> =
                jobs().filter(|job| job.cell_name() == text).map(Job::id).collect();
            if whole.len() == 1 {
                return whole;
            }
        }
        all
    }

    /// `axis=value` pairs, when the text begins like one. A part that names no axis belongs to the value before it.
    fn pairs<'t>(&self, text: &'t str) -> Option<Vec<(&'t str, String)>> {
        let is_axis = |name: &str| self.expansion.columns().iter().any(|c| c.name.as_str() == name);
        let mut pairs: Vec<(&str, String)> = Vec::new();
        for part in text.split(',') {
            match (part.split_once('='), pairs.last_mut()) {
                (Some((axis, value)), _) if is_axis(axis.trim()) => {
                    pairs.push((axis.trim(), value.to_owned()));
                }
                (_, Some((_, value))) => {
                    value.push(',');
                    value.push_str(part);
                }
                (_, None) => return None,
            }
        }
        Some(pairs)
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
            for (axis, value) in &pairs {
                if self.expansion.jobs().any(|job| job.has(axis, value)) {
                    continue;
                }
                let column = self.expansion.columns().iter().find(|c| c.name.as_str() == *axis)?;
                let values: Vec<_> = column.values.iter().map(text_of).collect();
                let near = suggest::nearest(value, values.iter().map(AsRef::as_ref));
                return Some(match near {
                    Some(near) => format!("did you mean `{axis}={}`?", visible(near)),
                    None => format!("axis `{axis}` has no value `{}`", visible(value)),
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

fn shown(text: &str) -> String {
    visible(text).into_owned()
}

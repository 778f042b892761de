//! What can be wrong with a template, and with one rendering of it.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::campaign::template::Name;

/// A template or expression that cannot be used; reads after "the template …" or alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// Bytes of the template's text that are to blame; `None` for all of it.
    pub range: Option<Range<usize>>,
    /// The next edit.
    pub help: Option<String>,
}

impl TemplateError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), range: None, help: None }
    }

    pub(crate) fn at(mut self, range: Range<usize>) -> Self {
        self.range = Some(range);
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Everything that is wrong with a template, at least one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateErrors {
    /// In the order of the text, as far as that can be told.
    pub errors: Vec<TemplateError>,
    /// The names that could be read all the same.
    pub names: BTreeSet<Name>,
}

/// Why a template or expression has no value for one job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RenderError {
    /// What is wrong, a sentence without its full stop.
    pub message: String,
    /// Bytes of the template's text that are to blame, where the engine knows them.
    pub range: Option<Range<usize>>,
}

impl RenderError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), range: None }
    }

    pub(crate) fn empty(name: &Name) -> Self {
        Self::new(format!(
            "`{name}` is empty in this job; give it a value in `[[matrix.include]]`, or write `{{{{ {name} | default('…') }}}}`"
        ))
    }
}

impl From<minijinja::Error> for RenderError {
    fn from(error: minijinja::Error) -> Self {
        Self { message: describe(&error), range: error.range() }
    }
}

/// The engine's words without its kind in front, where it has any.
pub(super) fn describe(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

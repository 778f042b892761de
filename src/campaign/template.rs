//! Templates and expressions: minijinja, strict, without clock, randomness or environment.

use crate::campaign::model::Value;

/// Where a rendered value ends up; each place has its own escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A shell text: every value is quoted as one word.
    Shell,
    /// A glob: `* ? [` in a value match themselves.
    Glob,
    /// A regular expression: a value matches itself.
    Regex,
    /// As it is.
    Plain,
}

/// A piece of rendered text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text, already escaped for its place.
    Text(String),
    /// A name that only the host can resolve. Never a path here, so that identity and other hosts never see one.
    Ref(Reference),
}

/// What `{{ job.out_dir }}` and its like stand for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// `job.out_dir`: the attempt's own folder.
    OutDir,
    /// `job.state_dir`: the same for every attempt.
    StateDir,
    /// `work_dir`: where the job starts.
    WorkDir,
    /// `host.x`: the host's own variable.
    HostVar(String),
}

/// A rendered template: text with references in it, in order, no two texts side by side.
pub type Rendered = Vec<Part>;

/// A checked template.
#[derive(Debug, Clone)]
pub struct Template {}

/// A checked expression of `when`, `expr` and `-F`.
#[derive(Debug, Clone)]
pub struct Expression {}

/// The values that templates and expressions see of one job.
pub trait Scope {
    /// Value of an axis; `None` where an `include` left it out.
    fn axis(&self, name: &str) -> Option<&Value>;
}

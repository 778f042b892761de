//! The plan: the matrix as jobs with identities, compared with what is known, each with an action and a reason.
//!
//! Pure: what it needs of the file system comes through [`Files`]. It starts nothing and stores nothing.
//!
//! ```text
//! expand     campaign -> jobs:  axes -> cells (eval) -> content (render, inputs) -> identity
//! job        one job looked at: name, values, command, spec, parts
//! planned    jobs + known + hosts -> plan:  past, decide, homes (home, dealt), detail (diff) -> view
//! select     a JOB of the command line;  filter: `-F EXPR`;  named_hosts: `--host`;  prefix: short ids
//! ```

mod action;
mod axes;
mod cells;
mod content;
mod dealt;
mod decide;
mod detail;
mod diff;
mod error;
mod eval;
mod expand;
mod filter;
mod home;
mod homes;
mod identity;
mod inputs;
mod job;
pub mod known;
mod name;
mod named_hosts;
mod params;
mod past;
mod planned;
mod prefix;
mod programs;
mod render;
mod select;
mod setup;
mod view;

pub use action::{Action, Reason};
pub use axes::{Column, ColumnKind};
pub use dealt::{DealtHost, HostList};
pub use decide::{BY_USER, Options, Rerun, decide};
pub use detail::Detail;
pub use diff::{Change, diff};
pub use error::{PlanError, PlanWarning};
pub use expand::{Expansion, expand};
pub use filter::{Filter, FilterError};
pub use home::{Score, home};
pub use homes::{eligible, hosts_of};
pub use job::{CellKeys, CommandSpec, CountMarker, EnvSpec, Job, JobSpec, Markers, told};
pub use known::{CellKey, Known, KnownJob, Parts};
pub use name::visible;
pub use named_hosts::named_hosts;
pub use params::{JsonNumber, JsonValue, Params};
pub use planned::{Decision, Evidence, HostStatus, Obsolete, Plan, PlannedHost, Summary, plan};
pub use prefix::Prefixes;
pub use programs::{named_files, programs_without_inputs};
pub use select::{JobRef, SelectError, Selector};
pub use setup::{Setup, SetupPlace};
pub use view::{Neighbour, PlanView};

/// What expansion needs to know of the campaign's folder. Paths and patterns are relative to `working-dir`.
pub trait Files {
    /// Paths that match a glob, sorted by bytes; regular files only.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, FilesError>;
    /// Lines of a file, without their ends.
    fn lines(&self, path: &str) -> Result<Vec<String>, FilesError>;
    /// BLAKE3 of a file's content.
    fn digest(&self, path: &str) -> Result<[u8; 32], FilesError>;
}

/// Why a file could not be listed or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read `{path}`: {cause}")]
pub struct FilesError {
    /// The path or pattern.
    pub path: String,
    /// The system's words.
    pub cause: String,
    /// The next step, where it is not to make the file readable.
    pub help: Option<String>,
}

impl FilesError {
    /// What went wrong with a path.
    pub fn new(path: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { path: path.into(), cause: cause.into(), help: None }
    }

    /// The same with a next step of its own.
    #[must_use]
    pub fn advise(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

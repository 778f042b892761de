//! The checked campaign: what every later layer works with. Nothing in it can be wrong in itself any more.

use std::time::Duration;

use indexmap::IndexMap;

use crate::campaign::ssh::Destination;
use crate::campaign::template::{Expression, Template};
use crate::ids::{AxisName, CampaignName, HostName, InstanceId};

/// One value of an axis or a variable, typed as the file spelled it: `8192` is not `"8192"`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Str(String),
    /// A 64-bit integer, written in decimal.
    Int(i64),
    /// A finite float with its spelling less `_` and `+`, so that `1e-5` stays `1e-5` in a command.
    Float {
        /// The number.
        value: f64,
        /// How the file, or the decimal arithmetic of a range, wrote it.
        spelled: String,
    },
    /// `true` or `false`.
    Bool(bool),
}

/// A checked `campaign.toml`.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// Name: a folder on every host.
    pub name: CampaignName,
    /// Which instance this is, where the author says so; see `apply::instance`.
    pub id: Option<InstanceId>,
    /// One line for people.
    pub description: Option<String>,
    /// What every job runs.
    pub command: Command,
    /// Words of the shell for string commands, `prepare` and `cleanup`; a script file is appended.
    pub shell: Vec<String>,
    /// Folder below `sync.root` where a job starts; `.` or a relative path without `..`.
    pub working_dir: String,
    /// Shell text once per host, snapshot and its own wording; no template.
    pub setup: Option<String>,
    /// Shell text before each job; its failure is the job's.
    pub prepare: Option<Template>,
    /// Shell text after each job, whatever its end.
    pub cleanup: Option<Template>,
    /// Wall time of `cleanup`.
    pub cleanup_limit: Duration,
    /// What becomes of processes that a job leaves behind.
    pub leftover: Leftover,
    /// How often each cell runs, at least 1.
    pub repeat: u32,
    /// A job's name for people; default: `axis=value` pairs.
    pub job_name: Option<Template>,
    /// Wall time of prepare and command, without the queue.
    pub time_limit: Option<Duration>,
    /// Patterns of files whose content is part of the identity, relative to `working_dir`.
    pub inputs: Vec<Template>,
    /// At most so many jobs at once over all hosts.
    pub max_parallel: Option<u32>,
    /// So many failed jobs stop the apply.
    pub max_fail: Option<u32>,
    /// Bytes of a log that are kept, half of them head and half tail.
    pub log_max: u64,
    /// `{{ vars.x }}`.
    pub vars: IndexMap<AxisName, Value>,
    /// Environment of every job, in file order.
    pub env: IndexMap<String, EnvValue>,
    /// The matrix; empty for one job.
    pub matrix: Matrix,
    /// What must hold for a job to count as done.
    pub done: Done,
    /// Hosts in file order; never empty: without a table it is `local` with all defaults.
    pub hosts: IndexMap<HostName, Host>,
    /// What a finished job's code having changed since means.
    pub code_change: CodeChange,
    /// Which files are the campaign's code, and go to hosts.
    pub sync: Sync,
    /// `[results] dir`, relative to the campaign file's folder.
    pub results_dir: Option<String>,
}

/// What to do about finished jobs that ran with other code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CodeChange {
    /// Nothing; where no host has snapshots, the code is not even looked at.
    Ignore,
    /// One line with the changed paths.
    #[default]
    Warn,
    /// They run again.
    Rerun,
}

impl CodeChange {
    /// Every word of the file and of `--code-change`.
    pub const WORDS: [(&'static str, Self); 3] =
        [("ignore", Self::Ignore), ("warn", Self::Warn), ("rerun", Self::Rerun)];
}

/// What becomes of processes that a job leaves behind when its command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leftover {
    /// They are ended.
    #[default]
    Kill,
    /// They are let be.
    Keep,
}

impl Leftover {
    /// Every word of the file.
    pub const WORDS: [(&'static str, Self); 2] = [("kill", Self::Kill), ("keep", Self::Keep)];

    /// The word of the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Keep => "keep",
        }
    }
}

/// `[sync]`: the list of files. Patterns are in gitignore syntax, relative to `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// Folder that is synced, relative to the campaign file's; `..` only in front.
    pub root: String,
    /// What is left out; the last match wins.
    pub exclude: Vec<String>,
    /// What is brought back, from `exclude` and from what git ignores.
    pub include: Vec<String>,
    /// Folders below `root` that are each snapshot's own.
    pub keep: Vec<String>,
    /// Files that go to hosts and are no code: a change of them is no change of the code.
    pub not_code: Vec<String>,
    /// Bytes; to send more needs a yes.
    pub max_size: u64,
}

impl Default for Sync {
    /// All of the campaign file's folder, 2 GiB without a question.
    fn default() -> Self {
        Self {
            root: ".".to_owned(),
            exclude: Vec::new(),
            include: Vec::new(),
            keep: Vec::new(),
            not_code: Vec::new(),
            max_size: 2 << 30,
        }
    }
}

/// The command, as text for the shell or as words for exec.
#[derive(Debug, Clone)]
pub enum Command {
    /// One text, escaped for the shell.
    Shell(Template),
    /// Program and arguments, each plain; no shell.
    Argv(Vec<Template>),
}

/// A value of `[env]`.
#[derive(Debug, Clone)]
pub enum EnvValue {
    /// A template, plain.
    Plain(Template),
    /// A secret: the name of the variable that holds it where `sp apply` is started.
    FromEnv(String),
}

/// The matrix as written; `plan::expand` makes cells of it.
#[derive(Debug, Clone, Default)]
pub struct Matrix {
    /// Axes in file order. A derived axis (`expr`) is a column, not a dimension.
    pub axes: IndexMap<AxisName, Axis>,
    /// Groups of axes that advance together; a name stands in at most one group.
    pub zip: Vec<Vec<AxisName>>,
    /// Which cells stay.
    pub when: Option<Expression>,
    /// Subsets of axes whose cells go.
    pub exclude: Vec<IndexMap<AxisName, Value>>,
    /// One more job each; axes left out stay empty.
    pub include: Vec<IndexMap<AxisName, Value>>,
}

/// Where an axis has its values from.
#[derive(Debug, Clone)]
pub enum Axis {
    /// Listed, or a range that has been computed.
    Values(Vec<Value>),
    /// Files that match, relative to `working_dir`, sorted by bytes.
    Glob(String),
    /// The lines of a file, relative to `working_dir`.
    Lines(String),
    /// Computed from the other axes.
    Expr(Expression),
}

/// The done markers; all must hold.
#[derive(Debug, Clone)]
pub struct Done {
    /// Accepted exit codes; `[0]` when the file does not say.
    pub exit_codes: Vec<u8>,
    /// Globs below the attempt's out folder; each must match a file that is fresh and not empty.
    pub files: Vec<Template>,
    /// A regular expression that the attempt's log must match.
    pub log: Option<Template>,
    /// At least so many fresh files must match.
    pub count: Option<DoneCount>,
}

/// `[done] count`.
#[derive(Debug, Clone)]
pub struct DoneCount {
    /// A glob as in `files`.
    pub files: Template,
    /// The least number of matches.
    pub min: u32,
}

/// A host of the campaign.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// How it is reached; `None` is this machine.
    pub ssh: Option<Ssh>,
    /// Where `sp` keeps its records there; `None` is `~/.local/share/sp`.
    pub root: Option<String>,
    /// Jobs at once, at least 1 (0 only by `Default`, never after the check).
    pub slots: u32,
    /// Jobs run in a snapshot of the code instead of the campaign's own folder.
    pub snapshot: bool,
    /// Environment that wins over `[env]`; not part of the identity.
    pub env: IndexMap<String, EnvValue>,
    /// `{{ host.x }}`, resolved on the host.
    pub vars: IndexMap<AxisName, Value>,
    /// Shell text before prepare and command, for environment modules and the like.
    pub init: Option<String>,
    /// Programs that must be there.
    pub require: Vec<String>,
    /// Labels for `--host`; none is the name of another host.
    pub tags: Vec<String>,
    /// Which jobs may run here.
    pub when: Option<Expression>,
}

/// How a host is reached by ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// Where ssh goes.
    pub destination: Destination,
    /// What to do with a host whose key nobody has seen.
    pub host_key_check: HostKeyCheck,
}

/// `host-key-check`: what to do with a host whose key is not in `known_hosts`. A key that differs from a known one is
/// refused either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HostKeyCheck {
    /// Refuse it; the default.
    #[default]
    Strict,
    /// Take it and remember it.
    AcceptNew,
}

impl HostKeyCheck {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Strict, Self::AcceptNew];

    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::AcceptNew => "accept-new",
        }
    }
}

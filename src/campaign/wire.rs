//! The campaign file as written: what `read` fills and the JSON Schema is made of. Nothing here is checked beyond its
//! type; the doc comments are what editors show.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::campaign::model::Value;

/// A value with its bytes in the file.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// The entries of a table whose keys are names, in file order.
#[derive(Debug, Clone)]
pub(super) struct Entries<T>(pub(super) Vec<(At<String>, At<T>)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Text, an integer, a float or a boolean.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scalar(pub(super) Value);

/// A campaign: its hosts, a command over a matrix, and what counts as done.
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename = "campaign", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct WireCampaign {
    /// Version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub(super) version: Option<At<i64>>,
    /// Name of the campaign: letters, digits, `_` and `-`.
    #[schemars(required, regex(pattern = "^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"))]
    pub(super) name: Option<At<String>>,
    /// Which living copy of the campaign this is. Copies that say the same share queue and results; without it, clones and work
    /// trees of one repository do.
    #[schemars(regex(pattern = "^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"))]
    pub(super) id: Option<At<String>>,
    /// One line for people.
    pub(super) description: Option<At<String>>,
    /// What every job runs. A string is for `shell`, every value quoted as one word; an array is program and arguments,
    /// without a shell.
    #[schemars(required)]
    pub(super) command: Option<At<WireCommand>>,
    /// Folder where a job starts, below `sync.root`, which is the campaign file's folder.
    pub(super) working_dir: Option<At<String>>,
    /// The shell for string commands, `prepare` and `cleanup`. Default: `bash -euo pipefail`.
    pub(super) shell: Option<At<String>>,
    /// Shell text that runs once on a host for a snapshot, before its jobs; no template.
    pub(super) setup: Option<At<String>>,
    /// Shell text before each job; its failure is the job's.
    pub(super) prepare: Option<At<String>>,
    /// Shell text after each job, whatever its end, unless the host's `init` failed.
    pub(super) cleanup: Option<At<String>>,
    /// Longest run of `cleanup`: `90s`, `1h 30m`. Default: `10m`.
    pub(super) cleanup_limit: Option<At<String>>,
    /// What becomes of processes that a job leaves behind when its command ends: `kill` or `keep`. Default: `kill`.
    #[schemars(regex(pattern = "^(kill|keep)$"))]
    pub(super) leftover: Option<At<String>>,
    /// How often each cell of the matrix runs: the axis `repeat` = 0, 1, 2, …
    #[schemars(range(min = 1))]
    pub(super) repeat: Option<At<i64>>,
    /// A job's name for people. Default: `axis=value` pairs.
    pub(super) job_name: Option<At<String>>,
    /// Longest run of prepare and command: `30m`, `1h 30m`, or Slurm's `D-HH:MM:SS`.
    pub(super) time_limit: Option<At<String>>,
    /// Globs of files whose content is part of a job's identity, relative to `working-dir`.
    pub(super) inputs: Option<At<Vec<At<String>>>>,
    /// What to do about finished jobs when the code has changed since: `ignore`, `warn` or `rerun`. Default: `warn`.
    #[schemars(regex(pattern = "^(ignore|warn|rerun)$"))]
    pub(super) code_change: Option<At<String>>,
    /// At most so many jobs at once over all hosts.
    #[schemars(range(min = 1))]
    pub(super) max_parallel: Option<At<i64>>,
    /// After so many failed jobs no further one starts.
    #[schemars(range(min = 1))]
    pub(super) max_fail: Option<At<i64>>,
    /// How much of a log is kept, half of it head and half tail: `256MiB`.
    pub(super) log_max: Option<At<String>>,
    /// Constants for templates: `{{ vars.NAME }}`.
    pub(super) vars: Option<At<Entries<Scalar>>>,
    /// Environment of every job.
    pub(super) env: Option<At<Entries<WireEnv>>>,
    /// The axes; every combination of their values is a job.
    pub(super) matrix: Option<At<WireMatrix>>,
    /// What must hold for a job to count as done.
    pub(super) done: Option<At<WireDone>>,
    /// Which files are the campaign's code, and go to hosts.
    pub(super) sync: Option<At<WireSync>>,
    /// The machines, by name. Default: this one, as `local`.
    pub(super) hosts: Option<At<Entries<WireHost>>>,
    /// Where the tables go.
    pub(super) results: Option<At<WireResults>>,
}

/// The command, as text or as words.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
#[schemars(rename = "command")]
pub(super) enum WireCommand {
    /// For the shell.
    Shell(String),
    /// Program and arguments, no shell.
    Argv(#[schemars(length(min = 1))] Vec<At<String>>),
}

/// A variable of the environment.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
#[schemars(rename = "variable")]
pub(super) enum WireEnv {
    /// A template.
    Text(String),
    /// A secret, taken from the environment of `sp apply`; never stored.
    From(WireFromEnv),
}

/// A secret, taken from the environment of `sp apply`; never stored.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "secret")]
pub(super) struct WireFromEnv {
    /// Name of the variable there.
    #[schemars(required)]
    pub(super) from_env: Option<At<String>>,
}

/// Groups of axis names.
pub(super) type Groups = Vec<At<Vec<At<String>>>>;

/// Axes by name, and the keys that choose among their combinations.
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename = "matrix")]
pub(super) struct WireMatrix {
    /// Groups of axes that advance together.
    pub(super) zip: Option<At<Groups>>,
    /// Expression that says which cells stay: `not (dtype == 'fp16' and seq > 4096)`.
    pub(super) when: Option<At<String>>,
    /// Cells to leave out, by some of their axes.
    pub(super) exclude: Option<At<Vec<At<Entries<Scalar>>>>>,
    /// One more job each; axes left out stay empty.
    pub(super) include: Option<At<Vec<At<Entries<Scalar>>>>>,
    #[schemars(flatten)]
    pub(super) axes: Entries<WireAxis>,
}

/// Values of an axis: a list, a range, files, lines, or an expression.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
#[schemars(rename = "axis")]
pub(super) enum WireAxis {
    /// The values.
    List(#[schemars(length(min = 1))] Vec<At<Scalar>>),
    /// A range, files, lines, or an expression.
    Table(Box<WireAxisTable>),
}

/// Exactly one of a range, `glob`, `lines` and `expr`.
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "axis-table")]
pub(super) struct WireAxisTable {
    /// First value of a range.
    pub(super) from: Option<At<Number>>,
    /// Last value of a range, included when it is met.
    pub(super) to: Option<At<Number>>,
    /// What is added from value to value; 1 where neither it nor `factor` nor `count` is given.
    pub(super) step: Option<At<Number>>,
    /// What a value is multiplied by for the next.
    pub(super) factor: Option<At<Number>>,
    /// How many values, evenly spaced.
    #[schemars(range(min = 2))]
    pub(super) count: Option<At<i64>>,
    /// Files that match, relative to `working-dir`.
    pub(super) glob: Option<At<String>>,
    /// The lines of a file, relative to `working-dir`.
    pub(super) lines: Option<At<String>>,
    /// Computed from the other axes: a column, not a dimension.
    pub(super) expr: Option<At<String>>,
}

/// An integer or a float as spelled.
#[derive(Debug, Clone)]
pub(super) struct Number(pub(super) String);

/// What must hold for a job to count as done; all of it.
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "done")]
pub(super) struct WireDone {
    /// Accepted exit codes. Default: `[0]`.
    pub(super) exit_codes: Option<At<Vec<At<ExitCode>>>>,
    /// Globs below the job's out folder; each must match a file that is fresh and not empty.
    pub(super) files: Option<At<Vec<At<String>>>>,
    /// Regular expression (Rust's syntax) that a line of the log must match.
    pub(super) log: Option<At<String>>,
    /// At least so many files must match.
    pub(super) count: Option<At<WireCount>>,
}

/// An integer; 0 to 255 once checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExitCode(pub(super) i64);

/// At least so many files must match.
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "done-count")]
pub(super) struct WireCount {
    /// A glob as in `files`.
    #[schemars(required)]
    pub(super) files: Option<At<String>>,
    /// The least number of matches.
    #[schemars(required, range(min = 1))]
    pub(super) min: Option<At<i64>>,
}

/// Which files are the campaign's code, and go to hosts. Patterns are in gitignore syntax.
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "sync")]
pub(super) struct WireSync {
    /// The folder, relative to the campaign file's; `..` leads up within the same git work tree. Default: `.`.
    pub(super) root: Option<At<String>>,
    /// What is left out, besides what git ignores; the last match wins.
    pub(super) exclude: Option<At<Vec<At<String>>>>,
    /// What is brought back, from `exclude` and from what git ignores.
    pub(super) include: Option<At<Vec<At<String>>>>,
    /// Folders that each snapshot has for itself, such as `target`; they are not sent.
    pub(super) keep: Option<At<Vec<At<String>>>>,
    /// Files that are sent and are no code: a change of them is none for `code-change`.
    pub(super) not_code: Option<At<Vec<At<String>>>>,
    /// To send more than this needs a yes: `2GiB`, which is the default.
    pub(super) max_size: Option<At<String>>,
}

/// A machine of the campaign.
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "host")]
pub(super) struct WireHost {
    /// Where ssh finds it: an alias, `user@host` or `ssh://user@host:port`. Without it the host is this machine.
    pub(super) ssh: Option<At<String>>,
    /// Where `sp` keeps its records there. Default: `~/.local/share/sp`.
    pub(super) root: Option<At<String>>,
    /// Jobs at once. Default: 1.
    #[schemars(range(min = 1))]
    pub(super) slots: Option<At<i64>>,
    /// Run jobs in a snapshot of the code, made when they are handed over. Default: `false`, in the campaign's own folder.
    pub(super) snapshot: Option<At<bool>>,
    /// Environment that wins over `[env]`; not part of a job's identity.
    pub(super) env: Option<At<Entries<WireEnv>>>,
    /// `{{ host.NAME }}`.
    pub(super) vars: Option<At<Entries<Scalar>>>,
    /// Shell text before prepare and command, such as `module load cuda`.
    pub(super) init: Option<At<String>>,
    /// Programs that must be there.
    pub(super) require: Option<At<Vec<At<String>>>>,
    /// Labels to choose hosts by.
    pub(super) tags: Option<At<Vec<At<String>>>>,
    /// Expression that says which jobs may run here.
    pub(super) when: Option<At<String>>,
    /// Whether a host whose key is not known is refused (`strict`, the default) or taken (`accept-new`); only with `ssh`.
    #[schemars(extend("enum" = ["strict", "accept-new"]))]
    pub(super) host_key_check: Option<At<String>>,
}

/// Where the tables go.
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "results")]
pub(super) struct WireResults {
    /// Folder of the tables: the campaign file's (`.`) or one below it. Default: `.sp/<campaign>`.
    pub(super) dir: Option<At<String>>,
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        BTreeMap::<String, T>::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        BTreeMap::<String, T>::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

macro_rules! inline_schema {
    ($name:ident, $schema:tt) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

inline_schema!(Scalar, { "type": ["string", "number", "boolean"] });
inline_schema!(Number, { "type": "number" });
inline_schema!(ExitCode, { "type": "integer", "minimum": 0, "maximum": 255 });

//! One job of an expansion, looked at: its name, values, command, and all that a host needs to run it.
//!
//! Everything is rendered when it is asked for and kept by nobody.

use std::time::Duration;

use indexmap::IndexMap;

use crate::campaign::template::{Part, Rendered, Template};
use crate::campaign::{Command, EnvValue, Leftover, Value};
use crate::campaign::{ere, glob};
use crate::ids::{AxisName, JobId};
use crate::plan::axes::{ColumnKind, Row};
use crate::plan::content::AxisForms;
use crate::plan::expand::Expansion;
use crate::plan::identity::Form;
use crate::plan::inputs::{pattern_text, sort_files};
use crate::plan::known::{CellKey, Parts};
use crate::plan::name::{pairs, visible};
use crate::plan::{Params, PlanError};

/// A job of an expansion.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    expansion: &'a Expansion,
    index: usize,
}

/// A rendered command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandSpec {
    /// Text for the shell.
    Shell(Rendered),
    /// Words; the first is the program.
    Argv(Vec<Rendered>),
}

/// A rendered value of `[env]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvSpec {
    /// Text.
    Text(Rendered),
    /// A secret: the variable that holds it where `sp apply` is started.
    FromEnv(String),
}

/// `[done]`, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Markers {
    /// Accepted exit codes.
    pub exit_codes: Vec<u8>,
    /// Globs; each must match a file that is fresh and not empty.
    pub files: Vec<Rendered>,
    /// What a line of the log must match.
    pub log: Option<LogMarker>,
    /// At least so many fresh files must match.
    pub count: Option<CountMarker>,
}

/// `[done] log`, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogMarker {
    /// The expression, as the file has it.
    pub pattern: String,
    /// The same in pieces for the host, see `campaign::ere`.
    pub pieces: Vec<String>,
}

/// `[done] count`, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountMarker {
    /// A glob.
    pub files: Rendered,
    /// The least number of matches.
    pub min: u32,
}

/// Everything about one job that a host needs; no path of a host and no secret's value in it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    /// Identity.
    pub id: JobId,
    /// Place in the order of jobs, from 0.
    pub index: usize,
    /// Name for people.
    pub name: String,
    /// Every axis in file order; `None` where an `include` left it out.
    pub params: Params,
    /// The command.
    pub command: CommandSpec,
    /// Shell text before the command.
    pub prepare: Option<Rendered>,
    /// Shell text after the job, whatever its end.
    pub cleanup: Option<Rendered>,
    /// Wall time of `cleanup`.
    pub cleanup_limit: Duration,
    /// What becomes of processes that it leaves behind.
    pub leftover: Leftover,
    /// `[env]` in file order.
    pub env: IndexMap<String, EnvSpec>,
    /// What must hold for the job to count as done.
    pub markers: Markers,
    /// Wall time of prepare and command.
    pub time_limit: Option<Duration>,
    /// Bytes of the log that are kept.
    pub log_max: u64,
    /// Where the job starts, below the tree.
    pub working_dir: String,
    /// The shell's words.
    pub shell: Vec<String>,
}

impl<'a> Job<'a> {
    pub(crate) fn new(expansion: &'a Expansion, index: usize) -> Self {
        Self { expansion, index }
    }

    /// Identity.
    pub fn id(self) -> JobId {
        self.expansion.ids()[self.index]
    }

    /// Place in the order of jobs, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// Key of the job's cell; for many jobs see [`CellKeys`].
    pub fn cell_key(self) -> CellKey {
        CellKeys::new(self.expansion).key(self.index)
    }

    /// Every axis in file order; `None` where an `include` left it out.
    pub fn params(self) -> impl Iterator<Item = (&'a AxisName, Option<&'a Value>)> {
        let cell = self.expansion.cells.cell(self.index);
        self.expansion
            .columns()
            .iter()
            .zip(cell)
            .map(|(column, at)| (&column.name, column.get(*at)))
    }

    /// The cell as `axis=value` pairs, without derived axes; empty for the only job of a campaign without a matrix.
    pub fn cell_name(self) -> String {
        let kinds = self.expansion.columns().iter().map(|column| column.kind);
        pairs(
            self.params()
                .zip(kinds)
                .filter(|(_, kind)| *kind != ColumnKind::Derived)
                .filter_map(|((name, value), _)| Some((name.as_str(), value?))),
        )
    }

    /// The name for people: `job-name`, else the cell, else the campaign's name. It holds no control character.
    pub fn name(self) -> String {
        let campaign = self.expansion.campaign();
        let row = self.expansion.row(self.index);
        let rendered = campaign.job_name.as_ref().and_then(|name| name.render(&row).ok());
        let name = match rendered {
            Some(rendered) => visible(&told(&rendered)).into_owned(),
            None => self.cell_name(),
        };
        if name.is_empty() { campaign.name.to_string() } else { name }
    }

    /// The command.
    pub fn command(self) -> Result<CommandSpec, PlanError> {
        Ok(match &self.expansion.campaign().command {
            Command::Shell(text) => CommandSpec::Shell(self.render(text, "command")?),
            Command::Argv(words) => {
                let words = words.iter().map(|word| self.render(word, "command"));
                CommandSpec::Argv(words.collect::<Result<_, _>>()?)
            }
        })
    }

    /// Every axis by name, as it is kept and shown.
    pub fn params_by_name(self) -> Params {
        self.params().map(|(name, value)| (name.as_str(), value.cloned())).collect()
    }

    /// All that the host needs.
    pub fn spec(self) -> Result<JobSpec, PlanError> {
        let campaign = self.expansion.campaign();
        let optional = |text: &Option<Template>, what| {
            text.as_ref().map(|text| self.render(text, what)).transpose()
        };
        Ok(JobSpec {
            id: self.id(),
            index: self.index,
            name: self.name(),
            params: self.params_by_name(),
            command: self.command()?,
            prepare: optional(&campaign.prepare, "prepare")?,
            cleanup: optional(&campaign.cleanup, "cleanup")?,
            cleanup_limit: campaign.cleanup_limit,
            leftover: campaign.leftover,
            env: self.environment(&campaign.env)?,
            markers: self.markers()?,
            time_limit: campaign.time_limit,
            log_max: campaign.log_max,
            working_dir: campaign.working_dir.clone(),
            shell: campaign.shell.clone(),
        })
    }

    /// `[hosts.NAME] env`, rendered for this job; it wins over `[env]` and is no part of the identity.
    pub fn host_env(
        self,
        env: &IndexMap<String, EnvValue>,
    ) -> Result<IndexMap<String, EnvSpec>, PlanError> {
        self.environment(env)
    }

    fn environment(
        self,
        variables: &IndexMap<String, EnvValue>,
    ) -> Result<IndexMap<String, EnvSpec>, PlanError> {
        let mut env = IndexMap::with_capacity(variables.len());
        for (name, value) in variables {
            let value = match value {
                EnvValue::Plain(text) => EnvSpec::Text(self.render(text, &format!("env.{name}"))?),
                EnvValue::FromEnv(variable) => EnvSpec::FromEnv(variable.clone()),
            };
            env.insert(name.clone(), value);
        }
        Ok(env)
    }

    /// The parts that the id is computed from, as text for the store and for telling edits.
    pub fn parts(self) -> Result<Parts, PlanError> {
        let campaign = self.expansion.campaign();
        let (shell_command, argv) = match self.command()? {
            CommandSpec::Shell(text) => (Some(told(&text)), None),
            CommandSpec::Argv(words) => (None, Some(words.iter().map(|w| told(w)).collect())),
        };
        let mut env = IndexMap::with_capacity(campaign.env.len());
        for (name, value) in &campaign.env {
            let text = match value {
                EnvValue::Plain(text) => told(&self.render(text, &format!("env.{name}"))?),
                EnvValue::FromEnv(variable) => format!("{{ from-env = {variable} }}"),
            };
            env.insert(name.clone(), text);
        }
        let mut files = Vec::new();
        for pattern in &campaign.inputs {
            let pattern = pattern_text(self.render(pattern, "inputs")?).unwrap_or_default();
            self.expansion.inputs.push_files(&pattern, &mut files);
        }
        sort_files(&mut files);
        let hex = |digest: &[u8; 32]| blake3::Hash::from_bytes(*digest).to_hex().to_string();
        Ok(Parts {
            shell_command,
            argv,
            shell: campaign.shell.clone(),
            prepare: campaign
                .prepare
                .as_ref()
                .map(|text| self.render(text, "prepare").map(|rendered| told(&rendered)))
                .transpose()?,
            working_dir: campaign.working_dir.clone(),
            env,
            inputs: files.into_iter().map(|(path, d)| (path.to_owned(), hex(d))).collect(),
        })
    }

    /// `[done] log` as the host's `grep -E` reads it.
    fn log_pattern(self) -> Result<Option<LogMarker>, PlanError> {
        let Some(log) = &self.expansion.campaign().done.log else { return Ok(None) };
        let rendered = self.render(log, "done.log")?;
        let wrong =
            |cause: String, help: &str| self.wrong_pattern("done.log", &rendered, cause, help);
        let Some(pattern) = pattern_text(rendered.clone()) else {
            let cause = "a path that only the host knows is no part of a regular expression";
            return Err(wrong(cause.to_owned(), "name what the log says, not where"));
        };
        match ere::translate(&pattern) {
            Ok(pieces) => Ok(Some(LogMarker { pattern, pieces })),
            Err(error) => Err(wrong(error.to_string(), error.help())),
        }
    }

    /// A marker's glob, rendered. A value can bring `..` or a leading `/`, which the file's own check cannot see.
    fn glob(self, glob: &Template, what: &str) -> Result<Rendered, PlanError> {
        let rendered = self.render(glob, what)?;
        let path = match rendered.as_slice() {
            [Part::Ref(_), Part::Text(text)] if text.starts_with('/') => Some(&text[1..]),
            [Part::Text(text)] => Some(text.as_str()),
            _ => None,
        };
        let checked = match path {
            Some(path) => glob::check(path).map_err(|error| (error.to_string(), error.help())),
            None => Err((
                "holds a path of the host behind other text".to_owned(),
                "begin with the path, as in `{{ work_dir }}/…`",
            )),
        };
        match checked {
            Ok(()) => Ok(rendered),
            Err((cause, help)) => {
                Err(self.wrong_pattern(what, &rendered, format!("the glob {cause}"), help))
            }
        }
    }

    /// `[done]`, rendered and checked.
    pub(crate) fn markers(self) -> Result<Markers, PlanError> {
        let done = &self.expansion.campaign().done;
        let files = done.files.iter().map(|glob| self.glob(glob, "done.files"));
        let count = done.count.as_ref().map(|count| {
            let files = self.glob(&count.files, "done.count.files")?;
            Ok::<_, PlanError>(CountMarker { files, min: count.min })
        });
        Ok(Markers {
            exit_codes: done.exit_codes.clone(),
            files: files.collect::<Result<_, _>>()?,
            log: self.log_pattern()?,
            count: count.transpose()?,
        })
    }

    fn wrong_pattern(self, what: &str, rendered: &[Part], cause: String, help: &str) -> PlanError {
        PlanError::Pattern {
            what: what.to_owned(),
            pattern: visible(&told(rendered)).into_owned(),
            cell: self.expansion.row(self.index).words(),
            cause,
            help: help.to_owned(),
        }
    }

    pub(crate) fn row(self) -> Row<'a> {
        self.expansion.row(self.index)
    }

    fn render(self, template: &Template, what: &str) -> Result<Rendered, PlanError> {
        let row = self.expansion.row(self.index);
        template.render(&row).map_err(|error| PlanError::Render {
            what: what.to_owned(),
            cell: row.words(),
            cause: error.to_string(),
        })
    }

    /// The job's values as indices into the columns' values, [`EMPTY`] where it has none.
    ///
    /// [`EMPTY`]: crate::plan::axes::EMPTY
    pub(crate) fn cell(self) -> &'a [u32] {
        self.expansion.cells.cell(self.index)
    }
}

/// Rendered text for people and for comparison; a reference stands as it does in the file.
pub fn told(rendered: &[Part]) -> String {
    let mut out = String::new();
    for part in rendered {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Ref(reference) => {
                out.push_str("{{ ");
                out.push_str(&reference.to_string());
                out.push_str(" }}");
            }
        }
    }
    out
}

/// Keys of many cells: the values of the axes are encoded once.
pub struct CellKeys<'a> {
    expansion: &'a Expansion,
    forms: AxisForms,
    form: Form,
}

impl<'a> CellKeys<'a> {
    /// Keys of the cells of an expansion.
    pub fn new(expansion: &'a Expansion) -> Self {
        let forms = AxisForms::new(expansion.columns());
        Self { expansion, forms, form: Form::default() }
    }

    /// The key of a job's cell.
    pub fn key(&mut self, index: usize) -> CellKey {
        self.form.start_cell();
        self.forms.write(self.expansion.cells.cell(index), &mut self.form);
        self.form.cell_key()
    }
}

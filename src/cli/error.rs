//! Errors as people and programs see them: what, why, the next step, the exit code.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use serde_json::{Value, json};

use super::exit::Exit;
use super::host_help::host_help;
use super::printable::{printable, printable_error};
use crate::apply::ApplyError;
use crate::campaign::CampaignError;
use crate::host::HostError;
use crate::plan::{FilterError, PlanError, SelectError};
use crate::shell::quote;
use crate::store::StoreError;

/// Why a command ends without having done what it was asked.
#[derive(Debug)]
pub(super) enum CliError {
    /// A sentence, a code for programs, the next step.
    Said {
        /// The exit code.
        exit: Exit,
        /// Stable code for programs.
        code: &'static str,
        /// The sentence.
        message: String,
        /// What to do next; may be empty.
        help: String,
    },
    /// Mistakes of the campaign file.
    Campaign(Box<CampaignError>),
    /// The checkpoint is damaged; the command can begin again without it.
    Damaged(Box<StoreError>),
    /// Whoever read our output wants no more.
    BrokenPipe,
}

impl CliError {
    /// An error a person must act on.
    pub(super) fn person(
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::Said { exit: Exit::Person, code, message: message.into(), help: help.into() }
    }

    /// Wrong words on the command line.
    pub(super) fn usage(
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::Said { exit: Exit::Usage, code, message: message.into(), help: help.into() }
    }

    /// What clap says of wrong words: its first line, then its tip if it has one.
    pub(super) fn words(said: &str) -> Self {
        let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let tip = lines.find_map(|line| line.strip_prefix("tip: "));
        let message = first.strip_prefix("error: ").unwrap_or(first);
        Self::usage("usage", message, tip.unwrap_or("`sp --help` lists commands and flags"))
    }

    /// The same error as one that a command ends with.
    pub(super) fn of(error: &ApplyError) -> Self {
        let (exit, code, help) = apply_help(error);
        Self::Said { exit, code, message: error.to_string(), help }
    }

    /// The exit code.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Said { exit, .. } => *exit,
            Self::Campaign(_) | Self::Damaged(_) => Exit::Person,
            Self::BrokenPipe => Exit::Done,
        }
    }

    /// For a terminal or a log.
    pub(super) fn render(&self, colour: bool, width: usize) -> String {
        match self {
            Self::Said { message, help, .. } => {
                let (red, cyan, plain) =
                    if colour { ("\x1b[31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
                let (message, help) = (printable(message), printable(help));
                let mut text = format!("{red}error:{plain} {message}\n");
                if !help.is_empty() {
                    writeln!(text, "  {cyan}help:{plain} {help}").expect("a string takes all");
                }
                text
            }
            Self::Campaign(error) => render_diagnostic(&printable_error(error), colour, width),
            Self::Damaged(error) => {
                Self::person("checkpoint", error.to_string(), "").render(colour, width)
            }
            Self::BrokenPipe => String::new(),
        }
    }

    /// For programs: one object.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Said { code, message, help, .. } => {
                json!({ "error": message, "code": code, "help": help, "span": null })
            }
            Self::Campaign(error) => {
                let findings: Vec<Value> = error
                    .findings
                    .iter()
                    .map(|finding| {
                        let span = finding.labels.first().map(|(span, _)| [span.start, span.end]);
                        json!({ "error": finding.message, "code": finding.code, "help": finding.help, "span": span })
                    })
                    .collect();
                let first = findings.first().cloned().unwrap_or(Value::Null);
                json!({ "error": first["error"], "code": first["code"], "help": first["help"], "span": first["span"], "all": findings })
            }
            Self::Damaged(error) => Self::person("checkpoint", error.to_string(), "").json(),
            Self::BrokenPipe => Value::Null,
        }
    }
}

/// A diagnostic with its places in the file.
pub(super) fn render_diagnostic(diagnostic: &dyn Diagnostic, colour: bool, width: usize) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let mut text = String::new();
    match GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .render_report(&mut text, diagnostic)
    {
        Ok(()) => text,
        Err(_) => format!("{diagnostic}\n"),
    }
}

impl From<CampaignError> for CliError {
    fn from(error: CampaignError) -> Self {
        Self::Campaign(Box::new(error))
    }
}

impl From<PlanError> for CliError {
    fn from(error: PlanError) -> Self {
        Self::person("plan", error.to_string(), error.help())
    }
}

impl From<SelectError> for CliError {
    fn from(error: SelectError) -> Self {
        Self::usage("job", error.to_string(), error.help())
    }
}

impl From<FilterError> for CliError {
    fn from(error: FilterError) -> Self {
        let help = error.help.unwrap_or_else(|| "`sp help matrix` lists the names".to_owned());
        Self::usage("filter", error.message, help)
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { .. } => Self::Damaged(Box::new(error)),
            error => Self::Said {
                exit: store_exit(&error),
                code: "checkpoint",
                message: error.to_string(),
                help: error.help(),
            },
        }
    }
}

/// What an error of the checkpoint means for the exit code.
fn store_exit(error: &StoreError) -> Exit {
    if error.is_passing() { Exit::Unfinished } else { Exit::Person }
}

impl From<HostError> for CliError {
    fn from(error: HostError) -> Self {
        let (exit, code, help) = host_help(&error);
        Self::Said { exit, code, message: error.to_string(), help }
    }
}

/// What an error of an apply means for who typed the command.
fn apply_help(error: &ApplyError) -> (Exit, &'static str, String) {
    let (code, help) = match error {
        ApplyError::Host(error) => return host_help(error),
        ApplyError::Store(error) => return (store_exit(error), "checkpoint", error.help()),
        ApplyError::Plan(error) => ("plan", error.help()),
        ApplyError::Lock(_) => ("lock", String::new()),
        ApplyError::Results(error) => ("results", error.help()),
        ApplyError::Root { .. } => ("root", "correct `root` in `[hosts]`".to_owned()),
        ApplyError::HostRemoved { .. } => (
            "host-removed",
            "put it back to reach what lies there; results that were fetched stay".to_owned(),
        ),
        ApplyError::NoHost => ("no-host", "`sp apply` hands it over".to_owned()),
        ApplyError::NoAttemptLeft { .. } => (
            "no-attempt-left",
            "with another command or `[env]` it is another job, which begins at 1".to_owned(),
        ),
        ApplyError::Shallow { .. } => (
            "shallow-clone",
            "`git fetch --unshallow` (in CI `fetch-depth: 0`), or the same `id = \"…\"` in the file of every clone".to_owned(),
        ),
        ApplyError::Repository { file, .. } => {
            let folder = file.parent().unwrap_or_else(|| Path::new("/"));
            let folder = quote(&folder.to_string_lossy()).unwrap_or_default();
            (
                "repository",
                format!(
                    "results belong to all clones of a repository, so sp must know it: `git -C {folder} log -1` shows what is \
                     wrong (another user's: `git config --global --add safe.directory {folder}`); or write `id = \"…\"` into \
                     the file"
                ),
            )
        }
        ApplyError::SameName { .. } => {
            ("same-name", "give one of them another `name`: jobs and results go by it".to_owned())
        }
        ApplyError::FolderName { .. } => {
            ("folder-name", "rename it, or give the host `snapshot = true`".to_owned())
        }
        ApplyError::SamePlace { other, .. } => (
            "same-place",
            format!("take one of them out of the file, or give `{other}` another `root`"),
        ),
        ApplyError::Secrets { names } => {
            let first = names.first().cloned().unwrap_or_default();
            ("secret", format!("export {first}=… before `sp apply`"))
        }
        ApplyError::Programs { programs, .. } => {
            let programs = programs.join(", ");
            ("missing", format!("install {programs} there, or make the login shell's PATH find it"))
        }
        ApplyError::Signals(_) => ("signals", String::new()),
    };
    (Exit::Person, code, help)
}

/// An error that a command goes on after: a sentence with its next step, whether it may pass, and what it means for the exit
/// code.
pub(super) fn told(error: &ApplyError) -> (String, Exit) {
    let (exit, _, help) = apply_help(error);
    let help = if help.is_empty() { help } else { format!("\n         {help}") };
    let lasting = match exit {
        Exit::Unfinished => "this may pass by itself",
        _ => "this stays until it is put right",
    };
    (format!("warning: {error} ({lasting}){help}"), exit)
}

impl From<ApplyError> for CliError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Store(error) => error.into(),
            error => Self::of(&error),
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::person("output", format!("cannot write the output: {error}"), "")
    }
}

impl From<serde_json::Error> for CliError {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

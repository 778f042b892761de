//! Errors as people and programs see them: what, why, the next step, the exit code.

use std::fmt::Write as _;
use std::io;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use serde_json::{Value, json};

use super::exit::Exit;
use super::printable::{printable, printable_error};
use crate::apply::ApplyError;
use crate::campaign::CampaignError;
use crate::host::HostError;
use crate::plan::{FilterError, PlanError, SelectError};
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
        let help = error.help.unwrap_or_else(|| "`sp help templates` lists the names".to_owned());
        Self::usage("filter", error.message, help)
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { .. } => Self::Damaged(Box::new(error)),
            error => Self::person("checkpoint", error.to_string(), ""),
        }
    }
}

impl From<HostError> for CliError {
    fn from(error: HostError) -> Self {
        let (exit, code, help) = match &error {
            HostError::Start { program, .. } => {
                (Exit::Person, "start", format!("install `{program}` or correct PATH"))
            }
            HostError::NoAnswer { .. } | HostError::TooSlow { .. } => (
                Exit::Unfinished,
                "no-answer",
                "run the same command again; the jobs there go on".to_owned(),
            ),
            HostError::TooLong { .. } | HostError::Nonsense { .. } => (
                Exit::Person,
                "answer",
                "is the root's disk damaged, or did something else write there?".to_owned(),
            ),
            HostError::Damaged { .. } => (
                Exit::Unfinished,
                "damaged",
                "make room on the host's disk, then run the same command again".to_owned(),
            ),
            HostError::Io { .. } => (Exit::Person, "io", String::new()),
            HostError::Root { .. } => (Exit::Person, "root", String::new()),
            HostError::Job { .. } => (Exit::Person, "job", "correct the campaign file".to_owned()),
            HostError::Sync(error) => {
                let exit = if error.is_passing() { Exit::Unfinished } else { Exit::Person };
                (exit, "sync", error.help())
            }
            HostError::Missing { programs, .. } => {
                (Exit::Person, "missing", format!("install {}", programs.join(", ")))
            }
        };
        Self::Said { exit, code, message: error.to_string(), help }
    }
}

impl From<ApplyError> for CliError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Store(error) => error.into(),
            ApplyError::Host(error) => error.into(),
            ApplyError::Plan(error) => (*error).into(),
            ApplyError::Lock(error) => Self::person("lock", error.to_string(), ""),
            ApplyError::Root { .. } => {
                Self::person("root", error.to_string(), "correct `root` in `[hosts]`")
            }
            ApplyError::OtherOrigin { .. } => Self::person(
                "other-origin",
                error.to_string(),
                "give this campaign another `name`, or the host another `root`",
            ),
            ApplyError::Secrets { ref names } => {
                let first = names.first().cloned().unwrap_or_default();
                let help = format!("export {first}=… before `sp apply`");
                Self::person("secret", error.to_string(), help)
            }
            ApplyError::Programs { ref programs, .. } => {
                let help = format!(
                    "install {} there, or make the login shell's PATH find it",
                    programs.join(", ")
                );
                Self::person("missing", error.to_string(), help)
            }
            ApplyError::Signals(_) => Self::person("signals", error.to_string(), ""),
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

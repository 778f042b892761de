//! Wire → checked: every rule that a type cannot say. All rules run, whatever others have found.
//!
//! Does not look at files and does not expand: what depends on matches, lines or the cells that stay is the plan's.

mod done;
mod hosts;
mod machines;
mod matrix;
mod names;
mod paths;
mod place;
mod sync;
mod templates;
mod unused;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use crate::campaign::error::Finding;
use crate::campaign::model::{Campaign, CodeChange, Command, Leftover};
use crate::campaign::read::Reader;
use crate::campaign::template::{Place, Template};
use crate::campaign::wire::{At, WireCampaign, WireCommand};
use crate::campaign::{duration, size};
use crate::ids::{CampaignName, InstanceId};
use crate::shell;
pub use names::FILTER_WORDS;
use templates::{Names, References};

/// Shell of string commands when the file does not say.
const DEFAULT_SHELL: [&str; 3] = ["bash", "-euo", "pipefail"];
/// Bytes of a log that are kept when the file does not say: 256 MiB.
const DEFAULT_LOG_MAX: u64 = 256 << 20;
/// `cleanup-limit` where the file says nothing.
const DEFAULT_CLEANUP_LIMIT: Duration = Duration::from_mins(10);
/// Fewer bytes of a log tell nothing.
const LEAST_LOG_MAX: u64 = 4096;

/// The file's text, what could not be read, and what has been found.
pub(super) struct Checker<'a> {
    text: &'a str,
    broken: BTreeSet<String>,
    findings: Vec<Finding>,
    /// Where the name of each host stands.
    host_spans: BTreeMap<String, Range<usize>>,
    /// Where the name of each axis stands.
    axis_spans: BTreeMap<String, Range<usize>>,
    /// The axes that a text or a host's `when` uses.
    used: BTreeSet<String>,
    /// Names in texts that are no part of their templates.
    seen: Vec<unused::Seen>,
}

/// Checks what was read. Without an error among the findings there is a campaign.
pub(super) fn check(wire: WireCampaign, reader: Reader<'_>) -> (Option<Campaign>, Vec<Finding>) {
    let Reader { text, findings, broken } = reader;
    let mut checker = Checker {
        text,
        broken,
        findings,
        host_spans: BTreeMap::new(),
        axis_spans: BTreeMap::new(),
        used: BTreeSet::new(),
        seen: Vec::new(),
    };
    let campaign = checker.campaign(wire);
    let mut findings = checker.findings;
    findings.sort_by_key(Finding::start);
    let failed = findings.iter().any(|finding| !finding.is_warning);
    (campaign.filter(|_| !failed), findings)
}

impl Checker<'_> {
    fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn is_broken(&self, key: &str) -> bool {
        self.broken.contains(key)
    }

    fn campaign(&mut self, wire: WireCampaign) -> Option<Campaign> {
        self.version(wire.version.as_ref());
        let name = self.name(wire.name.as_ref());
        let id = wire.id.and_then(|at| self.instance_id(&at));
        let vars = self.vars("vars", wire.vars);
        let broken_matrix = self.is_broken("matrix");
        let matrix = self.matrix(wire.matrix.as_ref(), &vars);
        let hosts = self.hosts(wire.hosts, &matrix, &vars);
        let names = Names::new(&matrix, &vars, &hosts, &self.broken, broken_matrix);

        let command = self.command(wire.command, &names);
        let shell = self.shell(wire.shell.as_ref());
        let working_dir = wire.working_dir.and_then(|at| self.folder("working-dir", &at));
        if let Some(setup) = &wire.setup {
            self.not_empty(setup, "setup");
            self.warn_no_template("setup", setup);
        }
        let mut shell_text = |at: Option<At<String>>, what: &str| {
            let at = at?;
            self.not_empty(&at, what);
            self.template(&at, what, Place::Shell, &References::Allowed, &names)
        };
        let prepare = shell_text(wire.prepare, "prepare");
        let cleanup = shell_text(wire.cleanup, "cleanup");
        let job_name = wire.job_name.and_then(|at| {
            let refused = References::Refused("a job's name is made before any host is asked");
            self.not_empty(&at, "job-name");
            self.template(&at, "job-name", Place::Plain, &refused, &names)
        });
        let inputs = self.inputs(wire.inputs, &names);
        let env = self.env("env", wire.env, &names);
        let done = self.done(wire.done, &names);
        let results_dir = wire.results.and_then(|results| results.value.dir);
        let results_dir = results_dir.and_then(|at| self.folder("results.dir", &at));
        let repeat = self.at_least_one("repeat", wire.repeat.as_ref());
        let max_parallel = self.at_least_one("max-parallel", wire.max_parallel.as_ref());
        let max_fail = self.at_least_one("max-fail", wire.max_fail.as_ref());
        let time_limit = wire.time_limit.and_then(|at| self.duration("time-limit", &at));
        let cleanup_limit = wire.cleanup_limit.and_then(|at| self.duration("cleanup-limit", &at));
        let log_max = wire.log_max.and_then(|at| self.size("log-max", &at, LEAST_LOG_MAX));
        let leftover = wire.leftover;
        let leftover = leftover.and_then(|at| self.one_of("leftover", &at, Leftover::WORDS));
        let code_change = wire.code_change;
        let code_change =
            code_change.and_then(|at| self.one_of("code-change", &at, CodeChange::WORDS));
        let sync = wire.sync.map(|at| self.sync(at.value));
        self.warn_unused(&matrix, &env, &hosts, &shell);
        Some(Campaign {
            name: name?,
            id,
            description: wire.description.map(|at| at.value),
            command: command?,
            shell,
            working_dir: working_dir.unwrap_or_else(|| ".".to_owned()),
            setup: wire.setup.map(|at| at.value),
            prepare,
            cleanup,
            leftover: leftover.unwrap_or_default(),
            cleanup_limit: cleanup_limit.unwrap_or(DEFAULT_CLEANUP_LIMIT),
            repeat: repeat.unwrap_or(1),
            job_name,
            time_limit,
            inputs,
            max_parallel,
            max_fail,
            log_max: log_max.unwrap_or(DEFAULT_LOG_MAX),
            vars,
            env,
            matrix,
            done,
            hosts,
            code_change: code_change.unwrap_or_default(),
            sync: sync.unwrap_or_default(),
            results_dir,
        })
    }

    fn version(&mut self, version: Option<&At<i64>>) {
        if let Some(version) = version.filter(|version| version.value != 1) {
            self.push(
                Finding::error(
                    "sp::campaign::version",
                    format!("version {} of this format is unknown", version.value),
                )
                .at(&version.span, "this `sp` reads version 1")
                .help("write `version = 1`, or run a newer `sp`"),
            );
        }
    }

    fn instance_id(&mut self, at: &At<String>) -> Option<InstanceId> {
        match at.value.parse() {
            Ok(id) => Some(id),
            Err(error) => {
                self.push(
                    Finding::error("sp::campaign::id", format!("the campaign's id {error}"))
                        .at(&at.span, "this id")
                        .help("write letters, digits, `_` and `-`, at most 64"),
                );
                None
            }
        }
    }

    fn name(&mut self, name: Option<&At<String>>) -> Option<CampaignName> {
        let Some(name) = name else {
            self.missing("name", "name = \"sort-bench\"");
            return None;
        };
        match name.value.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                let help = match names::as_word(&name.value) {
                    Some(word) => format!(
                        "write `name = \"{word}\"`; it names a folder on every host, not a path"
                    ),
                    None => "write letters, digits, `_` and `-`, at most 64".to_owned(),
                };
                let message = format!("the campaign's name {error}");
                self.push(
                    Finding::error("sp::campaign::name", message)
                        .at(&name.span, "this name")
                        .help(help),
                );
                None
            }
        }
    }

    /// Reports a required key, at the first line that says something; a table that has the key says where it went.
    fn missing(&mut self, key: &str, example: &str) {
        let moved = |finding: &Finding| {
            finding.code == "sp::campaign::misplaced_key"
                && finding.message.starts_with(&format!("`{key}`"))
        };
        let misspelled = format!("did you mean `{key}`?");
        let spelled_otherwise = |finding: &Finding| {
            finding.code == "sp::campaign::unknown_key"
                && finding.help.as_ref() == Some(&misspelled)
        };
        let told = |finding: &Finding| moved(finding) || spelled_otherwise(finding);
        if self.is_broken(key) || self.findings.iter().any(told) {
            return;
        }
        let says = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        let mut start = 0;
        let mut span = 0..0;
        for line in self.text.split_inclusive('\n') {
            if says(&line) {
                span = start..start + line.trim_end().len();
                break;
            }
            start += line.len();
        }
        self.push(
            Finding::error("sp::campaign::missing_key", format!("the campaign has no `{key}`"))
                .at(&span, format!("`{key}` belongs above the first table"))
                .help(format!("add a line such as `{example}`")),
        );
    }

    fn command(&mut self, command: Option<At<WireCommand>>, names: &Names<'_>) -> Option<Command> {
        let Some(command) = command else {
            self.missing("command", "command = \"./bench --threads {{ threads }}\"");
            return None;
        };
        let span = command.span;
        match command.value {
            WireCommand::Shell(text) => {
                let at = At { value: text, span };
                self.not_empty(&at, "command");
                let template =
                    self.template(&at, "command", Place::Shell, &References::Allowed, names);
                template.map(Command::Shell)
            }
            WireCommand::Argv(words) => {
                if words.first().is_none_or(|program| program.value.is_empty())
                    && !self.is_broken("command")
                {
                    let finding =
                        Finding::error("sp::campaign::empty", "the command has no program");
                    self.push(
                        finding.at(&span, "empty").help("write `[\"program\", \"argument\"]`"),
                    );
                }
                let words: Vec<Template> = words
                    .iter()
                    .filter_map(|word| {
                        self.template(word, "command", Place::Plain, &References::Allowed, names)
                    })
                    .collect();
                Some(Command::Argv(words))
            }
        }
    }

    fn shell(&mut self, shell: Option<&At<String>>) -> Vec<String> {
        let default = || DEFAULT_SHELL.map(str::to_owned).to_vec();
        let Some(at) = shell else { return default() };
        match shell::split(&at.value) {
            Some(words) if !words.is_empty() => words,
            Some(_) => {
                let finding = Finding::error("sp::campaign::shell", "`shell` has no program");
                self.push(
                    finding.at(&at.span, "empty").help("leave it out for `bash -euo pipefail`"),
                );
                default()
            }
            None => {
                let finding =
                    Finding::error("sp::campaign::shell", "`shell` has a quote that is not closed");
                self.push(
                    finding.at(&at.span, "here").help("write words as in `bash -euo pipefail`"),
                );
                default()
            }
        }
    }

    fn not_empty(&mut self, at: &At<String>, what: &str) {
        if !at.value.trim().is_empty() {
            return;
        }
        let help = match what {
            "command" => "write what every job runs".to_owned(),
            _ => format!("leave `{what}` out, or write its text"),
        };
        let finding = Finding::error("sp::campaign::empty", format!("`{what}` is empty"));
        self.push(finding.at(&at.span, "nothing here").help(help));
    }

    /// A count that is at least 1.
    fn at_least_one(&mut self, what: &str, at: Option<&At<i64>>) -> Option<u32> {
        let at = at?;
        match u32::try_from(at.value) {
            Ok(0) | Err(_) => {
                let message = format!("`{what}` is {}, but goes from 1 to {}", at.value, u32::MAX);
                self.push(
                    Finding::error("sp::campaign::range", message)
                        .at(&at.span, "out of range")
                        .help(format!("write 1 or more, or leave `{what}` out")),
                );
                None
            }
            Ok(number) => Some(number),
        }
    }

    fn duration(&mut self, what: &str, at: &At<String>) -> Option<std::time::Duration> {
        duration::parse(&at.value)
            .map_err(|error| {
                let help = match error {
                    duration::DurationError::NoUnit => {
                        format!("add a unit: `\"{0}s\"`, `\"{0}m\"` or `\"{0}h\"`", at.value.trim())
                    }
                    _ => "write `30s`, `10m`, `1h 30m` or Slurm's `D-HH:MM:SS`".to_owned(),
                };
                let message = format!("the duration `{what}` {error}");
                self.push(
                    Finding::error("sp::campaign::duration", message)
                        .at(&at.span, "here")
                        .help(help),
                );
            })
            .ok()
    }

    fn size(&mut self, what: &str, at: &At<String>, least: u64) -> Option<u64> {
        match size::parse(&at.value) {
            Ok(bytes) if bytes >= least => Some(bytes),
            Ok(_) => {
                let message = format!("`{what}` is below 4 KiB, which tells nothing");
                let finding =
                    Finding::error("sp::campaign::size", message).at(&at.span, "too small");
                self.push(finding.help("write `4KiB` or more"));
                None
            }
            Err(error) => {
                let help = match error {
                    size::SizeError::NoUnit => format!("add a unit: `\"{}MiB\"`", at.value.trim()),
                    _ => "write `256MiB`, `1GB` or `4KiB`".to_owned(),
                };
                let message = format!("the size `{what}` {error}");
                self.push(
                    Finding::error("sp::campaign::size", message).at(&at.span, "here").help(help),
                );
                None
            }
        }
    }
}

//! The hand-over: jobs as shell text, one file per apply and host.
//!
//! Every value of the campaign stands in single quotes; what only the host knows stands as a variable that the stub sets.
//! The first two lines are for all jobs, then come the list of hosts, who hands it over, and a line a job; see `40-stub.sh` for
//! the names. Secrets travel behind the hashed part, so that neither hash nor record has them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use indexmap::IndexMap;

use super::answer::Account;
use super::client::Client;
use super::error::HostError;
use super::script::{self, sha256_hex};
use crate::campaign::template::{Part, Reference, Rendered, text_of};
use crate::campaign::{Leftover, Value};
use crate::ids::{ApplyId, Attempt, AxisName, HostName};
use crate::lifecycle::Tree;
use crate::plan::{CommandSpec, CountMarker, EnvSpec, JobSpec, Setup};
use crate::shell::{NulError, quote_line};

/// What all jobs of a hand-over share.
#[derive(Debug, Clone)]
pub struct BatchContext<'a> {
    /// This apply.
    pub apply: &'a ApplyId,
    /// Which hand-over of this apply, from 1.
    pub number: u32,
    /// The host.
    pub host: &'a HostName,
    /// Who hands it over.
    pub client: &'a Client,
    /// What the jobs run from, for their records.
    pub tree: &'a Tree,
    /// Absolute path of the folder the jobs start in.
    pub work_dir: &'a str,
    /// Environment of the account.
    pub account: &'a Account,
    /// Language, time zone and temporary folder of the account.
    pub locale: &'a [(String, String)],
    /// What must have run in the tree before the jobs.
    pub setup: Option<&'a Setup>,
    /// File mode mask of the jobs.
    pub umask: u32,
    /// `[hosts.NAME] vars`.
    pub host_vars: &'a IndexMap<AxisName, Value>,
    /// `[hosts.NAME] init`.
    pub init: Option<&'a str>,
    /// Slots that got work.
    pub slots: u32,
    /// Failures that stop this apply on the host.
    pub max_fail: Option<u32>,
    /// Seconds between TERM and KILL at the time limit.
    pub kill_after: u32,
    /// The list of hosts that the jobs were dealt by, as JSON on one line; the host keeps it.
    pub dealt_by: &'a str,
    /// Values of secrets, by the variable that holds them here.
    pub secrets: &'a BTreeMap<String, String>,
}

/// A job of a hand-over.
#[derive(Debug, Clone)]
pub struct BatchJob {
    /// The job.
    pub spec: JobSpec,
    /// `[hosts.NAME] env` rendered for it.
    pub host_env: IndexMap<String, EnvSpec>,
    /// Which attempt it will be.
    pub attempt: Attempt,
    /// Whether `job.state_dir` is to be empty again.
    pub fresh_state: bool,
}

/// A hand-over, ready to be sent.
#[derive(Debug, Clone)]
pub struct Batch {
    name: String,
    client: String,
    text: String,
    sha256: String,
    secrets: String,
}

impl Batch {
    /// Writes the jobs down. Nothing else of them reaches the host.
    pub fn new(
        context: &BatchContext<'_>,
        jobs: impl Iterator<Item = BatchJob>,
    ) -> Result<Self, HostError> {
        let name = format!("{}-{}", context.apply, context.number);
        let mut lines = String::new();
        let mut first: Option<JobSpec> = None;
        for job in jobs {
            let line =
                job_line(&job).map_err(|why| HostError::Job { job: job.spec.name.clone(), why })?;
            lines.push_str(&line);
            lines.push('\n');
            first.get_or_insert(job.spec);
        }
        let setup =
            setup_line(context).map_err(|why| HostError::Job { job: "setup".to_owned(), why })?;
        let secrets = secret_lines(context.secrets).map_err(|error| refused("(secrets)", error))?;
        let mut text = format!(
            "batch v=1 apply={} script={} secrets={} .\n",
            context.apply,
            script::version(),
            u8::from(!secrets.is_empty())
        );
        text.push_str(
            &common_line(context, first.as_ref()).map_err(|error| refused("(all)", error))?,
        );
        push(
            &mut text,
            format_args!("\nhosts {}\nclient {}\n", context.dealt_by, context.client.json()),
        );
        text.push_str(&setup);
        text.push_str(&lines);
        let sha256 = sha256_hex(text.as_bytes());
        Ok(Self { name, client: context.client.place.clone(), text, sha256, secrets })
    }

    /// Name on the host, unique for ever.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who hands it over, as a word.
    pub(super) fn client(&self) -> &str {
        &self.client
    }

    /// SHA-256 of all but the secrets, hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.text.clone().into_bytes();
        if !self.secrets.is_empty() {
            bytes.extend_from_slice(b"secrets\n");
            bytes.extend_from_slice(self.secrets.as_bytes());
        }
        bytes
    }
}

fn refused(job: &str, error: NulError) -> HostError {
    HostError::Job { job: job.to_owned(), why: error.to_string() }
}

/// Assignments that a stub sources, and a last line, without which the host takes none of them; nothing where there are none.
pub(super) fn secret_lines(secrets: &BTreeMap<String, String>) -> Result<String, NulError> {
    let mut text = String::new();
    for (name, value) in secrets {
        push(&mut text, format_args!("SP_SECRET_{name}={}\n", quote_line(value)?));
    }
    if !text.is_empty() {
        text.push_str("secrets-end\n");
    }
    Ok(text)
}

fn common_line(context: &BatchContext<'_>, job: Option<&JobSpec>) -> Result<String, NulError> {
    let mut text = String::new();
    let mut set = |name: &str, value: &str| -> Result<(), NulError> {
        push(&mut text, format_args!("{name}={} ", quote_line(value)?));
        Ok(())
    };
    let flag = |on: bool| if on { "1" } else { "0" };
    set("B_APPLY", context.apply.as_str())?;
    set("B_HOST", context.host.as_str())?;
    set("B_WORK", context.work_dir)?;
    let tree = context.tree;
    let code = tree.code.map(|code| blake3::Hash::from_bytes(code).to_hex().to_string());
    let dirty = tree.dirty.map(|dirty| flag(dirty).to_owned());
    for (name, value) in [
        ("B_GIT", &tree.git_rev),
        ("B_DIRTY", &dirty),
        ("B_CODE", &code),
        ("B_SNAPSHOT", &tree.snapshot),
    ] {
        set(name, value.as_deref().unwrap_or("none"))?;
    }
    let setup = context.setup.map(|setup| (setup.spec.id.to_string(), setup.tree.clone()));
    let (id, tree) = setup.unwrap_or_else(|| ("none".to_owned(), String::new()));
    set("B_SETUP", &id)?;
    set("B_TREE", &tree)?;
    set("B_SLOTS", &context.slots.to_string())?;
    set("B_INIT", context.init.unwrap_or(""))?;
    set("B_UMASK", &format!("{:04o}", context.umask))?;
    set("B_KILL_AFTER", &context.kill_after.to_string())?;
    set("B_MAX_FAIL", &context.max_fail.map_or_else(String::new, |n| n.to_string()))?;
    set("B_SECRETS", flag(!context.secrets.is_empty()))?;
    let limit = job.and_then(|job| job.time_limit);
    set("B_LIMIT", &limit.map_or_else(String::new, seconds))?;
    set("B_LOG_MAX", &job.map_or(0, |job| job.log_max).to_string())?;
    let codes = job.map_or(&[][..], |job| &job.markers.exit_codes);
    set("B_CODES", &codes.iter().fold(" ".to_owned(), |text, code| format!("{text}{code} ")))?;
    let markers = job.map(|job| &job.markers);
    let some =
        |m: &crate::plan::Markers| !m.files.is_empty() || m.log.is_some() || m.count.is_some();
    set("B_MARKERS", flag(markers.is_some_and(some)))?;
    let globs =
        markers.into_iter().flat_map(|m| m.files.iter().chain(m.count.as_ref().map(|c| &c.files)));
    let elsewhere = |glob: &Rendered| matches!(glob.first(), Some(Part::Ref(place)) if *place != Reference::OutDir);
    set("B_STAMP", flag(globs.into_iter().any(elsewhere)))?;
    set("B_PREPARE", flag(job.is_some_and(|job| job.prepare.is_some())))?;
    set("B_CLEANUP", flag(job.is_some_and(|job| job.cleanup.is_some())))?;
    set("B_LEFTOVER", job.map_or(Leftover::Kill, |job| job.leftover).word())?;
    set("B_CLEANUP_LIMIT", &job.map_or_else(String::new, |job| seconds(job.cleanup_limit)))?;
    text.push_str("; B_ACCOUNT() { export PYTHONUNBUFFERED=1");
    for (name, value) in context.account.variables.iter().chain(context.locale) {
        push(&mut text, format_args!(" {name}={}", quote_line(value)?));
        if name == "USER" {
            push(&mut text, format_args!(" LOGNAME={}", quote_line(value)?));
        }
    }
    for (name, value) in context.host_vars {
        push(&mut text, format_args!(" SP_HOST_{name}={}", quote_line(&text_of(value))?));
    }
    text.push_str("; }; B_SHELL() { run_shell");
    for word in job.map_or(&[][..], |job| &job.shell) {
        push(&mut text, format_args!(" {}", quote_line(word)?));
    }
    text.push_str(" \"$@\"; }");
    Ok(text)
}

/// Hundredths, as the host's clock has them; never rounded down to nothing.
fn seconds(limit: Duration) -> String {
    let hundredths = (limit.as_millis() / 10).max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The setup's line; empty without one. Its exit code alone says how it ended; it has no time limit.
fn setup_line(context: &BatchContext<'_>) -> Result<String, String> {
    let Some(setup) = context.setup else { return Ok(String::new()) };
    let limits = "B_LIMIT='' B_CODES=' 0 ' B_MARKERS=0 B_STAMP=0 B_PREPARE=0 B_CLEANUP=0 B_LEFTOVER=kill B_MAX_FAIL=''";
    let text = spec_text(&setup.spec, &setup.host_env)?;
    Ok(format!("setup {} {limits} {text}\n", setup.spec.id))
}

fn job_line(job: &BatchJob) -> Result<String, String> {
    let flag = if job.fresh_state { "fresh" } else { "-" };
    let text = spec_text(&job.spec, &job.host_env)?;
    Ok(format!("job {} {} {flag} {text}", job.spec.id, job.attempt))
}

fn spec_text(spec: &JobSpec, host_env: &IndexMap<String, EnvSpec>) -> Result<String, String> {
    let nul = |error: NulError| error.to_string();
    let mut line = "PARAMS=".to_owned();
    line.push_str(&quote_line(&spec.params.to_json()).map_err(nul)?);
    line.push_str("; ENVIRONMENT() { export");
    for (name, value) in spec.env.iter().chain(host_env) {
        let value = match value {
            EnvSpec::Text(rendered) => word(rendered).map_err(nul)?,
            EnvSpec::FromEnv(variable) => format!("\"$SP_SECRET_{variable}\""),
        };
        push(&mut line, format_args!(" {name}={value}"));
    }
    for (name, value) in spec.params.iter() {
        if let Some(value) = value {
            let value = quote_line(&text_of(value)).map_err(nul)?;
            push(&mut line, format_args!(" SP_PARAM_{}={value}", name.to_ascii_uppercase()));
        }
    }
    push(
        &mut line,
        format_args!(" SP_JOB_NAME={}; }}; COMMAND() {{ ", quote_line(&spec.name).map_err(nul)?),
    );
    match &spec.command {
        CommandSpec::Shell(text) => {
            push(&mut line, format_args!("script command {}", script_text(text).map_err(nul)?));
        }
        CommandSpec::Argv(words) => {
            line.push_str("run");
            for rendered in words {
                push(&mut line, format_args!(" {}", word(rendered).map_err(nul)?));
            }
        }
    }
    line.push_str("; }");
    for (name, file, text) in
        [("PREPARE", "prepare", &spec.prepare), ("CLEANUP", "cleanup", &spec.cleanup)]
    {
        if let Some(text) = text {
            let text = script_text(text).map_err(nul)?;
            push(&mut line, format_args!("; {name}() {{ script {file} {text}; }}"));
        }
    }
    line.push_str("; MARKERS() { :");
    for (index, glob) in spec.markers.files.iter().enumerate() {
        push(&mut line, format_args!("; marker_file {index} {}", place_and_pattern(glob)?));
    }
    if let Some(CountMarker { files: glob, min }) = &spec.markers.count {
        push(&mut line, format_args!("; marker_count {} {min}", place_and_pattern(glob)?));
    }
    if let Some(log) = &spec.markers.log {
        line.push_str("; marker_log");
        for piece in &log.pieces {
            push(&mut line, format_args!(" {}", quote_line(piece).map_err(nul)?));
        }
    }
    line.push_str("; }");
    Ok(line)
}

/// A variable of the stub.
fn variable(reference: &Reference) -> String {
    match reference {
        Reference::OutDir => "SP_OUT_DIR".to_owned(),
        Reference::StateDir => "SP_STATE_DIR".to_owned(),
        Reference::WorkDir => "SP_WORK_DIR".to_owned(),
        Reference::HostVar(name) => format!("SP_HOST_{name}"),
    }
}

/// Plain text with references, as one word for the stub.
fn word(rendered: &[Part]) -> Result<String, NulError> {
    let mut text = String::new();
    for part in rendered {
        match part {
            Part::Text(part) => text.push_str(&quote_line(part)?),
            Part::Ref(reference) => {
                push(&mut text, format_args!("\"${{{}}}\"", variable(reference)));
            }
        }
    }
    if text.is_empty() {
        text.push_str("''");
    }
    Ok(text)
}

/// A text for the job's own shell, as one word for the stub: references stay variables, which that shell expands.
fn script_text(rendered: &[Part]) -> Result<String, NulError> {
    let mut text = String::new();
    for part in rendered {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Ref(reference) => {
                push(&mut text, format_args!("\"${{{}}}\"", variable(reference)));
            }
        }
    }
    quote_line(&text)
}

/// A marker's glob as the folder it is below and the pattern: a path of the host is no pattern.
fn place_and_pattern(rendered: &[Part]) -> Result<String, String> {
    let (place, rest) = match rendered {
        [Part::Ref(place), rest @ ..] => (variable(place), rest),
        rest => ("SP_OUT_DIR".to_owned(), rest),
    };
    let pattern = match rest {
        [Part::Text(pattern)] => pattern.trim_start_matches('/'),
        _ => {
            return Err(
                "a marker names a folder of the host elsewhere than at its start".to_owned()
            );
        }
    };
    let pattern = quote_line(pattern).map_err(|error| error.to_string())?;
    Ok(format!("\"${place}\" {pattern}"))
}

/// Appends to a text, which cannot fail.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes all");
}

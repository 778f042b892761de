//! `sp doctor`: everything a run needs of its hosts, looked at before it is needed; each finding with its fix.
//!
//! It starts no job and opens no checkpoint. On a host it makes the root and installs the script, as any first question does.

mod findings;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::args;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host_help::host_help;
use super::plan::count;
use super::printable::printable;
use crate::apply::{hosts_of, programs_of};
use crate::host::Host;
use crate::report::visible;
use findings::{Finding, Level, judge};

/// A host and what was found of it.
struct Examined {
    host: Host,
    ssh: Option<String>,
    findings: Vec<Finding>,
}

pub(super) fn run(context: &Context, arguments: &args::Doctor) -> Result<Exit, CliError> {
    let (word, file) = match &arguments.host {
        Some(word) if Path::new(word).extension().is_some_and(|end| end == "toml") => {
            (None, PathBuf::from(word))
        }
        word => (word.clone(), arguments.file.clone()),
    };
    let loaded = context.load(&file)?;
    let campaign = &loaded.campaign;
    let words: Vec<String> = word.into_iter().collect();
    let chosen = context.hosts(&words, &loaded.expansion)?;
    let mut hosts = hosts_of(campaign, context.environment())?;
    hosts.retain(|host| chosen.as_ref().is_none_or(|chosen| chosen.contains(host.name())));
    let clock = context.clock();
    let found = context.block_on(async {
        let mut asked = tokio::task::JoinSet::new();
        for (at, host) in hosts.iter().cloned().enumerate() {
            let programs = programs_of(campaign, host.name());
            asked.spawn(async move { (at, host.examine(&programs, || clock.now()).await) });
        }
        asked.join_all().await
    })?;
    let mut examined: Vec<(usize, Examined)> = Vec::new();
    for (at, found) in found {
        let host = hosts[at].clone();
        let ssh = campaign.hosts.get(host.name()).and_then(|host| host.ssh.as_ref());
        let ssh = ssh.map(|ssh| ssh.destination.to_string());
        let is_sent =
            !host.is_here() || campaign.hosts.get(host.name()).is_some_and(|host| host.snapshot);
        let mut findings = judge(&found, host.is_here(), is_sent);
        if let Some(error) = &found.trouble {
            let (_, code, help) = host_help(error);
            findings.push(Finding::problem(code, error.to_string(), help));
        }
        examined.push((at, Examined { host, ssh, findings }));
    }
    examined.sort_by_key(|(at, _)| *at);
    let examined: Vec<Examined> = examined.into_iter().map(|(_, one)| one).collect();
    let number = |level: Level| {
        let findings = examined.iter().flat_map(|one| &one.findings);
        findings.filter(|finding| finding.level == level).count()
    };
    let (problems, warnings) = (number(Level::Problem), number(Level::Warning));
    let mut out = context.out();
    if context.json() {
        let hosts: Vec<Value> = examined.iter().map(as_json).collect();
        let document =
            json!({ "schema": 1, "hosts": hosts, "problems": problems, "warnings": warnings });
        writeln!(out, "{document}")?;
    } else {
        let colour = context.colour_stdout();
        for one in &examined {
            out.write_all(as_text(one, colour, context.quiet()).as_bytes())?;
        }
    }
    out.flush()?;
    drop(out);
    let also =
        if warnings == 0 { String::new() } else { format!("; {}", count(warnings, "warning")) };
    if problems == 0 {
        context.note(&format!("Nothing needs a person{also}."));
        Ok(Exit::Done)
    } else {
        context.note(&format!("{} for a person{also}.", count(problems, "finding")));
        Ok(Exit::Person)
    }
}

fn as_json(one: &Examined) -> Value {
    let findings: Vec<Value> = one
        .findings
        .iter()
        .map(|finding| {
            json!({
                "check": finding.check, "level": finding.level.word(), "finding": finding.text,
                "fix": finding.fix,
            })
        })
        .collect();
    json!({ "name": one.host.name(), "ssh": one.ssh, "findings": findings })
}

/// A host's checks, a line each, its fix below.
fn as_text(one: &Examined, colour: bool, quiet: bool) -> String {
    let mut text = match &one.ssh {
        Some(ssh) => format!("{} ({})\n", one.host.name(), visible(ssh)),
        None => format!("{} (this machine)\n", one.host.name()),
    };
    for finding in &one.findings {
        if quiet && finding.level == Level::Ok {
            continue;
        }
        let (paint, plain) = match (colour, finding.level) {
            (false, _) | (true, Level::Ok) => ("", ""),
            (true, Level::Warning) => ("\x1b[33m", "\x1b[0m"),
            (true, Level::Problem) => ("\x1b[31m", "\x1b[0m"),
        };
        let said = printable(&finding.text).replace('\n', " ");
        let (word, check) = (finding.level.word(), finding.check);
        writeln!(text, "  {paint}{word:<8}{plain} {check:<11} {said}").expect("a string takes all");
        if let Some(fix) = &finding.fix {
            let fix = printable(fix);
            writeln!(text, "  {:<8} {:<11} fix: {fix}", "", "").expect("a string takes all");
        }
    }
    text.push('\n');
    text
}

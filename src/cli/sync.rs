//! `sp sync`: sends the code to the hosts that get snapshots, or shows what would be sent. Starts nothing.

use std::collections::BTreeSet;
use std::io::Write as _;

use indicatif::HumanBytes;
use serde_json::json;

use super::args;
use super::code;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::plan::count;
use super::printable::printable;
use super::session::Reach;
use crate::apply::Workspace;
use crate::host::sync::Survey;
use crate::ids::HostName;

/// So many files are listed.
const LISTED: usize = 10;

pub(super) fn run(context: &Context, arguments: &args::Sync) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    let chosen = context.hosts(&arguments.hosts, &loaded.expansion)?;
    context.session(loaded, Reach::Nobody, |session| {
        send(context, &mut session.workspace, arguments, chosen.as_ref())
    })
}

/// Sends the code, or shows what would be sent.
fn send(
    context: &Context,
    workspace: &mut Workspace,
    arguments: &args::Sync,
    chosen: Option<&BTreeSet<HostName>>,
) -> Result<Exit, CliError> {
    let named = |name: &HostName| chosen.is_none_or(|chosen| chosen.contains(name));
    let hosts: Vec<HostName> = workspace
        .hosts()
        .iter()
        .map(|host| host.name().clone())
        .filter(|name| named(name) && workspace.gets_snapshot(name))
        .collect();
    if arguments.dry_run {
        return survey(context, workspace, &hosts);
    }
    if hosts.is_empty() {
        return Err(CliError::person(
            "no-snapshot",
            "jobs run in the campaign's own folder, so there is nothing to send",
            "`snapshot = true` in a host's table makes them run in a snapshot; `--dry-run` lists the files",
        ));
    }
    let mut exit = Exit::Done;
    let mut sending = Vec::new();
    for host in hosts {
        let question = if arguments.yes { None } else { workspace.ask_before_sync(&host)? };
        match question {
            Some(question) if !code::may_send(context, &question, &host)? => {
                exit = exit.and(Exit::Unfinished);
            }
            _ => sending.push(host),
        }
    }
    let mut rows = Vec::new();
    let mut out = context.out();
    for (host, made) in context.block_on(workspace.sync(&sending))?? {
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                exit = exit.and(context.say_trouble(&host, &error));
                continue;
            }
        };
        for warning in &made.warnings {
            context.note(&printable(&format!("warning: {warning}")));
        }
        let (sent_files, sent_bytes) = made.sent.unwrap_or((0, 0));
        if context.json() {
            rows.push(json!({
                "name": host.as_str(), "snapshot": made.name, "folder": made.folder, "files": made.files,
                "bytes": made.bytes, "sent_files": sent_files, "sent_bytes": sent_bytes,
                "had_it": made.sent.is_none(),
            }));
            continue;
        }
        let all = format!("{}, {}", count(made.files, "file"), HumanBytes(made.bytes));
        let how = match made.sent {
            None => "was there".to_owned(),
            Some((files, bytes)) => format!(
                "sent {} of it, {}",
                count(usize::try_from(files).unwrap_or(usize::MAX), "file"),
                HumanBytes(bytes)
            ),
        };
        writeln!(out, "{host}: {} ({all}): {how}", made.name)?;
    }
    if context.json() {
        let document =
            json!({ "schema": 1, "campaign": workspace.campaign().name.as_str(), "hosts": rows });
        serde_json::to_writer(&mut out, &document)?;
        writeln!(out)?;
    }
    out.flush()?;
    Ok(exit)
}

/// What would be sent, by the looks of the files.
fn survey(context: &Context, workspace: &Workspace, hosts: &[HostName]) -> Result<Exit, CliError> {
    let surveys = hosts.iter().map(|host| Ok((host, workspace.survey(host)?)));
    let surveys: Vec<(&HostName, Survey)> = surveys.collect::<Result<_, CliError>>()?;
    // Where nothing is sent, the list is of use all the same.
    let first = match surveys.first() {
        Some((_, survey)) => survey,
        None => &workspace.survey(workspace.hosts().first().expect("a host").name())?,
    };
    for warning in &first.warnings {
        context.note(&printable(&format!("warning: {warning}")));
    }
    let mut out = context.out();
    if context.json() {
        let largest =
            first.largest.iter().map(|(path, size)| json!({ "path": path, "bytes": size }));
        let rows = surveys.iter().map(|(host, survey)| {
            json!({ "name": host.as_str(), "snapshot": true,
                "new_files": survey.new_files, "new_bytes": survey.new_bytes })
        });
        let document = json!({
            "schema": 1, "campaign": workspace.campaign().name.as_str(), "files": first.files,
            "bytes": first.bytes, "hosts": rows.collect::<Vec<_>>(),
            "largest": largest.collect::<Vec<_>>(),
        });
        serde_json::to_writer(&mut out, &document)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}, {}", count(first.files, "file"), HumanBytes(first.bytes))?;
        for (host, survey) in &surveys {
            let new = count(survey.new_files, "file");
            writeln!(out, "new for {host}: {new}, {}", HumanBytes(survey.new_bytes))?;
        }
        for (path, size) in first.largest.iter().take(LISTED) {
            writeln!(out, "  {:>12}  {}", HumanBytes(*size).to_string(), printable(path))?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

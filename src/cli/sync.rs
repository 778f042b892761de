//! `sp sync`: sends the code to the hosts that get snapshots, or shows what would be sent. Starts nothing.

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

/// So many files are listed.
const LISTED: usize = 10;

pub(super) fn run(context: &Context, arguments: &args::Sync) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    let mut workspace = context.open(&loaded)?;
    let host = workspace.host().name().clone();
    if arguments.dry_run {
        let survey = workspace.survey()?;
        for warning in &survey.warnings {
            context.note(&printable(&format!("warning: {warning}")));
        }
        let mut out = context.out();
        if context.json() {
            let largest =
                survey.largest.iter().map(|(path, size)| json!({ "path": path, "bytes": size }));
            let document = json!({
                "schema": 1, "campaign": loaded.campaign.name.as_str(), "files": survey.files, "bytes": survey.bytes,
                "hosts": [{ "name": host.as_str(), "snapshot": workspace.has_snapshots(),
                    "new_files": survey.new_files, "new_bytes": survey.new_bytes }],
                "largest": largest.collect::<Vec<_>>(),
            });
            serde_json::to_writer(&mut out, &document)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}, {}", count(survey.files, "file"), HumanBytes(survey.bytes))?;
            let new = count(survey.new_files, "file");
            writeln!(out, "new for {host}: {new}, {}", HumanBytes(survey.new_bytes))?;
            for (path, size) in survey.largest.iter().take(LISTED) {
                writeln!(out, "  {:>12}  {}", HumanBytes(*size).to_string(), printable(path))?;
            }
        }
        out.flush()?;
        return Ok(Exit::Done);
    }
    if !workspace.has_snapshots() {
        return Err(CliError::person(
            "no-snapshot",
            format!(
                "jobs on `{host}` run in the campaign's own folder, so there is nothing to send"
            ),
            format!(
                "`[hosts.{host}] snapshot = true` makes them run in a snapshot; `--dry-run` lists the files"
            ),
        ));
    }
    if !arguments.yes
        && let Some(question) = workspace.ask_before_sync()?
        && !code::may_send(context, &question, &host)?
    {
        return Ok(Exit::Unfinished);
    }
    let made = context.block_on(workspace.sync())??;
    for warning in &made.warnings {
        context.note(&printable(&format!("warning: {warning}")));
    }
    let mut out = context.out();
    let (sent_files, sent_bytes) = made.sent.unwrap_or((0, 0));
    if context.json() {
        let document = json!({
            "schema": 1, "campaign": loaded.campaign.name.as_str(), "hosts": [{
                "name": host.as_str(), "snapshot": made.name, "folder": made.folder, "files": made.files,
                "bytes": made.bytes, "sent_files": sent_files, "sent_bytes": sent_bytes,
                "had_it": made.sent.is_none(),
            }],
        });
        serde_json::to_writer(&mut out, &document)?;
        writeln!(out)?;
    } else {
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
    out.flush()?;
    Ok(Exit::Done)
}

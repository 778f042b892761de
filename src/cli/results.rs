//! `sp results`: the table.

use std::collections::BTreeSet;

use super::args::{self, Format};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::session::{Reach, Session};
use super::tables::axes;
use crate::plan::Expansion;
use crate::report;
use crate::store::{JobRow, Snapshot};

pub(super) fn run(context: &Context, arguments: &args::Results) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    context.check(&arguments.selection, &loaded.expansion)?;
    let reach = Reach::UnlessOffline(arguments.offline);
    context.session(loaded, reach, |session| show(context, session, arguments))
}

/// Prints the table.
fn show(
    context: &Context,
    session: &Session<'_>,
    arguments: &args::Results,
) -> Result<Exit, CliError> {
    let Some(snapshot) = chosen(session, &arguments.selection)? else {
        return Ok(Exit::NothingSelected);
    };
    let names = axes(&session.loaded.expansion);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let table = report::results(&snapshot, &names, arguments.obsolete);
    let format = if context.json() { Format::Json } else { arguments.format };
    let mut out = context.out();
    match format {
        Format::Table => {
            let (text, left_out) =
                report::write::terminal(&table, context.columns(), &context.zone());
            writeln!(out, "{}", text.trim_end())?;
            if !left_out.is_empty() {
                out.flush()?;
                context.note(&format!(
                    "({} left out for want of room; `--format csv` has all)",
                    left_out.join(", ")
                ));
            }
        }
        Format::Csv => report::write::csv(&table, &mut out)?,
        Format::Tsv => report::write::tsv(&table, &mut out)?,
        Format::Jsonl => report::write::jsonl(&table, &mut out)?,
        Format::Md => report::write::markdown(&table, &mut out)?,
        Format::Json => {
            report::write::json_document(&table, &snapshot.campaign, &mut out)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// The selected jobs of the file as the checkpoint has them, those never planned among them; `None` where the selection
/// holds no job.
pub(super) fn chosen(
    session: &Session<'_>,
    selection: &args::Selection,
) -> Result<Option<Snapshot>, CliError> {
    let loaded = &session.loaded;
    let mut snapshot = session.workspace.store().snapshot()?;
    add_pending(&mut snapshot, &loaded.expansion);
    let known = session.known()?;
    if let Some(chosen) = session.context.select(selection, &loaded.expansion, &known)? {
        let ids: BTreeSet<_> = chosen.into_iter().map(|job| loaded.expansion.ids()[job]).collect();
        snapshot.jobs.retain(|job| ids.contains(&job.id));
        if snapshot.jobs.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(snapshot))
}

/// Brings a snapshot to the file as it is now: its jobs in its order, those never planned as pending ones.
fn add_pending(snapshot: &mut Snapshot, expansion: &Expansion) {
    for row in &mut snapshot.jobs {
        let index = expansion.index_of(row.id);
        row.index = index.and_then(|index| u32::try_from(index).ok());
        // A job that only a host has told of yet has no name in the checkpoint.
        if let Some(index) = index.filter(|_| row.name.is_empty()) {
            let job = expansion.job(index);
            row.name = job.name();
            row.params = job.params_by_name();
        }
    }
    let known: BTreeSet<_> = snapshot.jobs.iter().map(|job| job.id).collect();
    for job in expansion.jobs().filter(|job| !known.contains(&job.id())) {
        snapshot.jobs.push(JobRow {
            planned_here: true,
            id: job.id(),
            name: job.name(),
            index: u32::try_from(job.index()).ok(),
            params: job.params_by_name(),
            accepted_from: None,
            attempts: Vec::new(),
        });
    }
    snapshot.jobs.sort_by_key(|job| job.index.unwrap_or(u32::MAX));
}

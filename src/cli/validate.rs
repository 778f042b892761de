//! `sp validate`: the file, its templates and its globs; no host, no checkpoint.

use std::path::Path;

use serde_json::json;

use super::args::FileArgument;
use super::context::{Context, Loaded};
use super::error::CliError;
use super::exit::Exit;
use super::plan::count;
use super::printable::printable;
use crate::apply::{ApplyError, results_folder};
use crate::campaign::template::Template;
use crate::plan::programs_without_inputs;

pub(super) fn run(context: &Context, arguments: &FileArgument) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file)?;
    // Every template once with every job: what only some values break is found here, not on a host.
    for job in loaded.expansion.jobs() {
        job.spec()?;
    }
    warn_programs(context, &loaded);
    check_results(&loaded)?;
    let jobs = loaded.expansion.len();
    let mut out = context.out();
    if context.json() {
        writeln!(
            out,
            "{}",
            json!({ "schema": 1, "campaign": loaded.campaign.name, "jobs": jobs })
        )?;
    } else {
        writeln!(out, "{} is valid: {}", arguments.file.display(), count(jobs, "job"))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// Refuses a folder of the tables that holds what is not the campaign's, as far as that shows without the checkpoint.
fn check_results(loaded: &Loaded) -> Result<(), CliError> {
    let (campaign, folder) = (&loaded.campaign, loaded.file.parent().unwrap_or(Path::new("/")));
    let Some(folder) = results_folder(folder, campaign) else { return Ok(()) };
    folder.check(&campaign.name, campaign.id.as_ref()).map_err(ApplyError::Results)?;
    Ok(())
}

/// Says which of the campaign's own programs may change without a job running again.
fn warn_programs(context: &Context, loaded: &Loaded) {
    let programs = programs_without_inputs(&loaded.expansion, &loaded.files);
    if programs.is_empty() {
        return;
    }
    let named: Vec<String> = programs.iter().map(|program| format!("`{program}`")).collect();
    let inputs = loaded.campaign.inputs.iter().map(Template::text);
    let inputs: Vec<String> = inputs
        .chain(programs.iter().map(String::as_str))
        .map(|input| format!("{input:?}"))
        .collect();
    let verb = if named.len() == 1 { "stands" } else { "stand" };
    context.note(&printable(&format!(
        "warning: {} {verb} in `command` and not in `inputs`, so a change there runs no finished job again\n  help: write `inputs = [{}]`",
        named.join(", "),
        inputs.join(", ")
    )));
}

//! `sp validate`: the file, its templates and its globs; no host, no checkpoint.

use serde_json::json;

use super::args::FileArgument;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::plan::count;

pub(super) fn run(context: &Context, arguments: &FileArgument) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file)?;
    // Every template once with every job: what only some values break is found here, not on a host.
    for job in loaded.expansion.jobs() {
        job.spec()?;
    }
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

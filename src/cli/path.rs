//! `sp path`: where a job's files are.

use serde_json::json;

use super::args::OneJob;
use super::context::{Context, resolve};
use super::error::CliError;
use super::exit::Exit;
use crate::plan::Known;

pub(super) fn run(context: &Context, arguments: &OneJob) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    let mut workspace = context.open(&loaded)?;
    context.block_on(workspace.collect(None))??;
    let known = Known::new(workspace.store().known()?);
    let job = resolve(&arguments.job, &loaded.expansion, &known)?;
    let attempt = known.get(job.id).map(|known| known.attempt).filter(|attempt| attempt.0 > 0);
    let Some(attempt) = attempt else {
        return Err(CliError::person(
            "no-attempt",
            format!("job `{}` was never started, so it has no files", arguments.job),
            "`sp apply` runs it",
        ));
    };
    let folder = workspace.host().attempt_folder(&loaded.campaign.name, job.id, attempt);
    let mut out = context.out();
    if context.json() {
        let state = workspace.host().job_folder(&loaded.campaign.name, job.id).join("state");
        let document = json!({
            "schema": 1, "id": job.id, "attempt": attempt, "host": workspace.host().name(),
            "out_dir": folder.join("out"), "log": folder.join("log"), "state_dir": state,
        });
        writeln!(out, "{document}")?;
    } else {
        writeln!(out, "{}", folder.join("out").display())?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

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
    let Some(had) = known.get(job.id).filter(|known| known.attempt.0 > 0) else {
        return Err(CliError::person(
            "no-attempt",
            format!("job `{}` was never started, so it has no files", arguments.job),
            "`sp apply` runs it",
        ));
    };
    let host = workspace.host_of(had)?;
    let (name, attempt) = (&loaded.campaign.name, had.attempt);
    let (folder, state) = context.block_on(async {
        let state = host.job_folder(name, job.id).await?.join("state");
        Ok::<_, CliError>((host.attempt_folder(name, job.id, attempt).await?, state))
    })??;
    let mut out = context.out();
    if context.json() {
        let document = json!({
            "schema": 1, "id": job.id, "attempt": attempt, "host": host.name(),
            "out_dir": folder.join("out"), "log": folder.join("log"), "state_dir": state,
        });
        writeln!(out, "{document}")?;
    } else {
        writeln!(out, "{}", folder.join("out").display())?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

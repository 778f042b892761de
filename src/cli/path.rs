//! `sp path`: where a job's files are.

use serde_json::json;

use super::args::OneJob;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::session::{Reach, Session};
use crate::shell::word;

pub(super) fn run(context: &Context, arguments: &OneJob) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    context.session(loaded, Reach::Hosts, |session| show(context, session, arguments))
}

/// Prints the folders of a job's newest attempt.
fn show(context: &Context, session: &Session<'_>, arguments: &OneJob) -> Result<Exit, CliError> {
    let known = session.known()?;
    let job = session.resolve(&arguments.job, &known)?;
    let had = known.get(job.id).and_then(|known| Some((known, known.attempt?)));
    let Some((had, attempt)) = had else {
        return Err(CliError::person(
            "no-attempt",
            format!("job `{}` was never started, so it has no files", arguments.job),
            "`sp apply` runs it",
        ));
    };
    if let Some(told) = had.files.told() {
        let (job, word) = (&arguments.job, word(&arguments.job));
        return Err(CliError::person(
            "no-files",
            format!("attempt {attempt} of job `{job}` has no files: {told}"),
            format!(
                "`sp logs {word}` shows its log where that was kept; `sp apply --rerun {word}` runs it again"
            ),
        ));
    }
    let host = session.answering(session.workspace.host_of(had)?)?;
    let name = session.workspace.instance();
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

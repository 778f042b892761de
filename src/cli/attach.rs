//! `sp attach`: looks at a running job in its tmux session, read-only.

use super::args::{Logs, OneJob};
use super::context::{Context, resolve};
use super::error::CliError;
use super::exit::Exit;
use crate::plan::Known;
use crate::state::State;

pub(super) fn run(context: &Context, arguments: &OneJob) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    let mut workspace = context.open(&loaded)?;
    let collected = context.block_on(workspace.collect(None))??;
    let known = Known::new(workspace.store().known()?);
    let job = resolve(&arguments.job, &loaded.expansion, &known)?;
    let state = known.get(job.id).map_or(State::Pending, |known| known.state);
    if state != State::Running {
        return Err(CliError::person(
            "not-running",
            format!("job `{}` does not run: it is {state}", arguments.job),
            format!("its output: sp logs {}", arguments.job),
        ));
    }
    if collected.hosts.values().all(|answer| answer.tmux.is_none()) {
        context.note("There is no tmux; following the log. Ctrl-C leaves, the job goes on.");
        let logs = Logs {
            job: arguments.job.clone(),
            file: arguments.file.clone(),
            follow: true,
            lines: None,
            attempt: None,
        };
        return super::logs::run(context, &logs);
    }
    let attempt = known.get(job.id).expect("it runs").attempt;
    let session =
        context.block_on(workspace.host().window(&loaded.campaign.name, job.id, attempt))??;
    let error = crate::host::attach_session(&session, context.variable("TERM"));
    Err(CliError::person("attach", format!("cannot start tmux: {error}"), ""))
}

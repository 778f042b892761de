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
    let running = known.get(job.id).expect("it runs");
    let host = workspace.host_of(running)?;
    if collected.hosts.get(host.name()).is_none_or(|answer| answer.tmux.is_none()) {
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
    let ended = context.block_on(async {
        let session = host.window(&loaded.campaign.name, job.id, running.attempt).await?;
        host.attach(&session, context.variable("TERM")).await
    })??;
    match ended {
        Ok(status) if status.success() => Ok(Exit::Done),
        Ok(_) => Err(CliError::person(
            "attach",
            format!("tmux could not show job `{}` on this terminal", arguments.job),
            format!("its output: sp logs -f {}", arguments.job),
        )),
        Err(error) => Err(CliError::person("attach", format!("cannot start: {error}"), "")),
    }
}

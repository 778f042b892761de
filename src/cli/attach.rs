//! `sp attach`: looks at a running job in its tmux session, read-only.

use super::args::{Logs, OneJob};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::session::{Reach, Session};
use crate::shell::word;
use crate::state::State;

pub(super) fn run(context: &Context, arguments: &OneJob) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    context.session(loaded, Reach::SomeHost, |session| attach(context, session, arguments))
}

fn attach(
    context: &Context,
    session: &mut Session<'_>,
    arguments: &OneJob,
) -> Result<Exit, CliError> {
    let known = session.known()?;
    let job = session.resolve(&arguments.job, &known)?;
    let state = known.get(job.id).map_or(State::Pending, |known| known.state);
    let running = known.get(job.id).filter(|known| known.state == State::Running);
    let Some((running, attempt)) = running.and_then(|known| Some((known, known.attempt?))) else {
        return Err(CliError::person(
            "not-running",
            format!("job `{}` does not run: it is {state}", arguments.job),
            format!("its output: sp logs {}", word(&arguments.job)),
        ));
    };
    let host = session.answering(session.workspace.host_of(running)?)?.clone();
    let answer = session.collected().and_then(|collected| collected.hosts.get(host.name()));
    if answer.is_none_or(|answer| answer.tmux.is_none()) {
        context.note("There is no tmux; following the log. Ctrl-C leaves, the job goes on.");
        let logs = Logs {
            job: arguments.job.clone(),
            file: arguments.file.clone(),
            follow: true,
            lines: None,
            attempt: None,
        };
        return super::logs::show(context, session, &logs);
    }
    let ended = context.block_on(async {
        let window = host.window(session.workspace.instance(), job.id, attempt).await?;
        host.attach(&window, context.variable("TERM")).await
    })??;
    match ended {
        Ok(status) if status.success() => Ok(Exit::Done),
        Ok(_) => Err(CliError::person(
            "attach",
            format!("tmux could not show job `{}` on this terminal", arguments.job),
            format!("its output: sp logs -f {}", word(&arguments.job)),
        )),
        Err(error) => Err(CliError::person("attach", format!("cannot start: {error}"), "")),
    }
}

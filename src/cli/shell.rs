//! `sp shell`: a shell on the host of a job's newest attempt, in its out folder, with the job's environment.

use super::args::OneJob;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::session::{Reach, Session};

pub(super) fn run(context: &Context, arguments: &OneJob) -> Result<Exit, CliError> {
    if context.json() {
        return Err(CliError::usage(
            "json",
            "a shell is no JSON",
            "`sp path --json` prints where its files are",
        ));
    }
    let loaded = context.load(&arguments.file.file)?;
    context.session(loaded, Reach::SomeHost, |session| open(context, session, arguments))
}

/// Opens the shell and waits until the person has left it.
fn open(context: &Context, session: &Session<'_>, arguments: &OneJob) -> Result<Exit, CliError> {
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
    let host = session.answering(session.workspace.host_of(had)?)?;
    let (secrets, missing) = session.workspace.secrets_there();
    if !missing.is_empty() {
        let names = missing.join(", ");
        context.note(&format!("warning: {names} is empty there: it is not in your environment"));
    }
    let name = session.workspace.instance();
    let started = context.block_on(host.shell(name, job.id, attempt, &secrets))??;
    match started {
        Ok(status) if status.success() => Ok(Exit::Done),
        // What the host script ends with where it finds no such attempt.
        Ok(status) if status.code() == Some(66) => Err(CliError::person(
            "no-attempt",
            format!(
                "attempt {} of job `{}` has not begun on host `{}`",
                attempt,
                arguments.job,
                host.name()
            ),
            "a job has files once it runs; `sp status` shows where it is",
        )),
        Ok(status) => Err(CliError::Said {
            exit: Exit::Unfinished,
            code: "shell",
            message: format!("the shell on host `{}` was cut off ({status})", host.name()),
            help: "the job goes on without it; run the same command again".to_owned(),
        }),
        Err(error) => Err(CliError::person("shell", format!("cannot start a shell: {error}"), "")),
    }
}

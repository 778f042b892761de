//! `sp wait`: until nothing is queued or running. Starts nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::args;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::observer::{Screen, print};
use super::session::{Reach, Session};
use super::summary::Chosen;
use super::tables::Tables;
use crate::apply::{How, Interrupts, Trouble, until};
use crate::campaign::duration;
use crate::ids::JobId;
use crate::lifecycle::{Event, EventKind};
use crate::state::State;

pub(super) fn run(context: &Context, arguments: &args::Wait) -> Result<Exit, CliError> {
    let patience = match &arguments.timeout {
        None => None,
        Some(text) => Some(duration::parse(text).map_err(|error| {
            CliError::usage(
                "timeout",
                format!("`--timeout {text}`: {error}"),
                "write it as 90s, 30m or 1h 30m",
            )
        })?),
    };
    // It bounds all that follows: reading the file and asking the hosts, too.
    let deadline = patience.map(|patience: Duration| Instant::now() + patience);
    let loaded = context.load(&arguments.file.file)?;
    context.check(&arguments.selection, &loaded.expansion)?;
    let began = Instant::now();
    context.session(loaded, Reach::Nobody, |session| {
        let mut chosen = None;
        let exit = context.block_on(wait(context, session, arguments, deadline, &mut chosen))??;
        if context.json() {
            let chosen = chosen.unwrap_or_else(|| session.loaded.expansion.ids().to_vec());
            let counts = Chosen::only(chosen.into_iter()).outcome(&session.workspace)?.counts;
            let (elapsed_s, exit_code) =
                (began.elapsed().as_secs_f64(), exit.and(session.exit()).code());
            let kind = EventKind::Summary { counts, elapsed_s, exit_code };
            print(&Event { ts: context.clock().now(), kind })?;
        }
        Ok(exit)
    })
}

/// Waits until the chosen jobs have ended, the time is over, or a person has had enough. `told`: which jobs are waited for, as
/// soon as it is known.
async fn wait(
    context: &Context,
    session: &mut Session<'_>,
    arguments: &args::Wait,
    deadline: Option<Instant>,
    told: &mut Option<Vec<JobId>>,
) -> Result<Exit, CliError> {
    let mut interrupts = Interrupts::new()?;
    let asked = tokio::select! {
        biased;
        interrupt = interrupts.next() => Err(How::Interrupted(interrupt)),
        () = until(deadline) => Err(How::TimedOut),
        asked = session.ask(Reach::SomeHost, None) => Ok(asked?),
    };
    if let Err(how) = asked {
        return ended(context, session, how, None);
    }
    let known = session.known()?;
    let chosen = context.select(&arguments.selection, &session.loaded.expansion, &known)?;
    let ids = session.loaded.expansion.ids();
    let ids: BTreeSet<JobId> = match &chosen {
        None => ids.iter().copied().collect(),
        Some(chosen) => chosen.iter().map(|job| ids[*job]).collect(),
    };
    *told = Some(ids.iter().copied().collect());
    let open = session.workspace.attempts_by_host(|job| ids.contains(&job))?;
    let open: usize = open.values().map(|named| named.attempts.len()).sum();
    if open == 0 {
        context.note("Nothing is queued or running.");
    }
    let (loaded, workspace) = (&session.loaded, &mut session.workspace);
    let tables = Tables::new(workspace, &loaded.expansion);
    let mut screen = Screen::new(context, tables, &loaded.campaign, open as u64);
    let watched =
        workspace.watch(chosen.as_deref(), false, deadline, &mut screen, &mut interrupts).await;
    screen.finish();
    let watched = watched?;
    let mut exit = Exit::Done;
    for (host, trouble) in &watched.troubles {
        match trouble {
            Trouble::Stuck => {
                let what =
                    format!("the queue of host `{host}` does not move; `sp apply` starts it again");
                context.note(&what);
                exit = exit.and(Exit::Unfinished);
            }
            Trouble::Error(error) => session.note_trouble(host, error),
            Trouble::Setup(failure) => {
                let workspace = &session.workspace;
                exit = exit.and(super::setup::say_failure(context, workspace, host, failure));
            }
        }
    }
    Ok(ended(context, session, watched.how, Some(&ids))?.and(exit))
}

/// What the end of the waiting means for the exit code. `chosen`: the jobs that were waited for.
fn ended(
    context: &Context,
    session: &Session<'_>,
    how: How,
    chosen: Option<&BTreeSet<JobId>>,
) -> Result<Exit, CliError> {
    match how {
        How::Interrupted(interrupt) => {
            super::farewell::interrupted(context, interrupt, &session.workspace, &session.loaded)
        }
        How::TimedOut => {
            context.note("the time is over; the jobs go on");
            Ok(Exit::TimedOut)
        }
        How::Done | How::Detached => {
            let snapshot = session.workspace.store().snapshot()?;
            let failed = snapshot.jobs.iter().any(|job| {
                chosen.is_some_and(|chosen| chosen.contains(&job.id))
                    && job.state().is_final()
                    && job.state() != State::Succeeded
            });
            Ok(if failed { Exit::JobsFailed } else { Exit::Done })
        }
    }
}

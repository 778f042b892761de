//! `sp wait`: until nothing is queued or running. Starts nothing.

use std::time::{Duration, Instant};

use super::args;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::observer::Screen;
use super::tables::Tables;
use crate::apply::{How, Interrupts, Trouble};
use crate::campaign::duration;
use crate::plan::Known;
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
    let loaded = context.load(&arguments.file.file)?;
    context.check(&arguments.selection, &loaded.expansion)?;
    let mut workspace = context.open(&loaded)?;
    let deadline = patience.map(|patience: Duration| Instant::now() + patience);
    let folder = loaded.file.parent().unwrap_or(std::path::Path::new("/"));
    let tables = Tables::new(folder, workspace.state_folder(), &loaded.expansion);
    let (chosen, ended) = context.block_on(async {
        let mut interrupts = Interrupts::new()?;
        let collected = workspace.collect(None).await?;
        let hosts = super::plan::warn_of_hosts(context, &collected);
        let known = Known::new(workspace.store().known()?);
        let chosen = context.select(&arguments.selection, &loaded.expansion, &known)?;
        let open: usize = workspace
            .attempts_by_host(|job| {
                let index = loaded.expansion.index_of(job);
                index.is_some_and(|job| chosen.as_ref().is_none_or(|jobs| jobs.contains(&job)))
            })?
            .values()
            .map(|named| named.attempts.len())
            .sum();
        if open == 0 {
            context.note("Nothing is queued or running.");
        }
        let mut screen = Screen::new(context, tables, &loaded.campaign, open as u64);
        let ended =
            workspace.watch(chosen.as_deref(), false, deadline, &mut screen, &mut interrupts).await;
        screen.finish();
        Ok::<_, CliError>((chosen, (ended?, hosts)))
    })??;
    let (ended, mut exit) = ended;
    for (host, trouble) in &ended.troubles {
        match trouble {
            Trouble::Stuck => {
                let what =
                    format!("the queue of host `{host}` does not move; `sp apply` starts it again");
                context.note(&what);
                exit = exit.and(Exit::Unfinished);
            }
            Trouble::Error(error) => exit = exit.and(context.say_trouble(error)),
            Trouble::Setup(failure) => {
                exit = exit.and(super::setup::say_failure(context, &workspace, host, failure));
            }
        }
    }
    match ended.how {
        How::Interrupted(interrupt) => {
            super::farewell::interrupted(context, interrupt, &workspace, &loaded)
        }
        How::TimedOut => {
            context.note("the time is over; the jobs go on");
            Ok(Exit::TimedOut)
        }
        How::Done | How::Detached => {
            let snapshot = workspace.store().snapshot()?;
            let failed = snapshot.jobs.iter().any(|job| {
                let index = loaded.expansion.index_of(job.id);
                let counts =
                    index.is_some_and(|index| chosen.as_ref().is_none_or(|c| c.contains(&index)));
                counts && job.state().is_final() && job.state() != State::Succeeded
            });
            Ok(exit.and(if failed { Exit::JobsFailed } else { Exit::Done }))
        }
    }
}

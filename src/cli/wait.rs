//! `sp wait`: until nothing is queued or running. Starts nothing.

use std::time::{Duration, Instant};

use super::args;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::observer::Screen;
use super::tables::Tables;
use crate::apply::{Ended, Interrupts};
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
        super::plan::warn_refused(context, &collected);
        let known = Known::new(workspace.store().known()?);
        let chosen = context.select(&arguments.selection, &loaded.expansion, &known)?;
        let open = workspace
            .attempts_of(|job| {
                let index = loaded.expansion.index_of(job);
                index.is_some_and(|job| chosen.as_ref().is_none_or(|jobs| jobs.contains(&job)))
            })?
            .len();
        if open == 0 {
            context.note("Nothing is queued or running.");
        }
        let mut screen = Screen::new(context, tables, open as u64);
        let ended =
            workspace.watch(chosen.as_deref(), false, deadline, &mut screen, &mut interrupts).await;
        screen.finish();
        Ok::<_, CliError>((chosen, ended?))
    })??;
    match ended {
        Ended::Interrupted(interrupt) => {
            super::apply::interrupted(context, interrupt, &workspace, &loaded)
        }
        Ended::TimedOut => {
            context.note("the time is over; the jobs go on");
            Ok(Exit::TimedOut)
        }
        Ended::Stuck => {
            context.note("the queue does not move; `sp apply` starts it again");
            Ok(Exit::Unfinished)
        }
        Ended::Done | Ended::Detached => {
            let snapshot = workspace.store().snapshot()?;
            let failed = snapshot.jobs.iter().any(|job| {
                let index = loaded.expansion.index_of(job.id);
                let counts =
                    index.is_some_and(|index| chosen.as_ref().is_none_or(|c| c.contains(&index)));
                counts && job.state().is_final() && job.state() != State::Succeeded
            });
            Ok(if failed { Exit::JobsFailed } else { Exit::Done })
        }
    }
}

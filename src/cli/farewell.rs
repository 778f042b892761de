//! What is said when a person leaves while jobs go on.

use super::context::{Context, Loaded};
use super::error::CliError;
use super::exit::Exit;
use super::plan::count;
use crate::apply::{Interrupt, Workspace};
use crate::state::State;

/// What goes on without us, and how to stop it.
pub(super) fn interrupted(
    context: &Context,
    interrupt: Interrupt,
    workspace: &Workspace,
    loaded: &Loaded,
) -> Result<Exit, CliError> {
    let snapshot = workspace.store().snapshot()?;
    let number = |state| {
        snapshot
            .jobs
            .iter()
            .filter(|job| job.state() == state && loaded.expansion.index_of(job.id).is_some())
            .count()
    };
    let (running, queued) = (number(State::Running), number(State::Queued));
    let who = match (running, queued) {
        (0, 0) => None,
        (1, 0) => Some("1 running job goes".to_owned()),
        (running, 0) => Some(format!("{running} running jobs go")),
        (0, 1) => Some("1 queued job goes".to_owned()),
        (0, queued) => Some(format!("{queued} queued jobs go")),
        (running, queued) => {
            Some(format!("{running} running and {} go", count(queued, "queued job")))
        }
    };
    if let Some(who) = who {
        context
            .note(&format!("\n{who} on without you. Come back: sp apply. Stop: sp cancel --all."));
    }
    Ok(match interrupt {
        Interrupt::Interrupted => Exit::Interrupted,
        Interrupt::Terminated => Exit::Terminated,
    })
}

//! `sp status`: where every job is.

use indexmap::IndexMap;

use super::args;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::results::chosen;
use super::session::{Reach, Session};
use crate::ids::HostName;
use crate::lifecycle::event::HostState;
use crate::report::{self, HostView};
use crate::state::State;

pub(super) fn run(context: &Context, arguments: &args::Status) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    context.check(&arguments.selection, &loaded.expansion)?;
    let reach = Reach::UnlessOffline(arguments.offline);
    context.session(loaded, reach, |session| show(context, session, arguments))
}

/// Shows where the jobs are, those of a silent host where they last were.
fn show(
    context: &Context,
    session: &Session<'_>,
    arguments: &args::Status,
) -> Result<Exit, CliError> {
    let Some(snapshot) = chosen(session, &arguments.selection)? else {
        return Ok(Exit::NothingSelected);
    };
    let loaded = &session.loaded;
    let state = |name: &HostName| {
        let answer = session.collected().and_then(|collected| collected.hosts.get(name));
        answer.map_or(HostState::Unknown, |answer| answer.state)
    };
    let hosts: Vec<HostView> = loaded
        .campaign
        .hosts
        .iter()
        .map(|(name, host)| HostView { name: name.clone(), state: state(name), slots: host.slots })
        .collect();
    let status = report::status(&snapshot, &hosts);
    let mut out = context.out();
    if context.json() {
        serde_json::to_writer(&mut out, &status)?;
        writeln!(out)?;
    } else {
        let text = report::status_table(
            &status,
            context.columns(),
            &context.zone(),
            context.clock().now(),
        );
        out.write_all(text.as_bytes())?;
    }
    out.flush()?;
    drop(out);
    if context.columns().is_some() {
        say_next(context, &status.counts);
    }
    Ok(Exit::Done)
}

/// The command that a person wants next.
fn say_next(context: &Context, counts: &IndexMap<State, u64>) {
    let number = |state| counts.get(&state).copied().unwrap_or(0);
    let under_way = number(State::Queued) + number(State::Running);
    let bad: u64 = State::ALL
        .into_iter()
        .filter(|state| state.is_final() && *state != State::Succeeded)
        .map(number)
        .sum();
    let next = match (bad, under_way, number(State::Pending)) {
        (1.., ..) => {
            "Why: sp explain JOB   output: sp logs JOB   what the next apply does: sp plan"
        }
        (0, 1.., _) => "Wait for them: sp wait   look at one: sp attach JOB",
        (0, 0, 1..) => "Run them: sp apply",
        (0, 0, 0) => "The table: sp results",
    };
    context.note(&format!("\n{next}"));
}

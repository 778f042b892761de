//! `sp cancel`: ends jobs, whatever they are at.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::args;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::plan::count;
use super::session::{Reach, Session};
use crate::apply::{ApplyError, Named, Workspace};
use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::store::{JobRow, OpenAttempt};

/// Seconds between TERM and KILL.
const GRACE: u32 = 10;
/// A job is moved once or twice, not on and on.
const ROUNDS: u32 = 3;
/// So many jobs are named, the others counted.
const TOLD: usize = 20;

/// An attempt, and the apply that handed it over.
type Chosen = (JobId, Attempt, ApplyId);

pub(super) fn run(context: &Context, arguments: &args::Cancel) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    let hosts = context.hosts(&arguments.hosts, &loaded.expansion)?;
    context.session(loaded, Reach::Nobody, |session| {
        // Before any host is asked: what a person wrote may be no job.
        let known = session.known()?;
        let wanted = arguments
            .jobs
            .iter()
            .map(|name| session.resolve(name, &known).map(|job| job.id))
            .collect::<Result<BTreeSet<_>, _>>()?;
        let is_there = |host: &HostName| hosts.as_ref().is_none_or(|hosts| hosts.contains(host));
        let is_chosen = |workspace: &Workspace, job: JobId, open: &OpenAttempt| {
            let all = arguments.all && (arguments.others || workspace.may_end(job, open));
            wanted.contains(&job) || (all && is_there(&open.host))
        };
        let grace = if arguments.now { 0 } else { GRACE };
        let attempts = context.block_on(end(session, is_chosen, grace))??;
        if arguments.all && !arguments.others {
            say_others(session, is_there)?;
        }
        if context.json() {
            let document = document(&session.workspace, &attempts)?;
            writeln!(context.out(), "{document}")?;
        }
        if attempts.is_empty() {
            context.note("Nothing to cancel: no such job is queued or running.");
            return Ok(if arguments.all { Exit::Done } else { Exit::NothingSelected });
        }
        tell(context, &session.workspace, &attempts)
    })
}

/// Asks the hosts and ends what is chosen; returns the attempts that were to be ended.
async fn end(
    session: &mut Session<'_>,
    is_chosen: impl Fn(&Workspace, JobId, &OpenAttempt) -> bool,
    grace: u32,
) -> Result<Vec<Chosen>, CliError> {
    session.ask(Reach::SomeHost, None).await?;
    let mut attempts: Vec<Chosen> = Vec::new();
    let mut tried: BTreeSet<Chosen> = BTreeSet::new();
    // What was moved while we were at it is somewhere else by now.
    for _ in 0..ROUNDS {
        let workspace = &session.workspace;
        let mut hosts =
            workspace.attempts_that_may_run(|job, open| is_chosen(workspace, job, open))?;
        for named in hosts.values_mut() {
            named.attempts.retain(|attempt| !tried.contains(attempt));
        }
        hosts.retain(|_, named| !named.attempts.is_empty());
        let number = hosts.values().map(|named| named.attempts.len()).sum();
        if number == 0 {
            break;
        }
        if number > 1 || grace > 0 {
            session.context.note(&format!("Ending {}…", count(number, "job")));
        }
        cancel(session, &hosts, grace).await;
        session.ask_again().await?;
        for attempt in hosts.into_values().flat_map(|named| named.attempts) {
            attempts.push(attempt.clone());
            tried.insert(attempt);
        }
    }
    Ok(attempts)
}

/// Says what goes on because another folder of the instance handed it over.
fn say_others(session: &Session<'_>, is_there: impl Fn(&HostName) -> bool) -> Result<(), CliError> {
    let workspace = &session.workspace;
    let theirs = workspace
        .attempts_that_may_run(|job, open| !workspace.may_end(job, open) && is_there(&open.host))?;
    let number: usize = theirs.values().map(|named| named.attempts.len()).sum();
    if number > 0 {
        session.context.note(&format!(
            "{} that another clone or work tree handed over {} left alone: `sp cancel --all --others` ends them, too",
            count(number, "job"),
            if number == 1 { "is" } else { "are" }
        ));
    }
    Ok(())
}

/// What became of the attempts, for programs.
fn document(workspace: &Workspace, attempts: &[Chosen]) -> Result<Value, CliError> {
    let snapshot = workspace.store().snapshot()?;
    let rows: BTreeMap<JobId, &JobRow> = snapshot.jobs.iter().map(|row| (row.id, row)).collect();
    let jobs = attempts.iter().filter_map(|(id, attempt, _)| {
        let job = rows.get(id)?;
        let row = job.attempts.iter().find(|row| row.attempt == *attempt)?;
        Some(json!({
            "id": id, "name": job.name, "attempt": attempt, "host": row.host, "state": row.state.shown(),
            "reason": row.reason, "detail": row.detail,
        }))
    });
    let jobs: Vec<Value> = jobs.collect();
    Ok(json!({ "schema": 1, "campaign": snapshot.campaign, "jobs": jobs }))
}

/// Says what became of the attempts.
fn tell(context: &Context, workspace: &Workspace, attempts: &[Chosen]) -> Result<Exit, CliError> {
    let snapshot = workspace.store().snapshot()?;
    let rows: BTreeMap<JobId, &JobRow> = snapshot.jobs.iter().map(|row| (row.id, row)).collect();
    let (mut left, mut told) = (0, 0);
    for (job, attempt, _) in attempts {
        let Some(row) = rows.get(job) else { continue };
        let Some(state) = row.attempts.iter().find(|row| row.attempt == *attempt) else { continue };
        let name = crate::report::visible(&row.name).into_owned();
        left += usize::from(!state.state.shown().is_final());
        told += 1;
        if told > TOLD {
            continue;
        }
        context.note(&format!(
            "{:>10} {name}  {}",
            state.state.shown().word().to_uppercase(),
            state.detail
        ));
    }
    if told > TOLD {
        context.note(&format!("{:>10} and {} more", "…", told - TOLD));
    }
    if left > 0 {
        context.say(&format!(
            "{} not ended yet; a `cleanup` may still run. Run the same command again to end it, too",
            if left == 1 { "1 job has".to_owned() } else { format!("{left} jobs have") }
        ));
        return Ok(Exit::Unfinished);
    }
    Ok(Exit::Done)
}

/// Asks each host that has some of them, one after the other: a cancel waits for processes, not for the network. A host that
/// does not answer keeps no other one from ending its jobs.
async fn cancel(session: &mut Session<'_>, hosts: &BTreeMap<HostName, Named>, grace: u32) {
    let instance = session.workspace.instance().clone();
    for (name, named) in hosts {
        let host = session.workspace.host(name).cloned();
        let root_id = named.root_id.as_deref();
        let ended = match host {
            Ok(host) => {
                let ended = host.cancel(&instance, "user", grace, &named.attempts, root_id).await;
                ended.map_err(ApplyError::Host)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            session.note_trouble(name, &error);
        }
    }
}

//! `sp cancel`: ends jobs, whatever they are at.

use std::collections::{BTreeMap, BTreeSet};

use super::args;
use super::context::{Context, resolve};
use super::error::CliError;
use super::exit::Exit;
use super::plan::{count, warn_of_hosts};
use crate::apply::{ApplyError, Named, Workspace};
use crate::ids::HostName;
use crate::plan::Known;

/// Seconds between TERM and KILL.
const GRACE: u32 = 10;
/// A job is moved once or twice, not on and on.
const ROUNDS: u32 = 3;
/// So many jobs are named, the others counted.
const TOLD: usize = 20;

pub(super) fn run(context: &Context, arguments: &args::Cancel) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    let mut workspace = context.open(&loaded)?;
    let known = Known::new(workspace.store().known()?);
    let wanted = arguments
        .jobs
        .iter()
        .map(|name| resolve(name, &loaded.expansion, &known).map(|job| job.id))
        .collect::<Result<BTreeSet<_>, _>>()?;
    let hosts = context.hosts(&arguments.hosts, &loaded.expansion)?;
    let grace = if arguments.now { 0 } else { GRACE };
    let mut exit = Exit::Done;
    let attempts = context.block_on(async {
        workspace.collect(None).await?;
        let is_chosen = |job, host: &HostName| {
            let is_there = || hosts.as_ref().is_none_or(|hosts| hosts.contains(host));
            wanted.contains(&job) || (arguments.all && is_there())
        };
        let mut attempts = Vec::new();
        // What was moved while we were at it is somewhere else by now.
        for _ in 0..ROUNDS {
            let mut hosts = workspace.attempts_that_may_run(is_chosen)?;
            for named in hosts.values_mut() {
                named.attempts.retain(|attempt| !attempts.contains(attempt));
            }
            hosts.retain(|_, named| !named.attempts.is_empty());
            let number = hosts.values().map(|named| named.attempts.len()).sum();
            if number == 0 {
                break;
            }
            if number > 1 || grace > 0 {
                context.note(&format!("Ending {}…", count(number, "job")));
            }
            exit = exit.and(cancel(context, &workspace, &hosts, grace).await?);
            exit = exit.and(warn_of_hosts(context, &workspace.collect(None).await?));
            attempts.extend(hosts.into_values().flat_map(|named| named.attempts));
        }
        Ok::<_, CliError>(attempts)
    })??;
    if attempts.is_empty() {
        context.note("Nothing to cancel: no such job is queued or running.");
        return Ok(if arguments.all { Exit::Done } else { Exit::NothingSelected });
    }
    let snapshot = workspace.store().snapshot()?;
    let (mut left, mut told) = (0, 0);
    for (job, attempt, _) in &attempts {
        let Some(row) = snapshot.jobs.iter().find(|row| row.id == *job) else { continue };
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
            "{} did not end in time; run the same command again",
            count(left, "job")
        ));
        return Ok(exit.and(Exit::Unfinished));
    }
    Ok(exit)
}

/// Asks each host that has some of them, one after the other: a cancel waits for processes, not for the network. A host that
/// does not answer keeps no other one from ending its jobs.
async fn cancel(
    context: &Context,
    workspace: &Workspace,
    hosts: &BTreeMap<HostName, Named>,
    grace: u32,
) -> Result<Exit, CliError> {
    let campaign = &workspace.campaign().name;
    let mut exit = Exit::Done;
    for (name, named) in hosts {
        let host = match workspace.host(name) {
            Ok(host) => host,
            Err(error) => {
                exit = exit.and(context.say_trouble(&error));
                continue;
            }
        };
        let root_id = named.root_id.as_deref();
        if let Err(error) = host.cancel(campaign, "user", grace, &named.attempts, root_id).await {
            exit = exit.and(context.say_trouble(&ApplyError::Host(error)));
        }
    }
    Ok(exit)
}

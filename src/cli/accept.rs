//! `sp accept`: an old result counts for the job that its cell is now.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::args;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::plan::count;
use super::session::{Reach, Session};
use crate::apply::ApplyError;
use crate::ids::{HostName, JobId};
use crate::plan::{Known, KnownJob};
use crate::state::State;

/// A job, the job whose result is to count for it, and its name.
type Pair = (JobId, JobId, String);

pub(super) fn run(context: &Context, arguments: &args::Accept) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    context.session(loaded, Reach::SomeHost, |session| {
        let known = session.known()?;
        let pairs = arguments.jobs.iter().map(|name| pair(session, &known, name));
        let pairs = pairs.collect::<Result<Vec<Pair>, CliError>>()?;
        session.workspace.record_jobs()?;
        let written = context.block_on(write_down(session, &known, &pairs))??;
        for (_, old, name) in pairs.iter().filter(|(new, ..)| written.contains(new)) {
            let short: String = old.to_string().chars().take(8).collect();
            context.note(&format!("{name} counts as done by the result of {short}"));
        }
        if context.json() {
            let accepted = pairs.iter().filter(|(new, ..)| written.contains(new));
            let accepted: Vec<Value> = accepted
                .map(|(new, old, name)| json!({ "id": new, "name": name, "accepted_from": old }))
                .collect();
            let campaign = &session.loaded.campaign.name;
            let document = json!({ "schema": 1, "campaign": campaign, "accepted": accepted });
            writeln!(context.out(), "{document}")?;
        }
        Ok(Exit::Done)
    })
}

/// Finds the result that is to count for a job.
fn pair(session: &Session<'_>, known: &Known, name: &str) -> Result<Pair, CliError> {
    let job = session.resolve(name, known)?;
    let Some(index) = job.index else {
        return Err(CliError::usage(
            "obsolete",
            format!("job `{name}` is an old version itself"),
            "name the job that its cell is now; `sp plan` shows it",
        ));
    };
    let view = session.loaded.expansion.job(index);
    let old = known.predecessor(view.cell_key(), job.id);
    let Some(old) = old.filter(|old| old.state == State::Succeeded) else {
        return Err(CliError::person(
            "nothing-to-accept",
            format!("no earlier version of job `{}` has succeeded", view.name()),
            "`sp apply` runs it",
        ));
    };
    let under_way = |known: &KnownJob| matches!(known.state, State::Running | State::Queued);
    if known.get(job.id).is_some_and(under_way) {
        return Err(CliError::person(
            "under-way",
            format!("job `{}` is under way itself", view.name()),
            "wait for its end, or cancel it first",
        ));
    }
    Ok((job.id, old.id, view.name()))
}

/// Has the acceptances written down where the old results lie. A host that cannot be asked is told of; returns the jobs whose
/// acceptance is on record.
async fn write_down(
    session: &mut Session<'_>,
    known: &Known,
    pairs: &[Pair],
) -> Result<BTreeSet<JobId>, CliError> {
    let mut by_host: BTreeMap<HostName, Vec<(JobId, JobId)>> = BTreeMap::new();
    for (new, old, _) in pairs {
        let host = known.get(*old).and_then(|old| old.host.clone());
        by_host.entry(host.ok_or(ApplyError::NoHost)?).or_default().push((*new, *old));
    }
    let mut written = BTreeSet::new();
    for (name, pairs) in by_host {
        let instance = session.workspace.instance();
        let told = match session.workspace.host(&name) {
            Ok(host) => host.accept(instance, &pairs).await.map_err(ApplyError::from),
            Err(error) => Err(error),
        };
        match told {
            Ok(()) => written.extend(pairs.iter().map(|(new, _)| *new)),
            Err(error) => {
                session.note_trouble(&name, &error);
                let results = count(pairs.len(), "result");
                session.context.say(&format!("warning: {results} on host `{name}` not accepted"));
            }
        }
    }
    session.ask_again().await?;
    Ok(written)
}

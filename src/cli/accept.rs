//! `sp accept`: an old result counts for the job that its cell is now.

use std::collections::BTreeMap;

use super::args;
use super::context::{Context, resolve};
use super::error::CliError;
use super::exit::Exit;
use crate::apply::ApplyError;
use crate::ids::{HostName, JobId};
use crate::plan::Known;
use crate::state::State;

pub(super) fn run(context: &Context, arguments: &args::Accept) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    let mut workspace = context.open(&loaded)?;
    let pairs = context.block_on(async {
        workspace.collect(None).await?;
        let known = Known::new(workspace.store().known()?);
        let mut pairs = Vec::new();
        for name in &arguments.jobs {
            let job = resolve(name, &loaded.expansion, &known)?;
            let Some(index) = job.index else {
                return Err(CliError::usage(
                    "obsolete",
                    format!("job `{name}` is an old version itself"),
                    "name the job that its cell is now; `sp plan` shows it",
                ));
            };
            let view = loaded.expansion.job(index);
            let old = known
                .predecessor(view.cell_key(), job.id)
                .filter(|old| old.state == State::Succeeded);
            let Some(old) = old else {
                return Err(CliError::person(
                    "nothing-to-accept",
                    format!("no earlier version of job `{}` has succeeded", view.name()),
                    "`sp apply` runs it",
                ));
            };
            if known
                .get(job.id)
                .is_some_and(|known| matches!(known.state, State::Running | State::Queued))
            {
                return Err(CliError::person(
                    "under-way",
                    format!("job `{}` is under way itself", view.name()),
                    "wait for its end, or cancel it first",
                ));
            }
            pairs.push((job.id, old.id, view.name()));
        }
        workspace.record_jobs()?;
        // Where the old result lies, the acceptance lies too.
        let mut by_host: BTreeMap<HostName, Vec<(JobId, JobId)>> = BTreeMap::new();
        for (new, old, _) in &pairs {
            let host = known.get(*old).and_then(|old| old.host.clone());
            let host = host.ok_or(ApplyError::NoHost)?;
            by_host.entry(host).or_default().push((*new, *old));
        }
        for (name, pairs) in &by_host {
            workspace.host(name)?.accept(&loaded.campaign.name, workspace.origin(), pairs).await?;
        }
        workspace.collect(None).await?;
        Ok(pairs)
    })??;
    for (_, old, name) in &pairs {
        let short: String = old.to_string().chars().take(8).collect();
        context.note(&format!("{name} counts as done by the result of {short}"));
    }
    Ok(Exit::Done)
}

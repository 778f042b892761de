//! Other instances of the campaign's name on its hosts: told of by `sp plan`, touched by nobody here.

use std::collections::BTreeMap;

use super::context::Context;
use super::plan::count;
use super::printable::printable;
use super::session::Session;
use crate::ids::HostName;
use crate::plan::Neighbour;

/// Other instances of the campaign's name that hosts have, each by one of its clients.
pub(super) fn of(session: &Session<'_>) -> Vec<Neighbour> {
    let mut found: BTreeMap<(HostName, String), Neighbour> = BTreeMap::new();
    for (host, answer) in session.collected().into_iter().flat_map(|collected| &collected.hosts) {
        for other in &answer.others {
            let instance = other.instance.to_string();
            found.entry((host.clone(), instance.clone())).or_insert_with(|| Neighbour {
                host: host.clone(),
                instance,
                jobs: other.jobs,
                machine: other.client.machine.clone(),
                file: other.client.file.clone(),
            });
        }
    }
    found.into_values().collect()
}

/// Says which there are, and that they are left alone.
pub(super) fn say(context: &Context, others: &[Neighbour]) {
    for other in others {
        let jobs = count(usize::try_from(other.jobs).unwrap_or(usize::MAX), "job");
        let Neighbour { host, instance, machine, file, .. } = other;
        context.note(&printable(&format!(
            "Beside it, host `{host}` has {jobs} of another campaign of this name, `{instance}`: it is of `{file}` \
             (machine {machine}) and is left alone"
        )));
    }
}

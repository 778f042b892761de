//! `sp adopt`: results of another copy of the campaign, taken over on request. Both codes are shown first.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::args::{self, Choice};
use super::code;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::plan::count;
use super::printable::printable;
use super::session::{Reach, Session};
use crate::apply::ApplyError;
use crate::host::OtherInstance;
use crate::ids::{Attempt, HostName, Instance, JobId};
use crate::lifecycle::{Ending, Fact, Final, HostFact, Unit};
use crate::plan::{Known, KnownJob};
use crate::state::State;

/// So many results are named, the others counted.
const TOLD: usize = 40;
/// So many digits of a digest or a commit are shown.
const SHORT: usize = 8;

/// A job whose result is wanted: it has none here.
type Wanted = BTreeMap<JobId, String>;

/// A result that another instance has.
struct Offer {
    host: HostName,
    job: JobId,
    name: String,
    attempt: Attempt,
    ending: Ending,
}

pub(super) fn run(context: &Context, arguments: &args::Adopt) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    context.session(loaded, Reach::SomeHost, |session| adopt(context, session, arguments))
}

fn adopt(
    context: &Context,
    session: &mut Session<'_>,
    arguments: &args::Adopt,
) -> Result<Exit, CliError> {
    let from = find(session, &arguments.from)?;
    let wanted = wanted(session, &session.known()?, &arguments.jobs)?;
    let offers = context.block_on(offers(session, &from, &wanted))??;
    let now = code::code_now(context, &mut session.workspace, &Choice::default())?;
    let ours = now.as_ref().map(crate::apply::CodeNow::digest);
    for name in wanted
        .iter()
        .filter(|_| !arguments.jobs.is_empty())
        .filter_map(|(job, name)| offers.iter().all(|offer| offer.job != *job).then_some(name))
    {
        let from = &from.instance;
        context.note(&printable(&format!("warning: `{from}` has no result of job `{name}`")));
    }
    let may = !offers.is_empty() && !arguments.dry_run && (arguments.yes || context.can_ask());
    if !context.json() {
        tell(context, &from, &offers, ours)?;
    } else if !may {
        document(context, &from, &offers, ours, false)?;
    }
    if !may {
        if !offers.is_empty() && !arguments.dry_run {
            context.note("Nothing was taken over: `-y` does it.");
        }
        return Ok(Exit::Done);
    }
    if !arguments.yes && !context.confirm("Take them over?")? {
        return Ok(Exit::Done);
    }
    let lock = session.lock_or_busy("nothing was taken over")?;
    session.workspace.record_jobs()?;
    let taken = context.block_on(take(session, &from.instance, &offers))??;
    drop(lock);
    context.block_on(session.ask_again())??;
    let (taken, left): (Vec<Offer>, Vec<Offer>) =
        offers.into_iter().partition(|offer| taken.contains(&(offer.host.clone(), offer.job)));
    if context.json() {
        document(context, &from, &taken, ours, true)?;
    }
    for offer in &left {
        context.say(&printable(&format!(
            "warning: the result of job `{}` was not taken over: on host `{}` it is under way here, or its files cannot be copied",
            offer.name, offer.host
        )));
    }
    context.note(&format!("Taken over: {}.", count(taken.len(), "result")));
    Ok(if left.is_empty() { Exit::Done } else { Exit::Person })
}

/// The instance that a person names, among those that hosts have told of.
fn find(session: &Session<'_>, text: &str) -> Result<OtherInstance, CliError> {
    let answers = session.collected().into_iter().flat_map(|collected| collected.hosts.values());
    let mut found: BTreeMap<&Instance, &OtherInstance> = BTreeMap::new();
    for other in answers.flat_map(|answer| &answer.others) {
        found.entry(&other.instance).or_insert(other);
    }
    let names = |instance: &&Instance| {
        instance.as_str() == text || instance.id().as_str().starts_with(text)
    };
    let mut chosen: Vec<&Instance> = found.keys().copied().filter(names).collect();
    chosen.sort_by_key(|instance| instance.as_str() != text && instance.id().as_str() != text);
    let exact = |instance: &Instance| instance.as_str() == text || instance.id().as_str() == text;
    match chosen.as_slice() {
        [one, rest @ ..] if rest.is_empty() || exact(one) => Ok((*found[one]).clone()),
        [] => Err(CliError::person(
            "no-such-instance",
            format!("no host that answers has another instance `{text}` of this campaign"),
            if found.is_empty() {
                "`sp plan` names those that there are; now there is none".to_owned()
            } else {
                let known: Vec<&str> = found.keys().map(|instance| instance.as_str()).collect();
                format!("there is `{}`", known.join("`, `"))
            },
        )),
        many => {
            let many: Vec<&str> = many.iter().map(|instance| instance.as_str()).collect();
            Err(CliError::usage(
                "ambiguous",
                format!("several instances begin with `{text}`: `{}`", many.join("`, `")),
                "write more of the one that is meant",
            ))
        }
    }
}

/// The jobs to take results over for: those named, or all of the file that have none and are not under way.
fn wanted(session: &Session<'_>, known: &Known, names: &[String]) -> Result<Wanted, CliError> {
    let expansion = &session.loaded.expansion;
    let state = |id: JobId| known.get(id).map_or(State::Pending, |job: &KnownJob| job.state);
    if names.is_empty() {
        let jobs = expansion.jobs().filter(|job| {
            !matches!(state(job.id()), State::Succeeded | State::Queued | State::Running)
        });
        return Ok(jobs.map(|job| (job.id(), job.name())).collect());
    }
    let mut wanted = Wanted::new();
    for name in names {
        let job = session.resolve(name, known)?;
        let refused = match (job.index, state(job.id)) {
            (None, _) => Some("left the matrix"),
            (_, State::Succeeded) => Some("has a result here"),
            (_, State::Queued | State::Running) => Some("is under way here"),
            _ => None,
        };
        if let Some(why) = refused {
            return Err(CliError::person(
                "nothing-to-adopt",
                format!("job `{name}` {why}"),
                "`sp plan --show jobs` shows which jobs have no result yet",
            ));
        }
        wanted.extend(job.index.map(|index| (job.id, expansion.job(index).name())));
    }
    Ok(wanted)
}

/// What the hosts have for the jobs: of each job the newest attempt that has succeeded, of the first host that has one.
async fn offers(
    session: &mut Session<'_>,
    from: &OtherInstance,
    wanted: &Wanted,
) -> Result<Vec<Offer>, CliError> {
    let mut found: BTreeMap<JobId, Offer> = BTreeMap::new();
    let collected = session.collected().into_iter().flat_map(|collected| &collected.hosts);
    let has = collected
        .filter(|(_, answer)| answer.others.iter().any(|other| other.instance == from.instance));
    let hosts: Vec<HostName> = has.map(|(name, _)| name.clone()).collect();
    for host in hosts {
        let told = match session.workspace.host(&host) {
            Ok(at) => at.ends(&from.instance).await.map_err(ApplyError::from),
            Err(error) => Err(error),
        };
        let (facts, refused) = match told {
            Ok(told) => told,
            Err(error) => {
                session.note_trouble(&host, &error);
                continue;
            }
        };
        session.say_refused(&host, &refused);
        for fact in facts {
            let HostFact::Attempt {
                unit: Unit::Job(job), attempt, fact: Fact::Ended(ending), ..
            } = fact
            else {
                continue;
            };
            let Some(name) = wanted.get(&job).filter(|_| ending.state == Final::Succeeded) else {
                continue;
            };
            let newer = found.get(&job).is_none_or(|old| old.host == host && old.attempt < attempt);
            if newer {
                let (host, name, ending) = (host.clone(), name.clone(), *ending);
                found.insert(job, Offer { host, job, name, attempt, ending });
            }
        }
    }
    let order = session.loaded.expansion.ids().iter();
    Ok(order.filter_map(|id| found.remove(id)).collect())
}

/// Has the hosts copy what they offer; returns the jobs that each of them copied.
async fn take(
    session: &mut Session<'_>,
    from: &Instance,
    offers: &[Offer],
) -> Result<BTreeSet<(HostName, JobId)>, CliError> {
    let mut by_host: BTreeMap<&HostName, Vec<(JobId, Attempt)>> = BTreeMap::new();
    for offer in offers {
        by_host.entry(&offer.host).or_default().push((offer.job, offer.attempt));
    }
    let mut taken = BTreeSet::new();
    for (name, attempts) in by_host {
        let instance = session.workspace.instance();
        let told = match session.workspace.host(name) {
            Ok(host) => host.adopt(instance, from, &attempts).await.map_err(ApplyError::from),
            Err(error) => Err(error),
        };
        match told {
            Ok(adopted) => taken.extend(adopted.into_iter().map(|(job, _)| (name.clone(), job))),
            Err(error) => session.note_trouble(name, &error),
        }
    }
    Ok(taken)
}

fn short(text: &str) -> String {
    text.chars().take(SHORT).collect()
}

fn hex(digest: [u8; 32]) -> String {
    blake3::Hash::from_bytes(digest).to_hex().to_string()
}

/// What a result ran with, beside what the code is here.
fn code_told(ending: &Ending, ours: Option<[u8; 32]>) -> String {
    let tree = &ending.tree;
    let code = tree.code.map_or_else(|| "unknown".to_owned(), |code| short(&hex(code)));
    let commit = tree.git_rev.as_ref().map_or_else(String::new, |commit| {
        let dirty = if tree.dirty == Some(true) { " and changes" } else { "" };
        format!(" (commit {}{dirty})", short(commit))
    });
    let beside = match (tree.code, ours) {
        (Some(theirs), Some(ours)) if theirs == ours => ", the same as here",
        (Some(_), Some(_)) => ", other than here",
        _ => "",
    };
    format!("code {code}{commit}{beside}")
}

fn tell(
    context: &Context,
    from: &OtherInstance,
    offers: &[Offer],
    ours: Option<[u8; 32]>,
) -> Result<(), CliError> {
    let mut out = context.out();
    let (instance, client) = (&from.instance, &from.client);
    writeln!(
        out,
        "{}",
        printable(&format!("From `{instance}` of `{}` (machine {}):", client.file, client.machine))
    )?;
    let told = if context.verbose() { usize::MAX } else { TOLD };
    for offer in offers.iter().take(told) {
        let Offer { host, name, attempt, ending, .. } = offer;
        let line = format!("  {name}  attempt {attempt} on {host}, {}", code_told(ending, ours));
        writeln!(out, "{}", printable(&line))?;
    }
    if offers.len() > told {
        writeln!(out, "  … and {}; `-v` names all", count(offers.len() - told, "more result"))?;
    }
    if offers.is_empty() {
        writeln!(out, "  nothing that has no result here")?;
    }
    let ours = ours.map_or_else(|| "not known".to_owned(), |code| short(&hex(code)));
    writeln!(out, "The code here: {ours}")?;
    out.flush()?;
    Ok(())
}

fn document(
    context: &Context,
    from: &OtherInstance,
    offers: &[Offer],
    ours: Option<[u8; 32]>,
    adopted: bool,
) -> Result<(), CliError> {
    let results = offers.iter().map(|offer| {
        let tree = &offer.ending.tree;
        json!({
            "id": offer.job, "name": offer.name, "host": offer.host, "attempt": offer.attempt,
            "code": tree.code.map(hex), "git_rev": tree.git_rev, "dirty": tree.dirty,
        })
    });
    let document = json!({
        "schema": 1, "adopted": adopted, "from": from.instance.as_str(), "file": from.client.file,
        "machine": from.client.machine, "code": ours.map(hex), "results": results.collect::<Vec<_>>(),
    });
    let mut out = context.out();
    writeln!(out, "{document}")?;
    out.flush()?;
    Ok(())
}

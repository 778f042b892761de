//! `sp gc`: what nothing needs any more, on the hosts and here: listed first, then removed with a yes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use jiff::Timestamp;
use serde_json::json;

use super::args;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::plan::count;
use super::printable::printable;
use super::session::{Reach, Session};
use crate::apply::{Keep, Useless, Workspace};
use crate::host::{Host, Waste};
use crate::ids::{HostName, JobId};
use crate::store::Snapshot;

/// What a kind is, for people; see `sp help gc`.
const KINDS: &[(&str, &str, &str)] = &[
    ("attempts", "attempt", "of obsolete jobs, or before a job's newest: outputs and logs"),
    ("states", "state folder", "of obsolete jobs, which their attempts shared"),
    ("tries", "folder", "prepared for attempts that never began"),
    ("snapshots", "snapshot", "that no job uses"),
    ("unpublished", "snapshot", "never sent to its end"),
    ("hand-overs", "hand-over", "cut short or damaged"),
    ("marks", "mark", "of hand-overs that were withdrawn"),
    ("secrets", "secret file", "of attempts that are over"),
    ("locks", "lock file", "of processes that are gone"),
    ("scripts", "host script", "of other versions of sp"),
    ("index", "index", "that was damaged"),
    ("left", "path", "that cannot be removed"),
    ("lists", "list", "of code that no job of the matrix ran with"),
    ("checkpoints", "checkpoint", "that was damaged, before the last one"),
    ("logs", "log", "of obsolete jobs"),
];

/// So many jobs of a kind are named, the others counted.
const TOLD: usize = 40;

/// Hosts, and what each holds.
type Found = Vec<(HostName, Vec<Waste>)>;

/// Files here of one kind.
struct Here {
    kind: &'static str,
    files: Vec<PathBuf>,
    bytes: u64,
}

pub(super) fn run(context: &Context, arguments: &args::Gc) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    let chosen = context.hosts(&arguments.hosts, &loaded.expansion)?;
    context.session(loaded, Reach::SomeHost, |session| {
        clean(context, session, arguments, chosen.as_ref())
    })
}

/// Lists what nothing needs, then removes it with a yes.
fn clean(
    context: &Context,
    session: &Session<'_>,
    arguments: &args::Gc,
    chosen: Option<&BTreeSet<HostName>>,
) -> Result<Exit, CliError> {
    let workspace = &session.workspace;
    let snapshot = workspace.store().snapshot()?;
    let keep = Keep {
        ended_after: context
            .clock()
            .now()
            .checked_sub(arguments.older_than)
            .unwrap_or(Timestamp::MIN),
        others: !arguments.others,
    };
    let (mut exit, useless, found) = context.block_on(async {
        let mut useless: Vec<(HostName, Useless)> = Vec::new();
        for name in workspace.hosts().iter().map(Host::name) {
            let answers = session.trouble_of(name).is_none();
            if answers && chosen.is_none_or(|chosen| chosen.contains(name)) {
                useless.push((name.clone(), workspace.useless_on(&snapshot, name, keep)?));
            }
        }
        let (found, ended) = ask(context, workspace, &useless, false).await?;
        useless.retain(|(name, _)| found.iter().any(|(other, _)| other == name));
        Ok::<_, CliError>((ended, useless, found))
    })??;
    let here = here(workspace, arguments, &useless)?;
    let names = names_of(&snapshot);
    let others: usize = useless.iter().map(|(_, useless)| useless.others).sum();
    if others > 0 {
        let theirs = count(others, "attempt");
        context.note(&format!(
            "{theirs} that another clone or work tree handed over stay: `--others` removes their outputs, too"
        ));
    }
    let total = found.iter().map(|(_, waste)| waste.len()).sum::<usize>() + here.len();
    let may = total > 0 && !arguments.dry_run && (arguments.yes || context.can_ask());
    // With JSON there is one document, which tells what was done.
    if !context.json() || !may {
        tell(context, &found, &here, &names, false)?;
    }
    if !may {
        if total > 0 && !arguments.dry_run {
            context.note("Nothing was removed: `-y` does it.");
        }
        return Ok(exit);
    }
    if !arguments.yes && !context.confirm("Remove all of it?")? {
        return Ok(exit);
    }
    let _lock = session.lock_or_busy("nothing was removed")?;
    let (removed, ended) = context.block_on(ask(context, workspace, &useless, true))??;
    exit = exit.and(ended);
    let here: Vec<_> = here
        .into_iter()
        .filter(|here| here.kind != "logs" || removed.len() == found.len())
        .collect();
    // One that stays keeps neither the others nor the account of what was removed.
    let files = here.iter().flat_map(|here| &here.files);
    let stays: Vec<CliError> = files.filter_map(|file| remove(file).err()).collect();
    if context.json() {
        tell(context, &removed, &here, &names, true)?;
    } else {
        context.note("Removed.");
    }
    for (name, waste) in &removed {
        if let Some(left) = waste.iter().find(|one| one.kind == "left") {
            exit = exit.and(Exit::Person);
            let left = count(usize::try_from(left.count).unwrap_or(usize::MAX), "path");
            context.say(&format!(
                "{left} on host `{name}` cannot be removed; do they belong to somebody else?"
            ));
        }
    }
    stays.into_iter().next().map_or(Ok(exit), Err)
}

/// Removes a file here, unless somebody else was faster.
fn remove(path: &Path) -> Result<(), CliError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let text = format!("cannot remove `{}`: {error}", path.display());
            Err(CliError::person("remove", text, ""))
        }
        _ => Ok(()),
    }
}

/// Asks hosts for what nothing needs, or has it removed; a host that does not answer is told of.
async fn ask(
    context: &Context,
    workspace: &Workspace,
    useless: &[(HostName, Useless)],
    remove: bool,
) -> Result<(Found, Exit), CliError> {
    let mut exit = Exit::Done;
    let mut found = Vec::new();
    for (name, answer) in workspace.gc(useless, remove).await? {
        match answer {
            Ok(waste) => found.push((name, waste)),
            Err(error) => exit = exit.and(context.say_trouble(&name, &error)),
        }
    }
    Ok((found, exit))
}

/// Files here, by kind; none where hosts were named.
fn here(
    workspace: &Workspace,
    arguments: &args::Gc,
    useless: &[(HostName, Useless)],
) -> Result<Vec<Here>, CliError> {
    let mut here = if arguments.hosts.is_empty() { workspace.useless_here()? } else { Vec::new() };
    if arguments.logs {
        let mut logs = Vec::new();
        for (_, useless) in useless {
            logs.extend(workspace.obsolete_logs(useless));
        }
        here.push(("logs", logs));
    }
    let size = |files: &[PathBuf]| -> u64 {
        files.iter().filter_map(|path| Some(path.metadata().ok()?.len())).sum()
    };
    let here = here.into_iter().filter(|(_, files)| !files.is_empty());
    Ok(here.map(|(kind, files)| Here { kind, bytes: size(&files), files }).collect())
}

/// Names of jobs, as people know them.
fn names_of(snapshot: &Snapshot) -> BTreeMap<JobId, String> {
    snapshot
        .jobs
        .iter()
        .map(|job| (job.id, crate::report::visible(&job.name).into_owned()))
        .collect()
}

/// What a host holds of one kind: in all, and by job where it is what jobs have left.
struct Row<'a> {
    kind: &'a str,
    count: u64,
    bytes: u64,
    jobs: Vec<(JobId, &'a Waste)>,
}

/// A host's answer by kind, in its order.
fn rows(waste: &[Waste]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for one in waste {
        if rows.last().is_none_or(|row| row.kind != one.kind) {
            rows.push(Row { kind: &one.kind, count: 0, bytes: 0, jobs: Vec::new() });
        }
        if let Some(row) = rows.last_mut() {
            row.count = row.count.saturating_add(one.count);
            row.bytes = row.bytes.saturating_add(bytes(one));
            row.jobs.extend(one.job.map(|job| (job, one)));
        }
    }
    rows
}

fn bytes(waste: &Waste) -> u64 {
    waste.kib.saturating_mul(1024)
}

/// Sizes and counts by kind: of each host, job by job, and here.
fn tell(
    context: &Context,
    found: &Found,
    here: &[Here],
    names: &BTreeMap<JobId, String>,
    removed: bool,
) -> Result<(), CliError> {
    let mut out = context.out();
    let name = |job: &JobId| match names.get(job) {
        Some(name) if !name.is_empty() => name.clone(),
        _ => job.to_string(),
    };
    if context.json() {
        let row = |row: &Row<'_>| {
            let mut object = json!({ "kind": row.kind, "count": row.count, "bytes": row.bytes });
            if !row.jobs.is_empty() {
                let jobs = row.jobs.iter().map(|(job, one)| {
                    json!({ "id": job, "name": name(job), "count": one.count, "bytes": bytes(one) })
                });
                object["jobs"] = jobs.collect();
            }
            object
        };
        let hosts = found.iter().map(|(host, waste)| {
            json!({ "name": host, "kinds": rows(waste).iter().map(row).collect::<Vec<_>>() })
        });
        let here = here.iter().map(
            |here| json!({ "kind": here.kind, "count": here.files.len(), "bytes": here.bytes }),
        );
        let document = json!({
            "schema": 1, "removed": removed, "hosts": hosts.collect::<Vec<_>>(), "here": here.collect::<Vec<_>>(),
        });
        writeln!(out, "{document}")?;
        out.flush()?;
        return Ok(());
    }
    let line = |place: &str, kind: &str, number: u64, bytes: u64| {
        let words = KINDS.iter().find(|(name, ..)| *name == kind);
        let (noun, what) = words.map_or((kind, ""), |(_, noun, what)| (*noun, *what));
        let number = count(usize::try_from(number).unwrap_or(usize::MAX), noun);
        let text = format!("{place:<12} {:>10}  {number} {what}", HumanBytes(bytes).to_string());
        printable(text.trim_end())
    };
    let told = if context.verbose() { usize::MAX } else { TOLD };
    for (host, waste) in found {
        for row in rows(waste) {
            writeln!(out, "{}", line(host.as_str(), row.kind, row.count, row.bytes))?;
            for (job, one) in row.jobs.iter().take(told) {
                let text = format!(
                    "{:12} {:>10}    {}",
                    "",
                    HumanBytes(bytes(one)).to_string(),
                    name(job)
                );
                writeln!(out, "{}", printable(&text))?;
            }
            if row.jobs.len() > told {
                let more = count(row.jobs.len() - told, "job");
                writeln!(out, "{:12} {:>10}    … and {more} more; `-v` names all", "", "")?;
            }
        }
    }
    for Here { kind, files, bytes } in here {
        writeln!(out, "{}", line("here", kind, files.len() as u64, *bytes))?;
    }
    if found.iter().all(|(_, waste)| waste.is_empty()) && here.is_empty() {
        context.note("Nothing to remove.");
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_somebody_else_removed_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        remove(&folder.path().join("gone")).expect("nothing is left to do");
        let error = remove(folder.path()).expect_err("a folder is no file");
        assert_eq!(error.json()["code"], "remove");
    }
}

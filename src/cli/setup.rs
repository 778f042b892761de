//! What is said of the campaign's setup: why it failed, which one a job needs, where its log is.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::context::Context;
use super::exit::Exit;
use super::printable::printable;
use crate::apply::{SetupFailure, Workspace};
use crate::ids::{Attempt, HostName, JobId};
use crate::plain_file;
use crate::report::{span, visible};
use crate::state::State;
use crate::store::{SetupRow, Snapshot};

/// So many last lines of a failed setup's log are shown, from so many last bytes.
const LINES: usize = 10;
const BYTES: u64 = 8 * 1024;

/// The text of a setup on one line: its first one, and whether there are more.
pub(super) fn on_one_line(text: &str) -> String {
    let text = text.trim();
    let first = visible(text.lines().next().unwrap_or_default());
    if text.contains('\n') { format!("{first} …") } else { first.into_owned() }
}

/// Says why a setup failed, with the last lines of its log and the next step.
pub(super) fn say_failure(
    context: &Context,
    workspace: &Workspace,
    host: &HostName,
    failure: &SetupFailure,
) -> Exit {
    let why =
        if failure.detail.is_empty() { failure.state.to_string() } else { failure.detail.clone() };
    context.say(&printable(&format!(
        "error: the setup failed on host `{host}`: {why}; jobs that need it stay pending"
    )));
    let log = log(workspace, host, failure.id, failure.attempt);
    match last_lines(&log) {
        Ok(lines) => {
            for line in lines {
                context.say(&format!("       | {}", visible(&line)));
            }
            context.say(&format!("       its log: {}", shown(&log)));
        }
        Err(error) => {
            context.say(&format!("       its log `{}` cannot be read: {error}", shown(&log)));
        }
    }
    context.say("       put right what it says; the next `sp apply` runs it again");
    Exit::Person
}

/// The setup that the newest attempt of a job names in its records; before its first one the newest one of its home.
pub(super) fn of_job<'s>(
    snapshot: &'s Snapshot,
    evidence: &[(HostName, Vec<String>)],
    home: Option<&HostName>,
) -> Option<&'s SetupRow> {
    let mut named = None;
    for (host, records) in evidence {
        for line in records.iter().filter(|line| line.starts_with("record claim ")) {
            let id = line.split(' ').find_map(|word| word.strip_prefix("setup="));
            named = id.map(|id| (host, id)).or(named);
        }
    }
    let newest = snapshot.setups.iter().rev();
    match named {
        Some((host, id)) => {
            newest.filter(|setup| setup.row.host == *host).find(|setup| setup.id.to_string() == id)
        }
        None => newest.into_iter().find(|setup| Some(&setup.row.host) == home),
    }
}

/// A host's newest setup that has not ended well: why a job that waits has not run.
pub(super) fn not_well(snapshot: &Snapshot) -> Option<&SetupRow> {
    let mut newest: BTreeMap<&HostName, &SetupRow> = BTreeMap::new();
    newest.extend(snapshot.setups.iter().map(|setup| (&setup.row.host, setup)));
    newest.into_values().find(|setup| setup.row.state.shown() != State::Succeeded)
}

/// One sentence on a setup: how it stands and where its log is.
pub(super) fn sentence(workspace: &Workspace, SetupRow { id, row }: &SetupRow) -> String {
    let time = row.elapsed_s.map_or_else(String::new, |time| format!(" after {}", span(time)));
    let detail = match row.detail.as_str() {
        "" => String::new(),
        detail => format!(" ({})", visible(detail)),
    };
    let log = log(workspace, &row.host, *id, row.attempt);
    let (host, n, state) = (&row.host, row.attempt, row.state.shown());
    format!("setup on host `{host}`, attempt {n}: {state}{time}{detail}; its log: {}", shown(&log))
}

/// The same for programs.
pub(super) fn document(workspace: &Workspace, SetupRow { id, row }: &SetupRow) -> Value {
    json!({
        "id": id, "host": row.host, "attempt": row.attempt, "state": row.state.shown(), "reason": row.reason,
        "detail": row.detail, "exit_code": row.exit_code, "elapsed_s": row.elapsed_s,
        "log": log(workspace, &row.host, *id, row.attempt),
    })
}

/// Its log: kept beside the checkpoint when it has ended, else on the host.
fn log(workspace: &Workspace, host: &HostName, id: JobId, attempt: Attempt) -> PathBuf {
    let kept = workspace.kept_log(id, attempt);
    let root = workspace.host(host).ok().and_then(|host| host.root_here());
    match root {
        Some(root) if !kept.exists() => {
            let jobs = root.join("v2").join(workspace.instance().as_str()).join("jobs");
            jobs.join(id.to_string()).join(attempt.to_string()).join("log")
        }
        _ => kept,
    }
}

fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    visible(&path.strip_prefix(&here).unwrap_or(path).display().to_string()).into_owned()
}

fn last_lines(path: &Path) -> std::io::Result<Vec<String>> {
    let (mut file, _) = plain_file::open(path)?;
    let size = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(size.saturating_sub(BYTES)))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect())
}

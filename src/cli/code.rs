//! What `plan` and `apply` say of the code: whether it can be read, and which finished jobs ran with other code.

use std::path::Path;

use indicatif::HumanBytes;

use super::args::Choice;
use super::context::Context;
use super::error::CliError;
use super::plan::count;
use super::printable::printable;
use crate::apply::{CodeNow, MoreChanged, Workspace};
use crate::campaign::CodeChange;
use crate::host::sync::{Change, OtherCode, Question};
use crate::ids::HostName;
use crate::plan::{Options, Plan};

/// So many changed paths are named.
const NAMED: usize = 4;

/// What `--code-change` or the file says.
pub(super) fn policy(workspace: &Workspace, choice: &Choice) -> CodeChange {
    choice.code_change.map_or(workspace.campaign().code_change, Into::into)
}

/// The code as it is now, unless nobody wants to know or it cannot be told; what keeps it from being told is said.
pub(super) fn code_now(
    context: &Context,
    workspace: &mut Workspace,
    choice: &Choice,
) -> Result<Option<CodeNow>, CliError> {
    let snapshots = workspace.has_snapshots();
    if policy(workspace, choice) == CodeChange::Ignore && !snapshots {
        return Ok(None);
    }
    let warn = |text: &str| context.note(&printable(&format!("warning: {text}")));
    match workspace.code_now() {
        Ok(Ok(now)) => {
            now.warnings(snapshots).iter().for_each(|text| warn(text));
            Ok(Some(now))
        }
        Ok(Err(question)) => {
            warn(&format!(
                "the code is not compared: {}, more than `sync.max-size`, were never read",
                amount(&question)
            ));
            Ok(None)
        }
        // Where nothing is sent, jobs run whether or not the list can be made.
        Err(error) if !snapshots => {
            warn(&format!("the code is not compared: {error}"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the code that jobs ran with and that is another one now, and puts it into the plan's options where that makes
/// finished jobs run again.
pub(super) fn consider(
    workspace: &Workspace,
    options: &mut Options,
    policy: CodeChange,
    now: Option<&CodeNow>,
) -> Result<OtherCode, CliError> {
    let (false, Some(now)) = (policy == CodeChange::Ignore, now) else {
        return Ok(OtherCode::new());
    };
    let other = workspace.other_code(now)?;
    if policy == CodeChange::Rerun {
        options.other_code = other.keys().copied().collect();
    }
    Ok(other)
}

/// Says in one line that finished jobs ran with other code; `file` stands behind a command of the hint.
pub(super) fn say_changed(
    context: &Context,
    workspace: &Workspace,
    policy: CodeChange,
    (now, other): (Option<&CodeNow>, &OtherCode),
    plan: &Plan,
    file: &str,
) -> Result<(), CliError> {
    let (CodeChange::Warn, Some(now)) = (policy, now) else { return Ok(()) };
    if let Some(changed) = workspace.changed_code(now, other, plan)? {
        context.note(&printable(&changed_line(&changed, file)));
    }
    Ok(())
}

fn changed_line(changed: &MoreChanged, file: &str) -> String {
    let (jobs, folder) = (count(changed.jobs, "finished job"), changed.folder.display());
    let them = if changed.jobs == 1 { "it" } else { "them" };
    let rerun = format!("`sp apply{file} --code-change rerun` runs {them} again");
    if changed.files.is_empty() {
        return format!(
            "warning: {jobs} ran with other code than `{folder}` has now, and what that was is not on record here; {rerun}, \
             `--code-change ignore` takes the results as they are"
        );
    }
    let named = changed.files.iter().take(NAMED);
    let mut words: Vec<String> = named
        .clone()
        .map(|(path, change)| match change {
            Change::Changed => format!("{} (changed)", shown(path)),
            Change::Gone => format!("{} (gone)", shown(path)),
        })
        .collect();
    let mut patterns: Vec<String> = named.map(|(path, _)| pattern(path)).collect();
    if changed.files.len() > NAMED {
        words.push(format!("and {} more", changed.files.len() - NAMED));
        patterns.push("…".to_owned());
    }
    let (words, patterns) = (words.join(", "), patterns.join(", "));
    format!(
        "warning: {jobs} ran with other code than `{folder}` has now: {words}; {rerun}, and `[sync] not-code = [{patterns}]` \
         says that jobs do not depend on it"
    )
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_debug().to_string()
}

/// A path as a pattern of `[sync]` that matches nothing else, in quotes.
fn pattern(path: &[u8]) -> String {
    let mut pattern = String::from("/");
    for c in String::from_utf8_lossy(path).chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') || (c == ' ' && path.ends_with(b" ")) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    toml::Value::from(pattern).to_string()
}

/// `3.1 GiB in 12 files (data/x.bin has 3 GiB)`.
pub(super) fn amount(question: &Question) -> String {
    let files = count(question.files, "file");
    let (path, size) = &question.largest;
    format!("{} in {files} ({path} has {})", HumanBytes(question.bytes), HumanBytes(*size))
}

/// Asks whether so much may be sent. Without a person it may not.
pub(super) fn may_send(
    context: &Context,
    question: &Question,
    host: &HostName,
) -> Result<bool, CliError> {
    let amount = printable(&amount(question));
    if context.can_ask() {
        return context.confirm(&format!("Send {amount} to {host}?"));
    }
    context.say(&format!(
        "{amount} would be sent to {host}, more than `sync.max-size` ({}); nobody is here to say yes, so nothing is \
         sent (`-y` says yes; `[sync] exclude` leaves files out)",
        HumanBytes(question.max_size)
    ));
    Ok(false)
}

/// Digest of the code for a saved plan, which is itself no part of it.
pub(super) fn saved_digest(now: Option<&CodeNow>, plan_file: &Path) -> Option<String> {
    now.map(|now| now.digest_without(plan_file))
}

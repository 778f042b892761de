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
use crate::report::visible;

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

/// Returns a pattern of `[sync]` that matches a path, in quotes. What no pattern may hold, or nobody can read and type, is a
/// `?` for each of its bytes; without such a part the pattern matches nothing else.
fn pattern(path: &[u8]) -> String {
    let mut pattern = String::from("/");
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '*' | '?' | '[' | ']' | '\\' => pattern.extend(['\\', c]),
                '{' | '}' => pattern.extend(['[', c, ']']),
                c if visible(c.encode_utf8(&mut [0; 4])) != c.to_string() => {
                    any(&mut pattern, c.len_utf8());
                }
                c => pattern.push(c),
            }
        }
        any(&mut pattern, chunk.invalid().len());
    }
    // Blanks at the end of a pattern do not count.
    if let Some(blank) = pattern.chars().next_back().filter(|c| c.is_whitespace()) {
        pattern.pop();
        any(&mut pattern, blank.len_utf8());
    }
    toml::Value::from(pattern).to_string()
}

/// Adds a wildcard for each of so many bytes: the matcher knows no characters.
fn any(pattern: &mut String, bytes: usize) {
    pattern.extend(std::iter::repeat_n('?', bytes));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::campaign::Campaign;
    use crate::host::sync::{Own, Rules};

    /// The rules of a campaign that has taken the suggestion for a path as it is printed.
    fn with_suggestion(path: &[u8]) -> Rules {
        let text = format!(
            "name = 'c'\ncommand = 'true'\n[sync]\nnot-code = [{}]\n",
            printable(&pattern(path))
        );
        let read = Campaign::parse("campaign.toml", &text);
        let (campaign, _) = read.unwrap_or_else(|error| panic!("{text}: {:?}", error.findings));
        let root = Path::new("/r");
        Rules::new(&campaign.sync, root, &root.join("campaign.toml"), Own::default())
            .expect("rules")
    }

    fn check(path: &[u8]) {
        assert!(!with_suggestion(path).is_code(path), "{}", path.escape_ascii());
    }

    #[test]
    fn a_suggested_pattern_is_taken_and_matches_the_file() {
        for path in [
            &b"lib/x.py"[..],
            b"a b",
            b"a ",
            b" a",
            b" ",
            b"d/ ",
            b"a\t",
            b"a\\ ",
            b"a\\",
            b"a\nb",
            b"\x1b[2J",
            b"#a",
            b"!a",
            b"{a,b}",
            b"}{",
            b"[{]",
            b"[a",
            b"a]",
            b"*",
            b"**",
            b"**/a",
            b"a?",
            b"it's",
            b"say \"x\"",
            b"\x27\x27\x27",
            b"a\xff",
            b"\xff",
            b"\xc3\xbc",
            "a\u{a0}".as_bytes(),
            "a\u{3000}\u{3000}".as_bytes(),
            "\u{85}\u{202e}b".as_bytes(),
        ] {
            check(path);
        }
    }

    #[test]
    fn a_suggested_pattern_matches_no_other_file() {
        let rules = with_suggestion(b"d/{x}[1]*.py");
        for path in ["d/x[1]*.py", "d/{x}1*.py", "d/{x}[1]a.py", "e/d/{x}[1]*.py", "{x}[1]*.py"] {
            assert!(rules.is_code(path.as_bytes()), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_name_has_a_suggestion_that_is_taken(
            names in prop::collection::vec(prop::collection::vec(1u8.., 1..6), 1..3),
        ) {
            let names = names.iter().filter(|name| !name.contains(&b'/') && !matches!(name.as_slice(), b"." | b".."));
            let path = names.map(Vec::as_slice).collect::<Vec<_>>().join(&b'/');
            prop_assume!(!path.is_empty());
            check(&path);
        }
    }
}

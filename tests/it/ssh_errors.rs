//! What can be wrong with a host over ssh: each is told in words with the next step, and ends with the right code.

#![expect(clippy::disallowed_methods, reason = "tests start processes and write files as users do")]

mod hosts;
mod logins;
mod places;
mod standing;

use std::fs;

use serde_json::Value;

use crate::support::{Run, Sandbox};

/// A sandbox with one host `box`: its `ssh`, more keys of its table, and the campaign's command.
fn one(ssh: &str, table: &str, command: &str) -> Sandbox {
    let mut sandbox = Sandbox::with(&format!(
        "name = 'far'\ncommand = '''{command}'''\n[hosts.box]\nssh = '{ssh}'\n{table}\n"
    ));
    sandbox.hosts(&["box"]);
    sandbox
}

/// Runs `sp apply`, which must end with this exit code and an error of this code; the error for people.
#[track_caller]
fn refused(sandbox: &Sandbox, exit: i32, code: &str) -> Run {
    let json = sandbox.expect(exit, &["apply", "--json"]);
    let last = json.stderr.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{json:?}"));
    assert_eq!(error["code"], code, "{json:?}");
    let run = sandbox.expect(exit, &["apply"]);
    assert!(run.stderr.contains("  help: "), "{}", run.stderr);
    run
}

#[track_caller]
fn says(run: &Run, words: &[&str]) {
    for word in words {
        assert!(run.stderr.contains(word), "`{word}` is not in\n{}", run.stderr);
    }
}

fn read(path: &std::path::Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

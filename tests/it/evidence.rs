//! The table of evidence: what a host's records, locks and processes say of an attempt, read in this order, first match
//! wins. Each test is named after its row, and checks three things: the state and its reason, that `sp explain` names the
//! rule and what it rests on, and what the next `sp apply` does.
//!
//! | row | evidence on the host | verdict |
//! |---|---|---|
//! | 1 | no entry in the queue, no claim | `pending` |
//! | 2 | an entry, no claim | `queued`; `cancelled` where that was asked for |
//! | 3 | an `end` record | what it says; no lock is looked at |
//! | - | claimed on another machine | `running`, and whose it is |
//! | 4 | its runner lives, no `start` record | `running` (starting) |
//! | 5 | its runner lives, a `start` record | `running` |
//! | 6 | its runner is gone, `alive` is held, or a process of the attempt lives | `running`, an orphan |
//! | 7 | nobody left, an `exit` record | judged as ever, by whoever looked |
//! | 8 | nobody left, no `exit`, a `stop` record or the mark of a cancel | `cancelled` or `timeout` by it, exit code unknown |
//! | 9 | nobody left, another boot | `lost`, `reboot` |
//! | 10 | the same boot, another life of the first process | `lost`, `restart` |
//! | - | the same life, no `start` record | `lost`, `before-start` |
//! | 11 | the same life | `lost`, `killed` |
//! | - | its runner lives, a `start` record, the stub was killed | `lost`, `stub-killed` |
//! | - | somebody else holds the lock that a seal needs | asked again |
//! | - | no answer, or none that is whole | what it was before; never `lost` |
//! | - | another root than the attempt was made in | `lost`, `root-gone` |
//! | - | the same root, which had it and has no record of it, nor of its leaving the queue | `lost`, `root-gone` |
//!
//! Another machine and another root are in `adoption`, the last row in `records_gone`. The rows of the host script alone, under every shell, are in
//! `host_script::crash`.

#![expect(clippy::disallowed_methods, reason = "tests bring about what a crash leaves")]

mod closed;
mod open;
mod silence;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Child;

use rustix::process::Signal;

use crate::support::{Sandbox, field, kill, wait_until};

/// Each job waits for the file `go`.
const HELD: &str = r#"
name = "rows"
command = "echo {{ n }} >> {{ work_dir }}/ran; until [ -e {{ work_dir }}/go ]; do sleep 0.02; done"
[matrix]
n = [1]
"#;

fn pair(state: &str, reason: &str) -> (String, String) {
    (state.to_owned(), reason.to_owned())
}

/// Hands over, and waits until the first job runs, with its start on record.
fn begun(sandbox: &Sandbox) {
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first job runs", || sandbox.lines("ran") == ["1"]);
}

/// The folder of the first job's first attempt.
fn attempt(sandbox: &Sandbox) -> PathBuf {
    let states = sandbox.attempts("rows", "state");
    assert_eq!(states.len(), 1, "{states:?}");
    states[0].parent().expect("a folder").to_path_buf()
}

/// The records of the only attempt.
fn records(sandbox: &Sandbox) -> String {
    fs::read_to_string(attempt(sandbox).join("state")).expect("records")
}

/// The first record of a kind of the only attempt.
#[track_caller]
fn record(sandbox: &Sandbox, kind: &str) -> String {
    let text = records(sandbox);
    let mut lines = text.lines().filter(|line| line.ends_with(" ."));
    let found = lines.find(|line| line.split(' ').next() == Some(kind));
    found.unwrap_or_else(|| panic!("no record `{kind}` in\n{text}")).to_owned()
}

fn has_record(sandbox: &Sandbox, kind: &str) -> bool {
    records(sandbox).lines().any(|line| line.starts_with(&format!("{kind} ")))
}

/// Kills the stub of the only attempt.
fn kill_stub(sandbox: &Sandbox) {
    let start = record(sandbox, "start");
    kill(field(&start, "pid").parse().expect("a pid"), Signal::KILL);
}

/// What the host's index and the client remembered is gone, so that the evidence itself has to be looked at.
fn forget(sandbox: &Sandbox) {
    fs::remove_file(sandbox.place("rows").join("journal")).expect("a journal");
    fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("a checkpoint");
}

/// Puts a program before all others of the machine: what stands for `REAL` is the one it takes the place of.
fn put_before(sandbox: &mut Sandbox, name: &str, text: &str) {
    let path = std::env::var("PATH").expect("a PATH");
    let real = path.split(':').map(|folder| PathBuf::from(folder).join(name));
    let real = real.into_iter().find(|file| file.exists()).expect("it is installed");
    let folder = sandbox.path().join("bin");
    fs::create_dir_all(&folder).expect("a folder");
    let text = text.replace("REAL", &real.to_string_lossy());
    fs::write(folder.join(name), format!("#!/bin/sh\n{text}")).expect("a file");
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).expect("ours");
    sandbox.set("PATH", &format!("{}:{path}", folder.display()));
}

/// A `sync` that waits, while the file `hold` is in the home, where `when` holds of its arguments; then there is `held`.
fn hold_sync(sandbox: &mut Sandbox, when: &str) {
    fs::write(sandbox.home().join("hold"), "").expect("a file");
    let wait = "while [ -e \"$HOME/hold\" ]; do : >\"$HOME/held\"; sleep 0.02; done";
    put_before(sandbox, "sync", &format!("if {when}; then {wait}; fi\nexec REAL \"$@\"\n"));
}

/// Hands over; the first job is claimed, and the disk takes its time to keep that, so it does not start.
fn claimed_and_held(sandbox: &mut Sandbox) {
    // Of the job's own folder; a hand-over does the same with the queue.
    hold_sync(sandbox, "[ \"$*\" = . ] && [ \"${PWD##*/}\" != queue ]");
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("it is claimed", || sandbox.home().join("held").exists());
    assert!(!has_record(sandbox, "start"));
}

fn let_go(sandbox: &Sandbox) {
    fs::remove_file(sandbox.home().join("hold")).expect("it was held");
}

/// State and reason of the first job, and every one of these words in what `sp explain` says of it. Twice: looking changes
/// nothing.
#[track_caller]
fn told(sandbox: &Sandbox, state: &str, reason: &str, words: &[&str]) {
    for look in ["first", "second"] {
        assert_eq!(sandbox.states()[0], pair(state, reason), "at the {look} look");
        let run = sandbox.expect(0, &["explain", "n=1"]);
        for word in words {
            assert!(
                run.stdout.contains(word),
                "at the {look} look `{word}` is not in\n{}",
                run.stdout
            );
        }
    }
}

/// An apply that has made its plan: from then on it hands over and waits.
fn watching_apply(sandbox: &Sandbox) -> Child {
    let path = sandbox.path().join("events");
    let events = fs::File::create(&path).expect("a file");
    let apply = sandbox.command(&["apply", "--json"]).stdout(events).spawn().expect("sp starts");
    wait_until("it has a plan", || {
        fs::read_to_string(&path).expect("events").contains("\"event\":\"plan\"")
    });
    apply
}

/// What the next apply did: its exit code, and how often which job ran in all.
#[track_caller]
fn next_apply(sandbox: &Sandbox, code: i32, ran: &[&str]) {
    sandbox.expect(code, &["apply"]);
    assert_eq!(sandbox.lines("ran"), ran);
}

//! A host whose root still has its name and no longer has its records: what it had been given may have run.

#![expect(clippy::disallowed_methods, reason = "tests damage files on purpose")]

use std::fs;

use crate::support::{Sandbox, finish, sorted_lines, wait_until};

/// The first job waits for a file, the second for the first.
const WAITS: &str = r#"
name = "known"
command = "echo {{ n }} >> ~/ran; until [ -e {{ work_dir }}/go ]; do sleep 0.05; done"
[matrix]
n = [1, 2]
"#;

fn ran(sandbox: &Sandbox) -> Vec<String> {
    sorted_lines(&fs::read_to_string(sandbox.home().join("ran")).unwrap_or_default())
}

/// Who removes what a root holds and leaves its name has removed claims, too: what had been handed over is not handed over
/// again as if it had never run.
#[test]
fn row_records_gone_under_the_same_root_is_lost() {
    let sandbox = Sandbox::with(WAITS);
    let following = sandbox.spawn(&["apply"]);
    wait_until("the first job runs", || ran(&sandbox) == ["1"]);
    let follows = |(_, line): &(i32, String)| line.contains(" wait ");
    wait_until("its journal is followed", || sandbox.processes().iter().any(follows));
    let ours = sandbox.place("known");
    for part in ["queue", "jobs"] {
        fs::remove_dir_all(ours.join(part)).expect("a folder");
    }
    sandbox.write("go", "");
    let run = finish(following);
    assert_eq!(run.code, 100, "{run:?}");
    // Its runner had its end's file open, and the journal is there.
    let succeeded = ("succeeded".to_owned(), "ok".to_owned());
    let lost = ("lost".to_owned(), "root-gone".to_owned());
    assert_eq!(sandbox.states(), [succeeded, lost]);
    sandbox.wait_quiet();
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["1", "2"]);
}

/// The same for who only looks. What is refused of an answer may be what is missing from it.
#[test]
fn records_gone_are_told_by_a_whole_answer_only() {
    let sandbox = Sandbox::with(WAITS);
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first job runs", || ran(&sandbox) == ["1"]);
    let open = [("running".to_owned(), String::new()), ("queued".to_owned(), String::new())];
    assert_eq!(sandbox.states(), open);
    let ours = sandbox.place("known");
    let journal = fs::read(ours.join("journal")).expect("a journal");
    let refused = b"end id=no-id n=1 state=succeeded .\n".to_vec();
    fs::write(ours.join("journal"), [journal.clone(), refused].concat()).expect("a journal");
    for part in ["queue", "jobs"] {
        fs::remove_dir_all(ours.join(part)).expect("a folder");
    }
    assert_eq!(sandbox.states(), open);
    fs::write(ours.join("journal"), journal).expect("a journal");
    let lost = ("lost".to_owned(), "root-gone".to_owned());
    assert_eq!(sandbox.states(), [lost.clone(), lost]);
    sandbox.write("go", "");
    sandbox.wait_quiet();
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["1", "1", "2"]);
}

/// What a host sets aside because it cannot read it was never started, and that is known.
#[test]
fn a_hand_over_that_was_damaged_in_the_queue_comes_again() {
    let sandbox = Sandbox::with(&WAITS.replace("[1, 2]", "{ from = 1, to = 40 }"));
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first job runs", || ran(&sandbox) == ["1"]);
    let queue = fs::read_dir(sandbox.place("known").join("queue")).expect("a queue");
    let batches = queue.map(|entry| entry.expect("an entry").path());
    let batch = batches.filter(|path| path.join("common").exists());
    for batch in batch {
        fs::write(batch.join("common"), "").expect("a file");
    }
    sandbox.write("go", "");
    sandbox.wait_quiet();
    let states = sandbox.states();
    let of = |wanted: &str| states.iter().filter(|(state, _)| state == wanted).count();
    assert_eq!((of("succeeded"), of("pending")), (32, 8), "{states:?}");
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox).len(), 40);
}

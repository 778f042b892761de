//! A host whose root still has its name and no longer has its records: what it had been given may have run.

#![expect(clippy::disallowed_methods, reason = "tests damage files on purpose")]

use std::fs;

use crate::support::{Sandbox, finish, shell, sorted_lines, wait_until};

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

/// A campaign that runs through.
fn quick(values: &str) -> String {
    format!(
        "name = 'known'\ncommand = 'echo {{{{ n }}}} >> ~/ran; touch \"$SP_OUT_DIR/x\"'\n[matrix]\nn = [{values}]\n"
    )
}

/// What the results say of each job's files.
fn files(sandbox: &Sandbox) -> Vec<String> {
    let results = sandbox.json(&["results", "--format", "json"]);
    let rows = results["rows"].as_array().expect("rows").iter();
    rows.map(|row| row["files"].as_str().unwrap_or("there").to_owned()).collect()
}

fn all_succeeded(sandbox: &Sandbox) -> bool {
    sandbox.states().iter().all(|(state, _)| state == "succeeded")
}

/// What succeeded has succeeded, but every command says that it rests on the checkpoint alone.
#[test]
fn what_rests_on_records_that_are_no_more_says_so() {
    for gone in ["root", "instance"] {
        let sandbox = Sandbox::with(&quick("1, 2"));
        sandbox.expect(0, &["apply"]);
        sandbox.wait_quiet();
        assert_eq!(files(&sandbox), ["there", "there"]);
        let folder = if gone == "root" { sandbox.root() } else { sandbox.place("known") };
        fs::remove_dir_all(folder).expect("it goes");
        let first = sandbox.expect(0, &["plan"]);
        let noticed = "host `local` has no records of 2 ended attempts any more";
        assert!(first.stderr.contains(noticed), "{first:?}");
        for _ in 0..2 {
            let plan = sandbox.expect(0, &["plan", "--show", "jobs"]);
            assert!(!plan.stderr.contains(noticed), "it is news once: {plan:?}");
            assert!(plan.stderr.contains("2 ended jobs without records on a host"), "{plan:?}");
            assert!(plan.stdout.contains("the host's records of it are gone"), "{plan:?}");
        }
        assert_eq!(sandbox.json(&["plan"])["summary"]["without_records"], 2);
        assert!(all_succeeded(&sandbox));
        assert_eq!(files(&sandbox), ["records-gone", "records-gone"]);
        let path = sandbox.expect(1, &["path", "n=1"]);
        assert!(path.stderr.contains("the host's records of it are gone"), "{path:?}");
        assert!(path.stderr.contains("sp apply --rerun n=1"), "{path:?}");
        let explained = sandbox.expect(0, &["explain", "n=1"]);
        assert!(explained.stdout.contains("the host's records of it are gone"), "{explained:?}");
        let applied = sandbox.expect(0, &["apply"]);
        assert!(applied.stderr.contains("2 ended jobs without records on a host"), "{applied:?}");
        assert_eq!(ran(&sandbox), ["1", "2"], "nothing runs by itself");
        sandbox.expect(0, &["apply", "-y", "--rerun", "n=1"]);
        assert_eq!(files(&sandbox), ["there", "records-gone"]);
        assert_eq!(ran(&sandbox), ["1", "1", "2"]);
    }
}

/// A machine that was set back to an earlier day, and has been used since.
#[test]
fn a_root_that_was_rolled_back_is_noticed() {
    let sandbox = Sandbox::with(&quick("1"));
    sandbox.expect(0, &["apply"]);
    sandbox.wait_quiet();
    let id = sandbox.place("known").file_name().expect("a name").display().to_string();
    let id = id.split_once('~').expect("an instance").1.to_owned();
    let root = sandbox.root();
    let copy = |from: &str, to: &str| {
        let folder = root.parent().expect("a folder");
        shell(folder, &format!("rm -rf '{to}' && cp -a '{from}' '{to}'"));
    };
    let name = root.file_name().expect("a name").display().to_string();
    copy(&name, "before");
    sandbox.write("campaign.toml", &quick("1, 2, 3"));
    sandbox.expect(0, &["apply"]);
    sandbox.wait_quiet();
    copy(&name, "after");
    copy("before", &name);
    // Its journal grows past where it was read to.
    let other = sandbox.path().join("clone");
    fs::create_dir(&other).expect("a folder");
    let text = format!("id = '{id}'\n{}", quick("4, 5, 6, 7"));
    fs::write(other.join("campaign.toml"), text).expect("a file");
    let output = sandbox.command_in(&other, &["apply", "-y"]).output().expect("sp starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    sandbox.wait_quiet();
    let plan = sandbox.expect(0, &["plan"]);
    assert!(plan.stderr.contains("has no records of 2 ended attempts any more"), "{plan:?}");
    assert_eq!(files(&sandbox), ["there", "records-gone", "records-gone"]);
    assert!(all_succeeded(&sandbox));
    sandbox.write("campaign.toml", &quick("1, 2, 3, 4"));
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["1", "2", "3", "4", "5", "6", "7"]);
    // Put right again, it has them again.
    copy("after", &name);
    sandbox.expect(0, &["plan"]);
    assert_eq!(files(&sandbox), ["there", "there", "there", "records-gone"]);
}

/// A job that comes back to the matrix after its files went.
#[test]
fn files_that_gc_removed_are_told_of() {
    let sandbox = Sandbox::with(&quick("1, 2"));
    sandbox.expect(0, &["apply"]);
    sandbox.write("campaign.toml", &quick("2"));
    sandbox.expect(0, &["gc", "-y", "--older-than", "0s"]);
    sandbox.write("campaign.toml", &quick("1, 2"));
    let check = || {
        let plan = sandbox.expect(0, &["plan", "--show", "jobs"]);
        let line = plan.stdout.lines().find(|line| line.contains("n=1")).expect("a line");
        assert!(line.contains("files removed by gc"), "{plan:?}");
        assert_eq!(files(&sandbox), ["removed-by-gc", "there"]);
        let path = sandbox.expect(1, &["path", "n=1"]);
        assert!(path.stderr.contains("files removed by gc"), "{path:?}");
        let explained = sandbox.expect(0, &["explain", "n=1"]);
        assert!(explained.stdout.contains("files removed by gc"), "{explained:?}");
    };
    check();
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["1", "2"]);
    // Neither a new checkpoint nor a new journal forgets it.
    shell(&sandbox.campaign(), "rm .sp/known/checkpoint.db*");
    fs::remove_file(sandbox.place("known").join("journal")).expect("a journal");
    check();
    sandbox.expect(0, &["apply", "-y", "--rerun", "n=1"]);
    assert_eq!(files(&sandbox), ["there", "there"]);
}

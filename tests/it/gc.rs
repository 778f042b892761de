//! `sp gc`: what goes, what stays, and that nothing runs a second time after it.

#![expect(clippy::disallowed_methods, reason = "tests start processes and write files as users do")]

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Sandbox, files_below, shell, wait_until};

fn campaign(values: &str, command: &str) -> String {
    format!(
        "name = 'c'\ncommand = '{command}'\n[matrix]\nn = [{values}]\n[hosts.local]\nsnapshot = true\n"
    )
}

const WORK: &str = "echo {{ n }} >> ~/ran; echo result > \"$SP_OUT_DIR\"/result; echo state > \"$SP_STATE_DIR\"/state";

/// What a listing says, as `kind count`.
fn kinds(document: &Value) -> Vec<String> {
    let rows = document["hosts"].as_array().expect("hosts").iter();
    let rows = rows.flat_map(|host| host["kinds"].as_array().expect("kinds"));
    let here = document["here"].as_array().expect("here");
    rows.chain(here)
        .map(|row| format!("{} {}", row["kind"].as_str().unwrap_or(""), row["count"]))
        .collect()
}

fn ran(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.home().join("ran")).unwrap_or_default()
}

/// Makes everything on the host look as if it were there for a day longer; what is newer than another stays so.
fn age(sandbox: &Sandbox) {
    let touch = r#"for f; do touch -h -d "$(stat -c %y "$f") 1 day ago" "$f"; done"#;
    shell(
        &sandbox.root(),
        &format!("find v2/bin v2/c~*/snapshots -maxdepth 2 -exec sh -c '{touch}' sh {{}} +"),
    );
}

#[test]
fn what_ended_is_known_for_ever() {
    let sandbox = Sandbox::with(&campaign("1, 2", WORK));
    sandbox.write("code", "one");
    sandbox.expect(0, &["apply"]);
    sandbox.expect(0, &["apply", "-y", "--rerun", "n=2"]);
    sandbox.write("campaign.toml", &campaign("2, 3", WORK));
    sandbox.write("code", "two");
    sandbox.expect(0, &["apply", "-y", "--code-change", "rerun"]);
    sandbox.wait_quiet();
    age(&sandbox);
    fs::write(sandbox.root().join("v2/bin/0123456789abcdef"), "old").expect("a script");
    fs::create_dir(sandbox.place("c").join("queue/in.some-1.999999")).expect("a folder");
    fs::write(sandbox.root().join("v2/run/life.999999-1-abc"), "").expect("a lock");
    fs::write(sandbox.root().join("v2/run/wait.999999"), "").expect("a lock");
    age(&sandbox);
    let try_folder = fs::read_dir(sandbox.place("c").join("jobs")).expect("jobs").flatten().next();
    let try_folder = try_folder.expect("a job").path().join("try-9.999999-1-abc");
    fs::create_dir_all(try_folder.join("out")).expect("a folder");
    let before = files_below(&sandbox.root());
    let expected = [
        "attempts 3",
        "hand-overs 1",
        "locks 2",
        "scripts 1",
        "snapshots 1",
        "states 1",
        "tries 1",
        "lists 2",
    ];
    let listed = sandbox.json(&["gc", "--older-than", "0s"]);
    assert_eq!(
        (kinds(&listed), &listed["removed"]),
        (expected.map(str::to_owned).to_vec(), &Value::Bool(false))
    );
    sandbox.expect(0, &["gc", "--older-than", "0s"]);
    sandbox.expect(0, &["gc", "--older-than", "0s", "--dry-run"]);
    assert_eq!(files_below(&sandbox.root()), before, "a listing removes nothing");
    let lines = sandbox.expect(0, &["gc", "--older-than", "0s", "-y"]).stdout;
    assert!(lines.contains("3 attempts of obsolete jobs") && lines.contains(" n=2\n"), "{lines}");
    let again = sandbox.expect(0, &["gc", "--older-than", "0s", "-y"]);
    assert!(again.stdout.is_empty() && again.stderr.contains("Nothing to remove"), "{again:?}");
    assert_eq!(kinds(&sandbox.json(&["gc", "--older-than", "0s", "--logs"])), ["logs 1"]);

    // Records and the newest attempts' files are there; so are the logs, here.
    assert_eq!(sandbox.attempts("c", "state").len(), 5);
    assert_eq!(sandbox.attempts("c", "out/result").len(), 2);
    assert_eq!(files_below(&sandbox.campaign().join(".sp/c/logs")).len(), 5);

    // Nobody remembers anything, and the old job is back in the matrix.
    let once = ran(&sandbox);
    let clone = sandbox.path().join("clone");
    fs::create_dir(&clone).expect("a folder");
    let place = sandbox.place("c").file_name().expect("a name").display().to_string();
    let id = place.split_once('~').expect("an instance").1.to_owned();
    let text = format!("id = '{id}'\n{}", campaign("1, 2, 3", WORK));
    fs::write(clone.join("campaign.toml"), text).expect("a file");
    fs::write(clone.join("code"), "two").expect("a file");
    fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("it goes");
    let output = sandbox.command_in(&clone, &["apply"]).output().expect("sp starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(ran(&sandbox), once);
    let output = sandbox.command_in(&clone, &["logs", "n=1"]).output().expect("sp starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("is not on host `local` any more"), "{said}");
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), once);
    let states: Vec<_> = sandbox.states().into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, ["succeeded", "succeeded"]);
}

/// A result is not given up for an attempt that ended badly after it, nor the tree that results may lie in.
#[test]
fn the_last_results_stay_with_their_trees() {
    let command = format!("{WORK}; ! [ -e ~/fail ]");
    let sandbox = Sandbox::with(&campaign("1", &command));
    sandbox.write("code", "one");
    sandbox.expect(0, &["apply"]);
    for code in ["two", "three"] {
        sandbox.write("code", code);
        fs::write(sandbox.home().join("fail"), "").expect("a file");
        sandbox.expect(100, &["apply", "-y", "--rerun", "n=1"]);
    }
    sandbox.wait_quiet();
    age(&sandbox);
    // Of the three attempts the first has succeeded and the third is the newest.
    let run = sandbox.expect(0, &["gc", "--older-than", "0s", "-y", "--host", "local"]);
    assert!(run.stdout.contains("1 attempt of obsolete jobs"), "{run:?}");
    let results = sandbox.attempts("c", "out/result");
    let attempts: Vec<&str> =
        results.iter().filter_map(|path| path.to_str()?.rsplit('/').nth(2)).collect();
    assert_eq!(attempts, ["1", "3"]);
    let trees = fs::read_dir(sandbox.place("c").join("snapshots")).expect("snapshots");
    let trees =
        trees.flatten().filter_map(|entry| fs::read_to_string(entry.path().join("tree/code")).ok());
    let mut trees: Vec<String> = trees.collect();
    trees.sort();
    assert_eq!(trees, ["one", "three"]);
}

#[test]
fn a_host_that_is_down_is_told_and_left() {
    let text = |n: &str| {
        format!(
            "name = 'c'\ncommand = 'echo {{{{ n }}}}'\n[matrix]\nn = {n}\n[hosts.a]\nssh = 'a'\n[hosts.b]\nssh = 'b'\n"
        )
    };
    let mut sandbox = Sandbox::with(&text("{ from = 1, to = 16 }"));
    sandbox.hosts(&["a", "b"]);
    sandbox.expect(0, &["apply"]);
    sandbox.write("campaign.toml", &text("[99]"));
    let logs = |host: &str| {
        let below = files_below(&sandbox.host_place(host, "c").join("jobs"));
        // That of a job which was moved is empty.
        let written = |path: &&PathBuf| path.metadata().is_ok_and(|about| about.len() > 0);
        below.iter().filter(|path| path.ends_with("log")).filter(written).count()
    };
    let before = [logs("a"), logs("b")];
    assert!(before[0] > 0 && before[1] > 0 && before[0] + before[1] == 16, "{before:?}");
    sandbox.unplug("b");
    let run = sandbox.expect(75, &["gc", "--older-than", "0s", "-y"]);
    assert!(run.stderr.contains("`b`"), "{run:?}");
    assert_eq!([logs("a"), logs("b")], [0, before[1]]);
    sandbox.plug_in("b");
    sandbox.expect(0, &["gc", "--older-than", "0s", "-y"]);
    assert_eq!([logs("a"), logs("b")], [0, 0]);
}

#[test]
fn what_runs_and_what_waits_keeps_all_it_has() {
    let command =
        "touch \"$HOME\"/here.{{ n }}; until [ -e ~/go ]; do sleep 0.02; done; cat code >> ~/ran";
    let sandbox = Sandbox::with(&campaign("1, 2", command));
    sandbox.write("code", "first\n");
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("it runs", || sandbox.home().join("here.1").exists());
    // Two newer trees, of which one is needed by nobody; the jobs under way have left the matrix.
    for code in ["second\n", "third\n"] {
        sandbox.write("campaign.toml", &campaign("7", command));
        sandbox.write("code", code);
        sandbox.expect(0, &["sync"]);
    }
    age(&sandbox);
    let removed = kinds(&sandbox.json(&["gc", "--older-than", "0s", "-y"]));
    assert!(removed.contains(&"snapshots 1".to_owned()), "{removed:?}");
    assert_eq!(kinds(&sandbox.json(&["gc", "--older-than", "0s", "-y"])), [""; 0]);
    fs::write(sandbox.home().join("go"), "").expect("a file");
    sandbox.write("campaign.toml", &campaign("1, 2", command));
    sandbox.expect(0, &["wait"]);
    assert_eq!(ran(&sandbox), "first\nfirst\n");
    assert!(sandbox.attempts("c", "out").len() == 2 && sandbox.attempts("c", "log").len() == 2);
}

#[test]
fn a_result_that_counts_for_another_job_stays() {
    let sandbox = Sandbox::with(&campaign("1", WORK));
    sandbox.expect(0, &["apply"]);
    sandbox.write("campaign.toml", &campaign("1", &format!("{WORK}; true")));
    sandbox.expect(0, &["accept", "n=1"]);
    assert_eq!(kinds(&sandbox.json(&["gc", "--older-than", "0s", "-y", "--logs"])), [""; 0]);
    assert_eq!(sandbox.attempts("c", "out/result").len(), 1);
}

#[test]
fn a_snapshot_that_was_just_asked_for_stays() {
    let sandbox = Sandbox::with(&campaign("1", "true"));
    let send = |code: &str| {
        sandbox.write("code", code);
        sandbox.expect(0, &["sync"]);
    };
    send("one");
    age(&sandbox);
    send("two");
    assert!(
        kinds(&sandbox.json(&["gc", "--older-than", "0s"])).contains(&"snapshots 1".to_owned())
    );
    send("one");
    // With a host named, nothing here is meant.
    assert_eq!(
        kinds(&sandbox.json(&["gc", "--older-than", "0s", "-y", "--host", "local"])),
        [""; 0]
    );
}

#[test]
fn logs_over_ssh_come_here_before_they_go_there() {
    let text = |n: &str| {
        format!(
            "name = 'c'\ncommand = 'echo said {{{{ n }}}}'\n[matrix]\nn = [{n}]\n[hosts.box]\nssh = 'box'\n"
        )
    };
    let mut sandbox = Sandbox::with(&text("1, 2"));
    sandbox.hosts(&["box"]);
    sandbox.expect(0, &["apply"]);
    sandbox.write("campaign.toml", &text("2"));
    sandbox.expect(0, &["apply"]);
    let logs = sandbox.campaign().join(".sp/c/logs");
    fs::remove_dir_all(&logs).expect("it goes");
    sandbox.expect(0, &["gc", "--older-than", "0s", "-y"]);
    let said: Vec<String> =
        files_below(&logs).iter().map(|path| fs::read_to_string(path).expect("a log")).collect();
    assert!(said.contains(&"said 1\n".to_owned()), "{said:?}");
    let jobs = sandbox.host_place("box", "c").join("jobs");
    let there = files_below(&jobs).iter().filter(|path| path.ends_with("log")).count();
    assert_eq!(there, 1);
    sandbox.expect(0, &["gc", "--older-than", "0s", "-y", "--logs"]);
    assert_eq!(files_below(&logs).len(), 1);

    // A client that has nothing: the one log is there, the other one is not any more.
    fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("it goes");
    sandbox.write("campaign.toml", &text("1, 2"));
    assert_eq!(sandbox.expect(0, &["logs", "n=2"]).stdout, "said 2\n");
    let run = sandbox.expect(1, &["logs", "n=1"]);
    assert!(run.stderr.contains("is not on host `box` any more"), "{run:?}");
}

#[test]
fn an_empty_log_is_one() {
    let text = "name = 'c'\ncommand = 'true'\n[hosts.box]\nssh = 'box'\n";
    let mut sandbox = Sandbox::with(text);
    sandbox.hosts(&["box"]);
    sandbox.expect(0, &["apply"]);
    fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("it goes");
    let run = sandbox.expect(0, &["logs", "c"]);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
}

/// The document of what was removed here tells how large it was.
#[test]
fn what_is_gone_here_is_told_with_its_size() {
    let sandbox = Sandbox::with(&campaign("1", "echo {{ n }}"));
    sandbox.expect(0, &["apply"]);
    sandbox.write("campaign.toml", &campaign("2", "echo {{ n }}"));
    sandbox.expect(0, &["apply"]);
    sandbox.wait_quiet();
    let gc = ["gc", "--older-than", "0s", "--logs"];
    let (listed, removed) = (sandbox.json(&gc), sandbox.json(&[&gc[..], &["-y"]].concat()));
    assert_eq!((&listed["removed"], &removed["removed"]), (&false.into(), &true.into()));
    assert_eq!(listed["here"], removed["here"]);
    let logs = removed["here"].as_array().expect("kinds").iter().find(|row| row["kind"] == "logs");
    assert_eq!(logs.map(|row| &row["bytes"]), Some(&2.into()), "{removed}");
}

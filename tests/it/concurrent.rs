//! Several clients of one campaign at once: every job runs once, and each client ends with the same answer.

#![expect(clippy::disallowed_methods, reason = "tests write files and start processes as users do")]

use std::path::PathBuf;
use std::process::Child;

use crate::support::{Run, Sandbox, commit, finish, kill, shell, signal, sorted_lines, wait_until};
use rustix::process::Signal;

/// The first job waits for the file `go`; the second one fails.
const HELD: &str = r#"
name = "together"
command = "echo {{ n }} >> {{ work_dir }}/ran; until [ -e {{ work_dir }}/go ]; do sleep 0.05; done; exit {{ code }}"
[matrix]
n = [1, 2, 3]
code = { expr = "3 if n == 2 else 0" }
"#;

/// Starts `sp` with its stderr in a file that can be read meanwhile.
fn spawn_told(sandbox: &Sandbox, arguments: &[&str], name: &str) -> (Child, PathBuf) {
    let told = sandbox.path().join(name);
    let file = std::fs::File::create(&told).expect("a file");
    let child = sandbox.command(arguments).stderr(file).spawn().expect("sp starts");
    (child, told)
}

fn wait_told(told: &std::path::Path, what: &str) {
    wait_until(what, || std::fs::read_to_string(told).is_ok_and(|text| text.contains(what)));
}

#[test]
fn a_second_apply_watches_and_ends_with_the_same_code() {
    let sandbox = Sandbox::with(HELD);
    let first = sandbox.spawn(&["apply"]);
    wait_until("the first job runs", || sandbox.lines("ran") == ["1"]);
    let (second, told) = spawn_told(&sandbox, &["apply"], "second");
    wait_told(&told, "Watching it");
    let text = std::fs::read_to_string(&told).expect("a text");
    assert!(text.contains(&format!("process {}", first.id())), "who holds it? {text}");
    sandbox.write("go", "");
    assert_eq!(finish(first).code, 100);
    assert_eq!(finish(second).code, 100);
    assert_eq!(sandbox.lines("ran"), ["1", "2", "3"], "the failed job ran for one of them only");
    sandbox.wait_quiet();
}

#[test]
fn five_applies_at_once() {
    let sandbox = Sandbox::with(&HELD.replace("3 if n == 2 else 0", "0"));
    let all: Vec<Child> = (0..5).map(|_| sandbox.spawn(&["apply"])).collect();
    wait_until("the first job runs", || sandbox.lines("ran") == ["1"]);
    sandbox.write("go", "");
    for child in all {
        let run = finish(child);
        assert_eq!(run.code, 0, "{run:?}");
    }
    assert_eq!(sandbox.lines("ran"), ["1", "2", "3"]);
}

/// Neither knows of the other: only the claim on the host keeps a job from running twice.
#[test]
fn two_clones_at_once() {
    for round in 0..4 {
        let sandbox = Sandbox::with(
            r#"
name = "clones"
command = "echo {{ n }} >> ~/ran"
[matrix]
n = { from = 1, to = 12, step = 1 }
"#,
        );
        commit(&sandbox.campaign());
        let clones: Vec<PathBuf> = (0..2)
            .map(|number| {
                let clone = sandbox.path().join(format!("clone-{number}"));
                shell(sandbox.path(), &format!("git clone -q work clone-{number}"));
                clone
            })
            .collect();
        let all: Vec<Child> = clones
            .iter()
            .map(|clone| sandbox.command_in(clone, &["apply"]).spawn().expect("sp starts"))
            .collect();
        for child in all {
            let run = finish(child);
            assert_eq!(run.code, 0, "round {round}: {run:?}");
        }
        let ran = std::fs::read_to_string(sandbox.home().join("ran")).expect("jobs ran");
        let mut wanted: Vec<String> = (1..=12).map(|n| n.to_string()).collect();
        wanted.sort();
        assert_eq!(sorted_lines(&ran), wanted, "round {round}");
        for clone in &clones {
            let run =
                Run::of(&sandbox.command_in(clone, &["status", "--json"]).output().expect("sp"));
            let status: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
            assert_eq!(status["counts"]["succeeded"], 12, "both know of every job");
        }
    }
}

#[test]
fn the_second_takes_over_when_the_first_is_killed() {
    let sandbox = Sandbox::with(HELD);
    let first = sandbox.spawn(&["apply"]);
    wait_until("the first job runs", || sandbox.lines("ran") == ["1"]);
    let (second, told) = spawn_told(&sandbox, &["apply"], "second");
    wait_told(&told, "Watching it");
    signal(&first, Signal::KILL);
    assert_eq!(finish(first).code, -9);
    // Nobody drains the queue any more, either.
    for runner in sandbox.processes() {
        if runner.1.contains(" runner ") {
            kill(runner.0, Signal::KILL);
        }
    }
    sandbox.write("go", "");
    assert_eq!(finish(second).code, 100);
    assert_eq!(sandbox.lines("ran"), ["1", "2", "3"]);
}

#[test]
fn the_second_hands_over_what_the_first_never_did() {
    let sandbox = Sandbox::with(&HELD.replace("3 if n == 2 else 0", "0"));
    // The login shell is asked before the hand-over: there the first one hangs.
    std::fs::write(
        sandbox.home().join(".bash_profile"),
        "echo >> ~/asked; until [ -e ~/answer ]; do sleep 0.05; done\n",
    )
    .expect("a profile");
    sandbox.write("go", "");
    let first = sandbox.spawn(&["apply"]);
    wait_until("the first one asks", || sandbox.home().join("asked").exists());
    let (second, told) = spawn_told(&sandbox, &["apply"], "second");
    wait_told(&told, "Watching it");
    signal(&first, Signal::KILL);
    assert_eq!(finish(first).code, -9);
    std::fs::write(sandbox.home().join("answer"), "").expect("a file");
    assert_eq!(finish(second).code, 0);
    assert_eq!(sandbox.lines("ran"), ["1", "2", "3"]);
}

#[test]
fn looking_while_an_apply_runs() {
    let sandbox = Sandbox::with(&HELD.replace("3 if n == 2 else 0", "0"));
    let apply = sandbox.spawn(&["apply"]);
    wait_until("the first job runs", || sandbox.lines("ran") == ["1"]);
    std::thread::scope(|scope| {
        for arguments in [["plan"], ["status"], ["results"]] {
            let sandbox = &sandbox;
            scope.spawn(move || {
                for _ in 0..3 {
                    sandbox.expect(0, &arguments);
                }
            });
        }
    });
    let plan = sandbox.json(&["plan"]);
    assert_eq!(plan["summary"]["run"], 0, "{plan}");
    assert_eq!(plan["summary"]["wait"], 3, "{plan}");
    assert_eq!(sandbox.json(&["status"])["counts"]["running"], 1);
    sandbox.write("go", "");
    assert_eq!(finish(apply).code, 0);
    assert_eq!(sandbox.lines("ran"), ["1", "2", "3"]);
}

/// The connection of an apply is cut; before it asks again another command has asked, and written down how the job ended.
#[test]
fn what_another_command_was_told_first_is_told_all_the_same() {
    let mut sandbox = Sandbox::with(
        "name = 'told'\ncommand = 'until [ -e ~/go ]; do sleep 0.02; done'\n[hosts.box]\nssh = 'box'\n",
    );
    sandbox.hosts(&["box"]);
    let apply = sandbox.spawn(&["apply"]);
    let waits = || {
        let processes = sandbox.processes().into_iter();
        processes.filter(|(_, line)| line.contains("/bin/sh") && line.contains(" wait ")).collect()
    };
    let mut listening: Vec<(i32, String)> = Vec::new();
    wait_until("it waits for the job", || {
        listening = waits();
        !listening.is_empty()
    });
    // Not while it writes, since then nobody else can.
    wait_until("it stands still", || {
        signal(&apply, Signal::STOP);
        let others_can = sandbox.sp(&["status"]).code == 0;
        if !others_can {
            signal(&apply, Signal::CONT);
        }
        others_can
    });
    for (pid, _) in listening {
        kill(pid, Signal::KILL);
    }
    std::fs::write(sandbox.host_home("box").join("go"), "").expect("a file");
    wait_until("another one is told", || sandbox.states()[0].0 == "succeeded");
    signal(&apply, Signal::CONT);
    let run = finish(apply);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains("SUCCEEDED"), "{run:?}");
}

/// Somebody elsewhere hands the jobs over after our plan, and a command beside us writes that down before we do: it is
/// still the attempt that we planned, not one behind it.
#[test]
fn what_another_client_hands_over_behind_our_plan_runs_once() {
    let sandbox = Sandbox::with(&HELD.replace("{{ work_dir }}", "~"));
    commit(&sandbox.campaign());
    shell(sandbox.path(), "git clone -q work clone");
    // The first to be asked for the account's environment waits, which is our apply, between its plan and its hand-over.
    let wait = "mkdir \"$HOME/first\" 2>/dev/null || return 0\nuntil [ -e \"$HOME/on\" ]; do sleep 0.02; done\n";
    std::fs::write(sandbox.home().join(".profile"), wait).expect("a profile");
    let ours = sandbox.spawn(&["apply"]);
    wait_until("our apply has its plan", || sandbox.home().join("first").exists());
    let clone = sandbox.path().join("clone");
    let theirs = sandbox.command_in(&clone, &["apply", "--detach"]).output().expect("sp starts");
    assert_eq!(Run::of(&theirs).code, 0);
    let ran = || std::fs::read_to_string(sandbox.home().join("ran")).unwrap_or_default();
    wait_until("the first job runs", || ran() == "1\n");
    assert_eq!(sandbox.states()[0].0, "running");
    std::fs::write(sandbox.home().join("on"), "").expect("a file");
    std::fs::write(sandbox.home().join("go"), "").expect("a file");
    assert_eq!(finish(ours).code, 100);
    assert_eq!(ran(), "1\n2\n3\n");
    assert!(sandbox.results("together").iter().all(|row| row["attempt"] == 1));
}

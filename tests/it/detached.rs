//! What was handed over goes on without the client, and without whatever else is killed; the next command collects it.

#![expect(clippy::disallowed_methods, reason = "tests write files and start processes as users do")]

use std::os::unix::process::CommandExt as _;

use rustix::process::Signal;

use crate::support::{Run, Sandbox, finish, kill, signal, wait_until};

/// Ten jobs; each waits for the file `go`.
const TEN: &str = r#"
name = "away"
command = "echo {{ n }} >> {{ work_dir }}/ran; until [ -e {{ work_dir }}/go ]; do sleep 0.02; done"
[matrix]
n = { from = 1, to = 10, step = 1 }
"#;

fn campaign(jobs: &str) -> Sandbox {
    Sandbox::with(&TEN.replace("{ from = 1, to = 10, step = 1 }", jobs))
}

fn numbers(to: u32) -> Vec<String> {
    let mut all: Vec<String> = (1..=to).map(|n| n.to_string()).collect();
    all.sort();
    all
}

fn pair(state: &str, reason: &str) -> (String, String) {
    (state.to_owned(), reason.to_owned())
}

/// Hands over, and waits until the first job runs.
fn begun(sandbox: &Sandbox) {
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first job runs", || sandbox.lines("ran").first().is_some_and(|n| n == "1"));
}

/// A field of the only record of a kind in the attempts' state files.
fn fields(sandbox: &Sandbox, kind: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in sandbox.attempts("away", "state") {
        let text = std::fs::read_to_string(path).expect("a state file");
        let line = text.lines().find(|line| line.starts_with(&format!("{kind} ")));
        let value = line.and_then(|line| {
            line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        });
        found.extend(value.map(str::to_owned));
    }
    found
}

#[test]
fn a_killed_client_is_not_missed() {
    for next in [&["status"][..], &["wait"], &["apply"]] {
        let sandbox = Sandbox::with(TEN);
        let client = sandbox.spawn(&["apply"]);
        wait_until("the first job runs", || sandbox.lines("ran") == ["1"]);
        signal(&client, Signal::KILL);
        assert_eq!(finish(client).code, -9);
        sandbox.write("go", "");
        wait_until("all ran", || sandbox.lines("ran") == numbers(10));
        sandbox.wait_quiet();
        sandbox.expect(0, next);
        let status = sandbox.json(&["status", "--offline"]);
        assert_eq!(status["counts"]["succeeded"], 10, "{next:?} collected: {status}");
        sandbox.expect(0, &["apply"]);
        assert_eq!(sandbox.lines("ran"), numbers(10), "{next:?}");
    }
}

#[test]
fn wait_waits_and_starts_nothing() {
    let sandbox = campaign("[1, 2, 3]");
    sandbox.expect(0, &["wait"]);
    assert!(sandbox.lines("ran").is_empty(), "wait started what was never handed over");
    begun(&sandbox);
    let run = sandbox.expect(124, &["wait", "--timeout", "1s"]);
    assert!(run.stderr.contains("the jobs go on"), "{run:?}");
    // Nor does it bring back a runner that is gone.
    sandbox.kill_runners();
    sandbox.write("go", "");
    sandbox.expect(124, &["wait", "--timeout", "2s"]);
    assert_eq!(sandbox.lines("ran"), ["1"]);
    let waiting = sandbox.spawn(&["wait"]);
    sandbox.expect(0, &["apply", "--detach"]);
    assert_eq!(finish(waiting).code, 0);
    assert_eq!(sandbox.lines("ran"), numbers(3));
}

#[test]
fn signals_end_the_client_alone() {
    let cases = [
        (Signal::INT, false, 130),
        (Signal::INT, true, 130),
        (Signal::TERM, false, 143),
        (Signal::HUP, false, 143),
        (Signal::HUP, true, 143),
    ];
    for (sent, group, code) in cases {
        let sandbox = campaign("[1, 2, 3]");
        let client = sandbox.command(&["apply"]).process_group(0).spawn().expect("sp starts");
        wait_until("it is known to run", || {
            sandbox.lines("ran") == ["1"] && sandbox.json(&["status"])["counts"]["running"] == 1
        });
        if group {
            // As a terminal does.
            let pid = i32::try_from(client.id()).ok().and_then(rustix::process::Pid::from_raw);
            rustix::process::kill_process_group(pid.expect("a pid"), sent).expect("it is there");
        } else {
            signal(&client, sent);
        }
        let run = finish(client);
        assert_eq!(run.code, code, "{run:?}");
        let words = "1 running and 2 queued jobs go on without you";
        assert!(run.stderr.contains(words), "{sent:?}: {run:?}");
        assert_eq!(sandbox.json(&["status"])["counts"]["running"], 1, "{sent:?}");
        sandbox.write("go", "");
        sandbox.expect(0, &["apply"]);
        assert_eq!(sandbox.lines("ran"), numbers(3), "{sent:?}, group: {group}");
    }
}

/// `nohup sp apply &` and a script's background commands: what they were told to ignore stays ignored.
#[test]
fn an_ignored_signal_stays_ignored() {
    let sandbox = campaign("[1, 2]");
    let like = sandbox.command(&[]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP INT; exec \"$0\" apply", env!("CARGO_BIN_EXE_sp")]);
    command.current_dir(sandbox.campaign()).env_clear();
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut client = command.spawn().expect("sh starts");
    wait_until("the first job runs", || sandbox.lines("ran") == ["1"]);
    signal(&client, Signal::HUP);
    signal(&client, Signal::INT);
    sandbox.expect(0, &["status"]);
    assert!(client.try_wait().expect("ours").is_none(), "it left");
    sandbox.write("go", "");
    assert_eq!(finish(client).code, 0);
    assert_eq!(sandbox.lines("ran"), numbers(2));
}

#[test]
fn a_killed_runner_is_replaced() {
    let sandbox = campaign("[1, 2, 3]");
    let client = sandbox.spawn(&["apply"]);
    wait_until("the first job runs", || sandbox.lines("ran") == ["1"]);
    let runners = sandbox.runners();
    assert_eq!(runners.len(), 1, "{runners:?}");
    kill(runners[0], Signal::KILL);
    wait_until("it is told as an orphan", || {
        sandbox.json(&["status"])["jobs"][0]["orphan"] == true
    });
    sandbox.write("go", "");
    let run = finish(client);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(sandbox.lines("ran"), numbers(3));
    let mut by = fields(&sandbox, "end", "by");
    by.sort();
    assert_eq!(by, ["orphan", "runner", "runner"]);
}

/// The orphan's end is judged as that of any other: exit code and markers.
#[test]
fn an_orphans_end_is_judged() {
    let sandbox = Sandbox::with(
        r#"
name = "away"
command = "echo {{ n }} >> {{ work_dir }}/ran; until [ -e {{ work_dir }}/go ]; do sleep 0.02; done; exit {{ n }}"
[matrix]
n = [7]
"#,
    );
    begun_with(&sandbox, "7");
    kill(sandbox.runners()[0], Signal::KILL);
    sandbox.write("go", "");
    sandbox.expect(100, &["wait"]);
    let status = sandbox.json(&["status"]);
    assert_eq!(status["jobs"][0]["exit_code"], 7, "{status}");
    assert_eq!(sandbox.states(), [pair("failed", "exit-code")]);
}

fn begun_with(sandbox: &Sandbox, first: &str) {
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first job runs", || sandbox.lines("ran") == [first]);
}

#[test]
fn runner_and_standby_killed() {
    let sandbox = campaign("[1, 2, 3]");
    begun(&sandbox);
    sandbox.kill_runners();
    assert_eq!(sandbox.json(&["status"])["jobs"][0]["orphan"], true);
    sandbox.write("go", "");
    wait_until("the orphan ends", || {
        sandbox.states() == [pair("succeeded", "ok"), pair("queued", ""), pair("queued", "")]
    });
    assert_eq!(sandbox.lines("ran"), ["1"], "nobody is there to start the next one");
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.lines("ran"), numbers(3));
}

#[test]
fn killed_before_the_claim() {
    let mut sandbox = campaign("[1, 2, 3]");
    sandbox.write("go", "");
    // The runner that dies had claimed nothing; who stood by goes on.
    assert_eq!(with_fault(&mut sandbox, "before-claim", &["apply"]).code, 0);
    assert_eq!(sandbox.lines("ran"), numbers(3));
}

fn with_fault(sandbox: &mut Sandbox, fault: &str, arguments: &[&str]) -> Run {
    sandbox.set("SP_FAULT", fault);
    let run = sandbox.sp(arguments);
    sandbox.unset("SP_FAULT");
    run
}

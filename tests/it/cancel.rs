//! `sp cancel` and the closing of a window: after it nothing of a job runs, and what ended before stays as it ended.

use rustix::process::Signal;

use crate::support::{Sandbox, finish, kill, shell, wait_until};

const HELD: &str = r#"
name = "ended"
command = "echo {{ n }} >> {{ work_dir }}/ran; until [ -e {{ work_dir }}/go ]; do sleep 0.02; done"
[matrix]
n = [1, 2, 3]
"#;

fn pair(state: &str, reason: &str) -> (String, String) {
    (state.to_owned(), reason.to_owned())
}

fn cancelled() -> (String, String) {
    pair("cancelled", "by-user")
}

/// Hands over, and waits until the first job runs.
fn begun(campaign: &str) -> Sandbox {
    let sandbox = Sandbox::with(campaign);
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first job runs", || sandbox.lines("ran") == ["1"]);
    sandbox
}

#[test]
fn queued_running_and_finished() {
    let sandbox = begun(HELD);
    sandbox.expect(0, &["cancel", "n=3"]);
    assert_eq!(sandbox.states()[2], cancelled());
    sandbox.expect(0, &["cancel", "n=1"]);
    assert_eq!(sandbox.states()[0], cancelled());
    sandbox.write("go", "");
    sandbox.expect(100, &["wait"]);
    let ended = [cancelled(), pair("succeeded", "ok"), cancelled()];
    assert_eq!(sandbox.states(), ended);
    let run = sandbox.expect(4, &["cancel", "n=2"]);
    assert!(run.stderr.contains("Nothing to cancel"), "{run:?}");
    assert_eq!(sandbox.states(), ended, "what has ended stays as it ended");
    // It lasts until a person takes it back.
    sandbox.expect(100, &["apply"]);
    assert_eq!(sandbox.lines("ran"), ["1", "2"]);
    sandbox.expect(100, &["apply", "--rerun", "n=3"]);
    assert_eq!(sandbox.lines("ran"), ["1", "2", "3"]);
    sandbox.expect(0, &["apply", "--rerun", "n=1"]);
    assert_eq!(sandbox.lines("ran"), ["1", "1", "2", "3"]);
}

/// With its runner gone an orphan has nobody but us to end it, or the standby is at it already.
#[test]
fn an_orphan() {
    for standby in [true, false] {
        let sandbox = begun(HELD);
        wait_until("the runner is gone", || {
            let doomed: Vec<i32> = if standby {
                sandbox.runners()
            } else {
                let all = sandbox.processes().into_iter();
                all.filter(|(_, line)| line.contains(" runner ")).map(|(pid, _)| pid).collect()
            };
            for pid in &doomed {
                kill(*pid, Signal::KILL);
            }
            standby || doomed.is_empty()
        });
        sandbox.expect(0, &["cancel", "n=1", "n=2"]);
        assert_eq!(sandbox.states()[..2], [cancelled(), cancelled()], "standby: {standby}");
        sandbox.write("go", "");
        sandbox.expect(100, &["apply"]);
        assert_eq!(sandbox.lines("ran"), ["1", "3"], "standby: {standby}");
    }
}

/// Children that ignore TERM, that left the session, that closed all they had open.
const STUBBORN: &str = r#"
trap '' TERM
echo {{ n }} >> {{ work_dir }}/ran
(trap '' TERM HUP; while :; do sleep 1000; done) &
setsid sh -c "trap '' TERM; sleep 1000; sleep 1000" >/dev/null 2>&1 8>&- 7>&- &
while :; do sleep 1000; done
"#;

#[test]
fn all_of_fifty() {
    let text = format!(
        "name = \"ended\"\ncommand = '''{STUBBORN}'''\n[matrix]\nn = {{ from = 1, to = 50, step = 1 }}\n"
    );
    let sandbox = begun(&text);
    sandbox.expect(0, &["cancel", "--all", "--now"]);
    assert_eq!(sandbox.states(), vec![cancelled(); 50]);
    sandbox.wait_quiet();
    assert_eq!(sandbox.lines("ran"), ["1"], "one started afterwards");
    sandbox.expect(100, &["apply"]);
    sandbox.expect(0, &["cancel", "--all"]);
    assert_eq!(sandbox.lines("ran"), ["1"]);
}

/// The running job ends at once, and its runner is quicker with the next entry than we are with the list.
#[test]
fn none_starts_while_the_list_is_worked_off() {
    let sandbox = begun(&HELD.replace("[1, 2, 3]", "{ from = 1, to = 50, step = 1 }"));
    sandbox.expect(0, &["cancel", "--all"]);
    assert_eq!(sandbox.states(), vec![cancelled(); 50]);
    assert_eq!(sandbox.lines("ran"), ["1"]);
}

/// Whichever is first stands, and both sides say the same.
#[test]
fn a_race_with_the_end() {
    for round in 0..9 {
        let sandbox = begun(&HELD.replace("[1, 2, 3]", "[1]"));
        let cancel = sandbox.spawn(&["cancel", "--all"]);
        if round % 3 == 1 {
            // At another moment of the cancel.
            sandbox.expect(0, &["plan", "--offline"]);
        } else if round % 3 == 2 {
            sandbox.expect(0, &["status"]);
        }
        sandbox.write("go", "");
        let run = finish(cancel);
        assert!([0, 4].contains(&run.code), "{run:?}");
        let state = sandbox.states().remove(0);
        assert!([cancelled(), pair("succeeded", "ok")].contains(&state), "{state:?}");
        let journal = sandbox.place("ended").join("journal");
        let journal = std::fs::read_to_string(journal).expect("a journal");
        let ends: std::collections::BTreeSet<_> = journal
            .lines()
            .filter(|line| line.starts_with("end "))
            .filter_map(|line| line.split(' ').find(|word| word.starts_with("state=")))
            .collect();
        assert_eq!(ends.into_iter().collect::<Vec<_>>(), [format!("state={}", state.0)]);
        sandbox.expect(if state == cancelled() { 100 } else { 0 }, &["apply"]);
        assert_eq!(sandbox.lines("ran"), ["1"]);
    }
}

/// What has exited by itself has its own end, which is waited for though its cleanup takes a while.
#[test]
fn what_has_exited_is_waited_for() {
    let sandbox = begun(
        "name = 'ended'
command = 'echo 1 >>ran'
cleanup = 'echo 1 >>cleaned; until [ -e go ]; do sleep 0.02; done'
",
    );
    wait_until("its cleanup runs", || !sandbox.lines("cleaned").is_empty());
    let mut cancel = sandbox.spawn(&["cancel", "--all"]);
    wait_until("the cancel waits, or has ended", || {
        let waits = sandbox.processes().iter().any(|(_, line)| line.contains("sleep 0.1"));
        waits || cancel.try_wait().expect("a child").is_some()
    });
    sandbox.write("go", "");
    let run = finish(cancel);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(sandbox.states(), [pair("succeeded", "ok")]);
}

fn tmux(sandbox: &Sandbox, command: &str) -> String {
    let folder = sandbox.plain().display();
    shell(sandbox.path(), &format!("TMUX_TMPDIR='{folder}' tmux -L sp {command} 2>&1 || true"))
}

/// Name of the first job's session, once it is there.
fn session(sandbox: &Sandbox) -> String {
    wait_until("the session is there", || tmux(sandbox, "list-sessions").contains("sp-ended~"));
    let told = sandbox.json(&["status"])["jobs"][0]["session"].as_str().expect("a name").to_owned();
    assert_eq!(tmux(sandbox, &format!("has-session -t '={told}'")), "");
    told
}

#[test]
fn closing_the_session_cancels_for_now() {
    let sandbox = begun(HELD);
    let session = session(&sandbox);
    tmux(&sandbox, &format!("kill-session -t '={session}'"));
    wait_until("it is cancelled", || sandbox.states()[0] == pair("cancelled", "by-tmux"));
    sandbox.write("go", "");
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.lines("ran"), ["1", "1", "2", "3"]);
}

#[test]
fn the_end_of_the_server_changes_nothing() {
    let sandbox = begun(HELD);
    session(&sandbox);
    tmux(&sandbox, "kill-server");
    wait_until("the server is gone", || tmux(&sandbox, "list-sessions").contains("no server"));
    wait_until("nobody looks any more", || {
        sandbox.processes().iter().all(|(_, line)| !line.contains(" view "))
    });
    assert_eq!(sandbox.states()[0], pair("running", ""));
    sandbox.write("go", "");
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.lines("ran"), ["1", "2", "3"]);
}

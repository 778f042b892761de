//! The rows without evidence: a host that does not answer, or not to the end, or whose records are another machine's.

use super::*;
use crate::support::{finish, signal};

const GARBAGE: &str = include_str!("../faults/garbage.sh");

/// One job that runs on a host behind ssh, until there is `go` in its home. The other host answers all the while, so that
/// there is something to tell.
fn far() -> Sandbox {
    let mut sandbox = Sandbox::with(
        "name = 'rows'\ncommand = 'echo {{ n }} >> ~/ran; until [ -e ~/go ]; do sleep 0.02; done'\n[matrix]\nn = [1]\n\
         [hosts.box]\nssh = 'box'\n[hosts.local]\nwhen = 'n > 1'\n",
    );
    sandbox.hosts(&["box"]);
    let folder = sandbox.plain().join("ssh");
    fs::write(folder.join("garbage.sh"), GARBAGE).expect("a file");
    sandbox.sshd_config(&format!("ForceCommand sh {0}/garbage.sh {0}", folder.display()));
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("it runs", || ran(&sandbox) == "1\n" && sandbox.states()[0].0 == "running");
    sandbox
}

fn ran(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.host_home("box").join("ran")).unwrap_or_default()
}

/// What was known stands, with the time since when nothing is known; the next apply starts nothing.
#[track_caller]
fn stays_running(sandbox: &Sandbox, case: &str) {
    let run = sandbox.sp(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&run.stdout)
        .unwrap_or_else(|error| panic!("{case}: {error}: {run:?}"));
    let job = &status["jobs"][0];
    assert_eq!((&job["state"], &job["reason"]), (&"running".into(), &"".into()), "{case}: {job}");
    assert!(job["stale_since"].is_string(), "{case}: {job}");
    let run = sandbox.sp(&["explain", "n=1"]);
    assert!(run.stdout.contains("It runs on host `box`"), "{case}: {run:?}");
    assert!(
        run.stdout.contains("The next `sp apply` asks for it again (unreachable"),
        "{case}: {run:?}"
    );
    assert!(!run.stdout.contains("lost"), "{case}: {run:?}");
    // It waits for the host for minutes; the plan that it carries out is enough. A login that refuses everything is not
    // waited for.
    let apply = watching_apply(sandbox);
    signal(&apply, Signal::INT);
    let run = finish(apply);
    let refuses = run.code == 1 && run.stderr.contains("\"code\":\"login-ends\"");
    assert!(run.code == 130 || refuses, "{case}: {run:?}");
    let said = fs::read_to_string(sandbox.path().join("events")).expect("events");
    assert!(said.contains("\"run\":0,") && said.contains("\"wait\":1,"), "{case}: {said}");
    assert!(!said.contains("lost") && !said.contains("job-"), "{case}: {said}");
    assert_eq!(ran(sandbox), "1\n", "{case}");
}

/// The host answers again: what ran all the while is told as it is.
#[track_caller]
fn goes_on(sandbox: &Sandbox) {
    assert_eq!(sandbox.states(), [pair("running", "")]);
    let apply = watching_apply(sandbox);
    fs::write(sandbox.host_home("box").join("go"), "").expect("a file");
    let run = finish(apply);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(ran(sandbox), "1\n");
}

#[test]
fn row_ssh_ends_with_255_is_never_lost() {
    let sandbox = far();
    sandbox.unplug("box");
    stays_running(&sandbox, "255");
    sandbox.plug_in("box");
    goes_on(&sandbox);
}

#[test]
fn row_an_answer_without_its_last_line_is_never_lost() {
    let mut sandbox = far();
    sandbox.set("SP_TEST_ASK_WITHIN", "2");
    let how = sandbox.plain().join("ssh/garbage");
    for case in ["cut 60", "nothing", "failure"] {
        fs::write(&how, format!("{case}\n")).expect("a file");
        stays_running(&sandbox, case);
    }
    fs::remove_file(&how).expect("it was there");
    sandbox.set("SP_TEST_ASK_WITHIN", "60");
    goes_on(&sandbox);
}

#[test]
fn row_no_answer_in_time_is_never_lost() {
    let mut sandbox = far();
    sandbox.set("SP_TEST_ASK_WITHIN", "1");
    sandbox.ssh_config("Host box\n  ProxyCommand sh -c 'cat >/dev/null; :'\n");
    stays_running(&sandbox, "silence");
    let config = fs::read_to_string(sandbox.plain().join("ssh/config")).expect("a file");
    let (_, rest) =
        config.split_once('\n').and_then(|(_, rest)| rest.split_once('\n')).expect("two lines");
    fs::write(sandbox.plain().join("ssh/config"), rest).expect("a file");
    sandbox.set("SP_TEST_ASK_WITHIN", "60");
    goes_on(&sandbox);
    // Those that wait for the silent one give up after a while.
    sandbox.wait_quiet();
}

//! Hosts that are silent: every command tells of them in the same way, and ends with the same code.

use std::fs;

use crate::support::{Run, Sandbox, wait_until};

/// Job 1 is `far`'s, reached by ssh; job 2 is this machine's.
const FAR: &str = "name = 'far'\ncommand = 'echo told {{ n }}; while [ -e ~/hold ]; do sleep 0.02; done'\n[matrix]\nn = [1, 2]\n\
                   [hosts.far]\nssh = 'far'\nwhen = 'n == 1'\n";
const HERE: &str = "[hosts.here]\nwhen = 'n == 2'\n";

fn sandbox(hosts: &str) -> Sandbox {
    let mut sandbox = Sandbox::with(&format!("{FAR}{hosts}"));
    sandbox.hosts(&["far"]);
    sandbox
}

/// The warning of a silent host: who, why, whether it may pass, and from when what is told of its jobs.
#[track_caller]
fn warns(run: &Run, code: i32, lasting: &str) {
    assert_eq!(run.code, code, "{run:?}");
    for word in ["host `far`", lasting, "what is told of its jobs is from "] {
        assert!(run.stderr.contains(word), "`{word}` is missing: {run:?}");
    }
}

#[test]
fn every_command_tells_of_a_silent_host_and_ends_with_75() {
    let sandbox = sandbox(HERE);
    sandbox.expect(0, &["apply"]);
    sandbox.unplug("far");
    let passing = "(this may pass by itself)";
    for (arguments, shown) in [
        (&["plan"][..], "Plan: nothing to do; 2 done"),
        (&["status"], "far: 2 succeeded"),
        (&["results"], "n=1"),
        (&["explain", "n=2"], "It succeeded."),
        (&["explain", "n=1"], "It succeeded."),
        (&["logs", "n=2"], "told 2"),
        (&["logs", "n=1"], "told 1"),
        (&["path", "n=2"], "/jobs/"),
        (&["wait"], ""),
        (&["gc", "--dry-run"], ""),
        (&["cancel", "--all"], ""),
        (&["apply"], ""),
    ] {
        let run = sandbox.sp(arguments);
        warns(&run, 75, passing);
        assert!(run.stdout.contains(shown), "{arguments:?}: {run:?}");
    }
    // With a cause that stays, a person must act.
    fs::write(sandbox.plain().join("ssh/known_hosts"), "").expect("a file");
    sandbox.plug_in("far");
    warns(&sandbox.sp(&["status"]), 1, "(this stays until it is put right)");
    // Without a question nothing is missing.
    for command in ["plan", "status", "results"] {
        let run = sandbox.expect(0, &[command, "--offline"]);
        assert!(!run.stderr.contains("`far`"), "{run:?}");
    }
    // For programs it is an object like any error.
    let run = sandbox.expect(1, &["status", "--json"]);
    let object: serde_json::Value = serde_json::from_str(run.stderr.trim()).expect("one object");
    assert_eq!((&object["host"], &object["code"]), (&"far".into(), &"host-key-unknown".into()));
}

#[test]
fn a_result_is_accepted_and_a_job_looked_at_beside_a_silent_host() {
    let sandbox = sandbox(HERE);
    sandbox.expect(0, &["apply"]);
    let text = sandbox.read("campaign.toml").replace("echo told", "echo retold");
    sandbox.write("campaign.toml", &text);
    sandbox.unplug("far");
    let run = sandbox.sp(&["accept", "n=2"]);
    warns(&run, 75, "(this may pass by itself)");
    assert!(run.stderr.contains("n=2 counts as done by the result of "), "{run:?}");
    // Its result lies where nobody answers.
    let run = sandbox.sp(&["accept", "n=1"]);
    assert_eq!(run.code, 75, "{run:?}");
    assert!(run.stderr.contains("1 result on host `far` not accepted"), "{run:?}");
    assert!(!run.stderr.contains("n=1 counts as done"), "{run:?}");
    let run = sandbox.sp(&["attach", "n=2"]);
    assert!(run.code == 1 && run.stderr.contains("host `far`"), "{run:?}");
}

/// Where nobody answers, what is known is shown all the same.
#[test]
fn where_no_host_answers_the_last_known_is_shown() {
    let sandbox = sandbox("");
    let text = sandbox.read("campaign.toml").replace("[1, 2]", "[1]");
    sandbox.write("campaign.toml", &text);
    sandbox.expect(0, &["apply"]);
    sandbox.unplug("far");
    let passing = "(this may pass by itself)";
    for (arguments, shown) in [
        (&["status"][..], "far: 1 succeeded"),
        (&["results"], "n=1"),
        (&["plan"], "Plan: nothing to do; 1 done"),
        (&["explain", "n=1"], "It succeeded."),
        (&["logs", "n=1"], "told 1"),
    ] {
        let run = sandbox.sp(arguments);
        warns(&run, 75, passing);
        assert!(run.stdout.contains(shown), "{arguments:?}: {run:?}");
        if ["status", "results", "plan"].contains(&arguments[0]) {
            assert!(run.stderr.contains("`--offline` shows what is known"), "{run:?}");
        }
    }
    for command in ["apply", "wait", "gc"] {
        let run = sandbox.expect(75, &[command]);
        assert!(run.stderr.contains("error: host `far`"), "{run:?}");
    }
}

/// The time bounds the asking, too: a host that never answers does not add to it.
#[test]
fn a_timeout_of_wait_bounds_the_asking() {
    let mut sandbox = sandbox(HERE);
    sandbox.expect(0, &["apply"]);
    sandbox.ssh_config("Host far\n  ProxyCommand sh -c 'cat >/dev/null; :'\n");
    sandbox.set("SP_TEST_ASK_WITHIN", "60");
    let began = std::time::Instant::now();
    let run = sandbox.expect(124, &["wait", "--timeout", "1s"]);
    assert!(run.stderr.contains("the time is over"), "{run:?}");
    assert!(began.elapsed().as_secs() < 30, "it took {:?}", began.elapsed());
    sandbox.wait_quiet();
}

/// Two hosts have an obsolete job in their queue; one leaves the file, or is silent. The other one's is taken out.
#[test]
fn withdrawing_goes_on_past_a_host_that_is_gone_or_silent() {
    for left_the_file in [true, false] {
        let sandbox = sandbox(&HERE.replace("'n == 2'", "'n > 1'"));
        for home in [sandbox.home(), sandbox.host_home("far")] {
            fs::write(home.join("hold"), "").expect("a file");
        }
        let text = sandbox.read("campaign.toml");
        let all = text.replace("[1, 2]", "[1, 2, 3, 4]").replace("'n == 1'", "'n in [1, 4]'");
        let all = all.replace("'n > 1'", "'n in [2, 3]'");
        sandbox.write("campaign.toml", &all);
        sandbox.expect(0, &["apply", "--detach"]);
        wait_until("a job runs on each host", || {
            let states = sandbox.states();
            states.iter().filter(|(state, _)| state == "running").count() == 2
        });
        // The two that wait leave the matrix; a third job comes.
        let without =
            all.replace("n = [1, 2, 3, 4]", "n = [2, 5]").replace("'n in [2, 3]'", "'n in [2, 5]'");
        let without = if left_the_file {
            without.replace("[hosts.far]\nssh = 'far'\nwhen = 'n in [1, 4]'\n", "")
        } else {
            sandbox.unplug("far");
            without
        };
        sandbox.write("campaign.toml", &without);
        fs::remove_file(sandbox.home().join("hold")).expect("it is there");
        let run = sandbox.sp(&["apply", "-y", "--withdraw"]);
        let code = if left_the_file { 1 } else { 75 };
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.stderr.contains("host `far`"), "{run:?}");
        assert!(run.stderr.contains("2 succeeded"), "{run:?}");
        fs::remove_file(sandbox.host_home("far").join("hold")).expect("it is there");
        sandbox.wait_quiet();
    }
}

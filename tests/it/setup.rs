//! `setup`: once for a tree, before the jobs that need it, alone; a failed one starts nothing.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

mod hosts;

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Sandbox, finish, shell, signal, wait_until};

/// A campaign with a setup and so many jobs; what ran is in `~/ran`, which no snapshot has.
fn campaign(setup: &str, jobs: u32, more: &str) -> String {
    format!(
        "name = 'c'\nsetup = '''{setup}'''\ncommand = 'echo job >> ~/ran'\n{more}\n[matrix]\nn = {{ from = 1, to = {jobs} }}\n"
    )
}

const COUNTS: &str = "echo setup >> ~/ran";
const SNAPSHOT: &str = "[hosts.local]\nsnapshot = true\n";

fn ran(sandbox: &Sandbox) -> Vec<String> {
    let text = fs::read_to_string(sandbox.home().join("ran")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Attempts of setups, by their claims.
fn setups(sandbox: &Sandbox) -> Vec<String> {
    let states = sandbox.attempts("c", "state");
    let texts = states.iter().map(|path| fs::read_to_string(path).expect("records"));
    texts.filter(|text| text.lines().next().is_some_and(|l| l.contains(" kind=setup "))).collect()
}

/// The last event `setup` of an apply's JSON Lines.
fn last_event(stdout: &str) -> Value {
    let mut events = stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    events.rfind(|event| event["event"] == "setup").expect("an event `setup`")
}

#[test]
fn it_runs_once_before_the_jobs_and_they_say_so() {
    for hosts in ["", SNAPSHOT] {
        let sandbox = Sandbox::with(&format!("{}{hosts}", campaign(COUNTS, 3, "")));
        let plan = sandbox.expect(0, &["plan"]);
        let told = "Before them, unless it has run in the same tree: echo setup >> ~/ran\n";
        assert!(plan.stdout.contains(told), "{}", plan.stdout);
        assert_eq!(sandbox.json(&["plan"])["setup"], COUNTS);
        let run = sandbox.expect(0, &["apply"]);
        assert_eq!(ran(&sandbox), ["setup", "job", "job", "job"], "{hosts}");
        assert!(run.stderr.contains("SETUP ["), "{}", run.stderr);
        assert!(run.stderr.contains("local  echo setup >> ~/ran"), "{}", run.stderr);
        let claims: Vec<String> = sandbox
            .attempts("c", "state")
            .iter()
            .map(|path| fs::read_to_string(path).expect("records"))
            .map(|text| text.lines().next().expect("a claim").to_owned())
            .collect();
        let own = claims.iter().find(|claim| claim.contains(" kind=setup ")).expect("a setup");
        let id = crate::support::field(own, "id");
        let needs = format!(" setup={id} ");
        assert_eq!(claims.iter().filter(|claim| claim.contains(&needs)).count(), 3);
        // It is no job: neither in the tables nor in the numbers.
        assert_eq!(sandbox.results("c").len(), 3);
        assert_eq!(sandbox.states().len(), 3);
        sandbox.wait_quiet();
    }
}

#[test]
fn the_same_tree_is_set_up_once_and_another_wording_again() {
    let sandbox = Sandbox::with(&format!("{}{SNAPSHOT}", campaign(COUNTS, 2, "")));
    sandbox.write("code", "1");
    sandbox.expect(0, &["apply"]);
    let ids: Value = sandbox.json(&["status"])["jobs"].clone();
    // More jobs, the same tree.
    sandbox.write("campaign.toml", &format!("{}{SNAPSHOT}", campaign(COUNTS, 3, "")));
    let changed = "exclude = ['/campaign.toml']";
    let text =
        |setup: &str, jobs| format!("{}{SNAPSHOT}[sync]\n{changed}\n", campaign(setup, jobs, ""));
    sandbox.write("campaign.toml", &text(COUNTS, 3));
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox).iter().filter(|word| *word == "setup").count(), 2);
    sandbox.write("campaign.toml", &text(COUNTS, 5));
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox).iter().filter(|word| *word == "setup").count(), 2);
    // Another wording sets up anew, and back again too: the tree is the last one's.
    sandbox.write("campaign.toml", &text("echo other >> ~/ran", 6));
    sandbox.expect(0, &["apply"]);
    sandbox.write("campaign.toml", &text(COUNTS, 7));
    sandbox.expect(0, &["apply"]);
    let words: Vec<String> = ran(&sandbox).into_iter().filter(|word| word != "job").collect();
    assert_eq!(words, ["setup", "setup", "other", "setup"]);
    assert_eq!(ran(&sandbox).iter().filter(|word| *word == "job").count(), 7);
    let now: Value = sandbox.json(&["status"])["jobs"].clone();
    assert_eq!(ids[0]["id"], now[0]["id"]);
    sandbox.wait_quiet();
}

#[test]
fn one_that_fails_starts_nothing_and_runs_again() {
    let setup = "echo oh; echo why >&2; test -e ~/repaired";
    let sandbox = Sandbox::with(&campaign(setup, 3, ""));
    let run = sandbox.expect(1, &["apply"]);
    for words in
        ["the setup failed on host `local`: exit code 1", "| oh", "| why", "its log: .sp/c/logs/"]
    {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    assert_eq!(ran(&sandbox), Vec::<String>::new());
    assert_eq!(sandbox.states(), vec![("pending".to_owned(), String::new()); 3]);
    let status = sandbox.expect(0, &["status"]);
    assert!(status.stdout.contains("setup on local: failed"), "{}", status.stdout);
    let explained = sandbox.expect(0, &["explain", "n=1"]);
    assert!(
        explained.stdout.contains("Its setup on host `local`, attempt 1: failed"),
        "{explained:?}"
    );
    let logs = sandbox.expect(1, &["logs", "n=1"]);
    assert!(logs.stderr.contains("its log: .sp/c/logs/"), "{}", logs.stderr);
    sandbox.wait_quiet();
    let run = sandbox.expect(1, &["apply", "--json"]);
    let event = last_event(&run.stdout);
    assert_eq!((&event["state"], &event["attempt"]), (&"failed".into(), &2.into()), "{event}");
    assert_eq!((&event["host"], &event["exit_code"]), (&"local".into(), &1.into()), "{event}");
    fs::write(sandbox.home().join("repaired"), "").expect("a file");
    let run = sandbox.expect(0, &["apply", "--json"]);
    let event = last_event(&run.stdout);
    assert_eq!((&event["state"], &event["attempt"]), (&"succeeded".into(), &3.into()), "{event}");
    assert_eq!(ran(&sandbox), ["job", "job", "job"]);
    let explained = sandbox.expect(0, &["explain", "n=1"]);
    assert!(explained.stdout.contains("attempt 3: succeeded"), "{explained:?}");
    sandbox.wait_quiet();
}

/// What was handed over needs no client.
#[test]
fn a_client_that_is_killed_is_not_missed() {
    let go = "until [ -e ~/go ]; do sleep 0.02; done; echo setup >> ~/ran";
    let sandbox = Sandbox::with(&campaign(go, 3, ""));
    let child = sandbox.spawn(&["apply"]);
    wait_until("the setup runs", || setups(&sandbox).iter().any(|text| text.contains("\nstart ")));
    signal(&child, Signal::KILL);
    finish(child);
    let status = sandbox.json(&["status"]);
    assert_eq!(status["hosts"][0]["setup"]["state"], "running", "{status}");
    assert_eq!(status["counts"]["queued"], 3);
    fs::write(sandbox.home().join("go"), "").expect("a file");
    wait_until("all ran", || ran(&sandbox).len() == 4);
    sandbox.wait_quiet();
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["setup", "job", "job", "job"]);
}

#[test]
fn cancelled_with_the_jobs_that_need_it() {
    let sandbox = Sandbox::with(&campaign("echo setup >> ~/ran; sleep 600", 3, ""));
    let child = sandbox.spawn(&["apply"]);
    wait_until("the setup runs", || !ran(&sandbox).is_empty());
    sandbox.expect(0, &["cancel", "--all", "--now"]);
    let run = finish(child);
    assert_eq!(run.code, 100, "{run:?}");
    sandbox.wait_quiet();
    assert_eq!(ran(&sandbox), ["setup"]);
    assert!(setups(&sandbox).concat().contains(" state=cancelled reason=by-user "));
}

/// With the environment of a job, but for what a job alone has; secrets too.
#[test]
fn its_environment() {
    let text = "env | sort > ~/env; echo $PWD > ~/pwd";
    let more = "[env]\nA = 'x'\nB = '{{ n }}'\nTOKEN = { from-env = 'MY_TOKEN' }\n[hosts.local.env]\nC = 'y'\n";
    let mut sandbox =
        Sandbox::with(&campaign(text, 2, "").replace("[matrix]", &format!("{more}[matrix]")));
    sandbox.set("MY_TOKEN", "s3cret");
    sandbox.expect(0, &["apply"]);
    let env = fs::read_to_string(sandbox.home().join("env")).expect("it ran");
    for line in ["A=x", "C=y", "TOKEN=s3cret", "SP_CAMPAIGN=c", "SP_JOB_NAME=setup", "SP_ATTEMPT=1"]
    {
        assert!(env.lines().any(|has| has == line), "{line} is not in {env}");
    }
    assert!(!env.contains("SP_PARAM_") && !env.contains("\nB="), "{env}");
    assert_eq!(ran(&sandbox), ["job", "job"]);
    let pwd = fs::read_to_string(sandbox.home().join("pwd")).expect("it ran");
    assert_eq!(pwd.trim_end(), sandbox.campaign().to_str().expect("UTF-8"));
    sandbox.wait_quiet();
}

/// Builds in a folder that each snapshot has for itself: each job runs its own binary, and only what changed is built.
#[test]
fn builds_in_a_kept_folder() {
    let build = "mkdir -p out; for part in a b; do [ out/$part -nt $part ] || { cp -f $part out/$part; echo built-$part >> ~/ran; }; done";
    let text = |n: u32| {
        format!(
            "name = 'c'\nsetup = '''{build}'''\ncommand = 'cat out/a out/b >> ~/ran'\n[sync]\nkeep = ['out']\nexclude = ['/campaign.toml']\n[matrix]\nn = [{n}]\n{SNAPSHOT}"
        )
    };
    let sandbox = Sandbox::with(&text(1));
    sandbox.write("a", "a1\n");
    sandbox.write("b", "b1\n");
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["built-a", "built-b", "a1", "b1"]);
    // The changed one is older than what was built.
    sandbox.write("a", "a2\n");
    shell(&sandbox.campaign(), "touch -d 2001-01-01 a");
    sandbox.write("campaign.toml", &text(2));
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox)[4..], ["built-a", "a2", "b1"]);
    // Back: the first tree has what was built in it.
    sandbox.write("a", "a1\n");
    sandbox.write("campaign.toml", &text(3));
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox)[7..], ["a1", "b1"]);
    sandbox.wait_quiet();
}

/// A tree that was removed and is sent again is another one, whatever ran in the first.
#[test]
fn a_tree_that_is_sent_again_is_set_up_again() {
    let text = |jobs| {
        let more = "[sync]\nexclude = ['/campaign.toml']";
        format!("{}{SNAPSHOT}", campaign(COUNTS, jobs, more))
    };
    let sandbox = Sandbox::with(&text(1));
    sandbox.write("code", "1");
    sandbox.expect(0, &["apply"]);
    sandbox.wait_quiet();
    fs::remove_dir_all(sandbox.place("c").join("snapshots")).expect("trees");
    sandbox.write("campaign.toml", &text(2));
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["setup", "job", "setup", "job"]);
    sandbox.wait_quiet();
}

/// In the campaign's own folder what was set up last counts: going back to older code sets it up again.
#[test]
fn the_own_folder_is_set_up_for_the_code_that_it_holds() {
    let text = |n: u32| {
        format!(
            "name = 'c'\nsetup = 'cat code > .sp/built; echo setup >> ~/ran'\ncommand = 'cat .sp/built >> ~/ran'\n[matrix]\nn = [{n}]\n"
        )
    };
    let sandbox = Sandbox::with(&text(1));
    for (n, code) in [(1, "one\n"), (2, "two\n"), (3, "one\n"), (4, "one\n")] {
        sandbox.write("code", code);
        sandbox.write("campaign.toml", &text(n));
        sandbox.expect(0, &["apply"]);
    }
    assert_eq!(ran(&sandbox), ["setup", "one", "setup", "two", "setup", "one", "one"]);
    sandbox.wait_quiet();
}

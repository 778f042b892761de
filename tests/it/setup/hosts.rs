//! `setup` on hosts over ssh: each sets up its own trees, and what moves or fails there is told.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use super::campaign;
use crate::support::{Sandbox, finish, kill, shell, signal, wait_until};

/// Tables of hosts over ssh; `more`: further keys of each.
fn tables(named: &[(&str, &str)]) -> String {
    let table = |(name, more): &(&str, &str)| format!("[hosts.{name}]\nssh = '{name}'\n{more}\n");
    named.iter().map(table).collect()
}

/// Lines of a file in the home of a host.
fn lines(sandbox: &Sandbox, host: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(sandbox.host_home(host).join(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn make(sandbox: &Sandbox, host: &str, name: &str) {
    fs::write(sandbox.host_home(host).join(name), "").expect("a file");
}

/// Complete lines of a host's journal that begin with a word.
fn told(sandbox: &Sandbox, host: &str, word: &str) -> Vec<String> {
    let journal = sandbox.host_place(host, "c").join("journal");
    let text = fs::read_to_string(journal).unwrap_or_default();
    let whole = text.lines().filter(|line| line.ends_with(" ."));
    whole.filter(|line| line.split(' ').next() == Some(word)).map(str::to_owned).collect()
}

/// State and detail of the newest setup of a host, by what the client knows.
fn setup_on(sandbox: &Sandbox, host: &str) -> (String, String) {
    let status = sandbox.json(&["status", "--offline"]);
    let hosts = status["hosts"].as_array().expect("a list");
    let found = hosts.iter().find(|one| one["name"] == host).expect("the host");
    let word = |key: &str| found["setup"][key].as_str().unwrap_or("").to_owned();
    (word("state"), word("detail"))
}

/// Hand-overs in the queue of a host.
fn queued(sandbox: &Sandbox, host: &str) -> Vec<PathBuf> {
    let queue = fs::read_dir(sandbox.host_place(host, "c").join("queue"));
    let paths = queue.into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.to_string_lossy().contains('~')).collect()
}

#[test]
fn one_that_fails_is_told_with_its_log() {
    let mut sandbox = Sandbox::with(&format!(
        "{}[hosts.box]\nssh = 'box'\n",
        campaign("echo $SP_HOST; test -e ~/repaired", 2, "")
    ));
    sandbox.hosts(&["box"]);
    let run = sandbox.expect(1, &["apply"]);
    assert!(run.stderr.contains("the setup failed on host `box`: exit code 1"), "{}", run.stderr);
    assert!(run.stderr.contains("| box"), "{}", run.stderr);
    fs::write(sandbox.host_home("box").join("repaired"), "").expect("a file");
    sandbox.expect(0, &["apply"]);
    let ran = fs::read_to_string(sandbox.host_home("box").join("ran")).expect("jobs ran");
    assert_eq!(ran, "job\njob\n");
}

/// Two snapshots build into a folder that each has for itself, while jobs of the first one wait: each job runs its own
/// binary, also where the changed source is older than what was built.
#[test]
fn each_job_runs_the_binary_of_its_snapshot() {
    let build = "mkdir -p out; [ out/prog -nt prog ] || { cp -f prog out/prog; echo built-$(sh prog) >> ~/ran; }";
    let text = |to: u32| {
        let hosts = tables(&[("a", "when = \"on == 'a'\""), ("b", "when = \"on == 'b'\"")]);
        format!(
            "name = 'c'\nsetup = '''{build}'''\ncommand = 'until [ -e ~/go ]; do sleep 0.02; done; sh out/prog >> ~/ran'\n\
             [sync]\nkeep = ['out']\nexclude = ['/campaign.toml']\n\
             [matrix]\nn = {{ from = 1, to = {to} }}\non = ['a', 'b']\n{hosts}"
        )
    };
    let mut sandbox = Sandbox::with(&text(2));
    sandbox.hosts(&["a", "b"]);
    sandbox.write("prog", "echo one\n");
    sandbox.expect(0, &["apply", "--detach"]);
    for host in ["a", "b"] {
        wait_until("its first job runs", || told(&sandbox, host, "start").len() == 2);
    }
    sandbox.write("prog", "echo two\n");
    shell(&sandbox.campaign(), "touch -d 2001-01-01 prog");
    sandbox.write("campaign.toml", &text(4));
    let apply = sandbox.spawn(&["apply"]);
    for host in ["a", "b"] {
        wait_until("the second hand-over waits", || queued(&sandbox, host).len() == 2);
        make(&sandbox, host, "go");
    }
    let run = finish(apply);
    assert_eq!(run.code, 0, "{run:?}");
    for host in ["a", "b"] {
        let expected = ["built-one", "one", "one", "built-two", "two", "two"];
        assert_eq!(lines(&sandbox, host, "ran"), expected, "{host}: {run:?}");
        let said = format!("] {host}  mkdir -p out;");
        let said = run.stderr.lines().filter(|line| line.contains("SETUP") && line.contains(&said));
        assert_eq!(said.count(), 1, "{host}: {}", run.stderr);
    }
    // Back: the first snapshot has what was built in it, however old its source is now.
    sandbox.write("prog", "echo one\n");
    shell(&sandbox.campaign(), "touch -d 2002-02-02 prog");
    sandbox.write("campaign.toml", &text(5));
    sandbox.expect(0, &["apply"]);
    for host in ["a", "b"] {
        assert_eq!(lines(&sandbox, host, "ran")[6..], ["one"], "{host}");
    }
}

/// The cable is cut after the first of ten jobs, and the client dies: setup, jobs in their order, one at a time on two
/// slots, the time limit and the cut of the log are the host's.
#[test]
fn a_client_that_is_cut_off_is_not_missed() {
    let command = "echo {{ n }} >> ~/ran; [ {{ n }} -ne 2 ] || until [ -e ~/go ]; do sleep 0.02; done; \
                   [ {{ n }} -ne 5 ] || sleep 600; [ {{ n }} -ne 7 ] || head -c 300000 /dev/zero | tr '\\0' x";
    let mut sandbox = Sandbox::with(&format!(
        "name = 'c'\nsetup = 'echo setup >> ~/ran'\ncommand = '''{command}'''\ntime-limit = '10s'\nlog-max = '64KiB'\n\
         max-parallel = 1\n[matrix]\nn = {{ from = 1, to = 10 }}\n{}",
        tables(&[("box", "slots = 2")])
    ));
    sandbox.hosts(&["box"]);
    let client = sandbox.spawn(&["apply"]);
    wait_until("the first job has ended and the second one runs", || {
        told(&sandbox, "box", "end").len() == 2 && lines(&sandbox, "box", "ran").len() == 3
    });
    sandbox.unplug("box");
    signal(&client, Signal::KILL);
    wait_until("nothing is left of the connection", || {
        let mut left = sandbox.processes();
        left.retain(|(_, line)| line.starts_with("ssh") || line.contains("/sshd"));
        for (pid, _) in &left {
            kill(*pid, Signal::KILL);
        }
        left.is_empty()
    });
    assert_eq!(finish(client).code, -9);
    make(&sandbox, "box", "go");
    wait_until("all have ended", || told(&sandbox, "box", "end").len() == 11);
    sandbox.wait_quiet();
    let expected: Vec<String> = (1..=10).map(|n| n.to_string()).collect();
    assert_eq!(lines(&sandbox, "box", "ran"), [&["setup".to_owned()][..], &expected].concat());
    sandbox.plug_in("box");
    let states = sandbox.states();
    for (job, (state, reason)) in states.iter().enumerate() {
        let expected = if job == 4 { ("timeout", "time-limit") } else { ("succeeded", "ok") };
        assert_eq!((state.as_str(), reason.as_str()), expected, "{states:?}");
    }
    let log = sandbox.expect(0, &["logs", "n=7"]);
    assert!(log.stdout.len() < 70_000 && log.stdout.contains("bytes left out"), "{log:?}");
    assert_eq!(setup_on(&sandbox, "box").0, "succeeded");
}

/// While one host sets up, another one has run dry: it gets all that waits there, and the setup is ended with it.
#[test]
fn a_setup_whose_jobs_have_moved_is_ended() {
    let text = "[ $SP_HOST = b ] || { : > ~/began; sleep 600; }; until [ -e ~/../host-a/began ]; do sleep 0.02; done";
    let mut sandbox = Sandbox::with(&format!(
        "{}{}",
        campaign(text, 12, "").replace("echo job", "echo $SP_HOST"),
        tables(&[("a", ""), ("b", "")])
    ));
    sandbox.hosts(&["a", "b"]);
    let run = sandbox.expect(0, &["apply"]);
    assert!(sandbox.host_home("a").join("began").exists(), "a got no job: {run:?}");
    assert_eq!(lines(&sandbox, "b", "ran"), vec!["b"; 12], "{run:?}");
    assert_eq!(lines(&sandbox, "a", "ran"), Vec::<String>::new());
    let ends = told(&sandbox, "a", "end");
    let (setups, jobs): (Vec<_>, Vec<_>) =
        ends.iter().partition(|line| line.contains(" kind=setup "));
    assert!(!jobs.is_empty() && jobs.iter().all(|line| line.contains(" to=b ")), "{jobs:?}");
    assert_eq!(setups.len(), 1, "{ends:?}");
    assert!(setups[0].contains(" state=cancelled reason=by-queue "), "{setups:?}");
    sandbox.wait_quiet();
    sandbox.expect(0, &["status"]);
    let known = setup_on(&sandbox, "a");
    assert_eq!(known.0, "cancelled", "{known:?}");
    assert!(known.1.starts_with("ended when nothing in the queue needed it any more"), "{known:?}");
}

/// A host whose setup failed gets nothing of the others, and what it was to run stays pending.
#[test]
fn a_host_whose_setup_failed_gets_no_jobs() {
    let text = "echo on-$SP_HOST; [ $SP_HOST = b ] || [ -e ~/repaired ]";
    let held = "until [ -e ~/go ]; do sleep 0.02; done; echo {{ n }}";
    let mut sandbox = Sandbox::with(&format!(
        "{}{}",
        campaign(text, 12, "").replace("echo job", held),
        tables(&[("a", ""), ("b", "when = 'n > 4'")])
    ));
    sandbox.hosts(&["a", "b"]);
    let plan = sandbox.json(&["plan"]);
    let jobs = plan["jobs"].as_array().expect("a list");
    let home = |name: &str| {
        let at = jobs.iter().filter(|job| job["home"] == name);
        at.map(|job| job["params"]["n"].to_string()).collect::<Vec<String>>()
    };
    let (on_a, on_b) = (home("a"), home("b"));
    assert!(on_b.len() > 1, "there is something to move: {plan}");
    let apply = sandbox.spawn(&["apply"]);
    wait_until("it is known", || {
        sandbox.campaign().join(".sp/c/checkpoint.db").exists()
            && setup_on(&sandbox, "a").0 == "failed"
    });
    make(&sandbox, "b", "go");
    let run = finish(apply);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("the setup failed on host `a`: exit code 1"), "{}", run.stderr);
    // Each host's attempt has its own log.
    assert!(run.stderr.contains("| on-a\n"), "{}", run.stderr);
    assert_eq!(lines(&sandbox, "b", "ran"), on_b, "{run:?}");
    let explained = sandbox.expect(0, &["explain", &format!("n={}", on_a[0])]);
    let why = "Its setup on host `a`, attempt 1: failed";
    assert!(explained.stdout.contains(why), "{}", explained.stdout);
    assert_eq!(told(&sandbox, "a", "end").len(), 1, "its setup, once: {run:?}");
    let pending = sandbox.states().iter().filter(|(state, _)| state == "pending").count();
    assert_eq!(pending, on_a.len());
    make(&sandbox, "a", "repaired");
    make(&sandbox, "a", "go");
    sandbox.expect(0, &["apply"]);
    let mut ran = [lines(&sandbox, "a", "ran"), lines(&sandbox, "b", "ran")].concat();
    ran.sort_by_key(|n| n.parse::<u32>().expect("a number"));
    assert_eq!(ran, (1..=12).map(|n| n.to_string()).collect::<Vec<_>>());
}

//! Several hosts by ssh that share the work: which of them may have a job, and jobs that move from one to another.
//!
//! Every job appends to one file, so that a job which ran twice is seen whatever the tables say.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::support::{Run, Sandbox, files_below, finish, place, wait_until};

/// A sandbox whose hosts are `all`, and whose campaign has this text and the hosts `named`. `LOG` stands for the file that
/// jobs append to.
fn sandbox(all: &[&str], named: &[(&str, &str)], text: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.hosts(all);
    name_hosts(&sandbox, named, text);
    sandbox
}

/// Writes the campaign file: hosts by name, each with more keys of its table.
fn name_hosts(sandbox: &Sandbox, named: &[(&str, &str)], text: &str) {
    let table = |(name, more): &(&str, &str)| format!("[hosts.{name}]\nssh = \"{name}\"\n{more}\n");
    let tables: Vec<String> = named.iter().map(table).collect();
    // The same text in every run of the test, so that jobs have the same ids, and the same homes.
    let text = text.replace("LOG", "~/../ran");
    sandbox.write("campaign.toml", &format!("{text}\n{}", tables.concat()));
}

/// Runs `sp` until all hosts answered in time: on a loaded machine one may be late.
#[track_caller]
fn reached(sandbox: &Sandbox, arguments: &[&str], crash_at: Option<&str>) -> Run {
    let mut run = None;
    wait_until("every host answers in time", || {
        let mut command = sandbox.command(arguments);
        command.envs(crash_at.map(|point| ("SP_CRASH_AT", point)));
        let this = Run::of(&command.output().expect("sp starts"));
        let late = this.stderr.contains("did not answer");
        run = Some(this);
        !late
    });
    run.expect("it ran")
}

/// [`reached`], and it ends with this code.
#[track_caller]
fn ends_with(sandbox: &Sandbox, code: i32, arguments: &[&str]) -> Run {
    let run = reached(sandbox, arguments, None);
    assert_eq!(run.code, code, "{arguments:?}: {run:?}");
    run
}

/// It is killed at this point.
#[track_caller]
fn killed_at(sandbox: &Sandbox, point: &str) {
    let run = reached(sandbox, &["apply"], Some(point));
    assert_eq!(run.code, -9, "it does not come to {point}: {run:?}");
}

/// Which job ran where, by the jobs' own words; a job that ran twice fails the test.
#[track_caller]
fn ran(sandbox: &Sandbox) -> BTreeMap<u32, String> {
    let text = std::fs::read_to_string(sandbox.path().join("ran")).unwrap_or_default();
    let mut ran = BTreeMap::new();
    for line in text.lines() {
        let (job, host) = line.split_once(' ').expect("job and host");
        let job = job.parse().expect("a number");
        assert_eq!(ran.insert(job, host.to_owned()), None, "job {job} ran twice:\n{text}");
    }
    ran
}

/// Home and action of each job, by the plan.
#[track_caller]
fn plan(sandbox: &Sandbox) -> BTreeMap<u32, (String, String)> {
    let plan = sandbox.json(&["plan"]);
    let jobs = plan["jobs"].as_array().expect("a list");
    let word = |job: &serde_json::Value, key: &str| job[key].as_str().unwrap_or("").to_owned();
    let number = |job: &serde_json::Value| {
        job["params"]["n"].as_u64().and_then(|n| u32::try_from(n).ok()).expect("a number")
    };
    jobs.iter().map(|job| (number(job), (word(job, "home"), word(job, "action")))).collect()
}

const EACH: &str = "name = 'spread'\ncommand = 'echo {{ n }} $SP_HOST >> LOG'\n[matrix]\nn = { from = 1, to = 24 }\n";

/// The host that a job was dealt to by an older list does not answer: it may have the job.
#[test]
fn a_list_that_another_client_dealt_by_is_learned_from_the_hosts() {
    let sandbox = sandbox(&["a", "b", "c"], &[("a", ""), ("b", "")], EACH);
    let homes = plan(&sandbox);
    ends_with(&sandbox, 0, &["apply", "-F", "n <= 12"]);
    let first = ran(&sandbox);
    assert_eq!(first.keys().copied().collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    // Another client: it has the new file and was never here.
    name_hosts(&sandbox, &[("a", ""), ("b", ""), ("c", "")], EACH);
    std::fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("a checkpoint");
    sandbox.unplug("a");
    let run = ends_with(&sandbox, 75, &["apply"]);
    let second = ran(&sandbox);
    for (job, (home, _)) in &homes {
        let may_be_there = home == "a";
        let ran_now = second.contains_key(job) && !first.contains_key(job);
        assert!(!(may_be_there && ran_now), "{job} may have run on a: {run:?}");
        assert!(may_be_there || second.contains_key(job), "{job} was dealt to {home}: {run:?}");
    }
    let moved_home = homes.keys().filter(|job| first.get(job).is_some_and(|host| host == "a"));
    assert!(moved_home.count() > 0 && second.values().any(|host| host == "c"), "{second:?}");
    sandbox.plug_in("a");
    ends_with(&sandbox, 0, &["apply"]);
    assert_eq!(ran(&sandbox).len(), 24);
    // With the checkpoint that has learned the list now, no host need tell it.
    let (store, root) =
        (sandbox.campaign().join(".sp/spread/checkpoint.db"), sandbox.host_root("b"));
    assert!(store.exists());
    let lists = std::fs::read_to_string(place(&root, "spread").join("hosts")).expect("lists");
    assert_eq!(lists.lines().count(), 2, "{lists}");
}

/// A job of the host `a` waits until all others are done, or until it is let go; one of `b` waits for nothing.
const HELD: &str = "name = 'spread'\ncommand = 'until [ -e LOG.go ] || [ $(cat LOG | wc -l) -ge {{ host.others }} ]; do sleep 0.05; done; echo {{ n }} $SP_HOST >> LOG'\n[matrix]\nn = { from = 1, to = 12 }\n";
const SLOW: (&str, &str) = ("a", "vars = { others = 11 }");
const FAST: (&str, &str) = ("b", "vars = { others = 0 }");

fn let_go(sandbox: &Sandbox) {
    std::fs::write(sandbox.path().join("ran.go"), "").expect("a file");
}

fn number_on(ran: &BTreeMap<u32, String>, host: &str) -> usize {
    ran.values().filter(|name| *name == host).count()
}

#[test]
fn what_waits_on_a_slow_host_moves_to_one_that_has_run_dry() {
    let sandbox = sandbox(&["a", "b"], &[SLOW, FAST], HELD);
    let dealt = plan(&sandbox);
    let dealt_to_a = dealt.values().filter(|(home, _)| home == "a").count();
    let run = ends_with(&sandbox, 0, &["apply", "--json"]);
    let ran = ran(&sandbox);
    assert_eq!(ran.len(), 12);
    assert_eq!((number_on(&ran, "a"), number_on(&ran, "b")), (1, 11), "{ran:?}");
    // It is told, and every job that changed its host was.
    let events = run.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let events: Vec<serde_json::Value> = events.collect();
    let moved: Vec<&serde_json::Value> =
        events.iter().filter(|event| event["event"] == "job-moved").collect();
    assert_eq!(moved.len(), dealt_to_a - 1, "{moved:#?}");
    assert!(moved.iter().all(|event| event["from"] == "a" && event["to"] == "b"), "{moved:#?}");
    assert!(sandbox.states().iter().all(|(state, _)| state == "succeeded"));
    // Its row is kept, and it counts for nothing: the next apply finds all done, by a new checkpoint too.
    let attempts = sandbox.read(".sp/spread/attempts.csv");
    assert_eq!(attempts.lines().filter(|line| line.contains(",moved,")).count(), moved.len());
    std::fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("a checkpoint");
    let again = ends_with(&sandbox, 0, &["apply"]);
    assert!(again.stderr.contains("Plan: 0 to run, 12 to take over"), "{again:?}");
    assert_eq!(self::ran(&sandbox).len(), 12);
}

/// The client killed at each step of a move, and of the hand-over that follows it.
#[test]
fn killed_at_every_step_of_a_move() {
    for point in [
        "host.move.before:1",
        "host.move.after:1",
        "store.intend.before:3",
        "store.intend.inside:3",
        "store.intend.after:3",
        "host.hand_over.before:3",
        "host.hand_over.after:3",
    ] {
        let sandbox = sandbox(&["a", "b"], &[SLOW, FAST], HELD);
        killed_at(&sandbox, point);
        ends_with(&sandbox, 0, &["apply"]);
        assert_eq!(ran(&sandbox).len(), 12, "{point}");
    }
}

/// A job that one host has given away and the other has not got yet is nobody's: a cancel takes it where it is to come.
#[test]
fn a_cancel_reaches_what_is_on_its_way() {
    for point in ["host.move.after:1", "store.intend.after:3"] {
        let sandbox = sandbox(&["a", "b"], &[SLOW, FAST], HELD);
        killed_at(&sandbox, point);
        let before = ran(&sandbox).len();
        ends_with(&sandbox, 0, &["cancel", "--all"]);
        let_go(&sandbox);
        ends_with(&sandbox, 100, &["apply"]);
        assert_eq!(ran(&sandbox).len(), before, "{point}: {:?}", sandbox.states());
        assert!(
            sandbox.states().iter().all(|(state, _)| state == "succeeded" || state == "cancelled")
        );
    }
}

/// The same while an apply lives that is about to hand it over.
#[test]
fn a_cancel_is_faster_than_the_hand_over_of_what_was_moved() {
    let sandbox = sandbox(&["a", "b"], &[SLOW, FAST], HELD);
    // The login shell is asked before each hand-over.
    let profile = "until [ ! -e ~/hang ]; do echo >>~/asked; sleep 0.05; done\n";
    std::fs::write(sandbox.host_home("b").join(".bash_profile"), profile).expect("a profile");
    let hang = sandbox.host_home("b").join("hang");
    let apply = sandbox.spawn(&["apply"]);
    wait_until("the fast host runs jobs", || number_on(&ran(&sandbox), "b") > 0);
    std::fs::write(&hang, "").expect("a file");
    wait_until("it is to get more", || sandbox.host_home("b").join("asked").exists());
    ends_with(&sandbox, 0, &["cancel", "--all"]);
    let before = ran(&sandbox).len();
    let_go(&sandbox);
    std::fs::remove_file(&hang).expect("a file");
    let run = finish(apply);
    assert_eq!(run.code, 100, "{run:?}");
    assert_eq!(ran(&sandbox).len(), before, "{run:?}");
    assert!(sandbox.states().iter().all(|(state, _)| state == "succeeded" || state == "cancelled"));
}

/// What its home gave away is the other host's: while that one does not answer, nobody else starts it; once it has left
/// the file, a person may call it back.
#[test]
fn a_moved_job_is_for_the_host_that_got_it() {
    let sandbox = sandbox(&["a", "b"], &[SLOW, FAST], HELD);
    killed_at(&sandbox, "host.move.after:1");
    wait_until("what b had before is known to have ended", || {
        let status = sandbox.json(&["status"]);
        let jobs = status["jobs"].as_array().expect("a list");
        let open = ["queued", "running"];
        !jobs.iter().any(|job| job["host"] == "b" && open.iter().any(|word| job["state"] == *word))
    });
    let_go(&sandbox);
    sandbox.unplug("b");
    let run = ends_with(&sandbox, 75, &["apply"]);
    let before = ran(&sandbox);
    let blocked: Vec<u32> = (1..=12).filter(|job| !before.contains_key(job)).collect();
    assert!(!blocked.is_empty(), "{run:?}");
    let pending = sandbox.results("spread");
    let pending = pending.iter().filter(|row| row["state"] == "pending").count();
    assert_eq!(pending, blocked.len());
    name_hosts(&sandbox, &[SLOW], HELD);
    let run = reached(&sandbox, &["apply"], None);
    assert_eq!((run.code, ran(&sandbox).len()), (75, before.len()), "{run:?}");
    let called = format!("n={}", blocked[0]);
    reached(&sandbox, &["apply", "--rerun", &called], None);
    let after = ran(&sandbox);
    assert_eq!(after.get(&blocked[0]).map(String::as_str), Some("a"));
    assert_eq!(after.len(), before.len() + 1);
}

/// `sp gc` in the middle of a move, by clients that know nothing of it: the one has a fresh checkpoint, the other another
/// matrix, so that it wants none of the jobs.
#[test]
fn gc_keeps_what_a_move_rests_on() {
    let sandbox = sandbox(&["a", "b"], &[SLOW, FAST], HELD);
    killed_at(&sandbox, "host.move.after:1");
    let_go(&sandbox);
    wait_until("nothing is under way", || {
        let status = sandbox.json(&["status"]);
        let jobs = status["jobs"].as_array().expect("a list");
        !jobs.iter().any(|job| job["state"] == "queued" || job["state"] == "running")
    });
    let moved = || {
        let records = files_below(&sandbox.host_place("a", "spread").join("jobs")).into_iter();
        let records = records.filter(|path| path.ends_with("state"));
        let given = |path: &PathBuf| {
            std::fs::read_to_string(path).is_ok_and(|text| text.contains(" reason=moved "))
        };
        records.filter(given).count()
    };
    let before = (moved(), ran(&sandbox));
    assert!(before.0 > 0 && before.1.len() + before.0 == 12, "{before:?}");
    let forget = || std::fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("a checkpoint");
    forget();
    ends_with(&sandbox, 0, &["gc", "-y", "--older-than", "0s"]);
    name_hosts(&sandbox, &[SLOW, FAST], &HELD.replace("{ from = 1, to = 12 }", "[99]"));
    let run = ends_with(&sandbox, 0, &["gc", "-y", "--others", "--older-than", "0s"]);
    assert!(run.stdout.contains("outputs and logs"), "{run:?}");
    forget();
    name_hosts(&sandbox, &[SLOW, FAST], HELD);
    assert_eq!((moved(), ran(&sandbox)), before);
    // With a choice of hosts nothing moves on from there.
    ends_with(&sandbox, 0, &["apply", "--host", "b"]);
    let after = ran(&sandbox);
    assert_eq!((after.len(), number_on(&after, "a")), (12, number_on(&before.1, "a")), "{after:?}");
}

/// A host whose root is wiped in the midst of an apply is sent the code again with the next jobs that it gets.
#[test]
fn a_host_that_was_wiped_gets_the_code_again() {
    let text = "name = 'spread'\ncommand = 'if [ $SP_HOST = b ] && mkdir ~/wiped; then rm -rf ~/.local/share/sp; exit; fi; n=0; until [ $SP_HOST = b ] || [ -e LOG ] || [ $n -ge 400 ]; do n=$((n + 1)); sleep 0.05; done; echo {{ n }} $SP_HOST >> LOG'\n[matrix]\nn = { from = 1, to = 12 }\n";
    let sandbox = sandbox(&["a", "b"], &[("a", ""), ("b", "")], text);
    // What had waited there is lost, what comes there later runs.
    let run = ends_with(&sandbox, 100, &["apply"]);
    assert!(sandbox.host_home("b").join("wiped").exists(), "{run:?}");
    let states = sandbox.states();
    assert!(states.iter().all(|(state, _)| state != "failed"), "{states:?}");
    let ran = ran(&sandbox);
    assert!(number_on(&ran, "b") > 0, "{ran:?}\n{run:?}");
    ends_with(&sandbox, 0, &["apply"]);
}

#[test]
fn a_choice_of_hosts_moves_nothing() {
    let sandbox = sandbox(&["a", "b"], &[SLOW, FAST], HELD);
    let homes = plan(&sandbox);
    let_go(&sandbox);
    ends_with(&sandbox, 0, &["apply", "--host", "a"]);
    let expected: Vec<u32> =
        (1..=12).filter(|job| homes.get(job).is_some_and(|(home, _)| home == "a")).collect();
    let ran = ran(&sandbox);
    assert_eq!(ran.keys().copied().collect::<Vec<_>>(), expected);
    assert!(ran.values().all(|host| host == "a"), "{ran:?}");
}

/// Hosts count their own failures; the client adds them up. The first job of each host fails at once, the second one only
/// when both hosts have had their queues emptied, which neither does by itself.
#[test]
fn failures_count_over_all_hosts() {
    let text = "name = 'spread'\ncommand = 'mkdir ~/first || until [ -e LOG.go ]; do sleep 0.05; done; echo {{ n }} $SP_HOST >> LOG; exit 3'\nmax-fail = 2\n[matrix]\nn = { from = 1, to = 24 }\n";
    let sandbox = sandbox(&["a", "b"], &[("a", ""), ("b", "")], text);
    let apply = sandbox.spawn(&["apply"]);
    wait_until("both queues are empty", || {
        ["a", "b"].iter().all(|host| {
            let marks = sandbox.host_place(host, "spread").join("withdrawn");
            std::fs::read_dir(marks).is_ok_and(|mut marks| marks.next().is_some())
        })
    });
    let_go(&sandbox);
    let run = finish(apply);
    assert_eq!(run.code, 100, "{run:?}");
    let ran = ran(&sandbox);
    assert!((2..=4).contains(&ran.len()), "{ran:?}");
    let pending = sandbox.states().iter().filter(|(state, _)| state == "pending").count();
    assert_eq!(pending, 24 - ran.len());
}

/// Two hosts and one job at once: the second host begins when the first one is done.
#[test]
fn jobs_at_once_are_counted_over_all_hosts() {
    let text = "name = 'spread'\ncommand = 'mkdir LOG.busy && sleep 0.05 && rmdir LOG.busy && echo {{ n }} $SP_HOST >> LOG'\n[matrix]\nn = { from = 1, to = 12 }\n";
    let sandbox = sandbox(&["a", "b"], &[("a", "slots = 2"), ("b", "slots = 2")], text);
    let run = ends_with(&sandbox, 0, &["apply", "--max-parallel", "1"]);
    let ran = ran(&sandbox);
    assert!(ran.len() == 12 && number_on(&ran, "a") > 0 && number_on(&ran, "b") > 0, "{run:?}");
}

/// Two names of one place: each job would be dealt to one of them and found on both. The second name gets nothing, and what
/// the first one has to do is done.
#[test]
fn one_place_under_two_names_is_asked_by_one() {
    let sandbox = sandbox(&["a", "twin"], &[], EACH);
    let root = |name: &str| format!("root = \"{}\"", sandbox.path().join(name).display());
    name_hosts(&sandbox, &[("a", &root("one")), ("twin", &root("one"))], EACH);
    for command in ["apply", "status"] {
        let run = ends_with(&sandbox, 1, &[command]);
        assert!(run.stderr.contains("`a` and `twin` are the same place"), "{}", run.stderr);
    }
    let there = ran(&sandbox);
    assert!(there.len() < 24 && there.values().all(|host| host == "a"), "{there:?}");
    name_hosts(&sandbox, &[("a", &root("one")), ("twin", &root("two"))], EACH);
    ends_with(&sandbox, 0, &["apply"]);
    assert_eq!(ran(&sandbox).len(), 24);
}

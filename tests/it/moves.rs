//! Several hosts by ssh that share the work: which of them may have a job, and jobs that move from one to another.
//!
//! Every job appends to one file, so that a job which ran twice is seen whatever the tables say.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::collections::BTreeMap;

use crate::support::Sandbox;

/// A sandbox whose hosts are `all`, and whose campaign has this text and the hosts `named`. `LOG` stands for the file that
/// jobs append to.
fn sandbox(all: &[&str], named: &[&str], text: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.hosts(all);
    name_hosts(&sandbox, named, text);
    sandbox
}

fn name_hosts(sandbox: &Sandbox, named: &[&str], text: &str) {
    let tables: Vec<String> =
        named.iter().map(|name| format!("[hosts.{name}]\nssh = \"{name}\"\n")).collect();
    let log = sandbox.path().join("ran");
    let text = text.replace("LOG", &log.to_string_lossy());
    sandbox.write("campaign.toml", &format!("{text}\n{}", tables.concat()));
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
    let sandbox = sandbox(&["a", "b", "c"], &["a", "b"], EACH);
    let homes = plan(&sandbox);
    sandbox.expect(0, &["apply", "-F", "n <= 12"]);
    let first = ran(&sandbox);
    assert_eq!(first.keys().copied().collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    // Another client: it has the new file and was never here.
    name_hosts(&sandbox, &["a", "b", "c"], EACH);
    std::fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("a checkpoint");
    sandbox.unplug("a");
    let run = sandbox.expect(75, &["apply"]);
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
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox).len(), 24);
    // With the checkpoint that has learned the list now, no host need tell it.
    let (store, root) =
        (sandbox.campaign().join(".sp/spread/checkpoint.db"), sandbox.host_root("b"));
    assert!(store.exists());
    let lists = std::fs::read_to_string(root.join("v1/spread/hosts")).expect("lists");
    assert_eq!(lists.lines().count(), 2, "{lists}");
}

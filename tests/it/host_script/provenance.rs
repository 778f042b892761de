//! What an attempt ran from stands in its claim and in its end, whoever writes the end.

use std::collections::BTreeMap;

use rustix::process::Signal;

use super::world::{Batch, CAMPAIGN, Job, Record, World, job, kill};
use crate::support::shell;

super::in_every_shell! { every_end_says_what_it_ran_from }

const KEYS: [&str; 4] = ["snapshot", "code", "git", "dirty"];

fn told(ends: &BTreeMap<String, Record>, job: &Job) -> [String; 4] {
    let end = &ends[&format!("{}/{}", job.id, job.attempt)];
    KEYS.map(|key| end[key].clone())
}

fn every_end_says_what_it_ran_from(world: &World) {
    let (git, code) = ("a".repeat(40), "b".repeat(64));
    let known = format!("B_GIT={git} B_DIRTY=1 B_CODE={code} B_SNAPSHOT=tree-1");
    let wanted = ["tree-1".to_owned(), code, git, "1".to_owned()];
    let none = ["none"; 4].map(str::to_owned);
    // Its own runner, also for the next hand-over, which says nothing; and a cancel in the queue.
    let plain = job("echo plain");
    let silent = job("echo silent");
    world.hand_over(&Batch::new([plain.clone()]).with(&known));
    world.run(&Batch::new([silent.clone()]));
    let odd = job("echo odd");
    let bad = "B_GIT='x state=succeeded' B_DIRTY='' B_CODE=$(echo no .) B_SNAPSHOT=-x";
    let ends = world.run(&Batch::new([odd.clone()]).with(bad));
    assert_eq!(told(&ends, &plain), wanted);
    assert_eq!(told(&ends, &silent), none);
    assert_eq!(told(&ends, &odd), none, "what may not stand in a record does not");
    // A later runner, which supervised it; a look at the dead; a cancel before any runner had it.
    let supervised = job(": >one; while [ ! -e go ]; do sleep 0.02; done");
    let queued = job("echo queued");
    world.hand_over(&Batch::new([supervised.clone(), queued.clone()]).with(&known));
    world.wait_for("one");
    let line = format!("{} 1 a\n", queued.id);
    world.ask("cancel", &[CAMPAIGN, "user", "0"], &line);
    world.sandbox.kill_runners();
    world.kick();
    world.wait_supervised();
    shell(&world.sandbox.campaign(), ": >go");
    let ends = world.drained();
    let end = &ends[&format!("{}/1", supervised.id)];
    assert_eq!(end["by"], "orphan", "{end:?}");
    assert_eq!(told(&ends, &supervised), wanted);
    assert_eq!(told(&ends, &queued), none);
    let sealed = job(": >two; sleep 600");
    world.hand_over(&Batch::new([sealed.clone()]).with(&known));
    world.wait_for("two");
    let stub = world.number(&sealed, "pid");
    world.sandbox.kill_runners();
    kill(stub, Signal::KILL);
    for (pid, line) in world.sandbox.processes() {
        if !line.starts_with("tmux ") {
            kill(pid, Signal::KILL);
        }
    }
    world.sandbox.wait_quiet();
    let ends = world.ends();
    assert_eq!(ends[&format!("{}/1", sealed.id)]["by"], "seal");
    assert_eq!(told(&ends, &sealed), wanted);
}

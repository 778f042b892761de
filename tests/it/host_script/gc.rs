//! What `gc` takes away and what it leaves, under every shell: claims and their records above all, moved ones too.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::collections::BTreeMap;
use std::fs;

use super::world::{Batch, CAMPAIGN, Job, VERSION, World, job, records};
use crate::support::shell;

super::in_every_shell! {
    claims_stay a_list_that_was_cut_off_is_none snapshots_in_use_stay what_cannot_be_removed_is_counted
}

fn a_list_that_was_cut_off_is_none(world: &World) {
    let ended = job("true");
    world.run(&Batch::new([ended.clone()]));
    let list = format!("attempt {} 1\n", ended.id);
    for cut in [list.clone(), list.trim_end().to_owned(), String::new()] {
        let answer = world.ask_any("gc", &[CAMPAIGN, "remove"], &cut);
        assert_eq!((answer.framed, answer.code), (false, Some(64)), "{cut:?}");
    }
    assert!(world.attempt(&ended).join("out").exists());
}

/// What an answer lists, as `kind` and `count`.
fn kinds(world: &World, what: &str, asked: &str) -> BTreeMap<String, String> {
    let answer = world.ask("gc", &[CAMPAIGN, what], &format!("{asked}.\n"));
    let found = records(&answer, "gc");
    assert!(found.iter().all(|one| one["kib"].parse::<u64>().is_ok()), "{answer}");
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for one in found {
        *kinds.entry(one["kind"].clone()).or_default() +=
            one["count"].parse::<u64>().expect("a number");
    }
    kinds.into_iter().map(|(kind, count)| (kind, count.to_string())).collect()
}

fn expected(kinds: &[(&str, &str)]) -> BTreeMap<String, String> {
    kinds.iter().map(|(kind, count)| ((*kind).to_owned(), (*count).to_owned())).collect()
}

/// Asks for all that there is of these jobs, as a client does that wants none of them.
fn of_all(jobs: &[&Job]) -> String {
    let lines = jobs.iter().map(|job| {
        let Job { id, attempt, .. } = job;
        format!("attempt {id} {attempt}\njob {id}\n")
    });
    lines.collect()
}

fn claims_stay(world: &World) {
    let done =
        job("echo done >>count; echo r >\"$SP_OUT_DIR\"/result; echo s >\"$SP_STATE_DIR\"/state");
    let waits = job(": >running; until [ -e go ]; do sleep 0.02; done; echo waited >>count");
    let [queued, given] = ["queued", "given"].map(|word| job(format!("echo {word} >>count")));
    world.run(&Batch::new([done.clone()]));
    world.hand_over(&Batch::new([waits.clone(), queued.clone(), given.clone()]));
    world.wait_for("running");
    world.ask("move", &[CAMPAIGN, "other"], &format!("{} 1 a\n", given.id));
    // Prepared by somebody who is gone, and claimed by nobody.
    fs::create_dir_all(world.jobs().join(&queued.id).join("try-7.999999-1-abc/out"))
        .expect("a folder");
    fs::create_dir_all(world.jobs().join(&queued.id).join("try-8.cancel-999999/out"))
        .expect("a folder");
    let asked = of_all(&[&done, &waits, &queued, &given]);
    // The entry of the one that was moved still stands in the queue, so that its state stays.
    let all = expected(&[("attempts", "2"), ("states", "1"), ("tries", "2")]);
    assert_eq!(kinds(world, "list", &asked), all);
    assert!(world.attempt(&done).join("out/result").exists(), "a listing removes nothing");
    assert_eq!(kinds(world, "remove", &asked), all);
    assert_eq!(kinds(world, "remove", &asked), BTreeMap::new());
    assert!(!world.attempt(&done).join("out").exists());
    assert!(
        world.attempt(&waits).join("out").exists() && world.attempt(&waits).join("log").exists()
    );
    for job in [&done, &given] {
        assert!(world.state(job).contains("\nend id="), "its record stays");
    }
    // Neither the one that ended nor the one that another host has starts again, whoever asks.
    world.hand_over(&Batch::new([done.clone(), given.clone()]));
    fs::write(world.at("go"), "").expect("a file");
    let ends = world.drained();
    let reasons: Vec<&str> = [&done, &waits, &queued, &given]
        .map(|job| ends[&format!("{}/1", job.id)]["reason"].as_str())
        .to_vec();
    assert_eq!(reasons, ["ok", "ok", "ok", "moved"]);
    assert_eq!(world.lines("count"), ["done", "waited", "queued"]);
}

/// A snapshot as it was published, long ago.
fn snapshot(world: &World, name: char) -> String {
    let name = name.to_string().repeat(32);
    let folder = world.root.join("v2").join(CAMPAIGN).join("snapshots").join(&name);
    fs::create_dir_all(folder.join("tree")).expect("a folder");
    fs::write(folder.join("looks"), "x\n").expect("a file");
    name
}

fn age(world: &World) {
    let folder = world.root.join("v2").join(CAMPAIGN).join("snapshots");
    shell(&folder, "find . -exec touch -h -d '2 days ago' {} +; touch -d '1 day ago' ffff*/looks");
}

fn snapshots_in_use_stay(world: &World) {
    let [ran, runs, queued, unused, newest] =
        ['a', 'b', 'c', 'd', 'f'].map(|name| snapshot(world, name));
    let names = |names: &[&String]| names.iter().map(|name| (*name).clone()).collect::<Vec<_>>();
    let with =
        |job: &Job, name: &str| Batch::new([job.clone()]).with(&format!("B_SNAPSHOT='{name}'"));
    let done = job("true");
    world.run(&with(&done, &ran));
    let waits = job(": >running; until [ -e go ]; do sleep 0.02; done");
    world.hand_over(&with(&waits, &runs));
    world.wait_for("running");
    world.hand_over(&with(&job("echo x"), &queued));
    age(world);
    let left = || {
        let folder = world.root.join("v2").join(CAMPAIGN).join("snapshots");
        let names = fs::read_dir(folder).expect("a folder").flatten();
        let mut names: Vec<String> =
            names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(kinds(world, "remove", ""), expected(&[("snapshots", "1")]));
    assert_eq!(left(), names(&[&ran, &runs, &queued, &newest]), "{unused} goes");
    // With the files of the attempt that ran in it.
    let asked = format!("attempt {} 1\n", done.id);
    let both = expected(&[("attempts", "1"), ("snapshots", "1")]);
    assert_eq!(kinds(world, "list", &asked), both);
    assert_eq!(kinds(world, "remove", &asked), both);
    assert_eq!(left(), names(&[&runs, &queued, &newest]));
    fs::write(world.at("go"), "").expect("a file");
    world.drained();
}

fn what_cannot_be_removed_is_counted(world: &World) {
    let done = job(
        "mkdir \"$SP_OUT_DIR\"/closed && : >\"$SP_OUT_DIR\"/closed/file && chmod 000 \"$SP_OUT_DIR\"/closed",
    );
    world.run(&Batch::new([done.clone()]));
    let asked = of_all(&[&done]);
    // Rights that the job took away are no obstacle.
    let gone = expected(&[("attempts", "1"), ("states", "1")]);
    assert_eq!(kinds(world, "remove", &asked), gone);
    assert!(!world.attempt(&done).join("out").exists());
    // Where a name cannot be taken, it stays and is told.
    let unused = snapshot(world, 'd');
    snapshot(world, 'f');
    age(world);
    let folder = world.root.join("v2").join(CAMPAIGN).join("snapshots");
    world.install(
        VERSION,
        "mv() { case $2 in */in.gone-*) return 1 ;; esac; command mv \"$@\"; }\n",
    );
    let answer = world.ask_any("gc", &[CAMPAIGN, "remove"], ".\n");
    let left: Vec<String> = records(&answer.body, "gc")
        .into_iter()
        .map(|one| format!("{} {}", one["kind"], one["count"]))
        .collect();
    assert_eq!(left, ["left 1"], "{}", answer.body);
    assert!(folder.join(&unused).join("tree").exists());
}

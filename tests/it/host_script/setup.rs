//! Setups: alone, once, before what needs them; whoever dies.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;

use rustix::process::Signal;

use super::world::{Batch, CAMPAIGN, Job, World, hex, job, kill};
use crate::support::wait_until;

super::in_every_shell! {
    it_runs_alone other_campaigns_go_on runners_die_at_every_step an_orphan_is_supervised_and_counts
    one_that_is_lost_takes_its_jobs_along cancelled_before_its_start nobody_else_sees_it_fail
    ended_with_the_last_that_needs_it not_started_for_what_has_left_the_queue
}

/// Its lines stand in `order`, between them those of nobody else.
const SETUP: &str = "echo begin >>order; echo end >>order";

fn id(word: &str) -> String {
    hex(word.as_bytes())[..32].to_owned()
}

fn the_setup(word: &str, attempt: u32) -> Job {
    let mut setup = job("");
    (setup.id, setup.attempt) = (id(word), attempt);
    setup
}

fn jobs(word: &str, number: u32) -> Vec<Job> {
    (0..number).map(|i| job(format!("echo job-{word} >>order; : {i}"))).collect()
}

fn go(world: &World, name: &str) {
    fs::write(world.at(name), "").expect("a file");
}

fn it_runs_alone(world: &World) {
    let long =
        job("echo first >>order; until [ -e go ]; do sleep 0.02; done; echo first-ends >>order");
    let mut before = Batch::new([long]);
    before.slots = 2;
    world.hand_over(&before);
    world.wait_for("order");
    let mut batch = Batch::new(jobs("a", 40)).after(&id("s"), SETUP);
    batch.slots = 2;
    world.hand_over(&batch);
    wait_until("it is claimed", || world.attempt(&the_setup("s", 1)).exists());
    // It has its claim and waits; so does everybody behind it.
    let state = world.state(&the_setup("s", 1));
    assert!(state.contains(" setup=none kind=setup ") && !state.contains("\nstart "), "{state}");
    go(world, "go");
    let ends = world.drained();
    let order = world.lines("order");
    assert_eq!(order[..4], ["first", "first-ends", "begin", "end"]);
    assert_eq!(order[4..], vec!["job-a".to_owned(); 40]);
    assert_eq!(ends.len(), 42);
    let needs = format!(" setup={} ", id("s"));
    assert!(batch.jobs.iter().all(|job| world.state(job).contains(&needs)));
    // More of the same: it has run.
    let mut more = Batch::new(jobs("b", 2)).after(&id("s"), SETUP);
    more.slots = 2;
    world.run(&more);
    assert_eq!(world.lines("order")[44..], ["job-b", "job-b"]);
    assert!(!world.root.join("v2").join(CAMPAIGN).join("setup.now").is_symlink());
    assert_eq!(world.errors(), "");
}

fn other_campaigns_go_on(world: &World) {
    let text = "echo begin >>order; until [ -e go ]; do sleep 0.02; done; echo end >>order";
    let mut batch = Batch::new(jobs("a", 3)).after(&id("s"), text);
    batch.slots = 2;
    world.hand_over(&batch);
    world.wait_for("order");
    let mut other = Batch::new([1, 2, 3].map(|i| job(format!("echo other >>others; : {i}"))));
    other.slots = 2;
    let (text, hash) = world.text(&other);
    let body = world.ask("hand_over", &["other~1", "none", &other.name(), &hash, "2"], &text);
    assert_eq!(body, "taken .\n");
    wait_until("the others ran", || world.lines("others").len() == 3);
    assert_eq!(world.lines("order"), ["begin"]);
    go(world, "go");
    world.drained();
    assert_eq!(world.lines("order"), ["begin", "end", "job-a", "job-a", "job-a"]);
    assert_eq!(world.errors(), "");
}

fn runners_die_at_every_step(world: &mut World) {
    // Whether its own hand-over comes through; what was not seen to end well does not count.
    let points = [
        ("before-claim", true),
        ("setup-now", true),
        ("claimed", false),
        ("claim-durable", false),
        ("job-ended", true),
        ("end-written", true),
    ];
    for (point, through) in points {
        drop(fs::remove_file(world.at("order")));
        world.set("SP_FAULT", point);
        let mut batch = Batch::new(jobs(point, 3)).after(&id(point), SETUP);
        batch.slots = 2;
        world.hand_over(&batch);
        world.ask("wait", &[CAMPAIGN, "0", "50"], "");
        world.set("SP_FAULT", "");
        world.kick();
        world.drained();
        assert!(world.sandbox.home().join(format!("sp-fault.{point}")).exists(), "{point}");
        let line = format!("job-{point}");
        let all = ["begin", "end", &line, &line, &line];
        if through {
            assert_eq!(world.lines("order"), all, "{point}");
        } else {
            assert_eq!(world.lines("order"), Vec::<String>::new(), "{point}");
            assert_eq!(world.ends()[&format!("{}/1", id(point))]["state"], "lost", "{point}");
        }
        assert!(world.records("queued").is_empty() && world.records("open").is_empty(), "{point}");
        if !through {
            let mut again = batch;
            again.apply.push('x');
            world.run(&again);
            assert_eq!(world.lines("order"), all, "{point}");
        }
    }
    assert_eq!(world.errors(), "");
}

fn an_orphan_is_supervised_and_counts(world: &World) {
    let text = "echo begin >>order; until [ -e go ]; do sleep 0.02; done; echo end >>order";
    let mut batch = Batch::new(jobs("a", 2)).after(&id("s"), text);
    batch.slots = 2;
    world.hand_over(&batch);
    world.wait_for("order");
    world.sandbox.kill_runners();
    let open = world.records("open");
    assert_eq!((open[0]["verdict"].as_str(), open[0]["kind"].as_str()), ("orphan", "setup"));
    assert_eq!(world.records("queued").len(), 2);
    world.ask("kick", &["2"], "");
    world.wait_supervised();
    go(world, "go");
    let ends = world.drained();
    let end = &ends[&format!("{}/1", id("s"))];
    assert_eq!(end["state"], "succeeded");
    // Who looks at it first when its last process has gone.
    assert!(["orphan", "seal"].contains(&end["by"].as_str()), "{end:?}");
    assert_eq!(world.lines("order"), ["begin", "end", "job-a", "job-a"]);
}

fn one_that_is_lost_takes_its_jobs_along(world: &World) {
    let batch =
        Batch::new(jobs("a", 2)).after(&id("s"), "echo begin >>order; [ -e go ] || sleep 600");
    world.hand_over(&batch);
    world.wait_for("order");
    world.sandbox.kill_runners();
    world.sandbox.kill_all();
    // The first look says it, and leaves nothing in the queue.
    let ends = world.ends();
    assert_eq!(ends[&format!("{}/1", id("s"))]["state"], "lost");
    assert_eq!(ends[&format!("{}/1", id("s"))]["kind"], "setup");
    assert!(world.records("queued").is_empty());
    go(world, "go");
    let mut again = batch;
    again.apply.push('x');
    let ends = world.run(&again);
    assert_eq!(ends[&format!("{}/2", id("s"))]["state"], "succeeded");
    assert_eq!(world.lines("order"), ["begin", "begin", "job-a", "job-a"]);
}

/// With its jobs gone nobody needs it; it is ended while it waits for its turn, too.
fn cancelled_before_its_start(world: &World) {
    let long = job("echo first >>order; until [ -e go ]; do sleep 0.02; done");
    let mut before = Batch::new([long.clone()]);
    before.slots = 2;
    world.hand_over(&before);
    world.wait_for("order");
    let mut batch = Batch::new(jobs("a", 2)).after(&id("s"), SETUP);
    batch.slots = 2;
    world.hand_over(&batch);
    wait_until("it is claimed", || world.attempt(&the_setup("s", 1)).exists());
    let list = |job: &Job| format!("{} 1 {}\n", job.id, batch.apply);
    world.ask("cancel", &[CAMPAIGN, "user", "0"], &list(&batch.jobs[0]));
    assert!(!world.state(&the_setup("s", 1)).contains("\nend "), "one job needs it");
    world.ask("cancel", &[CAMPAIGN, "user", "0"], &list(&batch.jobs[1]));
    assert!(world.state(&the_setup("s", 1)).contains(" state=cancelled reason=by-user "));
    go(world, "go");
    let ends = world.drained();
    assert_eq!(ends[&format!("{}/1", long.id)]["state"], "succeeded");
    assert_eq!(world.lines("order"), ["first"]);
    assert_eq!(world.errors(), "");
}

/// One that is killed as it runs takes its own hand-over along, and no other one.
fn nobody_else_sees_it_fail(world: &World) {
    let text = "echo begin >>order; [ -e go ] || { : >runs; sleep 600; }; echo end >>order";
    let batch = Batch::new(jobs("a", 2)).after(&id("s"), text);
    world.hand_over(&batch);
    world.wait_for("runs");
    world.hand_over(&Batch::new(jobs("b", 2)).after(&id("s"), text));
    world.hand_over(&Batch::new(jobs("c", 1)));
    go(world, "go");
    let pid = world.number(&the_setup("s", 1), "pid");
    let stub = || {
        let children = format!("/proc/{pid}/task/{pid}/children");
        fs::read_to_string(children).unwrap_or_default()
    };
    for child in stub().split_whitespace() {
        kill(child.parse().expect("a pid"), Signal::KILL);
    }
    let ends = world.drained();
    assert_ne!(ends[&format!("{}/1", id("s"))]["state"], "succeeded");
    assert_eq!(ends[&format!("{}/2", id("s"))]["state"], "succeeded");
    assert_eq!(world.lines("order"), ["begin", "begin", "end", "job-b", "job-b", "job-c"]);
    assert!(batch.jobs.iter().all(|job| !world.attempt(job).exists()));
    assert!(world.records("queued").is_empty());
    assert_eq!(world.errors(), "");
}

/// What leaves the queue takes its setup along, unless another hand-over needs that one too.
fn ended_with_the_last_that_needs_it(world: &World) {
    let text = |word: &str| format!("echo {word} >>order; until [ -e go ]; do sleep 0.02; done");
    let begun = |word: &str| wait_until("it runs", || world.lines("order").contains(&word.into()));
    let end = |word: &str| {
        let state = world.state(&the_setup(word, 1));
        state.lines().find(|line| line.starts_with("end ")).map(str::to_owned)
    };
    let moves = Batch::new(jobs("a", 2)).after(&id("moved"), &text("moved"));
    world.hand_over(&moves);
    begun("moved");
    let give = |job: &Job| {
        let line = format!("{} 1 {}\n", job.id, moves.apply);
        let told = world.ask("move", &[CAMPAIGN, "other"], &line);
        assert!(told.contains(" reason=moved ") && told.contains(" to=other "), "{told}");
    };
    give(&moves.jobs[0]);
    assert_eq!(end("moved"), None, "one job needs it");
    give(&moves.jobs[1]);
    let ended = end("moved").expect("an end");
    assert!(ended.contains(" state=cancelled reason=by-queue "), "{ended}");
    assert!(!ended.contains(" to="), "{ended}");
    let first = Batch::new(jobs("b", 2)).after(&id("shared"), &text("shared"));
    let second = Batch::new(jobs("c", 2)).after(&id("shared"), &text("shared"));
    world.hand_over(&first);
    world.hand_over(&second);
    begun("shared");
    world.ask("withdraw", &[CAMPAIGN, &first.apply], "");
    assert_eq!(end("shared"), None, "another hand-over needs it");
    world.ask("withdraw", &[CAMPAIGN, &second.apply], "");
    let ended = end("shared").expect("an end");
    assert!(ended.contains(" state=cancelled reason=by-queue "), "{ended}");
    let ends = world.drained();
    assert_eq!(world.lines("order"), ["moved", "shared"]);
    assert_eq!(ends.len(), 4, "{ends:#?}");
    assert_eq!(world.errors(), "");
}

/// Between its mark and its claim nobody sees it: it looks itself whether it is still needed.
fn not_started_for_what_has_left_the_queue(world: &World) {
    let slow = "fault() { [ \"$1\" != setup-now ] || { : >\"$HOME/marked\"; until [ -e \"$HOME/go\" ]; do sleep 0.02; done; }; }\n";
    world.install(super::world::VERSION, slow);
    let batch = Batch::new(jobs("a", 1)).after(&id("s"), SETUP);
    world.hand_over(&batch);
    wait_until("it is about to be claimed", || world.sandbox.home().join("marked").exists());
    let line = format!("{} 1 {}\n", batch.jobs[0].id, batch.apply);
    world.ask("move", &[CAMPAIGN, "other"], &line);
    fs::write(world.sandbox.home().join("go"), "").expect("a file");
    let ends = world.drained();
    let end = &ends[&format!("{}/1", id("s"))];
    assert_eq!((end["state"].as_str(), end["reason"].as_str()), ("cancelled", "withdrawn"));
    assert_eq!(world.lines("order"), Vec::<String>::new());
    assert_eq!(world.errors(), "");
}

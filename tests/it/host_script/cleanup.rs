//! What runs after a command: its limit, what a cancel does to it, and that it changes no end.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;
use std::time::Instant;

use rustix::process::Signal;

use super::world::{Batch, CAMPAIGN, Job, Record, VERSION, World, job, kill, quoted, verdict};

super::in_every_shell! {
    a_cleanup_has_a_limit the_limit_holds_for_an_orphan_too a_cancel_ends_a_cleanup
    a_cleanup_after_a_cancelled_command_has_its_time a_cleanup_after_a_time_limit_has_its_time
    an_end_that_cannot_be_written_is_no_endless_cancel the_cleanup_of_an_orphan_holds_what_the_job_held
}

/// Ends only by KILL, all of it.
const DEAF: &str = "trap '' TERM; : >cleaning; setsid sleep 600 & while :; do sleep 0.1; done";

fn with_cleanup(command: &str, cleanup: &str) -> Job {
    let mut job = job(format!("{command} # {}", super::world::hex(cleanup.as_bytes())));
    job.more = format!("; CLEANUP() {{ script cleanup {}; }}", quoted(cleanup));
    job
}

fn end(world: &World, job: &Job) -> Record {
    world.ends()[&format!("{}/{}", job.id, job.attempt)].clone()
}

fn ask_cancel(world: &World, job: &Job, grace: &str) -> String {
    let line = format!("{} {} a\n", job.id, job.attempt);
    world.ask("cancel", &[CAMPAIGN, "user", grace], &line)
}

fn a_cleanup_has_a_limit(world: &World) {
    let jobs = [
        with_cleanup("exit 3", DEAF),
        with_cleanup("true", "trap 'echo heard >>count; exit' TERM; while :; do sleep 0.1; done"),
        with_cleanup("true", "echo cleaned >>count"),
    ];
    let ends = world.run(&Batch::new(jobs.clone()).with("B_CLEANUP=1 B_CLEANUP_LIMIT=0.80"));
    assert_eq!(verdict(&ends, &jobs[0]), "failed exit-code 3 none");
    assert_eq!(verdict(&ends, &jobs[1]), "succeeded ok 0 none");
    let told: Vec<String> = jobs.iter().map(|job| end(world, job)["cleanup"].clone()).collect();
    assert_eq!(told, ["limit", "limit", "ok"]);
    assert_eq!(world.lines("count"), ["heard", "cleaned"]);
    let log = fs::read_to_string(world.attempt(&jobs[0]).join("log")).expect("a log");
    assert!(log.contains("cleanup-limit, 0.80 s"), "{log}");
    assert_eq!(world.errors(), "");
}

fn the_limit_holds_for_an_orphan_too(world: &World) {
    let job = with_cleanup(": >running; while [ ! -e go ]; do sleep 0.02; done", DEAF);
    world.hand_over(&Batch::new([job.clone()]).with("B_CLEANUP=1 B_CLEANUP_LIMIT=0.50"));
    world.wait_for("running");
    world.sandbox.kill_runners();
    world.kick();
    world.wait_supervised();
    fs::write(world.at("go"), "").expect("a file");
    let ends = world.drained();
    assert_eq!(verdict(&ends, &job), "succeeded ok 0 none");
    let end = end(world, &job);
    assert_eq!((&*end["by"], &*end["cleanup"]), ("orphan", "limit"));
}

/// No other root starts a job in its slot, and nobody takes it for dead.
fn the_cleanup_of_an_orphan_holds_what_the_job_held(world: &World) {
    let cleanup = ": >cleaning; until [ -e clean ]; do sleep 0.02; done; echo cleaned >>count";
    let job = with_cleanup(": >running; until [ -e go ]; do sleep 0.02; done", cleanup);
    world.hand_over(&Batch::new([job.clone()]).with("B_CLEANUP=1"));
    world.wait_for("running");
    world.sandbox.kill_runners();
    world.kick();
    world.wait_supervised();
    fs::write(world.at("go"), "").expect("a file");
    world.wait_for("cleaning");
    let slots = world.sandbox.home().join(".local/share/sp/v2/slots");
    let slots = fs::read_dir(slots).expect("a folder").map(|entry| entry.expect("an entry").path());
    let slot = slots.map(|machine| machine.join("0")).find(|slot| slot.exists()).expect("a slot");
    assert!(fs::File::open(slot).expect("a file").try_lock().is_err());
    let open = world.records("open");
    assert_eq!((open.len(), &*open[0]["verdict"]), (1, "orphan"), "{open:?}");
    assert!(world.ends().is_empty());
    fs::write(world.at("clean"), "").expect("a file");
    world.drained();
    let end = end(world, &job);
    assert_eq!((&*end["by"], &*end["cleanup"]), ("orphan", "ok"));
    assert_eq!(world.lines("count"), ["cleaned"]);
}

/// Its job's own end stands.
fn a_cancel_ends_a_cleanup(world: &World) {
    for (grace, wanted) in [("0", 0), ("1", 1)] {
        let job = with_cleanup(&format!("exit {grace}"), DEAF);
        drop(fs::remove_file(world.at("cleaning")));
        world.hand_over(&Batch::new([job.clone()]).with("B_CLEANUP=1"));
        world.wait_for("cleaning");
        let begun = Instant::now();
        ask_cancel(world, &job, grace);
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
        let end = end(world, &job);
        assert_eq!((&*end["rc"], &*end["cleanup"]), (&*wanted.to_string(), "cancelled"));
        assert_ne!(end["state"], "cancelled");
        world.drained();
    }
    // One that comes to its end within the grace is let be.
    let brief = with_cleanup("true", ": >brief; sleep 1; echo brief >>count");
    world.hand_over(&Batch::new([brief.clone()]).with("B_CLEANUP=1"));
    world.wait_for("brief");
    ask_cancel(world, &brief, "20");
    assert_eq!(end(world, &brief)["cleanup"], "ok");
    assert_eq!(world.lines("count"), ["brief"]);
}

fn a_cleanup_after_a_cancelled_command_has_its_time(world: &World) {
    for grace in ["0", "1"] {
        let command = format!(": >running{grace}; exec sleep 600");
        let job = with_cleanup(&command, "sleep 3; echo cleaned >>count");
        world.hand_over(&Batch::new([job.clone()]).with("B_CLEANUP=1"));
        world.wait_for(&format!("running{grace}"));
        ask_cancel(world, &job, grace);
        let end = end(world, &job);
        assert_eq!((&*end["state"], &*end["cleanup"]), ("cancelled", "ok"));
        world.drained();
    }
    assert_eq!(world.lines("count"), ["cleaned", "cleaned"]);
    // One that does not end: a cancel that is in a hurry ends it, too.
    world.install(VERSION, "WAIT_FOR_ENDS_NOW=100\n");
    let job = with_cleanup(": >running2; exec sleep 600", DEAF);
    world.hand_over(&Batch::new([job.clone()]).with("B_CLEANUP=1"));
    world.wait_for("running2");
    ask_cancel(world, &job, "0");
    let end = end(world, &job);
    assert_eq!((&*end["state"], &*end["cleanup"]), ("cancelled", "cancelled"));
}

/// What ends the command must not go on to end its clean-up.
fn a_cleanup_after_a_time_limit_has_its_time(world: &World) {
    let job = with_cleanup("exec sleep 600", "sleep 3; echo cleaned >>count");
    let ends = world.run(&Batch::new([job.clone()]).with("B_CLEANUP=1 B_LIMIT=0.30"));
    assert_eq!(verdict(&ends, &job), "timeout time-limit 143 TERM");
    assert_eq!(end(world, &job)["cleanup"], "ok");
    assert_eq!(world.lines("count"), ["cleaned"]);
}

fn an_end_that_cannot_be_written_is_no_endless_cancel(world: &World) {
    let job = job("echo $$ >pid; : >running; exec sleep 600");
    world.hand_over(&Batch::new([job.clone()]));
    world.wait_for("running");
    world.sandbox.kill_runners();
    kill(world.number(&job, "pid"), Signal::KILL);
    kill(world.lines("pid")[0].parse().expect("a number"), Signal::KILL);
    let full = "WAIT_FOR_ENDS=100\nwrite_end() { echo try >>\"$HOME/tries\"; return 1; }\n";
    world.install(VERSION, full);
    let line = format!("{} 1 a\n", job.id);
    let answer = world.ask_any("cancel", &[CAMPAIGN, "user", "1"], &line);
    assert_eq!((answer.framed, answer.code), (false, Some(73)));
    assert!(answer.stderr.contains("is its disk full?"), "{}", answer.stderr);
    let tries = fs::read_to_string(world.sandbox.home().join("tries")).expect("it tried");
    assert!((2..60).contains(&tries.lines().count()), "{}", tries.lines().count());
    world.install(VERSION, "");
    ask_cancel(world, &job, "0");
    assert_eq!(verdict(&world.ends(), &job), "cancelled by-user none none");
}

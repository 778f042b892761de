//! Logs that are searched for a marker while they grow, lose their middle, or have a hole.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;

use super::world::{Batch, Job, VERSION, World, job, verdict};
use crate::support::wait_until;

super::in_every_shell! {
    a_line_is_found_in_the_first_log_of_a_runner half_a_line_is_no_line a_search_that_breaks_off_takes_nothing_out
    a_search_beside_a_job_is_no_part_of_it a_hole_costs_no_memory
}

/// Prints so many lines of 100 bytes.
fn fill(lines: u32) -> String {
    format!("awk 'BEGIN {{ for (i = 0; i < {lines}; i++) print \"{}\" }}'", "x".repeat(99))
}

fn marked(command: &str, marker: &str) -> Job {
    let mut job = job(command);
    job.markers = format!("marker_log '{marker}'");
    job
}

const COMMON: &str = "B_MARKERS=1 B_LOG_MAX=100000";
const UNTIL_GO: &str = "until [ -e go ]; do sleep 0.02; done";

/// Tells when the middle of a log is taken out, which not every shell's tools can do.
const TELLS: &str = "fallocate() { : >\"$ATT/punched\"; command fallocate \"$@\"; }\n";

fn wait_punched(world: &World, job: &Job) {
    wait_until("the middle is taken out", || world.attempt(job).join("punched").exists());
}

fn a_line_is_found_in_the_first_log_of_a_runner(world: &World) {
    let grows = marked(
        &format!("{}; echo MARK done; {}; {UNTIL_GO}", fill(15_000), fill(5_000)),
        "^MARK done$",
    );
    world.hand_over(&Batch::new([grows.clone()]).with(COMMON));
    wait_until("it was found", || world.state(&grows).contains("\nfound marker=log "));
    fs::write(world.at("go"), "").expect("a file");
    assert_eq!(verdict(&world.drained(), &grows), "succeeded ok 0 none");
    assert_eq!(world.errors(), "");
}

/// What a job prints arrives in pieces, and a piece may end as the line that is looked for does.
fn half_a_line_is_no_line(world: &World) {
    world.install(VERSION, TELLS);
    let half =
        marked(&format!("{}; printf 'epoch 1'; {UNTIL_GO}; echo 00", fill(3_000)), "^epoch 1$");
    world.hand_over(&Batch::new([half.clone()]).with(COMMON));
    wait_punched(world, &half);
    assert!(!world.state(&half).contains("\nfound "), "{}", world.state(&half));
    fs::write(world.at("go"), "").expect("a file");
    assert_eq!(verdict(&world.drained(), &half), "failed marker-log 0 none");
    assert_eq!(world.errors(), "");
}

/// It is taken up again: what was not searched stays in the log.
fn a_search_that_breaks_off_takes_nothing_out(world: &World) {
    let breaks =
        "part_of_log_has() { [ -e \"$ATT/again\" ] && return 1; : >\"$ATT/broken\"; return 2; }\n";
    world.install(VERSION, &format!("{TELLS}{breaks}"));
    let job = marked(&format!("{}; {UNTIL_GO}", fill(3_000)), "^never$");
    world.hand_over(&Batch::new([job.clone()]).with(COMMON));
    let at = |name: &str| world.attempt(&job).join(name);
    wait_until("a search broke off", || at("broken").exists());
    fs::remove_file(at("broken")).expect("it is there");
    wait_until("another one broke off", || at("broken").exists());
    assert!(!at("punched").exists());
    fs::write(at("again"), "").expect("a file");
    wait_punched(world, &job);
    fs::write(world.at("go"), "").expect("a file");
    world.drained();
    // At the end a search that breaks off has not found out that there is no such line.
    world.install(VERSION, "log_has() { return 2; }\n");
    let job = marked("true", "^never$");
    assert_eq!(
        verdict(&world.run(&Batch::new([job.clone()]).with(COMMON)), &job),
        "failed marker-limit 0 none"
    );
}

/// Neither the end of a clean-up ends it, nor does its end end a clean-up: it carries no mark of the attempt.
fn a_search_beside_a_job_is_no_part_of_it(world: &World) {
    let looks = "GREP_TEXT='env >\"$4.environment\"; exit 1'\n";
    world.install(VERSION, looks);
    let job = marked(&format!("{}; {UNTIL_GO}", fill(3_000)), "^never$");
    world.hand_over(&Batch::new([job.clone()]).with(COMMON));
    let environment = world.attempt(&job).join("log.environment");
    wait_until("it is searched", || environment.exists());
    fs::write(world.at("go"), "").expect("a file");
    world.drained();
    let environment = fs::read_to_string(environment).expect("it was written");
    assert!(environment.contains("PATH=") && !environment.contains("SP_APART="), "{environment}");
    assert!(!environment.contains("SP_OUT_DIR="), "{environment}");
}

/// It reads as one line of zeros, longer than there is memory.
fn a_hole_costs_no_memory(world: &World) {
    world.install(VERSION, "ulimit -v 400000\n");
    let hole = |end: &str| {
        marked(
            &format!("echo begin; truncate -s 800000000 \"$SP_OUT_DIR/../log\"; echo; echo {end}"),
            "^RESULT$",
        )
    };
    let jobs = [hole("RESULT"), hole("another")];
    let ends = world.run(&Batch::new(jobs.clone()).with("B_MARKERS=1 B_LOG_MAX=65536"));
    assert_eq!(verdict(&ends, &jobs[0]), "succeeded ok 0 none");
    assert_eq!(verdict(&ends, &jobs[1]), "failed marker-log 0 none");
}

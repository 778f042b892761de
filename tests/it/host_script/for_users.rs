//! The script that a release build sends: what tests do to the script of a debug build cannot be done to it, and it works as
//! that one does.

#![expect(clippy::disallowed_methods, reason = "tests start processes and write files as users do")]

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use solverpilot::host::script_for_users;

use super::queue::{
    a_hundred_jobs_in_order, damaged_repeated_and_weird, exit_codes_and_signals,
    log_over_its_limit, noise, prepare_and_cleanup, secrets_go, the_job_sees_its_own_environment,
    two_slots_and_then_one,
};
use super::world::{Batch, World, job, verdict};

/// Tests of these cases in the shells that differ most.
macro_rules! with_the_script_of_users {
    ($($case:ident)*) => {
        mod dash { $(#[test] fn $case() { super::$case(&mut super::World::of_users("dash")); })* }
        mod busybox { $(#[test] fn $case() { super::$case(&mut super::World::of_users("busybox")); })* }
    };
}

with_the_script_of_users! {
    no_variable_of_tests_is_known
    exit_codes_and_signals a_hundred_jobs_in_order two_slots_and_then_one damaged_repeated_and_weird noise secrets_go
    log_over_its_limit the_job_sees_its_own_environment prepare_and_cleanup
}

/// The variables by which tests meddle with the script of a debug build.
const HOOKS: [&str; 5] =
    ["SP_TEST_SH", "SP_FAULT", "SP_BOOT_ID_FILE", "SP_MACHINE_ID_FILE", "SP_SYSTEM_ROOT"];

/// Every step at which a runner or a stub of a debug build can be made to die.
const STEPS: [&str; 8] = [
    "before-claim",
    "claimed",
    "claim-durable",
    "stub-before-start",
    "stub-started",
    "stub-ended",
    "job-ended",
    "end-written",
];

fn no_variable_of_tests_is_known(world: &mut World) {
    let elsewhere = world.sandbox.path().join("elsewhere");
    fs::write(&elsewhere, "elsewhere\n").expect("a file");
    for name in HOOKS {
        world.set(name, &elsewhere.to_string_lossy());
    }
    for step in STEPS {
        world.set("SP_FAULT", step);
        let job = job(format!("echo {step} >>count"));
        let ends = world.run(&Batch::new([job.clone()]));
        assert_eq!(verdict(&ends, &job), "succeeded ok 0 none", "{step}");
        assert!(!world.state(&job).contains("elsewhere"), "{}", world.state(&job));
    }
    assert_eq!(world.lines("count"), STEPS);
    let facts = world.ask("doctor", &[], "");
    assert!(!facts.contains("fs=unknown"), "{facts}");
    let home = fs::read_dir(world.sandbox.home()).expect("a home").flatten();
    let died = home.filter(|file| file.file_name().to_string_lossy().starts_with("sp-fault"));
    assert_eq!(died.count(), 0);
    assert_eq!(world.errors(), "");
}

#[test]
fn it_names_nothing_that_is_there_for_tests() {
    let text = script_for_users();
    for word in HOOKS.into_iter().chain(["fault", "SP_TEST", "for tests"]) {
        let found: Vec<&str> = text.lines().filter(|line| line.contains(word)).collect();
        // What says that there are such lines stays.
        let found = found.iter().filter(|line| !line.starts_with("# A line that ends in"));
        assert_eq!(found.count(), 0, "`{word}` is in the script of a release build");
    }
}

#[test]
fn shellcheck_finds_nothing() {
    if which::which("shellcheck").is_err() {
        return;
    }
    let mut check = Command::new("shellcheck")
        .args(["--shell=sh", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("shellcheck starts");
    let mut input = check.stdin.take().expect("piped");
    input.write_all(script_for_users().as_bytes()).expect("it reads all");
    drop(input);
    let output = check.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

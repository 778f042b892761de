//! Rows 1 to 6: what has not ended.

use std::process::Command;

use super::*;
use crate::support::{Run, finish};

#[test]
fn row_01_no_entry_is_pending() {
    let sandbox = Sandbox::with(HELD);
    told(
        &sandbox,
        "pending",
        "",
        &[
            "It is pending: no host has it.",
            "The next `sp apply` runs it (new: never run).",
            "Host `local` has no record of it.",
        ],
    );
    sandbox.write("go", "");
    next_apply(&sandbox, 0, &["1"]);
}

/// A hand-over that was cut short in the middle left its folder, which counts for nothing.
#[test]
fn row_01_half_a_hand_over_is_pending() {
    let sandbox = Sandbox::with(HELD);
    let crash = sandbox.command(&["apply"]).env("SP_CRASH_AT", "host.hand_over.before:1").output();
    assert_eq!(Run::of(&crash.expect("sp starts")).code, -9);
    let id =
        sandbox.json(&["plan", "--offline"])["jobs"][0]["id"].as_str().expect("an id").to_owned();
    // As `hand_over` leaves it when it is killed; no process has this number.
    let half = sandbox.place("rows").join("queue/in.a-b.4194305");
    fs::create_dir_all(&half).expect("a folder");
    fs::write(half.join("c000000"), format!("job {id} 1 - COMMAND() {{ :; }}\n")).expect("a file");
    for folder in [sandbox.root(), sandbox.root().join("v2")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("ours");
    }
    told(&sandbox, "pending", "", &["It is pending: no host has it.", "(new: never run)"]);
    sandbox.write("go", "");
    next_apply(&sandbox, 0, &["1"]);
    assert!(!half.exists(), "the next hand-over tidies");
}

/// While the campaign is paused nobody claims it.
fn queued() -> Sandbox {
    let sandbox = Sandbox::with(HELD);
    sandbox.expect(0, &["plan"]);
    let campaign = sandbox.place("rows");
    fs::create_dir_all(&campaign).expect("a folder");
    for folder in [sandbox.root(), sandbox.root().join("v2")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("ours");
    }
    fs::write(campaign.join("paused"), "").expect("a file");
    sandbox.expect(0, &["apply", "--detach"]);
    sandbox.wait_quiet();
    sandbox
}

fn resume(sandbox: &Sandbox) {
    fs::remove_file(sandbox.place("rows").join("paused")).expect("it was paused");
}

#[test]
fn row_02_an_entry_without_a_claim_is_queued() {
    let sandbox = queued();
    told(
        &sandbox,
        "queued",
        "",
        &["It is queued on host `local`.", "The next `sp apply` waits for it", "queued id="],
    );
    assert!(sandbox.lines("ran").is_empty());
    resume(&sandbox);
    sandbox.write("go", "");
    next_apply(&sandbox, 0, &["1"]);
}

/// What a runner prepared before its claim is no claim: it was killed in between, with its standby.
#[test]
fn row_02_a_prepared_attempt_without_a_claim_is_queued() {
    let mut sandbox = Sandbox::with(HELD);
    hold_sync(&mut sandbox, "[ $# -gt 1 ] && [ \"$1\" = . ]");
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("it is prepared", || sandbox.home().join("held").exists());
    sandbox.kill_all();
    let id = sandbox.json(&["status"])["jobs"][0]["id"].as_str().expect("an id").to_owned();
    let left = fs::read_dir(sandbox.job_folder("rows", &id)).expect("a folder").count();
    assert!(left > 0, "there is a prepared folder");
    told(&sandbox, "queued", "", &["It is queued on host `local`.", "queued id="]);
    let_go(&sandbox);
    sandbox.write("go", "");
    next_apply(&sandbox, 0, &["1"]);
}

#[test]
fn row_02_an_entry_that_is_marked_is_cancelled_by_the_mark_alone() {
    let sandbox = queued();
    let id = sandbox.json(&["status"])["jobs"][0]["id"].as_str().expect("an id").to_owned();
    // A cancel that died behind its marks.
    fs::create_dir_all(sandbox.job_folder("rows", &id)).expect("a folder");
    fs::write(sandbox.job_folder("rows", &id).join("cancelled.1"), "user\n").expect("a file");
    resume(&sandbox);
    sandbox.write("go", "");
    // Whoever claims it finds the mark.
    sandbox.expect(100, &["apply"]);
    assert!(sandbox.lines("ran").is_empty());
    told(
        &sandbox,
        "cancelled",
        "by-user",
        &[
            "cancelled by `sp cancel`",
            "The next `sp apply` leaves it: cancelled by you",
            "mark name=cancelled n=1",
        ],
    );
    next_apply(&sandbox, 100, &[]);
}

/// The claim is made durable before the start: here the disk takes its time.
#[test]
fn row_04_a_live_runner_and_no_start_is_starting() {
    let mut sandbox = Sandbox::with(HELD);
    claimed_and_held(&mut sandbox);
    assert!(!has_record(&sandbox, "start"));
    told(
        &sandbox,
        "running",
        "",
        &[
            "It runs on host `local`",
            "The next `sp apply` waits for it",
            "attempt n=1 verdict=starting",
            "claim v=1",
            "lock name=runner held=yes",
        ],
    );
    let apply = watching_apply(&sandbox);
    let_go(&sandbox);
    sandbox.write("go", "");
    assert_eq!(finish(apply).code, 0);
    assert_eq!(sandbox.lines("ran"), ["1"]);
}

#[test]
fn row_05_a_live_runner_and_a_start_is_running() {
    let sandbox = Sandbox::with(HELD);
    begun(&sandbox);
    told(
        &sandbox,
        "running",
        "",
        &[
            "It runs on host `local`, for ",
            "The next `sp apply` waits for it",
            "attempt n=1 verdict=running",
            "start pid=",
            "lock name=alive held=yes",
            "lock name=runner held=yes",
        ],
    );
    let status = sandbox.json(&["status"]);
    assert_eq!(status["jobs"][0]["orphan"], false);
    sandbox.write("go", "");
    next_apply(&sandbox, 0, &["1"]);
}

#[test]
fn row_06_runner_gone_and_the_lock_held_is_an_orphan() {
    let sandbox = Sandbox::with(&HELD.replace("[1]", "[1, 2]"));
    begun(&sandbox);
    sandbox.kill_runners();
    told(
        &sandbox,
        "running",
        "",
        &[
            "It runs on host `local`",
            "The next `sp apply` waits for it",
            "attempt n=1 verdict=orphan",
            "lock name=alive held=yes",
            "lock name=runner held=no",
        ],
    );
    assert_eq!(sandbox.json(&["status"])["jobs"][0]["orphan"], true);
    assert_eq!(sandbox.states()[1], pair("queued", ""));
    let apply = watching_apply(&sandbox);
    assert_eq!(sandbox.lines("ran"), ["1"], "the slot is the orphan's");
    sandbox.write("go", "");
    assert_eq!(finish(apply).code, 0);
    assert_eq!(sandbox.lines("ran"), ["1", "2"]);
    told(&sandbox, "succeeded", "ok", &["It succeeded.", "exit rc=0 "]);
}

/// The command closed what it inherited, and the stub is dead too: neither lock tells of it, its environment does.
#[test]
fn row_06_lock_free_but_a_process_of_the_attempt_lives_is_an_orphan() {
    let sandbox = Sandbox::with(
        &HELD.replace("echo {{ n }}", "exec 7>&- 8>&-; echo {{ n }}").replace("[1]", "[1, 2]"),
    );
    begun(&sandbox);
    sandbox.kill_runners();
    kill_stub(&sandbox);
    wait_until("the lock is free", || {
        let alive = attempt(&sandbox).join("alive");
        Command::new("flock")
            .args(["-n", "-s"])
            .arg(alive)
            .arg("true")
            .status()
            .expect("flock")
            .success()
    });
    told(
        &sandbox,
        "running",
        "",
        &[
            "The next `sp apply` waits for it",
            "attempt n=1 verdict=orphan",
            "lock name=alive held=no",
            "lock name=runner held=no",
        ],
    );
    assert_eq!(sandbox.json(&["status"])["jobs"][0]["orphan"], true);
    let apply = watching_apply(&sandbox);
    sandbox.write("go", "");
    assert_eq!(finish(apply).code, 100);
    // Nobody was left who could have witnessed its exit code.
    told(&sandbox, "lost", "killed", &["nobody saw how it ended"]);
    assert_eq!(sandbox.lines("ran"), ["1", "2"]);
    next_apply(&sandbox, 0, &["1", "1", "2"]);
}

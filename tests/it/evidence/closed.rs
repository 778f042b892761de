//! Rows 3 and 7 to 11: what has ended, or what nobody is left to end.

use std::fs::File;

use rustix::fs::{FlockOperation, flock};

use super::*;
use crate::support::{Run, finish};

const BY_SEAL: &str = "told by a later look at a dead attempt, under its lock";
const RUNS_AGAIN: &str = "The next `sp apply` runs it (lost: ";

/// A campaign of one job that has ended with this code.
fn ended(code: u8) -> Sandbox {
    let sandbox = Sandbox::with(&HELD.replace("; done", &format!("; done; exit {code}")));
    sandbox.write("go", "");
    sandbox.expect(if code == 0 { 0 } else { 100 }, &["apply"]);
    sandbox.wait_quiet();
    sandbox
}

#[test]
fn row_03_an_end_record_is_final_whatever_the_locks_say() {
    let sandbox = ended(0);
    forget(&sandbox);
    let lock = File::open(attempt(&sandbox).join("alive")).expect("a lock");
    flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("it is free");
    told(
        &sandbox,
        "succeeded",
        "ok",
        &[
            "It succeeded.",
            "told by its own runner, which waited for it",
            "The next `sp apply` leaves it as it is",
            "attempt n=1 verdict=ended",
            "lock name=alive held=yes",
            "end id=",
        ],
    );
    next_apply(&sandbox, 0, &["1"]);
}

/// A second end, and a stop that came after it, change nothing.
#[test]
fn row_03_the_first_end_is_final() {
    let sandbox = ended(0);
    let state = attempt(&sandbox).join("state");
    let end = record(&sandbox, "end")
        .replace("state=succeeded reason=ok rc=0", "state=lost reason=killed rc=none");
    let text = format!("{}stop why=cancelled by=user up=1.00 .\n{end}\n", records(&sandbox));
    fs::write(state, text).expect("records");
    forget(&sandbox);
    told(&sandbox, "succeeded", "ok", &["It succeeded.", "reason=killed"]);
    next_apply(&sandbox, 0, &["1"]);
}

/// A record that was cut off at any byte does not exist: what stands before it counts.
#[test]
fn row_03_an_end_record_that_was_cut_off_is_none() {
    let sandbox = ended(7);
    let whole = records(&sandbox);
    let begin = whole.find("end id=").expect("an end");
    let end = begin + whole[begin..].find(" .\n").expect("its last word");
    for cut in [begin + 1, begin + 3, begin + 40, end - 20, end, end + 1] {
        fs::write(attempt(&sandbox).join("state"), &whole[..cut]).expect("records");
        forget(&sandbox);
        told(&sandbox, "failed", "exit-code", &["exit code 7", BY_SEAL, "by=seal"]);
    }
    next_apply(&sandbox, 100, &["1", "1"]);
}

/// The runners are dead, the stub wrote the exit and ended.
#[test]
fn row_07_nobody_left_and_an_exit_record_is_judged_by_it() {
    for (code, state, reason, words) in [
        (0, "succeeded", "ok", "It succeeded."),
        (7, "failed", "exit-code", "It failed: exit code 7."),
    ] {
        let sandbox = Sandbox::with(&HELD.replace("; done", &format!("; done; exit {code}")));
        begun(&sandbox);
        sandbox.kill_runners();
        sandbox.write("go", "");
        sandbox.wait_quiet();
        assert!(has_record(&sandbox, "exit") && !has_record(&sandbox, "end"));
        told(&sandbox, state, reason, &[words, BY_SEAL, &format!("exit rc={code} "), "by=seal"]);
        if code == 0 {
            next_apply(&sandbox, 0, &["1"]);
        } else {
            next_apply(&sandbox, 100, &["1", "1"]);
        }
    }
}

/// The markers hold for it as for any other.
#[test]
fn row_07_an_exit_record_needs_its_markers() {
    let sandbox = Sandbox::with(&format!("{HELD}[done]\nfiles = [\"made\"]\n"));
    begun(&sandbox);
    sandbox.kill_runners();
    sandbox.write("go", "");
    sandbox.wait_quiet();
    told(&sandbox, "failed", "marker-missing", &["made", BY_SEAL, "exit rc=0 "]);
    next_apply(&sandbox, 100, &["1", "1"]);
}

/// A cancel that waits for a job which does not obey; then everything dies, the cancel too.
#[test]
fn row_08_nobody_left_and_a_stop_record_is_cancelled() {
    let sandbox = Sandbox::with(&HELD.replace("echo", "trap '' TERM; echo"));
    begun(&sandbox);
    let cancel = sandbox.spawn(&["cancel", "--all"]);
    wait_until("it is to be stopped", || has_record(&sandbox, "stop"));
    sandbox.kill_all();
    assert_eq!(finish(cancel).code, -9);
    assert!(!has_record(&sandbox, "exit") && !has_record(&sandbox, "end"));
    told(
        &sandbox,
        "cancelled",
        "by-user",
        &[
            "cancelled by `sp cancel`",
            "The next `sp apply` leaves it: cancelled by you",
            BY_SEAL,
            "stop why=cancelled by=user",
            "rc=none",
        ],
    );
    next_apply(&sandbox, 100, &["1"]);
}

/// All was killed between the mark and the record: it was asked for all the same.
#[test]
fn row_08_nobody_left_and_a_mark_alone_is_cancelled() {
    let sandbox = Sandbox::with(HELD);
    begun(&sandbox);
    let job = attempt(&sandbox).parent().expect("a job").to_path_buf();
    fs::write(job.join("cancelled.1"), "user\n").expect("a file");
    sandbox.kill_all();
    assert!(!has_record(&sandbox, "stop"));
    told(&sandbox, "cancelled", "by-user", &["The next `sp apply` leaves it", BY_SEAL, "rc=none"]);
    next_apply(&sandbox, 100, &["1"]);
}

#[test]
fn row_08_nobody_left_and_a_stop_for_its_limit_is_timeout() {
    let sandbox = Sandbox::with(&format!(
        "time-limit = '500ms'\n{}",
        HELD.replace("echo", "trap '' TERM; echo")
    ));
    begun(&sandbox);
    wait_until("it is to be stopped", || has_record(&sandbox, "stop"));
    sandbox.kill_all();
    assert!(!has_record(&sandbox, "exit") && !has_record(&sandbox, "end"));
    told(
        &sandbox,
        "timeout",
        "time-limit",
        &[
            "longer than its time limit of 0.5s",
            "The next `sp apply` runs it (timeout",
            BY_SEAL,
            "stop why=time-limit",
            "rc=none",
        ],
    );
    sandbox.write("go", "");
    next_apply(&sandbox, 0, &["1", "1"]);
}

/// A sandbox whose host reads its boot's name from a file.
fn with_boot() -> (Sandbox, std::path::PathBuf) {
    let mut sandbox = Sandbox::with(HELD);
    let boot = sandbox.path().join("boot");
    fs::write(&boot, "boot-one\n").expect("a file");
    sandbox.set("SP_BOOT_ID_FILE", &boot.to_string_lossy());
    (sandbox, boot)
}

#[test]
fn row_09_nobody_left_and_another_boot_is_lost_by_reboot() {
    let (sandbox, boot) = with_boot();
    begun(&sandbox);
    sandbox.kill_all();
    fs::write(&boot, "boot-two\n").expect("a file");
    told(
        &sandbox,
        "lost",
        "reboot",
        &[
            "the host was rebooted while it ran",
            RUNS_AGAIN,
            BY_SEAL,
            "boot=boot-one.",
            "now machine=",
            "boot=boot-two.",
            "start pid=",
        ],
    );
    sandbox.write("go", "");
    next_apply(&sandbox, 0, &["1", "1"]);
}

/// `start` is not made durable, so behind a reboot its absence says nothing.
#[test]
fn row_09_another_boot_without_a_start_is_lost_by_reboot_too() {
    let (mut sandbox, boot) = with_boot();
    claimed_and_held(&mut sandbox);
    sandbox.kill_all();
    assert!(!has_record(&sandbox, "start") && !has_record(&sandbox, "end"));
    fs::write(&boot, "boot-two\n").expect("a file");
    told(&sandbox, "lost", "reboot", &["rebooted", RUNS_AGAIN, BY_SEAL]);
    let_go(&sandbox);
    sandbox.write("go", "");
    next_apply(&sandbox, 0, &["1"]);
}

#[test]
fn row_10_other_start_of_pid_1_is_lost_by_container_restart() {
    let (sandbox, _boot) = with_boot();
    begun(&sandbox);
    sandbox.kill_all();
    // The life of the first process stands behind the boot's name.
    let text = records(&sandbox).replace("boot=boot-one.", "boot=boot-one.9");
    fs::write(attempt(&sandbox).join("state"), text).expect("records");
    told(
        &sandbox,
        "lost",
        "restart",
        &[
            "the container or the user's processes were restarted while it ran",
            RUNS_AGAIN,
            BY_SEAL,
            "boot=boot-one.9",
        ],
    );
    sandbox.write("go", "");
    next_apply(&sandbox, 0, &["1", "1"]);
}

#[test]
fn row_11_nobody_left_in_the_same_boot_is_lost_by_a_kill() {
    let sandbox = Sandbox::with(&HELD.replace("[1]", "[1, 2, 3]"));
    begun(&sandbox);
    sandbox.kill_all();
    let lost = [pair("lost", "killed"), pair("queued", ""), pair("queued", "")];
    assert_eq!(sandbox.states(), lost);
    told(
        &sandbox,
        "lost",
        "killed",
        &[
            "job and wrapper were killed together; nobody saw how it ended",
            RUNS_AGAIN,
            BY_SEAL,
            "attempt n=1 verdict=ended",
            "lock name=alive held=no",
            "lock name=runner held=no",
        ],
    );
    assert_eq!(sandbox.states(), lost);
    sandbox.write("go", "");
    next_apply(&sandbox, 0, &["1", "1", "2", "3"]);
}

#[test]
fn row_before_start_nobody_left_in_the_same_life_and_no_start() {
    let mut sandbox = Sandbox::with(&HELD.replace("[1]", "[1, 2]"));
    sandbox.set("SP_FAULT", "claim-durable");
    sandbox.write("go", "");
    sandbox.expect(100, &["apply"]);
    sandbox.unset("SP_FAULT");
    assert_eq!(sandbox.lines("ran"), ["2"], "the first never started");
    told(
        &sandbox,
        "lost",
        "before-start",
        &["it was killed before the command started", RUNS_AGAIN, BY_SEAL, "rc=none"],
    );
    next_apply(&sandbox, 0, &["1", "2"]);
}

/// The witness of the exit code is gone: what the command becomes is not known, whatever the shell above makes of it.
#[test]
fn row_stub_killed_is_lost_and_no_exit_code_137() {
    let sandbox = Sandbox::with(&HELD.replace("[1]", "[1, 2]"));
    begun(&sandbox);
    kill_stub(&sandbox);
    wait_until("it is given up", || sandbox.states()[0] == pair("lost", "stub-killed"));
    told(
        &sandbox,
        "lost",
        "stub-killed",
        &[
            "the witness of its exit code was killed",
            RUNS_AGAIN,
            "told by its own runner",
            "rc=none",
        ],
    );
    sandbox.write("go", "");
    sandbox.expect(100, &["wait"]);
    assert_eq!(sandbox.lines("ran"), ["1", "2"]);
    next_apply(&sandbox, 0, &["1", "1", "2"]);
}

/// Who only looks holds the lock for a moment; here it stays. A seal that does not get it writes nothing.
#[test]
fn row_sealing_lock_busy_is_asked_again() {
    let sandbox = Sandbox::with(HELD);
    begun(&sandbox);
    sandbox.kill_all();
    let lock = File::open(attempt(&sandbox).join("alive")).expect("a lock");
    for operation in
        [FlockOperation::NonBlockingLockShared, FlockOperation::NonBlockingLockExclusive]
    {
        flock(&lock, operation).expect("it is free");
        told(
            &sandbox,
            "running",
            "",
            &["The next `sp apply` waits for it", "claim v=1", "start pid="],
        );
        assert!(!has_record(&sandbox, "end"));
    }
    let apply = watching_apply(&sandbox);
    drop(lock);
    let run = finish(apply);
    assert_eq!(run.code, 100, "{run:?}");
    told(&sandbox, "lost", "killed", &["nobody saw how it ended", RUNS_AGAIN]);
    sandbox.write("go", "");
    next_apply(&sandbox, 0, &["1", "1"]);
}

/// Killed at every step of an attempt, one job of three: how often it ran, and what is said of it.
#[test]
fn rows_of_every_step_at_which_runner_or_stub_can_die() {
    let cases = [
        ("claimed", 0, pair("lost", "before-start"), 100),
        ("claim-durable", 0, pair("lost", "before-start"), 100),
        ("stub-before-start", 0, pair("lost", "before-start"), 100),
        ("stub-started", 0, pair("lost", "stub-killed"), 100),
        // What became of the command is not known, so it is lost although it ran.
        ("stub-ended", 1, pair("lost", "stub-killed"), 100),
        ("job-ended", 1, pair("succeeded", "ok"), 0),
        ("end-written", 1, pair("succeeded", "ok"), 0),
    ];
    for (fault, ran, state, code) in cases {
        let sandbox = Sandbox::with(&HELD.replace("[1]", "[1, 2, 3]"));
        sandbox.write("go", "");
        let run = sandbox.command(&["apply"]).env("SP_FAULT", fault).output().expect("sp starts");
        let run = Run::of(&run);
        assert_eq!(run.code, code, "{fault}: {run:?}");
        // The fault is met once, by the first job; the others run as ever.
        let others = |first: usize| -> Vec<String> {
            let mut ran = vec!["1".to_owned(); first];
            ran.extend(["2".to_owned(), "3".to_owned()]);
            ran
        };
        let succeeded = || pair("succeeded", "ok");
        assert_eq!(sandbox.lines("ran"), others(ran), "{fault}");
        assert_eq!(sandbox.states(), [state.clone(), succeeded(), succeeded()], "{fault}");
        sandbox.expect(0, &["apply"]);
        let more = usize::from(state.0 == "lost");
        assert_eq!(sandbox.lines("ran"), others(ran + more), "{fault}, then applied again");
    }
}

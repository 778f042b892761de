//! Processes that a job leaves behind.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use rustix::process::Signal;

use super::world::{Batch, CAMPAIGN, VERSION, World, job, kill, verdict};
use crate::support::wait_until;

super::in_every_shell! {
    what_a_job_leaves_is_ended what_holds_the_lock_below_an_odd_root_is_found what_runs_from_parent_to_child_is_found what_a_finished_job_left_is_not_the_next_ones
    who_looks_at_the_lock_is_no_process_of_the_job what_is_to_be_kept_lives_on
    what_is_to_be_kept_ends_with_a_job_that_is_ended
}

fn what_a_job_leaves_is_ended(world: &World) {
    let python = std::path::Path::new("/usr/bin/python3").exists();
    let mut leavers = vec![
        ("child", "sleep 600 &".to_owned()),
        ("setsid", "setsid sleep 600 &".to_owned()),
        ("deaf", "sh -c 'trap \"\" TERM; sleep 600; sleep 600' &".to_owned()),
        // No mark, but the lock.
        ("no environment", "setsid env -i sleep 600 &".to_owned()),
        // No lock, but the mark.
        ("no descriptors", "setsid sleep 600 7>&- 8>&- >/dev/null 2>&1 &".to_owned()),
        // Neither, but the session.
        ("session", "env -i sleep 600 7>&- 8>&- >/dev/null 2>&1 &".to_owned()),
    ];
    if python {
        let text = "import os,time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n\
                    os.closerange(0, 64)\ntime.sleep(600)\n";
        std::fs::write(world.at("daemon.py"), text).expect("a file");
        leavers.push(("double fork", "/usr/bin/python3 daemon.py".to_owned()));
    }
    let jobs: Vec<_> = leavers
        .iter()
        .map(|(_, command)| {
            job(format!("{command}\nexit 0").replace('\n', "; ").replace("&;", "&"))
        })
        .collect();
    world.hand_over(&Batch::new(jobs.clone()));
    let ends = world.drained();
    for ((name, _), job) in leavers.iter().zip(&jobs) {
        assert_eq!(verdict(&ends, job), "succeeded ok 0 none", "{name}");
        assert_eq!(ends[&format!("{}/1", job.id)]["left"], "cleaned", "{name}");
    }
    assert_eq!(world.errors(), "");
}

/// Nothing but the lock tells whose it is, and some of what lists open files does not print such a name as it is.
fn what_holds_the_lock_below_an_odd_root_is_found(world: &mut World) {
    world.root = world.sandbox.path().join("it's ü \\ -> root");
    world.install(VERSION, "");
    let job = job("setsid env -i sleep 600 & exit 0");
    let ends = world.run(&Batch::new([job.clone()]));
    assert_eq!(ends[&format!("{}/1", job.id)]["left"], "cleaned");
}

/// Twelve jobs, each with a row of daemons that live for a moment each and leave the next one behind.
fn what_runs_from_parent_to_child_is_found(world: &World) {
    if !std::path::Path::new("/usr/bin/python3").exists() {
        return;
    }
    let text = "import os,time\nfor _ in range(60):\n    if os.fork(): os._exit(0)\n    os.setsid()\n    \
                os.closerange(0, 64)\ntime.sleep(600)\n";
    std::fs::write(world.at("row.py"), text).expect("a file");
    let jobs: Vec<_> = (0..12).map(|_| job("/usr/bin/python3 row.py")).collect();
    world.hand_over(&Batch::new(jobs.clone()));
    let ends = world.drained();
    for job in &jobs {
        assert_eq!(ends[&format!("{}/1", job.id)]["left"], "cleaned");
    }
}

/// Every look at `alive` opens it, under the very number that a job has it under.
fn who_looks_at_the_lock_is_no_process_of_the_job(world: &World) {
    let job = job(
        "setsid env -u SP_OUT_DIR sh -c 'exec 7>&- 8<\"$1\"; echo $$ >looker; sleep 3; echo lived >looker' \
         sh \"${SP_OUT_DIR%/out}/alive\" >/dev/null 2>&1 & \
         sleep 600 & while [ ! -s looker ]; do sleep 0.02; done",
    );
    let ends = world.run(&Batch::new([job.clone()]));
    assert_eq!(ends[&format!("{}/1", job.id)]["left"], "cleaned");
    assert_eq!(std::fs::read_to_string(world.at("looker")).expect("its word"), "lived\n");
}

fn what_a_finished_job_left_is_not_the_next_ones(world: &World) {
    // A process of a stranger, started while a job runs, is let be.
    let bystander = job(
        "env -u SP_OUT_DIR setsid env -i sh -c 'exec 7>&- 8>&-; echo $$ >bystander; exec sleep 3' >/dev/null 2>&1 & \
                         while [ ! -s bystander ]; do sleep 0.02; done",
    );
    let ends = world.run(&Batch::new([bystander.clone()]));
    assert_eq!(ends[&format!("{}/1", bystander.id)]["left"], "none");
}

/// Starts one of the job's session and one of its own, and says who they are.
const STAYS: &str = "setsid sleep 600 & echo $! >>kept; sleep 600 & echo $! >>kept";

fn kept(world: &World) -> Vec<i32> {
    let pids = world.lines("kept").into_iter();
    pids.map(|pid| pid.parse().expect("a number")).collect()
}

/// The ends, once all runners have left, though what jobs left may run on.
fn left(world: &World) -> std::collections::BTreeMap<String, super::world::Record> {
    world.ask("wait", &[CAMPAIGN, "0", "50"], "");
    world.ends()
}

fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// With its clean-up, and with a runner that dies before the end is written; the slot is free for the next job.
fn what_is_to_be_kept_lives_on(world: &World) {
    let common = "B_LEFTOVER=keep B_CLEANUP=1";
    let mut first = job(STAYS);
    "; CLEANUP() { script cleanup 'echo cleaned >>count'; }".clone_into(&mut first.more);
    let mut next = job("echo next >>count");
    next.more.clone_from(&first.more);
    world.hand_over(&Batch::new([first.clone(), next.clone()]).with(common));
    let ends = left(world);
    let end = |job: &super::world::Job| world.ends()[&format!("{}/1", job.id)].clone();
    assert_eq!(verdict(&ends, &first), "succeeded ok 0 none");
    assert_eq!((&*end(&first)["left"], &*end(&first)["cleanup"]), ("kept", "ok"));
    assert_eq!(end(&next)["left"], "none");
    assert_eq!(world.lines("count"), ["cleaned", "next", "cleaned"]);
    // Another runner, that has to take the slot.
    let later = job("echo later >>count");
    world.hand_over(&Batch::new([later.clone()]));
    assert_eq!(verdict(&left(world), &later), "succeeded ok 0 none");
    let mut orphan = job(format!("{STAYS}; : >running; while [ ! -e go ]; do sleep 0.02; done"));
    orphan.more.clone_from(&first.more);
    world.hand_over(&Batch::new([orphan.clone()]).with(common));
    world.wait_for("running");
    world.sandbox.kill_runners();
    std::fs::write(world.at("go"), "").expect("a file");
    wait_until("it has exited", || world.state(&orphan).contains("\nexit "));
    world.kick();
    let ends = left(world);
    assert_eq!(verdict(&ends, &orphan), "succeeded ok 0 none");
    let kept = kept(world);
    assert_eq!(kept.len(), 4);
    for pid in kept {
        assert!(lives(pid));
        kill(pid, Signal::KILL);
    }
}

/// By a cancel, and by its time limit.
fn what_is_to_be_kept_ends_with_a_job_that_is_ended(world: &World) {
    let endless = job(format!("{STAYS}; : >running; sleep 600"));
    world.hand_over(&Batch::new([endless.clone()]).with("B_LEFTOVER=keep"));
    world.wait_for("running");
    world.ask("cancel", &[CAMPAIGN, "user", "1"], &format!("{} 1 a\n", endless.id));
    assert!(verdict(&world.drained(), &endless).starts_with("cancelled by-user "));
    let late = job(format!("{STAYS}; : >late; sleep 600"));
    let ends = world.run(&Batch::new([late.clone()]).with("B_LEFTOVER=keep B_LIMIT=1.00"));
    assert!(verdict(&ends, &late).starts_with("timeout time-limit "));
    let kept = kept(world);
    assert_eq!(kept.len(), 4);
    wait_until("they are gone", || !kept.iter().any(|pid| lives(*pid)));
}

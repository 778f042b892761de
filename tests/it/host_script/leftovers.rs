//! Processes that a job leaves behind.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use super::world::{Batch, World, job, verdict};

super::in_every_shell! {
    what_a_job_leaves_is_ended what_runs_from_parent_to_child_is_found what_a_finished_job_left_is_not_the_next_ones
    who_looks_at_the_lock_is_no_process_of_the_job
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

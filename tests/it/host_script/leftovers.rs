//! Processes that a job leaves behind.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use super::world::{Batch, World, job, verdict};

super::in_every_shell! { what_a_job_leaves_is_ended what_a_finished_job_left_is_not_the_next_ones }

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

fn what_a_finished_job_left_is_not_the_next_ones(world: &World) {
    // A process of a stranger, started while a job runs, is let be.
    let bystander = job(
        "env -u SP_OUT_DIR setsid env -i sh -c 'exec 7>&- 8>&-; echo $$ >bystander; exec sleep 3' >/dev/null 2>&1 & \
                         while [ ! -s bystander ]; do sleep 0.02; done",
    );
    let ends = world.run(&Batch::new([bystander.clone()]));
    assert_eq!(ends[&format!("{}/1", bystander.id)]["left"], "none");
}

//! Attempts that are taken over from another instance.

use std::fs;
use std::path::PathBuf;

use super::world::{Batch, CAMPAIGN, Job, VERSION, World, job};

super::in_every_shell! {
    what_is_taken_over_is_whole files_that_are_gone_are_told_of a_claim_that_is_faster_keeps_its_state
    a_list_that_was_cut_off_is_none
}

const OTHER: &str = "camp~2";

/// A job of this instance that has ended, with a state folder of its own.
fn ended(world: &World) -> Job {
    let job = job("echo kept >\"$SP_STATE_DIR/kept\"; echo out >\"$SP_OUT_DIR/out\"");
    world.run(&Batch::new([job.clone()]));
    job
}

fn adopt(world: &World, job: &Job) -> String {
    world.ask("adopt", &[OTHER, CAMPAIGN], &format!("{} 1\n.\n", job.id))
}

fn there(world: &World, job: &Job) -> PathBuf {
    world.root.join("v2").join(OTHER).join("jobs").join(&job.id)
}

fn what_is_taken_over_is_whole(world: &World) {
    let job = ended(world);
    for n in 1..3 {
        assert_eq!(adopt(world, &job), format!("adopted id={} n={n} .\n", job.id));
        let attempt = there(world, &job).join(n.to_string());
        let state = fs::read_to_string(attempt.join("state")).expect("records");
        let of = |kind: &str| state.lines().find(|line| line.starts_with(kind)).expect("a record");
        for kind in ["claim ", "end "] {
            assert!(of(kind).contains(&format!(" id={} n={n} ", job.id)), "{state}");
        }
        assert!(attempt.join("out/out").exists() && !attempt.join("state-of-job").exists());
    }
    assert!(there(world, &job).join("state/kept").exists());
}

fn files_that_are_gone_are_told_of(world: &World) {
    let job = ended(world);
    world.ask("gc", &[CAMPAIGN, "remove"], &format!("attempt {} 1\n.\n", job.id));
    assert!(!world.attempt(&job).join("out").exists());
    adopt(world, &job);
    let journal = world.root.join("v2").join(OTHER).join("journal");
    let journal = fs::read_to_string(journal).unwrap_or_default();
    assert!(journal.contains(&format!("removed id={} n=1 .\n", job.id)), "{journal}");
}

/// Copying may take minutes: meanwhile the job may be handed over and run.
fn a_claim_that_is_faster_keeps_its_state(world: &World) {
    let job = ended(world);
    let claims = "cp() { command cp \"$@\"; [ -h \"$_job/$_next\" ] || \
                  { ln -s try-1.x \"$_job/$_next\"; mkdir -p \"$_job/state\"; : >\"$_job/state/live\"; }; }\n";
    world.install(VERSION, claims);
    assert_eq!(adopt(world, &job), "");
    let there = there(world, &job);
    assert!(there.join("state/live").exists() && !there.join("state/kept").exists());
    let left: Vec<_> = fs::read_dir(&there).expect("a folder").flatten().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

fn a_list_that_was_cut_off_is_none(world: &World) {
    let job = ended(world);
    let cut = format!("{} 1\n", job.id);
    let answer = world.ask_any("adopt", &[OTHER, CAMPAIGN], &cut);
    assert_eq!((answer.framed, answer.code), (false, Some(64)));
    assert!(!there(world, &job).exists());
}

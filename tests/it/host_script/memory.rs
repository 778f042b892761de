//! Jobs that the kernel kills for their memory.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;

use super::in_every_shell;
use super::world::{Batch, World, job};
use crate::support::{MemoryGroup, quoted, wait_until};

/// What all of it may have together.
const LIMIT: u64 = 48 << 20;
/// Takes more and more of it; where there is no such limit after all, its own ends it.
const EATS: &str = "ulimit -v 500000; exec tail /dev/zero";

/// State, reason and exit code of each job, in their order.
fn ended(world: &World, batch: &Batch) -> Vec<(String, String, String)> {
    let ends = world.drained();
    let end = |id: &String| {
        let end = &ends[&format!("{id}/1")];
        (end["state"].clone(), end["reason"].clone(), end["rc"].clone())
    };
    batch.jobs.iter().map(|job| end(&job.id)).collect()
}

fn words(state: &str, reason: &str, code: &str) -> (String, String, String) {
    (state.to_owned(), reason.to_owned(), code.to_owned())
}

in_every_shell! { what_the_kernel_kills_for_memory_is_told_by_its_counter which_of_two_jobs_at_once_it_was_is_not_known }

fn what_the_kernel_kills_for_memory_is_told_by_its_counter(world: &mut World) {
    let Some(group) = MemoryGroup::new(LIMIT) else { return };
    world.group = Some(group);
    let batch = Batch::new([
        job(EATS),
        // A child of the job: all that is seen of it is the exit code.
        job(format!("({EATS}) || exit 3")),
        // It can live with that.
        job(format!("({EATS}); true")),
        job("exit 137"),
        job("kill -s KILL $$"),
        job("true"),
    ]);
    world.hand_over(&batch);
    let wanted = [
        words("oom", "memory", "137"),
        words("oom", "memory", "3"),
        words("succeeded", "ok", "0"),
        words("failed", "exit-code", "137"),
        words("failed", "signal", "137"),
        words("succeeded", "ok", "0"),
    ];
    assert_eq!(ended(world, &batch), wanted);
}

fn which_of_two_jobs_at_once_it_was_is_not_known(world: &mut World) {
    let Some(group) = MemoryGroup::new(LIMIT) else { return };
    world.group = Some(group);
    let second = quoted(world.sandbox.home().join("second"));
    let go = quoted(world.sandbox.home().join("go"));
    // The second one is there before the first one is killed, and fails after it.
    let mut batch = Batch::new([
        job(format!("until [ -e {second} ]; do sleep 0.02; done; {EATS}")),
        job(format!("touch {second}; until [ -e {go} ]; do sleep 0.02; done; exit 4")),
    ]);
    batch.slots = 2;
    world.hand_over(&batch);
    wait_until("the first has ended", || !world.ends().is_empty());
    fs::write(world.sandbox.home().join("go"), "").expect("a file");
    for (state, reason, code) in ended(world, &batch) {
        assert_eq!((state.as_str(), reason.as_str()), ("failed", "oom-suspected"));
        // The kernel may have ended the second one, too.
        assert!(code == "137" || code == "4", "{code}");
    }
}

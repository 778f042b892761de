//! Jobs that take more memory than there is, until the kernel ends them, in a memory group of its own.

use fastrand::Rng;

use super::signals;
use crate::faults::oracle::Finding;
use crate::faults::trial::{Shape, Trial, usual};
use crate::support::MemoryGroup;

/// Enough for a client, a runner and a small job.
const LIMIT: u64 = 128 << 20;

pub(super) fn shape(rng: &mut Rng) -> Shape {
    let hosts = [&[][..], &["a"]][rng.usize(0..2)];
    Shape {
        ends: &["exit-0", "exit-3", "exit-137", "sig-KILL", "child", "eats", "eats"],
        ..usual(hosts)
    }
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let Some(group) = MemoryGroup::new(LIMIT) else {
        trial.tell("no memory group can be made here: nobody eats up what there is");
        return signals::play(trial);
    };
    trial.group = Some(group);
    let mut client = trial.start(&["apply"]);
    if trial.chance(60) {
        trial.until_begun(&mut client);
        trial.let_pass(0..=700);
        signals::strike(trial, Some(&client));
    }
    trial.finish(client);
    trial.close()
}

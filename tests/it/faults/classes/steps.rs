//! Deaths at the very steps: the client at one of its crash points, a process of the host at one of its own.

use fastrand::Rng;

use crate::faults::oracle::{Finding, Grant};
use crate::faults::trial::{Shape, Trial, any_hosts, usual};

pub(super) fn shape(rng: &mut Rng) -> Shape {
    usual(any_hosts(rng))
}

/// Steps of the host's processes, and what a death there leaves beside the truth.
const STEPS: &[(&str, &[&str])] = &[
    ("snapshot-fill", &[]),
    ("snapshot-filled", &[]),
    ("before-claim", &[]),
    ("claimed", &["lost:before-start"]),
    ("claim-durable", &["lost:before-start"]),
    ("stub-before-start", &["lost:before-start"]),
    ("stub-started", &["lost:stub-killed", "lost:killed"]),
    ("stub-ended", &["lost:stub-killed", "lost:killed"]),
    ("job-ended", &[]),
    ("end-written", &[]),
];

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let points = crate::crash::points();
    let (step, ends) = trial.pick(STEPS);
    for name in trial.hosts {
        trial.sandbox.host_variable(name, "SP_FAULT", step);
    }
    trial.sandbox.set("SP_FAULT", step);
    // It is met once on each host.
    for _ in 0..trial.hosts.len().max(1) {
        trial.grants.push(Grant::any(ends));
    }
    trial.tell(format!("who comes to {step} dies"));
    for _ in 0..trial.rng.u32(1..=3) {
        let point = points[trial.rng.usize(..points.len())].clone();
        let crash = format!("{point}:{}", trial.rng.u32(1..=4));
        let folder = trial.sandbox.campaign();
        let client = trial.start_in(&folder, &["apply"], &[("SP_CRASH_AT", &crash)]);
        trial.finish(client);
    }
    trial.close()
}

//! One home that two machines see: what one has claimed is no business of the other.

#![expect(clippy::disallowed_methods, reason = "trials write files as users do")]

use std::fs;

use fastrand::Rng;
use rustix::process::Signal;

use super::signals::strike;
use crate::faults::oracle::Finding;
use crate::faults::trial::{Shape, Trial, usual};

pub(super) fn shape(_rng: &mut Rng) -> Shape {
    usual(&[])
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let machine = |name: &str| trial.sandbox.path().join(format!("machine-{name}"));
    let (here, there) = (machine("here"), machine("there"));
    fs::write(&here, "here\n").expect("a file");
    fs::write(&there, "there\n").expect("a file");
    trial.sandbox.set("SP_MACHINE_ID_FILE", &here.to_string_lossy());
    let mut client = trial.start(&["apply"]);
    if trial.chance(80) {
        trial.until_begun(&mut client);
    }
    trial.let_pass(0..=600);
    let folder = trial.sandbox.campaign();
    let there = there.to_string_lossy().into_owned();
    let other = trial.start_in(&folder, &["apply"], &[("SP_MACHINE_ID_FILE", &there)]);
    trial.let_pass(0..=600);
    if trial.chance(60) {
        strike(trial, Some(&client));
    }
    trial.finish(client);
    // It may wait for what only the first machine can end.
    if let Some(process) = other.process() {
        trial.signal("the other machine's client", process, Signal::TERM);
    }
    trial.finish(other);
    trial.close()
}

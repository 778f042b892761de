//! Two and five clients at once, of one folder and of clones that know nothing of each other; some are killed.

use std::path::PathBuf;

use fastrand::Rng;
use rustix::process::Signal;

use super::signals::strike;
use crate::faults::oracle::Finding;
use crate::faults::trial::{Shape, Trial, any_hosts, usual};
use crate::support::{commit, shell};

pub(super) fn shape(rng: &mut Rng) -> Shape {
    usual(any_hosts(rng))
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let number = trial.pick(&[2, 5]);
    let mut folders: Vec<PathBuf> = vec![trial.sandbox.campaign()];
    commit(&trial.sandbox.campaign());
    for clone in 0..trial.rng.u32(0..=2) {
        shell(trial.sandbox.path(), &format!("git clone -q work clone-{clone}"));
        folders.push(trial.sandbox.path().join(format!("clone-{clone}")));
    }
    let mut clients = Vec::new();
    for _ in 0..number {
        let folder = folders[trial.rng.usize(..folders.len())].clone();
        clients.push(trial.start_in(&folder, &["apply"], &[]));
        trial.let_pass(0..=150);
    }
    for client in &clients {
        trial.let_pass(0..=300);
        if trial.chance(50) {
            let signal = trial.pick(&[Signal::KILL, Signal::KILL, Signal::TERM, Signal::STOP]);
            if let Some(process) = client.process() {
                trial.signal("a client", process, signal);
            }
        }
    }
    if trial.chance(50) {
        strike(trial, None);
    }
    for client in clients {
        trial.finish(client);
    }
    // Each comes to the end by itself, the one that is judged last.
    for folder in folders.iter().skip(1) {
        let client = trial.start_in(folder, &["apply"], &[]);
        trial.finish(client);
    }
    trial.close()
}

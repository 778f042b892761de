//! `sp gc` again and again while a campaign runs, from its folder and from a clone; some are killed in the midst of it.

use fastrand::Rng;
use rustix::process::Signal;

use super::signals::strike;
use crate::faults::oracle::Finding;
use crate::faults::trial::{Shape, Trial, any_hosts, usual};
use crate::support::{commit, shell};

/// With jobs that fail, whose former attempts are waste once they run again.
pub(super) fn shape(rng: &mut Rng) -> Shape {
    Shape {
        ends: &["exit-0", "exit-3", "sig-KILL", "twice", "child", "daemon"],
        ..usual(any_hosts(rng))
    }
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    commit(&trial.sandbox.campaign());
    shell(trial.sandbox.path(), "git clone -q work clone");
    let folders = [trial.sandbox.campaign(), trial.sandbox.path().join("clone")];
    for _ in 0..trial.rng.u32(1..=2) {
        let applying = folders[trial.rng.usize(..2)].clone();
        let mut client = trial.start_in(&applying, &["apply"], &[]);
        while client.lives() {
            trial.let_pass(0..=400);
            if trial.chance(15) {
                strike(trial, Some(&client));
            }
            // Mostly from where no apply keeps it from removing anything.
            let other = usize::from(applying == folders[0]);
            let folder = folders[if trial.chance(80) { other } else { 1 - other }].clone();
            let gc = trial.start_in(&folder, &["gc", "-y", "--older-than", "0s"], &[]);
            if trial.chance(30) {
                trial.let_pass(0..=200);
                let signal = trial.pick(&[Signal::KILL, Signal::TERM, Signal::STOP]);
                if let Some(process) = gc.process() {
                    trial.signal("who cleans", process, signal);
                }
            }
            trial.finish(gc);
        }
        trial.finish(client);
    }
    trial.close()
}

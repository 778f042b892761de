//! Another folder of the campaign's name works on the same hosts at the same time: a copy with the same jobs and other code. It
//! cancels, withdraws and removes all that it may; neither has anything of the other.

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use rustix::process::Signal;

use crate::faults::oracle::{Finding, Kind, judge_other};
use crate::faults::said::said_in;
use crate::faults::trial::{CAMPAIGN, Shape, Trial, any_hosts, usual};
use crate::support::{places, shell};

pub(super) fn shape(rng: &mut Rng) -> Shape {
    usual(any_hosts(rng))
}

/// What either does beside its applies. Only `gc` and looks for the trial's own folder: its jobs are to end as they do.
const OURS: &[&[&str]] = &[&["gc", "-y", "--older-than", "0s"], &["status"], &["plan"]];
const THEIRS: &[&[&str]] = &[
    &["gc", "-y", "--older-than", "0s", "--others"],
    &["cancel", "--all", "--now"],
    &["cancel", "--all", "--others"],
    &["apply", "--withdraw", "--detach"],
    &["apply", "--rerun", "all", "-y", "--detach"],
    &["plan"],
];

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let other = copy(trial);
    let ours = trial.sandbox.campaign();
    let mut clients = Vec::new();
    for _ in 0..trial.rng.u32(1..=2) {
        let both: &mut [&Path] = &mut [&ours, &other];
        trial.rng.shuffle(both);
        for folder in both.iter() {
            clients.push(trial.start_in(folder, &["apply"], &[]));
            trial.let_pass(0..=200);
        }
        for _ in 0..trial.rng.u32(2..=5) {
            trial.let_pass(0..=300);
            if trial.chance(30) {
                let arguments = trial.pick(OURS);
                let client = trial.start_in(&ours, arguments, &[]);
                trial.finish(client);
                continue;
            }
            if trial.chance(30) {
                fewer(trial, &other);
            }
            let arguments = trial.pick(THEIRS);
            let client = trial.start_in(&other, arguments, &[]);
            trial.finish(client);
        }
        if trial.chance(30)
            && let Some(process) = clients[trial.rng.usize(..clients.len())].process()
        {
            let signal = trial.pick(&[Signal::KILL, Signal::TERM, Signal::STOP]);
            trial.signal("a client", process, signal);
        }
    }
    for client in clients {
        trial.finish(client);
    }
    // The other one takes back what it may, and comes to its end.
    for arguments in [&["cancel", "--all", "--now"][..], &["wait"], &["apply", "--no-failed"]] {
        let client = trial.start_in(&other, arguments, &[]);
        trial.finish(client);
    }
    let mut findings = trial.close();
    judge_other(&other, &said_in(&trial.sandbox.path().join("elsewhere")), &mut findings);
    let instances = trial.roots().into_iter().map(|root| places(&root, CAMPAIGN).len());
    if instances.max() != Some(2) {
        findings.push(Finding::new(Kind::Wrong, "there are not two instances"));
    }
    findings
}

/// A copy of the campaign's folder whose jobs say what they do somewhere else.
fn copy(trial: &Trial) -> PathBuf {
    let folder = trial.sandbox.path().join("copy");
    fs::create_dir(trial.sandbox.path().join("elsewhere")).expect("a folder");
    shell(
        trial.sandbox.path(),
        "cp -r work copy && sed -i 's,/said/$SP_JOB_ID,/elsewhere/$SP_JOB_ID,' copy/job.sh",
    );
    folder
}

/// The other one has fewer jobs from now on.
fn fewer(trial: &mut Trial, folder: &Path) {
    let to = trial.first + trial.rng.usize(..trial.jobs);
    trial.tell(format!("elsewhere the jobs are {} to {to}", trial.first));
    shell(folder, &format!("sed -i 's/, to = [0-9]*,/, to = {to},/' campaign.toml"));
}

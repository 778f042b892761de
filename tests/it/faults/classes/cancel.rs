//! `sp cancel` at random times, and killed at it: afterwards nothing of a cancelled job runs, and what had not started never
//! starts.

use fastrand::Rng;
use rustix::process::Signal;

use super::signals::strike;
use crate::faults::oracle::{Finding, Grant, Kind};
use crate::faults::said::{Said, said};
use crate::faults::trial::{ENDS, HOSTILE, Shape, Trial, any_hosts, usual};

pub(super) fn shape(rng: &mut Rng) -> Shape {
    let hosts = any_hosts(rng);
    Shape { ends: [ENDS, HOSTILE][rng.usize(0..2)], nap: 10..=90, ..usual(hosts) }
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let mut client = trial.start(&["apply"]);
    if trial.chance(80) {
        trial.until_begun(&mut client);
    }
    trial.let_pass(0..=900);
    if trial.chance(30) {
        strike(trial, Some(&client));
    }
    let one = format!("n={}", trial.first + trial.rng.usize(..trial.jobs));
    let mut arguments = vec!["cancel", if trial.chance(60) { "--all" } else { &one }];
    if trial.chance(50) {
        arguments.push("--now");
    }
    if trial.chance(40) {
        let cancel = trial.start(&arguments);
        trial.let_pass(0..=300);
        if let Some(process) = cancel.process() {
            trial.signal("the cancel", process, Signal::KILL);
        }
        trial.finish(cancel);
    }
    // One that moves to another host meanwhile may not have ended in time: then it says that it is to be run again.
    let mut code = trial.run(&arguments);
    for _ in 0..3 {
        if code == 75 {
            code = trial.run(&arguments);
        }
    }
    let mut findings = Vec::new();
    // 4: there was nothing to cancel any more.
    if ![0, 4].contains(&code) {
        findings.push(Finding::new(Kind::Wrong, format!("cancel ends with {code}")));
    }
    let cancelled = cancelled(trial);
    let survivors = |trial: &Trial| {
        let runs = |id: &&String| {
            let lock = trial.sandbox.path().join(format!("said/{id}.lock"));
            std::fs::File::open(lock).is_ok_and(|lock| lock.try_lock().is_err())
        };
        cancelled.iter().filter(runs).cloned().collect::<Vec<_>>()
    };
    let left = survivors(trial);
    if !left.is_empty() {
        findings.push(Finding::new(Kind::Wrong, format!("{left:?} run after the cancel")));
    }
    let before = said(trial);
    trial.finish(client);
    let closing = trial.run(&["apply"]);
    let after = said(trial);
    let of = |said: &Said, id: &String| said.get(id).map_or(0, Vec::len);
    for id in &cancelled {
        if of(&before, id) != of(&after, id) {
            let text = format!("{id} was cancelled and went on: {:?}", after.get(id));
            findings.push(Finding::new(Kind::Doubled, text));
        }
    }
    for _ in 0..2 * trial.jobs {
        trial.grants.push(Grant::any(&["cancelled:by-user"]));
    }
    findings.extend(trial.judged(closing));
    findings
}

/// Ids of jobs that are cancelled by now.
fn cancelled(trial: &Trial) -> Vec<String> {
    let status = trial.sandbox.json(&["status"]);
    let jobs = status["jobs"].as_array().expect("a list of jobs");
    let of = |job: &&serde_json::Value| job["state"] == "cancelled";
    jobs.iter().filter(of).filter_map(|job| Some(job["id"].as_str()?.to_owned())).collect()
}

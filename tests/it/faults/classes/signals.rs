//! Signals to everybody at random times: client, runner, standby, stub, job, its group, tmux server, viewer.

use fastrand::Rng;
use rustix::process::Signal;

use crate::faults::oracle::{Finding, Grant};
use crate::faults::targets::{Found, Target, find};
use crate::faults::trial::{Client, HOSTILE, Shape, Trial, any_hosts, usual};

pub(super) fn shape(rng: &mut Rng) -> Shape {
    usual(any_hosts(rng))
}

/// Jobs that fork, leave their session, ignore TERM, close all they have open.
pub(super) fn hostile(rng: &mut Rng) -> Shape {
    let hosts = [&[][..], &["a"]][rng.usize(0..2)];
    Shape { ends: HOSTILE, ..usual(hosts) }
}

/// Two hosts, of which one is slow: what waits there moves to the other.
pub(super) fn moves(_rng: &mut Rng) -> Shape {
    Shape {
        jobs: 8..=12,
        ends: &["exit-0", "exit-0", "exit-0", "exit-3", "child"],
        ..usual(&["slow", "fast"])
    }
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let mut client = trial.start(&["apply"]);
    if trial.chance(75) {
        trial.until_begun(&mut client);
    }
    for _ in 0..trial.rng.u32(1..=3) {
        trial.let_pass(0..=700);
        strike(trial, Some(&client));
    }
    trial.finish(client);
    trial.close()
}

const SIGNALS: &[Signal] = &[
    Signal::HUP,
    Signal::INT,
    Signal::TERM,
    Signal::KILL,
    Signal::KILL,
    Signal::KILL,
    Signal::STOP,
];

/// One signal to somebody of those who live.
pub(super) fn strike(trial: &mut Trial, client: Option<&Client>) {
    let all = [
        None,
        Some(Target::Runner),
        Some(Target::Runner),
        Some(Target::Standby),
        Some(Target::Stub),
        Some(Target::Job),
        Some(Target::Group),
        Some(Target::TmuxServer),
        Some(Target::Viewer),
        Some(Target::Conversation),
    ];
    let signal = trial.pick(SIGNALS);
    let first = trial.rng.usize(..all.len());
    // The next one where there is none of a kind.
    for at in 0..all.len() {
        let Some(target) = all[(first + at) % all.len()] else {
            if let Some(process) = client.and_then(Client::process).filter(|one| one.lives()) {
                trial.signal("the client", process, signal);
                return;
            }
            continue;
        };
        let mut rng = trial.rng.clone();
        if let Some(found) = find(trial, target, &mut rng) {
            // However many there were, the seed goes on alike.
            hit(trial, target, &found, signal);
            return;
        }
    }
    trial.tell("nobody lives that could be hit");
}

/// Signals it, and grants what that may do.
fn hit(trial: &mut Trial, target: Target, found: &Found, signal: Signal) {
    if target == Target::Group && signal != Signal::STOP {
        let hit = found.process.signal_group(signal);
        trial.tell(format!("{signal:?} to the group of {found:?}: {hit}"));
    } else {
        trial.signal(&format!("{target:?} {:?}", found.attempt), found.process, signal);
    }
    // The code that a shell sees of a death by this signal.
    let died = format!("failed:{}", 128 + signal.as_raw());
    let grant = match (target, signal) {
        (_, Signal::STOP) => return,
        (Target::Runner, Signal::KILL) => Grant::any(&["lost:before-start"]),
        (Target::Stub | Target::Group, Signal::KILL) => {
            let attempt = found.attempt.clone().expect("a stub is of an attempt");
            Grant::of(attempt, &["lost:stub-killed", "lost:before-start", "lost:killed", &died])
        }
        (Target::Job | Target::Group, _) => {
            Grant::of(found.attempt.clone().expect("a job is of an attempt"), &[&died])
        }
        _ => return,
    };
    trial.grants.push(grant);
}

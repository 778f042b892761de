//! A network of the trial's own: it goes down and comes up again, and the server on it is stopped, or ended and started anew.

use fastrand::Rng;
use rustix::process::Signal;

use super::connection;
use crate::faults::oracle::Finding;
use crate::faults::procs::Process;
use crate::faults::trial::{Shape, Trial};
use crate::support::Network;

pub(super) fn shape(rng: &mut Rng) -> Shape {
    connection::shape(rng)
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let Some(network) = Network::new(&trial.sandbox) else {
        trial.tell("no network can be made here: a proxy has to do");
        return connection::play(trial);
    };
    trial.network = Some(network);
    connection::beset(trial, trouble)
}

fn trouble(trial: &mut Trial) {
    let kind = trial.pick(&["down", "down", "flap", "stop", "restart"]);
    trial.tell(format!("the network: {kind}"));
    match kind {
        "down" => {
            set(trial, "down");
            trial.let_pass(300..=2500);
            set(trial, "up");
        }
        "flap" => {
            for _ in 0..8 {
                set(trial, "down");
                trial.let_pass(20..=200);
                set(trial, "up");
                trial.let_pass(10..=100);
            }
        }
        "stop" => {
            let servers = servers(trial);
            all(&servers, Signal::STOP);
            trial.let_pass(300..=2500);
            all(&servers, Signal::CONT);
        }
        _ => {
            let servers = servers(trial);
            trial.network.as_mut().expect("there is one").stop_server();
            all(&servers, Signal::KILL);
            trial.let_pass(0..=1500);
            trial.network.as_mut().expect("there is one").start_server();
        }
    }
    trial.tell("it is as it should be");
}

fn all(servers: &[Process], signal: Signal) {
    for server in servers {
        server.signal(signal);
    }
}

fn set(trial: &Trial, state: &str) {
    trial.network.as_ref().expect("there is one").set(state);
}

/// The server that listens, and its ends of connections; what runs on the host goes on.
fn servers(trial: &Trial) -> Vec<Process> {
    let listens = trial.network.as_ref().and_then(Network::server).and_then(Process::of);
    let below = listens.into_iter().flat_map(Process::below);
    let ends = below.filter(|process| process.line().contains("sshd"));
    listens.into_iter().chain(ends).collect()
}

//! The network: it stalls, flaps, is cut, is gone for a while; the ssh master or the server's end of a connection dies.

#![expect(clippy::disallowed_methods, reason = "trials write files as users do")]

use std::fs;

use fastrand::Rng;
use rustix::process::Signal;

use crate::faults::oracle::Finding;
use crate::faults::procs::Process;
use crate::faults::targets::{Target, find, of_client};
use crate::faults::trial::{Shape, Trial, usual};

const PROXY: &str = include_str!("../proxy.sh");

pub(super) fn shape(rng: &mut Rng) -> Shape {
    usual([&["a"][..], &["a", "b"]][rng.usize(0..2)])
}

fn relayed(trial: &Trial) {
    let folder = trial.sandbox.plain().join("ssh");
    fs::write(folder.join("proxy.sh"), PROXY).expect("a file");
    let folder = folder.display();
    trial.sandbox.ssh_config(&format!("Host *\n  ProxyCommand sh {folder}/proxy.sh {folder} %n\n"));
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    relayed(trial);
    beset(trial, trouble)
}

/// An apply with one trouble after the other.
pub(super) fn beset(trial: &mut Trial, trouble: impl Fn(&mut Trial)) -> Vec<Finding> {
    let mut client = trial.start(&["apply"]);
    if trial.chance(60) {
        trial.until_begun(&mut client);
    }
    for _ in 0..trial.rng.u32(1..=3) {
        trial.let_pass(0..=600);
        trouble(trial);
    }
    trial.finish(client);
    trial.close()
}

/// A client that sleeps for longer than every timeout, and a network that is gone as long.
pub(super) fn suspended(trial: &mut Trial) -> Vec<Finding> {
    relayed(trial);
    let mut client = trial.start(&["apply"]);
    if trial.chance(70) {
        trial.until_begun(&mut client);
    }
    trial.let_pass(0..=600);
    if trial.chance(50) {
        let process = client.process().filter(|process| process.signal(Signal::STOP));
        trial.tell("the client sleeps");
        trial.let_pass(70_000..=80_000);
        if let Some(process) = process {
            process.signal(Signal::CONT);
        }
        trial.tell("it wakes up");
    } else {
        down(trial, 60_000..=65_000);
    }
    trial.finish(client);
    trial.close()
}

fn trouble(trial: &mut Trial) {
    let kind = trial.pick(&["stall", "flap", "cut", "down", "master", "server"]);
    let mut rng = trial.rng.clone();
    match kind {
        "stall" | "flap" => {
            let relays = of_client(trial, |line| line.starts_with("cat -u -"));
            trial.tell(format!("the network is to {kind}: {} relays", relays.len()));
            let all = |signal| {
                for relay in &relays {
                    relay.signal(signal);
                }
            };
            for _ in 0..if kind == "flap" { 8 } else { 1 } {
                all(Signal::STOP);
                trial.let_pass(if kind == "flap" { 20..=200 } else { 300..=2500 });
                all(Signal::CONT);
                trial.let_pass(10..=100);
            }
        }
        "cut" => cut(trial),
        "down" => down(trial, 300..=2500),
        _ => {
            let target = if kind == "master" { Target::SshMaster } else { Target::Sshd };
            let signal = trial.pick(&[Signal::KILL, Signal::KILL, Signal::TERM, Signal::STOP]);
            match find(trial, target, &mut rng) {
                Some(found) => drop(trial.signal(kind, found.process, signal)),
                None => trial.tell(format!("no {kind} lives")),
            }
        }
    }
}

fn cut(trial: &mut Trial) {
    let proxies = of_client(trial, |line| line.contains("proxy.sh"));
    trial.tell(format!("{} connections are cut", proxies.len()));
    for proxy in proxies {
        for process in proxy.below().into_iter().filter(|process| is_network(*process)) {
            process.signal(Signal::KILL);
        }
        proxy.signal(Signal::KILL);
    }
}

/// Relays and server; what runs on the host goes on.
fn is_network(process: Process) -> bool {
    let line = process.line();
    line.contains("sshd") || line.starts_with("cat -u -")
}

fn down(trial: &mut Trial, milliseconds: std::ops::RangeInclusive<u64>) {
    let file = trial.sandbox.plain().join("ssh/down");
    fs::write(&file, "").expect("a file");
    cut(trial);
    trial.let_pass(milliseconds);
    fs::remove_file(&file).expect("it is there");
    trial.tell("the hosts can be reached again");
}

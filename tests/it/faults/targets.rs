//! Who can be hit in a trial, each found by what the sandbox itself has on record.

use std::fs;

use fastrand::Rng;

use super::oracle::states;
use super::procs::{self, Process};
use super::said::{Word, said};
use super::trial::Trial;

/// A kind of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Runner,
    Standby,
    Stub,
    Job,
    /// The stub's group, which is the job's.
    Group,
    TmuxServer,
    Viewer,
    /// The master of the client's connections.
    SshMaster,
    /// What waits on a host for news to tell the client.
    Conversation,
    /// The server's end of a relayed connection, see `connection`.
    Sshd,
}

/// One that lives, with the attempt that it is of where it is one's.
pub(super) fn find(trial: &Trial, target: Target, rng: &mut Rng) -> Option<Found> {
    let all = match target {
        Target::Runner => plain(runners(trial)),
        Target::Standby => {
            let known = runners(trial);
            let mut others = of_hosts(trial, |line| line.contains(" runner "));
            others.retain(|process| !known.contains(process));
            plain(others)
        }
        Target::Stub | Target::Group => stubs(trial),
        Target::Job => jobs(trial),
        Target::TmuxServer => plain(of_hosts(trial, |line| line.starts_with("tmux "))),
        Target::Viewer => plain(of_hosts(trial, |line| line.contains(" view "))),
        Target::Conversation => plain(of_hosts(trial, |line| {
            [" wait ", " probe ", " hand_over ", " kick "].iter().any(|verb| line.contains(verb))
        })),
        Target::SshMaster => plain(of_client(trial, |line| line.starts_with("ssh"))),
        Target::Sshd => {
            let proxies = of_client(trial, |line| line.contains("proxy.sh"));
            let below = proxies.into_iter().flat_map(Process::below);
            plain(below.filter(|process| process.line().contains("sshd")).collect())
        }
    };
    let all: Vec<Found> = all.into_iter().filter(|found| found.process.lives()).collect();
    (!all.is_empty()).then(|| all[rng.usize(..all.len())].clone())
}

#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) process: Process,
    pub(super) attempt: Option<(String, u32)>,
}

fn plain(processes: Vec<Process>) -> Vec<Found> {
    processes.into_iter().map(|process| Found { process, attempt: None }).collect()
}

/// By their life locks, which name number and start time.
fn runners(trial: &Trial) -> Vec<Process> {
    let mut found = Vec::new();
    for root in trial.roots() {
        for entry in fs::read_dir(root.join("v2/run")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let mut words = name.strip_prefix("life.").unwrap_or_default().split('-');
            let number = |word: Option<&str>| word?.parse::<u64>().ok();
            let (pid, start) = (number(words.next()), number(words.next()));
            if let (Some(pid), Some(start)) = (pid.and_then(|pid| i32::try_from(pid).ok()), start) {
                found.extend(Process::started(pid, start));
            }
        }
    }
    found
}

fn of_hosts(trial: &Trial, is: impl Fn(&str) -> bool) -> Vec<Process> {
    let homes = trial.homes();
    let all = homes.iter().flat_map(|home| procs::of_home(home));
    all.filter(|process| is(&process.line())).collect()
}

/// The client's ssh writes over its own environment: what it is in tells, too.
pub(super) fn of_client(trial: &Trial, is: impl Fn(&str) -> bool) -> Vec<Process> {
    let all = trial.sandbox.processes().into_iter();
    all.filter(|(_, line)| is(line)).filter_map(|(pid, _)| Process::of(pid)).collect()
}

fn stubs(trial: &Trial) -> Vec<Found> {
    let mut found = Vec::new();
    for path in states(trial) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let line = |kind: &str| text.lines().find(|line| line.starts_with(kind));
        let Some(start) = line("start ").filter(|_| line("end ").is_none()) else { continue };
        let value = |name: &str| {
            let word = start.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            word.and_then(|word| word.parse::<u64>().ok())
        };
        let names: Vec<_> = path.iter().rev().map(|name| name.to_string_lossy()).collect();
        let attempt = names[1].parse().ok().map(|n| (names[2].to_string(), n));
        let (pid, since) = (value("pid").and_then(|pid| i32::try_from(pid).ok()), value("pstart"));
        if let (Some(pid), Some(since)) = (pid, since)
            && let Some(process) = Process::started(pid, since)
        {
            found.push(Found { process, attempt });
        }
    }
    found
}

/// Jobs that have begun and not said their end.
fn jobs(trial: &Trial) -> Vec<Found> {
    let mut found = Vec::new();
    for (id, words) in said(trial) {
        let Some((n, Word::Start(pid))) = words.last() else { continue };
        let mark = format!("\0SP_JOB_ID={id}\0");
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environ).contains(&mark)
            && let Some(process) = Process::of(*pid)
        {
            found.push(Found { process, attempt: Some((id, *n)) });
        }
    }
    found
}

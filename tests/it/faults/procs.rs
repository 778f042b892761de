//! Processes as a trial means them: by number and start time, found by what the sandbox itself has on record.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A process that cannot be mistaken for a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    start: u64,
}

impl Process {
    /// The process that has this number now.
    pub(super) fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, start: stat(pid)?.start })
    }

    /// The one of this number that started then.
    pub(super) fn started(pid: i32, start: u64) -> Option<Self> {
        Self::of(pid).filter(|process| process.start == start)
    }

    pub(super) fn lives(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.start == self.start && stat.state != 'Z')
    }

    /// Signals it if it is still the same one; whether it was.
    pub(super) fn signal(self, signal: Signal) -> bool {
        self.lives() && Pid::from_raw(self.pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    /// Signals the group that it leads.
    pub(super) fn signal_group(self, signal: Signal) -> bool {
        self.lives()
            && Pid::from_raw(self.pid).is_some_and(|pid| kill_process_group(pid, signal).is_ok())
    }

    /// Its children and theirs.
    pub(super) fn below(self) -> Vec<Self> {
        let all: Vec<(i32, i32)> =
            pids().into_iter().filter_map(|pid| Some((pid, stat(pid)?.parent))).collect();
        let mut found = vec![self.pid];
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            at += 1;
        }
        found.into_iter().skip(1).filter_map(Self::of).collect()
    }

    /// Its command line, blanks between the words.
    pub(super) fn line(self) -> String {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ")
    }
}

/// Every process that has this home.
pub(super) fn of_home(home: &Path) -> Vec<Process> {
    let mark = format!("HOME={}\0", home.display()).into_bytes();
    let has = |pid: &i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.starts_with(&mark)
            || environ.windows(mark.len() + 1).any(|text| text[0] == 0 && text[1..] == mark[..])
    };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    pids().into_iter().filter(|pid| *pid != own && has(pid)).filter_map(Process::of).collect()
}

struct Stat {
    state: char,
    parent: i32,
    start: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

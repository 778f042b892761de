//! One trial: a world made from a seed, in which a campaign runs while something goes wrong, and is then brought to its end.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;

use super::oracle::{Finding, Grant, Kind, judge};
use super::procs::{self, Process};
use crate::support::{MemoryGroup, Network, PATIENCE, Sandbox};

pub(super) const CAMPAIGN: &str = "faults";
const JOB: &str = include_str!("job.sh");
/// How long a command may take once nothing is in its way any more.
const COMMAND: Duration = Duration::from_mins(3);

/// Ends that any job may have.
pub(super) const ENDS: &[&str] = &[
    "exit-0", "exit-0", "exit-0", "exit-3", "exit-137", "exit-255", "sig-TERM", "sig-KILL",
    "twice", "child", "daemon",
];
/// Jobs that do not want to go, or leave more than they were.
pub(super) const HOSTILE: &[&str] =
    &["exit-0", "closed", "bare", "stubborn", "forks", "loud", "daemon", "sig-SEGV", "sig-HUP"];

/// What a trial runs.
pub(super) struct Shape {
    /// Hosts by ssh; none: this machine.
    pub(super) hosts: &'static [&'static str],
    pub(super) jobs: std::ops::RangeInclusive<usize>,
    pub(super) ends: &'static [&'static str],
    /// Hundredths of a second that a job takes.
    pub(super) nap: std::ops::RangeInclusive<u32>,
    /// More lines of each host's table.
    pub(super) host: &'static str,
}

/// The usual one; `hosts` as the seed has it.
pub(super) fn usual(hosts: &'static [&'static str]) -> Shape {
    Shape { hosts, jobs: 3..=5, ends: ENDS, nap: 2..=45, host: "" }
}

/// This machine, one host by ssh, or two.
pub(super) fn any_hosts(rng: &mut Rng) -> &'static [&'static str] {
    [&[][..], &[], &["a"], &["a", "b"]][rng.usize(0..4)]
}

pub(super) struct Trial {
    pub(super) sandbox: Sandbox,
    pub(super) rng: Rng,
    pub(super) hosts: &'static [&'static str],
    /// How many, and the number of the first.
    pub(super) jobs: usize,
    pub(super) first: usize,
    /// What the faults so far allow beside the truth.
    pub(super) grants: Vec<Grant>,
    /// The root of this machine, where it is not the usual one.
    pub(super) root: Option<PathBuf>,
    /// The memory group of the clients, and so of all that they start.
    pub(super) group: Option<MemoryGroup>,
    /// The network of the clients and of the hosts' servers.
    pub(super) network: Option<Network>,
    /// Whether a job may overlap with an earlier attempt of itself, and with others in its slot.
    pub(super) records_gone: bool,
    /// What happened, for people.
    pub(super) story: Vec<String>,
    began: Instant,
    started: u32,
}

/// A command of `sp` under way.
pub(super) struct Client {
    child: Child,
    pub(super) told: PathBuf,
    what: String,
}

impl Trial {
    pub(super) fn new(shape: &Shape, mut rng: Rng) -> Self {
        let jobs = rng.usize(shape.jobs.clone());
        let mut sandbox = Sandbox::new();
        if !shape.hosts.is_empty() {
            sandbox.hosts(shape.hosts);
        }
        let mut trial = Self {
            sandbox,
            hosts: shape.hosts,
            jobs,
            first: 1,
            grants: Vec::new(),
            root: None,
            group: None,
            network: None,
            records_gone: false,
            story: Vec::new(),
            began: Instant::now(),
            started: 0,
            rng: Rng::with_seed(0),
        };
        // Other numbers are other ids, and are dealt to other hosts.
        let first = rng.usize(1..1000);
        let mut deal = String::new();
        for n in first..first + jobs {
            let end = shape.ends[rng.usize(..shape.ends.len())];
            let nap = rng.u32(shape.nap.clone());
            writeln!(deal, "{n} {end} {}.{:02}", nap / 100, nap % 100).expect("text");
        }
        trial.first = first;
        let hosts: Vec<String> = trial
            .hosts
            .iter()
            .map(|name| {
                let more = trial.in_sandbox(shape.host);
                format!("[hosts.{name}]\nssh = \"{name}\"\n{more}\n")
            })
            .collect();
        let hosts = if hosts.is_empty() {
            format!("[hosts.local]\n{}\n", trial.in_sandbox(shape.host))
        } else {
            hosts.concat()
        };
        trial.sandbox.write(
            "campaign.toml",
            &format!(
                "name = \"{CAMPAIGN}\"\ncommand = \"exec sh job.sh {{{{ n }}}}\"\n[matrix]\n\
                 n = {{ from = {first}, to = {}, step = 1 }}\n{hosts}",
                first + jobs - 1
            ),
        );
        trial.sandbox.write("job.sh", JOB);
        trial.sandbox.write("deal", &deal);
        fs::create_dir(trial.sandbox.path().join("said")).expect("a folder");
        fs::create_dir(trial.sandbox.path().join("told")).expect("a folder");
        let hosts =
            if trial.hosts.is_empty() { "local".to_owned() } else { trial.hosts.join(", ") };
        trial.tell(format!(
            "jobs {first} to {} on {hosts}: {}",
            first + jobs - 1,
            deal.replace('\n', "; ")
        ));
        trial.rng = rng;
        trial
    }

    fn in_sandbox(&self, text: &str) -> String {
        text.replace("SANDBOX", &self.sandbox.path().display().to_string())
    }

    /// Notes what happens.
    pub(super) fn tell(&mut self, what: impl Into<String>) {
        self.story.push(format!("{:>7.2} s  {}", self.began.elapsed().as_secs_f64(), what.into()));
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.rng.usize(..all.len())]
    }

    /// True so many times in a hundred.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// Lets a seeded time pass: the moment of a fault is part of the trial.
    pub(super) fn let_pass(&mut self, milliseconds: std::ops::RangeInclusive<u64>) {
        let until = Instant::now() + Duration::from_millis(self.rng.u64(milliseconds));
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
    }

    /// Waits until a job has said something, or the client has gone.
    pub(super) fn until_begun(&self, client: &mut Client) {
        let deadline = Instant::now() + PATIENCE;
        while !self.has_begun() && client.lives() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn has_begun(&self) -> bool {
        super::said::said(self).values().any(|words| !words.is_empty())
    }

    /// Starts `sp` in the campaign's folder.
    pub(super) fn start(&mut self, arguments: &[&str]) -> Client {
        self.start_in(&self.sandbox.campaign(), arguments, &[])
    }

    /// Starts `sp` in a folder, with more variables.
    pub(super) fn start_in(
        &mut self,
        folder: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Client {
        self.started += 1;
        let told = self.sandbox.path().join(format!("told/{}", self.started));
        let out = fs::File::create(told.with_extension("out")).expect("a file");
        let err = fs::File::create(&told).expect("a file");
        let mut command = self.sandbox.command_in(folder, arguments);
        command.envs(variables.iter().copied());
        if let Some(group) = &self.group {
            command = group.command(&command);
        }
        if let Some(network) = &self.network {
            command = network.command(&command);
        }
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().expect("sp starts");
        let what = format!("client {} (`sp {}`)", self.started, arguments.join(" "));
        self.tell(format!("{what} starts {variables:?}"));
        Client { child, told, what }
    }

    /// Waits for its end: its exit code, negative the signal that ended it.
    #[track_caller]
    pub(super) fn finish(&mut self, mut client: Client) -> i32 {
        let code = client.end_by(Instant::now() + COMMAND);
        let code = code.unwrap_or_else(|| panic!("{} does not end", client.what));
        self.tell(format!("{} ended with {code}", client.what));
        let text = fs::read_to_string(&client.told).unwrap_or_default();
        assert!(code != 101 && !text.contains("panicked at"), "a bug of sp: {text}");
        assert!(!text.contains('\u{1b}'), "an escape in what it says: {text:?}");
        code
    }

    /// Runs `sp` to its end.
    #[track_caller]
    pub(super) fn run(&mut self, arguments: &[&str]) -> i32 {
        let client = self.start(arguments);
        self.finish(client)
    }

    /// Signals a process, and stopped ones go on after a seeded time.
    pub(super) fn signal(&mut self, what: &str, process: Process, signal: Signal) -> bool {
        let hit = process.signal(signal);
        self.tell(format!(
            "{signal:?} to {what} ({}){}",
            process.pid,
            if hit { "" } else { ": gone" }
        ));
        if hit && signal == Signal::STOP {
            self.let_pass(50..=900);
            process.signal(Signal::CONT);
            self.tell(format!("CONT to {what}"));
        }
        hit
    }

    /// Roots of the hosts.
    pub(super) fn roots(&self) -> Vec<PathBuf> {
        match &self.root {
            Some(root) => vec![root.clone()],
            None => self.homes().iter().map(|home| home.join(".local/share/sp")).collect(),
        }
    }

    /// Homes of the hosts.
    pub(super) fn homes(&self) -> Vec<PathBuf> {
        if self.hosts.is_empty() {
            return vec![self.sandbox.home()];
        }
        self.hosts.iter().map(|host| self.sandbox.host_home(host)).collect()
    }

    /// Kills all that runs on a host, as the loss of the machine does.
    pub(super) fn kill_host(&mut self, home: &Path) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = procs::of_home(home);
            if left.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "these cannot be killed: {left:?}");
            for process in left {
                process.signal(Signal::KILL);
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.tell(format!("all killed on {}", home.display()));
    }

    /// One apply brings the campaign to its end; then the oracle judges. What is found is returned, nothing is right without.
    pub(super) fn close(&mut self) -> Vec<Finding> {
        let code = self.run(&["apply"]);
        self.judged(code)
    }

    /// The same after the closing apply.
    pub(super) fn judged(&mut self, code: i32) -> Vec<Finding> {
        let mut findings = Vec::new();
        if ![0, 100].contains(&code) {
            let text =
                fs::read_to_string(self.sandbox.path().join(format!("told/{}", self.started)));
            let text = text.unwrap_or_default();
            findings.push(Finding::new(Kind::Wrong, format!("apply ends with {code}: {text}")));
        }
        self.quiet(&mut findings);
        judge(self, code, &mut findings);
        if findings.is_empty() && self.chance(40) {
            // All is done: another one starts nothing.
            let before = super::said::said(self);
            let again = self.run(&["apply", "--no-failed"]);
            if again != code || super::said::said(self) != before {
                let text =
                    format!("another apply ended with {again}, not {code}, or started something");
                findings.push(Finding::new(Kind::Doubled, text));
            }
            self.quiet(&mut findings);
        }
        findings
    }

    /// Nothing outlives the campaign.
    fn quiet(&mut self, findings: &mut Vec<Finding>) {
        let deadline = Instant::now() + PATIENCE;
        let mut left = self.sandbox.leftovers();
        while !left.is_empty() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(10));
            left = self.sandbox.leftovers();
        }
        if !left.is_empty() {
            findings.push(Finding::new(Kind::Wrong, format!("this still runs: {left:#?}")));
        }
    }
}

impl Client {
    pub(super) fn process(&self) -> Option<Process> {
        i32::try_from(self.child.id()).ok().and_then(Process::of)
    }

    pub(super) fn lives(&mut self) -> bool {
        self.child.try_wait().expect("ours").is_none()
    }

    fn end_by(&mut self, deadline: Instant) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt as _;
        loop {
            if let Some(status) = self.child.try_wait().expect("ours") {
                return Some(status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)));
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

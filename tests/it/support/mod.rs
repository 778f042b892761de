//! A world of its own for each test: home, campaign folder, tmux socket; and the binary run in it.
//!
//! Nothing outlives a sandbox: what still runs when it goes is ended by its own environment, and a test that left a
//! process behind fails.

#![expect(clippy::disallowed_methods, reason = "tests start processes and write files as users do")]

mod disk;
mod memory;
mod network;
mod over;
mod places;
mod shell;
mod sshd;
mod user;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use disk::Disk;
pub use memory::MemoryGroup;
pub use network::Network;
pub use places::{commit, files_below, place, places, secrets_in_memory, sp_in};
pub use shell::{in_toml, quoted, shell};

/// How long anything may take on a loaded machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A home, a campaign folder and a tmux socket that no other test sees.
pub struct Sandbox {
    folder: TempDir,
    /// The folder of all that `sp` sees: `folder`, or one in it, see `SP_TEST_FOLDER`.
    path: PathBuf,
    variables: Vec<(String, String)>,
}

/// What a run of `sp` gave.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("sp-test-").tempdir().expect("a folder");
        // A name such as `it's ü` below which home and campaign lie then. Sockets and keys keep out of it: their paths stand in
        // configurations that the tests write.
        let name = std::env::var_os("SP_TEST_FOLDER").unwrap_or_default();
        let path = folder.path().join(name).components().collect();
        fs::create_dir_all(&path).expect("a folder");
        let mut sandbox = Self { folder, path, variables: Vec::new() };
        fs::create_dir(sandbox.home()).expect("a home");
        fs::create_dir(sandbox.campaign()).expect("a campaign folder");
        if over::ssh() {
            std::os::unix::fs::symlink(sandbox.home(), sandbox.host_home("local")).expect("a link");
            sandbox.hosts(&["local"]);
            sandbox.host_variable("local", "TMUX_TMPDIR", &sandbox.plain().to_string_lossy());
        }
        sandbox
    }

    /// A sandbox whose `campaign.toml` is this text.
    pub fn with(campaign: &str) -> Self {
        let sandbox = Self::new();
        sandbox.write("campaign.toml", campaign);
        sandbox
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder whose path is short and has no character that means anything to a shell.
    pub fn plain(&self) -> &Path {
        self.folder.path()
    }

    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// Folder of the campaign file.
    pub fn campaign(&self) -> PathBuf {
        self.path().join("work")
    }

    /// Leaves its folder in place for whoever looks into what went wrong.
    pub fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// Root of the host `local`.
    pub fn root(&self) -> PathBuf {
        self.home().join(".local/share/sp")
    }

    /// A variable for every command of this sandbox.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self.tell_host(name, value);
    }

    /// Takes a variable away again.
    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.tell_host(name, "");
    }

    /// Writes a file below the campaign's folder.
    pub fn write(&self, path: &str, text: &str) {
        let text = &self.over_ssh(path, text);
        let path = self.campaign().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text.as_bytes()).expect("a file");
    }

    /// Reads a file below the campaign's folder; empty when it is not there.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.campaign().join(path)).unwrap_or_default()
    }

    /// Lines of a file below the campaign's folder, sorted: what the jobs themselves say they did.
    pub fn lines(&self, path: &str) -> Vec<String> {
        sorted_lines(&self.read(path))
    }

    /// State and reason of every job of the file, in its order, as `sp status` tells them.
    #[track_caller]
    pub fn states(&self) -> Vec<(String, String)> {
        let status = self.json(&["status"]);
        let word = |job: &serde_json::Value, key: &str| job[key].as_str().unwrap_or("").to_owned();
        let jobs = status["jobs"].as_array().expect("a list of jobs");
        jobs.iter().map(|job| (word(job, "state"), word(job, "reason"))).collect()
    }

    /// Process ids of the runners that live: the ones whose life lock is there.
    pub fn runners(&self) -> Vec<i32> {
        let Ok(folder) = fs::read_dir(self.root().join("v2/run")) else { return Vec::new() };
        let names = folder.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let pids =
            names.filter_map(|name| name.strip_prefix("life.")?.split('-').next()?.parse().ok());
        pids.filter(|pid: &i32| Path::new(&format!("/proc/{pid}")).exists()).collect()
    }

    /// The file `name` of every attempt of a campaign, in the order of their paths.
    pub fn attempts(&self, campaign: &str, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let jobs = self.place(campaign).join("jobs");
        for job in fs::read_dir(jobs).into_iter().flatten().flatten() {
            for attempt in fs::read_dir(job.path()).into_iter().flatten().flatten() {
                let number = attempt.file_name().to_string_lossy().parse::<u32>().is_ok();
                if number && attempt.path().join(name).exists() {
                    found.push(attempt.path().join(name));
                }
            }
        }
        found.sort();
        found
    }

    /// Kills every runner and standby, so that nobody looks after what runs, or takes over.
    pub fn kill_runners(&self) {
        wait_until("no runner is left", || {
            // One that is just being started may become one.
            let of_interest = |line: &str| line.is_empty() || line.contains(" runner ");
            let mut left = self.processes();
            left.retain(|(_, line)| of_interest(line));
            for (pid, _) in left.iter().filter(|(_, line)| !line.is_empty()) {
                kill(*pid, rustix::process::Signal::KILL);
            }
            left.is_empty()
        });
    }

    /// Kills every process of this sandbox but tmux, as the loss of the machine does, until none is left.
    pub fn kill_all(&self) {
        wait_until("everything is killed", || {
            let left = self.leftovers();
            for (pid, _) in &left {
                kill(*pid, rustix::process::Signal::KILL);
            }
            left.is_empty()
        });
    }

    /// `sp` in a folder, with an environment of its own.
    pub fn command_in(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sp"));
        command.args(arguments).current_dir(folder).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", self.home())
            .env("TMUX_TMPDIR", self.plain())
            .env("TMPDIR", self.plain());
        let locale = std::env::var_os("SP_TEST_LOCALE").unwrap_or_else(|| "C.UTF-8".into());
        command.env("LC_ALL", locale).env("TZ", "UTC");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `sp` in the campaign's folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_in(&self.campaign(), arguments)
    }

    /// Runs `sp` to its end.
    pub fn sp(&self, arguments: &[&str]) -> Run {
        Run::of(&self.command(arguments).output().expect("sp starts"))
    }

    /// Runs `sp` and expects this exit code.
    #[track_caller]
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Run {
        let run = self.sp(arguments);
        assert_eq!(
            run.code, code,
            "sp {arguments:?} ended with {}:\n{}\n{}",
            run.code, run.stdout, run.stderr
        );
        run
    }

    /// Runs `sp … --json` and reads its document.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let run = self.sp(&[arguments, &["--json"]].concat());
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| {
            panic!("sp {arguments:?}: {error}\n{}\n{}", run.stdout, run.stderr)
        })
    }

    /// Starts `sp` and goes on.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("sp starts")
    }

    /// `results.csv` as rows by column name.
    pub fn results(&self, campaign: &str) -> Vec<serde_json::Map<String, serde_json::Value>> {
        let text = self.read(&format!(".sp/{campaign}/results.jsonl"));
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
    }

    /// Folder of a job on the host: its attempts are the numbers in it.
    pub fn job_folder(&self, campaign: &str, id: &str) -> PathBuf {
        self.place(campaign).join("jobs").join(id)
    }

    /// The last record of a kind that an attempt's state file holds.
    #[track_caller]
    pub fn record(&self, campaign: &str, id: &str, attempt: u32, kind: &str) -> String {
        let path = self.job_folder(campaign, id).join(attempt.to_string()).join("state");
        let text = fs::read_to_string(&path).expect("a state file");
        let mut records = text.lines().filter(|line| line.ends_with(" ."));
        let last = records.rfind(|line| line.split(' ').next() == Some(kind));
        last.unwrap_or_else(|| panic!("no record `{kind}` in\n{text}")).to_owned()
    }

    /// Processes whose environment or folder is of this sandbox, tmux servers and this process left out.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mark = self.plain().to_string_lossy().into_owned().into_bytes();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
            else {
                continue;
            };
            if pid.unsigned_abs() == std::process::id() {
                continue;
            }
            let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
            let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let ours = environ.windows(mark.len()).any(|window| window == mark)
                || cwd.starts_with(self.plain());
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            // One that is just being started has no line yet, but a folder; what has ended has neither.
            if ours && (!line.is_empty() || cwd.starts_with(self.plain())) {
                found.push((pid, line));
            }
        }
        found
    }

    /// Processes that a finished campaign must not leave: all but the tmux server, and the masters of clients that were
    /// killed, which end by themselves.
    pub fn leftovers(&self) -> Vec<(i32, String)> {
        let may_stay = |line: &str| line.starts_with("tmux ") || over::is_master(line);
        self.processes().into_iter().filter(|(_, line)| !may_stay(line)).collect()
    }

    /// Waits until nothing of this sandbox runs any more.
    #[track_caller]
    pub fn wait_quiet(&self) {
        let mut left = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            left = self.leftovers();
            if left.is_empty() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("this still runs: {left:#?}");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut left = self.leftovers();
        while !left.is_empty() && Instant::now() < deadline {
            std::thread::yield_now();
            left = self.leftovers();
        }
        for (pid, _) in self.processes() {
            kill(pid, rustix::process::Signal::KILL);
        }
        for secret in secrets_in_memory(&self.root()) {
            drop(fs::remove_file(secret));
        }
        assert!(
            left.is_empty() || std::thread::panicking(),
            "processes were left behind: {left:#?}"
        );
    }
}

impl Run {
    pub fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        Self {
            code: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A field of a record.
#[track_caller]
pub fn field<'a>(record: &'a str, name: &str) -> &'a str {
    let value = |word: &'a str| word.strip_prefix(name)?.strip_prefix('=');
    record.split(' ').find_map(value).unwrap_or_else(|| panic!("no `{name}` in {record}"))
}

/// Waits for the end of a started `sp`.
pub fn finish(child: Child) -> Run {
    Run::of(&child.wait_with_output().expect("sp ends"))
}

/// Waits for a condition, with a deadline.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        // Waiting costs the other tests nothing.
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Sends a signal to a process that this test started.
pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid =
        i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(pid, signal).expect("the process is there");
}

/// Sends a signal to a process that a test came to know; one that is gone already is no matter.
pub fn kill(pid: i32, signal: rustix::process::Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // It may have ended by itself.
        let _ended = rustix::process::kill_process(pid, signal);
    }
}

/// The lines of a text, sorted.
pub fn sorted_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

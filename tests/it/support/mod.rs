//! A world of its own for each test: home, campaign folder, tmux socket; and the binary run in it.
//!
//! Nothing outlives a sandbox: what still runs when it goes is ended by its own environment, and a test that left a
//! process behind fails.

#![expect(clippy::disallowed_methods, reason = "tests start processes and write files as users do")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take on a loaded machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A home, a campaign folder and a tmux socket that no other test sees.
pub struct Sandbox {
    folder: TempDir,
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
        let sandbox = Self { folder, variables: Vec::new() };
        fs::create_dir(sandbox.home()).expect("a home");
        fs::create_dir(sandbox.campaign()).expect("a campaign folder");
        sandbox
    }

    /// A sandbox whose `campaign.toml` is this text.
    pub fn with(campaign: &str) -> Self {
        let sandbox = Self::new();
        sandbox.write("campaign.toml", campaign);
        sandbox
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// Folder of the campaign file.
    pub fn campaign(&self) -> PathBuf {
        self.path().join("work")
    }

    /// Root of the host `local`.
    pub fn root(&self) -> PathBuf {
        self.home().join(".local/share/sp")
    }

    /// A variable for every command of this sandbox.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Writes a file below the campaign's folder.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.campaign().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Reads a file below the campaign's folder; empty when it is not there.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.campaign().join(path)).unwrap_or_default()
    }

    /// `sp` in a folder, with an environment of its own.
    pub fn command_in(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sp"));
        command.args(arguments).current_dir(folder).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home()).env("TMUX_TMPDIR", self.path()).env("TMPDIR", self.path());
        command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
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
        Run::of(self.command(arguments).output().expect("sp starts"))
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

    /// Processes whose environment or folder is of this sandbox, tmux servers and this process left out.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mark = self.path().to_string_lossy().into_owned().into_bytes();
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
                || cwd.starts_with(self.path());
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if ours && !line.is_empty() {
                found.push((pid, line));
            }
        }
        found
    }

    /// Processes that a finished campaign must not leave: all but the tmux server.
    pub fn leftovers(&self) -> Vec<(i32, String)> {
        self.processes().into_iter().filter(|(_, line)| !line.starts_with("tmux ")).collect()
    }

    /// Waits until nothing of this sandbox runs any more.
    #[track_caller]
    pub fn wait_quiet(&self) {
        wait_until("nothing runs any more", || self.leftovers().is_empty());
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
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                drop(rustix::process::kill_process(pid, rustix::process::Signal::KILL));
            }
        }
        if !left.is_empty() && !std::thread::panicking() {
            panic!("processes were left behind: {left:#?}");
        }
    }
}

impl Run {
    fn of(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        Self {
            code: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Waits for the end of a started `sp`.
pub fn finish(child: Child) -> Run {
    Run::of(child.wait_with_output().expect("sp ends"))
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

/// Runs a shell text in a folder; for what users do beside `sp`.
pub fn shell(folder: &Path, text: &str) -> String {
    let mut child = Command::new("sh")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh starts");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("a text");
    let output = child.wait_with_output().expect("sh ends");
    assert!(output.status.success(), "{text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

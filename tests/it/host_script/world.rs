//! A root and a home of their own, a shell, and the words of the script as functions.

#![expect(clippy::disallowed_methods, reason = "tests start processes and write files as users do")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};

use crate::support::{MemoryGroup, Sandbox, wait_until};

pub(super) const CAMPAIGN: &str = "camp~1";
pub(super) const VERSION: &str = "version-a";

/// A record of an answer: its kind and its fields.
pub(super) type Record = BTreeMap<String, String>;

pub(super) struct World {
    pub(super) sandbox: Sandbox,
    shell: PathBuf,
    /// Whether its script is the one that a release build sends.
    is_users: bool,
    /// Where it finds its programs.
    pub(super) path: String,
    variables: BTreeMap<String, String>,
    /// The memory group of what is started from now on.
    pub(super) group: Option<MemoryGroup>,
    /// Where the script works; the sandbox's own unless a test puts it on another disk.
    pub(super) root: PathBuf,
}

/// A job of a hand-over, as `src/host/batch.rs` writes it.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) attempt: u32,
    pub(super) command: String,
    pub(super) markers: String,
    pub(super) more: String,
}

/// A hand-over.
pub(super) struct Batch {
    pub(super) apply: String,
    /// What the jobs need, as its line; empty for nothing.
    pub(super) setup: String,
    pub(super) jobs: Vec<Job>,
    pub(super) common: String,
    pub(super) slots: u32,
    pub(super) secrets: String,
    pub(super) version: String,
}

pub(super) struct Answer {
    pub(super) body: String,
    pub(super) stderr: String,
    pub(super) code: Option<i32>,
    pub(super) framed: bool,
}

pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

pub(super) fn hex(text: &[u8]) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes all");
        hex
    })
}

/// A job that runs `command` in the world's shell. Its id is made of the command.
pub(super) fn job(command: impl Into<String>) -> Job {
    let command = command.into();
    let id = hex(command.as_bytes())[..32].to_owned();
    Job { id, attempt: 1, command, markers: ":".to_owned(), more: String::new() }
}

impl Batch {
    pub(super) fn new(jobs: impl IntoIterator<Item = Job>) -> Self {
        let jobs: Vec<Job> = jobs.into_iter().collect();
        let seed: Vec<String> =
            jobs.iter().map(|job| format!("{}{}", job.id, job.attempt)).collect();
        let apply = hex(seed.concat().as_bytes())[..24].to_owned();
        let version = VERSION.to_owned();
        Self {
            apply,
            setup: String::new(),
            jobs,
            common: String::new(),
            slots: 1,
            secrets: String::new(),
            version,
        }
    }

    /// Sets variables that all jobs share, over the usual ones.
    pub(super) fn with(mut self, common: &str) -> Self {
        self.common.push_str(common);
        self
    }

    /// With a setup, whose text is `command`.
    pub(super) fn after(mut self, id: &str, command: &str) -> Self {
        self.setup = format!(
            "setup {id} B_LIMIT='' B_CODES=' 0 ' B_MARKERS=0 B_STAMP=0 B_PREPARE=0 B_CLEANUP=0 B_MAX_FAIL='' PARAMS='{{}}'; \
             ENVIRONMENT() {{ export X=1; }}; COMMAND() {{ script command {}; }}; MARKERS() {{ :; }}\n",
            quoted(command)
        );
        self.with(&format!("B_SETUP={id} B_TREE=tree B_SNAPSHOT=none "))
    }

    pub(super) fn name(&self) -> String {
        format!("{}-1", self.apply)
    }
}

impl World {
    pub(super) fn new(kind: &str) -> Self {
        Self::of(kind, false)
    }

    /// Makes a world with the script that a release build sends.
    pub(super) fn of_users(kind: &str) -> Self {
        Self::of(kind, true)
    }

    fn of(kind: &str, is_users: bool) -> Self {
        let sandbox = Sandbox::new();
        let mut path = std::env::var("PATH").expect("PATH");
        let find = |name: &str| {
            ["/usr/bin", "/bin"]
                .iter()
                .map(|folder| Path::new(folder).join(name))
                .find(|path| path.exists())
                .unwrap_or_else(|| panic!("this test needs {name}"))
        };
        // A link, so that the shell has the name that decides how it behaves.
        let shells = sandbox.path().join("shells");
        fs::create_dir(&shells).expect("a folder");
        let link = |name: &str, target: &Path| {
            let link = shells.join(name);
            symlink(target, &link).expect("a link");
            link
        };
        let shell = match kind {
            "dash" => link("dash", &find("dash")),
            "bash" => link("bash", &find("bash")),
            // bash under this name is `bash --posix`.
            "bash-posix" => link("sh", &find("bash")),
            "busybox" => {
                let busybox = find("busybox");
                let list = Command::new(&busybox).arg("--list").output().expect("busybox runs");
                for applet in String::from_utf8_lossy(&list.stdout).lines() {
                    link(applet, &busybox);
                }
                if !shells.join("flock").exists() {
                    link("flock", &find("flock"));
                }
                shells.to_str().expect("UTF-8").clone_into(&mut path);
                shells.join("ash")
            }
            other => panic!("no shell {other}"),
        };
        let root = sandbox.path().join("root");
        let variables = BTreeMap::new();
        let world = Self { sandbox, shell, is_users, path, variables, group: None, root };
        world.install(VERSION, "");
        world
    }

    /// Puts the script where it belongs, with a text behind its functions.
    pub(super) fn install(&self, version: &str, more: &str) {
        let bin = self.root.join("v2/bin");
        fs::create_dir_all(&bin).expect("a folder");
        if self.is_users {
            let (before, after) = solverpilot::host::script_for_users()
                .split_once("\nSP_SH=/bin/sh\n")
                .expect("the line that says which shell it uses");
            let shell = quoted(self.shell.to_str().expect("UTF-8"));
            let text = format!("{before}\nSP_SH={shell}\n{after}");
            fs::write(bin.join(version), text).expect("a script");
            return;
        }
        let mut parts: Vec<PathBuf> =
            fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/host"))
                .expect("the script's parts")
                .map(|entry| entry.expect("a part").path())
                .collect();
        parts.sort();
        let main = parts.pop().expect("the last part");
        let mut text = String::new();
        for part in parts {
            text += &fs::read_to_string(part).expect("a part");
        }
        text += more;
        text += &fs::read_to_string(main).expect("the last part");
        fs::write(bin.join(version), text).expect("a script");
    }

    /// A variable for what is started from now on; empty takes it away.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.variables.remove(name);
        if !value.is_empty() {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
    }

    fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.shell);
        command.arg(self.root.join("v2/bin").join(VERSION)).arg(verb).arg(&self.root).arg("nonce");
        command.args(arguments).env_clear().current_dir(self.sandbox.path());
        command
            .env("PATH", &self.path)
            .env("HOME", self.sandbox.home())
            .env("SP_TEST_SH", &self.shell);
        command.env("TMUX_TMPDIR", self.sandbox.path()).envs(&self.variables);
        if let Some(group) = &self.group {
            command = group.command(&command);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Whether a program of this world's `PATH` is there and does what it is told.
    pub(super) fn try_command(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", &self.path).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    pub(super) fn start(
        &self,
        verb: &str,
        arguments: &[&str],
        input: &(impl AsRef<[u8]> + ?Sized),
    ) -> Child {
        let mut child = self.command(verb, arguments).spawn().expect("the shell starts");
        // What streams ends with its input.
        if verb != "wait" {
            // Who refuses early does not read.
            let mut stdin = child.stdin.take().expect("piped");
            drop(stdin.write_all(input.as_ref()));
            // The last line of a list; a test that cuts one off cuts into a line.
            if matches!(verb, "cancel" | "move")
                && input.as_ref().last().is_none_or(|b| *b == b'\n')
            {
                drop(stdin.write_all(b".\n"));
            }
        }
        child
    }

    pub(super) fn finish(mut child: Child) -> Answer {
        let _open = child.stdin.take();
        let output = child.wait_with_output().expect("the shell ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let body = text
            .split_once("sp-begin nonce\n")
            .and_then(|(_, rest)| rest.strip_suffix("sp-end nonce\n"));
        Answer {
            framed: body.is_some(),
            body: body.unwrap_or_default().to_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }

    pub(super) fn ask_any(
        &self,
        verb: &str,
        arguments: &[&str],
        input: &(impl AsRef<[u8]> + ?Sized),
    ) -> Answer {
        Self::finish(self.start(verb, arguments, input))
    }

    /// A question that must be answered, without a word on stderr.
    #[track_caller]
    pub(super) fn ask(
        &self,
        verb: &str,
        arguments: &[&str],
        input: &(impl AsRef<[u8]> + ?Sized),
    ) -> String {
        let answer = self.ask_any(verb, arguments, input);
        assert!(answer.framed, "{verb}: {:?} {} {}", answer.code, answer.body, answer.stderr);
        assert_eq!(answer.stderr, "", "{verb} {arguments:?}");
        answer.body
    }

    /// The bytes of a hand-over, and their hash without the secrets.
    pub(super) fn text(&self, batch: &Batch) -> (String, String) {
        let shell = quoted(self.shell.to_str().expect("UTF-8"));
        let path = quoted(&std::env::var("PATH").expect("PATH"));
        let work = quoted(self.sandbox.campaign().to_str().expect("UTF-8"));
        let Batch { apply, common, slots, version, .. } = batch;
        let secrets = u8::from(!batch.secrets.is_empty());
        let mut text = format!(
            "batch v=1 apply={apply} script={version} secrets={secrets} .\n\
             B_APPLY={apply} B_HOST=local B_WORK={work} B_LIMIT='' B_KILL_AFTER=1 B_LOG_MAX=268435456 \
             B_CODES=' 0 ' B_MARKERS=0 B_STAMP=0 B_CLEANUP=0 B_CLEANUP_LIMIT=600 B_SECRETS={secrets} B_PREPARE=0 B_MAX_FAIL='' B_INIT='' \
             B_SLOTS={slots} {common}; B_ACCOUNT() {{ export PATH={path}; }}; B_SHELL() {{ run_shell {shell} \"$@\"; }}\n"
        );
        text += &batch.setup;
        for job in &batch.jobs {
            let Job { id, attempt, command, markers, more } = job;
            writeln!(
                text,
                "job {id} {attempt} - PARAMS='{{}}'; ENVIRONMENT() {{ export X=1; }}; \
                 COMMAND() {{ script command {}; }}; MARKERS() {{ {markers}; }}{more}",
                quoted(command)
            )
            .expect("a string takes all");
        }
        let hash = hex(text.as_bytes());
        if secrets == 1 {
            text += "secrets\n";
            text += &batch.secrets;
            text += "secrets-end\n";
        }
        (text, hash)
    }

    #[track_caller]
    pub(super) fn hand_over(&self, batch: &Batch) {
        let (text, hash) = self.text(batch);
        let slots = batch.slots.to_string();
        let body = self.ask("hand_over", &[CAMPAIGN, "none", &batch.name(), &hash, &slots], &text);
        assert_eq!(body, "taken .\n");
    }

    pub(super) fn kick(&self) {
        self.ask("kick", &["1"], "");
    }

    /// Hands over and waits until all runners have left.
    #[track_caller]
    pub(super) fn run(&self, batch: &Batch) -> BTreeMap<String, Record> {
        self.hand_over(batch);
        self.drained()
    }

    /// Waits until all is done, then gives the ends by job and attempt.
    #[track_caller]
    pub(super) fn drained(&self) -> BTreeMap<String, Record> {
        self.ask("wait", &[CAMPAIGN, "0", "50"], "");
        self.sandbox.wait_quiet();
        self.ends()
    }

    #[track_caller]
    pub(super) fn probe(&self) -> String {
        self.ask("probe", &[CAMPAIGN, "none", "0", "none"], "")
    }

    /// The records of one kind in a probe.
    #[track_caller]
    pub(super) fn records(&self, kind: &str) -> Vec<Record> {
        records(&self.probe(), kind)
    }

    /// The ends in a probe; that none is told twice with different words is checked.
    #[track_caller]
    pub(super) fn ends(&self) -> BTreeMap<String, Record> {
        let mut ends = BTreeMap::new();
        for end in self.records("end") {
            let key = format!("{}/{}", end["id"], end["n"]);
            if let Some(before) = ends.insert(key, end.clone()) {
                assert_eq!(before, end);
            }
        }
        ends
    }

    pub(super) fn attempt(&self, job: &Job) -> PathBuf {
        self.jobs().join(&job.id).join(job.attempt.to_string())
    }

    pub(super) fn jobs(&self) -> PathBuf {
        self.root.join("v2").join(CAMPAIGN).join("jobs")
    }

    pub(super) fn state(&self, job: &Job) -> String {
        fs::read_to_string(self.attempt(job).join("state")).unwrap_or_default()
    }

    /// A path in the folder the jobs start in.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.sandbox.campaign().join(name)
    }

    /// Lines of a file that jobs append to.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.at(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    pub(super) fn wait_for(&self, name: &str) {
        wait_until(name, || self.at(name).exists());
    }

    /// A number in the records of an attempt, such as `pid`.
    #[track_caller]
    pub(super) fn number(&self, job: &Job, field: &str) -> i32 {
        let state = self.state(job);
        let word = state.split_whitespace().find_map(|w| w.strip_prefix(&format!("{field}=")));
        let word = word.unwrap_or_else(|| panic!("no {field} in {state}"));
        word.split('-').next().and_then(|n| n.parse().ok()).expect("a number")
    }

    /// Waits until a runner that lives waits for the end of a job that it did not start: a `flock` of its own says so, one
    /// that does not just try. (What a killed one started for that waits on.)
    #[track_caller]
    pub(super) fn wait_supervised(&self) {
        wait_until("it is supervised", || {
            let processes = self.sandbox.processes();
            let runners: Vec<i32> = processes
                .iter()
                .filter(|(_, line)| line.contains(" runner "))
                .map(|(pid, _)| *pid)
                .collect();
            processes.iter().any(|(pid, line)| {
                line.contains("flock ")
                    && line.contains(" -s ")
                    && !line.contains(" -n ")
                    && !line.contains(" runner ")
                    && parent(*pid).is_some_and(|parent| runners.contains(&parent))
            })
        });
    }

    /// What the runners complained of.
    pub(super) fn errors(&self) -> String {
        fs::read_to_string(self.root.join("v2/run/errors")).unwrap_or_default()
    }
}

pub(super) fn records(text: &str, kind: &str) -> Vec<Record> {
    text.lines()
        .filter_map(|line| line.strip_suffix(" .")?.strip_prefix(kind)?.strip_prefix(' '))
        .map(|fields| {
            fields
                .split(' ')
                .filter_map(|field| field.split_once('='))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect()
        })
        .collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

pub(super) fn kill(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended by itself.
        kill_process(pid, signal).unwrap_or_default();
    }
}

/// The end of a job's first attempt as `state reason rc sig`.
#[track_caller]
pub(super) fn verdict(ends: &BTreeMap<String, Record>, job: &Job) -> String {
    let key = format!("{}/{}", job.id, job.attempt);
    let end = ends.get(&key).unwrap_or_else(|| panic!("no end of {key} in {ends:#?}"));
    format!("{} {} {} {}", end["state"], end["reason"], end["rc"], end["sig"])
}

//! What git knows of the campaign's folder: where it comes from, at which commit it stands, and its files. Without git, or
//! outside a work tree, there is nothing to say, which is no error; for the list of files it is one where a `.git` is there.
//!
//! A repository may be a stranger's, so nothing in it decides what runs here. Git is asked only about a work tree whose
//! `.git` was found by this code: a bare repository that lies among the files is never taken for one. Git itself refuses
//! a repository of another user. Whatever the repository's own settings name (a hook, a file watcher, a filter, an address
//! to fetch missing objects from), git is told not to use, and a git that does not end is ended.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::client::remote_digest;

/// More than the largest repository needs; a named pipe in place of a settings file takes for ever.
const LIMIT: Duration = Duration::from_mins(5);

/// Settings that win over those of the repository. The protocols are closed by an environment variable besides, which wins
/// over `protocol.NAME.allow` too.
const SETTINGS: &[&str] = &[
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.sshCommand=false",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "safe.bareRepository=explicit",
];

/// What git's environment must not hold: it would lead to another repository, add settings, change the meaning of paths, or
/// start something.
const UNWANTED: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ASKPASS",
    "GIT_ATTR_SOURCE",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DEFAULT_HASH",
    "GIT_DIFF_OPTS",
    "GIT_DIR",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EDITOR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PAGER",
    "GIT_PREFIX",
    "GIT_PROXY_COMMAND",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_TRACE",
    "GIT_TRACE2",
    "GIT_TRACE2_EVENT",
    "GIT_TRACE2_PERF",
    "GIT_WORK_TREE",
];

/// What tells the repository of a folder from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its first commit, the same in every clone and work tree; `None` in a shallow clone, which does not have it.
    pub first_commit: Option<String>,
    /// The folder's path in the work tree, as bytes, with `/` at its end; empty at the top.
    pub prefix: Vec<u8>,
    /// The commit that the work tree stands at.
    pub commit: String,
    /// Digest of the address it was cloned from.
    pub remote: Option<String>,
}

/// Asks git about the repository of a folder; `None` outside of one, and before its first commit.
///
/// # Errors
/// There is a repository, and git has no answer about it; reads as one line, git's own where it said one.
pub fn repository(folder: &Path) -> Result<Option<Repository>, String> {
    let Some(tree) = WorkTree::open(folder)? else { return Ok(None) };
    let Some(commit) = tree.commit() else { return Ok(None) };
    let is_shallow = tree.told(&["rev-parse", "--is-shallow-repository"])? == "true";
    let first_commit = if is_shallow {
        None
    } else {
        // A repository may have several roots: the smallest id, whatever git's order.
        let roots = tree.told(&["rev-list", "--max-parents=0", "HEAD", "--"])?;
        let first = roots.lines().filter(|id| is_commit(id)).min();
        Some(first.ok_or("it has no first commit")?.to_owned())
    };
    let address = tree.told(&["config", "--get", "remote.origin.url"]).ok();
    let remote = address.map(|address| remote_digest(&address));
    Ok(Some(Repository { first_commit, prefix: tree.prefix(), commit, remote }))
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Returns the nearest folder at or above `folder` that has a `.git`: the top of the work tree, as git itself looks for it.
pub(super) fn top(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find(|above| has_git(above)).map(Path::to_owned)
}

/// Whether a folder is the top of a work tree: its `.git` is a folder, or a file that says where that folder is.
pub(super) fn has_git(folder: &Path) -> bool {
    folder.join(".git").metadata().is_ok_and(|about| about.is_dir() || about.is_file())
}

/// What git says of a path that it lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is part of what is or will be committed.
    Tracked,
    /// A submodule: another repository, at a commit that this one names.
    Submodule,
    /// It is neither tracked nor ignored. Another repository, which no commit names, is one such path, which ends in `/`.
    Untracked,
}

/// A path that is not as the commit has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// The path, relative to the folder.
    pub(super) path: Vec<u8>,
    /// False where only a filter, such as that of git-lfs, could tell: filters are programs, and none is run.
    pub(super) is_sure: bool,
}

/// A folder of a work tree, to be asked about.
#[derive(Debug)]
pub(super) struct WorkTree {
    folder: PathBuf,
    top: PathBuf,
    git_dir: PathBuf,
}

impl WorkTree {
    /// Finds the work tree of a folder; `None` outside of one.
    ///
    /// # Errors
    /// There is a `.git` that git does not accept, or no git; reads as one line, git's own where it said one.
    pub(super) fn open(folder: &Path) -> Result<Option<Self>, String> {
        let Ok(folder) = folder.canonicalize() else { return Ok(None) };
        let Some(top) = top(&folder) else { return Ok(None) };
        // Git looks for the repository by itself this once, since only so it also looks whose it is; at this place alone.
        let mut command = command(&top);
        command.env("GIT_CEILING_DIRECTORIES", top.parent().unwrap_or(Path::new("/")));
        command.args(["rev-parse", "--absolute-git-dir"]);
        let told = lines(finish(command, &[]))?;
        let git_dir = PathBuf::from(OsStr::from_bytes(told.strip_suffix(b"\n").unwrap_or(&told)));
        // A git that does not know `safe.bareRepository` takes the folder itself where its `.git` is none.
        if !git_dir.is_absolute() || git_dir == top {
            return Err(format!("`{}` is no repository", top.join(".git").display()));
        }
        Ok(Some(Self { folder, top, git_dir }))
    }

    /// The folder's path in the work tree, with `/` at its end; empty at the top.
    fn prefix(&self) -> Vec<u8> {
        let below = self.folder.strip_prefix(&self.top).unwrap_or(Path::new(""));
        let mut prefix = below.as_os_str().as_bytes().to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        prefix
    }

    /// The commit that the work tree stands at; `None` before the first one.
    pub(super) fn commit(&self) -> Option<String> {
        self.told(&["rev-parse", "--verify", "-q", "HEAD"]).ok().filter(|id| is_commit(id))
    }

    /// Files below the folder, relative to it: tracked ones, and those that are neither tracked nor ignored. Deleted files
    /// that are still tracked are among them.
    ///
    /// # Errors
    /// What git says, as one line.
    pub(super) fn list(&self) -> Result<Vec<(Vec<u8>, Standing)>, String> {
        let arguments =
            ["ls-files", "-z", "-t", "--stage", "--cached", "--others", "--exclude-standard"];
        words(&self.ask(&arguments, &[])?).map(listed).collect()
    }

    /// Paths below the folder that are not as the commit has them; untracked files are not looked at, and in submodules
    /// only which commit they stand at.
    ///
    /// # Errors
    /// What git says, as one line.
    pub(super) fn differences(&self) -> Result<Vec<Difference>, String> {
        // Where git cannot tell by the looks of a file, it compares what a filter makes of it.
        let filters = self.filters()?;
        let mut arguments = Vec::new();
        for filter in &filters {
            for setting in ["clean=", "smudge=", "process=", "required=false"] {
                arguments.push(OsStr::new("-c").to_owned());
                let mut text = OsString::from("filter.");
                text.push(OsStr::from_bytes(filter));
                text.push(".");
                text.push(setting);
                arguments.push(text);
            }
        }
        let status = [
            "status",
            "-z",
            "--porcelain=v1",
            "--untracked-files=no",
            "--ignore-submodules=dirty",
            "--no-renames",
            "--",
            ".",
        ];
        arguments.extend(status.map(OsString::from));
        let (told, prefix) = (self.ask(&arguments, &[])?, self.prefix());
        let mut differences = Vec::new();
        for line in words(&told) {
            let unread = || format!("its status has the line `{}`", line.escape_ascii());
            // Two letters and a blank; paths are relative to the top.
            let (letters, path) = line.split_at_checked(3).ok_or_else(unread)?;
            let Some(path) = path.strip_prefix(prefix.as_slice()) else { continue };
            let is_sure = letters != b" M " || filters.is_empty();
            differences.push(Difference { path: path.to_vec(), is_sure });
        }
        self.settle(&mut differences, &filters)?;
        Ok(differences)
    }

    /// Makes those differences sure that no filter stands behind.
    fn settle(&self, differences: &mut [Difference], filters: &[Vec<u8>]) -> Result<(), String> {
        let unsure = differences.iter_mut().filter(|one| !one.is_sure).collect::<Vec<_>>();
        if unsure.is_empty() {
            return Ok(());
        }
        let mut input = Vec::new();
        for one in &unsure {
            input.extend_from_slice(&one.path);
            input.push(0);
        }
        let told = self.ask(&["check-attr", "-z", "--stdin", "filter"], &input)?;
        // Path, attribute, value.
        let values = told.split(|byte| *byte == 0).skip(2).step_by(3);
        for (one, value) in unsure.into_iter().zip(values) {
            one.is_sure = !filters.iter().any(|filter| filter == value);
        }
        Ok(())
    }

    /// Names of the filters that the settings of the user and of the repository have.
    fn filters(&self) -> Result<Vec<Vec<u8>>, String> {
        let arguments = ["config", "-z", "--name-only", "--get-regexp", r"^filter\..*\..*"];
        let output = self.run(&arguments, &[]).map_err(|error| error.to_string())?;
        // There are none.
        if output.status.code() == Some(1) {
            return Ok(Vec::new());
        }
        let told = lines(Ok(output))?;
        let mut names = Vec::new();
        for key in words(&told) {
            let name = key.strip_prefix(b"filter.").unwrap_or_default();
            let end = name.iter().rposition(|byte| *byte == b'.').unwrap_or(0);
            // What follows such a name is part of the value to git.
            if name[..end].contains(&b'=') {
                return Err("a filter of its settings has `=` in its name".to_owned());
            }
            names.push(name[..end].to_vec());
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// What git answers as text, without the end of its last line.
    fn told(&self, arguments: &[&str]) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.ask(arguments, &[])?).trim_end().to_owned())
    }

    fn ask(&self, arguments: &[impl AsRef<OsStr>], input: &[u8]) -> Result<Vec<u8>, String> {
        lines(self.run(arguments, input))
    }

    fn run(&self, arguments: &[impl AsRef<OsStr>], input: &[u8]) -> io::Result<Output> {
        let mut command = command(&self.folder);
        command.env("GIT_DIR", &self.git_dir).env("GIT_WORK_TREE", &self.top);
        command.args(arguments);
        finish(command, input)
    }
}

/// Parts that end with a zero byte.
fn words(told: &[u8]) -> impl Iterator<Item = &[u8]> {
    told.split(|byte| *byte == 0).filter(|word| !word.is_empty())
}

/// What git said, or why it said nothing, as one line.
fn lines(output: io::Result<Output>) -> Result<Vec<u8>, String> {
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no `git` on this machine".to_owned(),
        _ => error.to_string(),
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text.trim().lines().next().unwrap_or("it failed without a word").to_owned())
}

/// A line of `ls-files -t --stage`: `? PATH`, or a letter, mode, object and stage, and the path behind a tab.
fn listed(line: &[u8]) -> Result<(Vec<u8>, Standing), String> {
    let unread = || format!("its list has the line `{}`", line.escape_ascii());
    let (tag, rest) = line.split_at_checked(2).ok_or_else(unread)?;
    if tag == b"? " {
        return Ok((rest.to_vec(), Standing::Untracked));
    }
    let tab = rest.iter().position(|byte| *byte == b'\t').ok_or_else(unread)?;
    let standing =
        if rest.starts_with(b"160000 ") { Standing::Submodule } else { Standing::Tracked };
    Ok((rest[tab + 1..].to_vec(), standing))
}

/// Git in a folder, with nothing of the repository to run and nothing to fetch.
#[expect(clippy::disallowed_methods, reason = "the one place that starts git")]
fn command(folder: &Path) -> std::process::Command {
    let mut command = std::process::Command::new("git");
    command.arg("--no-pager").arg("-C").arg(folder);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    for name in UNWANTED {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
    command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none");
    command
}

/// Runs git to its end, or to the limit.
fn finish(mut command: std::process::Command, input: &[u8]) -> io::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let stderr = child.stderr.take();
    let (ended, wait) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(|| {
            // A git that ends early does not read it all.
            let _closed = stdin.take().map(|mut stdin| stdin.write_all(input));
        });
        let errors = scope.spawn(|| read(stderr));
        let late = scope.spawn({
            let pid = pid(&child);
            move || {
                let is_late = wait.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
                // The process has not been waited for, so the number is still its own.
                let killed = pid.filter(|_| is_late);
                killed.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
                is_late
            }
        });
        let told = read(stdout);
        drop(ended);
        let is_late = late.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let errors = errors.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let status = child.wait()?;
        if is_late {
            let minutes = LIMIT.as_secs() / 60;
            return Err(io::Error::other(format!("git did not end within {minutes} minutes")));
        }
        Ok(Output { status, stdout: told?, stderr: errors? })
    })
}

fn pid(child: &Child) -> Option<rustix::process::Pid> {
    i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw)
}

fn read(pipe: Option<impl io::Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

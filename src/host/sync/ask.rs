//! What is asked of the host about one folder of a snapshot, see `87-snapshots.sh`. Its answers are not trusted.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::error::SyncError;
use super::hash::Tree;
use super::list::Kind;
use super::rules::Rules;
use crate::host::answer::nonsense;
use crate::host::talk::PATIENCE;
use crate::host::{Host, HostError};
use crate::ids::Instance;

/// How long a host may take to copy what a snapshot keeps, of which only the host knows how much it is.
const COPYING: Duration = Duration::from_mins(15);
/// Files that a host has looked at in a second, and bytes that it has on its disk: those of a slow network file system.
const SLOWEST_LOOK: u64 = 200;
const SLOWEST_DISK: u64 = 1 << 20;
/// The beginning of what a host's `tar` said that is shown.
const SAID: usize = 400;

/// One folder on the host while it is filled.
pub(super) struct Ask<'a> {
    pub(super) host: &'a Host,
    pub(super) instance: &'a Instance,
    pub(super) token: String,
    /// See [`patience`].
    pub(super) patience: Duration,
}

/// How long a host may take to look at a tree of so many files, of which others may be there, too, and to have it on its
/// disk. A tree of a few files is not waited for longer than any other answer: one that got lost is asked for again.
pub(super) fn patience(files: usize, bytes: u64, keeps: bool) -> Duration {
    let look = Duration::from_secs(files as u64 / SLOWEST_LOOK);
    let write = Duration::from_secs(bytes / SLOWEST_DISK);
    PATIENCE + look + write + if keeps { COPYING } else { Duration::ZERO }
}

/// The host's answer to a name.
pub(super) enum Begun {
    /// The tree is there.
    Have { folder: String },
    /// It is to be sent.
    Make { previous: Option<String>, changed: Option<String> },
}

/// What became of a pack.
pub(super) enum Filled {
    /// Its files are in the folder.
    Whole,
    /// The host has no `tar` or no `gzip`.
    NoTools,
}

impl Ask<'_> {
    pub(super) async fn folder(&self) -> Result<PathBuf, HostError> {
        Ok(self.host.snapshots(self.instance).await?.join(format!("in.{}", self.token)))
    }

    pub(super) async fn begin(&self, name: &str) -> Result<Begun, HostError> {
        // Only on this machine the host can see whether we still live.
        let pid = if self.host.is_here() { std::process::id() } else { 0 }.to_string();
        let arguments = [self.instance.as_str(), name, &self.token, &pid];
        let body = self.host.ask("snapshot_begin", &arguments, &[], self.patience).await?;
        let wrong = || nonsense(self.host.name().as_str(), "snapshot_begin", &body);
        let words = words(&body).ok_or_else(wrong)?;
        let folder = |name: &str| match words.get(name) {
            Some("none") => Ok(None),
            Some(folder) if is_folder(folder) => Ok(Some(folder.to_owned())),
            _ => Err(wrong()),
        };
        match words.kind {
            "have" => Ok(Begun::Have { folder: folder("folder")?.ok_or_else(wrong)? }),
            "make" => {
                Ok(Begun::Make { previous: folder("previous")?, changed: folder("changed")? })
            }
            _ => Err(wrong()),
        }
    }

    /// Has a pack of files unpacked in the folder. Twice does no harm.
    pub(super) async fn fill(&self, pack: &[u8]) -> Result<Filled, HostError> {
        let arguments = [self.instance.as_str(), &self.token];
        let body = self.host.ask("snapshot_fill", &arguments, pack, PATIENCE).await?;
        let host = self.host.name().to_string();
        match body.as_slice() {
            b"filled .\n" => Ok(Filled::Whole),
            b"lacks tools .\n" => Ok(Filled::NoTools),
            b"gone .\n" => Err(SyncError::Incomplete { host, found: GONE.to_owned() }.into()),
            other => match other.strip_prefix(b"refused .\n") {
                Some(said) => {
                    let stderr = shown(said);
                    let (why, help) = in_words(&stderr);
                    Err(SyncError::Unpack { host, why, help, stderr }.into())
                }
                None => Err(nonsense(&host, "snapshot_fill", other)),
            },
        }
    }

    pub(super) async fn publish(
        &self,
        name: &str,
        tree: &Tree,
        rules: &Rules,
    ) -> Result<String, HostError> {
        let input = manifest(tree, rules);
        let arguments = [self.instance.as_str(), name, &self.token];
        let body = self.host.ask("snapshot_publish", &arguments, &input, self.patience).await?;
        let wrong = || nonsense(self.host.name().as_str(), "snapshot_publish", &body);
        let words = words(&body).ok_or_else(wrong)?;
        match (words.kind, words.get("folder"), words.get("files"), words.get("of")) {
            ("published", Some(folder), ..) if is_folder(folder) => Ok(folder.to_owned()),
            ("incomplete", _, Some(files), Some(of)) => {
                let found = format!("{files} files of {of}, or not the same");
                let host = self.host.name().to_string();
                Err(SyncError::Incomplete { host, found }.into())
            }
            ("gone", ..) => {
                let host = self.host.name().to_string();
                Err(SyncError::Incomplete { host, found: GONE.to_owned() }.into())
            }
            _ => Err(wrong()),
        }
    }

    pub(super) async fn drop_folder(&self) -> Result<(), HostError> {
        let arguments = [self.instance.as_str(), &self.token];
        self.host.ask("snapshot_drop", &arguments, &[], self.patience).await.map(drop)
    }
}

const GONE: &str = "the folder it was sent to is gone";

/// The beginning of what a host said, control characters made visible.
fn shown(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    said.trim().chars().take(SAID).collect::<String>().escape_debug().to_string()
}

/// What is wrong where a pack was not unpacked, and the next step, by what `tar` said in the language of C.
fn in_words(said: &str) -> (&'static str, &'static str) {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    // Where only a part of a block could be written, tar tells just that.
    if has(&["No space left", "quota exceeded", "Wrote only"]) {
        (
            "could not write the files: its disk is full",
            "make room on the host's disk (`df -h` and `df -i` tell), then run the same command again",
        )
    } else if has(&["Permission denied", "Operation not permitted", "Read-only file system"]) {
        (
            "may not write the files",
            "see that the account may write below its root there, then run the same command again",
        )
    } else {
        ("could not unpack the files", "what it said tells why; then run the same command again")
    }
}

/// What `snapshot_publish` reads, see `87-snapshots.sh`.
fn manifest(tree: &Tree, rules: &Rules) -> Vec<u8> {
    let mut text = format!("{} {}\n", tree.entries.len(), rules.keep().len());
    for folder in rules.keep() {
        writeln!(text, "{}", folder.display()).expect("a string takes all");
    }
    for one in &tree.entries {
        // As `stat` shows them: a plain file that its owner may read, or read and execute, and a link.
        let (mode, size) = match &one.entry.kind {
            Kind::File { executable: false } => ("8100", one.entry.stat.size),
            Kind::File { executable: true } => ("8140", one.entry.stat.size),
            Kind::Link { target } => ("a1ff", target.len() as u64),
        };
        writeln!(text, "{mode} {size}").expect("a string takes all");
    }
    let mut bytes = text.into_bytes();
    for one in &tree.entries {
        bytes.extend_from_slice(b"./");
        bytes.extend_from_slice(&one.entry.path);
        bytes.push(0);
    }
    bytes
}

/// A one-line answer.
struct Words<'a> {
    kind: &'a str,
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.rest.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

fn words(body: &[u8]) -> Option<Words<'_>> {
    let line =
        std::str::from_utf8(body).ok()?.strip_suffix(" .\n").filter(|line| !line.contains('\n'))?;
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    Some(Words { kind, rest })
}

/// Whether a host's word is the folder of a snapshot, and no path.
fn is_folder(word: &str) -> bool {
    let (name, number) = word.split_once('.').unwrap_or((word, "1"));
    name.len() == 32
        && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && number.parse::<u32>().is_ok_and(|number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_large_tree_is_waited_for_long() {
        for (files, bytes, keeps, seconds) in [
            (3, 2400, false, 60),
            (3, 2400, true, 960),
            (10_000, 100 << 20, false, 210),
            (1, 5 << 30, false, 5180),
        ] {
            assert_eq!(patience(files, bytes, keeps).as_secs(), seconds, "{files} files");
        }
    }

    #[test]
    fn a_host_cannot_name_a_path() {
        let name = "0123456789abcdef0123456789abcdef";
        assert!(is_folder(name) && is_folder(&format!("{name}.2")));
        for bad in [
            "",
            "..",
            "/x",
            "0123",
            &format!("{name}/x"),
            &format!("{name}.x"),
            &format!("../{name}"),
        ] {
            assert!(!is_folder(bad), "{bad}");
        }
        assert!(words(b"have folder=x .\nhave folder=y .\n").is_none());
        assert!(words(b"have folder=x").is_none());
    }
}

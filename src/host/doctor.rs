//! A host looked at before a run needs it: how it is reached, what it has, where its root lies.
//!
//! It gathers and judges nothing but whether a root may be used at all, which an apply asks too; findings and their fixes are
//! the command's.

use std::process::Stdio;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::answer::{Account, nonsense};
use super::conversation::{Host, Place};
use super::error::{HostError, RootTrouble};
use super::random_word;
use super::ssh::{CHANNELS, Link};
use super::talk::PATIENCE;
use super::transport::{Started, command, shown_tail};
use crate::lifecycle::fields::{count, size};

/// What the host script and every job need, wherever they run.
const NEEDED: &[&str] =
    &["flock", "setsid", "timeout", "awk", "sed", "grep", "sha256sum", "tail", "head", "mktemp"];
/// File systems that other machines write to as well. A lock there may be local, or lost with a lease (flock(2), nfs(5)).
const NETWORK: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ncpfs",
    "afs",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
    "fhgfs",
    "pvfs2",
    "orangefs",
    "panfs",
    "ocfs2",
    "gfs2",
    "fuse.sshfs",
    "fuse.ceph",
    "fuse.ceph-fuse",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.gcsfuse",
    "fuse.rclone",
    "fuse.juicefs",
    "fuse.davfs2",
];

/// All that was learned of a host, up to the trouble that ended it.
#[derive(Debug, Default)]
pub struct Examination {
    /// How it is reached; `None` on this machine.
    pub greeting: Option<Greeting>,
    /// First line of `rsync --version` here; `None` without rsync.
    pub rsync_here: Option<String>,
    /// What it says of itself.
    pub facts: Option<Facts>,
    /// How far its clock is ahead of ours at least, in milliseconds; 0 where it told a moment between question and answer.
    pub clock_ahead_ms: Option<i64>,
    /// The environment of its account, and the programs that its login shell does not find.
    pub account: Option<Account>,
    /// How many channels of those that `sp` may use at once were given, and how many that is; `None` on this machine.
    pub channels: Option<(usize, usize)>,
    /// Sockets of killed commands that were found beside ours.
    pub stale: usize,
    /// Why nothing more was learned.
    pub trouble: Option<HostError>,
}

/// How a host over ssh is reached.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// Until the connection stood.
    pub connected: Duration,
    /// There and back, over the standing connection.
    pub round_trip: Duration,
    /// What a command takes beyond the network before it starts: the login shell and its start-up files.
    pub start_up: Duration,
    /// What the start-up files printed, control characters made visible.
    pub printed: String,
}

/// What a host says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Its clock.
    pub clock: Option<Timestamp>,
    /// Number of the account; 0 is root.
    pub uid: u32,
    /// The root without links, and `v1`.
    pub path: String,
    /// Where the root lies.
    pub root: RootFacts,
    /// Programs that were asked for and are not on the `PATH` of a command over ssh.
    pub missing: Vec<String>,
    /// What `tmux -V` prints.
    pub tmux: Option<String>,
    /// First line of `rsync --version`.
    pub rsync: Option<String>,
    /// Bytes free at the root.
    pub free_bytes: Option<u64>,
    /// Inodes free at the root; `None` where the file system does not count them.
    pub free_inodes: Option<u64>,
    /// Whether a lock keeps another process out; `None` when locks fail.
    pub locks_exclude: Option<bool>,
    /// What systemd does with processes when the last login ends: `keeps`, `kills`, `lingers`.
    pub logout: String,
    /// Runners that serve nobody.
    pub strays: Vec<Stray>,
}

/// A runner that serves nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Its process.
    pub pid: u32,
    /// Whether its root is gone; else it is of another version of the script, with nothing queued.
    pub root_gone: bool,
}

/// Where a root lies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RootFacts {
    /// The kernel's name of its file system; empty when unknown.
    pub file_system: String,
    /// How it is mounted.
    pub options: Vec<String>,
    /// Whether a block could not be written.
    pub is_full: bool,
}

impl RootFacts {
    /// Takes a line of an answer; false for one that is about something else.
    pub(super) fn take(&mut self, name: &str, value: &str) -> bool {
        match (name, value) {
            ("fs", fs) => fs.clone_into(&mut self.file_system),
            ("options", options) => self.options = options.split(',').map(str::to_owned).collect(),
            ("room", room @ ("yes" | "no")) => self.is_full = room == "no",
            _ => return false,
        }
        true
    }

    /// Why jobs cannot be kept there. `sent`: what they run is sent there, so that programs must start from it.
    pub fn trouble(&self, sent: bool) -> Option<RootTrouble> {
        if NETWORK.contains(&self.file_system.as_str()) {
            Some(RootTrouble::Network(self.file_system.clone()))
        } else if self.is_full {
            Some(RootTrouble::Write)
        } else if sent && self.options.iter().any(|option| option == "noexec") {
            Some(RootTrouble::NoExec)
        } else {
            None
        }
    }
}

impl Host {
    /// Programs that every command over the host's connection needs, before any job.
    pub fn needed(&self) -> Vec<String> {
        let sync = if self.is_here() { None } else { Some("rsync") };
        NEEDED.iter().copied().chain(sync).map(str::to_owned).collect()
    }

    /// Looks at everything that a run needs. `programs` are looked for as jobs find them; `now` is asked for our clock.
    pub async fn examine(
        &self,
        programs: &[String],
        now: impl Fn() -> Timestamp + Send,
    ) -> Examination {
        let mut found = Examination::default();
        found.trouble = self.examine_into(&mut found, programs, now).await.err();
        found
    }

    async fn examine_into(
        &self,
        found: &mut Examination,
        programs: &[String],
        now: impl Fn() -> Timestamp + Send,
    ) -> Result<(), HostError> {
        if let Place::Over(link, _) = &self.place {
            found.rsync_here = first_line("rsync", "--version").await;
            let greeted = self.greet(link).await;
            found.stale = link.stale_sockets();
            found.greeting = Some(greeted?);
        }
        self.root().await?;
        let needed = self.needed();
        let words: Vec<&str> = needed.iter().map(String::as_str).collect();
        let asked = now();
        let body = self.ask("doctor", &words, &[], PATIENCE).await?;
        let facts = parse(self.name().as_str(), &body)?;
        found.clock_ahead_ms = facts.clock.map(|clock| ahead_ms(clock, asked, now()));
        found.facts = Some(facts);
        found.account = Some(self.account(programs).await?);
        if let Place::Over(link, _) = &self.place {
            // Its conversation is a session, too.
            self.fall_silent();
            found.channels = Some((super::channels::channels(link).await?, CHANNELS));
        }
        Ok(())
    }

    /// Opens a shell and talks to it line by line: what comes before the first line, and how long each takes.
    async fn greet(&self, link: &Link) -> Result<Greeting, HostError> {
        let began = Instant::now();
        link.remote_shell().await?;
        let connected = began.elapsed();
        let began = Instant::now();
        let mut started = link.start(&["/bin/sh"]).await?;
        let printed = match self.say(&mut started).await? {
            Ok(before) => before,
            Err(said) => return Err(self.no_answer("hello", started.rest, &said).await),
        };
        let first = began.elapsed();
        let mut round_trip = Duration::MAX;
        for _ in 0..3 {
            let began = Instant::now();
            if let Err(said) = self.say(&mut started).await? {
                return Err(self.no_answer("hello", started.rest, &said).await);
            }
            round_trip = round_trip.min(began.elapsed());
        }
        // A channel is opened, the command asked for, the line answered: three times there and back.
        let start_up = first.saturating_sub(round_trip.saturating_mul(3));
        Ok(Greeting { connected, round_trip, start_up, printed: shown_tail(&printed) })
    }

    /// Has a shell print a word: what came before it, or all that came in its place.
    async fn say(&self, started: &mut Started) -> Result<Result<Vec<u8>, Vec<u8>>, HostError> {
        let word = format!("\nsp-begin {}\n", random_word());
        let line = format!("printf '{}'\n", word.escape_default());
        let talk = async {
            let stdin = &mut started.stdin.0;
            let mut bytes = Vec::new();
            // A shell that is gone says why in what it left.
            if stdin.write_all(line.as_bytes()).await.is_ok() {
                drop(stdin.flush().await);
            }
            let mut chunk = [0; 4096];
            loop {
                let read = started.rest.stdout.read(&mut chunk).await?;
                bytes.extend_from_slice(&chunk[..read]);
                let at = bytes.windows(word.len()).position(|window| window == word.as_bytes());
                if let Some(at) = at {
                    bytes.truncate(at);
                    return Ok(Ok(bytes));
                }
                if read == 0 || bytes.len() > 1 << 20 {
                    return Ok(Err(bytes));
                }
            }
        };
        timeout(PATIENCE, talk)
            .await
            .map_err(|_| self.too_slow("hello", PATIENCE))?
            .map_err(|error| self.cut("hello", &error))
    }
}

/// How far a clock is ahead that told `clock` between two moments of ours.
fn ahead_ms(clock: Timestamp, asked: Timestamp, answered: Timestamp) -> i64 {
    let nearest = clock.clamp(asked, answered.max(asked));
    clock.as_millisecond() - nearest.as_millisecond()
}

/// The first line that a program of this machine prints; `None` when it cannot be started.
async fn first_line(program: &str, argument: &str) -> Option<String> {
    let mut command = command(program);
    command.arg(argument).stdin(Stdio::null());
    let output = timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// Reads the body of an answer to `doctor`.
fn parse(host: &str, body: &[u8]) -> Result<Facts, HostError> {
    let mut facts = Facts::default();
    for line in body.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let wrong = || nonsense(host, "doctor", line);
        let text = std::str::from_utf8(line).map_err(|_| wrong())?;
        let (name, value) =
            text.strip_prefix("fact ").and_then(|text| text.split_once('=')).ok_or_else(wrong)?;
        match name {
            "clock" => facts.clock = super::answer::clock(value),
            "uid" => facts.uid = value.parse().map_err(|_| wrong())?,
            "path" => value.clone_into(&mut facts.path),
            "missing" => facts.missing.push(value.to_owned()),
            "tmux" => facts.tmux = Some(value.to_owned()),
            "rsync" => facts.rsync = Some(value.to_owned()),
            "free" => (facts.free_bytes, facts.free_inodes) = free(value),
            "locks" => {
                facts.locks_exclude = match value {
                    "first" => Some(true),
                    "first second" => Some(false),
                    _ => None,
                }
            }
            "logout" => value.clone_into(&mut facts.logout),
            "stray" => facts.strays.push(stray(value).ok_or_else(wrong)?),
            _ if facts.root.take(name, value) => {}
            _ => return Err(wrong()),
        }
    }
    Ok(facts)
}

/// Blocks, size of one, inodes in all and free, as bytes and inodes that are free.
fn free(value: &str) -> (Option<u64>, Option<u64>) {
    let numbers: Vec<u64> = value.split(' ').filter_map(size).collect();
    let &[blocks, size, inodes, free] = numbers.as_slice() else { return (None, None) };
    (Some(blocks.saturating_mul(size)), (inodes > 0).then_some(free))
}

fn stray(value: &str) -> Option<Stray> {
    let (pid, why) = value.split_once(' ')?;
    let root_gone = match why {
        "gone" => true,
        "old" => false,
        _ => return None,
    };
    Some(Stray { pid: count(pid)?, root_gone })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn facts_are_read_and_others_refused() {
        let facts = parse(
            "box",
            b"fact uid=5\nfact fs=ext4\nfact options=rw,noexec\nfact room=yes\nfact free=10 4096 0 0\nfact locks=first\n\
              fact missing=awk\nfact stray=7 gone\n",
        )
        .expect("facts");
        assert_eq!((facts.uid, facts.free_bytes, facts.free_inodes), (5, Some(40960), None));
        assert_eq!(facts.locks_exclude, Some(true));
        assert_eq!(facts.missing, ["awk"]);
        assert_eq!(facts.strays, [Stray { pid: 7, root_gone: true }]);
        assert_eq!(facts.root.trouble(true), Some(RootTrouble::NoExec));
        assert_eq!(facts.root.trouble(false), None);
        for wrong in
            [&b"fact nothing=1\n"[..], b"facts\n", b"fact stray=x gone\n", b"fact \xff=1\n"]
        {
            assert!(parse("box", wrong).is_err());
        }
    }

    #[test]
    fn a_clock_is_off_by_what_no_delay_explains() {
        let at = |second| Timestamp::from_second(second).expect("a moment");
        assert_eq!(ahead_ms(at(105), at(100), at(110)), 0);
        assert_eq!(ahead_ms(at(90), at(100), at(110)), -10_000);
        assert_eq!(ahead_ms(at(115), at(100), at(110)), 5_000);
    }

    #[test]
    fn a_root_on_a_network_is_refused_first() {
        let mut root = RootFacts::default();
        for (name, value) in [("fs", "nfs4"), ("options", "rw,noexec"), ("room", "no")] {
            assert!(root.take(name, value));
        }
        assert_eq!(root.trouble(false), Some(RootTrouble::Network("nfs4".to_owned())));
        assert!(!root.take("room", "perhaps") && !root.take("uid", "1"));
    }

    proptest! {
        #![proptest_config(crate::fuzz_config())]

        #[test]
        fn no_bytes_make_the_reader_panic(words in prop::collection::vec(prop_oneof![
            "fact ", "(clock|uid|free|locks|stray|missing|fs|options|room|id)=", "[0-9]{0,22}[. ]", " (gone|old|first|second)", "\n", "\\PC{0,3}",
        ], 0..16)) {
            if let Ok(facts) = parse("box", words.concat().as_bytes()) {
                prop_assert!(facts.strays.len() + facts.missing.len() <= words.len());
                let now = Timestamp::UNIX_EPOCH;
                let ahead = facts.clock.map(|clock| ahead_ms(clock, now, now));
                prop_assert_eq!(ahead, facts.clock.map(Timestamp::as_millisecond));
            }
        }
    }
}

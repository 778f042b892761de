//! The transfer: rsync with a list of files into a fresh folder. Publishes nothing and deletes nothing.
//!
//! The options, and why: `--files-from --from0` the list is ours, so rsync has no rules of its own (it implies
//! `--relative`); `--links` links stay links; `--perms` with `--chmod` files arrive with the rights of the snapshot, so
//! that they compare equal with those of the last one; `--times` an unchanged file is known by its time, for the link and
//! for builds; `--omit-dir-times` a folder's time is its own; `--link-dest` an unchanged file is shared; `--checksum` only
//! where a file of the same size and second is known to differ or nothing is known. Not: owner, group (the account's),
//! devices (refused), access lists (no content), `--delete` (the folder is fresh), `--compress` (ssh can).

use std::io;
use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::error::SyncError;
use crate::host::login_shell::quiet_start;
use crate::host::talk::PATIENCE;
use crate::host::trouble::Lasting;

/// Where rsync sends to.
#[derive(Debug, Clone, Default)]
pub struct Destination {
    /// What stands before the colon; nothing for this machine.
    pub prefix: Option<String>,
    /// The remote shell's command line, for `-e`.
    pub rsh: Option<String>,
}

/// One transfer.
#[derive(Debug)]
pub(super) struct Rsync<'a> {
    pub(super) host: &'a str,
    /// The account's login shell there, as far as it is known.
    pub(super) login_shell: &'a str,
    pub(super) destination: &'a Destination,
    /// The folder here, with all paths below it.
    pub(super) root: &'a std::path::Path,
    /// The folder there, which is empty.
    pub(super) target: &'a std::path::Path,
    /// A folder beside the target's, to share unchanged files with; relative to the target.
    pub(super) link: Option<String>,
    /// Whether size and time of a file cannot be trusted to tell its content.
    pub(super) checksum: bool,
    /// Paths, each ended by NUL.
    pub(super) list: Vec<u8>,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Sent {
    /// All of it: files and bytes that were not there.
    Whole { files: u64, bytes: u64 },
    /// Not the tree that was read; the error is to be told when it is so each time.
    Again(SyncError),
}

/// What rsync says when something else speaks first (compat.c).
const CHATTY: &[u8] = b"is your shell clean";
const CHATTY_WHY: &str = "met words that the account's start-up files print there";

/// The end of what rsync said that is shown.
const TAIL: usize = 400;
/// Bytes at the end of what it writes that are kept; what a host says through it is of any length.
const KEPT: usize = 64 << 10;

impl Rsync<'_> {
    fn command(&self) -> Command {
        let mut command = rsync();
        command.args(["--links", "--perms", "--chmod=Du=rwx,Dgo=,Fa-w,Fu+r,Fgo=,Fu-s", "--times"]);
        command.args(["--omit-dir-times", "--from0", "--files-from=-", "--stats"]);
        command.arg("--no-human-readable");
        if self.checksum {
            command.arg("--checksum");
        }
        if let Some(link) = &self.link {
            command.arg(format!("--link-dest={link}"));
        }
        let mut source = self.root.as_os_str().to_owned();
        source.push("/");
        let mut target = std::ffi::OsString::new();
        if let Some(prefix) = &self.destination.prefix {
            // Blanks of the path are no words of the remote shell; a peer that is gone is noticed.
            command.arg("--protect-args");
            command.arg(format!("--timeout={}", PATIENCE.as_secs()));
            target.push(prefix);
            target.push(":");
        }
        if let Some(rsh) = &self.destination.rsh {
            command.arg("-e").arg(rsh);
        }
        target.push(self.target);
        target.push("/");
        command.arg("--").arg(source).arg(target);
        command.env("LC_ALL", "C");
        // Its options are ours: these would add to them.
        for name in ["RSYNC_RSH", "RSYNC_PARTIAL_DIR", "RSYNC_CHECKSUM_LIST", "RSYNC_ICONV"] {
            command.env_remove(name);
        }
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Sends the files.
    pub(super) async fn run(&self) -> Result<Sent, SyncError> {
        let mut child = self.command().spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SyncError::NoRsync,
            _ => SyncError::Io { what: "start", path: "rsync".into(), source: error },
        })?;
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let mut stdout = child.stdout.take().expect("stdout is piped");
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let (mut said, mut errors) = (Vec::new(), Vec::new());
        let write = async {
            // One that ends early says why by its exit code.
            let _closed = stdin.write_all(&self.list).await;
            drop(stdin);
        };
        // Both end with what matters: the statistics, and why it failed.
        let read = read_end(&mut stdout, &mut said);
        let read_errors = read_end(&mut stderr, &mut errors);
        let ((), read, read_errors, status) = tokio::join!(write, read, read_errors, child.wait());
        let failed = |source| SyncError::Io { what: "talk to", path: "rsync".into(), source };
        read.and(read_errors).map_err(failed)?;
        let status = status.map_err(failed)?;
        let said = String::from_utf8_lossy(&said);
        match status.code() {
            Some(0) => Ok(Sent::Whole {
                files: number(&said, "Number of regular files transferred: ").unwrap_or(0),
                bytes: number(&said, "Total transferred file size: ").unwrap_or(0),
            }),
            Some(23 | 24) => Ok(Sent::Again(SyncError::Rsync {
                host: self.host.to_owned(),
                why: "could not read every file of the list, three times in a row",
                help: "what it said names the file; leave it out by `[sync] exclude`, or make it readable"
                    .to_owned(),
                lasting: Lasting::Standing,
                stderr: tail(&errors),
            })),
            code => {
                let (why, help, lasting) = if errors.windows(CHATTY.len()).any(|w| w == CHATTY) {
                    (CHATTY_WHY, quiet_start(self.login_shell), Lasting::Standing)
                } else {
                    in_words(code)
                };
                let (host, help) = (self.host.to_owned(), help.to_owned());
                Err(SyncError::Rsync { host, why, help, lasting, stderr: tail(&errors) })
            }
        }
    }
}

/// What an exit code means, the next step, and whether it may pass by itself.
pub(super) fn in_words(code: Option<i32>) -> (&'static str, &'static str, Lasting) {
    match code {
        Some(1 | 2 | 4) => (
            "did not understand its options",
            "rsync 3.1 or newer is needed here and there; `rsync --version` tells",
            Lasting::Standing,
        ),
        Some(11 | 28) => (
            "could not write the files there",
            "make room on the host's disk (`df -h` and `df -i` tell), then run the same command again",
            Lasting::Standing,
        ),
        Some(5 | 10 | 12 | 30 | 35 | 255) => (
            "lost its connection",
            "run the same command again; nothing that is not whole is used",
            Lasting::Passing,
        ),
        Some(127) => ("found no `rsync` there", "install rsync on the host", Lasting::Standing),
        Some(20) | None => (
            "was ended from outside",
            "run the same command again; nothing that is not whole is used",
            Lasting::Passing,
        ),
        Some(_) => {
            ("failed", "what it said tells why; then run the same command again", Lasting::Standing)
        }
    }
}

/// Reads a stream to its end, and keeps the last [`KEPT`] bytes of it at least, of twice as many at most.
async fn read_end(stream: &mut (impl AsyncRead + Unpin), kept: &mut Vec<u8>) -> io::Result<()> {
    while stream.take(KEPT as u64).read_to_end(kept).await? > 0 {
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
    Ok(())
}

/// A number of the statistics.
fn number(said: &str, label: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.strip_prefix(label))?;
    let digits: String = line.chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
    digits.replace(',', "").parse().ok()
}

fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let skipped = text.chars().count().saturating_sub(TAIL);
    text.chars().skip(skipped).collect::<String>().escape_debug().to_string()
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts rsync")]
fn rsync() -> Command {
    Command::new("rsync")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistics_are_read_with_and_without_commas() {
        let said =
            "\nNumber of regular files transferred: 12\nTotal transferred file size: 1,234 bytes\n";
        assert_eq!(number(said, "Number of regular files transferred: "), Some(12));
        assert_eq!(number(said, "Total transferred file size: "), Some(1234));
        assert_eq!(number("", "x"), None);
    }

    #[tokio::test]
    async fn of_endless_words_the_end_is_kept() {
        let flood = tokio::io::repeat(b'x').take(40 * KEPT as u64 + 7);
        let mut kept = Vec::new();
        read_end(&mut flood.chain(&b"the reason"[..]), &mut kept).await.expect("no error");
        assert!(kept.ends_with(b"xthe reason"));
        assert!(kept.len() >= KEPT && kept.capacity() <= 8 * KEPT, "{}", kept.capacity());
        let mut kept = Vec::new();
        read_end(&mut &b"short"[..], &mut kept).await.expect("no error");
        assert_eq!(kept, b"short");
    }

    #[test]
    fn every_end_has_words_and_a_next_step() {
        for code in
            [1, 2, 3, 5, 10, 11, 12, 14, 20, 22, 30, 35, 127, 255].map(Some).iter().chain([&None])
        {
            let (why, help, _) = in_words(*code);
            assert!(!why.is_empty() && !help.is_empty(), "{code:?}");
        }
        assert_eq!(in_words(Some(255)).2, Lasting::Passing, "a connection may come back");
        assert_eq!(in_words(Some(11)).2, Lasting::Standing, "a full disk wants a person");
    }
}

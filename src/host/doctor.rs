//! A host looked at before a run needs it: how it is reached, what it has, where its root lies.
//!
//! It gathers and judges nothing but whether a root may be used at all, which an apply asks too; findings and their fixes are
//! the command's.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::answer::Account;
use super::conversation::{Host, Place};
use super::error::HostError;
use super::facts::{Facts, parse};
use super::ssh::{CHANNELS, Link};
use super::talk::PATIENCE;
use super::transport::{Started, command, shown_tail};
use super::{hello, random_word};

/// What the host script and every job need, wherever they run.
const NEEDED: &[&str] =
    &["flock", "setsid", "timeout", "awk", "sed", "grep", "sha256sum", "tail", "head", "mktemp"];

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
    /// Folders for sockets here that were passed over because somebody else has taken them, each with why, and the one in use.
    pub taken: Option<(Vec<String>, PathBuf)>,
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
    /// The account's login shell; empty where it is not known.
    pub shell: String,
    /// What the start-up files printed, control characters made visible.
    pub printed: String,
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
            (found.stale, found.taken) = (link.stale_sockets(), link.taken_places());
            found.greeting = Some(greeted?);
        }
        self.root().await?;
        if let Some(greeting) = &mut found.greeting {
            greeting.shell = self.login_shell();
        }
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
        let word = random_word();
        let mut started = link.start(&hello::shell(&word)).await?;
        let printed = match self.say(&mut started).await? {
            Ok(before) => before,
            // The first words find out why, and whether it stays so.
            Err(said) => {
                self.root().await?;
                return Err(self.no_answer("hello", started.rest, &said).await);
            }
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
        let (printed, shell) = (shown_tail(&printed), String::new());
        Ok(Greeting { connected, round_trip, start_up, shell, printed })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_by_what_no_delay_explains() {
        let at = |second| Timestamp::from_second(second).expect("a moment");
        assert_eq!(ahead_ms(at(105), at(100), at(110)), 0);
        assert_eq!(ahead_ms(at(90), at(100), at(110)), -10_000);
        assert_eq!(ahead_ms(at(115), at(100), at(110)), 5_000);
    }
}

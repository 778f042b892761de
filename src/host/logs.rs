//! Logs of attempts: fetched into files in one question, or streamed to a person.
//!
//! Bytes of a log are never read as words of the protocol: their number stands before them, or they end with the frame.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::time::timeout;

use super::answer::{fields, nonsense};
use super::conversation::Host;
use super::error::{HostError, io_error};
use super::random_word;
use crate::ids::{Attempt, Instance, JobId};
use crate::lifecycle::fields::{Kind, attempt, size};
use crate::plain_file;

/// How long a host may be silent in the middle of a log.
const SILENCE: Duration = Duration::from_mins(1);
/// More than any line of the protocol.
const LINE_MAX: u64 = 4096;
/// More than start-up files print before an answer.
const NOISE_MAX: usize = 1 << 20;
/// One question of a following; a cut connection is noticed by its end.
const FOLLOW_SECONDS: u64 = 24 * 60 * 60;

/// Before the bytes of each log.
const LOG: Kind = Kind { word: "log", fields: &["id", "n", "bytes"] };

/// A log to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedLog {
    /// The job.
    pub job: JobId,
    /// Which of its attempts.
    pub attempt: Attempt,
    /// The file it becomes.
    pub target: PathBuf,
}

impl Host {
    /// Fetches logs of ended attempts, each into its file by rename. A log that is not there any more is left out.
    pub async fn fetch_logs(
        &self,
        instance: &Instance,
        wanted: &[WantedLog],
    ) -> Result<(), HostError> {
        let nonce = random_word();
        let started = self.start("logs", &nonce, &[instance.as_str()]).await?;
        let (mut stdin, mut rest) = started.split();
        let lines: Vec<String> =
            wanted.iter().map(|log| format!("{} {}\n", log.job, log.attempt)).collect();
        let lines = lines.concat();
        let ask = async {
            // A script that refuses early closes its end; its answer says why.
            let _closed = stdin.write_all(lines.as_bytes()).await;
            drop(stdin);
        };
        let read = self.read_logs(BufReader::new(&mut rest.stdout), &nonce, wanted);
        let ((), whole) = tokio::join!(ask, read);
        if whole? { Ok(()) } else { Err(self.no_answer("logs", rest, b"").await) }
    }

    /// False where the answer ended early.
    async fn read_logs(
        &self,
        mut answer: impl AsyncBufRead + Unpin,
        nonce: &str,
        wanted: &[WantedLog],
    ) -> Result<bool, HostError> {
        let (begin, end) = (format!("sp-begin {nonce}"), format!("sp-end {nonce}"));
        let mut begun = false;
        loop {
            let Some(line) = self.line(&mut answer).await? else { return Ok(false) };
            if !begun {
                begun = line == begin;
                continue;
            }
            if line == end {
                return Ok(true);
            }
            let wrong = || nonsense(self.name().as_str(), "logs", line.as_bytes());
            let fields = fields(&LOG, &line).ok_or_else(wrong)?;
            let job = fields.get("id", |id| id.parse::<JobId>().ok()).map_err(|_| wrong())?;
            let attempt = fields.get("n", attempt).map_err(|_| wrong())?;
            let bytes = fields.get("bytes", size).map_err(|_| wrong())?;
            let is_it = |log: &&WantedLog| log.job == job && log.attempt == attempt;
            let log = wanted.iter().find(is_it).ok_or_else(wrong)?;
            if !self.keep(&mut answer, bytes, &log.target).await? {
                return Ok(false);
            }
        }
    }

    async fn line(
        &self,
        answer: &mut (impl AsyncBufRead + Unpin),
    ) -> Result<Option<String>, HostError> {
        let mut line = Vec::new();
        let mut limited = answer.take(LINE_MAX);
        let read = timeout(SILENCE, limited.read_until(b'\n', &mut line)).await;
        let read = read.map_err(|_| self.too_slow("logs", SILENCE))?;
        read.map_err(|error| self.cut("logs", &error))?;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }

    /// Takes so many bytes into a file. False where they end early.
    async fn keep(
        &self,
        answer: &mut (impl AsyncBufRead + Unpin),
        mut bytes: u64,
        target: &Path,
    ) -> Result<bool, HostError> {
        let temporary = target.with_extension(format!("part-{}", std::process::id()));
        let failed = io_error("keep the log", &temporary);
        let mut file = plain_file::open_own(&temporary).map_err(&failed)?;
        file.set_len(0).map_err(&failed)?;
        let mut buffer = vec![0; 64 * 1024];
        while bytes > 0 {
            let most = usize::try_from(bytes).unwrap_or(usize::MAX).min(buffer.len());
            let read = timeout(SILENCE, answer.read(&mut buffer[..most])).await;
            let read = read.map_err(|_| self.too_slow("logs", SILENCE))?;
            let read = read.map_err(|error| self.cut("logs", &error))?;
            if read == 0 {
                std::fs::remove_file(&temporary).map_err(&failed)?;
                return Ok(false);
            }
            file.write_all(&buffer[..read]).map_err(&failed)?;
            bytes -= read as u64;
        }
        std::fs::rename(&temporary, target).map_err(io_error("keep the log", target))?;
        Ok(true)
    }

    /// Writes an attempt's log to `out`: its last `lines` or all of it, and with `follow` what comes until the attempt has
    /// ended. False where the host has no such log.
    pub async fn show_log(
        &self,
        instance: &Instance,
        (job, attempt): (JobId, Attempt),
        lines: Option<usize>,
        follow: bool,
        mut out: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<io::Result<bool>, HostError> {
        let nonce = random_word();
        let (job, attempt) = (job.to_string(), attempt.to_string());
        let lines = lines.map_or("all".to_owned(), |lines| lines.to_string());
        let how = if follow { FOLLOW_SECONDS.to_string() } else { "once".to_owned() };
        let arguments = [instance.as_str(), &job, &attempt, &lines, &how];
        let mut started = self.start("log", &nonce, &arguments).await?;
        let (begin, end) = (format!("sp-begin {nonce}\n"), format!("sp-end {nonce}\n"));
        let (there, none) =
            (format!("{begin}log follows .\n"), format!("{begin}log none .\n{end}"));
        let mut pending: Vec<u8> = Vec::new();
        let mut begun = false;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = started.rest.stdout.read(&mut buffer).await;
            let read = read.map_err(|error| self.cut("log", &error))?;
            pending.extend_from_slice(&buffer[..read]);
            if !begun {
                let find = |text: &str| {
                    pending.windows(text.len()).position(|window| window == text.as_bytes())
                };
                let Some(at) = find(&there) else {
                    // What start-up files print comes before it, and no more than that.
                    if read > 0 && pending.len() <= NOISE_MAX {
                        continue;
                    }
                    if find(&none).is_some() {
                        return Ok(Ok(false));
                    }
                    return Err(self.no_answer_to("log", &nonce, started.rest, &pending).await);
                };
                pending.drain(..at + there.len());
                begun = true;
            }
            let whole = pending.ends_with(end.as_bytes());
            // The frame's end may come in two pieces.
            let ready = if whole || read > 0 { pending.len().saturating_sub(end.len()) } else { 0 };
            if ready > 0 {
                if let Err(error) = out(&pending[..ready]) {
                    return Ok(Err(error));
                }
                pending.drain(..ready);
            }
            if read == 0 {
                return if whole {
                    Ok(Ok(true))
                } else {
                    Err(self.no_answer("log", started.rest, b"").await)
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::fields::SIZE_MAX;

    /// Nothing that a host says becomes a name of a file: it can only answer for what was asked.
    #[tokio::test]
    async fn only_a_log_that_was_asked_for_is_kept_and_only_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let asked: JobId = "0123456789abcdef0123456789abcdef".parse().expect("an id");
        let target = folder.path().join("asked.log");
        let wanted = [WantedLog { job: asked, attempt: Attempt::FIRST, target: target.clone() }];
        let host = Host::local("local".parse().expect("a name"), folder.path().to_owned());
        let read = async |body: &str| {
            let text = format!("sp-begin n\n{body}sp-end n\n");
            host.read_logs(text.as_bytes(), "n", &wanted).await
        };
        for body in [
            "log id=../../x n=1 bytes=1 .\nx".to_owned(),
            "log id=/etc/x n=1 bytes=1 .\nx".to_owned(),
            format!("log id={} n=1 bytes=1 .\nx", "f".repeat(32)),
            format!("log id={asked} n=2 bytes=1 .\nx"),
            format!("log id={asked} n=18446744073709551617 bytes=1 .\nx"),
            format!("log id={asked} n=1 bytes=-1 .\nx"),
            format!("log id={asked} n=1 bytes=1\nx"),
            format!("log id={asked} n=1 bytes={}0 .\nx", u64::MAX),
        ] {
            assert!(read(&body).await.is_err(), "{body}");
        }
        // More is promised than comes.
        let cut = format!("log id={asked} n=1 bytes={SIZE_MAX} .\nx");
        assert!(!read(&cut).await.expect("an end"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        assert!(read(&format!("log id={asked} n=1 bytes=2 .\nab")).await.expect("an answer"));
        assert_eq!(std::fs::read_to_string(target).expect("a log"), "ab");
    }
}

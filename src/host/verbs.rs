//! What a host is asked, and told to do: the verbs of its script.
//!
//! What a host said comes back as facts; nothing is decided here. Every question may be asked again.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::answer::{Account, Probe, parse_account, parse_probe};
use super::batch::Batch;
use super::conversation::Host;
use super::error::HostError;
use super::facts::RootFacts;
use super::random_word;
use super::talk::{NOISE_MAX, PATIENCE};
use crate::ids::{ApplyId, Attempt, HostName, Instance, JobId};
use crate::lifecycle::{HostFact, JournalPosition, LineError, parse_lines};
use crate::shell::word;

/// A cancel waits for processes to end: its grace and this.
const CANCEL_PATIENCE: Duration = Duration::from_mins(2);

/// In place of a root's id: whichever is there.
const ANY_ROOT: &str = "none";
/// The answer of another root than was asked.
const OTHER_ROOT: &[u8] = b"refused root .\n";

/// Bytes of what comes in place of an answer that are kept: why there is none is said last.
const LAST_WORDS: usize = 1 << 13;

/// More bytes than a record of the journal has.
const RECORD_MAX: usize = 1 << 20;

impl Host {
    /// What the host says of itself, of the campaign and of its attempts.
    pub async fn probe(
        &self,
        instance: &Instance,
        journal: Option<&JournalPosition>,
        require: &[String],
    ) -> Result<Probe, HostError> {
        let offset = journal.map_or(0, |journal| journal.offset).to_string();
        let generation = journal.map_or("none", |journal| journal.generation.as_str());
        let mark = journal.map_or("none", |journal| journal.mark.as_str());
        let mut arguments = vec![instance.as_str(), generation, &offset, mark];
        arguments.extend(require.iter().map(String::as_str));
        let body = self.ask("probe", &arguments, &[], PATIENCE).await?;
        parse_probe(self.name().as_str(), &body, journal)
    }

    /// The environment that the account's login shell makes, and which of `programs` it does not find.
    pub async fn account(&self, programs: &[String]) -> Result<Account, HostError> {
        let programs: Vec<&str> = programs.iter().map(String::as_str).collect();
        let body = self.ask("account", &programs, &[], PATIENCE).await?;
        parse_account(self.name().as_str(), &body)
    }

    /// Refuses a machine on which jobs cannot run, and a root on which they cannot be kept, by what the host says of both.
    /// `sent`: what jobs run is sent there.
    pub fn check_root(&self, facts: &RootFacts, sent: bool) -> Result<(), HostError> {
        if !facts.lacks.is_empty() {
            let (host, lacks) = (self.name().to_string(), facts.lacks.clone());
            return Err(HostError::Unfit { host, lacks });
        }
        let Some(trouble) = facts.trouble(sent) else { return Ok(()) };
        let path = self.known_root().unwrap_or_default();
        let word = word(&path.to_string_lossy());
        Err(HostError::Root { host: self.name().to_string(), path, word, trouble })
    }

    /// Hands jobs over and sees to it that runners are there. They are for the root of this id, as the host last told it,
    /// and refused by another one.
    pub async fn hand_over(
        &self,
        instance: &Instance,
        batch: &Batch,
        slots: u32,
        root_id: Option<&str>,
    ) -> Result<(), HostError> {
        let slots = slots.to_string();
        let root_id = root_id.unwrap_or(ANY_ROOT);
        let arguments =
            [instance.as_str(), batch.client(), batch.name(), batch.sha256(), &slots, root_id];
        let body = self.ask("hand_over", &arguments, &batch.bytes(), PATIENCE).await?;
        match body.as_slice() {
            b"taken .\n" => Ok(()),
            b"refused damaged .\n" => Err(HostError::Damaged { host: self.name().to_string() }),
            OTHER_ROOT => Err(HostError::OtherRoot { host: self.name().to_string() }),
            b"refused hosts .\n" => Err(HostError::ManyLists {
                host: self.name().to_string(),
                campaign: instance.campaign().to_owned(),
            }),
            other => Err(super::answer::nonsense(self.name().as_str(), "hand_over", other)),
        }
    }

    /// Sees to it that runners are there for what is queued or orphaned.
    pub async fn kick(&self, slots: u32) -> Result<(), HostError> {
        self.ask("kick", &[&slots.to_string()], &[], PATIENCE).await.map(drop)
    }

    /// Follows the journal from `journal` on, handing facts to `each` as they come, until every runner has left or
    /// `seconds` are over. Returns how far the journal was read.
    pub async fn follow(
        &self,
        instance: &Instance,
        journal: &JournalPosition,
        seconds: u64,
        mut each: impl FnMut(Vec<HostFact>, Vec<LineError>, &JournalPosition),
    ) -> Result<JournalPosition, HostError> {
        let nonce = random_word();
        let offset = journal.offset.to_string();
        let seconds_text = seconds.to_string();
        let mut started =
            self.start("wait", &nonce, &[instance.as_str(), &offset, &seconds_text]).await?;
        let mut position = journal.clone();
        let mut pending = Vec::new();
        let mut begun = false;
        let mut noise = 0;
        let begin = format!("sp-begin {nonce}\n");
        let limit = Duration::from_secs(seconds) + PATIENCE;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let read = timeout(limit, started.rest.stdout.read(&mut chunk))
                .await
                .map_err(|_| self.too_slow("wait", limit))?;
            let read = read.map_err(|error| self.cut("wait", &error))?;
            pending.extend_from_slice(&chunk[..read]);
            if !begun {
                if let Some(at) = pending.windows(begin.len()).position(|w| w == begin.as_bytes()) {
                    pending.drain(..at + begin.len());
                    begun = true;
                } else if read == 0 {
                    break;
                } else if noise > NOISE_MAX {
                    return Err(self.noisy().await);
                } else {
                    // What start-up files print is not kept, and only its end is looked through again.
                    noise += read;
                    pending.drain(..pending.len().saturating_sub(LAST_WORDS));
                    continue;
                }
            }
            // Only whole records count: what is cut off is read again by the next probe.
            let whole = whole_records(&pending);
            if whole > 0 {
                let lines = parse_lines(&pending[..whole]);
                position.read(&pending[..whole]);
                pending.drain(..whole);
                each(lines.facts, lines.errors.into_iter().map(|(_, e)| e).collect(), &position);
            }
            // No record is so long: what follows is none.
            if read == 0 || pending.len() > RECORD_MAX {
                break;
            }
        }
        let end = format!("sp-end {nonce}\n");
        if begun && pending.ends_with(end.as_bytes()) {
            Ok(position)
        } else {
            let said = if begun { &[] } else { &pending[..] };
            Err(self.no_answer_to("wait", &nonce, started.rest, said).await)
        }
    }

    /// Ends attempts, whatever they are at. `grace` 0 is KILL at once. Another root than that of `root_id`, as the host last
    /// told it, has nothing of them, and refuses.
    pub async fn cancel(
        &self,
        instance: &Instance,
        by: &str,
        grace: u32,
        attempts: &[(JobId, Attempt, ApplyId)],
        root_id: Option<&str>,
    ) -> Result<(), HostError> {
        let lines = listed(attempts);
        // Without grace too: each mark is made durable by itself.
        let seconds = u64::from(grace.max(1)) * attempts.len() as u64;
        let patience = CANCEL_PATIENCE + Duration::from_secs(seconds);
        let grace = grace.to_string();
        let arguments = [instance.as_str(), by, &grace, root_id.unwrap_or(ANY_ROOT)];
        let body = self.ask("cancel", &arguments, lines.as_bytes(), patience).await?;
        self.check_same_root(&body)
    }

    fn check_same_root(&self, answer: &[u8]) -> Result<(), HostError> {
        if answer == OTHER_ROOT {
            return Err(HostError::OtherRoot { host: self.name().to_string() });
        }
        Ok(())
    }

    /// Gives attempts that nobody has claimed to another host; the others stay. Returns the ends of those that are moved, as
    /// facts, and lines that were refused. `root_id` as for [`Self::cancel`].
    pub async fn give_away(
        &self,
        instance: &Instance,
        to: &HostName,
        attempts: &[(JobId, Attempt, ApplyId)],
        root_id: Option<&str>,
    ) -> Result<(Vec<HostFact>, Vec<LineError>), HostError> {
        let lines = listed(attempts);
        let arguments = [instance.as_str(), to.as_str(), root_id.unwrap_or(ANY_ROOT)];
        let patience = CANCEL_PATIENCE + Duration::from_secs(attempts.len() as u64);
        let body = self.ask("move", &arguments, lines.as_bytes(), patience).await?;
        self.check_same_root(&body)?;
        let lines = parse_lines(&body);
        Ok((lines.facts, lines.errors.into_iter().map(|(_, error)| error).collect()))
    }

    /// Takes a whole hand-over out of the queue.
    pub async fn withdraw(&self, instance: &Instance, apply: &ApplyId) -> Result<(), HostError> {
        self.ask("withdraw", &[instance.as_str(), apply.as_str()], &[], PATIENCE).await.map(drop)
    }

    /// Records that results count for other jobs, as pairs of new and old.
    pub async fn accept(
        &self,
        instance: &Instance,
        pairs: &[(JobId, JobId)],
    ) -> Result<(), HostError> {
        let lines: Vec<String> = pairs.iter().map(|(new, old)| format!("{new} {old}\n")).collect();
        let lines = lines.concat();
        self.ask("accept", &[instance.as_str()], lines.as_bytes(), PATIENCE).await.map(drop)
    }

    /// Everything the host knows of one job, as lines.
    pub async fn evidence(
        &self,
        instance: &Instance,
        job: JobId,
    ) -> Result<Vec<String>, HostError> {
        let body =
            self.ask("evidence", &[instance.as_str(), &job.to_string()], &[], PATIENCE).await?;
        Ok(String::from_utf8_lossy(&body).lines().map(str::to_owned).collect())
    }

    /// Name of the tmux session of a running attempt, which is made if it is not there.
    pub async fn window(
        &self,
        instance: &Instance,
        job: JobId,
        attempt: Attempt,
    ) -> Result<String, HostError> {
        let (job, attempt) = (job.to_string(), attempt.to_string());
        let body = self.ask("window", &[instance.as_str(), &job, &attempt], &[], PATIENCE).await?;
        let text = String::from_utf8_lossy(&body);
        let session = text.trim().strip_prefix("window ").and_then(|text| text.strip_suffix(" ."));
        session
            .map(str::to_owned)
            .ok_or_else(|| super::answer::nonsense(self.name().as_str(), "window", &body))
    }
}

/// Attempts as lines for the host script, and the last line, without which it takes none of them.
fn listed(attempts: &[(JobId, Attempt, ApplyId)]) -> String {
    let lines: Vec<String> =
        attempts.iter().map(|(job, attempt, apply)| format!("{job} {attempt} {apply}\n")).collect();
    lines.concat() + ".\n"
}

/// Bytes up to the last record before the first line that is none.
fn whole_records(bytes: &[u8]) -> usize {
    let mut whole = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if !line.ends_with(b" .\n") {
            break;
        }
        whole += line.len();
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_cut_off_is_left() {
        assert_eq!(whole_records(b"a .\nb .\nc"), 8);
        assert_eq!(whole_records(b"a .\nbroken\nc .\n"), 4);
        assert_eq!(whole_records(b"\n"), 0);
    }
}

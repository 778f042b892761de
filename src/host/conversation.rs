//! The conversation with the host script: its verbs, the same whatever the transport.
//!
//! What a host said comes back as facts; nothing is decided here. Every question may be asked again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::answer::{Account, Probe, parse_account, parse_probe, unframe};
use super::batch::Batch;
use super::control::ControlFolder;
use super::doctor::RootFacts;
use super::error::HostError;
use super::hello::{self, Hello};
use super::ssh::{Destination, Link};
use super::transport::{Rest, Started, shown_tail, start_here};
use super::{random_word, root, script, sync};
use crate::crash::crash_point;
use crate::ids::{ApplyId, Attempt, CampaignName, HostName, JobId};
use crate::lifecycle::{HostFact, JournalPosition, LineError, parse_lines};
use crate::shell::quote;

/// How long a question may take that waits for nothing but the host itself.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// A cancel waits for processes to end: its grace and this.
const CANCEL_PATIENCE: Duration = Duration::from_mins(2);
/// More than the journal of a million attempts.
const ANSWER_MAX: usize = 1 << 30;

/// A host of a campaign.
#[derive(Debug, Clone)]
pub struct Host {
    name: HostName,
    pub(super) place: Place,
    /// Its root, once it is known to be ready.
    ready: Arc<Mutex<Option<PathBuf>>>,
}

#[derive(Debug, Clone)]
pub(super) enum Place {
    /// This machine, and the root.
    Here(PathBuf),
    /// Another machine, and its root as the file says it.
    Over(Arc<Link>, Option<String>),
}

impl Host {
    /// This machine; nothing is asked yet, and the root need not be there.
    pub fn local(name: HostName, root: PathBuf) -> Self {
        Self { name, place: Place::Here(root), ready: Arc::default() }
    }

    /// Another machine; nothing is asked yet.
    pub fn over_ssh(
        name: HostName,
        destination: Destination,
        root: Option<String>,
        control: Arc<ControlFolder>,
    ) -> Self {
        let link = Arc::new(Link::new(name.clone(), destination, control));
        Self { name, place: Place::Over(link, root), ready: Arc::default() }
    }

    /// Name in the campaign.
    pub fn name(&self) -> &HostName {
        &self.name
    }

    /// Whether it is this machine.
    pub fn is_here(&self) -> bool {
        matches!(self.place, Place::Here(_))
    }

    /// The root, made ready at the first call: folders for the user alone, and this version's script.
    pub async fn root(&self) -> Result<PathBuf, HostError> {
        if let Some(root) = self.known_root() {
            return Ok(root);
        }
        let root = match &self.place {
            Place::Here(root) => {
                root::prepare(&self.name, root)?;
                root.clone()
            }
            Place::Over(link, wanted) => self.say_hello(link, wanted.as_deref()).await?,
        };
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = Some(root.clone());
        Ok(root)
    }

    /// The root, where it is on this machine.
    pub fn root_here(&self) -> Option<&Path> {
        match &self.place {
            Place::Here(root) => Some(root),
            Place::Over(..) => None,
        }
    }

    fn known_root(&self) -> Option<PathBuf> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn say_hello(&self, link: &Link, wanted: Option<&str>) -> Result<PathBuf, HostError> {
        for install in [false, true] {
            let nonce = random_word();
            let text = hello::text(&self.name, wanted, &nonce, install)?;
            let started = link.start(&["/bin/sh"]).await?;
            let body = self.exchange("hello", started, &nonce, text.as_bytes(), PATIENCE).await?;
            if let Hello::Ready(root) = hello::read(&self.name, wanted, &body)? {
                return Ok(root);
            }
        }
        Err(super::answer::nonsense(self.name.as_str(), "hello", b"bare"))
    }

    /// The words of an `ssh` over this host's connection, and where to; `None` on this machine.
    pub(super) async fn remote_shell(&self) -> Result<Option<(Vec<String>, String)>, HostError> {
        match &self.place {
            Place::Here(_) => Ok(None),
            Place::Over(link, _) => {
                Ok(Some((link.remote_shell().await?, link.destination().ssh.clone())))
            }
        }
    }

    /// Folder of an attempt: its log, records and `out`.
    pub async fn attempt_folder(
        &self,
        campaign: &CampaignName,
        job: JobId,
        attempt: Attempt,
    ) -> Result<PathBuf, HostError> {
        Ok(self.job_folder(campaign, job).await?.join(attempt.to_string()))
    }

    /// Folder of a job: its attempts and `state`.
    pub async fn job_folder(
        &self,
        campaign: &CampaignName,
        job: JobId,
    ) -> Result<PathBuf, HostError> {
        let root = self.root().await?;
        Ok(root.join("v1").join(campaign.as_str()).join("jobs").join(job.to_string()))
    }

    /// Folder of a campaign's snapshots.
    pub async fn snapshots(&self, campaign: &CampaignName) -> Result<PathBuf, HostError> {
        Ok(self.root().await?.join("v1").join(campaign.as_str()).join("snapshots"))
    }

    /// How rsync reaches the host.
    pub(super) async fn rsync_destination(&self) -> Result<sync::Destination, HostError> {
        let Some((mut shell, destination)) = self.remote_shell().await? else {
            return Ok(sync::Destination::default());
        };
        shell.push("-oRequestTTY=no".to_owned());
        // rsync splits the words at blanks and knows quotes (`-e` in rsync(1)).
        let words: Result<Vec<String>, _> = shell.iter().map(|word| quote(word)).collect();
        let rsh = words.unwrap_or_default().join(" ");
        Ok(sync::Destination { prefix: Some(rsync_host(&destination)), rsh: Some(rsh) })
    }

    /// What the host says of itself, of the campaign and of its attempts.
    pub async fn probe(
        &self,
        campaign: &CampaignName,
        journal: Option<&JournalPosition>,
        require: &[String],
    ) -> Result<Probe, HostError> {
        let offset = journal.map_or(0, |journal| journal.offset).to_string();
        let generation = journal.map_or("none", |journal| journal.generation.as_str());
        let mut arguments = vec![campaign.as_str(), generation, &offset];
        arguments.extend(require.iter().map(String::as_str));
        let body = self.ask("probe", &arguments, &[], PATIENCE).await?;
        parse_probe(self.name.as_str(), &body)
    }

    /// The environment that the account's login shell makes, and which of `programs` it does not find.
    pub async fn account(&self, programs: &[String]) -> Result<Account, HostError> {
        let programs: Vec<&str> = programs.iter().map(String::as_str).collect();
        let body = self.ask("account", &programs, &[], PATIENCE).await?;
        parse_account(self.name.as_str(), &body)
    }

    /// Refuses a root on which jobs cannot be kept, by what the host says of it.
    pub fn check_root(&self, facts: &RootFacts) -> Result<(), HostError> {
        let Some(trouble) = facts.trouble(!self.is_here()) else { return Ok(()) };
        let path = self.known_root().unwrap_or_default();
        Err(HostError::Root { host: self.name.to_string(), path, trouble })
    }

    /// Hands jobs over and sees to it that runners are there.
    pub async fn hand_over(
        &self,
        campaign: &CampaignName,
        origin: &str,
        batch: &Batch,
        slots: u32,
    ) -> Result<(), HostError> {
        let slots = slots.to_string();
        let arguments = [campaign.as_str(), origin, batch.name(), batch.sha256(), &slots];
        let body = self.ask("hand_over", &arguments, &batch.bytes(), PATIENCE).await?;
        match body.as_slice() {
            b"taken .\n" => Ok(()),
            b"refused damaged .\n" => Err(HostError::Damaged { host: self.name.to_string() }),
            b"refused hosts .\n" => Err(HostError::ManyLists {
                host: self.name.to_string(),
                campaign: campaign.to_string(),
            }),
            other => Err(super::answer::nonsense(self.name.as_str(), "hand_over", other)),
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
        campaign: &CampaignName,
        journal: &JournalPosition,
        seconds: u64,
        mut each: impl FnMut(Vec<HostFact>, Vec<LineError>, &JournalPosition),
    ) -> Result<JournalPosition, HostError> {
        let nonce = random_word();
        let offset = journal.offset.to_string();
        let seconds_text = seconds.to_string();
        let mut started =
            self.start("wait", &nonce, &[campaign.as_str(), &offset, &seconds_text]).await?;
        let mut position = journal.clone();
        let mut pending = Vec::new();
        let mut begun = false;
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
                } else if read == 0 || pending.len() > ANSWER_MAX {
                    break;
                } else {
                    continue;
                }
            }
            // Only whole records count: what is cut off is read again by the next probe.
            let whole = whole_records(&pending);
            if whole > 0 {
                let lines = parse_lines(&pending[..whole]);
                position.offset += whole as u64;
                pending.drain(..whole);
                each(lines.facts, lines.errors.into_iter().map(|(_, e)| e).collect(), &position);
            }
            if read == 0 {
                break;
            }
        }
        let end = format!("sp-end {nonce}\n");
        if begun && pending.ends_with(end.as_bytes()) {
            Ok(position)
        } else {
            Err(self.no_answer("wait", started.rest, b"").await)
        }
    }

    /// Ends attempts, whatever they are at. `grace` 0 is KILL at once.
    pub async fn cancel(
        &self,
        campaign: &CampaignName,
        by: &str,
        grace: u32,
        attempts: &[(JobId, Attempt, ApplyId)],
    ) -> Result<(), HostError> {
        let lines = listed(attempts);
        // Without grace too: each mark is made durable by itself.
        let seconds = u64::from(grace.max(1)) * attempts.len() as u64;
        let patience = CANCEL_PATIENCE + Duration::from_secs(seconds);
        self.ask("cancel", &[campaign.as_str(), by, &grace.to_string()], lines.as_bytes(), patience)
            .await
            .map(drop)
    }

    /// Gives attempts that nobody has claimed to another host; the others stay. Returns the ends of those that are moved, as
    /// facts, and lines that were refused.
    pub async fn give_away(
        &self,
        campaign: &CampaignName,
        to: &HostName,
        attempts: &[(JobId, Attempt, ApplyId)],
    ) -> Result<(Vec<HostFact>, Vec<LineError>), HostError> {
        let lines = listed(attempts);
        let arguments = [campaign.as_str(), to.as_str()];
        let patience = CANCEL_PATIENCE + Duration::from_secs(attempts.len() as u64);
        let body = self.ask("move", &arguments, lines.as_bytes(), patience).await?;
        let lines = parse_lines(&body);
        Ok((lines.facts, lines.errors.into_iter().map(|(_, error)| error).collect()))
    }

    /// Takes a whole hand-over out of the queue.
    pub async fn withdraw(
        &self,
        campaign: &CampaignName,
        apply: &ApplyId,
    ) -> Result<(), HostError> {
        self.ask("withdraw", &[campaign.as_str(), apply.as_str()], &[], PATIENCE).await.map(drop)
    }

    /// Records that results count for other jobs, as pairs of new and old.
    pub async fn accept(
        &self,
        campaign: &CampaignName,
        origin: &str,
        pairs: &[(JobId, JobId)],
    ) -> Result<(), HostError> {
        let lines: Vec<String> = pairs.iter().map(|(new, old)| format!("{new} {old}\n")).collect();
        let lines = lines.concat();
        self.ask("accept", &[campaign.as_str(), origin], lines.as_bytes(), PATIENCE).await.map(drop)
    }

    /// Everything the host knows of one job, as lines.
    pub async fn evidence(
        &self,
        campaign: &CampaignName,
        job: JobId,
    ) -> Result<Vec<String>, HostError> {
        let body =
            self.ask("evidence", &[campaign.as_str(), &job.to_string()], &[], PATIENCE).await?;
        Ok(String::from_utf8_lossy(&body).lines().map(str::to_owned).collect())
    }

    /// Name of the tmux session of a running attempt, which is made if it is not there.
    pub async fn window(
        &self,
        campaign: &CampaignName,
        job: JobId,
        attempt: Attempt,
    ) -> Result<String, HostError> {
        let (job, attempt) = (job.to_string(), attempt.to_string());
        let body = self.ask("window", &[campaign.as_str(), &job, &attempt], &[], PATIENCE).await?;
        let text = String::from_utf8_lossy(&body);
        let session = text.trim().strip_prefix("window ").and_then(|text| text.strip_suffix(" ."));
        session
            .map(str::to_owned)
            .ok_or_else(|| super::answer::nonsense(self.name.as_str(), "window", &body))
    }

    /// Asks the host script one thing; the body of its answer.
    pub(super) async fn ask(
        &self,
        verb: &'static str,
        arguments: &[&str],
        input: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, HostError> {
        crash_point(&format!("host.{verb}.before"));
        let nonce = random_word();
        let started = self.start(verb, &nonce, arguments).await?;
        let body = self.exchange(verb, started, &nonce, input, patience).await;
        crash_point(&format!("host.{verb}.after"));
        body
    }

    /// Gives a started script its input and takes its answer out of the frame.
    async fn exchange(
        &self,
        verb: &'static str,
        started: Started,
        nonce: &str,
        input: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, HostError> {
        let (mut stdin, mut rest) = started.split();
        let mut bytes = Vec::new();
        let write = async {
            // A script that refuses early closes its end; its answer says why.
            let _closed = stdin.write_all(input).await;
            drop(stdin);
        };
        let mut limited = (&mut rest.stdout).take(ANSWER_MAX as u64 + 1);
        let read = limited.read_to_end(&mut bytes);
        let ((), read) = timeout(patience, async { tokio::join!(write, read) })
            .await
            .map_err(|_| self.too_slow(verb, patience))?;
        read.map_err(|error| self.cut(verb, &error))?;
        if bytes.len() > ANSWER_MAX {
            return Err(HostError::TooLong {
                host: self.name.to_string(),
                verb,
                limit: ANSWER_MAX,
            });
        }
        match unframe(&bytes, nonce) {
            Some(body) => Ok(body.to_vec()),
            None => Err(self.no_answer(verb, rest, &bytes).await),
        }
    }

    /// Starts a verb of the script.
    pub(super) async fn start(
        &self,
        verb: &'static str,
        nonce: &str,
        arguments: &[&str],
    ) -> Result<Started, HostError> {
        let root = self.root().await?;
        let script = root.join("v1/bin").join(script::version());
        let (script, root) = (script.to_string_lossy(), root.to_string_lossy());
        let mut words = vec!["/bin/sh", &*script, verb, &*root, nonce];
        words.extend_from_slice(arguments);
        match &self.place {
            Place::Here(_) => start_here(&words),
            Place::Over(link, _) => link.start(&words).await,
        }
    }

    /// Why an answer is not whole; `said` is what came in its place. The next question begins from the beginning: the
    /// connection may be cut, or the machine behind the name be another one.
    pub(super) async fn no_answer(&self, verb: &'static str, rest: Rest, said: &[u8]) -> HostError {
        let mut told = rest.told().await;
        if told.stderr.is_empty() {
            // nologin(8) and its like say what they say on stdout.
            told.stderr = shown_tail(said);
        }
        self.begin_anew().await;
        HostError::NoAnswer {
            host: self.name.to_string(),
            verb,
            status: told.status,
            stderr: told.stderr,
        }
    }

    pub(super) fn cut(&self, verb: &'static str, error: &std::io::Error) -> HostError {
        HostError::NoAnswer {
            host: self.name.to_string(),
            verb,
            status: format!("its answer cannot be read: {error}"),
            stderr: String::new(),
        }
    }

    /// Forgets what is known of the host's root and lets go of the connection.
    pub async fn begin_anew(&self) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Place::Over(link, _) = &self.place {
            link.forget().await;
        }
    }

    /// The error of an answer that takes too long.
    pub fn too_slow(&self, verb: &'static str, patience: Duration) -> HostError {
        HostError::TooSlow { host: self.name.to_string(), verb, seconds: patience.as_secs() }
    }
}

/// A host as rsync takes it: the connection is made already, so it is a name only; but `ssh://` and `:` mean something to
/// rsync.
fn rsync_host(destination: &str) -> String {
    let name = destination.strip_prefix("ssh://").unwrap_or(destination);
    let name = name.rsplit_once('@').map_or(name, |(_, name)| name);
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if plain && !name.is_empty() { name.to_owned() } else { "host".to_owned() }
}

/// Attempts as lines for the host script.
fn listed(attempts: &[(JobId, Attempt, ApplyId)]) -> String {
    let lines: Vec<String> =
        attempts.iter().map(|(job, attempt, apply)| format!("{job} {attempt} {apply}\n")).collect();
    lines.concat()
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

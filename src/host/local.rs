//! This machine as a host: the same script and the same words as over ssh, started here.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::answer::{Account, Probe, parse_account, parse_probe, unframe};
use super::batch::Batch;
use super::error::HostError;
use super::script;
use crate::atomic_file::private_folder;
use crate::crash::crash_point;
use crate::ids::{ApplyId, Attempt, CampaignName, HostName, JobId};
use crate::lifecycle::{HostFact, JournalPosition, LineError, parse_lines};

/// How long a question may take that waits for nothing but the host itself.
const PATIENCE: Duration = Duration::from_mins(1);
/// A cancel waits for processes to end: its grace and this.
const CANCEL_PATIENCE: Duration = Duration::from_mins(2);
/// More than the journal of a million attempts.
const ANSWER_MAX: usize = 1 << 30;
/// How much of a failed command's stderr is shown.
const TAIL: usize = 400;

/// The host `local`.
#[derive(Debug, Clone)]
pub struct LocalHost {
    name: HostName,
    root: PathBuf,
    prepared: Arc<OnceLock<()>>,
}

/// The root a campaign asks for, as an absolute path: `~` and `$NAME` at its start or inside are taken from `variable`.
pub fn local_root(
    wanted: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<PathBuf, String> {
    let text = wanted.unwrap_or("~/.local/share/sp");
    let home =
        || variable("HOME").filter(|home| !home.is_empty()).ok_or("HOME is not set".to_owned());
    let text = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => home()? + rest,
        Some(_) => return Err(format!("`{text}` names another user's home; write it as a path")),
        None => text.to_owned(),
    };
    let mut path = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        path.push_str(before);
        let length =
            after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, tail) = after.split_at(length);
        path.push_str(&variable(name).ok_or_else(|| format!("`${name}` in `{text}` is not set"))?);
        rest = tail;
    }
    path.push_str(rest);
    if !path.starts_with('/') {
        return Err(format!("`{text}` is no absolute path; begin it with `/`, `~/` or `$HOME/`"));
    }
    Ok(PathBuf::from(path))
}

impl LocalHost {
    /// A host that nothing has been asked yet; its root need not be there.
    pub fn new(name: HostName, root: PathBuf) -> Self {
        Self { name, root, prepared: Arc::new(OnceLock::new()) }
    }

    /// Makes the root ready before the first question: folders for the user alone, and this version's script.
    fn prepare(&self) -> Result<(), HostError> {
        if self.prepared.get().is_some() {
            return Ok(());
        }
        let bin = self.root.join("v1/bin");
        private_folder(&bin).map_err(io_error("make the folder", &bin))?;
        // What another user owns or may write to could be made to lie, or to run anything as us.
        for folder in [self.root.as_path(), &self.root.join("v1")] {
            let about = fs::metadata(folder).map_err(io_error("look at", folder))?;
            let wrong =
                |why| HostError::Root { host: self.name.to_string(), path: folder.to_owned(), why };
            if about.uid() != rustix::process::geteuid().as_raw() {
                return Err(wrong("belongs to another user; choose another `root`"));
            }
            if about.mode() & 0o022 != 0 {
                return Err(wrong("can be written by other users; `chmod go-w` it"));
            }
        }
        self.install()?;
        self.prepared.get_or_init(|| ());
        Ok(())
    }

    /// Name in the campaign.
    pub fn name(&self) -> &HostName {
        &self.name
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of an attempt: its log, records and `out`.
    pub fn attempt_folder(&self, campaign: &CampaignName, job: JobId, attempt: Attempt) -> PathBuf {
        self.job_folder(campaign, job).join(attempt.to_string())
    }

    /// Folder of a job: its attempts and `state`.
    pub fn job_folder(&self, campaign: &CampaignName, job: JobId) -> PathBuf {
        self.root.join("v1").join(campaign.as_str()).join("jobs").join(job.to_string())
    }

    /// Folder of a campaign's snapshots.
    pub fn snapshots(&self, campaign: &CampaignName) -> PathBuf {
        self.root.join("v1").join(campaign.as_str()).join("snapshots")
    }

    fn script(&self) -> PathBuf {
        self.root.join("v1/bin").join(script::version())
    }

    /// By rename, never in place: a shell that reads a script while it changes runs nonsense.
    fn install(&self) -> Result<(), HostError> {
        let path = self.script();
        if path.exists() {
            return Ok(());
        }
        let temporary = path.with_extension(std::process::id().to_string());
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(script::TEXT.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(io_error("write", &path))
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
        let mut child = self.start(
            "wait",
            &nonce,
            &[campaign.as_str(), &offset, &seconds_text],
            Stdio::null(),
        )?;
        let mut output = child.stdout.take().expect("stdout is piped");
        let mut position = journal.clone();
        let mut pending = Vec::new();
        let mut begun = false;
        let begin = format!("sp-begin {nonce}\n");
        let limit = Duration::from_secs(seconds) + PATIENCE;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let read = timeout(limit, output.read(&mut chunk))
                .await
                .map_err(|_| self.too_slow("wait", limit))?;
            let read = read.map_err(io_error("read the answer of", &self.root))?;
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
            self.finish("wait", child).await.and(Ok(position))
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
        let lines: Vec<String> = attempts
            .iter()
            .map(|(job, attempt, apply)| format!("{job} {attempt} {apply}\n"))
            .collect();
        let lines = lines.concat();
        // Without grace too: each mark is made durable by itself.
        let seconds = u64::from(grace.max(1)) * attempts.len() as u64;
        let patience = CANCEL_PATIENCE + Duration::from_secs(seconds);
        self.ask("cancel", &[campaign.as_str(), by, &grace.to_string()], lines.as_bytes(), patience)
            .await
            .map(drop)
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
        let mut child = self.start(verb, &nonce, arguments, Stdio::piped())?;
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let mut output = child.stdout.take().expect("stdout is piped");
        let mut bytes = Vec::new();
        let write = async {
            // A script that refuses early closes its end; its answer says why.
            let _closed = stdin.write_all(input).await;
            drop(stdin);
        };
        let mut limited = (&mut output).take(ANSWER_MAX as u64 + 1);
        let read = limited.read_to_end(&mut bytes);
        let ((), read) = timeout(patience, async { tokio::join!(write, read) })
            .await
            .map_err(|_| self.too_slow(verb, patience))?;
        read.map_err(io_error("read the answer of", &self.root))?;
        crash_point(&format!("host.{verb}.after"));
        if bytes.len() > ANSWER_MAX {
            return Err(HostError::TooLong {
                host: self.name.to_string(),
                verb,
                limit: ANSWER_MAX,
            });
        }
        if let Some(body) = unframe(&bytes, &nonce) {
            return Ok(body.to_vec());
        }
        Err(self.finish(verb, child).await.err().unwrap_or_else(|| HostError::NoAnswer {
            host: self.name.to_string(),
            verb,
            status: "it ended with 0".to_owned(),
            stderr: String::new(),
        }))
    }

    /// Waits for a process whose answer is not whole, and says how it ended.
    async fn finish(&self, verb: &'static str, mut child: Child) -> Result<(), HostError> {
        let mut stderr = Vec::new();
        if let Some(mut errors) = child.stderr.take() {
            drop(timeout(Duration::from_secs(2), errors.read_to_end(&mut stderr)).await);
        }
        let status = timeout(Duration::from_secs(2), child.wait()).await;
        let status = match status {
            Ok(Ok(status)) => describe(status),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it still runs".to_owned(),
        };
        let text = String::from_utf8_lossy(&stderr);
        let text: String =
            text.trim().chars().rev().take(TAIL).collect::<Vec<_>>().into_iter().rev().collect();
        Err(HostError::NoAnswer {
            host: self.name.to_string(),
            verb,
            status,
            stderr: text.escape_debug().to_string(),
        })
    }

    fn too_slow(&self, verb: &'static str, patience: Duration) -> HostError {
        HostError::TooSlow { host: self.name.to_string(), verb, seconds: patience.as_secs() }
    }

    fn start(
        &self,
        verb: &'static str,
        nonce: &str,
        arguments: &[&str],
        stdin: Stdio,
    ) -> Result<Child, HostError> {
        self.prepare()?;
        let mut command = command("/bin/sh");
        command.arg(self.script()).arg(verb).arg(&self.root).arg(nonce).args(arguments);
        // Ctrl-C at the terminal is for `sp` alone, and what it starts here must not go with it.
        command.process_group(0).kill_on_drop(verb == "wait");
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|source| HostError::Start { program: "/bin/sh".to_owned(), source })
    }
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

/// Replaces this process by tmux, attached to look at a job. A terminal that tmux does not know is taken for a plain one.
pub fn attach_session(session: &str, terminal: Option<&str>) -> io::Error {
    use std::os::unix::process::CommandExt as _;
    let mut command = command("tmux").into_std();
    if terminal.is_none_or(|terminal| terminal == "dumb") {
        command.env("TERM", "xterm");
    }
    command.args(["-L", "sp", "-f", "/dev/null", "-u", "attach-session", "-r", "-t"]);
    command.arg(format!("={session}"));
    command.exec()
}

#[expect(clippy::disallowed_methods, reason = "the one place of the local transport that spawns")]
fn command(program: &str) -> Command {
    Command::new(program)
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with {code}"),
        (None, Some(signal)) => format!("it was killed by signal {signal}"),
        (None, None) => "it ended".to_owned(),
    }
}

/// 24 hex digits that no other call has had.
pub fn random_word() -> String {
    let mut bytes = [0; 12];
    // Uniqueness, not secrecy, is wanted: the process id and the clock serve where the kernel refuses.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).is_err() {
        bytes[..4].copy_from_slice(&std::process::id().to_le_bytes());
    }
    bytes.map(|byte| format!("{byte:02x}")).concat()
}

pub(super) fn io_error<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> HostError + 'a {
    move |source| HostError::Io { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_made_absolute() {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/ann".to_owned()),
            "USER" => Some("ann".to_owned()),
            _ => None,
        };
        let root = |text| local_root(text, variable);
        assert_eq!(root(None), Ok(PathBuf::from("/home/ann/.local/share/sp")));
        assert_eq!(root(Some("/scratch/$USER/sp")), Ok(PathBuf::from("/scratch/ann/sp")));
        assert_eq!(root(Some("~")), Ok(PathBuf::from("/home/ann")));
        assert!(root(Some("~bob/sp")).is_err());
        assert!(root(Some("sp")).is_err());
        assert!(root(Some("/x/$NOPE")).is_err());
    }

    #[test]
    fn a_record_that_is_cut_off_is_left() {
        assert_eq!(whole_records(b"a .\nb .\nc"), 8);
        assert_eq!(whole_records(b"a .\nbroken\nc .\n"), 4);
        assert_eq!(whole_records(b"\n"), 0);
    }
}

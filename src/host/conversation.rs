//! A host of a campaign, and the conversation with its script, the same whatever the transport.
//!
//! It knows the first words and how a question gets its answer, not what is asked.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::control::ControlFolder;
use super::error::HostError;
use super::login::Greeted;
use super::ssh::{Destination, Link};
use super::talk::{ANSWER_MAX, Broken, Talk, question};
use super::transport::{Rest, Started, shown_tail, start_here};
use super::trouble::{End, LoginTrouble};
use super::{random_word, root, script, sync};
use crate::crash::crash_point;
use crate::ids::{Attempt, HostName, Instance, JobId};
use crate::shell::quote;

/// A host of a campaign.
#[derive(Debug, Clone)]
pub struct Host {
    name: HostName,
    pub(super) place: Place,
    known: Arc<Mutex<Known>>,
}

/// What was learned of a host since it was last spoken to for the first time.
#[derive(Debug, Default)]
struct Known {
    /// Its root, once that is ready.
    root: Option<PathBuf>,
    /// The account's login shell, where the first words told it; empty else.
    shell: String,
    /// A conversation that waits for the next question. One is kept: each holds one of the few channels of a connection.
    idle: Option<Talk>,
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
        Self { name, place: Place::Here(root), known: Arc::default() }
    }

    /// Another machine; nothing is asked yet.
    pub fn over_ssh(
        name: HostName,
        destination: Destination,
        root: Option<String>,
        control: Arc<ControlFolder>,
    ) -> Self {
        let link = Arc::new(Link::new(name.clone(), destination, control));
        Self { name, place: Place::Over(link, root), known: Arc::default() }
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
        let (root, shell, talk) = match &self.place {
            Place::Here(root) => {
                root::prepare(&self.name, root)?;
                (root.clone(), String::new(), None)
            }
            Place::Over(link, wanted) => {
                let Greeted { root, shell, talk } = self.say_hello(link, wanted.as_deref()).await?;
                (root, shell, Some(talk))
            }
        };
        let mut known = self.known();
        (known.root, known.shell) = (Some(root.clone()), shell);
        if talk.is_some() {
            known.idle = talk;
        }
        Ok(root)
    }

    /// The root, where it is on this machine.
    pub fn root_here(&self) -> Option<&Path> {
        match &self.place {
            Place::Here(root) => Some(root),
            Place::Over(..) => None,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known_root(&self) -> Option<PathBuf> {
        self.known().root.clone()
    }

    /// The account's login shell; empty where it is not known.
    pub(super) fn login_shell(&self) -> String {
        self.known().shell.clone()
    }

    /// A conversation with the script, and whether it is an old one.
    async fn talk(&self) -> Result<(Talk, bool), HostError> {
        if let Some(talk) = self.known().idle.take() {
            return Ok((talk, true));
        }
        self.root().await?;
        // A hello has left one.
        if let Some(talk) = self.known().idle.take() {
            return Ok((talk, false));
        }
        let root = self.root().await?;
        let started = self.run(&["talk", &root.to_string_lossy()]).await?;
        Ok((Talk::new(started), false))
    }

    /// Says something and waits for the answer, and gives the conversation back.
    pub(super) async fn converse(
        &self,
        verb: &'static str,
        mut talk: Talk,
        said: &[u8],
        nonce: &str,
        patience: Duration,
    ) -> Result<(Talk, Vec<u8>), HostError> {
        match talk.exchange(said, nonce, patience).await {
            Ok(body) => Ok((talk, body)),
            Err(Broken::Closed(said)) => {
                Err(self.no_answer_to(verb, nonce, talk.over(), &said).await)
            }
            Err(broken) => Err(self.broken(verb, talk, broken).await),
        }
    }

    pub(super) async fn broken(&self, verb: &'static str, talk: Talk, broken: Broken) -> HostError {
        match broken {
            Broken::Closed(said) => self.no_answer(verb, talk.over(), &said).await,
            Broken::Read(error) => self.cut(verb, &error),
            Broken::TooLong => {
                HostError::TooLong { host: self.name.to_string(), verb, limit: ANSWER_MAX }
            }
            Broken::Noise => self.noisy().await,
            Broken::Silent(waited) => {
                // The connection may be dead without anybody having noticed.
                self.begin_anew().await;
                self.too_slow(verb, waited)
            }
        }
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
        instance: &Instance,
        job: JobId,
        attempt: Attempt,
    ) -> Result<PathBuf, HostError> {
        Ok(self.job_folder(instance, job).await?.join(attempt.to_string()))
    }

    /// Folder of a job: its attempts and `state`.
    pub async fn job_folder(&self, instance: &Instance, job: JobId) -> Result<PathBuf, HostError> {
        let root = self.root().await?;
        Ok(root.join("v2").join(instance.as_str()).join("jobs").join(job.to_string()))
    }

    /// Folder of a campaign's snapshots.
    pub async fn snapshots(&self, instance: &Instance) -> Result<PathBuf, HostError> {
        Ok(self.root().await?.join("v2").join(instance.as_str()).join("snapshots"))
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

    /// Asks the host script one thing; the body of its answer.
    pub(super) async fn ask(
        &self,
        verb: &'static str,
        arguments: &[&str],
        input: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, HostError> {
        crash_point(&format!("host.{verb}.before"));
        let body = self.answer_to(verb, arguments, input, patience).await;
        crash_point(&format!("host.{verb}.after"));
        body
    }

    async fn answer_to(
        &self,
        verb: &'static str,
        arguments: &[&str],
        input: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, HostError> {
        let nonce = random_word();
        let said = question(verb, &nonce, arguments, input);
        let (mut talk, mut old) = self.talk().await?;
        loop {
            match self.converse(verb, talk, &said, &nonce, patience).await {
                Ok((talk, body)) => {
                    self.known().idle = Some(talk);
                    return Ok(body);
                }
                // It may have ended since the last question; so one that begins now is asked as well.
                Err(HostError::NoAnswer { .. }) if old => (talk, old) = self.talk().await?,
                Err(error) => return Err(error),
            }
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
        let root = root.to_string_lossy();
        let mut words = vec![verb, &*root, nonce];
        words.extend_from_slice(arguments);
        self.run(&words).await
    }

    /// Runs the script.
    async fn run(&self, arguments: &[&str]) -> Result<Started, HostError> {
        let script = self.root().await?.join("v2/bin").join(script::version());
        let script = script.to_string_lossy();
        let mut words = vec!["/bin/sh", &*script];
        words.extend_from_slice(arguments);
        match &self.place {
            Place::Here(_) => start_here(&words),
            Place::Over(link, _) => link.start(&words).await,
        }
    }

    /// Says why there is no whole answer to the question NONCE: what the script itself says that it cannot do, else as
    /// [`Self::no_answer`] does.
    pub(super) async fn no_answer_to(
        &self,
        verb: &'static str,
        nonce: &str,
        rest: Rest,
        said: &[u8],
    ) -> HostError {
        match cannot(self.name.to_string(), said, nonce) {
            Some(error) => {
                self.begin_anew().await;
                error
            }
            None => self.no_answer(verb, rest, said).await,
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
            end: told.end,
            stderr: told.stderr,
        }
    }

    /// The error of a login that prints without end.
    pub(super) async fn noisy(&self) -> HostError {
        self.begin_anew().await;
        let (trouble, said) = (LoginTrouble::Noise, String::new());
        HostError::Login { host: self.name.to_string(), trouble, said }
    }

    pub(super) fn cut(&self, verb: &'static str, error: &std::io::Error) -> HostError {
        HostError::NoAnswer {
            host: self.name.to_string(),
            verb,
            end: End::Unread(format!("its answer cannot be read: {error}")),
            stderr: String::new(),
        }
    }

    /// Ends the conversation that waits for the next question.
    pub(super) fn fall_silent(&self) {
        self.known().idle = None;
    }

    /// Forgets what is known of the host's root and lets go of the connection.
    pub async fn begin_anew(&self) {
        *self.known() = Known::default();
        if let Place::Over(link, _) = &self.place {
            link.forget().await;
        }
    }

    /// The error of an answer that takes too long.
    pub fn too_slow(&self, verb: &'static str, patience: Duration) -> HostError {
        HostError::TooSlow { host: self.name.to_string(), verb, seconds: patience.as_secs() }
    }
}

/// Reads what the script says that it cannot do, whatever it is asked; see `cannot` there.
fn cannot(host: String, said: &[u8], nonce: &str) -> Option<HostError> {
    let text = String::from_utf8_lossy(said);
    let begin = format!("sp-cannot {nonce} ");
    let rest = text.lines().rev().find_map(|line| line.strip_prefix(&begin))?;
    let shown = |text: &str| shown_tail(text.as_bytes());
    if let Some(programs) = rest.strip_prefix("find ") {
        return Some(HostError::Missing {
            host,
            programs: programs.split(',').map(shown).collect(),
        });
    }
    let mut known = ["make ", "write to "].into_iter();
    let (what, path) = known.find_map(|what| Some((what.trim_end(), rest.strip_prefix(what)?)))?;
    Some(HostError::Place { host, what, path: shown(path) })
}

/// A host as rsync takes it: the connection is made already, so it is a name only; but `ssh://` and `:` mean something to
/// rsync.
fn rsync_host(destination: &str) -> String {
    let name = destination.strip_prefix("ssh://").unwrap_or(destination);
    let name = name.rsplit_once('@').map_or(name, |(_, name)| name);
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if plain && !name.is_empty() { name.to_owned() } else { "host".to_owned() }
}

//! One host reached by ssh: its master connection. One that the user keeps open serves first, since a login costs more than
//! all that is said after it, and may take a person; it is never closed. Else one is made when it is first needed, owned by
//! this process and ended with its control folder.
//!
//! It decides nothing about trying again: a caller that is told of a cut connection asks again, and then a new one is
//! made.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openssh::{ControlPersist, KnownHosts, OwningCommand, Session, SessionBuilder, Stdio};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::control::ControlFolder;
use super::error::HostError;
use super::ssh_words::{is_refused, shortened, told, undone};
use super::transport::{Started, command, end_of};
use super::trouble::{End, SshTrouble};
use crate::ids::HostName;
use crate::shell::quote;

/// sshd allows 10 sessions a connection unless told otherwise (`MaxSessions` in `sshd_config(5)`); some are left to rsync and
/// to people who look.
pub(super) const CHANNELS: usize = 8;
/// TCP, key exchange and login.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A session more over a connection that is there; the server gives it before any start-up file is read.
const SESSION_WITHIN: Duration = Duration::from_secs(20);
/// The same over the user's: nobody may have noticed that its network is dead, and ours takes its place.
const USERS_SESSION_WITHIN: Duration = Duration::from_secs(3);
/// A dead network is noticed after about four of these (`ServerAliveCountMax` is 3, `ssh_config(5)`).
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How long a master of ours stays when this process is killed.
const PERSIST: NonZeroUsize = NonZeroUsize::new(120).expect("not zero");

/// Input, output and messages of a program over ssh.
pub(super) type Streams = (
    Box<dyn AsyncWrite + Send + Unpin>,
    Box<dyn AsyncRead + Send + Unpin>,
    Box<dyn AsyncRead + Send + Unpin>,
);

/// A program that was started over a connection.
type Spawned = (openssh::Child<Arc<Session>>, Streams);

/// How to reach a host.
#[derive(Debug, Clone)]
pub struct Destination {
    /// What `ssh` takes: an alias, `user@host`, `ssh://user@host:port`.
    pub ssh: String,
    /// Whether a key that is not known yet is taken and remembered; else it is refused.
    pub accept_new: bool,
    /// A configuration file in place of the user's and the system's.
    pub config: Option<PathBuf>,
}

/// A host's connection.
#[derive(Debug)]
pub(super) struct Link {
    host: HostName,
    destination: Destination,
    control: Arc<ControlFolder>,
    open: Mutex<Open>,
    /// Connections of ours beside that one, for what the server gives no session over it.
    further: Mutex<Vec<Arc<Session>>>,
    channels: Arc<Semaphore>,
}

/// The connection that is open, and what is known of the user's.
#[derive(Debug, Default)]
struct Open {
    session: Option<Arc<Session>>,
    /// Whether it is the user's.
    users: bool,
    /// Whether the user's has failed once: then ours comes first, and the user's only where ours may not log in.
    failed: bool,
}

impl Open {
    fn leave(&mut self) {
        self.failed |= self.session.take().is_some() && self.users;
    }
}

/// A program that runs over a link; holds one of its channels.
#[derive(Debug)]
pub(super) struct Channel {
    child: openssh::Child<Arc<Session>>,
    _permit: OwnedSemaphorePermit,
}

impl Channel {
    /// Waits for the end of the program, as far as ssh tells it.
    pub(super) async fn ended(self) -> End {
        match self.child.wait().await {
            Ok(status) => end_of(status),
            // What a shell says of a program that is not there (POSIX.1, 2.8.2).
            Err(openssh::Error::Remote(_)) => End::Code(127),
            Err(openssh::Error::RemoteProcessTerminated | openssh::Error::Disconnected) => End::Cut,
            Err(error) => End::Unread(told(&error)),
        }
    }
}

impl Link {
    /// A link that nothing has gone over yet.
    pub(super) fn new(
        host: HostName,
        destination: Destination,
        control: Arc<ControlFolder>,
    ) -> Self {
        Self {
            host,
            destination,
            control,
            open: Mutex::default(),
            further: Mutex::default(),
            channels: Arc::new(Semaphore::new(CHANNELS)),
        }
    }

    /// What the user wrote as `ssh`.
    pub(super) fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Starts a program on the host; the words reach it as they are. Where the server gives no further session over the
    /// connection (`MaxSessions`), it goes over another one.
    pub(super) async fn start(&self, words: &[&str]) -> Result<Started, HostError> {
        let permit = Arc::clone(&self.channels).acquire_owned().await.expect("never closed");
        let line = command_line(words);
        let (child, streams) = match self.start_over_first(&line).await? {
            Some(spawned) => spawned,
            None => self.start_over_another(&line).await?,
        };
        Ok(Started::over(Channel { child, _permit: permit }, streams))
    }

    /// Starts a program over the first connection; `None` where the server gives no further session over it.
    pub(super) async fn start_beside(&self, words: &[&str]) -> Result<Option<Started>, HostError> {
        let permit = Arc::clone(&self.channels).acquire_owned().await.expect("never closed");
        let spawned = self.start_over_first(&command_line(words)).await?;
        Ok(spawned
            .map(|(child, streams)| Started::over(Channel { child, _permit: permit }, streams)))
    }

    async fn start_over_first(&self, line: &str) -> Result<Option<Spawned>, HostError> {
        loop {
            let (session, made) = self.open().await?;
            let users = self.is_users().await;
            let within = if users { USERS_SESSION_WITHIN } else { SESSION_WITHIN };
            // The user's may be at the end of its sessions, or of its life; and ours may have died since it was last used:
            // one more connection, unless this one is new.
            match timeout(within, spawn(Arc::clone(&session), line)).await {
                Ok(Ok(spawned)) => return Ok(Some(spawned)),
                Ok(Err(openssh::Error::Disconnected)) if !made || users => {
                    self.leave(&session).await;
                }
                Ok(Err(_)) | Err(_) if users => self.leave(&session).await,
                Ok(Err(error)) if is_refused(&error) => return Ok(None),
                Ok(Err(error)) => return Err(self.trouble(&error)),
                Err(_) => {
                    self.leave(&session).await;
                    return Err(self.error(SshTrouble::NoAnswer, String::new()));
                }
            }
        }
    }

    /// Starts a program over one of the further connections, or over a new one. A session that even a new one does not give
    /// is given to nobody.
    async fn start_over_another(&self, line: &str) -> Result<Spawned, HostError> {
        let slow = || self.error(SshTrouble::NoAnswer, String::new());
        // One at a time: else each would make a connection where one does for all.
        let mut further = self.further.lock().await;
        let mut at = 0;
        while let Some(session) = further.get(at) {
            match timeout(SESSION_WITHIN, spawn(Arc::clone(session), line)).await {
                Ok(Ok(started)) => return Ok(started),
                Ok(Err(error)) if is_refused(&error) => at += 1,
                Ok(Err(_)) | Err(_) => drop(further.remove(at)),
            }
        }
        let session = Arc::new(self.connect().await?);
        let started = timeout(SESSION_WITHIN, spawn(Arc::clone(&session), line));
        let started = started.await.map_err(|_| slow())?.map_err(|error| self.trouble(&error))?;
        further.push(session);
        Ok(started)
    }

    /// The connection, which is found or made where there is none, and whether it was.
    async fn open(&self) -> Result<(Arc<Session>, bool), HostError> {
        let mut open = self.open.lock().await;
        if let Some(session) = open.session.as_ref() {
            return Ok((Arc::clone(session), false));
        }
        let users = if open.failed { None } else { self.users_master().await };
        open.users = users.is_some();
        let session = match users {
            Some(session) => session,
            None => match self.connect().await {
                Ok(session) => session,
                Err(error @ HostError::Ssh { trouble: SshTrouble::Login, .. }) => {
                    let session = self.users_master().await.ok_or(error)?;
                    open.users = true;
                    session
                }
                Err(error) => return Err(error),
            },
        };
        Ok((Arc::clone(open.session.insert(Arc::new(session))), true))
    }

    /// Whether what goes over this link goes over a connection of the user's that has not failed yet.
    async fn is_users(&self) -> bool {
        let open = self.open.lock().await;
        open.session.is_some() && open.users && !open.failed
    }

    async fn connect(&self) -> Result<Session, HostError> {
        let folder = self.control.folder()?;
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(if self.destination.accept_new {
                KnownHosts::Add
            } else {
                KnownHosts::Strict
            })
            .connect_timeout(CONNECT_WITHIN)
            .server_alive_interval(ALIVE_EVERY)
            .control_directory(folder)
            .control_persist(ControlPersist::IdleFor(PERSIST));
        if let Some(config) = &self.destination.config {
            builder.config_file(config);
        }
        let connect = builder.connect_mux(&self.destination.ssh);
        match timeout(CONNECT_WITHIN + Duration::from_secs(5), connect).await {
            // By itself it would only stop to listen when it is dropped; the folder ends its masters.
            Ok(Ok(session)) => {
                let (socket, log) = session.detach();
                Ok(Session::resume_mux(socket, log))
            }
            Ok(Err(error)) => Err(self.trouble(&error)),
            Err(_) => Err(self.error(SshTrouble::NoAnswer, String::new())),
        }
    }

    /// What ssh makes of the configuration for this host, a word and its value on each line; empty where it does not say.
    async fn configuration(&self) -> String {
        let mut ssh = command("ssh");
        ssh.arg("-G");
        if let Some(config) = &self.destination.config {
            ssh.arg("-F").arg(config);
        }
        let output = timeout(CONNECT_WITHIN, ssh.arg(&self.destination.ssh).output()).await;
        let output = output.ok().and_then(Result::ok);
        output.map_or_else(String::new, |out| String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// A live master of the user's own, at the place that the configuration names. Whether its network is alive nobody knows
    /// before something went over it.
    async fn users_master(&self) -> Option<Session> {
        let text = self.configuration().await;
        let path = text.lines().find_map(|line| line.strip_prefix("controlpath "))?;
        if path == "none" || !Path::new(path).exists() {
            return None;
        }
        let session = Session::resume_mux(Path::new(path).into(), None);
        timeout(CONNECT_WITHIN, session.check()).await.ok()?.ok()?;
        Some(session)
    }

    /// Lets go of this connection, unless somebody has already.
    async fn leave(&self, session: &Arc<Session>) {
        let mut open = self.open.lock().await;
        if open.session.as_ref().is_some_and(|open| Arc::ptr_eq(open, session)) {
            open.leave();
        }
    }

    /// Lets go of a connection that does not serve any more; what still runs over it keeps it.
    pub(super) async fn forget(&self) {
        self.open.lock().await.leave();
        self.further.lock().await.clear();
    }

    /// The words of an `ssh` that goes over this connection to the same host, for rsync's `--rsh`. Makes the connection.
    pub(super) async fn remote_shell(&self) -> Result<Vec<String>, HostError> {
        let (session, _) = self.open().await?;
        let socket = session.control_socket().to_string_lossy().into_owned();
        let mut words = vec!["ssh".to_owned()];
        if let Some(config) = &self.destination.config {
            words.extend(["-F".to_owned(), config.to_string_lossy().into_owned()]);
        }
        words.extend(["-S".to_owned(), socket, "-oBatchMode=yes".to_owned()]);
        // What the user's own configuration runs there is no part of this.
        words.push("-oRemoteCommand=none".to_owned());
        words.extend(undone(&self.configuration().await));
        Ok(words)
    }

    /// Folders for sockets that were passed over because somebody else has taken them, and the one in use.
    pub(super) fn taken_places(&self) -> Option<(Vec<String>, PathBuf)> {
        self.control.taken()
    }

    /// Sockets of killed commands that were cleared away when ours was made.
    pub(super) fn stale_sockets(&self) -> usize {
        self.control.cleared()
    }

    fn error(&self, trouble: SshTrouble, said: String) -> HostError {
        HostError::Ssh {
            host: self.host.to_string(),
            destination: self.destination.ssh.clone(),
            trouble,
            said,
        }
    }

    fn trouble(&self, error: &openssh::Error) -> HostError {
        let said = told(error);
        let trouble = match error {
            openssh::Error::Connect(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                SshTrouble::NoSsh
            }
            openssh::Error::Connect(_) | openssh::Error::Master(_) => SshTrouble::of(&said),
            openssh::Error::Disconnected | openssh::Error::RemoteProcessTerminated => {
                SshTrouble::Cut
            }
            error if is_refused(error) => SshTrouble::Sessions,
            _ => SshTrouble::Other,
        };
        self.error(trouble, shortened(&said))
    }
}

async fn spawn(session: Arc<Session>, line: &str) -> Result<Spawned, openssh::Error> {
    let mut command: OwningCommand<Arc<Session>> = Session::to_raw_command(session, line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().await?;
    let stdin = Box::new(child.stdin().take().expect("stdin is piped"));
    let stdout = Box::new(child.stdout().take().expect("stdout is piped"));
    let stderr = Box::new(child.stderr().take().expect("stderr is piped"));
    Ok((child, (stdin, stdout, stderr)))
}

/// Returns one line that every login shell reads alike: words that mean nothing to any shell stand as they are, others in quotes.
fn command_line(words: &[&str]) -> String {
    let words: Vec<String> =
        words.iter().map(|word| quote(word).unwrap_or_else(|_| "''".to_owned())).collect();
    words.join(" ")
}

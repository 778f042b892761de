//! One host reached by ssh: its master connection, made when it is first needed, owned by this process and ended with
//! its control folder.
//!
//! It decides nothing about trying again: a caller that is told of a cut connection asks again, and then a new one is
//! made. A master that the user keeps open is used where ours may not log in (a second factor, a passphrase), and never
//! closed.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use openssh::{ControlPersist, KnownHosts, OwningCommand, Session, SessionBuilder, Stdio};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::control::ControlFolder;
use super::error::{HostError, SshTrouble};
use super::transport::{Started, command};
use crate::ids::HostName;
use crate::shell::quote;

/// sshd allows 10 sessions a connection unless told otherwise (`MaxSessions` in `sshd_config(5)`); some are left to rsync and
/// to people who look.
pub(super) const CHANNELS: usize = 8;
/// TCP, key exchange and login.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
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
    open: Mutex<Option<Arc<Session>>>,
    channels: Arc<Semaphore>,
}

/// A program that runs over a link; holds one of its channels.
#[derive(Debug)]
pub(super) struct Channel {
    child: openssh::Child<Arc<Session>>,
    _permit: OwnedSemaphorePermit,
}

impl Channel {
    /// Waits for the end of the program, as far as ssh tells it.
    pub(super) async fn ended(self) -> Result<ExitStatus, String> {
        self.child.wait().await.map_err(|error| match error {
            openssh::Error::Remote(_) => "it ended with 127".to_owned(),
            openssh::Error::RemoteProcessTerminated => {
                "it was killed, or the connection was cut".to_owned()
            }
            error => told(&error),
        })
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
            open: Mutex::new(None),
            channels: Arc::new(Semaphore::new(CHANNELS)),
        }
    }

    /// What the user wrote as `ssh`.
    pub(super) fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Starts a program on the host; the words reach it as they are.
    pub(super) async fn start(&self, words: &[&str]) -> Result<Started, HostError> {
        let permit = Arc::clone(&self.channels).acquire_owned().await.expect("never closed");
        let line = command_line(words);
        let mut fresh = false;
        loop {
            let session = self.open(&mut fresh).await?;
            match spawn(session, &line).await {
                Ok((child, streams)) => {
                    return Ok(Started::over(Channel { child, _permit: permit }, streams));
                }
                // The master died since it was last used: one more connection, unless this one is new already.
                Err(openssh::Error::Disconnected) if !fresh => self.forget().await,
                Err(error) => return Err(self.trouble(&error)),
            }
        }
    }

    /// The connection, which is made where there is none; `fresh` is set then.
    async fn open(&self, fresh: &mut bool) -> Result<Arc<Session>, HostError> {
        let mut open = self.open.lock().await;
        if let Some(session) = open.as_ref() {
            return Ok(Arc::clone(session));
        }
        *fresh = true;
        let session = match self.connect().await {
            Ok(session) => session,
            Err(error) => self.users_master(&error).await.ok_or(error)?,
        };
        Ok(Arc::clone(open.insert(Arc::new(session))))
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

    /// A live master of the user's own, where a login without a person was refused.
    async fn users_master(&self, error: &HostError) -> Option<Session> {
        let HostError::Ssh { trouble: SshTrouble::Login, .. } = error else { return None };
        let mut ssh = command("ssh");
        ssh.arg("-G");
        if let Some(config) = &self.destination.config {
            ssh.arg("-F").arg(config);
        }
        let output = timeout(CONNECT_WITHIN, ssh.arg(&self.destination.ssh).output()).await;
        let output = output.ok()?.ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let path = text.lines().find_map(|line| line.strip_prefix("controlpath "))?;
        if path == "none" || !Path::new(path).exists() {
            return None;
        }
        let session = Session::resume_mux(Path::new(path).into(), None);
        session.check().await.ok()?;
        Some(session)
    }

    /// Lets go of a connection that does not serve any more; what still runs over it keeps it.
    pub(super) async fn forget(&self) {
        drop(self.open.lock().await.take());
    }

    /// The words of an `ssh` that goes over this connection to the same host, for rsync's `--rsh`. Makes the connection.
    pub(super) async fn remote_shell(&self) -> Result<Vec<String>, HostError> {
        let session = self.open(&mut false).await?;
        let socket = session.control_socket().to_string_lossy().into_owned();
        let mut words = vec!["ssh".to_owned()];
        if let Some(config) = &self.destination.config {
            words.extend(["-F".to_owned(), config.to_string_lossy().into_owned()]);
        }
        words.extend(["-S".to_owned(), socket, "-oBatchMode=yes".to_owned()]);
        // What the user's own configuration runs there is no part of this.
        words.push("-oRemoteCommand=none".to_owned());
        Ok(words)
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
            _ if said.contains("refused") => SshTrouble::Sessions,
            _ => SshTrouble::Other,
        };
        self.error(trouble, shortened(&said))
    }
}

async fn spawn(
    session: Arc<Session>,
    line: &str,
) -> Result<(openssh::Child<Arc<Session>>, Streams), openssh::Error> {
    let mut command: OwningCommand<Arc<Session>> = Session::to_raw_command(session, line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().await?;
    let stdin = Box::new(child.stdin().take().expect("stdin is piped"));
    let stdout = Box::new(child.stdout().take().expect("stdout is piped"));
    let stderr = Box::new(child.stderr().take().expect("stderr is piped"));
    Ok((child, (stdin, stdout, stderr)))
}

/// An error and its causes; of a connection that came to nothing, ssh's own words.
fn told(error: &openssh::Error) -> String {
    use std::error::Error as _;
    if let openssh::Error::Connect(cause) | openssh::Error::Master(cause) = error {
        return cause.to_string();
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What ssh said, on one line. Of its warning of a changed key only what a person needs: which key, where the old one is,
/// and how to remove it.
fn shortened(said: &str) -> String {
    let changed = said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED");
    let needed = |line: &&str| {
        !changed || ["SHA256:", "Offending", "ssh-keygen"].iter().any(|word| line.contains(word))
    };
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty()).filter(needed);
    let line = lines.collect::<Vec<_>>().join("; ");
    super::transport::shown_tail(line.as_bytes())
}

/// One line that every login shell reads alike: words that mean nothing to any shell as they are, others in quotes.
fn command_line(words: &[&str]) -> String {
    let words: Vec<String> =
        words.iter().map(|word| quote(word).unwrap_or_else(|_| "''".to_owned())).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_one_line() {
        let said = "kex_exchange_identification: read: Connection reset by peer\r\n\nConnection reset by 10.0.0.1 port 22\r\n";
        assert_eq!(
            shortened(said),
            "kex_exchange_identification: read: Connection reset by peer; Connection reset by 10.0.0.1 port 22"
        );
        assert_eq!(shortened("a\u{1b}[2J"), "a\\u{1b}[2J");
    }
}

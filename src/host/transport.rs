//! Starting a program on a host, and the bytes that go to it and come from it: on this machine, or over ssh.
//!
//! It knows no words of the protocol. How a program ended over ssh is told for people only: the exit status of an ssh
//! command is never a job's result.

use std::fmt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::process::Command;
use tokio::time::timeout;

use super::error::HostError;
use super::trouble::End;

/// How much of a failed command's stderr is shown.
const TAIL: usize = 400;
/// How long an end is waited for once the output is over.
const END_WITHIN: Duration = Duration::from_secs(2);

/// A started program: its input, and the rest of it.
#[derive(Debug)]
pub(super) struct Started {
    /// Its end tells the script that nobody listens any more.
    pub(super) stdin: Input,
    pub(super) rest: Rest,
}

/// What a program's input is written to.
pub(super) struct Input(pub(super) Box<dyn AsyncWrite + Send + Unpin>);

/// What comes from a program.
pub(super) struct Rest {
    pub(super) stdout: Box<dyn AsyncRead + Send + Unpin>,
    stderr: Box<dyn AsyncRead + Send + Unpin>,
    ending: Ending,
}

enum Ending {
    Here(Box<tokio::process::Child>),
    Over(Box<super::ssh::Channel>),
}

impl Started {
    /// A program over ssh.
    pub(super) fn over(channel: super::ssh::Channel, streams: super::ssh::Streams) -> Self {
        let (stdin, stdout, stderr) = streams;
        let rest = Rest { stdout, stderr, ending: Ending::Over(Box::new(channel)) };
        Self { stdin: Input(stdin), rest }
    }

    /// Both parts, for who writes and reads at once.
    pub(super) fn split(self) -> (Box<dyn AsyncWrite + Send + Unpin>, Rest) {
        (self.stdin.0, self.rest)
    }
}

impl Rest {
    /// Takes what was written to stderr so far, so that a program that goes on is not held up by it.
    pub(super) async fn forget_stderr(&mut self) {
        let mut bytes = [0; 4096];
        loop {
            tokio::select! {
                biased;
                read = self.stderr.read(&mut bytes) => if !matches!(read, Ok(1..)) { return },
                () = std::future::ready(()) => return,
            }
        }
    }

    /// What is known of a program whose output is over: how it ended, and the end of its stderr. For people.
    pub(super) async fn told(mut self) -> Told {
        let mut stderr = Vec::new();
        drop(timeout(END_WITHIN, (&mut self.stderr).take(1 << 16).read_to_end(&mut stderr)).await);
        let end = match self.ending {
            Ending::Here(mut child) => match timeout(END_WITHIN, child.wait()).await {
                Ok(Ok(status)) => end_of(status),
                Ok(Err(error)) => End::Unread(error.to_string()),
                Err(_) => End::Runs,
            },
            Ending::Over(channel) => match timeout(END_WITHIN, channel.ended()).await {
                Ok(end) => end,
                Err(_) => End::Runs,
            },
        };
        Told { end, stderr: shown_tail(&stderr) }
    }
}

/// The end of what a program wrote, control characters made visible.
pub(super) fn shown_tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text: Vec<char> = text.trim().chars().collect();
    let text: String = text[text.len().saturating_sub(TAIL)..].iter().collect();
    text.chars()
        .map(|c| if c.is_control() { c.escape_debug().to_string() } else { c.into() })
        .collect()
}

/// What is known of a program that is over.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) end: End,
    /// The end of what it wrote to stderr, control characters made visible.
    pub(super) stderr: String,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").finish_non_exhaustive()
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").finish_non_exhaustive()
    }
}

/// Starts a program on this machine.
pub(super) fn start_here(words: &[&str]) -> Result<Started, HostError> {
    let (program, arguments) = words.split_first().expect("a program");
    let mut command = command(program);
    command.args(arguments);
    // Ctrl-C at the terminal is for `sp` alone, and what it starts here must not go with it.
    command.process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|source| HostError::Start { program: (*program).to_owned(), source })?;
    let stdin = Input(Box::new(child.stdin.take().expect("stdin is piped")));
    let rest = Rest {
        stdout: Box::new(child.stdout.take().expect("stdout is piped")),
        stderr: Box::new(child.stderr.take().expect("stderr is piped")),
        ending: Ending::Here(Box::new(child)),
    };
    Ok(Started { stdin, rest })
}

#[expect(clippy::disallowed_methods, reason = "the one place of the transport that spawns")]
pub(super) fn command(program: &str) -> Command {
    Command::new(program)
}

pub(super) fn end_of(status: ExitStatus) -> End {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Code(code),
        (None, Some(signal)) => End::Signal(signal),
        (None, None) => End::Cut,
    }
}

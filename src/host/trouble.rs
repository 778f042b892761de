//! What can be wrong with a host: causes of errors, in words that read after its name, and whether each can pass by itself.

use std::io;

/// Whether an error can go away without anybody's doing. Every error is one or the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// It may: the same question is worth asking again, for a bounded time, and a command that gives up ends with 75.
    Passing,
    /// It cannot: a person must change something, and a command ends with 1 and says what.
    Standing,
}

/// How a program on a host ended, as far as the transport tells it. For people and for [`Lasting`], never for a job's result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// By itself.
    #[error("it ended with {0}")]
    Code(i32),
    /// By a signal.
    #[error("it was killed by signal {0}")]
    Signal(i32),
    /// Nobody knows: the connection went first.
    #[error("it was killed, or the connection was cut")]
    Cut,
    /// Its output is over, and it is still there.
    #[error("it still runs")]
    Runs,
    /// Its output or its end cannot be read.
    #[error("{0}")]
    Unread(String),
}

/// An error of this machine's kernel: what is short for a moment comes back.
pub(super) fn lasting_of(error: &io::Error) -> Lasting {
    use io::ErrorKind::{Interrupted, OutOfMemory, ResourceBusy, TimedOut, WouldBlock};
    match error.kind() {
        WouldBlock | Interrupted | OutOfMemory | ResourceBusy | TimedOut => Lasting::Passing,
        _ => Lasting::Standing,
    }
}

/// Why an account carries out no command; reads after its host's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginTrouble {
    /// It is one for files only, or closed: nologin(8) and its like.
    #[error("lets the account run no commands")]
    None,
    /// Its login shell is a restricted one, such as rbash.
    #[error("gives the account a restricted shell, which refuses `/bin/sh`")]
    Restricted,
    /// The login shell is over before `/bin/sh` has read a word, the same twice in a row.
    #[error("ends each command before it starts ({0})")]
    Ends(End),
    /// More comes before the answer to a command than start-up files print.
    #[error("prints without end before it carries out a command")]
    Noise,
    /// What is sent is read by another program than the `/bin/sh` that was asked for.
    #[error("runs `{0}` in place of each command")]
    Replaced(String),
    /// `/bin/sh` has read the first line and has no answer to the others, the same twice in a row.
    #[error("has a `/bin/sh` that does not understand what is sent ({0})")]
    Shell(End),
}

/// What a machine lacks; reads after "cannot run jobs: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// `/proc` is not mounted, or hides even a process's own entry.
    #[error("its `/proc` cannot be read")]
    Proc,
    /// A feature of `/bin/sh` beyond POSIX, or one that it has and gets wrong. In the words of `scripts/host/05-shell.sh`.
    #[error("its `/bin/sh` {}", feature(.0))]
    Shell(String),
}

impl Lack {
    /// By the word of `scripts/host/05-shell.sh`.
    pub(super) fn of(word: &str) -> Self {
        if word == "proc" { Self::Proc } else { Self::Shell(word.to_owned()) }
    }
}

fn feature(word: &str) -> &str {
    match word {
        "local" => "has no `local`",
        "descriptors" => "keeps open files from the programs that it starts (ksh and mksh do)",
        "tests" => "does not compare files with `-nt` and `-ef`",
        "expansion" => "expands variables in another way than POSIX says",
        "exec" => "ends where a file cannot be opened",
        _ => "fails a test of its features",
    }
}

/// Why a root cannot be used; reads after its path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootTrouble {
    /// It does not begin with `/`, once its variables are filled in.
    #[error("is no absolute path there")]
    Relative,
    /// A folder of it cannot be made.
    #[error("cannot be made")]
    Make,
    /// Nothing can be written to it.
    #[error("cannot be written; is the disk full, or mounted read-only?")]
    Write,
    /// Somebody else could make it lie.
    #[error("belongs to another user")]
    Owner,
    /// Somebody else could make it lie.
    #[error("can be written by other users")]
    Mode,
    /// Somebody else could put another folder in its place.
    #[error("lies below {}, where others could put another folder in its place", listed(.0))]
    Parents(Vec<Parent>),
    /// A list of processes is searched for it line by line, and answers are text.
    #[error("holds a line break, or bytes that are no UTF-8")]
    Text,
    /// Its file system is shared with other machines; this is the kernel's name for it.
    #[error(
        "lies on a network file system ({0}), where a lock may be lost, and with it the rule that a job starts once"
    )]
    Network(String),
    /// Programs cannot be started from it.
    #[error(
        "lies on a file system mounted `noexec`: no program that is sent there or built there can start"
    )]
    NoExec,
}

/// A folder above a root, or above another place of ours, that somebody else could rename things in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The folder.
    pub path: String,
    /// Whether it belongs to another user; else others may write to it.
    pub is_foreign: bool,
}

fn listed(parents: &[Parent]) -> String {
    let one = |parent: &Parent| {
        let why = if parent.is_foreign { "of another user" } else { "others may write to it" };
        format!("`{}` ({why})", parent.path)
    };
    parents.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SshTrouble {
    /// There is no `ssh` on this machine.
    #[error("this machine has no `ssh`")]
    NoSsh,
    /// The name leads nowhere.
    #[error("its name cannot be resolved")]
    Name,
    /// Nobody listens there.
    #[error("the connection was refused")]
    Refused,
    /// Nobody answers.
    #[error("it does not answer")]
    NoAnswer,
    /// The host's key is not known yet.
    #[error("its host key is not known")]
    KeyUnknown,
    /// The host's key is another one than before.
    #[error("its host key has changed")]
    KeyChanged,
    /// The login was refused.
    #[error("the login was refused")]
    Login,
    /// The connection was cut.
    #[error("the connection was cut")]
    Cut,
    /// The server gives no session, not even on a connection of its own.
    #[error("its ssh server refuses every session")]
    Sessions,
    /// ssh's own configuration cannot be read.
    #[error("ssh does not accept its configuration")]
    Configuration,
    /// Client and server share no cipher, no key type or the like.
    #[error("ssh and its server have no method in common")]
    Negotiation,
    /// Something else.
    #[error("ssh cannot connect")]
    Other,
}

impl SshTrouble {
    /// By what OpenSSH's client writes (sshconnect.c, clientloop.c, readconf.c).
    pub(super) fn of(said: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if has(&["REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
            Self::KeyChanged
        } else if has(&["host key is known for", "Host key verification failed"]) {
            Self::KeyUnknown
        } else if has(&[
            "Bad configuration option",
            "Bad owner or permissions on",
            "bad configuration options",
        ]) {
            Self::Configuration
        } else if has(&["Unable to negotiate"]) {
            Self::Negotiation
        } else if has(&["Permission denied", "Too many authentication failures"]) {
            Self::Login
        } else if has(&["Could not resolve"]) {
            Self::Name
        } else if has(&["Connection refused"]) {
            Self::Refused
        } else if has(&["timed out", "No route to host", "Network is unreachable"]) {
            Self::NoAnswer
        } else if has(&["Connection closed", "Connection reset", "Broken pipe", "not responding"]) {
            Self::Cut
        } else {
            Self::Other
        }
    }

    /// Whether another try may succeed without anybody's doing.
    pub fn lasting(self) -> Lasting {
        match self {
            Self::NoSsh
            | Self::KeyUnknown
            | Self::KeyChanged
            | Self::Login
            | Self::Sessions
            | Self::Configuration
            | Self::Negotiation => Lasting::Standing,
            Self::Name | Self::Refused | Self::NoAnswer | Self::Cut | Self::Other => {
                Lasting::Passing
            }
        }
    }
}

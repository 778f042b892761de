//! What keeps a tree from being listed, hashed or sent. Each sentence names the path and the next step.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::list::text;
use crate::host::trouble::{Lasting, lasting_of};
use crate::shell::word;

/// A sync that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// `sync.root` is not there, or leads out of the work tree.
    #[error("`sync.root` `{root}` {why}")]
    Root {
        /// As the file has it.
        root: String,
        /// Reads after the root.
        why: String,
    },
    /// Git's list, in a work tree.
    #[error("`{}` is in a git work tree, but git does not list its files: {why}", folder.display())]
    Git {
        /// The folder.
        folder: PathBuf,
        /// What git said.
        why: String,
    },
    /// A pattern of `[sync]`.
    #[error("the pattern `{pattern}` of `[sync]` cannot be read: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        why: String,
    },
    /// Files that cannot be sent as they are.
    #[error("{}", entries_in_words(entries))]
    Entries {
        /// Paths below the root, and what is wrong with each; reads after the path.
        entries: Vec<(String, String)>,
    },
    /// A file that did not hold still.
    #[error("`{path}` changes while it is sent, three times in a row")]
    Restless {
        /// Its path below the root.
        path: String,
    },
    /// A file that cannot be read any more.
    #[error("`{path}` cannot be read: {source}")]
    Unread {
        /// Its path below the root.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The host could not write a pack of files.
    #[error("host `{host}` {why}{}", said(stderr))]
    Unpack {
        /// The host.
        host: String,
        /// In words; reads after the host.
        why: &'static str,
        /// The next step.
        help: &'static str,
        /// The beginning of what its `tar` said, control characters made visible.
        stderr: String,
    },
    /// `rsync` is not here.
    #[error("there is no `rsync` on this machine")]
    NoRsync,
    /// `rsync` ended badly.
    #[error("rsync to host `{host}` {why}{}", said(stderr))]
    Rsync {
        /// The host.
        host: String,
        /// In words; reads after the host.
        why: &'static str,
        /// The next step.
        help: String,
        /// Whether it is worth trying again as it is.
        lasting: Lasting,
        /// The end of what it said.
        stderr: String,
    },
    /// The host found other files than were sent.
    #[error("host `{host}` did not get the tree as it was sent ({found}); nothing of it is used")]
    Incomplete {
        /// The host.
        host: String,
        /// What it found, in its words.
        found: String,
    },
    /// `working-dir` has no file in the list, so the snapshot has no such folder.
    #[error("`working-dir` `{folder}` has no file that is synced, so a snapshot does not have it")]
    NoWorkingDir {
        /// The folder.
        folder: String,
    },
    /// Something on this machine's file system.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl SyncError {
    /// The next step; empty where the sentence says it.
    pub fn help(&self) -> String {
        match self {
            Self::Root { .. } => {
                "`sync.root` is a folder of the same git work tree, or one below the campaign file's".to_owned()
            }
            Self::Git { .. } => "`git status` there says more".to_owned(),
            Self::Pattern { .. } => "the syntax is that of .gitignore".to_owned(),
            Self::Entries { entries } => match entries.first() {
                Some((path, _)) => format!("leave it out by `[sync] exclude = [\"/{path}\"]`, or make it a plain file that can be read"),
                None => String::new(),
            },
            Self::Restless { path } => {
                format!("leave it out by `[sync] exclude = [\"/{path}\"]`, or apply when nothing writes to it")
            }
            Self::Unread { path, .. } => {
                format!("leave it out by `[sync] exclude = [\"/{path}\"]`, or make it a plain file that can be read")
            }
            Self::NoRsync => "install rsync".to_owned(),
            Self::Rsync { help, .. } => help.clone(),
            Self::Unpack { help, .. } => (*help).to_owned(),
            Self::Incomplete { .. } => "run the same command again".to_owned(),
            Self::NoWorkingDir { .. } => "put a file there; git lists no empty folders".to_owned(),
            Self::Io { .. } => String::new(),
        }
    }

    /// Whether the same command may do it later, without a person.
    pub fn lasting(&self) -> Lasting {
        match self {
            Self::Restless { .. } | Self::Incomplete { .. } => Lasting::Passing,
            Self::Rsync { lasting, .. } => *lasting,
            Self::Io { source, .. } => lasting_of(source),
            Self::Root { .. }
            | Self::Git { .. }
            | Self::Pattern { .. }
            | Self::Entries { .. }
            | Self::Unread { .. }
            | Self::Unpack { .. }
            | Self::NoRsync
            | Self::NoWorkingDir { .. } => Lasting::Standing,
        }
    }

    /// Whether it was the connection that failed.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Rsync { lasting: Lasting::Passing, .. })
    }
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("; it said: {stderr}") }
}

/// Says that a submodule has no files here, and how to get them.
pub(super) fn not_checked_out(path: &Path) -> String {
    format!(
        "the submodule `{}` is not checked out, so its files are missing; \
         `git submodule update --init {}` brings them",
        text(path.as_os_str().as_bytes()),
        word(&path.to_string_lossy())
    )
}

fn entries_in_words(entries: &[(String, String)]) -> String {
    let mut shown: Vec<String> =
        entries.iter().take(3).map(|(path, why)| format!("`{path}` {why}")).collect();
    if entries.len() > 3 {
        shown.push(format!("and {} more", entries.len() - 3));
    }
    shown.join("; ")
}

pub(super) fn failed<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> SyncError + 'a {
    move |source| SyncError::Io { what, path: path.to_owned(), source }
}

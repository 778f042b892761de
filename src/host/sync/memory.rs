//! Former lists, kept beside the checkpoint: what finished jobs ran with, and what snapshots hold that were sent from here.
//!
//! Only to tell a person what changed, and to save work. A list that is gone costs the one or the other, never an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::bytes::{Reader, Writer, read};
use super::cache::{read_stat, write_stat};
use super::error::{SyncError, failed};
use super::hash::{Tree, TreeEntry};
use super::list::{Entry, Stat};
use super::rules::Rules;
use crate::atomic_file::{Durability, replace};
use crate::plain_file::own_folder;

const KIND: &str = "sp-list-2";
/// So many lists of each kind are kept, the newest.
const KEPT: usize = 16;

/// What a file of a former list was to the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// They may have read it.
    Code,
    /// One of them had made it.
    Output,
    /// It was a campaign file.
    Campaign,
}

/// One file of a former list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Former {
    pub(super) kind: u8,
    pub(super) content: [u8; 32],
    pub(super) stat: Stat,
    pub(super) role: Role,
}

/// A former list by path.
pub(super) type List = BTreeMap<Vec<u8>, Former>;

/// How a file of the code is not what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It holds something else.
    Changed,
    /// It is not there any more.
    Gone,
}

/// Code of the past, by its digest: the files that changed since; `None` where it is not known any more what it was.
pub type OtherCode = BTreeMap<[u8; 32], Option<Vec<(Vec<u8>, Change)>>>;

/// Who can tell which files of the tree jobs have written. A file is judged by how it looks now.
pub trait Writers {
    /// Whether a file that no former list has came from a job.
    fn made(&self, entry: &Entry) -> bool;
    /// Whether a file that was there before is what it is by a job.
    fn rewrote(&self, entry: &Entry) -> bool;
    /// Whether a file that jobs are known to write was last written while one ran.
    fn wrote_again(&self, entry: &Entry) -> bool;
}

/// The folder of former lists.
#[derive(Debug, Clone)]
pub struct Memory {
    folder: PathBuf,
}

impl Memory {
    /// Below the campaign's state folder; need not be there.
    pub fn new(state_folder: &Path) -> Self {
        Self { folder: state_folder.join("lists") }
    }

    /// Remembers the code of a tree that is sent, and returns its digest.
    pub fn keep_code(&self, tree: &Tree, rules: &Rules) -> Result<[u8; 32], SyncError> {
        let code = tree.code(rules);
        self.keep(&code_name(code), &list_of(tree, |_| Role::Code))?;
        Ok(code)
    }

    /// Remembers the code of a tree that jobs run in, and returns the digest that stands for it: of the code that was
    /// remembered last, where nothing came since but what jobs wrote.
    pub fn keep_code_in_place(
        &self,
        tree: &Tree,
        rules: &Rules,
        writers: &dyn Writers,
    ) -> Result<[u8; 32], SyncError> {
        let (digest, last) = match self.last_code() {
            Some((digest, list)) => (Some(digest), list),
            None => (None, List::new()),
        };
        let role = |one: &TreeEntry| match last.get(&one.entry.path) {
            Some(former) if former.is_still_output(one, writers) => Role::Output,
            Some(former) if !former.is(one) && writers.rewrote(&one.entry) => Role::Output,
            None if digest.is_some() && writers.made(&one.entry) => Role::Output,
            _ => Role::Code,
        };
        let now = list_of(tree, role);
        let mut learned = last.clone();
        for (path, former) in &mut learned {
            if now.get(path).is_some_and(|now| now.role == Role::Output) {
                former.role = Role::Output;
            }
        }
        let is_new = |one: &TreeEntry| {
            let path = &one.entry.path;
            one.is_code(rules) && !last.contains_key(path) && now[path].role == Role::Code
        };
        let is_same = changes(&learned, &learned, tree, rules, writers).is_empty()
            && !tree.entries.iter().any(is_new);
        let (code, list) = match digest {
            Some(digest) if is_same => (digest, learned),
            _ => (tree.code(rules), now),
        };
        self.keep(&code_name(code), &list)?;
        Ok(code)
    }

    /// Returns for the code of each digest the files that have changed since, not those that came since, nor those that jobs
    /// wrote; `None` where its list is gone.
    pub fn code_changes(
        &self,
        digests: &BTreeSet<[u8; 32]>,
        tree: &Tree,
        rules: &Rules,
        writers: &dyn Writers,
    ) -> OtherCode {
        if digests.is_empty() {
            return OtherCode::new();
        }
        // That a file is written by jobs may have shown only later.
        let last = self.last_code().map_or_else(List::new, |(_, list)| list);
        let changed = |digest: &[u8; 32]| {
            let then = self.load(&code_name(*digest))?;
            Some(changes(&then, &last, tree, rules, writers))
        };
        digests.iter().map(|digest| (*digest, changed(digest))).collect()
    }

    /// The code that was remembered last.
    fn last_code(&self) -> Option<([u8; 32], List)> {
        let name = self.names("code-").into_iter().next()?;
        let digest = blake3::Hash::from_hex(name.strip_prefix("code-")?).ok()?;
        Some((*digest.as_bytes(), self.load(&name)?))
    }

    /// Lists that nobody asks for: of code with none of these digests, and of snapshots before a host's newest.
    pub fn useless(&self, digests: &BTreeSet<[u8; 32]>) -> Vec<PathBuf> {
        let wanted = |hex: &str| {
            blake3::Hash::from_hex(hex).is_ok_and(|hash| digests.contains(hash.as_bytes()))
        };
        // The present code was kept last.
        let code = self.names("code-").into_iter().skip(1);
        let mut names: Vec<String> =
            code.filter(|name| !name.strip_prefix("code-").is_some_and(wanted)).collect();
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let hosts: BTreeSet<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with("host-"))
            .filter_map(|name| Some(name.rsplit_once('-')?.0.to_owned()))
            .collect();
        for host in hosts {
            names.extend(self.names(&format!("{host}-")).into_iter().skip(1));
        }
        names.into_iter().map(|name| self.folder.join(name)).collect()
    }

    pub(super) fn keep_snapshot(
        &self,
        host: &str,
        folder: &str,
        tree: &Tree,
    ) -> Result<(), SyncError> {
        self.keep(&format!("host-{host}-{folder}"), &list_of(tree, |_| Role::Code))
    }

    /// The list of a snapshot that was sent from here.
    pub(super) fn snapshot(&self, host: &str, folder: &str) -> Option<List> {
        self.load(&format!("host-{host}-{folder}"))
    }

    /// The list that was last sent to a host.
    pub(super) fn newest_snapshot(&self, host: &str) -> Option<List> {
        self.load(self.names(&format!("host-{host}-")).first()?)
    }

    fn keep(&self, name: &str, list: &List) -> Result<(), SyncError> {
        let mut writer = Writer::new(KIND);
        for (path, former) in list {
            writer.part(path);
            writer.number(u64::from(former.kind));
            writer.fixed(&former.content);
            write_stat(&mut writer, &former.stat);
            writer.number(match former.role {
                Role::Code => 0,
                Role::Output => 1,
                Role::Campaign => 2,
            });
        }
        let path = self.folder.join(name);
        own_folder(&self.folder).map_err(failed("make the folder", &self.folder))?;
        replace(&path, &writer.finish(), Durability::Cached).map_err(failed("write", &path))?;
        let family = name.rsplit_once('-').map_or(name, |(family, _)| family);
        for old in self.names(&format!("{family}-")).iter().skip(KEPT) {
            let path = self.folder.join(old);
            match fs::remove_file(&path) {
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(failed("remove", &path))?,
            }
        }
        Ok(())
    }

    /// Names that begin so, the newest first.
    fn names(&self, prefix: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut names: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let rest = name.strip_prefix(prefix)?;
                // Hosts may have dashes in their names: what follows is one word.
                (!rest.contains('-')).then_some(())?;
                Some((entry.metadata().ok()?.modified().ok()?, name))
            })
            .collect();
        names.sort_by(|a, b| b.cmp(a));
        names.into_iter().map(|(_, name)| name).collect()
    }

    fn load(&self, name: &str) -> Option<List> {
        let bytes = read(&self.folder.join(name));
        let mut reader = Reader::new(&bytes, KIND)?;
        let mut list = List::new();
        while !reader.is_empty() {
            let path = reader.part()?.to_vec();
            let kind = u8::try_from(reader.number()?).ok()?;
            let content = reader.fixed()?;
            let stat = read_stat(&mut reader)?;
            let role = match reader.number()? {
                0 => Role::Code,
                1 => Role::Output,
                2 => Role::Campaign,
                _ => return None,
            };
            list.insert(path, Former { kind, content, stat, role });
        }
        Some(list)
    }
}

impl Former {
    /// Whether a file of a tree holds the same.
    fn is(&self, one: &TreeEntry) -> bool {
        one.canonical() == (self.kind, self.content)
    }

    /// Whether a file that jobs wrote is theirs as it is now. What somebody has edited since is code again.
    fn is_still_output(&self, one: &TreeEntry, writers: &dyn Writers) -> bool {
        self.role == Role::Output && (self.is(one) || writers.wrote_again(&one.entry))
    }
}

/// The list of a tree, with what each of its files is to the jobs, campaign files left out of the question.
fn list_of(tree: &Tree, role: impl Fn(&TreeEntry) -> Role) -> List {
    let former = |one: &TreeEntry| {
        let (kind, content) = one.canonical();
        let role = if one.is_campaign { Role::Campaign } else { role(one) };
        Former { kind, content, stat: one.entry.stat, role }
    };
    tree.entries.iter().map(|one| (one.entry.path.clone(), former(one))).collect()
}

fn code_name(digest: [u8; 32]) -> String {
    format!("code-{}", blake3::Hash::from_bytes(digest).to_hex())
}

/// Files of the code in a former list that are not the same in a tree, though no job wrote them; `last` is the list that was
/// kept last.
fn changes(
    then: &List,
    last: &List,
    tree: &Tree,
    rules: &Rules,
    writers: &dyn Writers,
) -> Vec<(Vec<u8>, Change)> {
    let now: BTreeMap<&[u8], &TreeEntry> =
        tree.entries.iter().map(|one| (one.entry.path.as_slice(), one)).collect();
    let mut changed = Vec::new();
    for (path, former) in then {
        let is_code = former.role != Role::Campaign && rules.is_code(path);
        if !is_code || !rules.may_be_listed(path) {
            continue;
        }
        let output = [Some(former), last.get(path)].into_iter().flatten();
        let mut output = output.filter(|one| one.role == Role::Output).peekable();
        match now.get(path.as_slice()) {
            None if output.peek().is_some() => {}
            None => changed.push((path.clone(), Change::Gone)),
            Some(one) if former.is(one) || one.is_campaign => {}
            Some(one) if output.any(|output| output.is_still_output(one, writers)) => {}
            Some(one) if writers.rewrote(&one.entry) => {}
            Some(_) => changed.push((path.clone(), Change::Changed)),
        }
    }
    changed
}

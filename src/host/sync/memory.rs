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
use super::hash::Tree;
use super::list::Stat;
use super::rules::Rules;
use crate::atomic_file::{Durability, replace};
use crate::plain_file::own_folder;

const KIND: &str = "sp-list-1";
/// So many lists of each kind are kept, the newest.
const KEPT: usize = 16;

/// One file of a former list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Former {
    pub(super) kind: u8,
    pub(super) content: [u8; 32],
    pub(super) stat: Stat,
}

/// A former list by path.
pub(super) type List = BTreeMap<Vec<u8>, Former>;

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

    /// Remembers the code of a tree under its digest.
    pub fn keep_code(&self, tree: &Tree, rules: &Rules) -> Result<(), SyncError> {
        let name = format!("code-{}", blake3::Hash::from_bytes(tree.code(rules)).to_hex());
        self.keep(&name, tree)
    }

    /// Paths of the code that differ from the code of a digest; `None` where its list is gone.
    pub fn code_changes(
        &self,
        digest: [u8; 32],
        tree: &Tree,
        rules: &Rules,
    ) -> Option<Vec<(String, &'static str)>> {
        let then = self.load(&format!("code-{}", blake3::Hash::from_bytes(digest).to_hex()))?;
        let is_code = |path: &Vec<u8>| rules.is_code(path);
        let then = then.into_iter().filter(|(path, _)| is_code(path));
        let then = then.map(|(path, former)| (path, (former.kind, former.content))).collect();
        let now = tree.entries.iter().filter(|one| is_code(&one.entry.path));
        let now = now.map(|one| (one.entry.path.clone(), one.canonical())).collect();
        Some(super::hash::changed_paths(&then, &now))
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
        self.keep(&format!("host-{host}-{folder}"), tree)
    }

    /// The list of a snapshot that was sent from here.
    pub(super) fn snapshot(&self, host: &str, folder: &str) -> Option<List> {
        self.load(&format!("host-{host}-{folder}"))
    }

    /// The list that was last sent to a host.
    pub(super) fn newest_snapshot(&self, host: &str) -> Option<List> {
        self.load(self.names(&format!("host-{host}-")).first()?)
    }

    fn keep(&self, name: &str, tree: &Tree) -> Result<(), SyncError> {
        let mut writer = Writer::new(KIND);
        for one in &tree.entries {
            let (kind, content) = one.canonical();
            writer.part(&one.entry.path);
            writer.number(u64::from(kind));
            writer.fixed(&content);
            write_stat(&mut writer, &one.entry.stat);
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
            list.insert(path, Former { kind, content, stat: read_stat(&mut reader)? });
        }
        Some(list)
    }
}

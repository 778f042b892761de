//! What files were hashed to, so that an unchanged tree is not read again. A cache only: damaged or gone, it is made anew.
//!
//! An entry counts as long as the file's size, times and inode are the same. A file that was changed in the same tick of
//! the clock in which it was hashed may look unchanged afterwards. So an entry whose times are not older than the moment
//! at which the hashing began, by the clock of the file system itself, is not kept, as git does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::bytes::{Reader, Writer, read};
use super::error::{SyncError, failed};
use super::list::Stat;
use crate::atomic_file::{Durability, replace};
use crate::plain_file::own_folder;

const KIND: &str = "sp-files-1";
const FILE: &str = "files.cache";

/// Looks and hashes by path.
type Known = BTreeMap<Vec<u8>, (Stat, [u8; 32])>;

/// Hashes of files by path.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    known: Known,
    next: Known,
    /// The file system's time before anything was looked at.
    began: (i64, i64),
}

impl Cache {
    /// Opens the cache in the campaign's state folder; call it before the files are listed.
    pub(super) fn open(folder: &Path) -> Result<Self, SyncError> {
        own_folder(folder).map_err(failed("make the folder", folder))?;
        // A file that is made now has the time that files changed now will have.
        let stamp = tempfile::Builder::new()
            .prefix(".sp-")
            .tempfile_in(folder)
            .and_then(|stamp| stamp.as_file().metadata())
            .map_err(failed("write in", folder))?;
        let path = folder.join(FILE);
        let known = parse(&read(&path)).unwrap_or_default();
        Ok(Self { path, known, next: BTreeMap::new(), began: Stat::of(&stamp).mtime })
    }

    /// The hash of a file that looks as it did.
    pub(super) fn get(&self, path: &[u8], stat: &Stat) -> Option<[u8; 32]> {
        self.known.get(path).filter(|(known, _)| known == stat).map(|(_, hash)| *hash)
    }

    /// Whether a later change of the file might not show in how it looks.
    pub(super) fn is_racy(&self, stat: &Stat) -> bool {
        stat.mtime >= self.began || stat.ctime >= self.began
    }

    /// Notes a hash for the next time.
    pub(super) fn put(&mut self, path: &[u8], stat: Stat, hash: [u8; 32]) {
        if !self.is_racy(&stat) {
            self.next.insert(path.to_vec(), (stat, hash));
        }
    }

    /// Keeps what was noted, and nothing else. Two that write at once: one of them wins.
    pub(super) fn save(&self) -> Result<(), SyncError> {
        if self.next == self.known {
            return Ok(());
        }
        let mut writer = Writer::new(KIND);
        for (path, (stat, hash)) in &self.next {
            writer.part(path);
            write_stat(&mut writer, stat);
            writer.fixed(hash);
        }
        replace(&self.path, &writer.finish(), Durability::Cached)
            .map_err(failed("write", &self.path))
    }
}

pub(super) fn write_stat(writer: &mut Writer, stat: &Stat) {
    writer.number(stat.size);
    for number in [stat.mtime.0, stat.mtime.1, stat.ctime.0, stat.ctime.1] {
        writer.signed(number);
    }
    writer.number(stat.inode);
}

pub(super) fn read_stat(reader: &mut Reader<'_>) -> Option<Stat> {
    Some(Stat {
        size: reader.number()?,
        mtime: (reader.signed()?, reader.signed()?),
        ctime: (reader.signed()?, reader.signed()?),
        inode: reader.number()?,
    })
}

fn parse(bytes: &[u8]) -> Option<Known> {
    let mut reader = Reader::new(bytes, KIND)?;
    let mut known = BTreeMap::new();
    while !reader.is_empty() {
        let path = reader.part()?.to_vec();
        known.insert(path, (read_stat(&mut reader)?, reader.fixed()?));
    }
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(mtime: (i64, i64)) -> Stat {
        Stat { size: 3, mtime, ctime: (1, 0), inode: 7 }
    }

    #[test]
    fn a_hash_counts_as_long_as_the_file_looks_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut cache = Cache::open(folder.path()).expect("a cache");
        let young = stat(cache.began);
        cache.put(b"old\n\xff", stat((1, 5)), [1; 32]);
        cache.put(b"young", young, [2; 32]);
        cache.save().expect("it is written");
        let cache = Cache::open(folder.path()).expect("a cache");
        assert_eq!(cache.get(b"old\n\xff", &stat((1, 5))), Some([1; 32]));
        assert_eq!(cache.get(b"old\n\xff", &stat((1, 6))), None);
        assert_eq!(cache.get(b"young", &young), None, "it may have changed in the same tick");
    }

    #[test]
    fn a_damaged_cache_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        let mut cache = Cache::open(folder.path()).expect("a cache");
        cache.put(b"a", stat((1, 5)), [1; 32]);
        cache.save().expect("it is written");
        let whole = read(&path);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(parse(&damaged), None, "byte {at}");
            assert_eq!(parse(&whole[..at]), None, "cut at {at}");
        }
        assert_eq!(parse(&whole).expect("whole").len(), 1);
    }
}

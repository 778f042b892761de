//! Contents: every file's hash, and the two digests over the list. Sends nothing and asks no host.
//!
//! A digest is blake3 over a versioned form of path, kind, owner's right to execute, and content or target, in the order
//! of the paths. Times, owners, other rights and the machine are not in it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use super::cache::Cache;
use super::list::{Entry, Kind, Listing, Stat, text};
use super::rules::Rules;
use crate::campaign;
use crate::plain_file;

/// Where nothing is sent, larger files count by size and time: reading them would cost more than it tells.
pub(super) const LARGE: u64 = 64 << 20;
/// Bytes of files that are kept as they are read: what may go in packs.
pub(super) const KEPT: u64 = 64 << 20;
/// A larger file is not looked into to see whether it is a campaign's.
const CAMPAIGN_MAX: u64 = 1 << 20;
/// Threads that read at once; more make a disk no faster.
const THREADS: usize = 8;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Hash of its bytes, or of a link's target.
    Hash([u8; 32]),
    /// Not read: its size and time of change stand for it.
    Looks,
}

/// A file with its content.
#[derive(Debug, Clone)]
pub struct TreeEntry {
    /// The file.
    pub entry: Entry,
    /// What it holds.
    pub content: Content,
    /// Whether it is a campaign file, be it another one than ours.
    pub is_campaign: bool,
}

/// The list with contents.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The files, in the order of their paths' bytes.
    pub entries: Vec<TreeEntry>,
}

/// What files held as they were hashed, so that they need not be read again to be sent. Bounded: what is not here is read.
#[derive(Debug, Default)]
pub(super) struct Contents(BTreeMap<Vec<u8>, Vec<u8>>);

impl Contents {
    /// Gives a file's content away.
    pub(super) fn take(&mut self, path: &[u8]) -> Option<Vec<u8>> {
        self.0.remove(path)
    }
}

/// Reads what the cache does not know. With `large`, files of any size, and up to `KEPT` bytes of what was read are given
/// along. Adds what cannot be read to the problems.
pub(super) fn hash(
    root: &Path,
    listing: &mut Listing,
    cache: &mut Cache,
    large: bool,
) -> (Tree, Contents) {
    let entries = std::mem::take(&mut listing.entries);
    let is_read = |entry: &Entry| large || entry.stat.size <= LARGE;
    let unread: Vec<usize> = (0..entries.len())
        .filter(|at| matches!(entries[*at].kind, Kind::File { .. }) && is_read(&entries[*at]))
        .filter(|at| cache.get(&entries[*at].path, &entries[*at].stat).is_none())
        .collect();
    let mut read = read_all(root, &entries, &unread, if large { KEPT } else { 0 });
    let (mut tree, mut contents) = (Tree::default(), Contents::default());
    tree.entries.reserve(entries.len());
    for (at, mut entry) in entries.into_iter().enumerate() {
        let content = match (&entry.kind, read.remove(&at)) {
            (Kind::Link { target }, _) => Content::Hash(*blake3::hash(target).as_bytes()),
            (Kind::File { .. }, Some(Ok(found))) => {
                entry.stat = found.stat;
                cache.put(&entry.path, found.stat, found.hash);
                contents.0.extend(found.data.map(|data| (entry.path.clone(), data)));
                Content::Hash(found.hash)
            }
            // It went between the list and now, like one that went before it.
            (Kind::File { .. }, Some(Err(error))) if error.kind() == io::ErrorKind::NotFound => {
                continue;
            }
            (Kind::File { .. }, Some(Err(error))) => {
                listing.problems.push((text(&entry.path), format!("cannot be read: {error}")));
                continue;
            }
            (Kind::File { .. }, None) if !is_read(&entry) => Content::Looks,
            (Kind::File { .. }, None) => {
                let hash = cache.get(&entry.path, &entry.stat).expect("else it was read");
                cache.put(&entry.path, entry.stat, hash);
                Content::Hash(hash)
            }
        };
        let is_campaign = is_campaign(root, &entry);
        tree.entries.push(TreeEntry { entry, content, is_campaign });
    }
    (tree, contents)
}

/// Whether a file of the list is a campaign file.
fn is_campaign(root: &Path, entry: &Entry) -> bool {
    let is_file = matches!(entry.kind, Kind::File { .. });
    if !is_file || !entry.path.ends_with(b".toml") || entry.stat.size > CAMPAIGN_MAX {
        return false;
    }
    let file = plain_file::open(&root.join(OsStr::from_bytes(&entry.path)));
    let text = file.and_then(|(file, _)| plain_file::read(&file, CAMPAIGN_MAX));
    text.is_ok_and(|text| campaign::is_campaign(&String::from_utf8_lossy(&text)))
}

/// A file that was read.
struct Found {
    hash: [u8; 32],
    /// How it looked before: a change while it is read shows afterwards.
    stat: Stat,
    /// All of it, where that is kept.
    data: Option<Vec<u8>>,
}

/// Reads entries on every core, by their places. Of all together so many bytes are kept.
fn read_all(
    root: &Path,
    entries: &[Entry],
    unread: &[usize],
    kept: u64,
) -> BTreeMap<usize, io::Result<Found>> {
    let (next, room) = (AtomicUsize::new(0), AtomicU64::new(kept));
    let work = || {
        let mut found = Vec::new();
        while let Some(at) = unread.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = root.join(OsStr::from_bytes(&entries[*at].path));
            found.push((*at, read_file(&path, &room)));
        }
        found
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    // A thread is not worth its start for a few.
    let threads = threads.min(THREADS).min(unread.len() / 64);
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut found: BTreeMap<_, _> = work().into_iter().collect();
        for other in others {
            found.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        found
    })
}

/// Reads a file. Its bytes are kept where they fit into the room, of which they take theirs.
fn read_file(path: &Path, room: &AtomicU64) -> io::Result<Found> {
    let (mut file, about) = plain_file::open(path)?;
    let size = about.len();
    let mut found = Found { hash: [0; 32], stat: Stat::of(&about), data: None };
    let take = |room: u64| room.checked_sub(size);
    let mut hasher = blake3::Hasher::new();
    if room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        let mut data = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
        // One byte more tells whether it has grown: then it is not kept.
        (&file).take(size + 1).read_to_end(&mut data)?;
        hasher.update(&data);
        if data.len() as u64 <= size {
            found.data = Some(data);
        }
    }
    if found.data.is_none() {
        let mut buffer = vec![0; (256 * 1024).min(usize::try_from(size).unwrap_or(0) + 1)];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                length => hasher.update(&buffer[..length]),
            };
        }
    }
    found.hash = *hasher.finalize().as_bytes();
    Ok(found)
}

/// The first file that is not what it was when it was hashed.
pub(super) fn changed_since(root: &Path, tree: &Tree, cache: &Cache) -> Option<String> {
    tree.entries.iter().find(|one| !is_same(root, one, cache)).map(|one| text(&one.entry.path))
}

fn is_same(root: &Path, one: &TreeEntry, cache: &Cache) -> bool {
    let path = root.join(OsStr::from_bytes(&one.entry.path));
    let Ok(about) = fs::symlink_metadata(&path) else { return false };
    match &one.entry.kind {
        Kind::Link { target } => {
            fs::read_link(&path).is_ok_and(|now| now.as_os_str().as_bytes() == target.as_slice())
        }
        Kind::File { .. } if !about.is_file() || Stat::of(&about) != one.entry.stat => false,
        Kind::File { .. } if cache.is_racy(&one.entry.stat) => {
            let found = read_file(&path, &AtomicU64::new(0));
            found.is_ok_and(|found| Content::Hash(found.hash) == one.content)
        }
        Kind::File { .. } => true,
    }
}

impl Tree {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(TreeEntry::bytes).sum()
    }

    /// Name of the snapshot: 32 hex digits of the digest over everything.
    pub fn name(&self) -> String {
        let digest = digest("sp snapshot 1", self.entries.iter());
        blake3::Hash::from_bytes(digest).to_hex()[..32].to_owned()
    }

    /// Digest of the code: of everything but campaign files and what is no code.
    pub fn code(&self, rules: &Rules) -> [u8; 32] {
        self.code_without(rules, b"")
    }

    /// Digest of the code as if one file were not there.
    pub fn code_without(&self, rules: &Rules, path: &[u8]) -> [u8; 32] {
        let entries = self.entries.iter().filter(|one| one.is_code(rules));
        digest("sp code 1", entries.filter(|one| one.entry.path != path))
    }
}

impl TreeEntry {
    /// Whether it is code.
    pub(super) fn is_code(&self, rules: &Rules) -> bool {
        !self.is_campaign && rules.is_code(&self.entry.path)
    }

    /// Bytes of a file; a link has none.
    pub fn bytes(&self) -> u64 {
        match self.entry.kind {
            Kind::File { .. } => self.entry.stat.size,
            Kind::Link { .. } => 0,
        }
    }

    /// The kind and the content as the digest has them.
    pub(super) fn canonical(&self) -> (u8, [u8; 32]) {
        let kind = match (&self.entry.kind, self.content) {
            (_, Content::Looks) => b's',
            (Kind::Link { .. }, _) => b'l',
            (Kind::File { executable: true }, _) => b'x',
            (Kind::File { executable: false }, _) => b'f',
        };
        let content = match self.content {
            Content::Hash(hash) => hash,
            Content::Looks => {
                let Stat { size, mtime, .. } = self.entry.stat;
                let mut hasher = blake3::Hasher::new();
                hasher.update(&size.to_le_bytes());
                hasher.update(&mtime.0.to_le_bytes()).update(&mtime.1.to_le_bytes());
                *hasher.finalize().as_bytes()
            }
        };
        (kind, content)
    }
}

fn digest<'a>(form: &str, entries: impl Iterator<Item = &'a TreeEntry>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(form.as_bytes()).update(&[0]);
    for one in entries {
        let (kind, content) = one.canonical();
        hasher.update(&[kind]).update(&(one.entry.path.len() as u64).to_le_bytes());
        hasher.update(&one.entry.path).update(&content);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, kind: Kind, content: Content, mtime: i64) -> TreeEntry {
        let stat = Stat { size: 1, mtime: (mtime, 0), ctime: (mtime, 0), inode: 1 };
        TreeEntry {
            entry: Entry { path: path.as_bytes().to_vec(), kind, stat, tracked: true },
            content,
            is_campaign: false,
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test writes files as users do")]
    fn all_is_read_and_so_much_of_it_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = |at: usize| vec![b'a' + u8::try_from(at % 26).expect("a letter"); at];
        let mut entries = Vec::new();
        for at in 0..200 {
            let path = format!("f{at}");
            std::fs::write(folder.path().join(&path), data(at)).expect("a file");
            let kind = Kind::File { executable: false };
            entries.push(one(&path, kind, Content::Looks, 0).entry);
        }
        std::fs::remove_file(folder.path().join("f7")).expect("it goes");
        let all: Vec<usize> = (0..200).filter(|at| at % 3 != 0).collect();
        for kept in [0, 1000, u64::MAX] {
            let mut found = read_all(folder.path(), &entries, &all, kept);
            let gone = found.remove(&7).expect("asked for").err().expect("it is gone");
            assert_eq!(gone.kind(), io::ErrorKind::NotFound);
            assert_eq!(found.len(), all.len() - 1);
            let mut held = 0;
            for (at, found) in found {
                let found = found.expect("it is read");
                assert_eq!(found.hash, *blake3::hash(&data(at)).as_bytes());
                held += found.data.map_or(0, |held| {
                    assert_eq!(held, data(at));
                    held.len() as u64
                });
            }
            assert!(held <= kept);
            assert_eq!(held == 0, kept == 0);
        }
    }

    #[test]
    fn the_name_is_of_the_content_alone() {
        let file = |executable| Kind::File { executable };
        let hash = Content::Hash;
        let name = |entries: Vec<TreeEntry>| Tree { entries }.name();
        let base = name(vec![one("a", file(false), hash([1; 32]), 5)]);
        assert_eq!(base.len(), 32);
        assert_eq!(
            base,
            name(vec![one("a", file(false), hash([1; 32]), 9)]),
            "times are no content"
        );
        for other in [
            one("b", file(false), hash([1; 32]), 5),
            one("a", file(true), hash([1; 32]), 5),
            one("a", file(false), hash([2; 32]), 5),
            one("a", Kind::Link { target: b"x".to_vec() }, hash([1; 32]), 5),
            one("a", file(false), Content::Looks, 5),
        ] {
            assert_ne!(base, name(vec![other]));
        }
        assert_ne!(
            name(vec![one("a", file(false), Content::Looks, 5)]),
            name(vec![one("a", file(false), Content::Looks, 6)]),
            "what is not read counts by its time"
        );
        // Fixed for ever: hosts have snapshots of this name.
        assert_eq!(base, "e67445e96407d8c909572329e40c24fd");
    }
}

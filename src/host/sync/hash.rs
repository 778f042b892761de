//! Contents: every file's hash, and the two digests over the list. Sends nothing and asks no host.
//!
//! A digest is blake3 over a versioned form of path, kind, owner's right to execute, and content or target, in the order
//! of the paths. Times, owners, other rights and the machine are not in it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::cache::Cache;
use super::list::{Entry, Kind, Listing, Stat, text};
use super::rules::Rules;

/// Where nothing is sent, larger files count by size and time: reading them would cost more than it tells.
pub(super) const LARGE: u64 = 64 << 20;

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
}

/// The list with contents.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The files, in the order of their paths' bytes.
    pub entries: Vec<TreeEntry>,
}

/// Reads what the cache does not know. With `large`, files of any size. Adds what cannot be read to the problems.
pub(super) fn hash(root: &Path, listing: &mut Listing, cache: &mut Cache, large: bool) -> Tree {
    let mut tree = Tree::default();
    tree.entries.reserve(listing.entries.len());
    for mut entry in std::mem::take(&mut listing.entries) {
        let content = match &entry.kind {
            Kind::Link { target } => Content::Hash(*blake3::hash(target).as_bytes()),
            Kind::File { .. } if !large && entry.stat.size > LARGE => Content::Looks,
            Kind::File { .. } => {
                let known = cache.get(&entry.path, &entry.stat);
                let hashed = match known {
                    Some(hash) => Ok((hash, entry.stat)),
                    None => read_hash(&root.join(OsStr::from_bytes(&entry.path))),
                };
                match hashed {
                    Ok((hash, stat)) => {
                        entry.stat = stat;
                        cache.put(&entry.path, stat, hash);
                        Content::Hash(hash)
                    }
                    // It went between the list and now, like one that went before it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => {
                        listing
                            .problems
                            .push((text(&entry.path), format!("cannot be read: {error}")));
                        continue;
                    }
                }
            }
        };
        tree.entries.push(TreeEntry { entry, content });
    }
    tree
}

/// Opens a file of the list, and how it looked then. A link or a pipe that came in its place meanwhile is not followed, nor
/// waited for.
pub(super) fn open_plain(path: &Path) -> io::Result<(File, Metadata)> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is no plain file any more"));
    }
    Ok((file, about))
}

/// Hash of a file, and how it looked before it was read: a change while it is read shows afterwards.
fn read_hash(path: &Path) -> io::Result<([u8; 32], Stat)> {
    let (mut file, about) = open_plain(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; (256 * 1024).min(usize::try_from(about.len()).unwrap_or(0) + 1)];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((*hasher.finalize().as_bytes(), Stat::of(&about))),
            length => hasher.update(&buffer[..length]),
        };
    }
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
            read_hash(&path).is_ok_and(|(hash, _)| Content::Hash(hash) == one.content)
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

    /// Digest of the code: of everything but the campaign file and what is no code.
    pub fn code(&self, rules: &Rules) -> [u8; 32] {
        self.digest(|path| rules.is_code(path))
    }

    /// Digest of the files that `is_code` chooses by their paths.
    pub fn digest(&self, is_code: impl Fn(&[u8]) -> bool) -> [u8; 32] {
        digest("sp code 1", self.entries.iter().filter(|one| is_code(&one.entry.path)))
    }
}

impl TreeEntry {
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

/// Paths that are not the same in two lists of kinds and contents, each with `changed`, `new` or `gone`.
pub fn changed_paths(
    then: &BTreeMap<Vec<u8>, (u8, [u8; 32])>,
    now: &BTreeMap<Vec<u8>, (u8, [u8; 32])>,
) -> Vec<(String, &'static str)> {
    let mut changed = Vec::new();
    for (path, content) in now {
        match then.get(path) {
            None => changed.push((text(path), "new")),
            Some(before) if before != content => changed.push((text(path), "changed")),
            Some(_) => {}
        }
    }
    let gone = then.keys().filter(|path| !now.contains_key(*path));
    changed.extend(gone.map(|path| (text(path), "gone")));
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, kind: Kind, content: Content, mtime: i64) -> TreeEntry {
        let stat = Stat { size: 1, mtime: (mtime, 0), ctime: (mtime, 0), inode: 1 };
        TreeEntry { entry: Entry { path: path.as_bytes().to_vec(), kind, stat }, content }
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

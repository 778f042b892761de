//! Packs: runs of a tree's files, each run a compressed archive that `gzip -dc | tar -xof -` unpacks. Sends nothing.
//!
//! What is read is compared with what was hashed, so that a pack holds the files of the tree or there is none. They have the
//! rights that they get by rsync and their times in whole seconds; no owner, and no folders, which come with the files.
//! Links stand behind all files: nothing can be written through one.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::error::SyncError;
use super::hash::{Content, Tree, TreeEntry};
use super::list::{Entry, Kind, text};

/// A pack is closed once it holds so many bytes of archive.
const PACK: usize = 4 << 20;
/// The first one sooner: the host has nothing to do until it comes.
const FIRST: usize = 1 << 20;
/// An archive is made of these.
const BLOCK: usize = 512;
/// Seconds that fit into a header as octal digits.
const OCTAL_SECONDS: u64 = 1 << 33;

/// A run of files.
#[derive(Debug, Default)]
pub(super) struct Pack {
    /// The archive, compressed.
    pub(super) bytes: Vec<u8>,
    /// Number of files and links in it; with none the tree is at its end.
    pub(super) entries: usize,
    /// Number of files in it.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) size: u64,
}

/// The pack behind the first `done` entries of all packs, of files as `read` gives them. What a `narrow` line carries is
/// made small.
pub(super) fn pack(
    tree: &Tree,
    done: usize,
    narrow: bool,
    mut read: impl FnMut(&Entry) -> io::Result<Vec<u8>>,
) -> Result<Pack, SyncError> {
    let is_file = |one: &&TreeEntry| matches!(one.entry.kind, Kind::File { .. });
    let files = tree.entries.iter().filter(is_file);
    let links = tree.entries.iter().filter(|one| !is_file(one));
    let mut pack = Pack::default();
    let level = if narrow { Compression::fast() } else { Compression::none() };
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), level));
    let full = if done == 0 { FIRST } else { PACK };
    let mut held = 0;
    for one in files.chain(links).skip(done) {
        let data = content(one, &mut read)?;
        append(&mut archive, &one.entry, &data).expect("memory takes all");
        held += BLOCK + data.len().next_multiple_of(BLOCK) + one.entry.path.len();
        pack.entries += 1;
        if is_file(&one) {
            pack.files += 1;
            pack.size += data.len() as u64;
        }
        if held >= full {
            break;
        }
    }
    let packed = archive.into_inner().and_then(GzEncoder::finish);
    pack.bytes = packed.expect("memory takes all");
    Ok(pack)
}

/// What a file held when it was hashed; a link holds nothing.
fn content(
    one: &TreeEntry,
    read: impl FnOnce(&Entry) -> io::Result<Vec<u8>>,
) -> Result<Vec<u8>, SyncError> {
    let entry = &one.entry;
    if matches!(entry.kind, Kind::Link { .. }) {
        return Ok(Vec::new());
    }
    let restless = || SyncError::Restless { path: text(&entry.path) };
    let data = read(entry).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => restless(),
        _ => SyncError::Unread { path: text(&entry.path), source },
    })?;
    if Content::Hash(*blake3::hash(&data).as_bytes()) == one.content {
        Ok(data)
    } else {
        Err(restless())
    }
}

fn append(archive: &mut Builder<impl io::Write>, entry: &Entry, data: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(data.len() as u64);
    set_seconds(&mut header, entry.stat.mtime.0);
    match &entry.kind {
        Kind::File { executable } => {
            header.set_entry_type(EntryType::Regular);
            header.set_mode(if *executable { 0o500 } else { 0o400 });
        }
        Kind::Link { target } => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            set_name(archive, EntryType::GNULongLink, target, &mut header.as_old_mut().linkname)?;
        }
    }
    set_name(archive, EntryType::GNULongName, &entry.path, &mut header.as_old_mut().name)?;
    header.set_cksum();
    archive.append(&header, data)
}

/// Writes a path into its field, as it is; one that is too long goes before its entry as one of its own.
fn set_name(
    archive: &mut Builder<impl io::Write>,
    long: EntryType,
    path: &[u8],
    field: &mut [u8; 100],
) -> io::Result<()> {
    let short = &path[..path.len().min(field.len())];
    field[..short.len()].copy_from_slice(short);
    if path.len() <= field.len() {
        return Ok(());
    }
    let mut header = Header::new_gnu();
    let name = b"././@LongLink";
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(long);
    header.set_mode(0o400);
    let text = [path, &[0]].concat();
    header.set_size(text.len() as u64);
    header.set_cksum();
    archive.append(&header, text.as_slice())
}

/// Seconds since 1970; what is before that, or after the year 2242, as a binary number that the first bit tells.
fn set_seconds(header: &mut Header, seconds: i64) {
    match u64::try_from(seconds) {
        Ok(seconds) if seconds < OCTAL_SECONDS => header.set_mtime(seconds),
        _ => {
            let field = &mut header.as_old_mut().mtime;
            field.fill(if seconds < 0 { 0xff } else { 0 });
            field[4..].copy_from_slice(&seconds.to_be_bytes());
            field[0] |= 0x80;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::super::list::Stat;
    use super::*;

    fn one(path: &[u8], kind: Kind, data: &[u8], seconds: i64) -> TreeEntry {
        let size = data.len() as u64;
        let stat = Stat { size, mtime: (seconds, 5), ctime: (1, 0), inode: 1 };
        let content = Content::Hash(*blake3::hash(data).as_bytes());
        TreeEntry {
            entry: Entry { path: path.to_vec(), kind, stat, tracked: true },
            content,
            is_campaign: false,
        }
    }

    fn file(path: &[u8], data: &[u8]) -> TreeEntry {
        one(path, Kind::File { executable: false }, data, 7)
    }

    /// Paths, kinds with rights, links, seconds and contents of an archive, in its order.
    type Unpacked = Vec<(Vec<u8>, u32, Option<Vec<u8>>, u64, Vec<u8>)>;

    fn unpacked(pack: &Pack) -> Unpacked {
        let mut archive = tar::Archive::new(GzDecoder::new(pack.bytes.as_slice()));
        let entries = archive.entries().expect("an archive");
        let mut found = Unpacked::new();
        for entry in entries {
            let mut entry = entry.expect("an entry");
            let mut data = Vec::new();
            entry.read_to_end(&mut data).expect("a content");
            let header = entry.header();
            let (mode, seconds) = (header.mode().expect("rights"), header.mtime().expect("a time"));
            let link = entry.link_name_bytes().map(|link| link.to_vec());
            found.push((entry.path_bytes().to_vec(), mode, link, seconds, data));
        }
        found
    }

    #[test]
    fn a_pack_holds_files_as_they_are_and_links_behind_them() {
        let long = [b'n'; 300];
        let target = Kind::Link { target: [b't'; 101].to_vec() };
        let entries = vec![
            one(b"a-link", target, b"", -1),
            one(&long, Kind::File { executable: true }, b"x", -5),
            file(&long[..100], b"y"),
            file(b"z\xff", b""),
        ];
        let tree = Tree { entries };
        for narrow in [false, true] {
            let pack = pack(&tree, 0, narrow, |entry| {
                let data: &[u8] = match entry.path.len() {
                    300 => b"x",
                    100 => b"y",
                    _ => b"",
                };
                Ok(data.to_vec())
            });
            let pack = pack.expect("a pack");
            assert_eq!((pack.entries, pack.files, pack.size), (4, 3, 2));
            let expected: Unpacked = vec![
                (long.to_vec(), 0o500, None, (-5_i64).cast_unsigned(), b"x".to_vec()),
                (long[..100].to_vec(), 0o400, None, 7, b"y".to_vec()),
                (b"z\xff".to_vec(), 0o400, None, 7, Vec::new()),
                (b"a-link".to_vec(), 0o777, Some(vec![b't'; 101]), u64::MAX, Vec::new()),
            ];
            assert_eq!(unpacked(&pack), expected);
        }
    }

    #[test]
    fn packs_hold_every_file_once() {
        let data: Vec<Vec<u8>> = (0..9).map(|n| vec![n; PACK / 4]).collect();
        let files = data.iter().zip(b'0'..).map(|(data, n)| file(&[b'a', n], data));
        let tree = Tree { entries: files.collect() };
        let known: BTreeMap<Vec<u8>, &Vec<u8>> =
            tree.entries.iter().map(|one| one.entry.path.clone()).zip(&data).collect();
        let (mut done, mut sizes, mut paths) = (0, Vec::new(), Vec::new());
        loop {
            let pack = pack(&tree, done, true, |entry| Ok(known[&entry.path].clone()));
            let pack = pack.expect("a pack");
            if pack.entries == 0 {
                break;
            }
            done += pack.entries;
            sizes.push(pack.entries);
            paths.extend(unpacked(&pack).into_iter().map(|entry| entry.0));
        }
        assert_eq!(sizes, [1, 4, 4]);
        assert_eq!(paths, known.into_keys().collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_is_not_what_was_hashed_makes_no_pack() {
        let tree = Tree { entries: vec![file(b"a", b"old")] };
        let made = |read: fn() -> io::Result<Vec<u8>>| {
            pack(&tree, 0, false, |_| read()).expect_err("no pack").to_string()
        };
        assert_eq!(
            made(|| Ok(b"new".to_vec())),
            "`a` changes while it is sent, three times in a row"
        );
        assert_eq!(made(|| Err(io::ErrorKind::NotFound.into())), made(|| Ok(Vec::new())));
        let denied = made(|| Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(denied, "`a` cannot be read: permission denied");
    }
}

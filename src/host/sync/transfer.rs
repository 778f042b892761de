//! The way that files go into a fresh folder: in packs where that is fast, else by rsync. Publishes nothing and deletes
//! nothing.
//!
//! Packs go over the conversation that is there, and the host writes one while the next is made. They carry every file,
//! so they are for a host that has none of them, and for a tree that is not large. rsync shares unchanged files with a
//! snapshot.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::ask::{Ask, Filled};
use super::cache::Cache;
use super::error::SyncError;
use super::hash::{Content, Contents, KEPT, Tree, changed_since};
use super::list::Entry;
use super::memory::{List, Memory};
use super::pack::{Pack, pack};
use super::rsync::{Rsync, Sent};
use crate::crash::crash_point;
use crate::host::HostError;
use crate::plain_file;

/// A tree with more bytes goes by rsync.
const PACKED_MAX: u64 = KEPT;

/// One transfer.
pub(super) struct Transfer<'a> {
    pub(super) ask: &'a Ask<'a>,
    /// The folder here, with all paths below it.
    pub(super) root: &'a Path,
    pub(super) tree: &'a Arc<Tree>,
    pub(super) cache: &'a Cache,
    /// What some files held as they were hashed.
    pub(super) contents: Contents,
}

impl Transfer<'_> {
    /// Sends the files. `previous` is a snapshot on the host to share unchanged files with.
    pub(super) async fn send(
        mut self,
        previous: Option<&str>,
        memory: &Memory,
    ) -> Result<Sent, HostError> {
        crash_point("sync.transfer");
        if previous.is_none()
            && self.tree.bytes() <= PACKED_MAX
            && let Some(sent) = self.in_packs().await?
        {
            return Ok(sent);
        }
        self.by_rsync(previous, memory).await
    }

    /// `None` where the host cannot unpack.
    async fn in_packs(&mut self) -> Result<Option<Sent>, HostError> {
        let contents = Arc::new(Mutex::new(std::mem::take(&mut self.contents)));
        let (mut files, mut bytes, mut done) = (0, 0, 0);
        let mut next = self.pack_apart(done, &contents).await;
        loop {
            let pack = match next {
                Ok(pack) if pack.entries == 0 => return Ok(Some(Sent::Whole { files, bytes })),
                Ok(pack) => pack,
                Err(error) => return Ok(Some(Sent::Again(error))),
            };
            files += pack.files;
            bytes += pack.size;
            done += pack.entries;
            let filled;
            (filled, next) =
                tokio::join!(self.ask.fill(&pack.bytes), self.pack_apart(done, &contents));
            match filled? {
                Filled::Whole => {}
                Filled::NoTools => return Ok(None),
            }
        }
    }

    /// Makes a pack, beside what else goes on.
    async fn pack_apart(
        &self,
        done: usize,
        contents: &Arc<Mutex<Contents>>,
    ) -> Result<Pack, SyncError> {
        let (root, tree) = (self.root.to_owned(), Arc::clone(self.tree));
        let (narrow, contents) = (!self.ask.host.is_here(), Arc::clone(contents));
        let made = move || {
            // One pack is made at a time.
            let mut contents = contents.lock().unwrap_or_else(PoisonError::into_inner);
            pack(&tree, done, narrow, |entry| match contents.take(&entry.path) {
                Some(data) => Ok(data),
                None => read(&root, entry),
            })
        };
        let made = tokio::task::spawn_blocking(made).await;
        made.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    async fn by_rsync(&self, previous: Option<&str>, memory: &Memory) -> Result<Sent, HostError> {
        let mut paths = Vec::new();
        for one in &self.tree.entries {
            paths.extend_from_slice(b"./");
            paths.extend_from_slice(&one.entry.path);
            paths.push(0);
        }
        let host = self.ask.host.name().as_str();
        let former = previous.and_then(|previous| memory.snapshot(host, previous));
        let rsync = Rsync {
            host,
            login_shell: &self.ask.host.login_shell(),
            destination: &self.ask.host.rsync_destination().await?,
            root: self.root,
            target: &self.ask.folder().await?.join("tree"),
            link: previous.map(|previous| format!("../../{previous}/tree")),
            checksum: previous.is_some() && !former.is_some_and(|list| is_told(&list, self.tree)),
            list: paths,
        };
        let sent = rsync.run().await?;
        // What rsync reads it compares with nothing.
        Ok(match changed_since(self.root, self.tree, self.cache) {
            Some(path) if matches!(sent, Sent::Whole { .. }) => {
                Sent::Again(SyncError::Restless { path })
            }
            _ => sent,
        })
    }
}

/// What a file holds; of one that has grown, enough to see that.
fn read(root: &Path, entry: &Entry) -> io::Result<Vec<u8>> {
    let (file, _) = plain_file::open(&root.join(OsStr::from_bytes(&entry.path)))?;
    let mut data = Vec::with_capacity(usize::try_from(entry.stat.size).unwrap_or(0) + 1);
    file.take(entry.stat.size + 1).read_to_end(&mut data)?;
    Ok(data)
}

/// Whether size and second tell for every file whether it is the one of a former list.
fn is_told(list: &List, tree: &Tree) -> bool {
    tree.entries.iter().all(|one| {
        list.get(&one.entry.path).is_none_or(|former| {
            let looks = (former.stat.size, former.stat.mtime.0);
            looks != (one.entry.stat.size, one.entry.stat.mtime.0)
                || Content::Hash(former.content) == one.content
        })
    })
}

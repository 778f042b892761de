//! A tree on a host: asked for by its name, sent where it is not there, checked and published by the host.
//!
//! Interrupted anywhere it leaves a folder that is never used and that a later sync removes. Two clients that send the
//! same tree at once both succeed, and one of the two copies goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;

use super::ask::{Ask, Begun, patience};
use super::cache::Cache;
use super::error::SyncError;
use super::hash::{Contents, Tree, hash};
use super::list::{Entry, Kind, Listing, list, root};
use super::memory::{List, Memory};
use super::rsync::Sent;
use super::rules::{Own, Rules};
use super::transfer::Transfer;
use crate::campaign::Sync;
use crate::crash::crash_point;
use crate::host::{Host, HostError, random_word};
use crate::ids::Instance;

/// A tree that does not hold still is sent so often.
const ROUNDS: u32 = 3;

/// The campaign's tree on this machine.
#[derive(Debug, Clone)]
pub struct Source {
    root: PathBuf,
    rules: Rules,
    state_folder: PathBuf,
    max_size: u64,
    working_dir: PathBuf,
    /// Of several hosts that are sent the tree at once the first one reads it, the others find it in the cache.
    turn: Arc<Mutex<()>>,
    /// What was read a moment ago; whether it still holds is seen when it has been sent.
    known: Option<Arc<Reading>>,
}

/// The tree as it is now.
#[derive(Debug)]
pub struct Reading {
    /// Files with contents.
    pub tree: Arc<Tree>,
    /// Digest of the code.
    pub code: [u8; 32],
    /// Paths that cannot be sent, and why.
    pub problems: Vec<(String, String)>,
    /// What a person should know of what is sent, that stops nothing.
    pub warnings: Vec<String>,
    /// What a person should know of what is not there, whether or not anything is sent.
    pub missing: Vec<String>,
    cache: Cache,
    /// For whoever sends it first.
    contents: std::sync::Mutex<Contents>,
}

/// More than `sync.max-size`: a person should say yes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Bytes that would be read or sent.
    pub bytes: u64,
    /// In so many files.
    pub files: usize,
    /// The largest of them.
    pub largest: (String, u64),
    /// `sync.max-size`.
    pub max_size: u64,
}

/// A tree that a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name: 32 hex digits of its content.
    pub name: String,
    /// Its folder below the campaign's `snapshots`: the name, or the name with a number.
    pub folder: String,
    /// Digest of the code in it.
    pub code: [u8; 32],
    /// Number of files.
    pub files: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Files and bytes that had to be sent; `None` where the host had the tree.
    pub sent: Option<(u64, u64)>,
    /// What a person should know that stops nothing.
    pub warnings: Vec<String>,
}

/// What a tree holds.
#[derive(Debug, Default)]
pub struct Survey {
    /// Number of files and links.
    pub files: usize,
    /// Bytes of the files.
    pub bytes: u64,
    /// Files that the host was not sent yet.
    pub new_files: usize,
    /// Their bytes.
    pub new_bytes: u64,
    /// The ten largest files with their bytes.
    pub largest: Vec<(String, u64)>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// A snapshot, and the tree that it is of.
#[derive(Debug)]
pub struct Made {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The tree.
    pub reading: Arc<Reading>,
}

impl Reading {
    /// Gives away what was kept of the files; they are read again where it is asked for twice.
    fn take_contents(&self) -> Contents {
        let mut contents = self.contents.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut *contents)
    }
}

impl Source {
    /// The tree of a campaign file, less what `sp` itself writes there, or will. All paths are absolute.
    pub fn open(
        sync: &Sync,
        file: &Path,
        working_dir: &str,
        own: Own,
        state_folder: &Path,
    ) -> Result<Self, SyncError> {
        let folder = file.parent().unwrap_or(Path::new("/"));
        let root = root(folder, sync)?;
        let own = Own {
            folders: own.folders.iter().map(|folder| without_links(folder)).collect(),
            ..own
        };
        let rules = Rules::new(sync, &root, file, own)?;
        let (state_folder, max_size) = (state_folder.to_owned(), sync.max_size);
        Ok(Self {
            root,
            rules,
            state_folder,
            max_size,
            working_dir: working_dir.into(),
            turn: Arc::default(),
            known: None,
        })
    }

    /// With what was read of it a moment ago, in whole.
    #[must_use]
    pub fn knowing(mut self, reading: Arc<Reading>) -> Self {
        self.known = Some(reading);
        self
    }

    /// `sync.root`, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Former lists.
    pub fn memory(&self) -> Memory {
        Memory::new(&self.state_folder)
    }

    /// Lists the files without reading them.
    pub fn list(&self) -> Result<Listing, SyncError> {
        list(&self.root, &self.rules)
    }

    /// Reads the tree. With `large`, files of any size. Unless `all`, not where more than `sync.max-size` was never read.
    pub fn read(&self, large: bool, all: bool) -> Result<Result<Reading, Question>, SyncError> {
        let mut cache = Cache::open(&self.state_folder)?;
        let mut listing = self.list()?;
        let unread = |entry: &&Entry| {
            cache.get(&entry.path, &entry.stat).is_none()
                && (large || entry.stat.size <= super::hash::LARGE)
        };
        if !all && let Some(question) = self.question(listing.entries.iter().filter(unread)) {
            return Ok(Err(question));
        }
        let (tree, contents) = hash(&self.root, &mut listing, &mut cache, large);
        cache.save()?;
        let code = tree.code(&self.rules);
        let Listing { problems, warnings, missing, .. } = listing;
        let (tree, contents) = (Arc::new(tree), std::sync::Mutex::new(contents));
        Ok(Ok(Reading { tree, code, problems, warnings, missing, cache, contents }))
    }

    /// Whether so much would be sent to a host that a person should say yes first, as far as is known here.
    pub fn ask_before(&self, host: &str) -> Result<Option<Question>, SyncError> {
        let sent = self.memory().newest_snapshot(host).unwrap_or_default();
        if let Some(known) = &self.known {
            let entries = known.tree.entries.iter().map(|one| &one.entry);
            return Ok(self.question(entries.filter(|entry| is_new(&sent, entry))));
        }
        let listing = self.list()?;
        Ok(self.question(listing.entries.iter().filter(|entry| is_new(&sent, entry))))
    }

    /// What there is, and what of it a host was not sent yet, by the looks of the files.
    pub fn survey(&self, host: &str) -> Result<Survey, SyncError> {
        let sent = self.memory().newest_snapshot(host).unwrap_or_default();
        let Listing { entries, problems, mut warnings, missing, .. } = self.list()?;
        warnings.extend(missing);
        warnings.extend(problems.into_iter().map(|(path, why)| format!("`{path}` {why}")));
        let mut survey = Survey { warnings, files: entries.len(), ..Survey::default() };
        for entry in &entries {
            let size = match entry.kind {
                Kind::File { .. } => entry.stat.size,
                Kind::Link { .. } => 0,
            };
            survey.bytes += size;
            if is_new(&sent, entry) {
                survey.new_files += 1;
                survey.new_bytes += size;
            }
            survey.largest.push((super::list::text(&entry.path), size));
        }
        survey.largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        survey.largest.truncate(10);
        Ok(survey)
    }

    fn question<'a>(&self, entries: impl Iterator<Item = &'a Entry>) -> Option<Question> {
        let (mut bytes, mut files, mut largest) = (0, 0, None);
        for entry in entries.filter(|entry| matches!(entry.kind, Kind::File { .. })) {
            bytes += entry.stat.size;
            files += 1;
            largest = largest.max(Some((entry.stat.size, &entry.path)));
        }
        let (size, path) = largest?;
        let largest = (super::list::text(path), size);
        (bytes > self.max_size).then_some(Question {
            bytes,
            files,
            largest,
            max_size: self.max_size,
        })
    }

    /// Reads all of the tree, beside what else goes on.
    async fn read_apart(&self) -> Result<Arc<Reading>, SyncError> {
        let _turn = self.turn.lock().await;
        let source = self.clone();
        let read = tokio::task::spawn_blocking(move || source.read(true, true)).await;
        let read = read.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        Ok(Arc::new(read?.expect("all of it is read")))
    }

    /// The tree, read while the connection is made; what is wrong with that is told by the first question.
    async fn read_meanwhile(&self, host: &Host) -> Result<Arc<Reading>, SyncError> {
        let (reading, _greeted) = tokio::join!(self.read_apart(), host.root());
        reading
    }

    /// Sees to it that a host has the tree as it is now.
    pub async fn send(&self, host: &Host, instance: &Instance) -> Result<Made, HostError> {
        let first = match &self.known {
            Some(known) => Ok(Arc::clone(known)),
            None => self.read_meanwhile(host).await,
        };
        let (mut first, mut restless) = (Some(first), None);
        for _ in 0..ROUNDS {
            let reading = match first.take() {
                Some(first) => first?,
                None => self.read_meanwhile(host).await?,
            };
            if !reading.problems.is_empty() {
                return Err(SyncError::Entries { entries: reading.problems.clone() }.into());
            }
            self.check_working_dir(&reading.tree)?;
            let name = reading.tree.name();
            let contents = reading.take_contents();
            let mut snapshot = Snapshot {
                folder: name.clone(),
                name,
                code: reading.code,
                files: reading.tree.entries.len(),
                bytes: reading.tree.bytes(),
                sent: None,
                warnings: [&reading.missing[..], &reading.warnings[..]].concat(),
            };
            let keeps = !self.rules.keep().is_empty();
            let patience = patience(snapshot.files, snapshot.bytes, keeps);
            let ask = Ask { host, instance, token: random_word(), patience };
            match ask.begin(&snapshot.name).await? {
                Begun::Have { folder } => {
                    snapshot.folder = folder;
                    return Ok(Made { snapshot, reading });
                }
                Begun::Make { previous, changed } => {
                    if let Some(changed) = changed {
                        snapshot.warnings.push(format!(
                            "files of the snapshot {changed} were changed on host `{}` by what ran there; \
                             it is left as it is and the tree is sent anew",
                            host.name()
                        ));
                    }
                    let way = Transfer {
                        ask: &ask,
                        root: &self.root,
                        tree: &reading.tree,
                        cache: &reading.cache,
                        contents,
                    };
                    let sent = match way.send(previous.as_deref(), &self.memory()).await {
                        Ok(Sent::Whole { files, bytes }) => (files, bytes),
                        Ok(Sent::Again(error)) => {
                            ask.drop_folder().await?;
                            restless = Some(error);
                            continue;
                        }
                        Err(error) => {
                            // The first error is the one to tell.
                            let _told = ask.drop_folder().await;
                            return Err(error);
                        }
                    };
                    crash_point("sync.sent");
                    snapshot.folder =
                        ask.publish(&snapshot.name, &reading.tree, &self.rules).await?;
                    snapshot.sent = Some(sent);
                    self.memory().keep_snapshot(
                        host.name().as_str(),
                        &snapshot.folder,
                        &reading.tree,
                    )?;
                    return Ok(Made { snapshot, reading });
                }
            }
        }
        Err(restless.expect("a round that is not the last says why").into())
    }

    /// Git lists no empty folders, so a `working-dir` without files would not be there.
    fn check_working_dir(&self, tree: &Tree) -> Result<(), SyncError> {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = &self.working_dir;
        let within = |path: &[u8]| Path::new(std::ffi::OsStr::from_bytes(path)).starts_with(folder);
        let kept = self.rules.keep().iter().any(|keep| keep.starts_with(folder));
        if folder == Path::new(".")
            || kept
            || tree.entries.iter().any(|one| within(&one.entry.path))
        {
            return Ok(());
        }
        Err(SyncError::NoWorkingDir { folder: folder.display().to_string() })
    }
}

/// An absolute path without links, as far as there is something.
fn without_links(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let Some((above, real)) = there else { return path.to_owned() };
    path.strip_prefix(above).map_or(real.clone(), |rest| real.join(rest).components().collect())
}

/// Whether a file is not, or not so, in the list of what was sent.
fn is_new(sent: &List, entry: &Entry) -> bool {
    sent.get(&entry.path).is_none_or(|former| {
        (former.stat.size, former.stat.mtime) != (entry.stat.size, entry.stat.mtime)
    })
}

//! The list of files: git's where there is a work tree, a walk by the same rules elsewhere; then `[sync]`.
//!
//! Reads no content. Every entry is looked at once (`lstat`); what cannot be sent is among the problems, and whether that
//! matters is the caller's question. Paths are bytes: a name that is not UTF-8 is as good as any.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::WalkBuilder;

use super::error::{SyncError, failed, not_checked_out};
use super::rules::{Choice, Rules};
use crate::campaign::Sync;
use crate::host::git::{Standing, WorkTree, has_git, top};
use crate::plain_file::wrong_kind;

/// What tells one version of a file from another without reading it. Times as seconds and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// Last change of the content.
    pub mtime: (i64, i64),
    /// Last change of anything.
    pub ctime: (i64, i64),
    /// Number of the file on its file system.
    pub inode: u64,
}

impl Stat {
    pub(super) fn of(about: &Metadata) -> Self {
        Self {
            size: about.size(),
            mtime: (about.mtime(), about.mtime_nsec()),
            ctime: (about.ctime(), about.ctime_nsec()),
            inode: about.ino(),
        }
    }
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file; its owner's right to execute it is part of it, other rights are not.
    File {
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link, as it is.
    Link {
        /// Where it points.
        target: Vec<u8>,
    },
}

/// A file of the list.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Path relative to the root.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// How it looked.
    pub stat: Stat,
    /// Whether it is part of what git commits, or will; without git nothing is.
    pub tracked: bool,
}

/// The list.
#[derive(Debug, Default)]
pub struct Listing {
    /// The files, in the order of their paths' bytes.
    pub entries: Vec<Entry>,
    /// Paths that cannot be sent, and why; reads after the path.
    pub problems: Vec<(String, String)>,
    /// What a person should know of what is sent, that stops nothing.
    pub warnings: Vec<String>,
    /// What a person should know of what is not there, whether or not anything is sent.
    pub missing: Vec<String>,
    /// Folders of the repositories that were asked for the list; none without git.
    pub(super) repositories: Vec<PathBuf>,
}

/// A path for people.
pub(super) fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_debug().to_string()
}

/// The folder that is synced, absolute and without links.
pub(super) fn root(folder: &Path, sync: &Sync) -> Result<PathBuf, SyncError> {
    let wrong = |why: String| SyncError::Root { root: sync.root.clone(), why };
    let root = folder.join(&sync.root).canonicalize().map_err(|error| {
        wrong(match error.kind() {
            io::ErrorKind::NotFound => "is not there".to_owned(),
            _ => format!("cannot be entered: {error}"),
        })
    })?;
    if !root.is_dir() {
        return Err(wrong("is no folder".to_owned()));
    }
    // Up, but not out: a `..` too many would take a whole home along.
    let folder = folder.canonicalize().map_err(failed("look at", folder))?;
    if !root.starts_with(&folder) && !top(&folder).is_some_and(|top| root.starts_with(top)) {
        return Err(wrong("leads out of the git work tree of the campaign file".to_owned()));
    }
    Ok(root)
}

/// Lists the files below `root`.
pub(super) fn list(root: &Path, rules: &Rules) -> Result<Listing, SyncError> {
    let (paths, folders, listing) = (BTreeMap::new(), BTreeMap::new(), Listing::default());
    let mut found = Found { root, rules, paths, folders, listing };
    if top(root).is_some() {
        found.repository(Path::new(""), true)?;
    } else {
        found.walk()?;
    }
    found.included()?;
    Ok(found.finish())
}

struct Found<'a> {
    root: &'a Path,
    rules: &'a Rules,
    /// Paths with what lies there, and whether git tracks it.
    paths: BTreeMap<Vec<u8>, (Metadata, bool)>,
    /// Folders on the way to them, and whether each is one by itself and not by a link.
    folders: BTreeMap<OsString, bool>,
    listing: Listing,
}

impl Found<'_> {
    /// What git lists in the work tree at `at`, submodules and other repositories asked in themselves; `is_named`: a commit
    /// of the repository around it says which commit it stands at.
    fn repository(&mut self, at: &Path, is_named: bool) -> Result<(), SyncError> {
        let folder = self.root.join(at);
        let asked = WorkTree::open(&folder).and_then(|tree| match tree {
            Some(tree) => tree.list(),
            None => Err("its `.git` is gone".to_owned()),
        });
        let listed = match asked {
            Ok(listed) => listed,
            Err(why) => return Err(SyncError::Git { folder, why }),
        };
        self.listing.repositories.push(folder);
        for (path, standing) in listed {
            let path = path.strip_suffix(b"/").unwrap_or(&path);
            let path = at.join(OsStr::from_bytes(path));
            if !self.rules.may_be_listed(path.as_os_str().as_bytes()) {
                continue;
            }
            let about = self.look(&path)?;
            let is_folder = about.as_ref().is_some_and(Metadata::is_dir);
            if is_folder && has_git(&self.root.join(&path)) {
                self.repository(&path, is_named && standing == Standing::Submodule)?;
            } else if standing == Standing::Submodule {
                self.listing.missing.push(not_checked_out(&path));
            } else if let Some(about) = about.filter(|about| !about.is_dir()) {
                let tracked = is_named && standing == Standing::Tracked;
                self.paths.insert(path.into_os_string().into_vec(), (about, tracked));
            }
        }
        Ok(())
    }

    /// Outside of a work tree: a walk that obeys `.gitignore` files below the root, and no others.
    fn walk(&mut self) -> Result<(), SyncError> {
        let rules = self.rules;
        check_rules_file(self.root)?;
        let nested: Arc<Mutex<Vec<PathBuf>>> = Arc::default();
        let wrong: Arc<Mutex<Option<SyncError>>> = Arc::default();
        let (note, note_wrong) = (Arc::clone(&nested), Arc::clone(&wrong));
        let (kept, root) = (self.rules.clone(), self.root.to_owned());
        let mut builder = WalkBuilder::new(self.root);
        builder.hidden(false).require_git(false).parents(false).ignore(false);
        builder.git_global(false).git_exclude(false).follow_links(false);
        builder.filter_entry(move |entry| {
            let Ok(path) = entry.path().strip_prefix(&root) else { return false };
            if kept.is_never(path) {
                return false;
            }
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            if entry.depth() > 0 && is_folder && has_git(entry.path()) {
                note.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
                return false;
            }
            if is_folder && let Err(error) = check_rules_file(entry.path()) {
                *note_wrong.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return false;
            }
            true
        });
        self.take(&builder, |path| !rules.is_never(path) && rules.choice(path) != Choice::Out)?;
        if let Some(wrong) = wrong.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(wrong);
        }
        let nested = nested.lock().unwrap_or_else(PoisonError::into_inner).clone();
        nested.iter().try_for_each(|at| self.repository(at, false))
    }

    /// Adds what `include` names and the list does not have.
    fn included(&mut self) -> Result<(), SyncError> {
        let rules = self.rules;
        for start in rules.starts() {
            if fs::symlink_metadata(self.root.join(start)).is_err() {
                continue;
            }
            let (kept, root) = (rules.clone(), self.root.to_owned());
            let mut builder = WalkBuilder::new(self.root.join(start));
            builder.standard_filters(false).follow_links(false).filter_entry(move |entry| {
                entry.path().strip_prefix(&root).is_ok_and(|path| !kept.is_never(path))
            });
            self.take(&builder, |path| !rules.is_never(path) && rules.choice(path) == Choice::In)?;
        }
        Ok(())
    }

    /// Adds what a walk meets, but for folders and what is not wanted.
    fn take(
        &mut self,
        walk: &WalkBuilder,
        wanted: impl Fn(&Path) -> bool,
    ) -> Result<(), SyncError> {
        for entry in walk.build() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.unreadable(&error);
                    continue;
                }
            };
            let Ok(path) = entry.path().strip_prefix(self.root) else { continue };
            if entry.file_type().is_some_and(|kind| kind.is_dir()) || !wanted(path) {
                continue;
            }
            if let Some(about) = self.look(path)? {
                // What git has said of it holds.
                self.paths.entry(path.as_os_str().as_bytes().to_vec()).or_insert((about, false));
            }
        }
        Ok(())
    }

    /// A folder that cannot be read; what went meanwhile is no matter.
    fn unreadable(&mut self, error: &ignore::Error) {
        if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return;
        }
        let path = match error {
            ignore::Error::WithPath { path, .. } => path.as_path(),
            ignore::Error::WithDepth { err, .. } => match err.as_ref() {
                ignore::Error::WithPath { path, .. } => path.as_path(),
                _ => self.root,
            },
            _ => self.root,
        };
        let path = path.strip_prefix(self.root).unwrap_or(path);
        let why = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
        let path = text(path.as_os_str().as_bytes());
        self.listing.problems.push((path, format!("cannot be read: {why}")));
    }

    /// What lies at a path; `None` where nothing does, such as a tracked file that was deleted.
    fn look(&mut self, path: &Path) -> Result<Option<Metadata>, SyncError> {
        let full = self.root.join(path);
        if path.parent().is_some_and(|parent| !self.is_own_folder(parent)) {
            return Ok(None);
        }
        match fs::symlink_metadata(&full) {
            Ok(about) => Ok(Some(about)),
            // A folder on the way may have become a file.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed("look at", &full)(error)),
        }
    }

    /// Whether no link leads to a folder: what lies behind one is no part of the tree, as git sees it too.
    fn is_own_folder(&mut self, folder: &Path) -> bool {
        if folder.as_os_str().is_empty() {
            return true;
        }
        if let Some(known) = self.folders.get(folder.as_os_str()) {
            return *known;
        }
        let real = fs::symlink_metadata(self.root.join(folder)).is_ok_and(|about| about.is_dir());
        let own = real && folder.parent().is_none_or(|parent| self.is_own_folder(parent));
        self.folders.insert(folder.as_os_str().to_owned(), own);
        own
    }

    fn finish(self) -> Listing {
        let mut listing = self.listing;
        listing.entries.reserve(self.paths.len());
        for (path, (about, tracked)) in self.paths {
            let kind = about.file_type();
            let stat = Stat::of(&about);
            if kind.is_file() {
                let executable = about.mode() & 0o100 != 0;
                listing.entries.push(Entry {
                    path,
                    kind: Kind::File { executable },
                    stat,
                    tracked,
                });
            } else if kind.is_symlink() {
                let full = self.root.join(OsStr::from_bytes(&path));
                match fs::read_link(&full) {
                    Ok(target) => {
                        if leaves(&path, &target) {
                            listing.warnings.push(format!(
                                "the link `{}` leads out of the tree, to `{}`; on another host it leads elsewhere",
                                text(&path),
                                text(target.as_os_str().as_bytes())
                            ));
                        }
                        let target = target.into_os_string().into_vec();
                        listing.entries.push(Entry {
                            path,
                            kind: Kind::Link { target },
                            stat,
                            tracked,
                        });
                    }
                    Err(error) => {
                        listing.problems.push((text(&path), format!("cannot be read: {error}")));
                    }
                }
            } else {
                let what = match () {
                    () if kind.is_fifo() => "is a named pipe",
                    () if kind.is_socket() => "is a socket",
                    () => "is a device",
                };
                listing.problems.push((text(&path), format!("{what}, which cannot be sent")));
            }
        }
        listing
    }
}

/// Refuses a `.gitignore` that a walk would read without an end: what is no file, by itself or by a link.
fn check_rules_file(folder: &Path) -> Result<(), SyncError> {
    let path = folder.join(".gitignore");
    match fs::metadata(&path).map(|about| wrong_kind(about.file_type())) {
        Ok(Some(wrong)) => Err(failed("read", &path)(wrong.into())),
        _ => Ok(()),
    }
}

/// Whether a link at `path` leads out of the root by its own words.
fn leaves(path: &[u8], target: &Path) -> bool {
    let mut depth = Path::new(OsStr::from_bytes(path)).components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::RootDir | Component::Prefix(_) => return true,
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leaves_the_tree_is_told() {
        for (path, target, expected) in [
            ("a", "b", false),
            ("a", "../b", true),
            ("d/a", "../b", false),
            ("d/a", "../../b", true),
            ("d/a", "x/../../b", false),
            ("a", "/etc/passwd", true),
            ("a", "./.././b", true),
        ] {
            assert_eq!(leaves(path.as_bytes(), Path::new(target)), expected, "{path} -> {target}");
        }
    }
}

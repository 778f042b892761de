//! What `[sync]` says of a path. Pure: looks at no file.
//!
//! Patterns are git's; the last one that matches a path, or else the nearest folder above it, decides. So an include can
//! bring back a file below an excluded folder, which git's own files cannot.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::error::SyncError;
use super::list::text;
use crate::campaign::Sync;

/// What `sp` itself writes into a folder of the campaign.
#[derive(Debug, Clone)]
pub struct OwnFiles {
    /// The folder, absolute.
    pub folder: PathBuf,
    /// Names of the files.
    pub names: Vec<&'static str>,
    /// So begin names of other files of its own.
    pub prefix: &'static str,
}

impl OwnFiles {
    fn has(&self, path: &Path) -> bool {
        path.parent() == Some(&self.folder)
            && path.file_name().is_some_and(|name| {
                self.names.iter().any(|own| name == *own)
                    || name.as_bytes().starts_with(self.prefix.as_bytes())
            })
    }
}

/// What `sp` itself writes below the root of a tree.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// Folders of which all is its own: what it keeps below the root of a host that is this machine. Absolute.
    pub folders: Vec<PathBuf>,
    /// Its files in a folder that it shares with the user.
    pub files: Option<OwnFiles>,
}

impl Own {
    fn has(&self, path: &Path) -> bool {
        self.files.as_ref().is_some_and(|own| own.has(path))
            || self.folders.iter().any(|own| path.starts_with(own))
    }
}

/// The rules of one campaign, for paths relative to `sync.root`.
#[derive(Debug, Clone)]
pub struct Rules {
    chosen: Gitignore,
    not_code: Gitignore,
    keep: Vec<PathBuf>,
    /// What this campaign itself writes.
    own: Own,
    campaign_file: Option<PathBuf>,
    /// Folders or files where included ones may lie.
    starts: Vec<PathBuf>,
}

/// A way a path is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Whatever the list says.
    In,
    /// Whatever the list says.
    Out,
    /// As the list says.
    Unsaid,
}

impl Rules {
    /// Makes the rules. All paths are absolute and without `..`.
    pub fn new(sync: &Sync, root: &Path, file: &Path, own: Own) -> Result<Self, SyncError> {
        let excluded = sync.exclude.iter().cloned();
        let included = sync.include.iter().map(|pattern| format!("!{pattern}"));
        let lines = std::iter::once("__pycache__/".to_owned()).chain(excluded).chain(included);
        let below = |path: PathBuf| path.strip_prefix(root).ok().map(Path::to_owned);
        let files = own.files.and_then(|own| Some(OwnFiles { folder: below(own.folder)?, ..own }));
        let folders = own.folders.into_iter().filter_map(below).collect();
        Ok(Self {
            chosen: patterns(lines)?,
            not_code: patterns(sync.not_code.iter().cloned())?,
            keep: sync.keep.iter().map(PathBuf::from).collect(),
            own: Own { folders, files },
            campaign_file: below(file.to_owned()),
            starts: outermost(sync.include.iter().map(|pattern| start(pattern)).collect()),
        })
    }

    /// Whether a path can never be in the list: git's and sp's own folders and files, and what each snapshot keeps.
    pub(super) fn is_never(&self, path: &Path) -> bool {
        let own = |part: Component<'_>| {
            part.as_os_str() == OsStr::new(".git") || part.as_os_str() == OsStr::new(".sp")
        };
        path.components().any(own)
            || self.own.has(path)
            || self.keep.iter().any(|keep| path.starts_with(keep))
    }

    /// What the patterns say of a file.
    pub(super) fn choice(&self, path: &Path) -> Choice {
        match self.chosen.matched_path_or_any_parents(path, false) {
            Match::None => Choice::Unsaid,
            Match::Ignore(_) => Choice::Out,
            Match::Whitelist(_) => Choice::In,
        }
    }

    /// Whether the rules leave a path in the list where it is in it.
    pub(super) fn may_be_listed(&self, path: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        !self.is_never(path) && self.choice(path) != Choice::Out
    }

    /// Where to look for files that only `include` names.
    pub(super) fn starts(&self) -> &[PathBuf] {
        &self.starts
    }

    /// Whether a file of the list is code.
    pub fn is_code(&self, path: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        self.campaign_file.as_deref() != Some(path)
            && !self.not_code.matched_path_or_any_parents(path, false).is_ignore()
    }

    /// Folders that are a snapshot's own.
    pub fn keep(&self) -> &[PathBuf] {
        &self.keep
    }
}

fn patterns(lines: impl Iterator<Item = String>) -> Result<Gitignore, SyncError> {
    let mut builder = GitignoreBuilder::new(".");
    for line in lines {
        builder.add_line(None, &line).map_err(|error| SyncError::Pattern {
            pattern: line.trim_start_matches('!').to_owned(),
            why: error.to_string(),
        })?;
    }
    builder.build().map_err(|error| SyncError::Pattern {
        pattern: "(all)".to_owned(),
        why: text(error.to_string().as_bytes()),
    })
}

/// Leaves out what lies below another one, so that nothing is looked through twice.
fn outermost(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    // By components, so that what lies below a folder follows it.
    paths.sort();
    paths.dedup_by(|path, before| path.starts_with(before));
    paths
}

/// The deepest folder, or the file, below which everything lies that a pattern can match.
fn start(pattern: &str) -> PathBuf {
    let anchored = pattern.trim_end_matches('/').contains('/');
    if !anchored {
        return PathBuf::new();
    }
    let plain = |part: &&str| !part.contains(['*', '?', '[', '\\']);
    pattern.split('/').filter(|part| !part.is_empty()).take_while(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(exclude: &[&str], include: &[&str]) -> Rules {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let sync = Sync {
            exclude: words(exclude),
            include: words(include),
            keep: words(&["target", "a/b"]),
            not_code: words(&["*.md", "/data/"]),
            ..Sync::default()
        };
        let files = OwnFiles { folder: "/r/x/out".into(), names: vec!["t.csv"], prefix: ".own" };
        let folders = ["/r/root/v2", "/elsewhere/v2"].map(PathBuf::from).to_vec();
        let own = Own { folders, files: Some(files) };
        Rules::new(&sync, Path::new("/r"), Path::new("/r/x/campaign.toml"), own).expect("rules")
    }

    #[test]
    fn the_last_match_wins_and_the_nearest_before_it() {
        let rules = rules(&["*.ckpt", "/runs/", "!best.ckpt"], &["runs/keep.txt", "tiny/"]);
        for (path, expected) in [
            ("a.c", Choice::Unsaid),
            ("deep/x.ckpt", Choice::Out),
            ("deep/best.ckpt", Choice::In),
            ("runs/1/log", Choice::Out),
            ("runs/keep.txt", Choice::In),
            ("deep/runs/log", Choice::Unsaid),
            ("tiny/a/b", Choice::In),
            ("tiny/x.ckpt", Choice::Out),
            ("p/__pycache__/x.pyc", Choice::Out),
        ] {
            assert_eq!(rules.choice(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn what_is_never_sent_and_what_is_no_code() {
        let rules = rules(&[], &[]);
        for path in [".git/config", "m/.git", "x/.sp/c/y", "root/v2/id", "target/x", "a/b/c"] {
            assert!(rules.is_never(Path::new(path)), "{path}");
        }
        for path in ["x/out/t.csv", "x/out/.own", "x/out/.own-3f"] {
            assert!(rules.is_never(Path::new(path)), "{path}");
        }
        for path in [
            "out/t.csv",
            "x/out/u.csv",
            "x/out/a/t.csv",
            "x/.own",
            "targets/x",
            "a/bc",
            "x/campaign.toml",
            ".gitignore",
            "root/x",
        ] {
            assert!(!rules.is_never(Path::new(path)), "{path}");
        }
        assert!(!rules.is_code(b"x/campaign.toml"));
        assert!(!rules.is_code(b"d/readme.md"));
        assert!(!rules.is_code(b"data/x"));
        assert!(rules.is_code(b"campaign.toml"));
        assert!(rules.is_code(b"x/data/y"));
    }

    #[test]
    fn an_include_is_looked_for_where_it_can_lie() {
        for (pattern, expected) in [
            ("data/tiny.bin", "data/tiny.bin"),
            ("/tiny.bin", "tiny.bin"),
            ("*.bin", ""),
            ("tiny/", ""),
            ("a/b/*.bin", "a/b"),
            ("a/**/x", "a"),
        ] {
            assert_eq!(start(pattern), Path::new(expected), "{pattern}");
        }
    }
}

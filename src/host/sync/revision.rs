//! The commit that a tree stands at, and whether the list of its files differs from it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::list::Listing;
use super::rules::Rules;
use super::snapshot::Source;
use crate::host::git::WorkTree;

/// The commit that jobs are handed over at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// Full commit id; `None` without git, and before the first commit.
    pub commit: Option<String>,
    /// Whether the files that jobs get differ from it: a file was edited or removed, or one is among them that is not
    /// committed. `None` where that cannot be told.
    pub dirty: Option<bool>,
}

impl Source {
    /// Asks git for the commit, and compares the list of files with it.
    pub fn revision(&self) -> Revision {
        let tree = WorkTree::open(self.root()).ok().flatten();
        let commit = tree.and_then(|tree| tree.commit());
        let dirty = match (&commit, self.list()) {
            (Some(_), Ok(listing)) => differs(self.root(), self.rules(), &listing),
            _ => None,
        };
        Revision { commit, dirty }
    }
}

/// Whether a list differs from the commits of the repositories that it is of. What the commits have and the rules leave out
/// is no difference.
fn differs(root: &Path, rules: &Rules, listing: &Listing) -> Option<bool> {
    if listing.entries.iter().any(|entry| !entry.tracked) {
        return Some(true);
    }
    let mut is_sure = true;
    for folder in &listing.repositories {
        let differences = WorkTree::open(folder).ok().flatten()?.differences().ok()?;
        let at = folder.strip_prefix(root).unwrap_or(Path::new(""));
        for one in differences {
            let path = at.join(OsStr::from_bytes(&one.path));
            if !rules.may_be_listed(path.as_os_str().as_bytes()) {
                continue;
            }
            if one.is_sure {
                return Some(true);
            }
            is_sure = false;
        }
    }
    is_sure.then_some(false)
}

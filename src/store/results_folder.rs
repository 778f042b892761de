//! The folder of `[results] dir`, which the campaign shares with its user: what in it is the campaign's, and how that is
//! replaced.
//!
//! A list in it, `.sp-results`, names the campaign that the folder belongs to and holds a digest of each table that was written.
//! A file that the list does not have, or has with another content, is somebody's own and stays.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::{Builder, NamedTempFile};

use super::ResultsError;
use crate::atomic_file::{Durability, private_folder, replace};
use crate::crash::crash_point;
use crate::ids::{CampaignName, InstanceId};
use crate::plain_file::{self, Wrong};

/// The tables.
pub const TABLES: [&str; 3] = ["results.csv", "results.jsonl", "attempts.csv"];
/// The list. What is being written has a name that begins so.
pub const OWN_PREFIX: &str = ".sp-results";
/// Lock of those who write the tables, in the folder of the checkpoint.
const LOCK: &str = "tables.lock";
/// More than any list has.
const LIST_MAX: u64 = 64 * 1024;
/// Format of the list.
const SCHEMA: u32 = 1;
/// What the list says of itself to people who find it.
const ABOUT: &str =
    "sp replaces the tables in this folder that are listed here; see `sp help results`";

/// The folder as a campaign file names it.
#[derive(Debug, Clone)]
pub struct ResultsFolder {
    path: PathBuf,
    /// What `path` is below.
    campaign_folder: PathBuf,
}

/// The folder as that of one campaign, of which it is known which copy it is.
#[derive(Debug)]
pub struct OwnedFolder {
    folder: ResultsFolder,
    campaign: CampaignName,
    id: InstanceId,
    /// Whoever writes holds it: an apply and what watches it write the same tables.
    lock: PathBuf,
}

/// Content of the list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    about: String,
    schema: u32,
    campaign: CampaignName,
    /// Which copy of the campaign.
    id: InstanceId,
    /// Digests of the contents that a table may have: the one it had when it was replaced last, and the one it was given. Both
    /// are there before the table is touched, so that an interruption leaves no table that is taken for somebody's own.
    tables: BTreeMap<String, Vec<String>>,
}

impl ResultsFolder {
    /// The folder `dir` below that of the campaign file; `.` for this one itself.
    pub fn new(campaign_folder: &Path, dir: &str) -> Self {
        let path = campaign_folder.join(dir).components().collect();
        Self { path, campaign_folder: campaign_folder.to_owned() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks whether a campaign may write its tables there; makes and changes nothing. Without `id`, where it is not known
    /// which copy of the campaign this is, only the name is compared.
    ///
    /// # Errors
    /// It may not, or it cannot be told.
    pub fn check(
        &self,
        campaign: &CampaignName,
        id: Option<&InstanceId>,
    ) -> Result<(), ResultsError> {
        self.check_way()?;
        let list = self.list()?;
        if let Some(list) = &list {
            self.check_owner(list, campaign, id)?;
        }
        self.contents(list.as_ref()).map(drop)
    }

    /// The folder as that of a copy of a campaign, whose checkpoint lies in `state_folder`.
    pub fn of(self, campaign: &CampaignName, id: &InstanceId, state_folder: &Path) -> OwnedFolder {
        let lock = state_folder.join(LOCK);
        OwnedFolder { folder: self, campaign: campaign.clone(), id: id.clone(), lock }
    }

    /// The tables in it that a campaign wrote or is free to write. Others are somebody's own, and so is all of a folder that
    /// is not the campaign's.
    pub fn own_tables(&self, campaign: &CampaignName, id: &InstanceId) -> Vec<&'static str> {
        let Ok(list) = self.check_way().and_then(|()| self.list()) else { return Vec::new() };
        if list.as_ref().is_some_and(|list| self.check_owner(list, campaign, Some(id)).is_err()) {
            return Vec::new();
        }
        let listed = |name: &str| list.as_ref().is_some_and(|list| list.tables.contains_key(name));
        let free = |name: &str| fs::symlink_metadata(self.path.join(name)).is_err();
        TABLES.into_iter().filter(|name| listed(name) || free(name)).collect()
    }

    /// Refuses links: what lies behind one is not the campaign's.
    fn check_way(&self) -> Result<(), ResultsError> {
        let below = self.path.strip_prefix(&self.campaign_folder).unwrap_or(Path::new(""));
        let mut path = self.campaign_folder.clone();
        for part in below.components() {
            path.push(part);
            match fs::symlink_metadata(&path) {
                Ok(about) if about.is_symlink() => return Err(ResultsError::Link { path }),
                Ok(about) if !about.is_dir() => return Err(ResultsError::NoFolder { path }),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(ResultsError::io("look at", &path)(error)),
            }
        }
        Ok(())
    }

    fn list_path(&self) -> PathBuf {
        self.path.join(OWN_PREFIX)
    }

    fn list(&self) -> Result<Option<List>, ResultsError> {
        let path = self.list_path();
        let mut file = match open_plain(&path) {
            Ok(Some(file)) => file.take(LIST_MAX),
            Ok(None) => return Err(ResultsError::List { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ResultsError::io("read", &path)(error)),
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(ResultsError::io("read", &path))?;
        let list = serde_json::from_slice(&bytes).ok().filter(|list: &List| list.schema == SCHEMA);
        list.map(Some).ok_or(ResultsError::List { path })
    }

    /// A folder without tables yet goes over from one copy of a campaign to another: which of them this is may have become
    /// known only since.
    fn check_owner(
        &self,
        list: &List,
        campaign: &CampaignName,
        id: Option<&InstanceId>,
    ) -> Result<(), ResultsError> {
        let folder = || self.path.clone();
        if list.campaign != *campaign {
            let owner = list.campaign.to_string();
            return Err(ResultsError::OtherCampaign { folder: folder(), owner });
        }
        if id.is_some_and(|id| list.id != *id) && !list.tables.is_empty() {
            let campaign = campaign.to_string();
            return Err(ResultsError::OtherCopy { folder: folder(), campaign });
        }
        Ok(())
    }

    /// Digests of the tables that are there, all of which sp wrote.
    fn contents(
        &self,
        list: Option<&List>,
    ) -> Result<BTreeMap<&'static str, String>, ResultsError> {
        let mut contents = BTreeMap::new();
        let mut files = Vec::new();
        for name in TABLES {
            let path = self.path.join(name);
            let file = match open_plain(&path) {
                Ok(Some(file)) => file,
                Ok(None) => {
                    files.push((path, "is no plain file"));
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(ResultsError::io("read", &path)(error)),
            };
            let Some(known) = list.and_then(|list| list.tables.get(name)) else {
                files.push((path, "was not written by sp"));
                continue;
            };
            let digest = digest(file).map_err(ResultsError::io("read", &path))?;
            // A power cut may leave an empty file of a table; it holds nothing of anybody's.
            if !known.contains(&digest) && digest != blake3::hash(b"").to_string() {
                files.push((path, "was changed since sp wrote it"));
                continue;
            }
            contents.insert(name, digest);
        }
        if files.is_empty() { Ok(contents) } else { Err(ResultsError::NotOurs { files }) }
    }

    /// A file with this content, beside the tables and not yet one of them.
    fn prepare(
        &self,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<NamedTempFile> {
        let mut writer =
            io::BufWriter::new(Builder::new().prefix(OWN_PREFIX).tempfile_in(&self.path)?);
        fill(&mut writer)?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl OwnedFolder {
    /// Its path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes the folder, where it is missing, and puts on record whose it is.
    ///
    /// # Errors
    /// The campaign may not write there, see [`ResultsFolder::check`].
    pub fn claim(&self) -> Result<(), ResultsError> {
        let _lock = self.lock()?;
        self.look()?;
        self.make()
    }

    /// Replaces the tables by what `fill` writes of each; those that are the same already are left alone.
    ///
    /// # Errors
    /// Something in the folder is somebody else's, or the system refuses: then no table is replaced, or those before the one
    /// that the system refuses.
    pub fn replace(
        &self,
        fill: impl Fn(&str, &mut dyn Write) -> io::Result<()>,
    ) -> Result<(), ResultsError> {
        let _lock = self.lock()?;
        let contents = self.look()?;
        self.make()?;
        let folder = &self.folder;
        let mut made = Vec::new();
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in TABLES {
            let path = folder.path.join(name);
            let failed = |error| ResultsError::io("write", &path)(error);
            let file = folder.prepare(|out| fill(name, out)).map_err(failed)?;
            let digest = file.reopen().and_then(digest).map_err(failed)?;
            let before = contents.get(name).filter(|before| **before != digest);
            tables.insert(name.to_owned(), before.into_iter().chain([&digest]).cloned().collect());
            if contents.get(name) != Some(&digest) {
                made.push((path, file));
            }
        }
        if made.is_empty() {
            return Ok(());
        }
        let path = folder.list_path();
        replace(&path, &self.list_with(tables), Durability::Synced)
            .map_err(ResultsError::io("write", &path))?;
        crash_point("results.listed");
        for (path, file) in made {
            file.persist(&path).map_err(|error| ResultsError::io("write", &path)(error.error))?;
            crash_point("results.replaced");
        }
        Ok(())
    }

    fn lock(&self) -> Result<File, ResultsError> {
        let open = plain_file::open_own(&self.lock);
        let locked = open.and_then(|file| file.lock().map(|()| file));
        locked.map_err(|source| ResultsError::Lock { path: self.lock.clone(), source })
    }

    /// Makes the folder and its list where they are missing.
    fn make(&self) -> Result<(), ResultsError> {
        let folder = &self.folder;
        private_folder(&folder.path).map_err(ResultsError::io("make the folder", &folder.path))?;
        let path = folder.list_path();
        // Another campaign may have come first since the folder was looked at.
        if fs::symlink_metadata(&path).is_ok() {
            return self.look().map(drop);
        }
        let made = folder.prepare(|out| out.write_all(&self.list_with(BTreeMap::new())));
        let made = made.map_err(ResultsError::io("write", &path))?;
        match made.persist_noclobber(&path) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                self.look().map(drop)
            }
            Err(error) => Err(ResultsError::io("write", &path)(error.error)),
        }
    }

    /// Looks whether the folder is still the campaign's; the digests of its tables.
    fn look(&self) -> Result<BTreeMap<&'static str, String>, ResultsError> {
        let folder = &self.folder;
        folder.check_way()?;
        let list = folder.list()?;
        if let Some(list) = &list {
            folder.check_owner(list, &self.campaign, Some(&self.id))?;
        }
        folder.contents(list.as_ref())
    }

    fn list_with(&self, tables: BTreeMap<String, Vec<String>>) -> Vec<u8> {
        let (campaign, id) = (self.campaign.clone(), self.id.clone());
        let list = List { about: ABOUT.to_owned(), schema: SCHEMA, campaign, id, tables };
        let mut bytes = serde_json::to_vec_pretty(&list).expect("a list is JSON");
        bytes.push(b'\n');
        bytes
    }
}

/// Opens a plain file; `None` where something else lies there, a link among it.
fn open_plain(path: &Path) -> io::Result<Option<File>> {
    match plain_file::open(path) {
        Ok((file, _)) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(None),
        Err(error) if Wrong::of(&error).is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

fn digest(file: File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another campaign may take the folder after this one looked at it and before this one takes it.
    #[test]
    fn a_folder_that_another_campaign_just_took_is_not_taken() {
        let place = tempfile::tempdir().expect("a folder");
        let id: InstanceId = "0123456789ab".parse().expect("an id");
        let of = |name: &str| {
            let campaign = name.parse().expect("a name");
            ResultsFolder::new(place.path(), "out").of(&campaign, &id, place.path())
        };
        let (first, second) = (of("first"), of("second"));
        second.look().expect("there is nothing yet");
        first.claim().expect("the folder is free");
        let error = second.make().expect_err("it is the first one's");
        assert!(matches!(error, ResultsError::OtherCampaign { .. }), "{error}");
        first.claim().expect("it still is");
    }
}

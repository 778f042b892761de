//! Which instance of its campaign a folder is: what the file says, what is on record beside the checkpoint, what the repository
//! or a host knows. The rules are in `sp help instances`.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{ApplyError, Collected, Settings, Workspace};
use crate::campaign::Campaign;
use crate::host::{Client, random_word, repository};
use crate::ids::{CampaignName, Instance, InstanceId};
use crate::plain_file;
use crate::store::{Holder, Identity, folder_of, set_folder_aside};

/// Digits of an id that was found out or drawn.
const DIGITS: usize = 12;
/// Bytes of a campaign file that is read to see whose it is.
const FILE_MAX: u64 = 64 << 20;

/// How an instance is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// By the file, or by the record beside the checkpoint.
    Settled,
    /// By the repository. The first hand-over puts it on record, where it stays, whatever becomes of the history.
    Derived,
    /// Not yet: the folder is in no repository, and a host may know it by its place.
    ByPlace,
    /// Not yet: the repository is a shallow clone, and a host may know others of it.
    ByRepository,
    /// Not at all: there is a repository, and git has no answer about it, but these words.
    Unread(String),
}

/// What was found out before any host is asked.
pub(super) struct Identified {
    pub(super) instance: Instance,
    pub(super) known: Known,
    pub(super) client: Client,
    record: Identity,
    copied: Option<Copied>,
}

/// A folder whose `.sp` was copied along from another one that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The campaign file of the other folder.
    pub from: PathBuf,
    /// Where the copied state is now; `None` where it stays, since nothing is kept of this command.
    pub aside: Option<PathBuf>,
}

impl Identified {
    /// Says that nothing is kept of this command, so that the folder stays what it was.
    pub(super) fn stays_where_it_is(&mut self) {
        if let Some(copied) = &mut self.copied {
            copied.aside = None;
        }
    }

    /// Finds out which instance the campaign file of `settings` is. A state folder `folder` that belongs to another instance is set
    /// aside; else only the record beside the checkpoint is brought up to date.
    pub(super) fn of(
        settings: &Settings,
        folder: &Path,
        machine: &str,
        us: &Holder,
    ) -> Result<Self, ApplyError> {
        let name = &settings.campaign.name;
        let mut record = Identity::read(folder)?;
        let mut copied = None;
        if let Some(then) = &record {
            let from = copied_from(then, machine, settings)?;
            let other = settings.campaign.id.as_ref().is_some_and(|said| *said != then.id);
            if from.is_some() || (other && then.settled) {
                let aside = set_folder_aside(folder, &Instance::new(name, &then.id), us)?;
                copied = from.map(|from| Copied { from, aside: Some(aside) });
                record = None;
            }
        }
        let mut client = Client::new(machine, &settings.file);
        let (id, known) = Self::known(settings, record.as_ref(), &mut client);
        let settled = known == Known::Settled;
        let now =
            Identity { id, settled, machine: machine.to_owned(), file: settings.file.clone() };
        let record = match record {
            None => now.write_first(folder)?,
            Some(then) if then == now => then,
            Some(_) => {
                now.write(folder)?;
                now
            }
        };
        Ok(Self { instance: Instance::new(name, &record.id), known, client, record, copied })
    }

    /// The id by what is said, on record, or known of the repository; else one that no other has.
    fn known(
        settings: &Settings,
        record: Option<&Identity>,
        client: &mut Client,
    ) -> (InstanceId, Known) {
        let settled = record.filter(|record| record.settled).map(|record| record.id.clone());
        let repository = repository(settings.folder());
        if let Ok(Some(repository)) = &repository {
            client.is_in(repository, &settings.file);
        }
        if let Some(id) = settings.campaign.id.clone().or(settled) {
            return (id, Known::Settled);
        }
        // Processes that begin at once share what the first of them drew.
        let drawn = || record.map_or_else(fresh_id, |record| record.id.clone());
        match repository {
            Err(why) => (drawn(), Known::Unread(why)),
            Ok(None) => (drawn(), Known::ByPlace),
            Ok(Some(repository)) => match &repository.first_commit {
                Some(first) => {
                    (derived_id(first, &repository.prefix, &settings.file), Known::Derived)
                }
                None => (drawn(), Known::ByRepository),
            },
        }
    }
}

impl Workspace {
    /// The instance that this folder is.
    pub fn instance(&self) -> &Instance {
        &self.identified.instance
    }

    /// Where the state of the folder was put that this one was copied from.
    pub fn copied(&self) -> Option<&Copied> {
        self.identified.copied.as_ref()
    }

    /// Puts the instance on record. From now on it stays what it is.
    pub(super) fn settle(&mut self) -> Result<(), ApplyError> {
        if !self.identified.record.settled {
            let record = &mut self.identified.record;
            record.id = self.identified.instance.id();
            record.settled = true;
            record.write(&self.state_folder)?;
            self.identified.known = Known::Settled;
        }
        Ok(())
    }

    /// Looks for this folder among the instances that hosts told of, where that is not known yet. True where it was found: then
    /// what hosts answered was about another one.
    ///
    /// # Errors
    /// The repository is a shallow clone, and no host knows it; or git has no answer about it.
    pub(super) fn find_itself(&mut self, collected: &Collected) -> Result<bool, ApplyError> {
        let here = &self.identified.client;
        let is_ours: fn(&Client, &Client) -> bool = match &self.identified.known {
            Known::Settled | Known::Derived => return Ok(false),
            Known::ByPlace => |here, other| other.place == here.place,
            Known::ByRepository => Client::is_clone_of,
            Known::Unread(why) => {
                let (file, why) = (self.settings.file.clone(), why.clone());
                return Err(ApplyError::Repository { file, why });
            }
        };
        let others = collected.hosts.values().flat_map(|answer| &answer.others);
        let ours = others.filter(|other| is_ours(here, &other.client));
        let mut ours: Vec<&Instance> = ours.map(|other| &other.instance).collect();
        ours.sort();
        ours.dedup();
        match ours.as_slice() {
            [one] => {
                self.identified.instance = (*one).clone();
                self.settle()?;
                Ok(true)
            }
            _ if self.identified.known == Known::ByRepository => {
                let answered = collected.hosts.values().any(|answer| answer.trouble.is_none());
                if answered {
                    return Err(ApplyError::Shallow { file: self.settings.file.clone() });
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }
}

/// The campaign file whose state was copied to the folder of `settings`; `None` where the folder was moved, or is on another
/// machine by now.
fn copied_from(
    then: &Identity,
    machine: &str,
    settings: &Settings,
) -> Result<Option<PathBuf>, ApplyError> {
    let here = &settings.file;
    if then.file == *here || then.machine != machine || is_same_file(&then.file, here) {
        return Ok(None);
    }
    let name = &settings.campaign.name;
    if !then.file.is_file() || !is_campaign(&then.file, name) {
        return Ok(None);
    }
    let folder = then.file.parent().unwrap_or_else(|| Path::new("/"));
    if folder == settings.folder() {
        return Err(ApplyError::SameName {
            file: here.clone(),
            other: then.file.clone(),
            name: name.to_string(),
        });
    }
    let theirs = Identity::read(&folder_of(folder, name))?;
    Ok(theirs.filter(|theirs| theirs.id == then.id).map(|_| then.file.clone()))
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    match (std::fs::metadata(a), std::fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Whether a file is a campaign of this name. One that cannot be read is taken for it: then nothing of it is touched.
fn is_campaign(file: &Path, name: &CampaignName) -> bool {
    let text = plain_file::open(file).and_then(|(file, _)| plain_file::read(&file, FILE_MAX));
    let Some(text) = text.ok().and_then(|text| String::from_utf8(text).ok()) else { return true };
    Campaign::parse(&file.display().to_string(), &text)
        .map_or(true, |(campaign, _)| campaign.name == *name)
}

/// The id of a file in a repository: the same in every clone and work tree of it.
fn derived_id(first_commit: &str, prefix: &[u8], file: &Path) -> InstanceId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(first_commit.as_bytes()).update(b"\0").update(prefix);
    hasher.update(file.file_name().unwrap_or_default().as_bytes());
    let digits = &hasher.finalize().to_hex()[..DIGITS];
    digits.parse().expect("hex digits are a name")
}

fn fresh_id() -> InstanceId {
    random_word()[..DIGITS].parse().expect("hex digits are a name")
}

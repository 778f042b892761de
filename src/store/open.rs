//! Opening the checkpoint: making it, knowing it, refusing it, setting a damaged one aside.
//!
//! A new file is made complete under another name and published by a rename that overwrites nothing, so an empty or half
//! made `checkpoint.db` is always damage.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, params};
use rusqlite_migration::{M, Migrations};

use super::{ApplyLock, Holder, Lock, Store, StoreError};
use crate::atomic_file::{Durability, replace};
use crate::crash::crash_point;
use crate::ids::CampaignName;
use crate::plain_file::{check, check_folder, own_folder};

/// Every format there was, oldest first; an entry is never edited.
const MIGRATIONS: &[M<'_>] = &[M::up(include_str!("../../schema/checkpoint.sql"))];
/// `application_id` of a checkpoint, as in the schema.
const APPLICATION: i64 = 0x7370_5f63;
pub(super) const FILE: &str = "checkpoint.db";
/// Bytes of the smallest page of SQLite. A shorter file would pass for an empty database.
const SMALLEST: u64 = 512;
/// How long a writer waits for another one: transactions last milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// What opening gave.
#[derive(Debug)]
pub struct Opened {
    /// The checkpoint.
    pub store: Store,
    /// Where a damaged one was put; to be said loudly.
    pub set_aside: Option<PathBuf>,
}

/// Puts a checkpoint aside that turned out damaged after it was opened, and says where it is now; the next [`Store::open`]
/// makes a new one. Nobody may have it open for writing: the lock says that no apply does. `None`: what lies there now is
/// sound, since somebody who had the lock before has put the damaged one aside.
pub fn set_aside(path: &Path, _lock: &ApplyLock) -> Result<Option<PathBuf>, StoreError> {
    match read_whole(path) {
        Ok(()) => Ok(None),
        Err(StoreError::Damaged { .. }) => put_aside(path).map(Some),
        Err(error) => Err(error),
    }
}

/// Reads all that any command reads, so that what one of them stumbles over is found here, too. `tests/it/tidy.rs` sees that
/// no reader is left out.
fn read_whole(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let Some(store) = Store::open_read_only(folder)? else { return Ok(()) };
    store.check()?;
    store.lists()?;
    store.open_attempts()?;
    store.moved_attempts()?;
    store.codes()?;
    for job in store.known()? {
        store.parts(job.id)?;
    }
    for host in store.snapshot()?.hosts {
        store.host(&host.name)?;
    }
    Ok(())
}

/// The folder of a campaign's checkpoint, given the folder of its file.
pub fn folder_of(campaign_folder: &Path, campaign: &CampaignName) -> PathBuf {
    campaign_folder.join(".sp").join(campaign.as_str())
}

impl Store {
    /// Opens the checkpoint in `folder` (see [`folder_of`]), making folder and file where they are missing. `us`: this process, which takes the campaign's lock where a damaged file must be set
    /// aside, and whose `since` goes on record for a new one.
    pub fn open(folder: &Path, campaign: &CampaignName, us: &Holder) -> Result<Opened, StoreError> {
        Self::open_patient(folder, campaign, us, PATIENCE)
    }

    /// [`Store::open`] with another patience for a locked file.
    #[doc(hidden)]
    pub fn open_patient(
        folder: &Path,
        campaign: &CampaignName,
        us: &Holder,
        patience: Duration,
    ) -> Result<Opened, StoreError> {
        make_folder(folder)?;
        let path = folder.join(FILE);
        let mut set_aside = None;
        // Held from the moment that damage is seen until the new file is there: an apply may not lose its intents to us.
        let mut lock = None;
        loop {
            if !path.try_exists().map_err(StoreError::io("look at", &path))? {
                create(folder, &path, campaign, us.since)?;
            }
            match open_existing(&path, campaign, patience) {
                Ok(store) => return Ok(Opened { store, set_aside }),
                Err(StoreError::Damaged { path, cause }) if set_aside.is_none() => match lock {
                    // With the lock another look: somebody may have set it aside before us.
                    None => lock = Some(lock_damaged(folder, us, path, cause)?),
                    Some(_) => set_aside = Some(put_aside(&path)?),
                },
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens the checkpoint for reading alone; `None` where there is none.
    pub fn open_read_only(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE);
        if !path.try_exists().map_err(StoreError::io("look at", &path))? {
            return Ok(None);
        }
        check_folder(folder).map_err(StoreError::io("open", folder))?;
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY, PATIENCE)?;
        check_format(&connection, &path)?;
        Ok(Some(Self { connection, path }))
    }

    /// Writes a copy, as of one moment, to a file that is not there yet.
    pub(super) fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let target = path.to_string_lossy();
        self.connection
            .execute("VACUUM INTO ?1", [&*target])
            .map_err(StoreError::of(&self.path))?;
        Ok(())
    }

    /// Whether every page is sound; reads the whole file.
    pub fn check(&self) -> Result<(), StoreError> {
        let failed = StoreError::of(&self.path);
        let word: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(failed)?;
        if word == "ok" {
            Ok(())
        } else {
            Err(StoreError::Damaged { path: self.path.clone(), cause: word })
        }
    }
}

/// Takes the lock without which a damaged checkpoint stays where it is.
fn lock_damaged(
    folder: &Path,
    us: &Holder,
    path: PathBuf,
    cause: String,
) -> Result<ApplyLock, StoreError> {
    match ApplyLock::acquire(folder, us)? {
        Lock::Acquired(lock) => Ok(lock),
        Lock::Held(holder) => Err(StoreError::DamagedInUse { path, cause, holder }),
    }
}

/// Folder and `.sp` are for the user alone; what lies in `.sp` is no part of a repository.
pub(super) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    if let Some(parent) =
        folder.parent().filter(|parent| parent.file_name() == Some(OsStr::new(".sp")))
    {
        own_folder(parent).map_err(StoreError::io("make the folder", parent))?;
        let ignore = parent.join(".gitignore");
        if !ignore.exists() {
            replace(&ignore, b"*\n", Durability::Cached)
                .map_err(StoreError::io("write", &ignore))?;
        }
    }
    own_folder(folder).map_err(StoreError::io("make the folder", folder))
}

/// Refuses what is no file of a checkpoint, before SQLite opens it or its journal.
fn check_files(path: &Path) -> Result<(), StoreError> {
    for file in [path, &journal_of(path)] {
        check(file).map_err(StoreError::io("open", file))?;
    }
    Ok(())
}

fn connect(path: &Path, mode: OpenFlags, patience: Duration) -> Result<Connection, StoreError> {
    check_files(path)?;
    let failed = StoreError::of(path);
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(&failed)?;
    connection.busy_timeout(patience).map_err(&failed)?;
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; \
             PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;",
        )
        .map_err(&failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Makes a complete checkpoint. Another process that does the same at the same time wins or loses as a whole.
fn create(
    folder: &Path,
    path: &Path,
    campaign: &CampaignName,
    now: Timestamp,
) -> Result<(), StoreError> {
    crash_point("store.create.before");
    // Files of `tempfile` have mode 0600; SQLite gives a journal the mode of its database.
    let file = tempfile::Builder::new()
        .prefix(".checkpoint-")
        .tempfile_in(folder)
        .map_err(StoreError::io("write in", folder))?;
    let failed = StoreError::of(file.path());
    let mut connection = connect(file.path(), OpenFlags::SQLITE_OPEN_READ_WRITE, PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "DELETE").map_err(&failed)?;
    migrate(&mut connection, file.path())?;
    connection
        .execute(
            "INSERT INTO meta (ordinal, campaign, created_at, created_by) VALUES (1, ?1, ?2, ?3)",
            params![campaign.as_str(), now.as_millisecond(), env!("CARGO_PKG_VERSION")],
        )
        .map_err(&failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    // A journal that was left by a file that is gone would be played into the new one.
    remove_if_there(&journal_of(path))?;
    crash_point("store.create.inside");
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(StoreError::io("make", path)(error.error)),
    }
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(StoreError::io("sync", folder))?;
    crash_point("store.create.after");
    Ok(())
}

fn open_existing(
    path: &Path,
    campaign: &CampaignName,
    patience: Duration,
) -> Result<Store, StoreError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, patience)?;
    let failed = StoreError::of(path);
    if check_format(&connection, path)? {
        migrate(&mut connection, path)?;
    }
    // SQLite opens a file that is read-only for the user without a word.
    if connection.is_readonly(rusqlite::MAIN_DB).map_err(&failed)? {
        return Err(StoreError::ReadOnly { path: path.to_owned() });
    }
    let owner: String = connection
        .query_row("SELECT campaign FROM meta", [], |row| row.get(0))
        .map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => StoreError::Damaged {
                path: path.to_owned(),
                cause: "its first row is missing".to_owned(),
            },
            error => failed(error),
        })?;
    if owner != campaign.as_str() {
        return Err(StoreError::OtherCampaign { path: path.to_owned(), owner });
    }
    Ok(Store { connection, path: path.to_owned() })
}

/// Whether the file is older than this version; an error if it is newer, foreign, empty or cut short.
fn check_format(connection: &Connection, path: &Path) -> Result<bool, StoreError> {
    let failed = StoreError::of(path);
    let number = |pragma: &str| -> Result<i64, StoreError> {
        connection.query_row(pragma, [], |row| row.get(0)).map_err(&failed)
    };
    let damaged =
        |cause: &str| StoreError::Damaged { path: path.to_owned(), cause: cause.to_owned() };
    let length = fs::metadata(path).map_err(StoreError::io("look at", path))?.len();
    if length < SMALLEST {
        return Err(damaged("the file is empty or cut short"));
    }
    // The first read also plays back what a crash left; only then the length is final.
    let application = number("PRAGMA application_id")?;
    let pages = number("PRAGMA page_count")?.saturating_mul(number("PRAGMA page_size")?);
    let length = fs::metadata(path).map_err(StoreError::io("look at", path))?.len();
    if i64::try_from(length).is_ok_and(|length| length < pages) {
        return Err(damaged("the file is cut short"));
    }
    if application != APPLICATION {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found = number("PRAGMA user_version")?;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    Ok(found < known)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    Migrations::from_slice(MIGRATIONS).to_latest(connection).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => StoreError::of(path)(err),
        error => StoreError::Damaged { path: path.to_owned(), cause: error.to_string() },
    })
}

/// Renames a damaged file to `checkpoint.db.corrupt-<n>`. Its journal goes first: left behind, it would be played into
/// the file that comes next.
fn put_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let mut target = path.to_owned();
    for n in 1_u32.. {
        target.set_file_name(format!("{FILE}.corrupt-{n}"));
        if !target.try_exists().map_err(StoreError::io("look at", &target))? {
            break;
        }
    }
    let journal = journal_of(path);
    match fs::rename(&journal, journal_of(&target)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::io("set aside", &journal)(error));
        }
        _ => {}
    }
    fs::rename(path, &target).map_err(StoreError::io("set aside", path))?;
    Ok(target)
}

/// Checkpoints that were set aside before the last one that was, and their journals.
pub fn older_copies(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let prefix = format!("{FILE}.corrupt-");
    let mut copies = Vec::new();
    for entry in fs::read_dir(folder).map_err(StoreError::io("list", folder))? {
        let entry = entry.map_err(StoreError::io("list", folder))?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse::<u32>().ok());
        copies.extend(number.map(|number| (number, entry.path())));
    }
    copies.sort_unstable();
    copies.pop();
    let paths = copies.into_iter().flat_map(|(_, path)| [journal_of(&path), path]);
    Ok(paths.filter(|path| path.exists()).collect())
}

fn journal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-journal");
    name.into()
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

//! What this machine keeps of a campaign: the checkpoint, one SQLite file beside the campaign file, and whose the folder of its
//! tables is.
//!
//! The checkpoint remembers what hosts said; it never decides what is true and asks no host. Deleting it loses nothing that the
//! hosts do not know. Every write is one `BEGIN IMMEDIATE` transaction with a crash point before and after it.

mod borrowed;
mod error;
mod facts;
mod identity;
mod known;
mod lock;
mod memory;
mod open;
mod plan;
mod results_error;
mod results_folder;
mod snapshot;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

pub use borrowed::{Borrowed, is_writable};
pub use error::StoreError;
pub use identity::{Identity, set_folder_aside};
pub use known::OpenAttempt;
pub use lock::{ApplyLock, Holder, Lock, LockError};
pub use memory::{Change, HostMemory, HostReport, Intended, Intent, Recorded};
pub use open::{Opened, folder_of, older_copies, set_aside};
pub use plan::PlannedJob;
pub use results_error::ResultsError;
pub use results_folder::{OWN_PREFIX, OwnedFolder, ResultsFolder, TABLES};
pub use snapshot::{ApplyRow, AttemptRow, HostRow, JobRow, Provenance, SetupRow, Snapshot};

use crate::crash::crash_point;
use crate::ids::{ApplyId, HostName};
use crate::lifecycle::Unit;

/// An open checkpoint.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `body` as one transaction that holds the write lock from its first statement: one that reads first and
    /// writes later fails at once when another process writes in between.
    fn write<T>(
        &mut self,
        name: &str,
        body: impl FnOnce(&Transaction<'_>, &Path) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        crash_point(&format!("store.{name}.before"));
        let failed = StoreError::of(&self.path);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let value = body(&transaction, &self.path)?;
        crash_point(&format!("store.{name}.inside"));
        transaction.commit().map_err(&failed)?;
        crash_point(&format!("store.{name}.after"));
        Ok(value)
    }
}

/// The ordinal of a host, which is made known if it is not.
fn host_ordinal(transaction: &Transaction<'_>, host: &HostName) -> rusqlite::Result<i64> {
    let found = transaction
        .prepare_cached("SELECT ordinal FROM host WHERE name = ?1")?
        .query_row([host.as_str()], |row| row.get(0))
        .optional()?;
    if let Some(ordinal) = found {
        return Ok(ordinal);
    }
    transaction.execute("INSERT INTO host (name) VALUES (?1)", [host.as_str()])?;
    Ok(transaction.last_insert_rowid())
}

/// The ordinal of an apply, which is made known if it is not.
fn apply_ordinal(transaction: &Transaction<'_>, apply: &ApplyId) -> rusqlite::Result<i64> {
    let found = transaction
        .prepare_cached("SELECT ordinal FROM apply WHERE id = ?1")?
        .query_row([apply.as_str()], |row| row.get(0))
        .optional()?;
    if let Some(ordinal) = found {
        return Ok(ordinal);
    }
    transaction.execute("INSERT INTO apply (id) VALUES (?1)", [apply.as_str()])?;
    Ok(transaction.last_insert_rowid())
}

/// The ordinal of a unit, which is made known by its id alone if it is not.
fn unit_ordinal(transaction: &Transaction<'_>, unit: Unit) -> rusqlite::Result<i64> {
    let key = (unit.kind().word(), &unit.id().0[..]);
    let found = transaction
        .prepare_cached("SELECT ordinal FROM unit WHERE kind = ?1 AND id = ?2")?
        .query_row(key, |row| row.get(0))
        .optional()?;
    if let Some(ordinal) = found {
        return Ok(ordinal);
    }
    transaction.prepare_cached("INSERT INTO unit (kind, id) VALUES (?1, ?2)")?.execute(key)?;
    Ok(transaction.last_insert_rowid())
}

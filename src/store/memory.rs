//! Intents and facts: what is about to be handed over, and what hosts said came of it.
//!
//! The facts of an answer and the place in the host's journal that they end at are one transaction: a crash in between can
//! neither skip a fact nor, since facts may come twice, do harm by telling one again.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::facts::record_report;
use super::snapshot::{Provenance, from_json};
use super::{Store, StoreError, apply_ordinal, host_ordinal, unit_ordinal};
use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::lifecycle::{AttemptState, HostFact, IllegalEvent, JournalPosition, Unit};
use crate::plan::HostList;

/// What is remembered of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// Identity of its root.
    pub root_id: Option<String>,
    /// Identity of the machine.
    pub machine_id: Option<String>,
    /// Where to read on.
    pub journal: Option<JournalPosition>,
    /// Its clock less the client's, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// When it last answered, by the client's clock.
    pub last_seen: Option<Timestamp>,
}

/// One answer of a host.
#[derive(Debug, Clone)]
pub struct HostReport<'a> {
    /// The host.
    pub host: &'a HostName,
    /// What is to be remembered of it. `None` fields leave the old value.
    pub memory: HostMemory,
    /// Where in its journal the answer begins; `None`: with the journal, or it has nothing of it.
    pub read_from: Option<JournalPosition>,
    /// Whether it names every attempt that has records there: what it does not name has none any more.
    pub whole: bool,
    /// What it said, in its order.
    pub facts: &'a [HostFact],
}

/// An attempt whose state changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The job or setup.
    pub unit: Unit,
    /// Which of its attempts.
    pub attempt: Attempt,
    /// Its state before; `None` for one that the checkpoint did not know.
    pub from: Option<AttemptState>,
    /// Its state now.
    pub to: AttemptState,
    /// Index of the fact in the report.
    pub fact: usize,
}

/// What came of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// What changed, in the order of the facts.
    pub changes: Vec<Change>,
    /// Ended attempts whose records are gone from the host.
    pub records_gone: usize,
    /// Facts that were refused; to be told as warnings.
    pub illegal: Vec<(Unit, Attempt, IllegalEvent)>,
}

/// What is about to be handed to a host.
#[derive(Debug, Clone)]
pub struct Intent<'a> {
    /// This apply.
    pub apply: &'a ApplyId,
    /// The host.
    pub host: &'a HostName,
    /// Hash of the file that hands it over.
    pub batch: &'a str,
    /// Now, by the client's clock.
    pub at: Timestamp,
    /// Under what circumstances.
    pub provenance: &'a Provenance,
    /// The attempts.
    pub attempts: &'a [Intended],
}

/// One attempt of an [`Intent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intended {
    /// The job.
    pub job: JobId,
    /// Which attempt it will be.
    pub attempt: Attempt,
}

impl Store {
    /// An apply begins.
    pub fn begin_apply(&mut self, apply: &ApplyId, at: Timestamp) -> Result<(), StoreError> {
        self.write("begin-apply", |transaction, path| {
            let begin = || {
                let ordinal = apply_ordinal(transaction, apply)?;
                transaction.execute(
                    "UPDATE apply SET started_at = ?2, sp_version = ?3 WHERE ordinal = ?1",
                    params![ordinal, at.as_millisecond(), env!("CARGO_PKG_VERSION")],
                )
            };
            begin().map(drop).map_err(StoreError::of(path))
        })
    }

    /// An apply ends, with the code that `sp` ends with.
    pub fn end_apply(
        &mut self,
        apply: &ApplyId,
        at: Timestamp,
        exit_code: u8,
    ) -> Result<(), StoreError> {
        self.write("end-apply", |transaction, path| {
            let end = || {
                let ordinal = apply_ordinal(transaction, apply)?;
                transaction.execute(
                    "UPDATE apply SET ended_at = ?2, exit_code = ?3 WHERE ordinal = ?1",
                    params![ordinal, at.as_millisecond(), exit_code],
                )
            };
            end().map(drop).map_err(StoreError::of(path))
        })
    }

    /// Writes down what is about to be handed over, before the host is asked. Handing over again what was only intended
    /// is allowed, since the first try may have come to nothing; anything further along is an error, and nothing is written.
    pub fn intend(&mut self, intent: &Intent<'_>) -> Result<(), StoreError> {
        self.write("intend", |transaction, path| {
            let failed = StoreError::of(path);
            let apply = apply_ordinal(transaction, intent.apply).map_err(&failed)?;
            let host = host_ordinal(transaction, intent.host).map_err(&failed)?;
            let provenance = provenance_ordinal(transaction, intent.provenance).map_err(&failed)?;
            let mut row = transaction
                .prepare_cached(
                    "INSERT INTO attempt (unit, host, n, apply, batch, state, queued_at, provenance)
                     VALUES (?1, ?2, ?3, ?4, ?5, 'intended', ?6, ?7)
                     ON CONFLICT (unit, host, n) DO UPDATE SET
                        apply = excluded.apply, batch = excluded.batch, queued_at = excluded.queued_at,
                        provenance = excluded.provenance
                     WHERE state = 'intended'",
                )
                .map_err(&failed)?;
            for one in intent.attempts {
                let job = unit_ordinal(transaction, Unit::Job(one.job)).map_err(&failed)?;
                let at = intent.at.as_millisecond();
                let written = row
                    .execute(params![job, host, one.attempt.number(), apply, intent.batch, at, provenance])
                    .map_err(&failed)?;
                if written == 0 {
                    return Err(StoreError::AttemptTaken {
                        job: one.job,
                        attempt: one.attempt,
                        host: intent.host.clone(),
                    });
                }
            }
            Ok(())
        })
    }

    /// Takes back attempts that never came to anything: a complete answer of the host knows none of them. Only what was
    /// not seen running can be taken back; the rest stays. Returns how many went.
    pub fn take_back(
        &mut self,
        host: &HostName,
        attempts: &[Intended],
    ) -> Result<usize, StoreError> {
        self.write("take-back", |transaction, path| {
            let take = || -> rusqlite::Result<usize> {
                let mut row = transaction.prepare_cached(
                    "DELETE FROM attempt WHERE n = ?3 AND state IN ('intended', 'queued')
                     AND unit = (SELECT ordinal FROM unit WHERE id = ?1 AND kind = 'job')
                     AND host = (SELECT ordinal FROM host WHERE name = ?2)",
                )?;
                attempts.iter().try_fold(0, |gone, one| {
                    Ok(gone
                        + row.execute(params![
                            &one.job.0[..],
                            host.as_str(),
                            one.attempt.number()
                        ])?)
                })
            };
            take().map_err(StoreError::of(path))
        })
    }

    /// Keeps lists of hosts that jobs were dealt by. What is kept already costs no writing.
    pub fn keep_lists(&mut self, lists: &[HostList]) -> Result<(), StoreError> {
        let kept = self.lists()?;
        let new: BTreeSet<&HostList> = lists.iter().filter(|list| !kept.contains(list)).collect();
        if new.is_empty() {
            return Ok(());
        }
        self.write("lists", |transaction, path| {
            let keep = || -> rusqlite::Result<()> {
                let mut row = transaction
                    .prepare_cached("INSERT OR IGNORE INTO host_list (hosts) VALUES (?1)")?;
                for list in new {
                    row.execute([list.json()])?;
                }
                Ok(())
            };
            keep().map_err(StoreError::of(path))
        })
    }

    /// The lists of hosts that jobs were dealt by, as far as this checkpoint has heard of them.
    pub fn lists(&self) -> Result<Vec<HostList>, StoreError> {
        let read = || -> rusqlite::Result<Vec<HostList>> {
            self.connection
                .prepare_cached("SELECT hosts FROM host_list ORDER BY ordinal")?
                .query_map([], |row| from_json(row, 0))?
                .collect()
        };
        read().map_err(StoreError::of(&self.path))
    }

    /// What is remembered of a host; nothing for one that never answered.
    pub fn host(&self, host: &HostName) -> Result<HostMemory, StoreError> {
        read_host(&self.connection, host).map_err(StoreError::of(&self.path))
    }

    /// Records an answer of a host: its facts, and with them how far its journal has been read.
    pub fn record(&mut self, report: &HostReport<'_>) -> Result<Recorded, StoreError> {
        self.write("record", |transaction, path| {
            record_report(transaction, report).map_err(StoreError::of_answer(path, report.host))
        })
    }
}

pub(super) fn read_host(connection: &Connection, host: &HostName) -> rusqlite::Result<HostMemory> {
    let memory = connection
        .prepare_cached(
            "SELECT root_id, machine_id, journal_gen, journal_offset, clock_offset_ms, last_seen, journal_mark
             FROM host WHERE name = ?1",
        )?
        .query_row([host.as_str()], |row| {
            let generation: Option<String> = row.get(2)?;
            let offset: i64 = row.get(3)?;
            let mark: String = row.get(6)?;
            Ok(HostMemory {
                root_id: row.get(0)?,
                machine_id: row.get(1)?,
                journal: generation.map(|generation| JournalPosition {
                    generation,
                    offset: offset.unsigned_abs(),
                    mark,
                }),
                clock_offset_ms: row.get(4)?,
                last_seen: row
                    .get::<_, Option<i64>>(5)?
                    .and_then(|at| Timestamp::from_millisecond(at).ok()),
            })
        })
        .optional()?;
    Ok(memory.unwrap_or_default())
}

pub(super) fn provenance_ordinal(
    transaction: &Transaction<'_>,
    provenance: &Provenance,
) -> rusqlite::Result<i64> {
    let body = serde_json::to_string(provenance).expect("provenance is JSON");
    let found = transaction
        .prepare_cached("SELECT ordinal FROM provenance WHERE body = ?1")?
        .query_row([&body], |row| row.get(0))
        .optional()?;
    if let Some(ordinal) = found {
        return Ok(ordinal);
    }
    transaction.execute("INSERT INTO provenance (body) VALUES (?1)", [&body])?;
    Ok(transaction.last_insert_rowid())
}

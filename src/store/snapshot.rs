//! Everything that the checkpoint holds at one moment, as plain values: what reports are views of.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use rusqlite::Row;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::known::{attempt, parsed};
use super::{Store, StoreError};
use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::lifecycle::{AttemptState, Tree};
use crate::plan::Params;
use crate::state::{Files, State};

/// Under what circumstances attempts were handed over. The rendered command is a part of the job, see [`Store::parts`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Name of the synced tree; none where jobs run in the campaign's own folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Digest of the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_digest: Option<String>,
    /// Commit of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_rev: Option<String>,
    /// Whether the tree differed from that commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty: Option<bool>,
    /// Names of the variables that the host's table adds; `[env]` itself is among the job's parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Facts of the host: processors, memory, kernel, load and the like.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub host: IndexMap<String, Value>,
    /// Version of `sp`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sp_version: String,
    /// Hash of the host script.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host_script: String,
}

impl Provenance {
    /// What is known by the tree alone, which is all that a host's record has.
    pub fn of_tree(tree: &Tree) -> Self {
        Self {
            snapshot: tree.snapshot.clone(),
            code_digest: tree.code.map(|code| blake3::Hash::from_bytes(code).to_hex().to_string()),
            git_rev: tree.git_rev.clone(),
            dirty: tree.dirty,
            ..Self::default()
        }
    }
}

/// All rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// The campaign.
    pub campaign: String,
    /// Hosts in the order they were first met.
    pub hosts: Vec<HostRow>,
    /// Applies in the order they were first met.
    pub applies: Vec<ApplyRow>,
    /// Planned jobs in plan order, then obsolete ones in the order they were first met.
    pub jobs: Vec<JobRow>,
    /// Attempts of setups, in the order they were met.
    pub setups: Vec<SetupRow>,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
    /// Its name.
    pub name: HostName,
    /// When it last answered.
    pub last_seen: Option<Timestamp>,
}

/// An apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyRow {
    /// Its id.
    pub id: ApplyId,
    /// When it began; unknown for another client's.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The code it ended with.
    pub exit_code: Option<u8>,
}

/// A job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// Name for people; empty for a job that only a host knows.
    pub name: String,
    /// Place in the newest applied plan; `None` when obsolete.
    pub index: Option<u32>,
    /// Whether it was ever planned here; else only a host has told of it.
    pub planned_here: bool,
    /// Axis values by name.
    pub params: Params,
    /// The job whose result counts for this one, as long as no later attempt does.
    pub accepted_from: Option<JobId>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptRow>,
}

/// An attempt of a setup.
#[derive(Debug, Clone, PartialEq)]
pub struct SetupRow {
    /// Which setup; of the form of a job's id.
    pub id: JobId,
    /// The attempt.
    pub row: AttemptRow,
}

/// An attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// Where.
    pub host: HostName,
    /// Which.
    pub attempt: Attempt,
    /// By which apply.
    pub apply: ApplyId,
    /// Hash of the file that handed it over; unknown for one that was adopted.
    pub batch: Option<String>,
    /// Its state.
    pub state: AttemptState,
    /// Reason code; empty where there is none.
    pub reason: String,
    /// One sentence; may be empty.
    pub detail: String,
    /// Exit code as a shell sees it.
    pub exit_code: Option<u8>,
    /// Signal name such as `SIGKILL`.
    pub signal: Option<String>,
    /// Who wrote the last record.
    pub witness: Option<String>,
    /// The done marker that did not hold.
    pub marker: Option<String>,
    /// What became of processes it left behind.
    pub leftovers: Option<String>,
    /// The slot it holds or held.
    pub slot: Option<u32>,
    /// Its tmux session.
    pub session: Option<String>,
    /// Whether it outlived its wrapper.
    pub orphan: bool,
    /// When it was handed over, by the client's clock.
    pub queued_at: Option<Timestamp>,
    /// When it started, by the host's clock.
    pub started_at: Option<Timestamp>,
    /// When it ended, by the host's clock.
    pub ended_at: Option<Timestamp>,
    /// Seconds it ran.
    pub elapsed_s: Option<f64>,
    /// The host that got the job instead, before this one started it: then this is no end of the job.
    pub moved_to: Option<HostName>,
    /// What became of its files, where it has ended.
    pub files: Files,
    /// Circumstances; for one that was adopted as much as the host's record has of them.
    pub provenance: Option<Arc<Provenance>>,
}

impl JobRow {
    /// The newest attempt; none where that was moved, since then no host has the job yet.
    pub fn newest(&self) -> Option<&AttemptRow> {
        self.attempts.last().filter(|row| row.moved_to.is_none())
    }

    /// The newest attempt that has ended, a moved one left out.
    pub fn last_ended(&self) -> Option<&AttemptRow> {
        let ended = |row: &&AttemptRow| {
            matches!(row.state, AttemptState::Ended(_)) && row.moved_to.is_none()
        };
        self.attempts.iter().rev().find(ended)
    }

    /// The present state.
    pub fn state(&self) -> State {
        match (self.accepted_from, self.newest()) {
            (Some(_), _) => State::Succeeded,
            (None, Some(row)) => row.state.shown(),
            (None, None) => State::Pending,
        }
    }
}

impl Store {
    /// Reads everything, as of one moment.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.read_snapshot().map_err(StoreError::of(&self.path))
    }

    fn read_snapshot(&self) -> rusqlite::Result<Snapshot> {
        let transaction = self.connection.unchecked_transaction()?;
        let shared = Shared::read(&transaction)?;
        let mut jobs = read_jobs(&transaction)?;
        let setups: BTreeMap<i64, JobId> = transaction
            .prepare("SELECT ordinal, id FROM unit WHERE kind = 'setup'")?
            .query_map([], |row| Ok((row.get(0)?, JobId(row.get(1)?))))?
            .collect::<Result<_, _>>()?;
        let mut setup_rows: BTreeMap<i64, SetupRow> = BTreeMap::new();
        let mut rows = transaction.prepare(
            "SELECT unit, host, n, apply, state, reason, detail, exit_code, signal, witness, marker, leftovers, slot,
                session, orphan, queued_at, started_at, ended_at, elapsed_s, provenance, batch, moved_to, files, ordinal
             FROM attempt ORDER BY n, ordinal",
        )?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let unit: i64 = row.get(0)?;
            if let Some((job, _)) = jobs.get_mut(&unit) {
                job.attempts.extend(shared.attempt(row)?);
            } else if let Some(id) = setups.get(&unit) {
                let of_setup = |attempt| SetupRow { id: *id, row: attempt };
                let found = shared.attempt(row)?.map(of_setup);
                setup_rows.extend(
                    found.map(|found| row.get(23).map(|ordinal| (ordinal, found))).transpose()?,
                );
            }
        }
        let ids: BTreeMap<i64, JobId> =
            jobs.iter().map(|(ordinal, (job, _))| (*ordinal, job.id)).collect();
        let mut jobs: Vec<JobRow> = jobs
            .into_values()
            .map(|(mut job, accepted)| {
                let newest = job.attempts.last().map_or(0, |row| row.attempt.number());
                job.accepted_from = accepted
                    .filter(|(_, after)| newest <= *after)
                    .and_then(|(from, _)| ids.get(&from).copied());
                job
            })
            .collect();
        jobs.sort_by_key(|job| job.index.unwrap_or(u32::MAX));
        Ok(Snapshot {
            campaign: transaction.query_row("SELECT campaign FROM meta", [], |row| row.get(0))?,
            hosts: shared.hosts.into_values().collect(),
            applies: shared.applies.into_values().collect(),
            jobs,
            setups: setup_rows.into_values().collect(),
        })
    }
}

/// What many attempts have in common, by ordinal.
struct Shared {
    hosts: BTreeMap<i64, HostRow>,
    applies: BTreeMap<i64, ApplyRow>,
    provenances: BTreeMap<i64, Arc<Provenance>>,
}

impl Shared {
    fn read(connection: &rusqlite::Connection) -> rusqlite::Result<Self> {
        let hosts = connection
            .prepare("SELECT ordinal, name, last_seen FROM host")?
            .query_map([], |row| {
                Ok((row.get(0)?, HostRow { name: parsed(row, 1)?, last_seen: moment(row, 2)? }))
            })?
            .collect::<Result<_, _>>()?;
        let applies = connection
            .prepare("SELECT ordinal, id, started_at, ended_at, exit_code FROM apply")?
            .query_map([], |row| {
                let apply = ApplyRow {
                    id: parsed(row, 1)?,
                    started_at: moment(row, 2)?,
                    ended_at: moment(row, 3)?,
                    exit_code: row.get(4)?,
                };
                Ok((row.get(0)?, apply))
            })?
            .collect::<Result<_, _>>()?;
        let provenances = connection
            .prepare("SELECT ordinal, body FROM provenance")?
            .query_map([], |row| Ok((row.get(0)?, Arc::new(from_json(row, 1)?))))?
            .collect::<Result<_, _>>()?;
        Ok(Self { hosts, applies, provenances })
    }

    /// Reads a row of the query for attempts; `None` where what it refers to is not there.
    fn attempt(&self, row: &Row<'_>) -> rusqlite::Result<Option<AttemptRow>> {
        let (host, apply) = (self.hosts.get(&row.get(1)?), self.applies.get(&row.get(3)?));
        let (Some(host), Some(apply)) = (host, apply) else { return Ok(None) };
        let provenance: Option<i64> = row.get(19)?;
        Ok(Some(AttemptRow {
            host: host.name.clone(),
            attempt: attempt(row, 2)?,
            apply: apply.id.clone(),
            batch: row.get(20)?,
            state: parsed(row, 4)?,
            reason: row.get(5)?,
            detail: row.get(6)?,
            exit_code: row.get(7)?,
            signal: row.get(8)?,
            witness: row.get(9)?,
            marker: row.get(10)?,
            leftovers: row.get(11)?,
            slot: row.get(12)?,
            session: row.get(13)?,
            orphan: row.get(14)?,
            queued_at: moment(row, 15)?,
            started_at: moment(row, 16)?,
            ended_at: moment(row, 17)?,
            elapsed_s: row.get(18)?,
            moved_to: moved_to(row, 21)?,
            files: parsed(row, 22)?,
            provenance: provenance.and_then(|ordinal| self.provenances.get(&ordinal).cloned()),
        }))
    }
}

/// A job, and the ordinal of the one whose result was accepted with the number of the newest attempt at that time.
type Met = (JobRow, Option<(i64, u32)>);

fn read_jobs(connection: &rusqlite::Connection) -> rusqlite::Result<BTreeMap<i64, Met>> {
    connection
        .prepare(
            "SELECT ordinal, id, name, idx, params, accepted_from, accepted_after, cell IS NOT NULL
             FROM unit WHERE kind = 'job'",
        )?
        .query_map([], |row| {
            let job = JobRow {
                id: JobId(row.get(1)?),
                name: row.get(2)?,
                index: row.get(3)?,
                planned_here: row.get(7)?,
                params: from_json(row, 4)?,
                accepted_from: None,
                attempts: Vec::new(),
            };
            let from: Option<i64> = row.get(5)?;
            let accepted = from.map(|from| row.get(6).map(|after| (from, after))).transpose()?;
            Ok((row.get(0)?, (job, accepted)))
        })?
        .collect()
}

pub(super) fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let millis: Option<i64> = row.get(column)?;
    millis
        .map(|millis| {
            Timestamp::from_millisecond(millis)
                .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, millis))
        })
        .transpose()
}

pub(super) fn moved_to(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<HostName>> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => parsed(row, column).map(Some),
    }
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}

//! What earlier applies left, as the plan wants it. Read at every start, so it reads as little as it can.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use rusqlite::types::Type;
use rusqlite::{OptionalExtension as _, Row};

use super::snapshot::moved_to;
use super::{Store, StoreError};
use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::lifecycle::{AttemptState, Unit};
use crate::plan::{CellKey, KnownJob, Parts};
use crate::state::{Files, State};

/// An attempt that has not ended, as far as the checkpoint knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAttempt {
    /// The job or setup.
    pub unit: Unit,
    /// Where.
    pub host: HostName,
    /// Which attempt.
    pub attempt: Attempt,
    /// The apply that handed it over.
    pub apply: ApplyId,
    /// Its state.
    pub state: AttemptState,
    /// The root it is in, as far as the host has told it.
    pub root_id: Option<String>,
    /// Whether an apply of this checkpoint handed it over.
    pub ours: bool,
}

impl Store {
    /// The newest that is known of every job: planned ones in plan order, then the others in the order they were met.
    pub fn known(&self) -> Result<Vec<KnownJob>, StoreError> {
        let mut jobs = self.read_known().map_err(StoreError::of(&self.path))?;
        // Stable: what is not planned keeps its order.
        jobs.sort_by_key(|(index, _)| index.unwrap_or(u32::MAX));
        Ok(jobs.into_iter().map(|(_, job)| job).collect())
    }

    /// Attempts that have not ended: of jobs in plan order, then of other jobs and of setups; of one unit the oldest first.
    pub fn open_attempts(&self) -> Result<Vec<OpenAttempt>, StoreError> {
        self.attempts_of(
            "SELECT kind, unit.id, host.name, n, apply.id, state, host.root_id, apply.started_at IS NOT NULL FROM attempt
             JOIN unit ON unit.ordinal = attempt.unit
             JOIN host ON host.ordinal = attempt.host
             JOIN apply ON apply.ordinal = attempt.apply
             WHERE state IN ('intended', 'queued', 'running')
             ORDER BY unit.idx IS NULL, unit.idx, unit.ordinal, n, attempt.ordinal",
        )
    }

    /// What other hosts are to get and have not got: of each job whose newest attempt was moved, the attempt that is to
    /// follow. Until then it is nobody's.
    pub fn moved_attempts(&self) -> Result<Vec<OpenAttempt>, StoreError> {
        let moved = self.attempts_of(
            "SELECT kind, unit.id, moved_to, n, apply.id, 'intended', host.root_id, apply.started_at IS NOT NULL
             FROM attempt
             JOIN unit ON unit.ordinal = attempt.unit
             JOIN apply ON apply.ordinal = attempt.apply
             LEFT JOIN host ON host.name = moved_to
             WHERE moved_to IS NOT NULL AND NOT EXISTS (
                 SELECT 1 FROM attempt AS later WHERE later.unit = attempt.unit AND later.n > attempt.n)
             ORDER BY attempt.ordinal",
        )?;
        // Behind the last one nothing follows.
        let behind =
            |moved: OpenAttempt| Some(OpenAttempt { attempt: moved.attempt.next()?, ..moved });
        Ok(moved.into_iter().filter_map(behind).collect())
    }

    /// Rows of unit, host, attempt, apply, state, root, and whether the apply was this checkpoint's.
    fn attempts_of(&self, query: &str) -> Result<Vec<OpenAttempt>, StoreError> {
        let read = || -> rusqlite::Result<Vec<OpenAttempt>> {
            self.connection
                .prepare_cached(query)?
                .query_map([], |row| {
                    Ok(OpenAttempt {
                        unit: unit(row, 0)?,
                        host: parsed(row, 2)?,
                        attempt: attempt(row, 3)?,
                        apply: parsed(row, 4)?,
                        state: parsed(row, 5)?,
                        root_id: row.get(6)?,
                        ours: row.get(7)?,
                    })
                })?
                .collect()
        };
        read().map_err(StoreError::of(&self.path))
    }

    /// What a job's id was computed from; `None` for a job that was never planned here.
    pub fn parts(&self, job: JobId) -> Result<Option<Parts>, StoreError> {
        let text: Option<String> = self
            .connection
            .prepare_cached(
                "SELECT parts FROM job_parts JOIN unit ON unit.ordinal = job_parts.unit
                 WHERE id = ?1 AND kind = 'job'",
            )
            .and_then(|mut rows| rows.query_row([&job.0[..]], |row| row.get(0)).optional())
            .map_err(StoreError::of(&self.path))?;
        text.map(|text| {
            serde_json::from_str(&text).map_err(|error| StoreError::Damaged {
                path: self.path.clone(),
                cause: format!("parts of job {job}: {error}"),
            })
        })
        .transpose()
    }

    fn read_known(&self) -> rusqlite::Result<Vec<(Option<u32>, KnownJob)>> {
        // One moment for both reads, whatever another process writes.
        let transaction = self.connection.unchecked_transaction()?;
        // Ascending, so a place is found by halving; a map of ten thousand costs more than the reading.
        let mut ordinals: Vec<i64> = Vec::new();
        let mut accepted: Vec<Option<(i64, u32)>> = Vec::new();
        let mut jobs = Vec::new();
        let mut rows = transaction.prepare(
            "SELECT ordinal, id, cell, name, idx, accepted_from, accepted_after FROM unit
                 WHERE kind = 'job' ORDER BY ordinal",
        )?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let ordinal: i64 = row.get(0)?;
            let index: Option<u32> = row.get(4)?;
            let id = JobId(row.get(1)?);
            ordinals.push(ordinal);
            let from: Option<i64> = row.get(5)?;
            accepted.push(from.map(|from| row.get(6).map(|after| (from, after))).transpose()?);

            let job = KnownJob {
                id,
                cell: row.get::<_, Option<[u8; 16]>>(2)?.map(CellKey),
                name: row.get(3)?,
                state: State::Pending,
                reason: String::new(),
                detail: String::new(),
                exit_code: None,
                signal: None,
                host: None,
                moved_to: None,
                attempt: None,
                accepted_from: None,
                planned: index.is_some(),
                ours: false,
                elapsed_s: None,
                stored: true,
                files: Files::Kept,
                code: None,
            };
            jobs.push((index, job));
        }
        self.read_attempts(&ordinals, &mut jobs)?;
        let ids: Vec<JobId> = jobs.iter().map(|(_, job)| job.id).collect();
        let codes: Vec<Option<[u8; 32]>> = jobs.iter().map(|(_, job)| job.code).collect();
        // An attempt that came after the acceptance counts instead of it.
        let standing = accepted.iter().zip(&jobs).map(|(accepted, (_, job))| {
            accepted
                .filter(|(_, after)| job.attempt.map_or(0, Attempt::number) <= *after)
                .map(|(from, _)| from)
        });
        let places: Vec<Option<usize>> =
            standing.map(|from| ordinals.binary_search(&from?).ok()).collect();
        for (from, (_, job)) in places.iter().zip(&mut jobs) {
            let Some(from) = *from else { continue };
            job.accepted_from = Some(ids[from]);
            job.state = State::Succeeded;
            "accepted".clone_into(&mut job.reason);
            job.detail.clear();
            job.exit_code = None;
            job.signal = None;
            // Acceptances may follow each other; no more steps than jobs, so that a circle ends too.
            let mut result = from;
            for _ in &places {
                result = places[result].unwrap_or(result);
            }
            job.code = codes[result];
        }
        Ok(jobs)
    }

    /// Digests of the code that attempts ran with. Far cheaper than to read what is known of every job.
    pub fn codes(&self) -> Result<BTreeSet<[u8; 32]>, StoreError> {
        let codes = self.read_codes().map_err(StoreError::of(&self.path))?;
        Ok(codes.into_values().collect())
    }

    /// Digests of the code by provenance; what is no digest is none.
    fn read_codes(&self) -> rusqlite::Result<BTreeMap<i64, [u8; 32]>> {
        let mut rows = self.connection.prepare(
            "SELECT ordinal, body ->> 'code_digest' FROM provenance WHERE body ->> 'code_digest' IS NOT NULL",
        )?;
        let mut codes = BTreeMap::new();
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let text: String = row.get(1)?;
            if let Ok(hash) = blake3::Hash::from_hex(&text) {
                codes.insert(row.get(0)?, *hash.as_bytes());
            }
        }
        Ok(codes)
    }

    fn read_attempts(
        &self,
        ordinals: &[i64],
        jobs: &mut [(Option<u32>, KnownJob)],
    ) -> rusqlite::Result<()> {
        let hosts: BTreeMap<i64, HostName> = self
            .connection
            .prepare("SELECT ordinal, name FROM host")?
            .query_map([], |row| Ok((row.get(0)?, parsed(row, 1)?)))?
            .collect::<Result<_, _>>()?;
        // Newest attempt that has ended, by number: it is not always the newest one.
        let mut ended: Vec<Option<Attempt>> = vec![None; jobs.len()];
        let codes = self.read_codes()?;
        // Applies that were only met in a host's records have no time.
        let ours: BTreeSet<i64> = self
            .connection
            .prepare("SELECT ordinal FROM apply WHERE started_at IS NOT NULL")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        // In the order they were written, which is the order of the file: no index, no sort.
        let mut rows = self.connection.prepare(
            "SELECT unit, n, state, host, reason, detail, exit_code, signal, elapsed_s, provenance, moved_to, apply, files
             FROM attempt ORDER BY ordinal",
        )?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let Ok(place) = ordinals.binary_search(&row.get(0)?) else { continue };
            let n = attempt(row, 1)?;
            let state: AttemptState = parsed(row, 2)?;
            let job = &mut jobs[place].1;
            let moved_to = moved_to(row, 10)?;
            if matches!(state, AttemptState::Ended(_))
                && moved_to.is_none()
                && Some(n) >= ended[place]
            {
                ended[place] = Some(n);
                job.elapsed_s = row.get(8)?;
                job.code =
                    row.get::<_, Option<i64>>(9)?.and_then(|ordinal| codes.get(&ordinal).copied());
            }
            if Some(n) < job.attempt {
                continue;
            }
            job.attempt = Some(n);
            job.moved_to = moved_to;
            job.ours = ours.contains(&row.get(11)?);
            job.files = parsed(row, 12)?;
            if job.moved_to.is_some() {
                // The other host is the home now, and nobody has it yet.
                (job.state, job.host) = (State::Pending, None);
                (job.exit_code, job.signal) = (None, None);
                job.reason.clear();
                job.detail.clear();
                continue;
            }
            job.state = state.shown();
            job.host = hosts.get(&row.get(3)?).cloned();
            job.reason = row.get(4)?;
            job.detail = row.get(5)?;
            job.exit_code = row.get(6)?;
            job.signal = row.get(7)?;
        }
        Ok(())
    }
}

/// Two columns, its kind and its id, as a unit.
pub(super) fn unit(row: &Row<'_>, column: usize) -> rusqlite::Result<Unit> {
    Ok(Unit::new(parsed(row, column)?, JobId(row.get(column + 1)?)))
}

/// A column as the number of an attempt; one that no host can write is damage.
pub(super) fn attempt(row: &Row<'_>, column: usize) -> rusqlite::Result<Attempt> {
    let number: i64 = row.get(column)?;
    let attempt = u32::try_from(number).ok().and_then(Attempt::new);
    attempt.ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A text column as a typed word; a word that no `sp` writes is damage.
pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|error: T::Err| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

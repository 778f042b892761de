//! Setups that hosts have run: what their records said of each attempt. They are no jobs, and no table of jobs has them.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::known::{attempt, parsed};
use super::snapshot::moment;
use super::{Store, StoreError, apply_ordinal};
use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::lifecycle::sentence::{Context, sentence};
use crate::lifecycle::{AttemptState, Fact, IllegalEvent, Reason};

/// An attempt of a setup.
#[derive(Debug, Clone, PartialEq)]
pub struct SetupRow {
    /// Which setup; of the form of a job's id.
    pub id: JobId,
    /// Where.
    pub host: HostName,
    /// Which attempt.
    pub attempt: Attempt,
    /// The apply whose hand-over it ran for.
    pub apply: ApplyId,
    /// Its state.
    pub state: AttemptState,
    /// Reason code; empty where there is none.
    pub reason: String,
    /// One sentence; may be empty.
    pub detail: String,
    /// Exit code as a shell sees it.
    pub exit_code: Option<u8>,
    /// When it started, by the host's clock.
    pub started_at: Option<Timestamp>,
    /// When it ended, by the host's clock.
    pub ended_at: Option<Timestamp>,
    /// Seconds it ran.
    pub elapsed_s: Option<f64>,
}

impl Store {
    /// Every attempt of a setup that is known, in the order they were met.
    pub fn setups(&self) -> Result<Vec<SetupRow>, StoreError> {
        read_setups(&self.connection).map_err(StoreError::of(&self.path))
    }
}

/// The state after a fact, where it changed something.
type Step = Result<Option<AttemptState>, IllegalEvent>;

/// Writes down what a fact says of an attempt of a setup.
pub(super) fn record_setup(
    transaction: &Transaction<'_>,
    host: i64,
    (id, attempt, apply): (JobId, Attempt, &ApplyId),
    fact: &Fact,
) -> rusqlite::Result<Step> {
    let before: Option<AttemptState> = transaction
        .prepare_cached("SELECT state FROM setup WHERE id = ?1 AND host = ?2 AND n = ?3")?
        .query_row(params![&id.0[..], host, attempt.number()], |row| parsed(row, 0))
        .optional()?;
    if before.is_none() && *fact == Fact::RootGone {
        return Ok(Ok(None));
    }
    let after = match before.unwrap_or(AttemptState::Intended).next(fact) {
        Ok(after) => after,
        Err(illegal) => return Ok(Err(illegal)),
    };
    // A setup waits in no queue, so there is no row for one that does.
    if before == Some(after) || !matches!(after, AttemptState::Running | AttemptState::Ended(_)) {
        return Ok(Ok(None));
    }
    let (mut reason, mut detail) = (String::new(), String::new());
    let (mut exit_code, mut started, mut ended, mut elapsed) = (None, None, None, None);
    match fact {
        Fact::Queued => {}
        Fact::Started { at, .. } => started = Some(*at),
        Fact::Open { started: at, .. } => started = *at,
        Fact::RootGone => {
            Reason::RootGone.word().clone_into(&mut reason);
            "the host's records of it are gone".clone_into(&mut detail);
        }
        Fact::Ended(ending) => {
            ending.reason.word().clone_into(&mut reason);
            detail = sentence(ending, &Context::default());
            (exit_code, elapsed) = (ending.exit_code, ending.elapsed_s);
            (started, ended) = (ending.started, Some(ending.ended));
        }
    }
    let apply = apply_ordinal(transaction, apply)?;
    let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millisecond);
    transaction
        .prepare_cached(
            "INSERT INTO setup (id, host, n, apply, state, reason, detail, exit_code, started_at, ended_at, elapsed_s)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (id, host, n) DO UPDATE SET
                state = excluded.state, reason = excluded.reason, detail = excluded.detail,
                exit_code = excluded.exit_code, started_at = coalesce(excluded.started_at, started_at),
                ended_at = excluded.ended_at, elapsed_s = excluded.elapsed_s",
        )?
        .execute(params![
            &id.0[..],
            host,
            attempt.number(),
            apply,
            after.word(),
            reason,
            detail,
            exit_code,
            millis(started),
            millis(ended),
            elapsed,
        ])?;
    Ok(Ok(Some(after)))
}

pub(super) fn read_setups(connection: &Connection) -> rusqlite::Result<Vec<SetupRow>> {
    connection
        .prepare(
            "SELECT setup.id, host.name, n, apply.id, state, reason, detail, setup.exit_code, setup.started_at,
                setup.ended_at, elapsed_s
             FROM setup JOIN host ON host.ordinal = setup.host JOIN apply ON apply.ordinal = setup.apply
             ORDER BY setup.ordinal",
        )?
        .query_map([], |row| {
            Ok(SetupRow {
                id: JobId(row.get(0)?),
                host: parsed(row, 1)?,
                attempt: attempt(row, 2)?,
                apply: parsed(row, 3)?,
                state: parsed(row, 4)?,
                reason: row.get(5)?,
                detail: row.get(6)?,
                exit_code: row.get(7)?,
                started_at: moment(row, 8)?,
                ended_at: moment(row, 9)?,
                elapsed_s: row.get(10)?,
            })
        })?
        .collect()
}

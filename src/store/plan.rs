//! Writing down the plan that is about to be applied: which jobs there are, in which order, made of what.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Store, StoreError};
use crate::ids::JobId;
use crate::plan::{CellKey, Params, Parts};

/// A job of the plan, as far as the checkpoint keeps it.
#[derive(Debug, Clone, Copy)]
pub struct PlannedJob<'a> {
    /// Identity.
    pub id: JobId,
    /// Its cell.
    pub cell: CellKey,
    /// Name for people.
    pub name: &'a str,
    /// Place in the plan.
    pub index: u32,
    /// Axis values by name, in file order, derived ones and `repeat` as columns want them.
    pub params: &'a Params,
    /// What its id was computed from.
    pub parts: &'a Parts,
}

/// A row as it is.
struct Present {
    ordinal: i64,
    cell: Option<Vec<u8>>,
    name: String,
    index: Option<u32>,
    params: String,
}

impl Store {
    /// Records the jobs of a plan in one transaction; every other job becomes obsolete and keeps its attempts. A plan that
    /// is recorded already writes nothing.
    pub fn record_plan<'a>(
        &mut self,
        jobs: impl IntoIterator<Item = PlannedJob<'a>>,
    ) -> Result<(), StoreError> {
        self.write("plan", |transaction, path| {
            let failed = StoreError::of(path);
            let mut present: BTreeMap<Vec<u8>, Present> = transaction
                .prepare("SELECT id, ordinal, cell, name, idx, params FROM unit WHERE kind = 'job'")
                .and_then(|mut rows| {
                    rows.query_map([], |row| {
                        let present = Present {
                            ordinal: row.get(1)?,
                            cell: row.get(2)?,
                            name: row.get(3)?,
                            index: row.get(4)?,
                            params: row.get(5)?,
                        };
                        Ok((row.get(0)?, present))
                    })?
                    .collect()
                })
                .map_err(&failed)?;
            for job in jobs {
                let params = job.params.to_json();
                let old = present.remove(&job.id.0[..]);
                let same = old.as_ref().is_some_and(|old| {
                    old.index == Some(job.index)
                        && old.name == job.name
                        && old.params == params
                        && old.cell.as_deref() == Some(&job.cell.0[..])
                });
                if !same {
                    write_job(transaction, &job, &params, old.as_ref()).map_err(&failed)?;
                }
            }
            let mut withdraw = transaction
                .prepare("UPDATE unit SET idx = NULL WHERE ordinal = ?1")
                .map_err(&failed)?;
            for old in present.into_values().filter(|old| old.index.is_some()) {
                withdraw.execute([old.ordinal]).map_err(&failed)?;
            }
            Ok(())
        })
    }
}

fn write_job(
    transaction: &rusqlite::Transaction<'_>,
    job: &PlannedJob<'_>,
    params: &str,
    old: Option<&Present>,
) -> rusqlite::Result<()> {
    let ordinal = if let Some(old) = old {
        transaction
            .prepare_cached(
                "UPDATE unit SET cell = ?2, name = ?3, idx = ?4, params = ?5 WHERE ordinal = ?1",
            )?
            .execute(params![old.ordinal, &job.cell.0[..], job.name, job.index, params])?;
        old.ordinal
    } else {
        transaction
            .prepare_cached(
                "INSERT INTO unit (kind, id, cell, name, idx, params) VALUES ('job', ?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![&job.id.0[..], &job.cell.0[..], job.name, job.index, params])?;
        transaction.last_insert_rowid()
    };
    // The id stands for the parts, so they never change; a job that only a host knew has none yet.
    if old.is_none_or(|old| old.cell.is_none()) {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO job_parts (unit, parts) VALUES (?1, ?2)")?
            .execute(params![ordinal, json(job.parts)])?;
    }
    Ok(())
}

/// Text of a value that JSON can always hold: maps with text keys.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("maps with text keys are JSON")
}

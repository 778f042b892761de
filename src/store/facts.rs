//! From the facts of a host's answer to rows: each fact is one step of the life cycle, or is refused, or tells nothing new.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::known::{attempt, parsed, unit};
use super::memory::{Change, HostReport, Recorded, provenance_ordinal, read_host};
use super::snapshot::Provenance;
use super::{apply_ordinal, host_ordinal, unit_ordinal};
use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::lifecycle::JournalPosition;
use crate::lifecycle::sentence::{Context, sentence};
use crate::lifecycle::{
    AttemptState, Ending, Fact, HostFact, IllegalEvent, Marker, Reason, Tree, Unit, Verdict,
};
use crate::state::Files;

/// Of an attempt that another machine claimed in the same root: neither its life nor its end can be seen from here.
const ELSEWHERE: &str = "its records belong to another machine that uses the same root; only that machine can tell how it ends";

/// Writes an answer down: every fact in its order, then how far the journal has been read.
pub(super) fn record_report(
    transaction: &Transaction<'_>,
    report: &HostReport<'_>,
) -> rusqlite::Result<Recorded> {
    let host = host_ordinal(transaction, report.host)?;
    let before = read_host(transaction, report.host)?;
    let reading = Reading::of(before.journal.as_ref(), report);
    let mut recorded = Recorded::default();
    for (index, fact) in report.facts.iter().enumerate() {
        match fact {
            HostFact::Accepted { job, from } => accept(transaction, *job, *from, reading)?,
            HostFact::FilesRemoved { job, attempt } => {
                let unit = Unit::Job(*job);
                Place { transaction, host, unit, attempt: *attempt }.files_removed()?;
            }
            HostFact::Attempt { unit, attempt, apply, fact } => {
                let (unit, attempt) = (*unit, *attempt);
                match (Place { transaction, host, unit, attempt }).record(apply, fact)? {
                    Ok(Some((from, to))) => {
                        recorded.changes.push(Change { unit, attempt, from, to, fact: index });
                    }
                    Ok(None) => {}
                    Err(illegal) => recorded.illegal.push((unit, attempt, illegal)),
                }
            }
        }
    }
    if report.whole && reading != Reading::Behind {
        recorded.records_gone = compare_records(transaction, host, report.facts)?;
    }
    let memory = &report.memory;
    let journal = memory.journal.as_ref().filter(|_| reading != Reading::Behind);
    transaction
        .prepare_cached(
            "UPDATE host SET root_id = coalesce(?2, root_id), machine_id = coalesce(?3, machine_id),
                journal_gen = coalesce(?4, journal_gen), journal_offset = coalesce(?5, journal_offset),
                journal_mark = coalesce(?8, journal_mark), clock_offset_ms = coalesce(?6, clock_offset_ms),
                last_seen = coalesce(?7, last_seen)
             WHERE ordinal = ?1",
        )?
        .execute(params![
            host,
            memory.root_id,
            memory.machine_id,
            journal.map(|journal| &journal.generation),
            journal.map(|journal| i64::try_from(journal.offset).unwrap_or(i64::MAX)),
            memory.clock_offset_ms,
            memory.last_seen.map(Timestamp::as_millisecond),
            journal.map(|journal| &journal.mark),
        ])?;
    Ok(recorded)
}

/// Marks ended attempts of a host that an answer with all of its records does not name, and takes the mark from those that it
/// names again. Returns how many were marked.
fn compare_records(
    transaction: &Transaction<'_>,
    host: i64,
    facts: &[HostFact],
) -> rusqlite::Result<usize> {
    let named: BTreeSet<(Unit, Attempt)> = facts
        .iter()
        .filter_map(|fact| match fact {
            HostFact::Attempt { fact: Fact::RootGone, .. }
            | HostFact::FilesRemoved { .. }
            | HostFact::Accepted { .. } => None,
            HostFact::Attempt { unit, attempt, .. } => Some((*unit, *attempt)),
        })
        .collect();
    // What was lost with an older root never had records in this one, and says so.
    let mut ended = transaction.prepare(
        "SELECT attempt.ordinal, kind, id, n, state, files FROM attempt JOIN unit ON unit.ordinal = attempt.unit
         WHERE host = ?1 AND moved_to IS NULL AND reason <> ?2",
    )?;
    let mut changed = Vec::new();
    let mut rows = ended.query(params![host, Reason::RootGone.word()])?;
    while let Some(row) = rows.next()? {
        let state: AttemptState = parsed(row, 4)?;
        let files: Files = parsed(row, 5)?;
        let is_named = named.contains(&(unit(row, 1)?, attempt(row, 3)?));
        if !matches!(state, AttemptState::Ended(_)) {
            continue;
        }
        match (is_named, files) {
            (false, Files::Kept | Files::RemovedByGc) => {
                changed.push((row.get(0)?, Files::RecordsGone));
            }
            (true, Files::RecordsGone) => changed.push((row.get(0)?, Files::Kept)),
            _ => {}
        }
    }
    let mut update = transaction.prepare("UPDATE attempt SET files = ?2 WHERE ordinal = ?1")?;
    for (ordinal, files) in &changed {
        let ordinal: &i64 = ordinal;
        update.execute(params![ordinal, files.word()])?;
    }
    Ok(changed.iter().filter(|(_, files)| *files == Files::RecordsGone).count())
}

/// How an answer's stretch of journal lies to what was read before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// It goes on.
    On,
    /// It starts a journal over, since it is another one or was rolled back, or tells some of it again, or there is none in the
    /// answer.
    Anew,
    /// Another process was faster and has read further.
    Behind,
}

impl Reading {
    fn of(before: Option<&JournalPosition>, report: &HostReport<'_>) -> Self {
        match (before, &report.memory.journal) {
            (Some(before), Some(now)) if before.generation == now.generation => {
                let asked_from_there = report.read_from.as_ref() == Some(before);
                match (asked_from_there, now.offset < before.offset) {
                    (true, false) if !report.whole => Self::On,
                    (true, _) | (false, false) => Self::Anew,
                    (false, true) => Self::Behind,
                }
            }
            (_, Some(_) | None) => Self::Anew,
        }
    }
}

/// A line of acceptance has no time of its own; it counts for what came before it in the journal. Told again, it must not
/// count for what came after.
fn accept(
    transaction: &Transaction<'_>,
    job: JobId,
    from: JobId,
    reading: Reading,
) -> rusqlite::Result<()> {
    let job = unit_ordinal(transaction, Unit::Job(job))?;
    let from = unit_ordinal(transaction, Unit::Job(from))?;
    let present: Option<i64> = transaction.query_row(
        "SELECT accepted_from FROM unit WHERE ordinal = ?1",
        [job],
        |row| row.get(0),
    )?;
    if present == Some(from) && reading != Reading::On {
        return Ok(());
    }
    transaction.execute(
        "UPDATE unit SET accepted_from = ?2,
            accepted_after = (SELECT coalesce(max(n), 0) FROM attempt WHERE unit = ?1)
         WHERE ordinal = ?1",
        [job, from],
    )?;
    Ok(())
}

/// An attempt's row in a transaction.
struct Place<'a> {
    transaction: &'a Transaction<'a>,
    host: i64,
    unit: Unit,
    attempt: Attempt,
}

/// The state before and after, when the row changed it.
type Step = Result<Option<(Option<AttemptState>, AttemptState)>, IllegalEvent>;

impl Place<'_> {
    fn files_removed(&self) -> rusqlite::Result<()> {
        if let Some((ordinal, _)) = self.find()? {
            self.transaction
                .prepare_cached("UPDATE attempt SET files = ?2 WHERE ordinal = ?1")?
                .execute(params![ordinal, Files::RemovedByGc.word()])?;
        }
        Ok(())
    }

    /// The ordinal of the row, and the state that it has.
    fn find(&self) -> rusqlite::Result<Option<(i64, AttemptState)>> {
        let (kind, id) = (self.unit.kind().word(), self.unit.id());
        self.transaction
            .prepare_cached(
                "SELECT attempt.ordinal, state FROM attempt JOIN unit ON unit.ordinal = attempt.unit
                 WHERE kind = ?1 AND id = ?2 AND host = ?3 AND n = ?4",
            )?
            .query_row(params![kind, &id.0[..], self.host, self.attempt.number()], |row| {
                Ok((row.get(0)?, parsed(row, 1)?))
            })
            .optional()
    }

    fn record(&self, apply: &ApplyId, fact: &Fact) -> rusqlite::Result<Step> {
        let found = self.find()?;
        let before = found.map(|(_, state)| state);
        if before.is_none() && *fact == Fact::RootGone {
            return Ok(Ok(None));
        }
        let after = match before.unwrap_or(AttemptState::Intended).next(fact) {
            Ok(after) => after,
            Err(illegal) => return Ok(Err(illegal)),
        };
        // What lies behind the present state tells nothing new, and must not overwrite what a later fact told.
        let stale = match (before, fact) {
            (Some(AttemptState::Ended(_)), _) | (Some(AttemptState::Running), Fact::Queued) => true,
            (before, Fact::Queued) => before == Some(after),
            _ => false,
        };
        if stale {
            return Ok(Ok(None));
        }
        let ordinal = match found {
            Some((ordinal, _)) => ordinal,
            None => self.adopt(apply, after)?,
        };
        self.update(ordinal, after, fact)?;
        Ok(Ok((before != Some(after)).then_some((before, after))))
    }

    /// A row for an attempt that another client, or this one before its checkpoint was lost, handed over.
    fn adopt(&self, apply: &ApplyId, state: AttemptState) -> rusqlite::Result<i64> {
        let unit = unit_ordinal(self.transaction, self.unit)?;
        let apply = apply_ordinal(self.transaction, apply)?;
        // The row is complete after `update`; `succeeded` may not stand without its exit code even for a moment.
        let state = match state {
            AttemptState::Ended(_) => AttemptState::Running,
            state => state,
        };
        self.transaction
            .prepare_cached(
                "INSERT INTO attempt (unit, host, n, apply, state) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![unit, self.host, self.attempt.number(), apply, state.word()])?;
        Ok(self.transaction.last_insert_rowid())
    }

    fn update(&self, ordinal: i64, state: AttemptState, fact: &Fact) -> rusqlite::Result<()> {
        match fact {
            Fact::Queued => self
                .transaction
                .prepare_cached("UPDATE attempt SET state = ?2 WHERE ordinal = ?1")?
                .execute(params![ordinal, state.word()])?,
            Fact::Started { slot, at } => self
                .transaction
                .prepare_cached("UPDATE attempt SET state = ?2, slot = ?3, started_at = ?4 WHERE ordinal = ?1")?
                .execute(params![ordinal, state.word(), slot, at.as_millisecond()])?,
            Fact::Open { verdict, slot, started, session } => self
                .transaction
                .prepare_cached(
                    "UPDATE attempt SET state = ?2, slot = ?3, started_at = coalesce(?4, started_at),
                        session = coalesce(?5, session), orphan = ?6, detail = ?7 WHERE ordinal = ?1",
                )?
                .execute(params![
                    ordinal,
                    state.word(),
                    slot,
                    started.map(Timestamp::as_millisecond),
                    session,
                    *verdict == Verdict::Orphan,
                    if *verdict == Verdict::Foreign { ELSEWHERE } else { "" },
                ])?,
            Fact::Ended(ending) => self.end(ordinal, state, ending)?,
            Fact::RootGone => self
                .transaction
                .prepare_cached(
                    "UPDATE attempt SET state = ?2, reason = ?3, detail = ?4 WHERE ordinal = ?1",
                )?
                .execute(params![
                    ordinal,
                    state.word(),
                    Reason::RootGone.word(),
                    "the host's records of it are gone"
                ])?,
        };
        Ok(())
    }

    fn end(&self, ordinal: i64, state: AttemptState, ending: &Ending) -> rusqlite::Result<usize> {
        // Who knows the campaign has filled it; for any other reader a plainer sentence is better than none.
        let detail = match ending.detail.as_str() {
            "" => sentence(ending, &Context::default()),
            detail => detail.to_owned(),
        };
        self.circumstances(ordinal, ending)?;
        self.transaction
            .prepare_cached(
                "UPDATE attempt SET state = ?2, reason = ?3, detail = ?4, exit_code = ?5, signal = ?6, witness = ?7,
                    marker = ?8, leftovers = ?9, started_at = coalesce(?10, started_at), ended_at = ?11,
                    elapsed_s = ?12, orphan = max(orphan, ?13), moved_to = ?14
                 WHERE ordinal = ?1",
            )?
            .execute(params![
                ordinal,
                state.word(),
                ending.reason.word(),
                detail,
                ending.exit_code,
                ending.signal,
                ending.by,
                ending.marker.map(marker_word),
                ending.leftovers,
                ending.started.map(Timestamp::as_millisecond),
                ending.ended.as_millisecond(),
                ending.elapsed_s,
                ending.by == "orphan",
                ending.moved_to.as_ref().map(HostName::as_str),
            ])
    }

    /// What an adopted attempt ran from. One that was handed over from here has a richer row already.
    fn circumstances(&self, ordinal: i64, ending: &Ending) -> rusqlite::Result<()> {
        if ending.tree == Tree::default() {
            return Ok(());
        }
        let unknown: bool = self
            .transaction
            .prepare_cached("SELECT provenance IS NULL FROM attempt WHERE ordinal = ?1")?
            .query_row([ordinal], |row| row.get(0))?;
        if unknown {
            let provenance = Provenance::of_tree(&ending.tree);
            let provenance = provenance_ordinal(self.transaction, &provenance)?;
            self.transaction
                .prepare_cached("UPDATE attempt SET provenance = ?2 WHERE ordinal = ?1")?
                .execute([ordinal, provenance])?;
        }
        Ok(())
    }
}

fn marker_word(marker: Marker) -> String {
    match marker {
        Marker::File(index) => format!("files.{index}"),
        Marker::Log => "log".to_owned(),
        Marker::Count => "count".to_owned(),
    }
}

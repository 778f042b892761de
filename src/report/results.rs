//! The results table: every job a row, in job order, and the table of all attempts.
//!
//! Cells are typed; how they are spelled in a file is for `write`.

use std::collections::BTreeMap;

use indexmap::IndexSet;
use jiff::Timestamp;

use crate::campaign::Value;
use crate::ids::JobId;
use crate::store::{AttemptRow, JobRow, Snapshot};

/// The axis that `repeat` makes.
const REPEAT: &str = "repeat";

/// One value of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Missing.
    Empty,
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A number of an axis, as it is spelled: `3.10` is no `3.1`.
    Spelled(String),
    /// `true` or `false`.
    Bool(bool),
    /// A moment.
    Time(Timestamp),
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// A column that every table of the kind has.
    Fixed(&'static str),
    /// An axis; in JSON below `params`.
    Axis(String),
}

impl Column {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Fixed(name) => name,
            Self::Axis(name) => name,
        }
    }
}

/// Columns and rows; every row has a cell for every column.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

/// The results: each job's present state beside the values of its last finished attempt. `axes` gives their order as in
/// the file, where that is at hand; axes that only older jobs have come after. Obsolete jobs come last, if at all.
pub fn results(snapshot: &Snapshot, axes: &[&str], obsolete: bool) -> Table {
    let jobs = chosen(snapshot, obsolete);
    let axes = axis_columns(&jobs, axes);
    let by_id: BTreeMap<JobId, &JobRow> = snapshot.jobs.iter().map(|job| (job.id, job)).collect();
    let rows = jobs.iter().map(|job| result_row(job, &axes, &by_id)).collect();
    let head =
        ["job_id", "name", "index", "attempt", "state", "exit_code", "signal", "reason", "host"];
    let tail = ["started_at", "ended_at", "elapsed_s", "files", "snapshot", "git_rev", "dirty"];
    Table { columns: columns(&head, &axes, &tail), rows }
}

/// Every attempt of every job, in job order, oldest first.
pub fn attempts(snapshot: &Snapshot, axes: &[&str], obsolete: bool) -> Table {
    let jobs = chosen(snapshot, obsolete);
    let axes = axis_columns(&jobs, axes);
    let rows = jobs
        .iter()
        .flat_map(|job| job.attempts.iter().map(|row| attempt_row(job, row, &axes)))
        .collect();
    let head = [
        "job_id",
        "name",
        "index",
        "attempt",
        "host",
        "apply",
        "state",
        "exit_code",
        "signal",
        "reason",
        "detail",
    ];
    let tail = [
        "queued_at",
        "started_at",
        "ended_at",
        "elapsed_s",
        "slot",
        "orphan",
        "files",
        "snapshot",
        "git_rev",
        "dirty",
    ];
    Table { columns: columns(&head, &axes, &tail), rows }
}

fn chosen(snapshot: &Snapshot, obsolete: bool) -> Vec<&JobRow> {
    snapshot.jobs.iter().filter(|job| obsolete || job.index.is_some()).collect()
}

fn columns(head: &[&'static str], axes: &[String], tail: &[&'static str]) -> Vec<Column> {
    let fixed =
        |names: &[&'static str]| names.iter().copied().map(Column::Fixed).collect::<Vec<_>>();
    let mut columns = fixed(head);
    columns.extend(axes.iter().cloned().map(Column::Axis));
    columns.extend(fixed(tail));
    columns
}

/// The axes of these jobs. `repeat` is a column only where something was repeated, and then the last.
fn axis_columns(jobs: &[&JobRow], order: &[&str]) -> Vec<String> {
    let mut names: IndexSet<&str> = order.iter().copied().collect();
    names.extend(jobs.iter().flat_map(|job| job.params.names()));
    names.shift_remove(REPEAT);
    let repeated =
        jobs.iter().any(|job| job.params.get(REPEAT).is_some_and(|value| *value != Value::Int(0)));
    if repeated {
        names.insert(REPEAT);
    }
    names.into_iter().map(str::to_owned).collect()
}

/// The attempt whose values a row shows: the last finished one, else the present one. An accepted result is the other
/// job's; acceptances may follow each other.
fn shown_attempt<'a>(
    job: &'a JobRow,
    by_id: &BTreeMap<JobId, &'a JobRow>,
) -> Option<&'a AttemptRow> {
    let mut job = job;
    // As many steps as there are jobs: a circle ends too.
    for _ in 0..by_id.len() {
        match job.accepted_from.and_then(|from| by_id.get(&from)) {
            Some(from) => job = from,
            None => break,
        }
    }
    job.last_ended().or_else(|| job.newest())
}

fn result_row(job: &JobRow, axes: &[String], by_id: &BTreeMap<JobId, &JobRow>) -> Vec<Cell> {
    let shown = shown_attempt(job, by_id);
    let reason = match (job.accepted_from, shown) {
        (Some(_), _) => "accepted",
        (None, Some(row)) => row.reason.as_str(),
        (None, None) => "",
    };
    let mut cells = vec![
        Cell::Text(job.id.to_string()),
        Cell::Text(job.name.clone()),
        of(job.index, int),
        of(shown, |row| int(row.attempt.number())),
        Cell::Text(job.state().word().to_owned()),
        of(shown.and_then(|row| row.exit_code), int),
        of(shown.and_then(|row| row.signal.clone()), Cell::Text),
        some_text(reason),
        of(shown, |row| Cell::Text(row.host.to_string())),
    ];
    cells.extend(axes.iter().map(|axis| value(job.params.get(axis))));
    cells.extend([
        of(shown.and_then(|row| row.started_at), Cell::Time),
        of(shown.and_then(|row| row.ended_at), Cell::Time),
        of(shown.and_then(|row| row.elapsed_s), Cell::Float),
        of(shown, files),
    ]);
    cells.extend(provenance(shown));
    cells
}

fn attempt_row(job: &JobRow, row: &AttemptRow, axes: &[String]) -> Vec<Cell> {
    let mut cells = vec![
        Cell::Text(job.id.to_string()),
        Cell::Text(job.name.clone()),
        of(job.index, int),
        int(row.attempt.number()),
        Cell::Text(row.host.to_string()),
        Cell::Text(row.apply.to_string()),
        Cell::Text(row.state.shown().word().to_owned()),
        of(row.exit_code, int),
        of(row.signal.clone(), Cell::Text),
        some_text(&row.reason),
        some_text(&row.detail),
    ];
    cells.extend(axes.iter().map(|axis| value(job.params.get(axis))));
    cells.extend([
        of(row.queued_at, Cell::Time),
        of(row.started_at, Cell::Time),
        of(row.ended_at, Cell::Time),
        of(row.elapsed_s, Cell::Float),
        of(row.slot, int),
        Cell::Bool(row.orphan),
        files(row),
    ]);
    cells.extend(provenance(Some(row)));
    cells
}

/// What became of the files; nothing to tell where they are there, or are still being written.
fn files(row: &AttemptRow) -> Cell {
    some_text(row.files.told().map_or("", |_| row.files.word()))
}

fn provenance(row: Option<&AttemptRow>) -> [Cell; 3] {
    let provenance = row.and_then(|row| row.provenance.as_deref());
    [
        of(provenance.and_then(|p| p.snapshot.clone()), Cell::Text),
        of(provenance.and_then(|p| p.git_rev.clone()), Cell::Text),
        of(provenance.and_then(|p| p.dirty), Cell::Bool),
    ]
}

fn of<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell) -> Cell {
    value.map_or(Cell::Empty, cell)
}

fn int(number: impl Into<i64>) -> Cell {
    Cell::Int(number.into())
}

fn some_text(text: &str) -> Cell {
    if text.is_empty() { Cell::Empty } else { Cell::Text(text.to_owned()) }
}

/// Returns an axis value with its type and its spelling: `8192` is a number, `"8192"` is text.
fn value(value: Option<&Value>) -> Cell {
    match value {
        None => Cell::Empty,
        Some(Value::Bool(truth)) => Cell::Bool(*truth),
        Some(Value::Str(text)) => Cell::Text(text.clone()),
        Some(Value::Int(number)) => Cell::Int(*number),
        Some(Value::Float { spelled, .. }) => Cell::Spelled(spelled.clone()),
    }
}

//! Cells: the product of the dimensions, `expr`, `when`, `exclude`, `include`, in this order.
//!
//! A cell is a row of indices into the columns' values, so that a hundred thousand of them are a few megabytes. Nothing
//! is rendered here.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::campaign::{Campaign, Value};
use crate::ids::AxisName;
use crate::plan::axes::{self, Column, ColumnKind, Dimension, EMPTY, MAX_JOBS, Row, index};
use crate::plan::eval::{Derived, Given, Test, value_key};
use crate::plan::identity::same_value;
use crate::plan::name;
use crate::plan::{Files, PlanError, PlanWarning};

/// Every cell of a campaign, in the order of its jobs.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) columns: Vec<Column>,
    /// Rows of `columns.len()` indices.
    pub(crate) rows: Vec<u32>,
    /// Number of rows; without an axis a row has no index to count by.
    pub(crate) count: usize,
    pub(crate) warnings: Vec<PlanWarning>,
}

impl Cells {
    /// The indices of one job's cell.
    pub(crate) fn cell(&self, job: usize) -> &[u32] {
        let width = self.columns.len();
        &self.rows[job * width..(job + 1) * width]
    }
}

/// Expands the matrix.
pub(crate) fn cells(campaign: &Campaign, files: &dyn Files) -> Result<Cells, PlanError> {
    let matrix = &campaign.matrix;
    let mut columns = axes::columns(campaign, files)?;
    let dimensions = axes::dimensions(matrix, &columns)?;
    // A file of nothing but `include` lists its jobs; a product over no axis would add an empty one.
    let only_includes =
        dimensions.iter().all(|d| is_repeat(d, &columns)) && !matrix.include.is_empty();
    check_count(campaign, &dimensions, &columns, only_includes)?;
    let includes = intern_includes(&matrix.include, &mut columns);
    let mut derived = Derived::new(matrix, &columns)?;
    let mut excludes = Excludes::new(&matrix.exclude, &columns);
    let mut when = matrix.when.as_ref().map(|when| Test::new(when, "when", matrix, &columns));

    let mut rows = Vec::new();
    let (mut count, mut total, mut by_when, mut by_exclude) = (0, 0, 0, 0);
    let mut product = Product::new(&dimensions, columns.len());
    while !only_includes && let Some(cell) = product.next() {
        total += 1;
        derived.fill(&mut columns, &campaign.vars, cell, Given::Recomputed)?;
        let row = Row { columns: &columns, vars: &campaign.vars, cell };
        if let Some(when) = &mut when
            && !when.holds(row)?
        {
            by_when += 1;
        } else if excludes.drops(row) {
            by_exclude += 1;
        } else {
            rows.extend_from_slice(cell);
            count += 1;
        }
    }
    let repeats = columns.iter().position(|column| column.kind == ColumnKind::Repeat);
    for mut cell in includes {
        let once = repeats.filter(|at| cell[*at] == EMPTY);
        for repeat in 0..once.map_or(1, |_| campaign.repeat) {
            if let Some(at) = once {
                cell[at] = repeat;
            }
            let mut row = cell.clone();
            derived.fill(&mut columns, &campaign.vars, &mut row, Given::Kept)?;
            rows.extend_from_slice(&row);
            count += 1;
        }
    }
    if count == 0 {
        return Err(PlanError::NoJobLeft { cells: total, by_when, by_exclude });
    }
    rows.shrink_to_fit();
    let warnings = excludes.unused(&matrix.exclude);
    Ok(Cells { columns, rows, count, warnings })
}

fn is_repeat(dimension: &Dimension, columns: &[Column]) -> bool {
    dimension.columns.iter().all(|at| columns[*at].kind == ColumnKind::Repeat)
}

/// Counts without expanding, so that a slip of a zero costs a sentence and not the machine's memory.
fn check_count(
    campaign: &Campaign,
    dimensions: &[Dimension],
    columns: &[Column],
    only_includes: bool,
) -> Result<(), PlanError> {
    let repeat = u128::from(campaign.repeat.max(1));
    // The values of `repeat` are capped; the count is told in full.
    let length = |d: &Dimension| if is_repeat(d, columns) { repeat } else { d.length as u128 };
    let product = if only_includes {
        Some(0)
    } else {
        dimensions.iter().try_fold(1_u128, |n, d| n.checked_mul(length(d)))
    };
    let included = campaign.matrix.include.len() as u128 * repeat;
    let count = product.and_then(|n| n.checked_add(included)).unwrap_or(u128::MAX);
    let max = u128::from(MAX_JOBS);
    if count > max { Err(PlanError::TooManyJobs { count, max }) } else { Ok(()) }
}

/// The product, the last dimension fastest, as one row that is counted on.
struct Product<'a> {
    dimensions: &'a [Dimension],
    digits: Vec<usize>,
    cell: Vec<u32>,
    started: bool,
}

impl<'a> Product<'a> {
    fn new(dimensions: &'a [Dimension], width: usize) -> Self {
        let mut cell = vec![EMPTY; width];
        for at in dimensions.iter().flat_map(|d| &d.columns) {
            cell[*at] = 0;
        }
        Self { dimensions, digits: vec![0; dimensions.len()], cell, started: false }
    }

    fn next(&mut self) -> Option<&mut [u32]> {
        if !self.started {
            self.started = true;
            let some = self.dimensions.iter().all(|dimension| dimension.length > 0);
            return some.then_some(&mut self.cell[..]);
        }
        for (digit, dimension) in self.digits.iter_mut().zip(self.dimensions).rev() {
            *digit = (*digit + 1) % dimension.length;
            for at in &dimension.columns {
                self.cell[*at] = index(*digit);
            }
            if *digit != 0 {
                return Some(&mut self.cell);
            }
        }
        None
    }
}

/// Returns the rows of `[[matrix.include]]`, an axis that one leaves out empty. Values that are new go to the columns.
fn intern_includes(
    includes: &[IndexMap<AxisName, Value>],
    columns: &mut [Column],
) -> Vec<Vec<u32>> {
    let mut rows = vec![vec![EMPTY; columns.len()]; includes.len()];
    for (at, column) in columns.iter_mut().enumerate() {
        let mut known: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for (row, include) in rows.iter_mut().zip(includes) {
            let Some(value) = include.get(&column.name) else { continue };
            if known.is_empty() {
                for (n, value) in column.values.iter().enumerate() {
                    known.entry(value_key(value)).or_insert(index(n));
                }
            }
            row[at] = *known.entry(value_key(value)).or_insert_with(|| {
                column.values.push(value.clone());
                index(column.values.len() - 1)
            });
        }
    }
    rows
}

/// The subsets of `[[matrix.exclude]]`, and which of them have met a cell.
struct Excludes<'c> {
    /// `None` for a subset that names an axis which is not there.
    subsets: Vec<Option<Vec<(usize, &'c Value)>>>,
    used: Vec<bool>,
}

impl<'c> Excludes<'c> {
    fn new(excludes: &'c [IndexMap<AxisName, Value>], columns: &[Column]) -> Self {
        let place = |(name, value): (&AxisName, &'c Value)| {
            Some((columns.iter().position(|column| column.name == *name)?, value))
        };
        let subsets = excludes.iter().map(|subset| subset.iter().map(place).collect()).collect();
        Self { subsets, used: vec![false; excludes.len()] }
    }

    fn drops(&mut self, row: Row<'_>) -> bool {
        let mut dropped = false;
        for (subset, used) in self.subsets.iter().zip(&mut self.used) {
            let has = |(at, value): &(usize, &Value)| {
                let column = &row.columns[*at];
                column.get(row.cell[*at]).is_some_and(|v| same_value(v, value))
            };
            if subset.as_ref().is_some_and(|subset| subset.iter().all(has)) {
                *used = true;
                dropped = true;
            }
        }
        dropped
    }

    fn unused(&self, excludes: &[IndexMap<AxisName, Value>]) -> Vec<PlanWarning> {
        excludes
            .iter()
            .enumerate()
            .filter(|(at, _)| !self.used[*at])
            .map(|(at, subset)| PlanWarning::ExcludeUnused {
                position: at + 1,
                cells: name::pairs(subset.iter().map(|(axis, value)| (axis.as_str(), value))),
            })
            .collect()
    }
}

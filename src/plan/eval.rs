//! Expressions over cells: `when` of the matrix and of hosts, `expr` of derived axes.
//!
//! An expression mostly looks at two or three axes, of which there are few combinations; each is evaluated once, however
//! many cells have it. Filters of `-F` see more than a cell and are in `filter`.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use crate::campaign::template::{Expression, Name};
use crate::campaign::{Axis, Matrix, Value};
use crate::ids::AxisName;
use crate::plan::PlanError;
use crate::plan::axes::{Column, ColumnKind, EMPTY, Row, index};
use crate::plan::identity::axis_bytes;

/// More combinations than this are evaluated cell by cell.
const MOST_COMBINATIONS: usize = 1 << 20;
/// In a table of results: not evaluated yet. No index of a value is as large.
const UNKNOWN: u32 = u32::MAX - 1;

/// Results by the combination of values that an expression depends on.
#[derive(Debug)]
struct Memo {
    /// Columns with their number of values, and one more for an empty one.
    places: Vec<(usize, usize)>,
    results: Vec<u32>,
}

impl Memo {
    fn new(names: &BTreeSet<Name>, matrix: &Matrix, columns: &[Column]) -> Option<Self> {
        let (mut inputs, mut derived) = (BTreeSet::new(), BTreeSet::new());
        base_columns(names, matrix, columns, &mut inputs, &mut derived);
        // An `include` may give a derived axis a value of its own, which the base columns do not show.
        let given = |at: &usize| matrix.include.iter().any(|i| i.contains_key(&columns[*at].name));
        if derived.iter().any(given) {
            return None;
        }
        let places: Vec<(usize, usize)> =
            inputs.into_iter().map(|at| (at, columns[at].values.len() + 1)).collect();
        let combinations =
            places.iter().try_fold(1_usize, |product, (_, radix)| product.checked_mul(*radix))?;
        (combinations <= MOST_COMBINATIONS)
            .then(|| Self { places, results: vec![UNKNOWN; combinations] })
    }

    fn slot(&mut self, cell: &[u32]) -> &mut u32 {
        let at = self
            .places
            .iter()
            .fold(0, |at, (column, radix)| at * radix + (cell[*column] as usize).min(radix - 1));
        &mut self.results[at]
    }
}

/// The columns that an expression depends on in the end: a derived one counts by what it is computed from, because its
/// own values are still being found.
fn base_columns(
    names: &BTreeSet<Name>,
    matrix: &Matrix,
    columns: &[Column],
    inputs: &mut BTreeSet<usize>,
    derived: &mut BTreeSet<usize>,
) {
    for at in input_columns(names, columns) {
        match matrix.axes.get(&columns[at].name) {
            Some(Axis::Expr(expression)) => {
                if derived.insert(at) {
                    base_columns(expression.names(), matrix, columns, inputs, derived);
                }
            }
            _ => {
                inputs.insert(at);
            }
        }
    }
}

/// The columns that an expression names.
fn input_columns<'a>(
    names: &'a BTreeSet<Name>,
    columns: &'a [Column],
) -> impl Iterator<Item = usize> + 'a {
    names.iter().filter_map(|name| match name {
        Name::Axis(axis) => columns.iter().position(|column| column.name.as_str() == axis),
        Name::Repeat => columns.iter().position(|column| column.kind == ColumnKind::Repeat),
        Name::Var(_) | Name::Ref(_) => None,
    })
}

/// A condition over cells.
#[derive(Debug)]
pub(crate) struct Test<'c> {
    expression: &'c Expression,
    what: String,
    memo: Option<Memo>,
}

impl<'c> Test<'c> {
    /// `what` is the key of the file that holds the expression.
    pub(crate) fn new(
        expression: &'c Expression,
        what: impl Into<String>,
        matrix: &Matrix,
        columns: &[Column],
    ) -> Self {
        let memo = Memo::new(expression.names(), matrix, columns);
        Self { expression, what: what.into(), memo }
    }

    pub(crate) fn text(&self) -> &'c str {
        self.expression.text()
    }

    /// Whether the condition holds for a cell.
    pub(crate) fn holds(&mut self, row: Row<'_>) -> Result<bool, PlanError> {
        if let Some(memo) = &mut self.memo {
            match *memo.slot(row.cell) {
                UNKNOWN => {}
                known => return Ok(known == 1),
            }
        }
        let holds = self.expression.test(&row).map_err(|error| PlanError::Render {
            what: self.what.clone(),
            cell: row.words(),
            cause: error.to_string(),
        })?;
        if let Some(memo) = &mut self.memo {
            *memo.slot(row.cell) = u32::from(holds);
        }
        Ok(holds)
    }
}

/// What happens to a value that a derived axis has before it is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// It is of the cell before and goes.
    Recomputed,
    /// An `include` gave it, and it stays.
    Kept,
}

/// The derived axes, each after those that it needs.
#[derive(Debug)]
pub(crate) struct Derived<'c> {
    axes: Vec<DerivedAxis<'c>>,
}

#[derive(Debug)]
struct DerivedAxis<'c> {
    at: usize,
    expression: &'c Expression,
    inputs: Vec<usize>,
    memo: Option<Memo>,
    /// Index by the bytes of a value and its spelling.
    values: BTreeMap<Vec<u8>, u32>,
}

impl<'c> Derived<'c> {
    pub(crate) fn new(matrix: &'c Matrix, columns: &[Column]) -> Result<Self, PlanError> {
        let mut waiting = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            if let Some(Axis::Expr(expression)) = matrix.axes.get(&column.name) {
                let inputs = input_columns(expression.names(), columns).collect();
                let memo = Memo::new(expression.names(), matrix, columns);
                let values = column
                    .values
                    .iter()
                    .enumerate()
                    .map(|(n, v)| (value_key(v), index(n)))
                    .collect();
                waiting.push(DerivedAxis { at, expression, inputs, memo, values });
            }
        }
        let mut axes: Vec<DerivedAxis<'c>> = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let ready = |axis: &DerivedAxis<'_>| {
                axis.inputs.iter().all(|input| waiting.iter().all(|other| other.at != *input))
            };
            let Some(next) = waiting.iter().position(ready) else {
                let names: Vec<String> =
                    waiting.iter().map(|axis| format!("`{}`", columns[axis.at].name)).collect();
                return Err(PlanError::DerivedCycle {
                    axis: columns[waiting[0].at].name.clone(),
                    through: names.join(", "),
                });
            };
            axes.push(waiting.remove(next));
        }
        Ok(Self { axes })
    }

    /// Computes the derived axes of one cell; one whose inputs are not all there stays empty.
    pub(crate) fn fill(
        &mut self,
        columns: &mut [Column],
        vars: &IndexMap<AxisName, Value>,
        cell: &mut [u32],
        given: Given,
    ) -> Result<(), PlanError> {
        for axis in &mut self.axes {
            if given == Given::Kept && cell[axis.at] != EMPTY {
                continue;
            }
            if axis.inputs.iter().any(|input| cell[*input] == EMPTY) {
                cell[axis.at] = EMPTY;
                continue;
            }
            let mut unused = UNKNOWN;
            let slot = axis.memo.as_mut().map_or(&mut unused, |memo| memo.slot(cell));
            if *slot == UNKNOWN {
                *slot = compute(axis.expression, &mut axis.values, axis.at, columns, vars, cell)?;
            }
            cell[axis.at] = *slot;
        }
        Ok(())
    }
}

fn compute(
    expression: &Expression,
    values: &mut BTreeMap<Vec<u8>, u32>,
    at: usize,
    columns: &mut [Column],
    vars: &IndexMap<AxisName, Value>,
    cell: &[u32],
) -> Result<u32, PlanError> {
    let row = Row { columns, vars, cell };
    let value = expression.value(&row).map_err(|error| PlanError::Render {
        what: format!("matrix.{}.expr", columns[at].name),
        cell: row.words(),
        cause: error.to_string(),
    })?;
    let next = columns[at].values.len();
    Ok(*values.entry(value_key(&value)).or_insert_with(|| {
        columns[at].values.push(value);
        index(next)
    }))
}

/// Returns bytes that are equal for values which nobody tells apart, neither the identity nor a command.
pub(crate) fn value_key(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    axis_bytes(&mut bytes, "", value);
    if let Value::Float { spelled, .. } = value {
        bytes.extend_from_slice(spelled.as_bytes());
    }
    bytes
}

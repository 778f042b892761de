//! The axes of a matrix as columns of values, and the dimensions that the product runs over.
//!
//! Decides no cell; that is `expand`. Files are asked for through [`Files`] only.

use indexmap::IndexMap;

use crate::campaign::template::Scope;
use crate::campaign::{Axis, Campaign, Matrix, Value};
use crate::ids::AxisName;
use crate::plan::name;
use crate::plan::{Files, PlanError};

/// In a cell: this axis has no value.
pub(crate) const EMPTY: u32 = u32::MAX;

/// A campaign has at most so many jobs.
pub(crate) const MAX_JOBS: u32 = 1_000_000;

/// Name of the axis that `repeat` makes.
pub(crate) const REPEAT: &str = "repeat";

/// What kind of axis a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// A dimension of the product.
    Dimension,
    /// Computed from the others by `expr`; no part of a job's identity.
    Derived,
    /// The axis `repeat`, there when `repeat` is more than 1.
    Repeat,
}

/// One axis: its name and every value that a cell may have of it. Cells point into the values.
#[derive(Debug, Clone)]
pub struct Column {
    /// The axis.
    pub name: AxisName,
    /// Its values; the order is the file's, with those of `include` behind.
    pub values: Vec<Value>,
    /// What kind of axis it is.
    pub kind: ColumnKind,
}

impl Column {
    /// The value at an index of a cell.
    pub(crate) fn get(&self, at: u32) -> Option<&Value> {
        self.values.get(at as usize)
    }
}

/// A cell: one index into the values of each column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) columns: &'a [Column],
    pub(crate) vars: &'a IndexMap<AxisName, Value>,
    pub(crate) cell: &'a [u32],
}

impl Row<'_> {
    /// The cell in words: `axis=value` pairs without the derived ones.
    pub(crate) fn words(&self) -> String {
        let pairs = name::pairs(
            self.columns
                .iter()
                .zip(self.cell)
                .filter(|(column, _)| column.kind != ColumnKind::Derived)
                .filter_map(|(column, at)| Some((column.name.as_str(), column.get(*at)?))),
        );
        if pairs.is_empty() { "the only job".to_owned() } else { format!("`{pairs}`") }
    }
}

impl Scope for Row<'_> {
    fn axis(&self, name: &str) -> Option<&Value> {
        let at = self.columns.iter().position(|column| column.name.as_str() == name)?;
        self.columns[at].get(self.cell[at])
    }

    fn repeat(&self) -> u32 {
        match self.axis(REPEAT) {
            Some(Value::Int(n)) => u32::try_from(*n).unwrap_or(0),
            // Without `repeat` in the file, a template may still name it.
            _ => 0,
        }
    }

    fn var(&self, name: &str) -> Option<&Value> {
        self.vars.get(name)
    }
}

/// One dimension of the product: the columns that advance together.
#[derive(Debug)]
pub(crate) struct Dimension {
    pub(crate) columns: Vec<usize>,
    pub(crate) length: usize,
}

/// Columns in file order: axes, axes that only an `include` names, `repeat`.
pub(crate) fn columns(campaign: &Campaign, files: &dyn Files) -> Result<Vec<Column>, PlanError> {
    let mut columns = Vec::new();
    for (name, axis) in &campaign.matrix.axes {
        let (values, kind) = match axis {
            Axis::Values(values) => (values.clone(), ColumnKind::Dimension),
            Axis::Glob(pattern) => (glob(name, pattern, files)?, ColumnKind::Dimension),
            Axis::Lines(path) => (lines(name, path, files)?, ColumnKind::Dimension),
            Axis::Expr(_) => (Vec::new(), ColumnKind::Derived),
        };
        columns.push(Column { name: name.clone(), values, kind });
    }
    for name in campaign.matrix.include.iter().flat_map(IndexMap::keys) {
        if name.as_str() != REPEAT && columns.iter().all(|column: &Column| column.name != *name) {
            let (name, kind) = (name.clone(), ColumnKind::Dimension);
            columns.push(Column { name, values: Vec::new(), kind });
        }
    }
    if campaign.repeat > 1 {
        let name = REPEAT.parse().expect("`repeat` is an identifier");
        // More than a campaign may have is refused by the count; it need not be made first.
        let most = campaign.repeat.min(MAX_JOBS + 1);
        let values = (0..most).map(|n| Value::Int(n.into())).collect();
        columns.push(Column { name, values, kind: ColumnKind::Repeat });
    }
    Ok(columns)
}

/// The product's dimensions: a zip group stands at the place of its first axis, `repeat` last.
pub(crate) fn dimensions(matrix: &Matrix, columns: &[Column]) -> Result<Vec<Dimension>, PlanError> {
    let mut dimensions: Vec<Dimension> = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let in_product = match column.kind {
            ColumnKind::Dimension => matrix.axes.contains_key(&column.name),
            ColumnKind::Repeat => true,
            ColumnKind::Derived => false,
        };
        if !in_product || dimensions.iter().any(|dimension| dimension.columns.contains(&at)) {
            continue;
        }
        let group = matrix.zip.iter().find(|group| group.contains(&column.name));
        let members: Vec<usize> = columns
            .iter()
            .enumerate()
            .filter(|(other, c)| *other == at || group.is_some_and(|g| g.contains(&c.name)))
            .map(|(other, _)| other)
            .collect();
        let length = column.values.len();
        if let Some(other) =
            members.iter().map(|other| &columns[*other]).find(|c| c.values.len() != length)
        {
            return Err(PlanError::ZipLength {
                first: column.name.clone(),
                first_len: length,
                second: other.name.clone(),
                second_len: other.values.len(),
            });
        }
        dimensions.push(Dimension { columns: members, length });
    }
    Ok(dimensions)
}

fn glob(axis: &AxisName, pattern: &str, files: &dyn Files) -> Result<Vec<Value>, PlanError> {
    let mut paths = files
        .glob(pattern)
        .map_err(|source| PlanError::AxisFiles { axis: axis.clone(), source })?;
    if paths.is_empty() {
        return Err(PlanError::GlobEmpty { axis: axis.clone(), pattern: pattern.to_owned() });
    }
    // The order of jobs must not hang on the order in which a folder is read.
    paths.sort_unstable();
    Ok(paths.into_iter().map(Value::Str).collect())
}

/// Returns the lines of a file as values. A byte order mark is no part of the first; blank lines are no values, since an
/// editor leaves one at the end.
fn lines(axis: &AxisName, path: &str, files: &dyn Files) -> Result<Vec<Value>, PlanError> {
    let mut lines =
        files.lines(path).map_err(|source| PlanError::AxisFiles { axis: axis.clone(), source })?;
    if let Some(first) = lines.first_mut()
        && let Some(rest) = first.strip_prefix('\u{feff}')
    {
        *first = rest.to_owned();
    }
    let values: Vec<Value> =
        lines.into_iter().filter(|line| !line.trim().is_empty()).map(Value::Str).collect();
    if values.is_empty() {
        return Err(PlanError::LinesEmpty { axis: axis.clone(), path: path.to_owned() });
    }
    Ok(values)
}

/// An index as cells store it; the number of jobs and values stays far below `u32::MAX`.
pub(crate) fn index(at: usize) -> u32 {
    u32::try_from(at).expect("no table has so many entries")
}

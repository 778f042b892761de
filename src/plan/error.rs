//! What can be wrong with a campaign only once its matrix is expanded, as values.
//!
//! Does not render: `Display` is the sentence with thing and cause, [`PlanError::help`] the next step; spans, colours and
//! exit codes are `cli`'s.

use crate::ids::AxisName;
use crate::plan::FilesError;

/// A campaign that is right in itself and yet gives no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A `glob` axis without a file.
    #[error("axis `{axis}` has no value: no file matches `{pattern}`")]
    GlobEmpty {
        /// The axis.
        axis: AxisName,
        /// Its pattern.
        pattern: String,
    },
    /// A `lines` axis over a file without a line.
    #[error("axis `{axis}` has no value: `{path}` holds no line")]
    LinesEmpty {
        /// The axis.
        axis: AxisName,
        /// The file.
        path: String,
    },
    /// The files of an axis cannot be listed or read.
    #[error("axis `{axis}` has no value: {source}")]
    AxisFiles {
        /// The axis.
        axis: AxisName,
        /// The system's words.
        source: FilesError,
    },
    /// Axes that advance together and do not have the same number of values.
    #[error(
        "axes `{first}` and `{second}` are zipped and differ in length: {first_len} and {second_len}"
    )]
    ZipLength {
        /// First axis of the group.
        first: AxisName,
        /// Its number of values.
        first_len: usize,
        /// The axis that differs.
        second: AxisName,
        /// Its number of values.
        second_len: usize,
    },
    /// Derived axes that need each other.
    #[error("the `expr` of axis `{axis}` needs its own value, by way of {through}")]
    DerivedCycle {
        /// One axis of the circle.
        axis: AxisName,
        /// The axes of the circle, as text.
        through: String,
    },
    /// More jobs than a campaign may have; counted, not expanded.
    #[error("the matrix has {count} cells; a campaign has at most {max} jobs")]
    TooManyJobs {
        /// Cells before `when` and `exclude`, times `repeat`.
        count: u128,
        /// The limit.
        max: u128,
    },
    /// `when` and `exclude` leave nothing.
    #[error("no job is left: of {cells} cells {by_when} fail `when` and {by_exclude} are excluded")]
    NoJobLeft {
        /// Cells of the product.
        cells: usize,
        /// Those that `when` drops.
        by_when: usize,
        /// Those that an `exclude` drops.
        by_exclude: usize,
    },
    /// Two cells that are one job.
    #[error(
        "one job stands in the matrix twice: {first} (index {first_index}) and {second} (index {second_index}){why}"
    )]
    DuplicateJob {
        /// Cell of the first.
        first: String,
        /// Its place in the order of jobs.
        first_index: usize,
        /// Cell of the second.
        second: String,
        /// Its place.
        second_index: usize,
        /// `: axis … has … twice`, where that is the cause.
        why: String,
    },
    /// A template or expression that fails for one job.
    #[error("`{what}` fails for {cell}: {cause}")]
    Render {
        /// The key of the file, such as `command` or `env.SEED`.
        what: String,
        /// The job's cell.
        cell: String,
        /// The template layer's words.
        cause: String,
    },
    /// `inputs` names no file.
    #[error("no file matches the input `{pattern}` of {cell}")]
    InputMissing {
        /// The pattern, rendered.
        pattern: String,
        /// The job's cell.
        cell: String,
    },
    /// A file of `inputs` cannot be read.
    #[error("the inputs of {cell} cannot be read: {source}")]
    InputFiles {
        /// The job's cell.
        cell: String,
        /// The system's words.
        source: FilesError,
    },
    /// A marker's pattern, once rendered, is no pattern that a host can judge.
    #[error("`{what}` is `{pattern}` for {cell}: {cause}")]
    Pattern {
        /// The key of the file.
        what: String,
        /// The pattern, rendered.
        pattern: String,
        /// The job's cell.
        cell: String,
        /// What is wrong with it.
        cause: String,
        /// The next edit.
        help: String,
    },
}

impl PlanError {
    /// The next step, as an edit or a command.
    pub fn help(&self) -> String {
        match self {
            Self::GlobEmpty { pattern, .. } | Self::InputMissing { pattern, .. }
                if pattern == "**" || pattern.ends_with("/**") =>
            {
                format!("write `{pattern}/*`: `**` stands for folders, not for the files in them")
            }
            Self::GlobEmpty { axis, .. } => format!(
                "correct the glob of `{axis}`, or make its files; it is relative to `working-dir`"
            ),
            Self::LinesEmpty { path, .. } => format!("write one value a line into `{path}`"),
            Self::AxisFiles { source, .. } | Self::InputFiles { source, .. } => {
                source.help.clone().unwrap_or_else(|| {
                    format!("make `{}` readable; it is relative to `working-dir`", source.path)
                })
            }
            Self::ZipLength { first, second, .. } => format!(
                "give `{first}` and `{second}` the same number of values, or take one out of `zip`"
            ),
            Self::DerivedCycle { axis, .. } => {
                format!("let the `expr` of `{axis}` use axes that have values of their own")
            }
            Self::TooManyJobs { .. } => {
                "take values away, zip axes, or split the campaign in two".to_owned()
            }
            Self::NoJobLeft { .. } => "relax `when` or `[[matrix.exclude]]`".to_owned(),
            Self::DuplicateJob { .. } => {
                "remove one of the two, or let the command tell them apart by an axis".to_owned()
            }
            Self::Render { what, .. } => format!(
                "correct `{what}`, or leave this cell out with `when` or `[[matrix.exclude]]`"
            ),
            Self::InputMissing { .. } => {
                "make the file, or correct `inputs`; it is relative to `working-dir`".to_owned()
            }
            Self::Pattern { what, help, .. } => format!("in `{what}`, {help}"),
        }
    }
}

/// Something in a matrix that is most likely not meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanWarning {
    /// An `exclude` whose subset no cell has.
    #[error("exclude {position} ({cells}) matches no cell")]
    ExcludeUnused {
        /// Its number in the file, from 1.
        position: usize,
        /// Its axes and values.
        cells: String,
    },
    /// Jobs that people cannot tell apart by name.
    #[error(
        "{count} jobs share the name `{name}` with another one; select them by id or `axis=value`"
    )]
    SameName {
        /// One of the names.
        name: String,
        /// Jobs whose name another job has before them.
        count: usize,
    },
}

//! The campaign file: text → wire types → checked [`Campaign`], with all mistakes of the file in one report.
//!
//! Does not read files, expand the matrix or know of jobs: globs, `lines` and `inputs` stay patterns here.

pub mod decimal;
pub mod duration;
pub mod ere;
pub mod glob;
pub mod model;
pub mod size;
pub mod suggest;
pub mod template;

pub use model::*;

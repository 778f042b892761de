//! Views of a snapshot of the store: tables, result files, status.
//!
//! Pure: no file, no clock, no environment; width, time zone and the present condition of hosts come in as values. Nothing
//! here decides a state.

pub mod results;
pub mod status;
pub mod status_table;
pub mod text;
pub mod write;

pub use results::{Cell, Column, Table, attempts, results};
pub use status::{HostView, Status, status};
pub use status_table::status_table;
pub use text::{span, visible};
pub use write::{csv, jsonl};

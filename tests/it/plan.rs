//! Matrix to jobs to plan, without a file, a process or a clock.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the finding")]

mod decision;
mod expansion;
mod home;
mod homes;
mod identity;
mod selection;
pub(crate) mod support;
mod texts;

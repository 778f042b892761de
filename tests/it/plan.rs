//! Matrix to jobs to plan, without a file, a process or a clock.

mod decision;
mod expansion;
mod identity;
mod selection;
mod support;

//! `sp` runs campaigns: one `campaign.toml` becomes jobs, jobs become results.
//!
//! Read in this order; each layer imports only what stands below it, siblings on a line do not import each other:
//!
//! ```text
//! main.rs
//! cli/                     one file a subcommand, thin; the only place that prints and that adds hints to errors
//! apply/      report/      the loop over hosts | pure views of a snapshot of the store
//! store/      host/        the only user of rusqlite | the only spawner of processes
//! lifecycle/               pure: events, states, verdicts of the host's evidence
//! plan/                    pure: matrix expansion, identity, diff against what is known, reasons
//! campaign/                pure: text -> wire types -> checked `Campaign`, all diagnostics with spans
//! ids  state  clock  crash  shell  atomic_file  plain_file
//! ```
//!
//! `campaign`, `plan`, `lifecycle` and `report` touch no file, process, network, environment or clock: what they need
//! of the world comes in as values or through the trait [`plan::Files`]. `tests/it/tidy.rs` reads the `use` lines and
//! fails on an arrow that points up.

pub mod apply;
pub mod atomic_file;
pub mod campaign;
pub mod cli;
pub mod clock;
pub mod crash;
pub mod host;
pub mod ids;
pub mod lifecycle;
pub mod plain_file;
pub mod plan;
pub mod report;
pub mod shell;
pub mod state;
pub mod store;

/// How much is tried in a property test of code that reads what others wrote: some hundreds of cases, or what `PROPTEST_CASES`
/// says. What was found stands as a test of its own, so no file of seeds is kept.
#[cfg(test)]
pub(crate) fn fuzz_config() -> proptest::prelude::ProptestConfig {
    proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() }
}

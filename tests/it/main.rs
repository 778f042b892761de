//! Behaviour of `sp` through its public face; one binary, one module a subject.

mod apply;
mod campaign;
mod campaigns;
mod choices;
mod commands;
mod edits;
mod examples;
mod help;
mod lifecycle;
mod output;
mod plan;
mod report;
mod store;
#[expect(
    unreachable_pub,
    dropping_copy_types,
    clippy::manual_assert,
    clippy::needless_pass_by_value,
    reason = "what all tests share, written for reading"
)]
mod support;
mod tidy;

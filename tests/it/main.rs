//! Behaviour of `sp` through its public face; one binary, one module a subject.

mod apply;
mod campaign;
mod choices;
mod commands;
mod edits;
mod help;
mod lifecycle;
mod output;
mod plan;
mod report;
mod store;
#[expect(unreachable_pub, reason = "what tests share")]
mod support;

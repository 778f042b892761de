//! Behaviour of `sp` through its public face; one binary, one module a subject.

mod adoption;
mod apply;
mod campaign;
mod campaigns;
mod cancel;
mod choices;
mod commands;
mod concurrent;
mod crash;
mod dealing;
mod detached;
mod doctor;
mod edits;
mod environment;
mod examples;
mod help;
mod host_script;
mod hostile;
mod lifecycle;
mod moves;
mod outcomes;
mod output;
mod plan;
mod report;
mod secrets;
mod setup;
mod several_hosts;
mod slots;
mod ssh;
mod ssh_errors;
mod store;
#[expect(unreachable_pub, reason = "what tests share")]
mod support;
mod sync;
mod tidy;

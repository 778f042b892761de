//! Behaviour of `sp` through its public face; one binary, one module a subject.

mod apply;
mod campaign;
mod host_script;
mod lifecycle;
mod plan;
mod report;
mod store;
mod support;

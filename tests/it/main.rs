//! Behaviour of `sp` through its public face; one binary, one module a subject.

mod apply;
mod campaign;
mod environment;
mod hostile;
mod lifecycle;
mod outcomes;
mod plan;
mod report;
mod secrets;
mod slots;
mod store;
mod support;

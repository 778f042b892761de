//! Behaviour of `sp` through its public face; one binary, one module a subject.

mod adoption;
mod apply;
mod campaign;
mod cancel;
mod concurrent;
mod crash;
mod detached;
mod environment;
mod lifecycle;
mod outcomes;
mod plan;
mod report;
mod secrets;
mod slots;
mod store;
mod support;

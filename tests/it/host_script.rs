//! The host script by itself, without the binary: every word it knows, under every shell it may meet.
//!
//! A case is a function that takes a [`World`]; `in_every_shell!` makes a test of it for dash, bash as `sh`, busybox with a
//! `PATH` that holds nothing but its applets and `flock`, and, in the long form, bash by its own name, which is no host's `sh`.

mod adopt;
mod cancel;
mod cleanup;
mod crash;
mod doctor;
mod for_users;
mod full_disk;
mod gc;
mod journal;
mod leftovers;
mod long_logs;
mod markers;
mod memory;
mod provenance;
mod queue;
mod setup;
mod shared_queue;
mod snapshots;
mod texts;
mod walks;
mod world;

/// Tests of these cases, one a shell.
macro_rules! in_every_shell {
    ($($case:ident)*) => {
        mod dash { $(#[test] fn $case() { super::$case(&mut super::World::new("dash")); })* }
        mod bash { $(#[test] #[ignore = "as no host runs it"] fn $case() { super::$case(&mut super::World::new("bash")); })* }
        mod bash_posix { $(#[test] fn $case() { super::$case(&mut super::World::new("bash-posix")); })* }
        mod busybox { $(#[test] fn $case() { super::$case(&mut super::World::new("busybox")); })* }
    };
}
use in_every_shell;

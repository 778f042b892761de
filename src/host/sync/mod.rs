//! Sync: one list of files, its digest, and a snapshot of it on a host.
//!
//! In the order of the work: `rules` (what `[sync]` says), `list` (git's list, or a walk), `hash` (contents, with a
//! `cache` of what was hashed before), `memory` (former lists, to tell what changed), `revision` (the
//! commit, and whether the list differs from it), `transfer` (the way that files go,
//! in a `pack` or by `rsync`), `ask` (what the host is asked), and `snapshot` (all of it in its order). Nothing here
//! decides whether a job runs, and nothing is ever deleted from a tree that has been published.

mod ask;
mod bytes;
mod cache;
mod error;
mod hash;
mod list;
mod memory;
mod pack;
mod revision;
mod rsync;
mod rules;
mod snapshot;
mod transfer;

pub use error::SyncError;
pub use hash::{Content, Tree, TreeEntry};
pub use list::{Entry, Kind, Listing, Stat};
pub use memory::{Change, Memory, OtherCode, Writers};
pub use revision::Revision;
pub use rsync::Destination;
pub use rules::{Own, OwnFiles, Rules};
pub use snapshot::{Made, Question, Reading, Snapshot, Source, Survey};

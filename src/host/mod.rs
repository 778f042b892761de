//! Hosts: the transport, the conversation with the host script, the campaign's folder, git, sync.
//!
//! The only layer that starts processes. It decides nothing: what a host said comes back as facts, and whether that is
//! an end, a question or an error of a job is `lifecycle`'s and `apply`'s matter. Every call may be repeated.

mod answer;
mod batch;
mod error;
mod folder;
mod git;
mod local;
mod script;
pub mod sync;

pub use answer::{Account, HostFacts, Probe};
pub use batch::{Batch, BatchContext, BatchJob};
pub use error::HostError;
pub use folder::CampaignFolder;
pub use git::{Revision, origin, revision};
pub use local::{LocalHost, attach_session, local_root, random_word};
pub use script::version as script_version;

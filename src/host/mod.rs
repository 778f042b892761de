//! Hosts: the transport, the conversation with the host script, what a host finds of itself, sync, the campaign's folder,
//! git.
//!
//! The only layer that starts processes. It decides nothing: what a host said comes back as facts, and whether that is
//! an end, a question or an error of a job is `lifecycle`'s and `apply`'s matter. Every call may be repeated.

mod adopt;
mod answer;
mod batch;
mod channels;
mod client;
mod control;
mod conversation;
mod doctor;
mod error;
mod facts;
mod folder;
mod gc;
mod git;
mod glob;
mod hello;
mod login;
mod login_shell;
mod logs;
mod parents;
mod root;
mod script;
mod ssh;
mod ssh_words;
pub mod sync;
mod talk;
mod terminal;
mod transport;
mod trouble;
mod verbs;

pub use answer::{Account, HostFacts, PROBE_KINDS, Probe};
pub use batch::{Batch, BatchContext, BatchJob};
pub use client::{Client, OtherInstance, machine_id};
pub use control::ControlFolder;
pub use conversation::Host;
pub use doctor::{Examination, Greeting};
pub use error::HostError;
pub use facts::{Facts, RootFacts, Stray};
pub use folder::CampaignFolder;
pub use gc::Waste;
pub use git::{Repository, repository};
pub use login_shell::quiet_start;
pub use logs::WantedLog;
pub use root::local_root;
pub use script::{for_users as script_for_users, version as script_version};
pub use ssh::Destination;
pub use trouble::{End, Lack, Lasting, LoginTrouble, Parent, RootTrouble, SshTrouble};

/// 24 hex digits that no other call has had.
pub fn random_word() -> String {
    let mut bytes = [0; 12];
    // Uniqueness, not secrecy, is wanted: the process id and the clock serve where the kernel refuses.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).is_err() {
        bytes[..4].copy_from_slice(&std::process::id().to_le_bytes());
    }
    bytes.map(|byte| format!("{byte:02x}")).concat()
}

//! A job's home: which of the hosts that may run it decides whether it starts.
//!
//! A pure function of job and eligible hosts, so that every client and every apply names the same one. It does not look
//! at load or at what a host has already run; moving work to an idle host is the apply's business.

use crate::ids::JobId;

/// A host as a candidate for homes: one hash a slot, so that a host with two slots gets two shares.
#[derive(Debug, Clone)]
pub struct Candidate {
    slots: Vec<u64>,
}

/// More slots than this weigh no more; it bounds the work for each job.
const MOST_SLOTS: u32 = 64;

impl Candidate {
    /// A host by name; renaming a host moves its jobs, reordering the table does not.
    pub fn new(name: &str, slots: u32) -> Self {
        let slots = (0..slots.clamp(1, MOST_SLOTS))
            .map(|slot| {
                let mut hasher = blake3::Hasher::new();
                hasher.update(b"sp home 1\n").update(&slot.to_le_bytes()).update(name.as_bytes());
                first_word(hasher.finalize().as_bytes())
            })
            .collect();
        Self { slots }
    }

    fn score(&self, job: u64) -> u64 {
        self.slots.iter().map(|slot| mix(slot ^ job)).max().unwrap_or(0)
    }
}

/// The home among `eligible`, as an index into `candidates`; `None` when no host may run the job.
///
/// Rendezvous hashing: a host that comes or goes moves only the jobs that it gets or had.
pub fn home(
    id: JobId,
    candidates: &[Candidate],
    eligible: impl Iterator<Item = usize>,
) -> Option<usize> {
    let job = first_word(&id.0);
    eligible.max_by_key(|&host| (candidates[host].score(job), std::cmp::Reverse(host)))
}

fn first_word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(word)
}

/// Spreads every bit of `x` over the whole word; both inputs are hashes already, this only parts their sum.
fn mix(mut x: u64) -> u64 {
    x ^= x >> 32;
    x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 32)
}

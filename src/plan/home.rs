//! A job's home: which of the hosts that may run it decides whether it starts.
//!
//! A pure function of job and eligible hosts, so that every client and every apply names the same one, on any machine. It
//! does not look at load or at what a host has already run; moving work to an idle host is `lifecycle::dealing`.
//!
//! Weighted rendezvous hashing. Job and host give a number `u` between 0 and 1, and the host with the greatest
//! `slots / -log2(u)` is the home. A host's share of the jobs is its share of the slots, and a host that comes, goes or
//! changes its slots moves only the jobs that it gets or had. Clients of different versions must agree, so the numbers are
//! integers: `u` is `(2h + 1) / 2^65`, where `h` is the first 64 bits, the most significant byte first, of BLAKE3 over
//!
//! ```text
//! sp home 1
//! <job id, 32 hex digits>
//! <host name>
//! ```
//!
//! with a line end after each line, and the logarithm has [`FRACTION`] binary digits behind the point, cut off.

use std::cmp::Ordering;

use crate::ids::JobId;

/// Binary digits of the logarithm behind the point.
const FRACTION: u32 = 40;

/// How much a host is the one for a job; the greatest of all hosts is the home's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Score<'a> {
    host: &'a str,
    slots: u32,
    /// `-log2(u)` in units of 2^-FRACTION, at least 1.
    distance: u64,
}

impl<'a> Score<'a> {
    /// The score of a host for a job. `slots` counts as 1 at least.
    pub fn new(id: JobId, host: &'a str, slots: u32) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("sp home 1\n{id}\n{host}\n").as_bytes());
        let mut word = [0; 8];
        word.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self { host, slots: slots.max(1), distance: distance(u64::from_be_bytes(word)) }
    }

    /// Name of the host.
    pub fn host(&self) -> &'a str {
        self.host
    }
}

impl Ord for Score<'_> {
    /// By `slots / distance`, without a division; of two equal ones the name that is first in byte order wins.
    fn cmp(&self, other: &Self) -> Ordering {
        let product = |slots: u32, distance: u64| u128::from(slots) * u128::from(distance);
        product(self.slots, other.distance)
            .cmp(&product(other.slots, self.distance))
            .then_with(|| other.host.cmp(self.host))
    }
}

impl PartialOrd for Score<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The home of a job among `eligible` hosts, given by name and slots, in any order; `None` without a host.
pub fn home<'a>(id: JobId, eligible: impl IntoIterator<Item = (&'a str, u32)>) -> Option<&'a str> {
    let scores = eligible.into_iter().map(|(host, slots)| Score::new(id, host, slots));
    scores.max().map(|score| score.host)
}

/// `-log2((2h + 1) / 2^65)` in units of 2^-[`FRACTION`], by squaring: each squaring of a number between 1 and 2 gives the
/// next binary digit of its logarithm.
fn distance(h: u64) -> u64 {
    let odd = u128::from(h) * 2 + 1;
    let whole = odd.ilog2();
    // One bit before the point, 63 behind it.
    let mut number = (odd << 63) >> whole;
    let mut log = u64::from(whole);
    for _ in 0..FRACTION {
        number = (number * number) >> 63;
        let digit = number >> 64;
        number >>= digit;
        log = (log << 1) | u64::from(digit == 1);
    }
    (65 << FRACTION) - log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "a comparison with floats")]
    fn the_logarithm_is_one() {
        let unit = (1_u64 << FRACTION) as f64;
        let mut h = 1_u64;
        for n in 0..20_000_u64 {
            h = h.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n);
            let exact = 65.0 - (h as f64).mul_add(2.0, 1.0).log2();
            let ours = distance(h) as f64 / unit;
            assert!((exact - ours).abs() < 1e-9, "{h}: {exact} {ours}");
        }
    }

    #[test]
    fn the_logarithm_has_no_hole_at_its_ends() {
        assert_eq!(distance(0), 65 << FRACTION);
        assert_eq!(distance(u64::MAX), 1);
        assert_eq!(distance((1 << 63) - 1), (1 << FRACTION) + 1);
        // Far apart enough that a digit differs.
        for h in [1, 2, 3, 1 << 40, u64::MAX / 3, u64::MAX / 1001 * 1000] {
            assert!(distance(h) > distance(h + h / 1000 + 1), "{h}");
        }
    }

    /// These numbers are the same for every client, for ever; a change of the function needs another first line.
    #[test]
    fn the_distances_are_fixed() {
        let job = JobId([7; 16]);
        let distances = ["local", "gpu-1", "gpu-2"].map(|host| Score::new(job, host, 1).distance);
        assert_eq!(distances, [1_747_442_396_052, 1_316_046_345_436, 1_282_396_590_416]);
        // With sixty decimal places and another program it is 8591343276640.54.
        assert_eq!(distance(0x0123_4567_89ab_cdef), 8_591_343_276_641);
    }
}

//! Short forms of ids for people.

use crate::ids::JobId;

/// An id is never shown shorter than this.
const LEAST: usize = 8;

/// The shortest unique prefixes of a set of ids, at least 8 digits each.
#[derive(Debug, Clone, Default)]
pub struct Prefixes {
    sorted: Vec<JobId>,
}

impl Prefixes {
    /// Prefixes within these ids.
    pub fn new(ids: impl IntoIterator<Item = JobId>) -> Self {
        let mut sorted: Vec<JobId> = ids.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        Self { sorted }
    }

    /// The short form of an id, be it in the set or not.
    pub fn short(&self, id: JobId) -> String {
        let mut text = id.to_string();
        let at = self.sorted.partition_point(|other| *other < id);
        let after = at + usize::from(self.sorted.get(at) == Some(&id));
        let neighbours =
            [at.checked_sub(1).and_then(|n| self.sorted.get(n)), self.sorted.get(after)];
        let common = neighbours.into_iter().flatten().map(|other| common_digits(id, *other)).max();
        text.truncate((common.unwrap_or(0) + 1).max(LEAST));
        text
    }

    /// The ids that begin with a prefix of lower-case hex digits.
    pub fn matching(&self, prefix: &str) -> &[JobId] {
        let starts = |id: &JobId| id.to_string().starts_with(prefix);
        let from = self.sorted.partition_point(|id| id.to_string().as_str() < prefix);
        let count = self.sorted[from..].partition_point(starts);
        &self.sorted[from..from + count]
    }
}

fn common_digits(a: JobId, b: JobId) -> usize {
    let zeros = (u128::from_be_bytes(a.0) ^ u128::from_be_bytes(b.0)).leading_zeros();
    zeros as usize / 4
}

//! What a host holds that nothing needs any more: listed, or removed.
//!
//! It knows nothing of the matrix: which ended attempts and jobs nobody wants is the caller's to say. The host looks again at
//! the moment of the removal, and never touches what has no end on record.

use std::time::Duration;

use super::answer::{field, nonsense};
use super::conversation::Host;
use super::error::HostError;
use crate::ids::{Attempt, CampaignName, JobId};

/// Large trees take their time.
const PATIENCE: Duration = Duration::from_mins(10);

/// What there is of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waste {
    /// `attempts states tries snapshots unpublished hand-overs marks secrets locks scripts index`, or `left`: what could not
    /// be removed.
    pub kind: String,
    /// How many.
    pub count: u64,
    /// How much room they take on the disk; less is gained where files are shared with what stays.
    pub kib: u64,
}

impl Host {
    /// What nothing needs, by kind; with `remove`, after it was removed.
    pub async fn gc(
        &self,
        campaign: &CampaignName,
        attempts: &[(JobId, Attempt)],
        obsolete: &[JobId],
        remove: bool,
    ) -> Result<Vec<Waste>, HostError> {
        let attempts = attempts.iter().map(|(job, attempt)| format!("attempt {job} {attempt}\n"));
        let jobs = obsolete.iter().map(|job| format!("job {job}\n"));
        let lines: String = attempts.chain(jobs).collect();
        let what = if remove { "remove" } else { "list" };
        let body = self.ask("gc", &[campaign.as_str(), what], lines.as_bytes(), PATIENCE).await?;
        let text = String::from_utf8_lossy(&body);
        let mut found = Vec::new();
        for line in text.lines() {
            let number = |name| field(line, name).and_then(|word| word.parse().ok());
            let kind = field(line, "kind").filter(|_| line.starts_with("gc "));
            let one = kind.zip(number("count")).zip(number("kib"));
            let ((kind, count), kib) =
                one.ok_or_else(|| nonsense(self.name().as_str(), "gc", line.as_bytes()))?;
            found.push(Waste { kind: kind.to_owned(), count, kib });
        }
        found.sort_by(|a, b| a.kind.cmp(&b.kind));
        Ok(found)
    }
}

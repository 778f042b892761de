//! What a host holds that nothing needs any more: listed, or removed.
//!
//! It knows nothing of the matrix: which ended attempts and jobs nobody wants is the caller's to say. The host looks again at
//! the moment of the removal, and never touches what has no end on record.

use std::time::Duration;

use super::answer::{fields, is_word, nonsense};
use super::conversation::Host;
use super::error::HostError;
use crate::ids::{Attempt, Instance, JobId};
use crate::lifecycle::fields::{Kind, size};

/// Large trees take their time.
const PATIENCE: Duration = Duration::from_mins(10);

const GC: Kind = Kind { word: "gc", fields: &["kind", "job", "count", "kib"] };

/// What there is of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waste {
    /// `attempts states tries snapshots unpublished hand-overs marks secrets locks scripts index`, or `left`: what could not
    /// be removed.
    pub kind: String,
    /// The job that it is of, where it is of one.
    pub job: Option<JobId>,
    /// How many.
    pub count: u64,
    /// How much room they take on the disk; less is gained where files are shared with what stays.
    pub kib: u64,
}

impl Host {
    /// What nothing needs, by kind; with `remove`, after it was removed.
    pub async fn gc(
        &self,
        instance: &Instance,
        attempts: &[(JobId, Attempt)],
        obsolete: &[JobId],
        remove: bool,
    ) -> Result<Vec<Waste>, HostError> {
        let attempts = attempts.iter().map(|(job, attempt)| format!("attempt {job} {attempt}\n"));
        let jobs = obsolete.iter().map(|job| format!("job {job}\n"));
        let lines: String = attempts.chain(jobs).chain([".\n".to_owned()]).collect();
        let what = if remove { "remove" } else { "list" };
        let body = self.ask("gc", &[instance.as_str(), what], lines.as_bytes(), PATIENCE).await?;
        parse(self.name().as_str(), &body)
    }
}

/// Reads the body of the answer.
fn parse(host: &str, body: &[u8]) -> Result<Vec<Waste>, HostError> {
    let mut found = Vec::new();
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let wrong = || nonsense(host, "gc", line);
        let text = std::str::from_utf8(line).map_err(|_| wrong())?;
        let fields = fields(&GC, text).ok_or_else(wrong)?;
        let number = |name| fields.get(name, size).map_err(|_| wrong());
        let kind = fields.get("kind", |kind| Some(kind).filter(|kind| is_word(kind)));
        let (kind, count, kib) = (kind.map_err(|_| wrong())?, number("count")?, number("kib")?);
        let job = fields.get("job", |job| match job {
            "none" => Some(None),
            job => job.parse().ok().map(Some),
        });
        found.push(Waste { kind: kind.to_owned(), job: job.map_err(|_| wrong())?, count, kib });
    }
    found.sort_by(|a, b| (&a.kind, a.job).cmp(&(&b.kind, b.job)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_no_answer() {
        let whole = "gc kind=tries job=none count=2 kib=40 .";
        assert_eq!(parse("box", whole.as_bytes()).expect("an answer")[0].kib, 40);
        for end in 1..whole.len() {
            assert!(parse("box", &whole.as_bytes()[..end]).is_err(), "{}", &whole[..end]);
        }
        assert!(parse("box", b"gc kind=\x1b[31m job=none count=2 kib=40 .").is_err());
    }

    proptest! {
        #![proptest_config(crate::fuzz_config())]

        #[test]
        fn no_bytes_make_the_reader_panic(words in prop::collection::vec(prop_oneof!["gc ", "kind=", "job=", "none", "count=", "kib=", "[0-9]{0,22}", "\n", " \\.", "\\PC{0,3}", "\\x1b"], 0..12)) {
            if let Ok(found) = parse("box", words.concat().as_bytes()) {
                prop_assert!(found.iter().all(|one| is_word(&one.kind)));
            }
        }
    }
}

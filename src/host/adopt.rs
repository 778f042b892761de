//! What another instance of the campaign's name has on a host, and taking it over.

use std::collections::BTreeSet;
use std::time::Duration;

use super::answer::{fields, nonsense};
use super::conversation::Host;
use super::error::HostError;
use super::talk::PATIENCE;
use crate::ids::{Attempt, Instance, JobId};
use crate::lifecycle::fields::{Kind, attempt};
use crate::lifecycle::{HostFact, LineError, parse_lines};

/// Files are copied.
const COPYING: Duration = Duration::from_mins(10);

const ADOPTED: Kind = Kind { word: "adopted", fields: &["id", "n"] };

impl Host {
    /// Returns every end that an instance has on record, and what is wrong with lines that were refused.
    pub async fn ends(
        &self,
        instance: &Instance,
    ) -> Result<(Vec<HostFact>, Vec<LineError>), HostError> {
        let body = self.ask("ends", &[instance.as_str()], &[], PATIENCE).await?;
        let lines = parse_lines(&body);
        Ok((lines.facts, lines.errors.into_iter().map(|(_, error)| error).collect()))
    }

    /// Copies ended attempts of another instance into this one, and returns those that were, with their numbers here. What was
    /// not asked for is no part of the answer.
    pub async fn adopt(
        &self,
        instance: &Instance,
        from: &Instance,
        attempts: &[(JobId, Attempt)],
    ) -> Result<Vec<(JobId, Attempt)>, HostError> {
        let lines: Vec<String> =
            attempts.iter().map(|(job, attempt)| format!("{job} {attempt}\n")).collect();
        let lines = lines.concat() + ".\n";
        let words = [instance.as_str(), from.as_str()];
        let body = self.ask("adopt", &words, lines.as_bytes(), COPYING).await?;
        let mut adopted = parse(self.name().as_str(), &body)?;
        retain_asked(&mut adopted, attempts);
        Ok(adopted)
    }
}

/// Leaves out jobs that were not asked for.
fn retain_asked(adopted: &mut Vec<(JobId, Attempt)>, attempts: &[(JobId, Attempt)]) {
    let asked: BTreeSet<JobId> = attempts.iter().map(|(job, _)| *job).collect();
    adopted.retain(|(job, _)| asked.contains(job));
}

/// Reads the body of the answer.
fn parse(host: &str, body: &[u8]) -> Result<Vec<(JobId, Attempt)>, HostError> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let wrong = || nonsense(host, "adopt", line);
            let text = std::str::from_utf8(line).map_err(|_| wrong())?;
            let fields = fields(&ADOPTED, text).ok_or_else(wrong)?;
            let job = fields.get("id", |id| id.parse().ok()).map_err(|_| wrong())?;
            Ok((job, fields.get("n", attempt).map_err(|_| wrong())?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_was_not_asked_for_is_no_part_of_the_answer() {
        let line = |digit: &str| format!("adopted id={} n=2 .\n", digit.repeat(32));
        let body = [line("a"), line("b")].concat();
        let mut adopted = parse("box", body.as_bytes()).expect("an answer");
        let (asked, other) = (adopted[1], adopted[0]);
        retain_asked(&mut adopted, &[asked]);
        assert_eq!(adopted, [asked], "and not {other:?}");
    }

    #[test]
    fn a_line_that_was_cut_off_is_no_answer() {
        let whole = "adopted id=0123456789abcdef0123456789abcdef n=2 .";
        assert_eq!(parse("box", whole.as_bytes()).expect("an answer")[0].1.number(), 2);
        for end in 1..whole.len() {
            assert!(parse("box", &whole.as_bytes()[..end]).is_err(), "{}", &whole[..end]);
        }
    }
}

//! What is right after a trial: what the jobs themselves wrote, against what `sp` and the hosts' records say of them.
//!
//! A fault allows so many attempts another end than the truth, each by its [`Grant`]; whatever is beyond that is a finding.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::said::{Said, Word, said};
use super::trial::{CAMPAIGN, Trial};

/// A finding is one of these; a trial counts as its worst, the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Ran twice where it may run once.
    Doubled,
    /// A run or an end that nobody knows of, though the fault left it knowable.
    Lost,
    /// Told otherwise than it was.
    Wrong,
}

#[derive(Debug)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    text: String,
}

impl Finding {
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}

/// A fault lets one attempt end like one of these beside the truth: `lost:REASON`, `cancelled:REASON`, `failed:CODE`.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// The attempt that was hit, where that is known.
    pub(super) attempt: Option<(String, u32)>,
    pub(super) ends: Vec<String>,
}

impl Grant {
    pub(super) fn any(ends: &[&str]) -> Self {
        Self { attempt: None, ends: ends.iter().map(|end| (*end).to_owned()).collect() }
    }

    pub(super) fn of(attempt: (String, u32), ends: &[&str]) -> Self {
        Self { attempt: Some(attempt), ..Self::any(ends) }
    }
}

/// An attempt as the client tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    state: String,
    reason: String,
    code: Option<i64>,
    signal: String,
}

impl Row {
    /// As a grant names it.
    fn key(&self) -> String {
        match self.code.filter(|_| self.state == "failed") {
            Some(code) => format!("failed:{code}"),
            None => format!("{}:{}", self.state, self.reason),
        }
    }
}

type Rows = BTreeMap<(String, u32), Row>;

/// Judges what the jobs of another folder said, whose owner cancels, withdraws and reruns at will: its results are those of its
/// own jobs, and none is lost or runs beside itself.
pub(super) fn judge_other(folder: &Path, said: &Said, findings: &mut Vec<Finding>) {
    let path = folder.join(format!(".sp/{CAMPAIGN}/attempts.csv"));
    let rows = rows_of(&fs::read_to_string(path).unwrap_or_default());
    let mut find =
        |kind, text: String| findings.push(Finding::new(kind, format!("elsewhere: {text}")));
    for (id, words) in said {
        order(id, words, &Rows::new(), false, &mut find);
        for (n, _) in words.iter().filter(|(n, _)| !rows.contains_key(&(id.clone(), *n))) {
            find(Kind::Lost, format!("{id}/{n} ran, and nobody knows of it"));
        }
    }
    for ((id, n), row) in rows.iter().filter(|(_, row)| row.state != "cancelled") {
        let own = said.get(id).into_iter().flatten().filter(|(of, _)| of == n);
        let own: Vec<&Word> = own.map(|(_, word)| word).collect();
        if let Some((kind, why)) = differs(row, &own) {
            find(kind, format!("{id}/{n} is told as {row:?}: {why}; it said {own:?}"));
        }
    }
}

/// `attempts.csv`.
fn rows(trial: &Trial) -> Rows {
    rows_of(&trial.sandbox.read(&format!(".sp/{CAMPAIGN}/attempts.csv")))
}

fn rows_of(text: &str) -> Rows {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().expect("a head").clone();
    let place = |name: &str| headers.iter().position(|header| header == name).expect("a column");
    let (id, n) = (place("job_id"), place("attempt"));
    let (state, reason, code, signal) =
        (place("state"), place("reason"), place("exit_code"), place("signal"));
    let row = |record: csv::StringRecord| {
        let key = (record[id].to_owned(), record[n].parse().expect("a number"));
        let row = Row {
            state: record[state].to_owned(),
            reason: record[reason].to_owned(),
            code: record[code].parse().ok(),
            signal: record[signal].to_owned(),
        };
        (key, row)
    };
    reader.records().map(|record| row(record.expect("a row"))).collect()
}

/// The final records that the hosts have, as `STATE:REASON`.
fn records(trial: &Trial) -> BTreeMap<(String, u32), String> {
    let mut found = BTreeMap::new();
    for state in states(trial) {
        let text = fs::read_to_string(&state).unwrap_or_default();
        let Some(end) = text.lines().find(|line| line.starts_with("end ") && line.ends_with(" ."))
        else {
            continue;
        };
        let field = |name| crate::support::field(end, name);
        let key = (field("id").to_owned(), field("n").parse().expect("a number"));
        found.insert(key, format!("{}:{}", field("state"), field("reason")));
    }
    found
}

/// Where the trial's own instance lies below a root: others of its name may be there.
fn own_place(trial: &Trial, root: &Path) -> PathBuf {
    let record = trial.sandbox.read(&format!(".sp/{CAMPAIGN}/id"));
    let id = record.lines().next().and_then(|line| line.strip_prefix("id "));
    root.join("v2").join(format!("{CAMPAIGN}~{}", id.unwrap_or("none")))
}

/// The state files of every attempt on every host.
pub(super) fn states(trial: &Trial) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in trial.roots() {
        let jobs = own_place(trial, &root).join("jobs");
        for job in fs::read_dir(jobs).into_iter().flatten().flatten() {
            for attempt in fs::read_dir(job.path()).into_iter().flatten().flatten() {
                let number = attempt.file_name().to_string_lossy().parse::<u32>().is_ok();
                found.extend(number.then(|| attempt.path().join("state")));
            }
        }
    }
    found
}

/// Judges all of a campaign that was brought to its end by an apply with this exit code.
pub(super) fn judge(trial: &Trial, code: i32, findings: &mut Vec<Finding>) {
    let (said, rows, records) = (said(trial), rows(trial), records(trial));
    let mut find = |kind, text: String| findings.push(Finding::new(kind, text));
    for (id, words) in &said {
        order(id, words, &rows, trial.records_gone, &mut find);
    }
    for (id, words) in &said {
        for (n, _) in words {
            if !rows.contains_key(&(id.clone(), *n)) {
                find(Kind::Lost, format!("{id}/{n} ran, and nobody knows of it"));
            }
        }
    }
    let mut grants = trial.grants.clone();
    for ((id, n), row) in &rows {
        let own = said.get(id).into_iter().flatten().filter(|(of, _)| of == n);
        let own: Vec<&Word> = own.map(|(_, word)| word).collect();
        if let Some((kind, why)) = differs(row, &own) {
            let key = row.key();
            let fits = |grant: &Grant| {
                grant.attempt.as_ref().is_none_or(|of| *of == (id.clone(), *n))
                    && grant.ends.contains(&key)
            };
            // One that names the attempt is of no use to others.
            let place = grants.iter().position(|grant| grant.attempt.is_some() && fits(grant));
            match place.or_else(|| grants.iter().position(fits)) {
                Some(place) => drop(grants.remove(place)),
                None => find(kind, format!("{id}/{n} is told as {row:?}: {why}; it said {own:?}")),
            }
        }
        if let Some(record) = records.get(&(id.clone(), *n))
            && *record != format!("{}:{}", row.state, row.reason)
        {
            find(Kind::Wrong, format!("{id}/{n} is {record} on its host and {row:?} here"));
        }
    }
    finals(trial, code, &rows, &mut find);
}

/// The order of what one job said.
fn order(
    id: &str,
    words: &[(u32, Word)],
    rows: &Rows,
    records_gone: bool,
    find: &mut impl FnMut(Kind, String),
) {
    let mut last = 0;
    for (n, word) in words {
        match word {
            Word::Start(_) if *n <= last => {
                find(Kind::Doubled, format!("{id}/{n} started after {id}/{last}: {words:?}"));
            }
            Word::Start(_) => {
                let before = rows.get(&(id.to_owned(), last));
                if before.is_some_and(|row| row.state == "succeeded") {
                    find(Kind::Doubled, format!("{id}/{n} ran though {last} had succeeded"));
                }
                last = *n;
            }
            Word::Overlap if !records_gone => {
                find(Kind::Doubled, format!("two of {id} ran at once: {words:?}"));
            }
            Word::Crowd if !records_gone => {
                find(Kind::Wrong, format!("{id}/{n} ran in a slot that was busy"));
            }
            _ => {}
        }
    }
}

/// Why an attempt's row is not what the job said.
fn differs(row: &Row, own: &[&Word]) -> Option<(Kind, &'static str)> {
    let ran = !own.is_empty();
    let last =
        own.iter().rev().find(|word| matches!(word, Word::End(_) | Word::Dies(_) | Word::Eats));
    match (row.state.as_str(), last) {
        ("succeeded", Some(Word::End(0))) => None,
        ("succeeded", _) => Some((Kind::Wrong, "it did not end well")),
        ("failed", Some(Word::End(code))) if *code != 0 && row.code == Some(*code) => None,
        ("failed", Some(Word::Dies(signal))) if row.signal == *signal => None,
        ("failed", _) => Some((Kind::Wrong, "it did not fail so")),
        ("oom", Some(Word::Eats)) if row.reason == "memory" => None,
        ("oom", _) => Some((Kind::Wrong, "it did not take too much memory")),
        ("cancelled", _) if row.reason == "moved" && !ran => None,
        ("cancelled", _) => Some((Kind::Wrong, "nobody asked for its end")),
        ("lost", _) if row.reason == "before-start" && ran => Some((Kind::Wrong, "it had started")),
        ("lost", _) => Some((Kind::Lost, "its witnesses were not killed")),
        _ => Some((Kind::Lost, "that is no end")),
    }
}

/// The jobs' own states in `status` and in the results: final, the newest attempt's, and as the exit code says.
fn finals(trial: &Trial, code: i32, rows: &Rows, find: &mut impl FnMut(Kind, String)) {
    let status = trial.sandbox.json(&["status", "--offline"]);
    let jobs = status["jobs"].as_array().expect("a list of jobs");
    let results = trial.sandbox.results(CAMPAIGN);
    if (jobs.len(), results.len()) != (trial.jobs, trial.jobs) {
        let text = format!("{} jobs and {} rows of {}", jobs.len(), results.len(), trial.jobs);
        find(Kind::Lost, text);
    }
    let mut all_well = true;
    for (job, result) in jobs.iter().zip(&results) {
        let id = job["id"].as_str().unwrap_or_default();
        let state = job["state"].as_str().unwrap_or_default();
        all_well &= state == "succeeded";
        let newest = rows.range((id.to_owned(), 0)..=(id.to_owned(), u32::MAX)).next_back();
        let Some(((_, n), row)) = newest else {
            find(Kind::Lost, format!("{id} is {state}, and has no attempt"));
            continue;
        };
        if ["pending", "queued", "running"].contains(&state) {
            find(Kind::Lost, format!("{id} is {state} after the closing apply"));
        } else if row.state != state || job["attempt"] != *n {
            find(Kind::Wrong, format!("{id} is {state}, its newest attempt {n} is {row:?}"));
        }
        if result["job_id"] != job["id"] || result["state"] != job["state"] {
            find(Kind::Wrong, format!("the results say {result:?}, status says {job}"));
        }
    }
    if [0, 100].contains(&code) && (code == 0) != all_well {
        find(Kind::Wrong, format!("apply ended with {code}, and all went well: {all_well}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str, reason: &str, code: Option<i64>, signal: &str) -> Row {
        Row { state: state.into(), reason: reason.into(), code, signal: signal.into() }
    }

    #[test]
    fn an_attempt_is_told_as_it_was_or_found() {
        let died = Word::Dies("SIGKILL".to_owned());
        let (start, end) = (Word::Start(7), Word::End);
        let failed = |code| row("failed", "exit-code", Some(code), "");
        let cases = [
            (row("succeeded", "ok", Some(0), ""), vec![start.clone(), end(0)], None),
            (row("succeeded", "ok", Some(0), ""), vec![start.clone(), end(3)], Some(Kind::Wrong)),
            (row("succeeded", "ok", Some(0), ""), vec![start.clone()], Some(Kind::Wrong)),
            (row("succeeded", "ok", Some(0), ""), vec![], Some(Kind::Wrong)),
            (failed(3), vec![start.clone(), end(3)], None),
            (failed(4), vec![start.clone(), end(3)], Some(Kind::Wrong)),
            (failed(0), vec![start.clone(), end(0)], Some(Kind::Wrong)),
            (failed(143), vec![start.clone()], Some(Kind::Wrong)),
            (
                row("failed", "signal", Some(137), "SIGKILL"),
                vec![start.clone(), died.clone()],
                None,
            ),
            (
                row("failed", "signal", Some(143), "SIGTERM"),
                vec![start.clone(), died],
                Some(Kind::Wrong),
            ),
            (row("cancelled", "moved", None, ""), vec![], None),
            (row("cancelled", "moved", None, ""), vec![start.clone()], Some(Kind::Wrong)),
            (row("cancelled", "by-user", None, ""), vec![start.clone()], Some(Kind::Wrong)),
            (row("lost", "before-start", None, ""), vec![], Some(Kind::Lost)),
            (row("lost", "before-start", None, ""), vec![start.clone()], Some(Kind::Wrong)),
            (row("lost", "killed", None, ""), vec![start.clone(), end(0)], Some(Kind::Lost)),
            (row("running", "", None, ""), vec![start.clone(), end(0)], Some(Kind::Lost)),
            (row("queued", "", None, ""), vec![], Some(Kind::Lost)),
        ];
        for (row, words, expected) in cases {
            let words: Vec<&Word> = words.iter().collect();
            let found = differs(&row, &words).map(|(kind, _)| kind);
            assert_eq!(found, expected, "{row:?} {words:?}");
        }
    }

    #[test]
    fn what_runs_twice_is_found() {
        let well = BTreeMap::from([(("x".to_owned(), 1), row("succeeded", "ok", Some(0), ""))]);
        let ill = BTreeMap::from([(("x".to_owned(), 1), row("failed", "exit-code", Some(3), ""))]);
        let (start, again) = ((1, Word::Start(7)), (2, Word::Start(8)));
        let cases = [
            (&ill, vec![start.clone(), (1, Word::End(3)), again.clone()], false, None),
            (
                &well,
                vec![start.clone(), (1, Word::End(0)), again.clone()],
                false,
                Some(Kind::Doubled),
            ),
            (&ill, vec![start.clone(), start.clone()], false, Some(Kind::Doubled)),
            (&ill, vec![again, start.clone()], false, Some(Kind::Doubled)),
            (&ill, vec![(1, Word::Overlap), start.clone()], false, Some(Kind::Doubled)),
            (&ill, vec![(1, Word::Overlap), start.clone()], true, None),
            (&ill, vec![(1, Word::Crowd), start], false, Some(Kind::Wrong)),
        ];
        for (rows, words, records_gone, expected) in cases {
            let mut found = None;
            order("x", &words, rows, records_gone, &mut |kind, _| found = Some(kind));
            assert_eq!(found, expected, "{words:?}");
        }
    }
}

//! Which files of the campaign's own folder its jobs have written: by when jobs ran there, and when a file was last written.
//! The rule is in `sp help sync`.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;

use super::Workspace;
use crate::host::sync::{Entry, Writers};
use crate::ids::{Attempt, HostName, JobId};
use crate::lifecycle::AttemptState;
use crate::plain_file;
use crate::plan::named_files;
use crate::store::{SetupRow, Snapshot, Store};

/// Milliseconds that the clock of a record and the one of a file system may differ by: each counts in hundredths of a second.
const BLUR: i64 = 20;
/// A file that was there before a job is the job's work where it was last written so shortly before the job's end: in the
/// last two seconds, or the last twentieth of a long job.
const LAST_MOMENTS: i64 = 2000;
const LAST_PART: i64 = 20;

/// Beginnings of what `sp` writes where a person says: tables in their forms, and saved plans.
const OURS: &[&[u8]] = &[
    b"job_id,",
    b"job_id\t",
    b"job_id  ",
    b"| job\\_id |",
    b"{\"job_id\":\"",
    b"{\n  \"kind\": \"sp-plan\"",
];

/// A time in which a job ran, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: i64,
    /// When its command ended, and when all of it had, the clean-up too; a job that still runs has no end.
    end: Option<(i64, i64)>,
}

/// When jobs ran, of many jobs together, in milliseconds; see [`joined`].
#[derive(Debug)]
struct Times {
    all: Vec<(i64, i64)>,
    /// Their last moments.
    last: Vec<(i64, i64)>,
}

/// The jobs of a campaign, and of others in its folder, as those that write files there.
pub(super) struct Jobs<'w> {
    workspace: &'w Workspace,
    /// The folder that files are listed from.
    root: PathBuf,
    /// Files that the campaign's texts name as what is read.
    named: BTreeSet<PathBuf>,
    /// Looked up when a file raises the question.
    times: OnceCell<Times>,
}

impl<'w> Jobs<'w> {
    /// The jobs that the checkpoints beside the campaign file know.
    pub(super) fn of(workspace: &'w Workspace, root: &Path) -> Self {
        let campaign = workspace.campaign();
        let folder = Path::new(&campaign.working_dir);
        // As the list has them: without a `.` in front.
        let below = |name: String| {
            let path = folder.join(name);
            path.components().filter(|part| *part != Component::CurDir).collect()
        };
        let named = named_files(campaign).into_iter().map(below).collect();
        Self { workspace, root: root.to_owned(), named, times: OnceCell::new() }
    }

    fn times(&self) -> &Times {
        self.times.get_or_init(|| {
            let state_folder = self.workspace.state_folder();
            let mut spans = Vec::new();
            // A checkpoint that cannot be read is told by the command that works with it.
            if let Ok(snapshot) = self.workspace.store().snapshot() {
                let is_in_place = |host: &HostName| !self.workspace.gets_snapshot(host);
                spans.extend(spans_of(&snapshot, is_in_place, |host, job, attempt| {
                    self.last_record(host, job, attempt)
                }));
            }
            let is_sp = |folder: &&Path| folder.file_name() == Some(OsStr::new(".sp"));
            let beside = state_folder.parent().filter(is_sp);
            let all = beside.map(fs::read_dir);
            for entry in all.into_iter().flatten().flatten().flatten() {
                if entry.path() == state_folder {
                    continue;
                }
                let other = Store::open_read_only(&entry.path()).ok().flatten();
                if let Some(snapshot) = other.and_then(|store| store.snapshot().ok()) {
                    spans.extend(spans_of(&snapshot, |_| false, |_, _, _| None));
                }
            }
            Times {
                all: joined(spans.iter().map(|span| span.all())),
                last: joined(spans.iter().filter_map(|span| span.last_moments())),
            }
        })
    }

    /// When the last record of an attempt was written on this machine, which is after its clean-up.
    fn last_record(&self, host: &HostName, job: JobId, attempt: Attempt) -> Option<i64> {
        let root = self.workspace.host(host).ok()?.root_here()?;
        let jobs = root.join("v2").join(self.workspace.instance().as_str()).join("jobs");
        let state = jobs.join(job.to_string()).join(attempt.to_string()).join("state");
        let about = fs::metadata(state).ok()?;
        Some(about.mtime() * 1000 + about.mtime_nsec() / 1_000_000)
    }

    fn is_named(&self, entry: &Entry) -> bool {
        self.named.contains(Path::new(OsStr::from_bytes(&entry.path)))
    }

    /// Whether a file is a table or a saved plan of `sp`, by how it begins.
    fn is_ours(&self, entry: &Entry) -> bool {
        let path = self.root.join(OsStr::from_bytes(&entry.path));
        let mut head = Vec::new();
        let read =
            plain_file::open(&path).and_then(|(file, _)| file.take(64).read_to_end(&mut head));
        read.is_ok() && OURS.iter().any(|ours| head.starts_with(ours))
    }
}

impl Writers for Jobs<'_> {
    fn made(&self, entry: &Entry) -> bool {
        let is_during = || is_within(&self.times().all, millis(entry));
        !entry.tracked && !self.is_named(entry) && is_during()
    }

    fn rewrote(&self, entry: &Entry) -> bool {
        let is_last = || is_within(&self.times().last, millis(entry));
        !self.is_named(entry) && (is_last() || self.is_ours(entry))
    }

    fn wrote_again(&self, entry: &Entry) -> bool {
        let is_during = || is_within(&self.times().all, millis(entry));
        !self.is_named(entry) && (is_during() || self.is_ours(entry))
    }
}

impl Span {
    /// From its first moment to its last one.
    fn all(self) -> (i64, i64) {
        (self.from, self.end.map_or(i64::MAX, |(_, all)| all))
    }

    /// The time that a file must have been written in to be a work of the job; a job that still runs has none.
    fn last_moments(self) -> Option<(i64, i64)> {
        let (command, all) = self.end?;
        let last = LAST_MOMENTS.max((command - self.from) / LAST_PART);
        Some((self.from.max(command - last), all))
    }
}

/// Joins times that overlap, in their order: so that a moment is looked for once, however many jobs there are.
fn joined(times: impl Iterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
    let mut times: Vec<(i64, i64)> = times.filter(|(from, to)| from <= to).collect();
    times.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (from, to) in times {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// Whether a moment lies in one of these times, which [`joined`] has made.
fn is_within(times: &[(i64, i64)], moment: i64) -> bool {
    let after = times.partition_point(|(from, _)| *from <= moment);
    after > 0 && moment <= times[after - 1].1
}

/// When a file was last written.
fn millis(entry: &Entry) -> i64 {
    let (seconds, nanoseconds) = entry.stat.mtime;
    seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
}

/// Times in which jobs ran in the campaign's own folder, and setups of hosts whose jobs do. `last`: when the last record of an
/// attempt was written.
fn spans_of(
    snapshot: &Snapshot,
    is_in_place: impl Fn(&HostName) -> bool,
    last: impl Fn(&HostName, JobId, Attempt) -> Option<i64>,
) -> Vec<Span> {
    let span = |from: Option<Timestamp>, to: Option<Timestamp>, last: Option<i64>| {
        let end = to.map(|to| {
            let command = to.as_millisecond();
            (command, command.max(last.unwrap_or(i64::MIN)) + BLUR)
        });
        Some(Span { from: from?.as_millisecond() - BLUR, end })
    };
    let mut spans = Vec::new();
    for job in &snapshot.jobs {
        for row in &job.attempts {
            if row.provenance.as_ref().is_some_and(|ran| ran.snapshot.is_some()) {
                continue;
            }
            let has_ended = matches!(row.state, AttemptState::Ended(_));
            let last = has_ended.then(|| last(&row.host, job.id, row.attempt)).flatten();
            spans.extend(span(row.started_at, row.ended_at, last));
        }
    }
    for SetupRow { id, row } in snapshot.setups.iter().filter(|setup| is_in_place(&setup.row.host))
    {
        let has_ended = matches!(row.state, AttemptState::Ended(_));
        let last = has_ended.then(|| last(&row.host, *id, row.attempt)).flatten();
        spans.extend(span(row.started_at, row.ended_at, last));
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_found_in_the_times_of_many_jobs() {
        let span = |from, to| Span { from, end: Some((to, to + 10)) };
        let spans = [span(50_000, 90_000), span(0, 5_000), span(4_000, 6_000), span(9_000, 9_000)];
        let all = joined(spans.iter().map(|span| span.all()));
        assert_eq!(all, [(0, 6_010), (9_000, 9_010), (50_000, 90_010)]);
        let last = joined(spans.iter().filter_map(|span| span.last_moments()));
        assert_eq!(last, [(3_000, 6_010), (9_000, 9_010), (88_000, 90_010)]);
        for (moment, is_there) in
            [(-1, false), (0, true), (6_010, true), (6_011, false), (9_005, true)]
        {
            assert_eq!(is_within(&all, moment), is_there, "{moment}");
        }
        let running = Span { from: 7, end: None };
        assert!(is_within(&joined([running.all()].into_iter()), 1 << 50));
        assert_eq!(running.last_moments(), None);
        assert!(!is_within(&[], 0));
    }
}

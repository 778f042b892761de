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
use crate::store::{Snapshot, Store};

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

/// The jobs of a campaign, and of others in its folder, as those that write files there.
pub(super) struct Jobs<'w> {
    workspace: &'w Workspace,
    /// The folder that files are listed from.
    root: PathBuf,
    /// Files that the campaign's texts name as what is read.
    named: BTreeSet<PathBuf>,
    /// Looked up when a file raises the question.
    spans: OnceCell<Vec<Span>>,
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
        Self { workspace, root: root.to_owned(), named, spans: OnceCell::new() }
    }

    fn spans(&self) -> &[Span] {
        self.spans.get_or_init(|| {
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
            spans
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
        let written = millis(entry);
        !entry.tracked && !self.is_named(entry) && self.spans().iter().any(|span| span.has(written))
    }

    fn rewrote(&self, entry: &Entry) -> bool {
        let written = millis(entry);
        !self.is_named(entry)
            && (self.spans().iter().any(|span| span.ends_with(written)) || self.is_ours(entry))
    }
}

impl Span {
    fn has(self, moment: i64) -> bool {
        self.from <= moment && self.end.is_none_or(|(_, all)| moment <= all)
    }

    fn ends_with(self, moment: i64) -> bool {
        self.end.is_some_and(|(command, _)| {
            let last = LAST_MOMENTS.max((command - self.from) / LAST_PART);
            self.has(moment) && command - moment <= last
        })
    }
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
    for row in snapshot.setups.iter().filter(|row| is_in_place(&row.host)) {
        let has_ended = matches!(row.state, AttemptState::Ended(_));
        let last = has_ended.then(|| last(&row.host, row.id, row.attempt)).flatten();
        spans.extend(span(row.started_at, row.ended_at, last));
    }
    spans
}

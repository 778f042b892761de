//! What a host says of an attempt, as typed values: the only input of the life cycle and of the store's memory.
//!
//! Nothing here knows the text that a host sent; that is `record`.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::lifecycle::life::Final;
use crate::lifecycle::reason::Reason;
use crate::lifecycle::unit::Unit;

/// One thing that a host said.
#[derive(Debug, Clone, PartialEq)]
pub enum HostFact {
    /// What holds of an attempt.
    Attempt {
        /// The job or setup.
        unit: Unit,
        /// Which of its attempts.
        attempt: Attempt,
        /// The apply that handed it over, or for whose hand-over it ran.
        apply: ApplyId,
        /// What holds of it.
        fact: Fact,
    },
    /// `sp gc` removed the files of an attempt that has ended; its records stay.
    FilesRemoved {
        /// The job.
        job: JobId,
        /// Which of its attempts.
        attempt: Attempt,
    },
    /// `sp accept`: the result of `from` counts for `job`.
    Accepted {
        /// The job that has no result of its own.
        job: JobId,
        /// The job whose result it is.
        from: JobId,
    },
}

/// What holds of one attempt on one host.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// In the queue, not claimed.
    Queued,
    /// Claimed and started, by the journal.
    Started {
        /// The slot it holds.
        slot: u32,
        /// When, by the host's clock.
        at: Timestamp,
    },
    /// Not ended at the moment of a probe.
    Open {
        /// Who is alive.
        verdict: Verdict,
        /// The slot it holds.
        slot: u32,
        /// When it started, if it has.
        started: Option<Timestamp>,
        /// The tmux session to look at it.
        session: Option<String>,
    },
    /// Ended, by its last record.
    Ended(Box<Ending>),
    /// The root that held its records is gone from the host, and it had not ended before.
    RootGone,
}

/// What the evidence on the host says of an attempt that has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Claimed; the command does not run yet.
    Starting,
    /// Wrapper and command are alive.
    Running,
    /// The command is alive and its wrapper is not; a runner looks after it.
    Orphan,
    /// Claimed on another machine that has the same root: what became of it is for that machine to say.
    Foreign,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// The final state.
    pub state: Final,
    /// Why.
    pub reason: Reason,
    /// The exit code as a shell sees it: 128 and the signal's number for a death by signal.
    pub exit_code: Option<u8>,
    /// Name of the signal such as `SIGKILL`, where a witness saw it.
    pub signal: Option<String>,
    /// Who wrote the last record: `runner`, `orphan`, `seal` or `cancel`.
    pub by: String,
    /// The marker that did not hold.
    pub marker: Option<Marker>,
    /// What became of processes it left behind: `none`, `cleaned`, `kept` or `waited`.
    pub leftovers: String,
    /// How its `cleanup` came to a bad end; no part of the state.
    pub cleanup: Option<BadCleanup>,
    /// Bytes that were left out of its log.
    pub cut: Option<u64>,
    /// When it started, by the host's clock.
    pub started: Option<Timestamp>,
    /// When it ended, by the host's clock.
    pub ended: Timestamp,
    /// Seconds it ran, by a clock that is never set.
    pub elapsed_s: Option<f64>,
    /// The host that got the job instead; only where the reason is [`Reason::Moved`].
    pub moved_to: Option<HostName>,
    /// What it ran from, as its claim has it.
    pub tree: Tree,
    /// One sentence for people, see `sentence`; empty until somebody who knows the campaign fills it. The store puts a
    /// plainer one in place of an empty one.
    pub detail: String,
}

/// How a `cleanup` came to a bad end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadCleanup {
    /// It ended with this exit code.
    Code(u8),
    /// It ran longer than `cleanup-limit` and was ended.
    Limit,
    /// A cancel ended it.
    Cancelled,
}

/// What an attempt ran from, as far as it is on record. Older records have nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Name of the synced tree; none where jobs run in the campaign's own folder.
    pub snapshot: Option<String>,
    /// Digest of the code.
    pub code: Option<[u8; 32]>,
    /// Full commit id, hex.
    pub git_rev: Option<String>,
    /// Whether the tree differed from that commit.
    pub dirty: Option<bool>,
}

/// Which done marker a record speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// The n-th of `[done] files`, from 0.
    File(u32),
    /// `[done] log`.
    Log,
    /// `[done] count`.
    Count,
}

/// How far a host's journal has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalPosition {
    /// Which journal: a new one after the root was made anew.
    pub generation: String,
    /// Bytes that were read.
    pub offset: u64,
    /// Digest of the last line before `offset`, `none` at the beginning. A journal that has another line there was rolled
    /// back and has grown differently since.
    pub mark: String,
}

impl JournalPosition {
    /// Bytes of a line that its mark is made of: the last ones, as the host script looks at them.
    const MARKED: usize = 2048;

    /// Moves on over whole lines.
    pub fn read(&mut self, lines: &[u8]) {
        let Some(text) = lines.strip_suffix(b"\n") else { return };
        self.offset += lines.len() as u64;
        let start = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let line = &lines[start..];
        let digest = Sha256::digest(&line[line.len().saturating_sub(Self::MARKED)..]);
        self.mark =
            digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    }
}

//! One host's part of an apply: what it is at, and the next thing to ask it. Hosts proceed side by side, each in its lane.
//!
//! A step talks to its host and to nothing else; what it brought back is recorded by `follow`, the one owner of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use super::ApplyError;
use super::again::{Down, Repeated};
use super::collect::Question;
use super::missing::Handed;
use super::open::Named;
use super::repository::Asked;
use crate::host::sync::Revision;
use crate::host::sync::{Made, Source};
use crate::host::{Account, Batch, Host, HostError, Probe, WantedLog};
use crate::ids::{ApplyId, Attempt, HostName, Instance, JobId};
use crate::lifecycle::{AttemptState, HostFact, JournalPosition, LineError};
use crate::state::State;
use crate::store::Intended;

/// Answers without any news, before it is said that the queue does not move.
pub(super) const IDLE_ROUNDS: u32 = 12;

/// A stretch of a host's journal as it came.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) lane: usize,
    pub(super) facts: Vec<HostFact>,
    pub(super) refused: Vec<LineError>,
    pub(super) position: JournalPosition,
}

/// What a step brought back.
pub(super) enum Said {
    /// The host has what jobs need.
    Prepared(Box<Result<Prepared, ApplyError>>),
    /// A hand-over arrived, or did not.
    HandedOver(Result<(), HostError>),
    /// The journal was followed and the host asked as a whole.
    Looked(Result<Box<Probe>, HostError>),
    /// Logs were fetched.
    Logs(Result<(), HostError>),
    /// Jobs were given to another host: the ends of those that were, and lines that were refused.
    Gave(Result<(Vec<HostFact>, Vec<LineError>), HostError>),
    /// This apply's hand-overs were taken out of the queue.
    Withdrawn(Result<(), HostError>),
}

impl Said {
    /// To which of the questions that are repeated this is an answer.
    pub(super) fn asked(&self) -> Option<Repeated> {
        match self {
            Self::Prepared(_) => Some(Repeated::Prepare),
            Self::HandedOver(_) => Some(Repeated::HandOver),
            Self::Looked(_) => Some(Repeated::Look),
            Self::Withdrawn(_) => Some(Repeated::Withdraw),
            Self::Logs(_) | Self::Gave(_) => None,
        }
    }
}

/// A host that jobs can be handed to.
pub(super) struct Prepared {
    pub(super) account: Account,
    /// The code as it was sent there, and the folder that it is in; `None` where jobs run in the campaign's own.
    pub(super) made: Option<(Made, PathBuf)>,
}

/// A setup that ended otherwise than well: what needed it was not run.
#[derive(Debug, Clone)]
pub struct SetupFailure {
    /// Which setup.
    pub id: JobId,
    /// Which of its attempts.
    pub attempt: Attempt,
    /// How it ended.
    pub state: State,
    /// One sentence.
    pub detail: String,
}

/// Why a lane goes no further.
#[derive(Debug)]
pub enum Trouble {
    /// The queue has entries and does not move.
    Stuck,
    /// An error; the lane's jobs go on without us.
    Error(ApplyError),
    /// The setup ended otherwise than well; the jobs that need it are as if never handed over.
    Setup(SetupFailure),
}

/// A host and what is waited for there.
pub(super) struct Lane {
    /// Place among the campaign's hosts.
    pub(super) at: usize,
    pub(super) host: Host,
    /// Jobs still to be handed over.
    pub(super) jobs: Vec<usize>,
    /// Runners to ask for, its share of those of all hosts; 0 where nothing may be started now.
    pub(super) slots: u32,
    /// The most that its share can be.
    pub(super) own_slots: u32,
    /// The newest attempt of jobs that another host gave to this one.
    pub(super) given: BTreeMap<usize, Attempt>,
    /// Attempts that it was asked to give away; what it kept was claimed.
    pub(super) asked: BTreeSet<(JobId, Attempt)>,
    /// Whether it is being asked to.
    pub(super) giving: bool,
    /// Whether it has what jobs need, where that was asked.
    pub(super) fit: Option<bool>,
    /// Number of jobs that ended here, and the seconds they took.
    pub(super) measured: (u32, f64),
    /// Whether this apply's hand-overs are to be taken out of the queue.
    pub(super) withdraw: bool,
    /// Attempts that are waited for.
    pub(super) open: BTreeMap<(JobId, Attempt), AttemptState>,
    /// What was handed over last, until the host has said that it arrived.
    pub(super) sent: Vec<Intended>,
    /// Hand-overs so far.
    pub(super) number: u32,
    /// Whether the host was asked to see to its runners since the lane began.
    pub(super) kicked: bool,
    /// How far this apply has read its journal. What another process has read beyond is still to be told here.
    pub(super) read: Option<JournalPosition>,
    /// What the host had, by its own word, when the step under way began.
    pub(super) had: BTreeSet<Handed>,
    /// Facts that came and are not recorded yet, and how far they reach.
    pub(super) bundle: Vec<HostFact>,
    pub(super) position: Option<JournalPosition>,
    /// The step under way, by its number, and how to end it.
    pub(super) step: Option<(u32, AbortHandle)>,
    /// Whether that step may be ended at any moment: it looks, no more.
    pub(super) looking: bool,
    /// The number of the newest step.
    pub(super) steps: u32,
    /// A step that is ready to be taken.
    pub(super) next: Option<Step>,
    /// Looks in a row that showed nothing new; whether the present one has; when it began.
    pub(super) idle: u32,
    pub(super) news: bool,
    pub(super) began: Instant,
    /// Whether something that the host is asked again and again comes to nothing.
    pub(super) down: Option<Down>,
    /// Why it does not.
    pub(super) silent: Option<ApplyError>,
    /// Whether logs may be there that are to be fetched at the end.
    pub(super) logs: bool,
    /// Whether its setup runs: then no job does.
    pub(super) sets_up: bool,
    /// The setup that failed last.
    pub(super) setup_failed: Option<SetupFailure>,
    /// Whether the next look asks at once, since what is queued there has changed.
    pub(super) ask_now: bool,
    pub(super) trouble: Option<Trouble>,
}

/// What to ask next, with all that the question needs.
pub(super) enum Step {
    /// `source`: the code to send.
    Prepare {
        host: Host,
        instance: Instance,
        programs: Vec<String>,
        missing: Vec<String>,
        source: Option<Box<Source>>,
        revision: Asked<Revision>,
        pause: Duration,
    },
    HandOver {
        host: Host,
        instance: Instance,
        batch: Box<Batch>,
        slots: u32,
        root_id: Option<String>,
    },
    /// `seconds`: how long to follow the journal first.
    Look {
        question: Question,
        seconds: Option<u64>,
        kick: u32,
        pause: Duration,
    },
    Logs {
        host: Host,
        instance: Instance,
        wanted: Vec<WantedLog>,
    },
    GiveAway {
        host: Host,
        instance: Instance,
        to: HostName,
        named: Named,
    },
    Withdraw {
        host: Host,
        instance: Instance,
        apply: ApplyId,
        pause: Duration,
    },
}

impl Lane {
    pub(super) fn new(at: usize, host: Host, slots: u32) -> Self {
        Self {
            at,
            host,
            jobs: Vec::new(),
            slots,
            own_slots: slots,
            given: BTreeMap::new(),
            asked: BTreeSet::new(),
            giving: false,
            fit: None,
            measured: (0, 0.0),
            withdraw: false,
            open: BTreeMap::new(),
            sent: Vec::new(),
            number: 0,
            kicked: false,
            read: None,
            had: BTreeSet::new(),
            bundle: Vec::new(),
            position: None,
            step: None,
            looking: false,
            steps: 0,
            next: None,
            idle: 0,
            news: false,
            began: Instant::now(),
            down: None,
            silent: None,
            logs: false,
            sets_up: false,
            setup_failed: None,
            ask_now: false,
            trouble: None,
        }
    }

    /// Whether nothing is waited for any more here.
    pub(super) fn is_quiet(&self) -> bool {
        self.jobs.is_empty()
            && self.open.is_empty()
            && self.next.is_none()
            && self.sent.is_empty()
            && !self.giving
    }

    /// Whether the host answers, as far as anybody knows, and jobs can run there.
    pub(super) fn is_of_use(&self) -> bool {
        self.down.is_none()
            && self.trouble.is_none()
            && self.setup_failed.is_none()
            && self.fit != Some(false)
    }

    /// Waits for what was handed over last as if it had arrived.
    pub(super) fn await_sent(&mut self) {
        for one in std::mem::take(&mut self.sent) {
            self.open.entry((one.job, one.attempt)).or_insert(AttemptState::Intended);
        }
    }

    /// Ends the step under way if it is one that only looks; what it would have told is told by the next one.
    pub(super) fn stop_looking(&mut self) {
        if self.looking
            && let Some((_, step)) = self.step.take()
        {
            step.abort();
        }
    }

    /// Takes out what kept it from going on.
    pub(super) fn troubles(&mut self) -> Vec<(HostName, Trouble)> {
        let failed = self.setup_failed.take().map(Trouble::Setup);
        let troubles = self.trouble.take().into_iter().chain(failed);
        troubles.map(|trouble| (self.host.name().clone(), trouble)).collect()
    }

    /// How long to wait before the next look.
    pub(super) fn pause(&self) -> Duration {
        match (self.down, self.idle) {
            (Some(down), _) => down.pause(),
            (None, 0) => Duration::ZERO,
            (None, idle) => Duration::from_millis(50 << idle.min(6)),
        }
    }
}

impl Step {
    /// Does it. Chunks of the journal go to `news` as they come.
    pub(super) async fn take(self, lane: usize, news: UnboundedSender<Chunk>) -> Said {
        match self {
            Self::Prepare { host, instance, programs, missing, source, revision, pause } => {
                tokio::time::sleep(pause).await;
                let ready = prepare(&host, &instance, &programs, missing, source, revision).await;
                Said::Prepared(Box::new(ready))
            }
            Self::HandOver { host, instance, batch, slots, root_id } => {
                let root_id = root_id.as_deref();
                Said::HandedOver(host.hand_over(&instance, &batch, slots, root_id).await)
            }
            Self::Look { question, seconds, kick, pause } => {
                tokio::time::sleep(pause).await;
                let looked = look(lane, question, seconds, kick, news).await;
                Said::Looked(looked.map(Box::new))
            }
            Self::Logs { host, instance, wanted } => {
                Said::Logs(host.fetch_logs(&instance, &wanted).await)
            }
            Self::GiveAway { host, instance, to, named } => {
                let root_id = named.root_id.as_deref();
                Said::Gave(host.give_away(&instance, &to, &named.attempts, root_id).await)
            }
            Self::Withdraw { host, instance, apply, pause } => {
                tokio::time::sleep(pause).await;
                Said::Withdrawn(host.withdraw(&instance, &apply).await)
            }
        }
    }
}

async fn prepare(
    host: &Host,
    instance: &Instance,
    programs: &[String],
    mut missing: Vec<String>,
    source: Option<Box<Source>>,
    revision: Asked<Revision>,
) -> Result<Prepared, ApplyError> {
    // Side by side: none of them needs another one, and each costs a way there and back. But what is wrong with the account
    // or the root is why the sending failed, too, and ends it.
    let is_sent = source.is_some() || !host.is_here();
    let send = async {
        let Some(source) = source else { return Ok(None) };
        let made = source.send(host, instance).await?;
        let folder = host.snapshots(instance).await?.join(&made.snapshot.folder).join("tree");
        Ok::<_, HostError>(Some((made, folder)))
    };
    let look = async {
        let (account, _) = tokio::join!(host.account(programs), revision.look());
        let account = account?;
        host.check_root(&account.root, is_sent)?;
        missing.extend(account.missing.iter().cloned());
        if missing.is_empty() {
            return Ok(account);
        }
        Err(ApplyError::Programs { host: host.name().to_string(), programs: missing })
    };
    tokio::pin!(send, look);
    let (account, made) = tokio::select! {
        account = &mut look => (account?, None),
        made = &mut send => (look.await?, Some(made)),
    };
    let made = match made {
        Some(made) => made?,
        None => send.await?,
    };
    Ok(Prepared { account, made })
}

/// Follows the journal until the runners have left or the time is over, then asks for everything.
async fn look(
    lane: usize,
    mut question: Question,
    seconds: Option<u64>,
    kick: u32,
    news: UnboundedSender<Chunk>,
) -> Result<Probe, HostError> {
    if kick > 0 {
        question.host.kick(kick).await?;
    }
    if let Some((journal, seconds)) = question.journal.as_ref().zip(seconds) {
        let tell = |facts, refused, position: &JournalPosition| {
            // A receiver that is gone wants no more news.
            drop(news.send(Chunk { lane, facts, refused, position: position.clone() }));
        };
        let followed = question.host.follow(&question.instance, journal, seconds, tell).await?;
        question.journal = Some(followed);
    }
    question.ask().await
}

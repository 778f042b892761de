//! Asking hosts, and recording what they say. Starts nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::missing::{Before, Missing};
use super::{ApplyError, Settings, Workspace, joined};
use crate::campaign::template::Rendered;
use crate::host::{Host, HostError, OtherInstance, Probe};
use crate::ids::{HostName, Instance, JobId};
use crate::lifecycle::event::HostState;
use crate::lifecycle::sentence::{Context, sentence};
use crate::lifecycle::{AttemptState, Fact, HostFact, JournalPosition, LineError};
use crate::plan::{HostStatus, told};
use crate::store::{ApplyLock, HostMemory, HostReport, Intended, Lock, Recorded};

/// How long a host over ssh is waited for by who only wants to know: a host that is down must not hold up the others.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// What one host answered, or why it did not.
#[derive(Debug, Clone)]
pub struct HostAnswer {
    /// For the plan.
    pub status: HostStatus,
    /// For tables and events.
    pub state: HostState,
    /// Version of tmux there.
    pub tmux: Option<String>,
    /// Programs that every job needs and that are not there.
    pub missing: Vec<String>,
    /// Ended attempts whose records are found to be gone.
    pub records_gone: usize,
    /// Lines of its answer that were refused.
    pub refused: Vec<LineError>,
    /// Other instances of the campaign's name there.
    pub others: Vec<OtherInstance>,
    /// Why there is no answer.
    pub trouble: Option<Arc<ApplyError>>,
}

/// What asking all hosts gave.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// By host.
    pub hosts: BTreeMap<HostName, HostAnswer>,
    /// Jobs with a final state that the checkpoint had not known.
    pub learned: BTreeSet<JobId>,
}

impl Collected {
    /// Why a host did not answer; `None` where it did.
    pub fn trouble_of(&self, host: &HostName) -> Option<&ApplyError> {
        self.hosts.get(host)?.trouble.as_deref()
    }
}

/// What one host's answer came to.
pub(super) struct Taken {
    pub(super) answer: HostAnswer,
    /// What it said, with sentences.
    pub(super) facts: Vec<HostFact>,
    /// What changed in the checkpoint.
    pub(super) recorded: Recorded,
    /// Attempts that came to nothing there.
    pub(super) unstarted: Vec<Intended>,
    /// Whether the host is to be asked for its whole journal, since something that it had is missing.
    pub(super) in_doubt: bool,
}

/// A host, and what to ask it.
pub(super) struct Question {
    pub(super) host: Host,
    pub(super) instance: Instance,
    /// How far its journal was read.
    pub(super) journal: Option<JournalPosition>,
    /// How long the answer is waited for by who only wants to know.
    within: Duration,
}

impl Question {
    pub(super) async fn ask(&self) -> Result<Probe, HostError> {
        self.host.probe(&self.instance, self.journal.as_ref(), &self.host.needed()).await
    }

    async fn ask_soon(&self) -> Result<Probe, HostError> {
        if self.host.is_here() {
            return self.ask().await;
        }
        match timeout(self.within, self.ask()).await {
            Ok(answer) => answer,
            Err(_) => Err(self.host.too_slow("probe", self.within)),
        }
    }
}

impl Settings {
    /// A loaded machine that runs many hosts at once for tests is given more time; nobody else can.
    fn ask_within(&self) -> Duration {
        let wanted = self.environment.get("SP_TEST_ASK_WITHIN").filter(|_| cfg!(debug_assertions));
        wanted.and_then(|text| text.parse().ok()).map_or(ASK_WITHIN, Duration::from_secs)
    }
}

impl Workspace {
    /// Asks every host, side by side, and records the answers. A host that does not answer is told of in its place.
    /// `lock`: this process holds the campaign's lock.
    pub async fn collect(&mut self, lock: Option<&ApplyLock>) -> Result<Collected, ApplyError> {
        let collected = self.ask_all(lock).await?;
        if self.find_itself(&collected)? { self.ask_all(lock).await } else { Ok(collected) }
    }

    async fn ask_all(&mut self, lock: Option<&ApplyLock>) -> Result<Collected, ApplyError> {
        let before = self.before()?;
        let mut asked = JoinSet::new();
        for (at, before) in before.iter().enumerate() {
            let question = self.question(at, before.journal.clone());
            asked.spawn(async move { (at, question.ask_soon().await) });
        }
        let mut answers = BTreeMap::new();
        let answered = async {
            while let Some(answer) = asked.join_next().await {
                let answer = joined(answer);
                answers.extend(answer.map(|(at, said)| (at, said.map_err(ApplyError::from))));
            }
        };
        answered.await;
        self.check_places(&mut answers)?;
        let mut collected = Collected::default();
        for ((at, answer), mut before) in answers.into_iter().zip(before) {
            let name = self.hosts[at].name().clone();
            let mut taken = match answer {
                Ok(probe) => self.take_answer(at, &probe, &before, lock),
                Err(error) => Err(error),
            };
            if taken.as_ref().is_ok_and(|taken| taken.in_doubt) {
                before.journal = None;
                taken = match self.question(at, None).ask_soon().await {
                    Ok(probe) => self.take_answer(at, &probe, &before, lock),
                    Err(error) => Err(error.into()),
                };
            }
            let answer = match taken {
                Ok(taken) => {
                    let ended = |to: &AttemptState| matches!(to, AttemptState::Ended(_));
                    let changes = taken.recorded.changes.iter();
                    let learned = changes.filter(|change| ended(&change.to));
                    let learned = learned.filter_map(|change| change.unit.job());
                    collected.learned.extend(learned);
                    taken.answer
                }
                Err(error) if error.is_ours() => return Err(error),
                Err(error) => self.unanswered(&name, error)?,
            };
            collected.hosts.insert(name, answer);
        }
        Ok(collected)
    }

    /// What to ask a host whose journal has been read so far.
    pub(super) fn question(&self, at: usize, journal: Option<JournalPosition>) -> Question {
        let (host, instance) = (self.hosts[at].clone(), self.instance().clone());
        Question { host, instance, journal, within: self.settings.ask_within() }
    }

    fn unanswered(&self, host: &HostName, error: ApplyError) -> Result<HostAnswer, ApplyError> {
        let since = self.store.host(host)?.last_seen.unwrap_or_else(|| self.settings.clock.now());
        Ok(HostAnswer {
            status: HostStatus::Unreachable { since },
            state: HostState::Unreachable,
            tmux: None,
            missing: Vec::new(),
            records_gone: 0,
            refused: Vec::new(),
            others: Vec::new(),
            trouble: Some(Arc::new(error)),
        })
    }

    /// Records a host's whole answer. `before`: what was known when it was asked.
    pub(super) fn take_answer(
        &mut self,
        at: usize,
        probe: &Probe,
        before: &Before,
        lock: Option<&ApplyLock>,
    ) -> Result<Taken, ApplyError> {
        let name = self.hosts[at].name().clone();
        let now = self.settings.clock.now();
        let memory = self.store.host(&name)?;
        let unended = self.unended(&name)?;
        let missing = if memory.root_id.as_ref().is_some_and(|root| *root != probe.host.root_id) {
            // What was sent to it went with the root: the next hand-over sends it again.
            self.code.remove(&name);
            Missing::with_their_root(unended)
        } else {
            Missing::of(unended, probe, before)
        };
        let mut facts = missing.gone;
        facts.extend(probe.facts.iter().cloned());
        self.fill_sentences(&mut facts);
        let clock_offset_ms =
            probe.host.clock.map(|clock| clock.as_millisecond() - now.as_millisecond());
        let recorded = self.store.record(&HostReport {
            host: &name,
            memory: HostMemory {
                root_id: Some(probe.host.root_id.clone()),
                machine_id: Some(probe.host.machine_id.clone()),
                journal: probe.journal.clone(),
                clock_offset_ms,
                last_seen: Some(now),
            },
            read_from: before.journal.clone(),
            // Of an instance that is not there nothing is; another process may have made it since the host was asked.
            whole: probe.whole_journal
                && probe.refused.is_empty()
                && (probe.journal.is_some()
                    || (!probe.knows_instance && memory.journal == before.journal)),
            facts: &facts,
        })?;
        self.store.keep_lists(&probe.dealt_by)?;
        self.take_back(&name, &missing.unstarted, lock)?;
        let answer = HostAnswer {
            status: HostStatus::Probed(now),
            state: HostState::Reachable,
            tmux: probe.host.tmux.clone(),
            missing: probe.host.missing.clone(),
            records_gone: recorded.records_gone,
            refused: probe.refused.clone(),
            others: probe.others.clone(),
            trouble: None,
        };
        let (unstarted, in_doubt) = (missing.unstarted, missing.in_doubt);
        Ok(Taken { answer, facts, recorded, unstarted, in_doubt })
    }

    /// Forgets attempts that came to nothing. Another apply may be between its intent and the hand-over: then it is for
    /// that one to say.
    fn take_back(
        &mut self,
        host: &HostName,
        unstarted: &[Intended],
        lock: Option<&ApplyLock>,
    ) -> Result<(), ApplyError> {
        if unstarted.is_empty() {
            return Ok(());
        }
        let _ours = match lock {
            Some(_) => None,
            None => match self.lock()? {
                Lock::Acquired(lock) => Some(lock),
                Lock::Held(_) => return Ok(()),
            },
        };
        self.store.take_back(host, unstarted)?;
        Ok(())
    }

    /// One place under two names would be asked twice for what it has, and told of as two. The answer of one of them is
    /// dropped: of the one that was not there when it was asked before, else of the later one.
    fn check_places(
        &self,
        answers: &mut BTreeMap<usize, Result<Probe, ApplyError>>,
    ) -> Result<(), ApplyError> {
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, answer) in &*answers {
            if let Ok(probe) = answer {
                places.entry(probe.host.root_id.clone()).or_default().push(*at);
            }
        }
        for (root_id, hosts) in places.into_iter().filter(|(_, hosts)| hosts.len() > 1) {
            let mut first = hosts[0];
            for at in hosts.iter().rev() {
                if self.store.host(self.hosts[*at].name())?.root_id.as_ref() == Some(&root_id) {
                    first = *at;
                }
            }
            for at in hosts.into_iter().filter(|at| *at != first) {
                let name = |at: usize| self.hosts[at].name().to_string();
                let (one, other) = (name(first), name(at));
                answers.insert(at, Err(ApplyError::SamePlace { one, other }));
            }
        }
        Ok(())
    }

    /// Says in a sentence how each attempt ended, by what the campaign says of its job.
    pub(super) fn fill_sentences(&self, facts: &mut [HostFact]) {
        let expansion = &self.settings.expansion;
        for fact in facts {
            let HostFact::Attempt { unit, fact: Fact::Ended(ending), .. } = fact else { continue };
            let index = unit.job().and_then(|job| expansion.index_of(job));
            let spec = index.and_then(|index| expansion.job(index).spec().ok());
            let text = |rendered: &Rendered| told(rendered);
            let files: Vec<String> =
                spec.iter().flat_map(|spec| spec.markers.files.iter().map(text)).collect();
            let count = spec.as_ref().and_then(|spec| {
                spec.markers.count.as_ref().map(|count| (text(&count.files), count.min))
            });
            let context = Context {
                files: &files,
                log: spec.as_ref().and_then(|spec| Some(&*spec.markers.log.as_ref()?.pattern)),
                count: count.as_ref().map(|(glob, min)| (glob.as_str(), *min)),
                time_limit: spec.as_ref().and_then(|spec| spec.time_limit),
                cleanup_limit: spec.as_ref().map(|spec| spec.cleanup_limit),
                stall_after: None,
            };
            ending.detail = sentence(ending, &context);
        }
    }
}

//! Asking hosts, and recording what they say. Starts nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{ApplyError, Workspace};
use crate::campaign::template::Rendered;
use crate::host::Probe;
use crate::ids::{HostName, JobId};
use crate::lifecycle::event::HostState;
use crate::lifecycle::sentence::{Context, sentence};
use crate::lifecycle::{AttemptState, Fact, HostFact, LineError};
use crate::plan::{HostStatus, told};
use crate::store::{ApplyLock, HostMemory, HostReport, Intended, Lock, Recorded};

/// What one host answered.
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
    /// Lines of its answer that were refused.
    pub refused: Vec<LineError>,
}

/// What asking all hosts gave.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// By host.
    pub hosts: BTreeMap<HostName, HostAnswer>,
    /// Jobs with a final state that the checkpoint had not known.
    pub learned: BTreeSet<JobId>,
    /// What changed in the checkpoint.
    pub recorded: Recorded,
    /// Attempts that were thought to wait in a queue and are nowhere.
    pub vanished: Vec<Intended>,
}

/// What the host script and every job need.
const NEEDED: &[&str] =
    &["flock", "setsid", "timeout", "awk", "sed", "grep", "sha256sum", "tail", "head", "mktemp"];

impl Workspace {
    /// Asks the host and records its answer. `lock`: this process holds the campaign's lock.
    pub async fn collect(&mut self, lock: Option<&ApplyLock>) -> Result<Collected, ApplyError> {
        let hosts = &self.settings.campaign.hosts;
        if hosts.len() > 1 {
            return Err(ApplyError::Hosts("several hosts"));
        }
        if hosts.values().any(|host| host.ssh.is_some()) {
            return Err(ApplyError::Hosts("a host over ssh"));
        }
        let name = self.host.name().clone();
        let memory = self.store.host(&name)?;
        let needed: Vec<String> = NEEDED.iter().map(|word| (*word).to_owned()).collect();
        let probe =
            self.host.probe(&self.settings.campaign.name, memory.journal.as_ref(), &needed).await?;
        self.check_origin(&probe)?;
        let now = self.settings.clock.now();
        let mut facts = Vec::new();
        let known_before = self.open_attempts()?;
        if memory.root_id.as_ref().is_some_and(|root| *root != probe.host.root_id) {
            facts.extend(known_before.iter().map(|(one, apply, _)| HostFact::Attempt {
                job: one.job,
                attempt: one.attempt,
                apply: apply.clone(),
                fact: Fact::RootGone,
            }));
        }
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
            facts: &facts,
        })?;
        let vanished = vanished(&known_before, &probe);
        self.take_back(&vanished, lock)?;
        let learned = recorded
            .changes
            .iter()
            .filter(|change| matches!(change.to, AttemptState::Ended(_)))
            .map(|change| change.job)
            .collect();
        let answer = HostAnswer {
            status: HostStatus::Probed(now),
            state: HostState::Reachable,
            tmux: probe.host.tmux.clone(),
            missing: probe.host.missing.clone(),
            refused: probe.refused,
        };
        Ok(Collected { hosts: BTreeMap::from([(name, answer)]), learned, recorded, vanished })
    }

    /// Forgets intents that came to nothing. Another apply may be between its intent and the hand-over: then it is for
    /// that one to say.
    fn take_back(
        &mut self,
        vanished: &[Intended],
        lock: Option<&ApplyLock>,
    ) -> Result<(), ApplyError> {
        if vanished.is_empty() {
            return Ok(());
        }
        let _ours = match lock {
            Some(_) => None,
            None => match self.lock()? {
                Lock::Acquired(lock) => Some(lock),
                Lock::Held(_) => return Ok(()),
            },
        };
        self.store.take_back(self.host.name(), vanished)?;
        Ok(())
    }

    fn check_origin(&self, probe: &Probe) -> Result<(), ApplyError> {
        match probe.origin.as_deref() {
            // A folder that was no repository when it was applied, or is none here: nothing to compare.
            None | Some("none") => Ok(()),
            Some(theirs) if theirs == self.origin() || self.origin() == "none" => Ok(()),
            Some(theirs) => Err(ApplyError::OtherOrigin {
                host: self.host.name().to_string(),
                campaign: self.settings.campaign.name.to_string(),
                theirs: theirs.chars().take(12).collect(),
                ours: self.origin().chars().take(12).collect(),
            }),
        }
    }

    /// Attempts that have not ended as far as the checkpoint knows.
    fn open_attempts(
        &self,
    ) -> Result<Vec<(Intended, crate::ids::ApplyId, AttemptState)>, ApplyError> {
        let snapshot = self.store.snapshot()?;
        let mut open = Vec::new();
        for job in &snapshot.jobs {
            for row in &job.attempts {
                if !matches!(row.state, AttemptState::Ended(_)) && row.host == *self.host.name() {
                    let one = Intended { job: job.id, attempt: row.attempt };
                    open.push((one, row.apply.clone(), row.state));
                }
            }
        }
        Ok(open)
    }

    /// Says in a sentence how each attempt ended, by what the campaign says of its job.
    pub(super) fn fill_sentences(&self, facts: &mut [HostFact]) {
        let expansion = &self.settings.expansion;
        for fact in facts {
            let HostFact::Attempt { job, fact: Fact::Ended(ending), .. } = fact else { continue };
            let spec = expansion.index_of(*job).and_then(|index| expansion.job(index).spec().ok());
            let text = |rendered: &Rendered| told(rendered);
            let files: Vec<String> =
                spec.iter().flat_map(|spec| spec.markers.files.iter().map(text)).collect();
            let count = spec.as_ref().and_then(|spec| {
                spec.markers.count.as_ref().map(|count| (text(&count.files), count.min))
            });
            let context = Context {
                files: &files,
                log: spec.as_ref().and_then(|spec| spec.markers.log.as_deref()),
                count: count.as_ref().map(|(glob, min)| (glob.as_str(), *min)),
                time_limit: spec.as_ref().and_then(|spec| spec.time_limit),
                stall_after: None,
            };
            ending.detail = sentence(ending, &context);
        }
    }
}

/// Attempts that were intended or queued and that a whole answer does not name: the hand-over never arrived, or was taken
/// out of the queue.
fn vanished(
    before: &[(Intended, crate::ids::ApplyId, AttemptState)],
    probe: &Probe,
) -> Vec<Intended> {
    let named: BTreeSet<_> = probe
        .facts
        .iter()
        .filter_map(|fact| match fact {
            HostFact::Attempt { job, attempt, .. } => Some((*job, *attempt)),
            HostFact::Accepted { .. } => None,
        })
        .collect();
    before
        .iter()
        .filter(|(one, _, state)| {
            matches!(state, AttemptState::Intended | AttemptState::Queued)
                && !named.contains(&(one.job, one.attempt))
        })
        .map(|(one, ..)| *one)
        .collect()
}

//! The hand-over: programs and secrets are looked for, the intent is written, the jobs are sent, the fact is written.
//!
//! It waits for no job and decides about none.

use std::collections::{BTreeMap, BTreeSet};

use super::code::Code;
use super::follow::Follower;
use super::lane::{Lane, Prepared, Step};
use super::run::RunOptions;
use super::{ApplyError, Workspace};
use crate::campaign::{Campaign, EnvValue};
use crate::host::{Account, Batch, BatchContext, BatchJob, script_version};
use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::lifecycle::{Fact, HostFact, Tree, Unit};
use crate::plan::{HostList, Known, Setup, SetupPlace};
use crate::store::{HostMemory, HostReport, Intended, Intent, Provenance, StoreError};

/// Seconds between TERM and KILL at a time limit.
const KILL_AFTER: u32 = 10;
/// The file mode mask of jobs on a host that does not say its own.
const PRIVATE_UMASK: u32 = 0o077;

/// What an apply may hand over, and how.
pub(super) struct Hand<'a> {
    pub(super) apply: &'a ApplyId,
    pub(super) options: &'a RunOptions,
    /// Jobs that run again though they have succeeded, or begin with an empty state folder.
    pub(super) forced: &'a BTreeSet<usize>,
    /// Of each job that is to run, the newest attempt that the plan rests on. The one behind it is handed over and no other:
    /// where somebody else has handed that one over by then, both are the same, and run once.
    pub(super) last: &'a BTreeMap<usize, Option<Attempt>>,
    /// Programs that every job needs and that a host lacks.
    pub(super) missing: &'a BTreeMap<HostName, Vec<String>>,
}

impl Hand<'_> {
    /// The attempt that the next one of a job comes behind: the one that another host gave away, or the plan's.
    fn last_of(&self, lane: &Lane, job: usize) -> Option<Attempt> {
        match lane.given.get(&job) {
            Some(given) => Some(*given),
            None => self.last.get(&job).copied().flatten(),
        }
    }
}

impl Follower<'_> {
    /// Writes the intent of a lane's jobs down and makes the hand-over ready.
    pub(super) fn send(
        &mut self,
        workspace: &mut Workspace,
        at: usize,
        ready: Prepared,
    ) -> Result<(), ApplyError> {
        let code = workspace.code_on(self.lanes[at].host.name(), ready.made, self.observer)?;
        loop {
            self.leave_to_others(workspace, at)?;
            let lane = &mut self.lanes[at];
            let Some(hand) = self.hand.as_ref().filter(|_| !lane.jobs.is_empty()) else {
                lane.given.clear();
                return Ok(());
            };
            lane.number += 1;
            let (step, intended) = match workspace.intend(hand, lane, &ready.account, &code) {
                // Somebody wrote down what a host had just told.
                Err(ApplyError::Store(StoreError::AttemptTaken { .. })) => continue,
                intended => intended?,
            };
            lane.next = Some(step);
            lane.sent = intended;
            lane.jobs.clear();
            lane.given.clear();
            return Ok(());
        }
    }

    /// Takes out of a lane what has an attempt by now that the plan did not know: from a client elsewhere, or a cancel that
    /// was faster. It is waited for where it is.
    fn leave_to_others(&mut self, workspace: &Workspace, at: usize) -> Result<(), ApplyError> {
        let Some(hand) = &self.hand else { return Ok(()) };
        let (known, ids) = (Known::new(workspace.store.known()?), workspace.expansion().ids());
        let lane = &mut self.lanes[at];
        let is_newer = |job: &usize| {
            known.get(ids[*job]).is_some_and(|known| known.attempt > hand.last_of(lane, *job))
        };
        let others: BTreeSet<usize> = lane.jobs.iter().copied().filter(is_newer).collect();
        if others.is_empty() {
            return Ok(());
        }
        lane.jobs.retain(|job| !others.contains(job));
        let ids: BTreeSet<JobId> = others.into_iter().map(|job| ids[job]).collect();
        let mut open = workspace.open_by_host(|job| ids.contains(&job))?;
        for lane in self.lanes.iter_mut().filter(|_| !self.detach) {
            lane.open.extend(open.remove(lane.host.name()).unwrap_or_default());
        }
        Ok(())
    }
}

impl Workspace {
    /// Writes the intent of a lane's jobs down, and makes the step that sends them.
    pub(super) fn intend(
        &mut self,
        hand: &Hand<'_>,
        lane: &Lane,
        account: &Account,
        code: &Code,
    ) -> Result<(Step, Vec<Intended>), ApplyError> {
        let campaign = self.settings.campaign.clone();
        let expansion = self.settings.expansion.clone();
        let name = lane.host.name();
        let host = campaign.hosts.get(name).cloned().unwrap_or_default();
        let secrets = self.secrets()?;
        let intended: Vec<Intended> = lane
            .jobs
            .iter()
            .map(|job| {
                let id = expansion.ids()[*job];
                let attempt = Attempt::behind(hand.last_of(lane, *job));
                // The plan runs no such job, and no lane is given one.
                let attempt = attempt.ok_or(ApplyError::NoAttemptLeft { job: id })?;
                Ok(Intended { job: id, attempt })
            })
            .collect::<Result<_, ApplyError>>()?;
        let revision = self.revision.get().clone();
        let tree = Tree {
            snapshot: code.snapshot.clone(),
            code: code.digest,
            git_rev: revision.commit,
            dirty: revision.dirty,
        };
        let dealt_by = HostList::of(&campaign);
        self.store.keep_lists(std::slice::from_ref(&dealt_by))?;
        let dealt_by = dealt_by.json();
        let work_dir = code
            .work_dir
            .to_str()
            .ok_or_else(|| ApplyError::FolderName { folder: code.work_dir.clone() })?;
        let place = code.folder.as_deref().map_or(
            SetupPlace::Folder { path: work_dir, code: code.digest, apply: hand.apply },
            SetupPlace::Snapshot,
        );
        let setup = Setup::of(&campaign, name, &host, place)?;
        let context = BatchContext {
            apply: hand.apply,
            number: lane.number,
            host: name,
            client: &self.identified.client,
            tree: &tree,
            work_dir,
            setup: setup.as_ref(),
            account,
            // A path or a zone of this machine means nothing on another one.
            locale: if lane.host.is_here() { &hand.options.locale } else { &account.locale },
            umask: if lane.host.is_here() { account.umask } else { account.login_umask }
                .or(account.umask)
                .unwrap_or(PRIVATE_UMASK),
            host_vars: &host.vars,
            init: host.init.as_deref(),
            slots: lane.slots,
            max_fail: hand.options.max_fail.or(campaign.max_fail),
            kill_after: hand.options.kill_after.unwrap_or(KILL_AFTER),
            dealt_by: &dealt_by,
            secrets: &secrets,
        };
        let mut batch_jobs = Vec::with_capacity(lane.jobs.len());
        for (job, one) in lane.jobs.iter().zip(&intended) {
            let view = expansion.job(*job);
            batch_jobs.push(BatchJob {
                spec: view.spec()?,
                host_env: view.host_env(&host.env)?,
                attempt: one.attempt,
                fresh_state: hand.forced.contains(job),
            });
        }
        let batch = Batch::new(&context, batch_jobs.into_iter())?;
        // Before the intent: from now on a command beside this one that finds another root ends what is open as gone with it.
        let root_id = self.store.host(lane.host.name())?.root_id;
        self.store.intend(&Intent {
            apply: hand.apply,
            host: name,
            batch: batch.sha256(),
            at: self.settings.clock.now(),
            provenance: &provenance(&tree, account, &host),
            attempts: &intended,
        })?;
        self.handed_over = true;
        let step = Step::HandOver {
            host: lane.host.clone(),
            instance: self.instance().clone(),
            batch: Box::new(batch),
            slots: lane.slots,
            root_id,
        };
        Ok((step, intended))
    }

    /// Writes down that a hand-over arrived.
    pub(super) fn record_queued(
        &mut self,
        host: &HostName,
        apply: &ApplyId,
        sent: &[Intended],
    ) -> Result<(), ApplyError> {
        let facts: Vec<HostFact> = sent
            .iter()
            .map(|one| HostFact::Attempt {
                unit: Unit::Job(one.job),
                attempt: one.attempt,
                apply: apply.clone(),
                fact: Fact::Queued,
            })
            .collect();
        self.store.record(&HostReport {
            host,
            memory: HostMemory::default(),
            read_from: None,
            whole: false,
            facts: &facts,
        })?;
        Ok(())
    }

    /// Values of the secrets that jobs of this host need; read from the environment, kept nowhere.
    fn secrets(&self) -> Result<BTreeMap<String, String>, ApplyError> {
        let (secrets, names) = self.secrets_there();
        if names.is_empty() { Ok(secrets) } else { Err(ApplyError::Secrets { names }) }
    }

    /// Values of the secrets that are in the environment, and names of those that are not.
    pub fn secrets_there(&self) -> (BTreeMap<String, String>, Vec<String>) {
        let campaign = &self.settings.campaign;
        let hosts = campaign.hosts.values().flat_map(|host| host.env.values());
        let wanted: BTreeSet<&String> = campaign
            .env
            .values()
            .chain(hosts)
            .filter_map(|value| match value {
                EnvValue::FromEnv(variable) => Some(variable),
                EnvValue::Plain(_) => None,
            })
            .collect();
        let environment = &self.settings.environment;
        let names: Vec<String> = wanted
            .iter()
            .filter(|variable| !environment.contains_key(**variable))
            .map(|variable| (*variable).clone())
            .collect();
        let there = wanted
            .into_iter()
            .filter_map(|variable| Some((variable.clone(), environment.get(variable)?.clone())))
            .collect();
        (there, names)
    }
}

/// Programs that jobs of a host need by what the campaign says; looked for on the `PATH` of its login shell.
pub fn programs_of(campaign: &Campaign, host: &HostName) -> Vec<String> {
    let host = campaign.hosts.get(host);
    let mut programs = host.map_or_else(Vec::new, |host| host.require.clone());
    programs.extend(campaign.shell.first().cloned());
    // Its text is read by bash, whatever the shell of the command.
    programs.extend(host.and_then(|host| host.init.as_ref()).map(|_| "bash".to_owned()));
    let mut seen = BTreeSet::new();
    programs.retain(|program| seen.insert(program.clone()));
    programs
}

fn provenance(tree: &Tree, account: &Account, host: &crate::campaign::Host) -> Provenance {
    let path = account.variables.iter().find(|(name, _)| name == "PATH");
    Provenance {
        env: host.env.keys().cloned().collect(),
        host: path
            .map(|(name, value)| (name.to_lowercase(), value.clone().into()))
            .into_iter()
            .collect(),
        sp_version: env!("CARGO_PKG_VERSION").to_owned(),
        host_script: script_version().to_owned(),
        ..Provenance::of_tree(tree)
    }
}

/// Asks for what jobs need on a host.
pub(super) fn prepare_step(
    workspace: &mut Workspace,
    hand: &Hand<'_>,
    lane: &Lane,
) -> Result<Step, ApplyError> {
    // What was sent to it in this apply is there.
    let name = lane.host.name();
    let send = workspace.gets_snapshot(name) && !workspace.code.contains_key(name);
    let source = if send { Some(Box::new(workspace.shared_source()?)) } else { None };
    Ok(Step::Prepare {
        host: lane.host.clone(),
        instance: workspace.instance().clone(),
        source,
        revision: workspace.revision.clone(),
        programs: programs_of(workspace.campaign(), lane.host.name()),
        missing: hand.missing.get(lane.host.name()).cloned().unwrap_or_default(),
        pause: lane.pause(),
    })
}

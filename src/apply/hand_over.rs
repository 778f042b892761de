//! The hand-over: programs and secrets are looked for, the intent is written, the jobs are sent, the fact is written.
//!
//! It waits for no job and decides about none.

use std::collections::{BTreeMap, BTreeSet};

use super::collect::Collected;
use super::run::RunOptions;
use super::{ApplyError, Observer, Workspace};
use crate::campaign::EnvValue;
use crate::host::{Account, Batch, BatchContext, BatchJob, revision, script_version};
use crate::ids::{ApplyId, Attempt};
use crate::lifecycle::{Fact, HostFact};
use crate::plan::Known;
use crate::store::{HostMemory, HostReport, Intended, Intent, Provenance};

/// Seconds between TERM and KILL at a time limit.
const KILL_AFTER: u32 = 10;

/// One hand-over of an apply.
pub(super) struct Hand<'a> {
    pub(super) apply: &'a ApplyId,
    pub(super) number: u32,
    pub(super) slots: u32,
    pub(super) options: &'a RunOptions,
    pub(super) forced: &'a BTreeSet<usize>,
    pub(super) observer: &'a mut dyn Observer,
}

impl Workspace {
    /// Writes the intent, sends the jobs, writes the fact.
    pub(super) async fn hand_over(
        &mut self,
        hand: &mut Hand<'_>,
        collected: &Collected,
        known: &Known,
        jobs: &[usize],
    ) -> Result<Vec<Intended>, ApplyError> {
        let campaign = self.settings.campaign.clone();
        let expansion = self.settings.expansion.clone();
        let host = campaign.hosts.get(self.host.name()).cloned().unwrap_or_default();
        self.check_programs(collected, &host.require).await?;
        let account = self.host.account(&[]).await?;
        let secrets = self.secrets()?;
        let code = self.code_of_jobs(hand.observer).await?;
        let intended: Vec<Intended> = jobs
            .iter()
            .map(|job| {
                let id = expansion.ids()[*job];
                let last = known.get(id).map_or(0, |known| known.attempt.0);
                Intended { job: id, attempt: Attempt(last + 1) }
            })
            .collect();
        let context = BatchContext {
            apply: hand.apply,
            number: hand.number,
            host: self.host.name(),
            origin: self.origin(),
            work_dir: &code.work_dir.to_string_lossy(),
            snapshot: code.snapshot.as_deref(),
            code: code.digest.as_deref(),
            account: &account,
            locale: &hand.options.locale,
            host_vars: &host.vars,
            init: host.init.as_deref(),
            slots: hand.slots,
            max_fail: hand.options.max_fail.or(campaign.max_fail),
            kill_after: hand.options.kill_after.unwrap_or(KILL_AFTER),
            secrets: &secrets,
        };
        let mut batch_jobs = Vec::with_capacity(jobs.len());
        for (job, one) in jobs.iter().zip(&intended) {
            let view = expansion.job(*job);
            batch_jobs.push(BatchJob {
                spec: view.spec()?,
                host_env: view.host_env(&host.env)?,
                attempt: one.attempt,
                fresh_state: hand.forced.contains(job),
            });
        }
        let batch = Batch::new(&context, batch_jobs.into_iter())?;
        let provenance = self.provenance(&account, &host, &code);
        let name = self.host.name().clone();
        self.store.intend(&Intent {
            apply: hand.apply,
            host: &name,
            batch: batch.sha256(),
            at: self.settings.clock.now(),
            provenance: &provenance,
            attempts: &intended,
        })?;
        self.handed_over = true;
        self.host.hand_over(&campaign.name, self.origin(), &batch, hand.slots).await?;
        let facts: Vec<HostFact> = intended
            .iter()
            .map(|one| HostFact::Attempt {
                job: one.job,
                attempt: one.attempt,
                apply: hand.apply.clone(),
                fact: Fact::Queued,
            })
            .collect();
        self.store.record(&HostReport {
            host: &name,
            memory: HostMemory::default(),
            facts: &facts,
        })?;
        // The journal is there now, for the first time perhaps.
        if self.store.host(&name)?.journal.is_none() {
            self.collect(None).await?;
        }
        Ok(intended)
    }

    async fn check_programs(
        &self,
        collected: &Collected,
        require: &[String],
    ) -> Result<(), ApplyError> {
        let mut programs: Vec<String> =
            collected.hosts.values().flat_map(|answer| answer.missing.clone()).collect();
        let mut wanted: Vec<String> = require.to_vec();
        wanted.extend(self.settings.campaign.shell.first().cloned());
        programs.extend(self.host.account(&wanted).await?.missing);
        if programs.is_empty() {
            return Ok(());
        }
        Err(ApplyError::Programs { host: self.host.name().to_string(), programs })
    }

    /// Values of the secrets that jobs of this host need; read from the environment, kept nowhere.
    fn secrets(&self) -> Result<BTreeMap<String, String>, ApplyError> {
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
        if !names.is_empty() {
            return Err(ApplyError::Secrets { names });
        }
        Ok(wanted
            .into_iter()
            .filter_map(|variable| Some((variable.clone(), environment.get(variable)?.clone())))
            .collect())
    }

    fn provenance(
        &self,
        account: &Account,
        host: &crate::campaign::Host,
        code: &super::code::Code,
    ) -> Provenance {
        let revision = revision(self.settings.folder());
        let path = account.variables.iter().find(|(name, _)| name == "PATH");
        Provenance {
            snapshot: code.snapshot.clone(),
            code_digest: code.digest.clone(),
            git_rev: revision.commit,
            dirty: revision.dirty,
            env: host.env.keys().cloned().collect(),
            host: path
                .map(|(name, value)| (name.to_lowercase(), value.clone().into()))
                .into_iter()
                .collect(),
            sp_version: env!("CARGO_PKG_VERSION").to_owned(),
            host_script: script_version().to_owned(),
        }
    }
}

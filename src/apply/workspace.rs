//! A campaign with all that works on it: file, jobs, checkpoint, hosts.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ApplyError, Collected};
use crate::campaign::Campaign;
use crate::clock::Clock;
use crate::host::{LocalHost, local_root, origin};
use crate::ids::{ApplyId, HostName, JobId};
use crate::plan::{Evidence, Expansion, HostStatus, Known, Options, Parts, Plan, plan};
use crate::store::{ApplyLock, Holder, Lock, Store, folder_of};

/// What the caller knows of the world.
pub struct Settings {
    /// Absolute path of the campaign file.
    pub file: PathBuf,
    /// The campaign.
    pub campaign: Arc<Campaign>,
    /// Its jobs.
    pub expansion: Arc<Expansion>,
    /// The clock.
    pub clock: Clock,
    /// How this process was called, for people that it keeps waiting.
    pub command_line: String,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

/// A campaign with all that works on it.
pub struct Workspace {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) host: LocalHost,
    origin: OnceCell<String>,
    set_aside: Option<PathBuf>,
    pub(super) handed_over: bool,
    pub(super) begun: Option<ApplyId>,
    /// What jobs of this apply run with; made once, so that all of them run the same.
    pub(super) code: Option<super::code::Code>,
}

impl Workspace {
    /// Opens the checkpoint; no host is asked. A checkpoint that was damaged has been set aside, see [`Workspace::set_aside`].
    pub fn open(settings: Settings) -> Result<Self, ApplyError> {
        let folder = folder_of(settings.folder(), &settings.campaign.name);
        let opened =
            Store::open(&folder, &settings.campaign.name, &settings.file, settings.clock.now())?;
        let (name, host) = settings.campaign.hosts.first().expect("a campaign has a host");
        let root = local_root(host.root.as_deref(), |name| settings.environment.get(name).cloned())
            .map_err(|why| ApplyError::Root { host: name.to_string(), why })?;
        let host = LocalHost::new(name.clone(), root);
        let (store, set_aside) = (opened.store, opened.set_aside);
        let origin = OnceCell::new();
        Ok(Self {
            store,
            host,
            origin,
            set_aside,
            handed_over: false,
            begun: None,
            code: None,
            settings,
        })
    }

    /// Where a damaged checkpoint was put, to be said loudly.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// Whether jobs were sent to a host, which may have got them.
    pub fn handed_over(&self) -> bool {
        self.handed_over
    }

    /// The campaign.
    pub fn campaign(&self) -> &Arc<Campaign> {
        &self.settings.campaign
    }

    /// The jobs.
    pub fn expansion(&self) -> &Arc<Expansion> {
        &self.settings.expansion
    }

    /// The checkpoint.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The host.
    pub fn host(&self) -> &LocalHost {
        &self.host
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        self.settings.clock
    }

    /// Identity of the repository; asked of git when it is first needed.
    pub fn origin(&self) -> &str {
        self.origin.get_or_init(|| origin(self.settings.folder()))
    }

    /// Folder of the checkpoint, below the campaign's.
    pub fn state_folder(&self) -> PathBuf {
        folder_of(self.settings.folder(), &self.settings.campaign.name)
    }

    /// Takes the campaign's lock, or says who has it.
    pub fn lock(&self) -> Result<Lock, ApplyError> {
        let holder = Holder::here(self.settings.clock.now(), self.settings.command_line.clone());
        Ok(ApplyLock::acquire(&self.state_folder(), &holder)?)
    }

    /// Whether nobody holds the campaign's lock at this moment.
    pub(super) fn lock_is_free(&self) -> Result<bool, ApplyError> {
        Ok(matches!(self.lock()?, Lock::Acquired(_)))
    }

    /// The plan by the checkpoint and by what hosts have answered.
    pub fn plan(
        &self,
        collected: Option<&Collected>,
        options: &Options,
    ) -> Result<Plan, ApplyError> {
        let mut jobs = self.store.known()?;
        let mut hosts = BTreeMap::new();
        if let Some(collected) = collected {
            for job in &mut jobs {
                job.stored = !collected.learned.contains(&job.id);
            }
            hosts = collected
                .hosts
                .iter()
                .map(|(name, answer)| (name.clone(), answer.status.clone()))
                .collect();
        }
        plan_of(&self.settings.expansion, &self.store, jobs, &hosts, options)
    }
}

impl Settings {
    /// The campaign file's folder.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or_else(|| Path::new("/"))
    }
}

/// A plan over known jobs, its edits told by the checkpoint.
pub(super) fn plan_of(
    expansion: &Arc<Expansion>,
    store: &Store,
    jobs: Vec<crate::plan::KnownJob>,
    hosts: &BTreeMap<HostName, HostStatus>,
    options: &Options,
) -> Result<Plan, ApplyError> {
    let known = Known::new(jobs);
    // An edit that cannot be read is told without its particulars; the plan itself does not rest on it.
    let parts = |id: JobId| -> Option<Parts> { store.parts(id).ok().flatten() };
    let evidence = Evidence { known: &known, parts: &parts, hosts };
    Ok(plan(Arc::clone(expansion), &evidence, options)?)
}

//! A campaign with all that works on it: file, jobs, checkpoint, hosts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::code::{Code, revision_of};
use super::instance::Identified;
use super::logs::log_file;
use super::repository::Asked;
use super::{ApplyError, Collected};
use crate::campaign::{Campaign, HostKeyCheck};
use crate::clock::Clock;
use crate::host::sync::{Revision, Source};
use crate::host::{ControlFolder, Destination, Host, local_root, machine_id};
use crate::ids::{ApplyId, Attempt, HostName, JobId};
use crate::plan::{Evidence, Expansion, HostStatus, Known, KnownJob, Options, Parts, Plan, plan};
use crate::store::{ApplyLock, Borrowed, Holder, Lock, Store, folder_of, is_writable};

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

/// What a command is going to do with the state of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Keep what comes of it.
    Work,
    /// Only look: where the state cannot be written, a copy of it does.
    Look,
}

/// A campaign with all that works on it.
pub struct Workspace {
    pub(super) settings: Settings,
    pub(super) state_folder: PathBuf,
    borrowed: Option<Borrowed>,
    pub(super) store: Store,
    pub(super) hosts: Vec<Host>,
    pub(super) identified: Identified,
    set_aside: Option<PathBuf>,
    pub(super) handed_over: bool,
    pub(super) begun: Option<ApplyId>,
    /// What jobs of this command run with, by host; made once, so that all of them run the same.
    pub(super) code: BTreeMap<HostName, Code>,
    pub(super) shared_source: Option<Source>,
    pub(super) revision: Asked<Revision>,
}

impl Workspace {
    /// Opens the checkpoint; no host is asked. A checkpoint that was damaged has been set aside, see [`Workspace::set_aside`].
    pub fn open(settings: Settings, access: Access) -> Result<Self, ApplyError> {
        let mut folder = folder_of(settings.folder(), &settings.campaign.name);
        let mut borrowed = None;
        if access == Access::Look && !is_writable(&folder) {
            let copy = borrowed.insert(Borrowed::of(&folder)?);
            copy.path().clone_into(&mut folder);
        }
        let us = settings.holder();
        let mut identified = Identified::of(&settings, &folder, &machine_id(), &us)?;
        if borrowed.is_some() {
            identified.stays_where_it_is();
        }
        let opened = Store::open(&folder, &settings.campaign.name, &us)?;
        let hosts = hosts_of(&settings.campaign, &settings.environment)?;
        let (store, set_aside) = (opened.store, opened.set_aside);
        let revision = revision_of(&settings, identified.instance.id(), &folder);
        Ok(Self {
            store,
            hosts,
            identified,
            set_aside,
            handed_over: false,
            begun: None,
            code: BTreeMap::new(),
            shared_source: None,
            revision,
            state_folder: folder,
            borrowed,
            settings,
        })
    }

    /// Where a damaged checkpoint was put, to be said loudly.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// Whether the state cannot be written, so that nothing is kept of what this command learns.
    pub fn keeps_nothing(&self) -> bool {
        self.borrowed.is_some()
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

    /// The campaign's hosts, in file order.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// A host of the campaign.
    pub fn host(&self, name: &HostName) -> Result<&Host, ApplyError> {
        self.hosts
            .iter()
            .find(|host| host.name() == name)
            .ok_or_else(|| ApplyError::HostRemoved { host: name.to_string() })
    }

    /// The host that has the newest attempt of a job.
    pub fn host_of(&self, job: &KnownJob) -> Result<&Host, ApplyError> {
        match &job.host {
            Some(name) => self.host(name),
            None => Err(ApplyError::NoHost),
        }
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        self.settings.clock
    }

    /// Folder of the checkpoint: below the campaign's, or a copy of that for this command.
    pub fn state_folder(&self) -> PathBuf {
        self.state_folder.clone()
    }

    /// Where the log of an attempt is kept.
    pub fn kept_log(&self, job: JobId, attempt: Attempt) -> PathBuf {
        let folder = folder_of(self.settings.folder(), &self.settings.campaign.name);
        log_file(&folder, job, attempt)
    }

    /// Takes the campaign's lock, or says who has it.
    pub fn lock(&self) -> Result<Lock, ApplyError> {
        Ok(ApplyLock::acquire(&self.state_folder(), &self.settings.holder())?)
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

    /// This process, for those that it keeps waiting.
    fn holder(&self) -> Holder {
        Holder::here(self.clock.now(), self.command_line.clone())
    }
}

/// The campaign's hosts, in file order; none is asked yet.
pub fn hosts_of(
    campaign: &Campaign,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Host>, ApplyError> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let path = |name: &str| variable(name).map(Path::new);
    let control =
        Arc::new(ControlFolder::new(path("XDG_RUNTIME_DIR"), path("TMPDIR"), path("HOME")));
    let mut hosts = Vec::new();
    for (name, host) in &campaign.hosts {
        hosts.push(if let Some(ssh) = &host.ssh {
            let destination = Destination {
                ssh: ssh.destination.to_string(),
                accept_new: ssh.host_key_check == HostKeyCheck::AcceptNew,
                config: path("SP_SSH_CONFIG").map(Path::to_owned),
            };
            Host::over_ssh(name.clone(), destination, host.root.clone(), Arc::clone(&control))
        } else {
            let root = local_root(host.root.as_deref(), |name| variable(name).cloned())
                .map_err(|why| ApplyError::Root { host: name.to_string(), why })?;
            Host::local(name.clone(), root)
        });
    }
    Ok(hosts)
}

/// A plan over known jobs, its edits told by the checkpoint.
pub(super) fn plan_of(
    expansion: &Arc<Expansion>,
    store: &Store,
    jobs: Vec<KnownJob>,
    hosts: &BTreeMap<HostName, HostStatus>,
    options: &Options,
) -> Result<Plan, ApplyError> {
    let known = Known::new(jobs);
    // An edit that cannot be read is told without its particulars; the plan itself does not rest on it.
    let parts = |id: JobId| -> Option<Parts> { store.parts(id).ok().flatten() };
    let earlier = store.lists()?;
    let evidence = Evidence { known: &known, parts: &parts, hosts, earlier: &earlier };
    Ok(plan(Arc::clone(expansion), &evidence, options)?)
}

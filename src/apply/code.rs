//! The campaign's code: what it is now, what finished jobs ran with, and the snapshot that jobs are given.
//!
//! Reads files and sends them; decides about no job. What a change means is the plan's question.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::repository::Asked;
use super::results::own_files;
use super::written::Jobs;
use super::{ApplyError, Observer, Settings, Workspace, joined};
use crate::campaign::{Campaign, CodeChange};
use crate::host::local_root;
use crate::host::sync::{
    Change, Made, OtherCode, Own, Question, Reading, Revision, Snapshot, Source, Survey, SyncError,
};
use crate::ids::{HostName, InstanceId};
use crate::lifecycle::{Event, EventKind};
use crate::plan::Plan;
use crate::state::State;

/// What jobs of an apply run with.
#[derive(Debug, Clone)]
pub(super) struct Code {
    /// Absolute path of the folder they start in, on the host.
    pub(super) work_dir: PathBuf,
    /// Name of the snapshot; none where they run in the campaign's own folder.
    pub(super) snapshot: Option<String>,
    /// Folder of the snapshot on the host.
    pub(super) folder: Option<String>,
    /// Digest of the code; none where nobody wants to know.
    pub(super) digest: Option<[u8; 32]>,
}

/// The code as it is now.
#[derive(Debug)]
pub struct CodeNow {
    source: Source,
    reading: Arc<Reading>,
}

/// Finished jobs that ran with other code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoreChanged {
    /// How many.
    pub jobs: usize,
    /// The folder that the code is in.
    pub folder: PathBuf,
    /// Files that changed since, as paths from the folder; empty where that is not known for any of the jobs.
    pub files: BTreeMap<Vec<u8>, Change>,
}

impl CodeNow {
    /// The digest.
    pub fn digest(&self) -> [u8; 32] {
        self.reading.code
    }

    /// The digest, hex, as if a file were not there.
    pub fn digest_without(&self, file: &Path) -> String {
        let file = std::path::absolute(file).ok();
        let file =
            file.and_then(|file| Some(file.parent()?.canonicalize().ok()?.join(file.file_name()?)));
        let below =
            file.and_then(|file| file.strip_prefix(self.source.root()).ok().map(Path::to_owned));
        let below = below.unwrap_or_default();
        let path = below.as_os_str().as_bytes();
        hex(self.reading.tree.code_without(self.source.rules(), path))
    }

    /// What a person should know that stops nothing. In a campaign's own folder a file that cannot be read is among it.
    pub fn warnings(&self, snapshot: bool) -> Vec<String> {
        let mut warnings = self.reading.missing.clone();
        if snapshot {
            warnings.extend_from_slice(&self.reading.warnings);
            return warnings;
        }
        // Links and pipes are no matter where nothing is sent.
        let mut problems = self.reading.problems.iter();
        let unread = problems.find(|(_, why)| why.starts_with("cannot be read"));
        warnings.extend(unread.map(|(path, why)| {
            format!("`{path}` {why}; a change of it is not seen (`[sync] exclude` leaves it out)")
        }));
        warnings
    }

    /// Files as the list has them, with sizes, for people.
    pub fn files(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.reading.tree.entries.iter().map(|one| (one.entry.path.as_slice(), one.bytes()))
    }
}

/// What opens the tree of a campaign on this machine. Nothing is read before that.
struct Tree {
    campaign: Arc<Campaign>,
    file: PathBuf,
    id: InstanceId,
    state_folder: PathBuf,
    /// Where roots of hosts would be on this machine.
    roots: Vec<PathBuf>,
}

impl Tree {
    fn of(settings: &Settings, id: InstanceId, state_folder: &Path) -> Self {
        let variable = |name: &str| settings.environment.get(name).cloned();
        let roots = settings.campaign.hosts.values().filter_map(|host| {
            let root = local_root(host.root.as_deref(), variable).ok()?.join("v2");
            // Nobody knows whether a host over ssh is this machine by another way; its root has a mark of its own.
            (host.ssh.is_none() || root.join("root-id").is_file()).then_some(root)
        });
        Self {
            campaign: Arc::clone(&settings.campaign),
            file: settings.file.clone(),
            id,
            state_folder: state_folder.to_owned(),
            roots: roots.collect(),
        }
    }

    fn open(&self) -> Result<Source, SyncError> {
        let Self { campaign, file, id, state_folder, roots } = self;
        let folder = file.parent().unwrap_or(Path::new("/"));
        let own = Own { folders: roots.clone(), files: own_files(folder, campaign, id) };
        Source::open(&campaign.sync, file, &campaign.working_dir, own, state_folder)
    }
}

/// The commit that the tree stands at, not asked for yet. Where there is no tree, the sending of it says so.
pub(super) fn revision_of(
    settings: &Settings,
    id: InstanceId,
    state_folder: &Path,
) -> Asked<Revision> {
    let tree = Tree::of(settings, id, state_folder);
    Asked::of(move || tree.open().as_ref().map(Source::revision).unwrap_or_default())
}

impl Workspace {
    /// The campaign's tree on this machine.
    pub fn source(&self) -> Result<Source, ApplyError> {
        let tree = Tree::of(&self.settings, self.instance().id(), &self.state_folder);
        tree.open().map_err(|error| ApplyError::Host(error.into()))
    }

    /// Whether a host of the campaign gets snapshots.
    pub fn has_snapshots(&self) -> bool {
        self.settings.campaign.hosts.values().any(|host| host.snapshot)
    }

    /// The code as it is now. A question where too much was never read: what it is then is not known.
    pub fn code_now(&mut self) -> Result<Result<CodeNow, Question>, ApplyError> {
        let source = self.source()?;
        let whole = self.has_snapshots();
        let read = source.read(whole, false);
        let read = read.map_err(|error| ApplyError::Host(error.into()))?;
        Ok(read.map(|reading| {
            let reading = Arc::new(reading);
            if whole {
                // What the plan rests on is what is sent.
                self.shared_source = Some(source.clone().knowing(Arc::clone(&reading)));
            }
            CodeNow { source, reading }
        }))
    }

    /// Whether jobs on a host run in a snapshot.
    pub fn gets_snapshot(&self, host: &HostName) -> bool {
        self.settings.campaign.hosts.get(host).is_some_and(|host| host.snapshot)
    }

    /// The tree, for several hosts that are sent it at once.
    pub(super) fn shared_source(&mut self) -> Result<Source, ApplyError> {
        if let Some(source) = &self.shared_source {
            return Ok(source.clone());
        }
        Ok(self.shared_source.insert(self.source()?).clone())
    }

    /// Whether so much would be sent to a host that a person should say yes first.
    pub fn ask_before_sync(&self, host: &HostName) -> Result<Option<Question>, ApplyError> {
        if !self.gets_snapshot(host) || self.code.contains_key(host) {
            return Ok(None);
        }
        let source = match &self.shared_source {
            Some(source) => source.clone(),
            None => self.source()?,
        };
        let question = source.ask_before(host.as_str());
        question.map_err(|error| ApplyError::Host(error.into()))
    }

    /// What the tree holds and what of it a host was not sent yet, by the looks of the files.
    pub fn survey(&self, host: &HostName) -> Result<Survey, ApplyError> {
        let survey = self.source()?.survey(host.as_str());
        survey.map_err(|error| ApplyError::Host(error.into()))
    }

    /// Sends the tree to hosts, side by side; in their order.
    pub async fn sync(
        &mut self,
        hosts: &[HostName],
    ) -> Result<Vec<(HostName, Result<Snapshot, ApplyError>)>, ApplyError> {
        let mut sending = JoinSet::new();
        for (at, name) in hosts.iter().enumerate() {
            let (host, source) = (self.host(name)?.clone(), self.shared_source()?);
            let instance = self.instance().clone();
            sending.spawn(async move { (at, source.send(&host, &instance).await) });
        }
        let mut made: Vec<_> = hosts.iter().map(|_| None).collect();
        while let Some(sent) = sending.join_next().await {
            if let Some((at, sent)) = joined(sent) {
                made[at] = Some(sent.map(|made| made.snapshot).map_err(ApplyError::Host));
            }
        }
        let made = hosts.iter().cloned().zip(made);
        Ok(made.filter_map(|(name, made)| Some((name, made?))).collect())
    }

    /// Which code that finished jobs ran with is not the code as it is now. Files that came since and files that jobs wrote make no
    /// difference.
    pub fn other_code(&self, now: &CodeNow) -> Result<OtherCode, ApplyError> {
        // Cheap, and nearly always enough.
        if self.store.codes()?.iter().all(|digest| *digest == now.digest()) {
            return Ok(OtherCode::new());
        }
        let done = self.store.known()?.into_iter().filter(|job| job.state == State::Succeeded);
        let codes = done.filter_map(|job| job.code).filter(|digest| *digest != now.digest());
        let (memory, jobs) = (now.source.memory(), Jobs::of(self, now.source.root()));
        let (tree, rules) = (&now.reading.tree, now.source.rules());
        let mut other = memory.code_changes(&codes.collect(), tree, rules, &jobs);
        other.retain(|_, changes| changes.as_ref().is_none_or(|changes| !changes.is_empty()));
        Ok(other)
    }

    /// Which finished jobs of a plan ran with other code, and what changed since.
    pub fn changed_code(
        &self,
        now: &CodeNow,
        other: &OtherCode,
        plan: &Plan,
    ) -> Result<Option<MoreChanged>, ApplyError> {
        if other.is_empty() {
            return Ok(None);
        }
        let chosen: std::collections::BTreeSet<_> =
            plan.decisions.iter().map(|decision| plan.expansion.ids()[decision.job]).collect();
        let folder = now.source.root().to_owned();
        let mut changed = MoreChanged { jobs: 0, folder, files: BTreeMap::new() };
        for job in self.store.known()? {
            let done = job.state == State::Succeeded && chosen.contains(&job.id);
            if let Some(files) = job.code.filter(|_| done).and_then(|code| other.get(&code)) {
                changed.jobs += 1;
                changed.files.extend(files.iter().flatten().cloned());
            }
        }
        Ok((changed.jobs > 0).then_some(changed))
    }

    /// What the jobs that are about to be handed over run with. `made`: the snapshot, just sent, and its folder there.
    pub(super) fn code_on(
        &mut self,
        host: &HostName,
        made: Option<(Made, PathBuf)>,
        observer: &mut dyn Observer,
    ) -> Result<Code, ApplyError> {
        if let Some(code) = self.code.get(host) {
            return Ok(code.clone());
        }
        let code = match made {
            Some((made, folder)) => self.snapshot_on(host, made, &folder, observer)?,
            None => self.code_here()?,
        };
        self.code.insert(host.clone(), code.clone());
        Ok(code)
    }

    /// Jobs run in the campaign's own folder.
    fn code_here(&self) -> Result<Code, ApplyError> {
        let campaign = &self.settings.campaign;
        let source = self.source()?;
        let mut digest = None;
        if campaign.code_change != CodeChange::Ignore {
            // What cannot be read here, or is too much, was said with the plan.
            if let Ok(Ok(reading)) = source.read(false, false) {
                let (memory, jobs) = (source.memory(), Jobs::of(self, source.root()));
                let kept = memory.keep_code_in_place(&reading.tree, source.rules(), &jobs);
                digest = Some(kept.map_err(|error| ApplyError::Host(error.into()))?);
            }
        }
        // By components, so that `.` leaves no trace in what jobs see.
        let work_dir: PathBuf = source.root().join(&campaign.working_dir).components().collect();
        if work_dir.to_str().is_none() {
            return Err(ApplyError::FolderName { folder: work_dir });
        }
        Ok(Code { work_dir, snapshot: None, folder: None, digest })
    }

    fn snapshot_on(
        &self,
        host: &HostName,
        made: Made,
        folder: &Path,
        observer: &mut dyn Observer,
    ) -> Result<Code, ApplyError> {
        let mut tell = |kind| observer.event(&Event { ts: self.settings.clock.now(), kind });
        for detail in made.snapshot.warnings {
            let host = Some(host.clone());
            tell(EventKind::Warning { code: "sync".to_owned(), detail, host, id: None });
        }
        let (sent_files, sent_bytes) = made.snapshot.sent.unwrap_or((0, 0));
        tell(EventKind::Sync {
            host: host.clone(),
            snapshot: made.snapshot.name.clone(),
            files: made.snapshot.files as u64,
            bytes: made.snapshot.bytes,
            sent_files,
            sent_bytes,
        });
        let source = self.source()?;
        let kept = source.memory().keep_code(&made.reading.tree, source.rules());
        kept.map_err(|error| ApplyError::Host(error.into()))?;
        Ok(Code {
            work_dir: folder.join(&self.settings.campaign.working_dir).components().collect(),
            snapshot: Some(made.snapshot.name),
            folder: Some(made.snapshot.folder),
            digest: Some(made.snapshot.code),
        })
    }
}

fn hex(digest: [u8; 32]) -> String {
    blake3::Hash::from_bytes(digest).to_string()
}

//! The campaign's `setup` as one host runs it: its identity, and what the host needs to run it.
//!
//! The identity has the form of a job's id, since its attempts lie among those of jobs. It is a hash over
//!
//! ```text
//! setup  = "sp setup 1" str(host) place str(text) list(shell) str(init) str(working-dir)
//! place  = 'S' str(folder of the snapshot) | 'F' str(path) str(code digest, hex)    the code is not known: 'F' str(path) 'A' str(apply)
//! str    = length as 8 bytes, little endian, then the bytes;   list = count as 8 bytes, then str each
//! ```
//!
//! The name of the host is in it, so that attempts on two hosts are told apart by id and number, as those of jobs are.
//! Whether it has run is the host's to say.

use indexmap::IndexMap;

use crate::campaign::template::{Name, Part, Scope};
use crate::campaign::{Campaign, EnvValue, Host, Leftover, Value};
use crate::ids::{ApplyId, HostName, JobId};
use crate::plan::{CommandSpec, EnvSpec, JobSpec, Markers, Params, PlanError};

/// The tree that is set up.
#[derive(Debug, Clone, Copy)]
pub enum SetupPlace<'a> {
    /// A snapshot, by the name of its folder on the host.
    Snapshot(&'a str),
    /// The campaign's own folder.
    Folder {
        /// Absolute path of the folder that jobs start in.
        path: &'a str,
        /// Digest of the code; where nobody wants to know it, each apply sets up anew.
        code: Option<[u8; 32]>,
        /// This apply.
        apply: &'a ApplyId,
    },
}

/// A setup for one host and tree.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What runs; `id` is the setup's. No parameters, no markers, no time limit.
    pub spec: JobSpec,
    /// `[hosts.NAME] env`.
    pub host_env: IndexMap<String, EnvSpec>,
    /// A word for the tree: the snapshot's folder, or a hash of the path.
    pub tree: String,
}

impl Setup {
    /// The campaign's setup; `None` where it has none. Of `[env]` and the host's `env` it gets what does not depend on an
    /// axis.
    pub fn of(
        campaign: &Campaign,
        name: &HostName,
        host: &Host,
        place: SetupPlace<'_>,
    ) -> Result<Option<Self>, PlanError> {
        let Some(text) = &campaign.setup else { return Ok(None) };
        let mut hash = Canonical(blake3::Hasher::new());
        hash.0.update(b"sp setup 1");
        hash.text(name.as_str());
        let tree = match place {
            SetupPlace::Snapshot(folder) => {
                hash.0.update(b"S");
                hash.text(folder);
                folder.to_owned()
            }
            SetupPlace::Folder { path, code, apply } => {
                hash.0.update(b"F");
                hash.text(path);
                if let Some(code) = code {
                    hash.text(&blake3::Hash::from_bytes(code).to_hex());
                } else {
                    hash.0.update(b"A");
                    hash.text(apply.as_str());
                }
                blake3::hash(path.as_bytes()).to_hex()[..32].to_owned()
            }
        };
        hash.text(text);
        hash.count(campaign.shell.len());
        campaign.shell.iter().for_each(|word| hash.text(word));
        hash.text(host.init.as_deref().unwrap_or(""));
        hash.text(&campaign.working_dir);
        let spec = JobSpec {
            id: hash.id(),
            index: 0,
            name: "setup".to_owned(),
            params: Params::default(),
            command: CommandSpec::Shell(vec![Part::Text(text.clone())]),
            prepare: None,
            cleanup: None,
            cleanup_limit: campaign.cleanup_limit,
            leftover: Leftover::Kill,
            env: environment(campaign, &campaign.env)?,
            markers: Markers { exit_codes: vec![0], files: Vec::new(), log: None, count: None },
            time_limit: None,
            log_max: campaign.log_max,
            working_dir: campaign.working_dir.clone(),
            shell: campaign.shell.clone(),
        };
        Ok(Some(Self { spec, host_env: environment(campaign, &host.env)?, tree }))
    }
}

struct Canonical(blake3::Hasher);

impl Canonical {
    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text.as_bytes());
    }

    fn id(&self) -> JobId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        JobId(id)
    }
}

/// What there is without a job: `[vars]` alone.
struct NoJob<'a>(&'a Campaign);

impl Scope for NoJob<'_> {
    fn axis(&self, _name: &str) -> Option<&Value> {
        None
    }

    fn var(&self, name: &str) -> Option<&Value> {
        self.0.vars.get(name)
    }
}

fn environment(
    campaign: &Campaign,
    variables: &IndexMap<String, EnvValue>,
) -> Result<IndexMap<String, EnvSpec>, PlanError> {
    let mut env = IndexMap::new();
    for (name, value) in variables {
        let value = match value {
            EnvValue::FromEnv(variable) => EnvSpec::FromEnv(variable.clone()),
            EnvValue::Plain(text) => {
                let of_a_job = |name: &Name| matches!(name, Name::Axis(_) | Name::Repeat);
                if text.names().iter().any(of_a_job) {
                    continue;
                }
                EnvSpec::Text(text.render(&NoJob(campaign)).map_err(|error| PlanError::Render {
                    what: format!("env.{name}"),
                    cell: "setup".to_owned(),
                    cause: error.to_string(),
                })?)
            }
        };
        env.insert(name.clone(), value);
    }
    Ok(env)
}

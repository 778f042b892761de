//! A plan as a file: what `sp plan --out` saves and `sp apply PLAN` does exactly, or refuses.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::args::{Choice, CodeChange, Selection};
use super::campaign_file;
use super::context::Loaded;
use super::error::CliError;
use crate::atomic_file::{Durability, replace};
use crate::plain_file;
use crate::plan::Plan;

const KIND: &str = "sp-plan";

/// A saved plan: not the jobs themselves, but all that must not have changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedPlan {
    kind: String,
    format: u32,
    /// The campaign file.
    pub file: PathBuf,
    file_blake3: String,
    /// Over every job's id, which covers commands, environment and the content of inputs.
    jobs_blake3: String,
    decisions: Vec<(String, String, String)>,
    obsolete: Vec<(String, String)>,
    rerun: Vec<String>,
    no_failed: bool,
    withdraw: bool,
    others: bool,
    limit: Option<usize>,
    filter: Option<String>,
    #[serde(default)]
    hosts: Vec<String>,
    /// Digest of the code, where it was looked at.
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    code_change: Option<CodeChange>,
}

impl SavedPlan {
    /// What of a plan has to hold still.
    pub(super) fn of(
        loaded: &Loaded,
        plan: &Plan,
        choice: &Choice,
        selection: &Selection,
        code: Option<String>,
    ) -> Result<Self, CliError> {
        let text = read(&loaded.file).map_err(|error| failed("read", &loaded.file, &error))?;
        let mut ids = blake3::Hasher::new();
        for id in loaded.expansion.ids() {
            ids.update(&id.0);
        }
        let decisions = plan.decisions.iter().map(|decision| {
            let id = loaded.expansion.ids()[decision.job].to_string();
            (id, decision.action.word().to_owned(), decision.reason.word().to_owned())
        });
        let obsolete = plan
            .obsolete
            .iter()
            .map(|obsolete| (obsolete.known.id.to_string(), obsolete.action.word().to_owned()));
        Ok(Self {
            kind: KIND.to_owned(),
            format: 1,
            file: loaded.file.clone(),
            file_blake3: blake3::hash(&text).to_string(),
            jobs_blake3: ids.finalize().to_string(),
            decisions: decisions.collect(),
            obsolete: obsolete.collect(),
            rerun: choice.rerun.clone(),
            no_failed: choice.no_failed,
            withdraw: choice.withdraw,
            others: choice.others,
            limit: choice.limit,
            filter: selection.filter.clone(),
            hosts: selection.hosts.clone(),
            code,
            code_change: choice.code_change,
        })
    }

    /// Writes it.
    pub(super) fn write(&self, path: &Path) -> Result<(), CliError> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        replace(path, &text, Durability::Synced).map_err(|error| failed("write", path, &error))
    }

    /// Reads a file that is a saved plan; `None` for any other file, a campaign file for instance.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let text = read(path).ok().filter(|text| text.starts_with(b"{"))?;
        serde_json::from_slice::<Self>(&text)
            .ok()
            .filter(|plan| plan.kind == KIND && plan.format == 1)
    }

    /// The choices it was made with.
    pub(super) fn choices(&self) -> (Choice, Selection) {
        let choice = Choice {
            rerun: self.rerun.clone(),
            no_failed: self.no_failed,
            withdraw: self.withdraw,
            others: self.others,
            limit: self.limit,
            code_change: self.code_change,
        };
        (choice, Selection { filter: self.filter.clone(), hosts: self.hosts.clone() })
    }

    /// Refuses what is not the same any more, and says what.
    pub(super) fn check(&self, now: &Self) -> Result<(), CliError> {
        let what = if self.file_blake3 != now.file_blake3 {
            "the campaign file has changed"
        } else if self.jobs_blake3 != now.jobs_blake3 {
            "a job has changed: an input or a file that the matrix reads"
        } else if self.decisions != now.decisions || self.obsolete != now.obsolete {
            "the state of a job has changed"
        } else if self.code != now.code {
            "the code has changed"
        } else {
            return Ok(());
        };
        Err(CliError::person(
            "stale-plan",
            format!("the saved plan is stale: {what} since it was made"),
            "make it anew with `sp plan --out`",
        ))
    }
}

/// The bytes of a plan or of a campaign file, which may lie behind a link of the person's own.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let (file, _) = plain_file::open(&path.canonicalize()?)?;
    plain_file::read(&file, campaign_file::MOST)
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::person("file", format!("cannot {what} `{}`: {error}", path.display()), "")
}

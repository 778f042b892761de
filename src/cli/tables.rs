//! The tables of a campaign as files: `results.csv`, `results.jsonl`, `attempts.csv`, each replaced as a whole.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::apply::{ApplyError, Workspace};
use crate::atomic_file::{Durability, private_folder, replace_with};
use crate::plan::Expansion;
use crate::report;
use crate::store::{OwnedFolder, ResultsError, Snapshot, TABLES};

/// Where the tables go and which columns they have.
pub(super) struct Tables {
    place: Place,
    axes: Vec<String>,
}

enum Place {
    /// Beside the checkpoint, where all is sp's own.
    State(PathBuf),
    /// In `[results] dir`, which the campaign shares with its user.
    Shared(OwnedFolder),
}

impl Tables {
    /// Tables in `[results] dir`, else beside the checkpoint.
    pub(super) fn new(workspace: &Workspace, expansion: &Expansion) -> Self {
        let place = match workspace.results() {
            Some(folder) => Place::Shared(folder),
            None => Place::State(workspace.state_folder()),
        };
        Self { place, axes: axes(expansion) }
    }

    /// Takes the folder for this campaign.
    ///
    /// # Errors
    /// What lies in `[results] dir` is not this campaign's.
    pub(super) fn claim(&self) -> Result<(), ApplyError> {
        match &self.place {
            Place::State(_) => Ok(()),
            Place::Shared(folder) => Ok(folder.claim()?),
        }
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        match &self.place {
            Place::State(folder) => folder,
            Place::Shared(folder) => folder.path(),
        }
    }

    /// Writes all three.
    pub(super) fn write(&self, snapshot: &Snapshot) -> Result<(), ResultsError> {
        let axes: Vec<&str> = self.axes.iter().map(String::as_str).collect();
        let results = report::results(snapshot, &axes, false);
        let attempts = report::attempts(snapshot, &axes, true);
        let fill = |name: &str, out: &mut dyn Write| match name {
            "attempts.csv" => report::csv(&attempts, out),
            "results.jsonl" => report::jsonl(&results, out),
            _ => report::csv(&results, out),
        };
        match &self.place {
            Place::Shared(folder) => folder.replace(fill),
            Place::State(folder) => write_in(folder, fill),
        }
    }
}

fn write_in(
    folder: &Path,
    fill: impl Fn(&str, &mut dyn Write) -> io::Result<()>,
) -> Result<(), ResultsError> {
    for name in TABLES {
        let path = folder.join(name);
        private_folder(folder)
            .and_then(|()| replace_with(&path, Durability::Cached, |out| fill(name, out)))
            .map_err(|source| ResultsError::Kept { path, source })?;
    }
    Ok(())
}

/// Names of the columns that a campaign's axes are.
pub(super) fn axes(expansion: &Expansion) -> Vec<String> {
    expansion.columns().iter().map(|column| column.name.to_string()).collect()
}

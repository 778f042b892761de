//! The tables of a campaign as files: `results.csv`, `results.jsonl`, `attempts.csv`, each replaced as a whole.

use std::path::{Path, PathBuf};

use crate::atomic_file::{Durability, private_folder, replace_with};
use crate::plan::Expansion;
use crate::report;
use crate::store::Snapshot;

/// Where the tables go and which columns they have.
pub(super) struct Tables {
    folder: PathBuf,
    axes: Vec<String>,
}

impl Tables {
    /// Tables in `[results] dir` below the campaign's folder, else beside the checkpoint.
    pub(super) fn new(
        campaign_folder: &Path,
        state_folder: PathBuf,
        expansion: &Expansion,
    ) -> Self {
        let folder = match &expansion.campaign().results_dir {
            Some(dir) => campaign_folder.join(dir),
            None => state_folder,
        };
        Self { folder, axes: axes(expansion) }
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes all three.
    pub(super) fn write(&self, snapshot: &Snapshot) -> std::io::Result<()> {
        let axes: Vec<&str> = self.axes.iter().map(String::as_str).collect();
        private_folder(&self.folder)?;
        let results = report::results(snapshot, &axes, false);
        let write = |name: &str, fill: &dyn Fn(&mut dyn std::io::Write) -> std::io::Result<()>| {
            replace_with(&self.folder.join(name), Durability::Cached, fill)
        };
        write("results.csv", &|out| report::csv(&results, out))?;
        write("results.jsonl", &|out| report::jsonl(&results, out))?;
        let attempts = report::attempts(snapshot, &axes, true);
        write("attempts.csv", &|out| report::csv(&attempts, out))
    }
}

/// Names of the columns that a campaign's axes are.
pub(super) fn axes(expansion: &Expansion) -> Vec<String> {
    expansion.columns().iter().map(|column| column.name.to_string()).collect()
}

//! What git says of the campaign's folder: asked once a command, beside the questions to hosts, since it may take as long.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::host::{Revision, revision};

/// The commit the folder stands at, shared by the lanes of an apply.
#[derive(Debug, Clone)]
pub(super) struct SharedRevision {
    folder: PathBuf,
    cell: Arc<OnceCell<Revision>>,
}

impl SharedRevision {
    /// Not asked yet.
    pub(super) fn of(folder: PathBuf) -> Self {
        Self { folder, cell: Arc::default() }
    }

    /// Sees to it that git was asked.
    pub(super) async fn look(&self) {
        let ask = || async {
            let folder = self.folder.clone();
            let asked = spawn_blocking(move || revision(&folder)).await;
            asked.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
        };
        self.cell.get_or_init(ask).await;
    }

    /// The answer.
    pub(super) fn get(&self) -> Revision {
        self.cell.get().cloned().unwrap_or_else(|| revision(&self.folder))
    }
}

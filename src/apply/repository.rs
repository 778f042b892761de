//! What git says of the campaign's folder: asked once a command, beside the questions to hosts, since it may take as long.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio::task::spawn_blocking;

use super::joined;

/// An answer of git, shared by all who need it.
#[derive(Clone)]
pub(super) struct Asked<T> {
    ask: Arc<dyn Fn() -> T + Send + Sync>,
    cell: Arc<OnceLock<T>>,
}

impl<T: fmt::Debug> fmt::Debug for Asked<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Asked").field(&self.cell.get()).finish()
    }
}

impl<T: Clone + Send + Sync + 'static> Asked<T> {
    /// Not asked yet.
    pub(super) fn of(ask: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self { ask: Arc::new(ask), cell: Arc::default() }
    }

    /// The answer, beside what else goes on.
    pub(super) async fn look(&self) -> T {
        if let Some(answer) = self.cell.get() {
            return answer.clone();
        }
        let asked = self.clone();
        let answer = joined(spawn_blocking(move || asked.get().clone()).await);
        answer.unwrap_or_else(|| self.get().clone())
    }

    /// The answer.
    pub(super) fn get(&self) -> &T {
        self.cell.get_or_init(|| (self.ask)())
    }
}

//! The one runtime of a command, and the signals that it takes from the system's hands.

use std::io;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::context::Context;
use super::error::CliError;

impl Context {
    /// Runs what talks to hosts to its end.
    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> Result<T, CliError> {
        Ok(self.runtime()?.block_on(future))
    }

    /// Has a file that grows beyond a limit (`ulimit -f`) be an error that is told, and not the end of this process.
    pub(super) fn survive_file_limits(&self) -> Result<(), CliError> {
        let _runtime = self.runtime()?.enter();
        let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        // The handler stays when nobody listens any more; programs that are started have none.
        drop(signal(kind).map_err(cannot_start)?);
        Ok(())
    }

    fn runtime(&self) -> Result<&Runtime, CliError> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(cannot_start)?;
        Ok(self.runtime.get_or_init(|| runtime))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn cannot_start(error: io::Error) -> CliError {
    CliError::person("runtime", format!("cannot start: {error}"), "")
}

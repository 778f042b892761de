//! Ctrl-C and TERM, as values that the loop looks at between two steps.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ApplyError;

/// Which signal ended the waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Ctrl-C.
    Interrupted,
    /// TERM or HUP: the terminal went.
    Terminated,
}

/// Listens from its making on.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Interrupts {
    /// Begins to listen.
    pub fn new() -> Result<Self, ApplyError> {
        let listen = |kind| signal(kind).map_err(ApplyError::Signals);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal.
    pub async fn next(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.interrupt.recv() => Interrupt::Interrupted,
            _ = self.terminate.recv() => Interrupt::Terminated,
            _ = self.hang_up.recv() => Interrupt::Terminated,
        }
    }
}

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

/// Listens from its making on. What this process was started to ignore, by `nohup` or as a script's background command,
/// it goes on ignoring; it listens all the same, since a handler, unlike an ignored signal, is not inherited by what is
/// started here: jobs begin with every signal as the system has it.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Listener,
    terminate: Listener,
    hang_up: Listener,
}

#[derive(Debug)]
struct Listener {
    signal: Signal,
    ignored: bool,
}

impl Interrupts {
    /// Begins to listen.
    pub fn new() -> Result<Self, ApplyError> {
        let mask = ignored_signals();
        let listen = |kind: SignalKind| {
            let ignored = mask >> (kind.as_raw_value() - 1) & 1 == 1;
            signal(kind).map(|signal| Listener { signal, ignored }).map_err(ApplyError::Signals)
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal.
    pub async fn next(&mut self) -> Interrupt {
        tokio::select! {
            () = self.interrupt.next() => Interrupt::Interrupted,
            () = self.terminate.next() => Interrupt::Terminated,
            () = self.hang_up.next() => Interrupt::Terminated,
        }
    }
}

impl Listener {
    /// Comes with the signal; never for one that is ignored.
    async fn next(&mut self) {
        loop {
            let came = self.signal.recv().await;
            if !self.ignored {
                return;
            }
            if came.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The mask of ignored signals, where the system tells it; listening to one changes it, so only the first look counts.
fn ignored_signals() -> u64 {
    static MASK: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *MASK.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    })
}

//! The loop: probe, plan, hand over, follow, collect; the only user of store and hosts together.
//!
//! It starts jobs only in [`Workspace::run`]; everything else asks, records and reports. What it tells goes through
//! [`Observer`]; it prints nothing. Every step may be cut off at any point: intents are written before the host is asked,
//! facts after, and a later apply finds by the host's own records what came of it.

mod again;
mod code;
mod collect;
mod deal;
mod error;
mod follow;
mod gc;
mod hand_over;
mod instance;
mod interrupt;
mod lane;
mod logs;
mod missing;
mod open;
mod repository;
mod results;
mod run;
mod tell;
mod withdraw;
mod workspace;
mod written;

pub use code::{CodeNow, MoreChanged};
pub use collect::{Collected, HostAnswer};
pub use error::ApplyError;
pub use gc::{Keep, Useless};
pub use hand_over::programs_of;
pub use instance::Copied;
pub use interrupt::{Interrupt, Interrupts};
pub use lane::{SetupFailure, Trouble};
use logs::log_file;
pub use open::Named;
pub use results::results_folder;
pub use run::{Ended, How, RunOptions, new_apply_id, until};
pub use workspace::{Access, Settings, Workspace, hosts_of};

use tokio::task::JoinError;

use crate::lifecycle::Event;
use crate::store::Snapshot;

/// Who is told what happens.
pub trait Observer {
    /// Something happened.
    fn event(&mut self, event: &Event);
    /// The tables may be written anew; called at most once a second, and at the end.
    fn tables(&mut self, snapshot: &Snapshot);
}

/// The value of a task; `None` for one that was ended. A panic goes on here.
fn joined<T>(outcome: Result<T, JoinError>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => None,
        },
    }
}

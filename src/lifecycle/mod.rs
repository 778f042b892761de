//! The life of an attempt: what hosts say of it, what may follow what, and how it is told to people and programs.
//!
//! Pure: bytes and values in, values out. It asks no host, stores nothing, and starts nothing: `dealing` and `shares` propose.

pub mod dealing;
pub mod event;
pub mod fact;
pub mod fields;
pub mod life;
pub mod reason;
pub mod record;
pub mod sentence;
pub mod shares;
pub mod unit;

pub use event::{Event, EventKind};
pub use fact::{BadCleanup, Ending, Fact, HostFact, JournalPosition, Marker, Tree, Verdict};
pub use fields::{Kind, LineError};
pub use life::{AttemptState, Final, IllegalEvent};
pub use reason::Reason;
pub use record::parse_lines;
pub use unit::{Unit, UnitKind};

//! Another apply of the same campaign, which has its lock: who it is, and following it to its end.

use super::context::Context;
use super::error::CliError;
use super::observer::Screen;
use super::session::Session;
use super::tables::Tables;
use crate::apply::{Ended, Interrupts};
use crate::store::Holder;

/// Says who has the lock.
pub(super) fn say_holder(context: &Context, holder: Option<&Holder>) {
    match holder {
        Some(holder) => context.note(&format!(
            "Another apply of this campaign is under way: `{}` (process {} on {}, since {}). Watching it.",
            holder.command,
            holder.pid,
            holder.host,
            crate::report::text::local(holder.since, &context.zone())
        )),
        None => context.note("Another apply of this campaign is under way. Watching it."),
    }
}

/// Follows its jobs until it has gone or a signal comes.
pub(super) async fn follow_other(
    session: &mut Session<'_>,
    interrupts: &mut Interrupts,
) -> Result<Ended, CliError> {
    let (context, loaded) = (session.context, &session.loaded);
    let workspace = &mut session.workspace;
    let tables = Tables::new(workspace, &loaded.expansion);
    let mut screen = Screen::new(context, tables, &loaded.campaign, 0);
    let ended = workspace.watch(None, true, None, &mut screen, interrupts).await;
    screen.finish();
    Ok(ended?)
}

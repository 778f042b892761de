//! The sentences beside the reasons.
//!
//! For people: what a sentence says is also in the reason, the known state or the campaign. Text from hosts is made
//! printable here.

use std::borrow::Cow;

use crate::ids::JobId;
use crate::plan::action::{Action, Reason};
use crate::plan::diff::{Change, diff};
use crate::plan::known::{KnownJob, Parts};
use crate::plan::name::visible;
use crate::plan::prefix::Prefixes;
use crate::state::State;

/// A sentence without its full stop; most are fixed.
pub type Detail = Cow<'static, str>;

/// More changes than this are counted.
const TOLD_CHANGES: usize = 5;

/// What is said of a job whose own past decides.
pub(crate) fn of_known(
    action: Action,
    reason: Reason,
    known: &KnownJob,
    prefixes: &Prefixes,
) -> Detail {
    let place = place(known);
    let text: Detail = match reason {
        Reason::Accepted => match known.accepted_from {
            Some(from) => format!("result of {} taken over", prefixes.short(from)).into(),
            None => "result taken over".into(),
        },
        Reason::CodeChanged => "succeeded with other code".into(),
        Reason::Forced => format!("`--rerun`; it was {}", known.state).into(),
        Reason::Cancelled if action != Action::Run => {
            format!("by you; `sp apply --rerun {}` runs it again", prefixes.short(known.id)).into()
        }
        Reason::Running | Reason::Queued | Reason::Succeeded => place.into(),
        _ => {
            let end = end(known);
            if place.is_empty() { end.into() } else { format!("{end}; {place}").into() }
        }
    };
    match known.files.told() {
        Some(told) if known.state.is_final() && !text.is_empty() => {
            format!("{text}; {told}").into()
        }
        _ => text,
    }
}

/// Which attempt it was, and where.
fn place(known: &KnownJob) -> String {
    match (&known.host, known.attempt) {
        (Some(host), None) => format!("on {host}"),
        (Some(host), Some(n)) => format!("attempt {n} on {host}"),
        (None, None) => String::new(),
        (None, Some(n)) => format!("attempt {n}"),
    }
}

/// How the newest attempt ended, in the words of whoever judged it if there are any.
fn end(known: &KnownJob) -> String {
    match (known.detail.as_str(), &known.signal, known.exit_code, known.reason.as_str()) {
        ("", Some(signal), _, _) => visible(signal).into_owned(),
        ("", None, Some(code), _) => format!("exit code {code}"),
        ("", None, None, "") => known.state.word().to_owned(),
        ("", None, None, reason) => visible(reason).into_owned(),
        (detail, ..) => visible(detail).into_owned(),
    }
}

/// What was edited since the predecessor was planned.
pub(crate) fn of_edit(old: Option<&Parts>, new: &Parts) -> Detail {
    let changes = old.map(|old| diff(old, new)).unwrap_or_default();
    if changes.is_empty() {
        // No record of what it was, or a difference that the parts do not show.
        return "its content".into();
    }
    let mut told: Vec<String> = changes.iter().take(TOLD_CHANGES).map(Change::to_string).collect();
    if changes.len() > TOLD_CHANGES {
        told.push(format!("{} more", changes.len() - TOLD_CHANGES));
    }
    told.join(", ").into()
}

/// What is said of a known job that the matrix does not have any more.
pub(crate) fn of_obsolete(
    known: &KnownJob,
    successor: Option<JobId>,
    withdrawn: bool,
    prefixes: &Prefixes,
) -> Detail {
    let short = prefixes.short(known.id);
    let why = match successor {
        Some(id) => format!("now {}", prefixes.short(id)),
        None => "left the matrix".to_owned(),
    };
    match known.state {
        State::Queued if withdrawn => format!("{why}; leaves the queue").into(),
        State::Queued if known.ours => {
            format!("{why}; still queued, `--withdraw` takes it out").into()
        }
        State::Queued => {
            format!("{why}; queued by another clone, `--withdraw --others` takes it out").into()
        }
        State::Running => format!("{why}; still runs, `sp cancel {short}` stops it").into(),
        _ => format!("{why}; its results are kept").into(),
    }
}

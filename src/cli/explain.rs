//! `sp explain`: the evidence behind a state, and what the next apply does with it.

use serde_json::json;

use super::args::OneJob;
use super::context::{Context, resolve};
use super::error::CliError;
use super::exit::Exit;
use crate::plan::{Known, Options};
use crate::report::text::local;
use crate::report::{span, visible};

pub(super) fn run(context: &Context, arguments: &OneJob) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    let mut workspace = context.open(&loaded)?;
    let (collected, job, evidence) = context.block_on(async {
        let collected = workspace.collect(None).await?;
        let known = Known::new(workspace.store().known()?);
        let job = resolve(&arguments.job, &loaded.expansion, &known)?;
        let evidence = workspace.host().evidence(&loaded.campaign.name, job.id).await?;
        Ok::<_, CliError>((collected, job, evidence))
    })??;
    let snapshot = workspace.store().snapshot()?;
    let row = snapshot.jobs.iter().find(|row| row.id == job.id);
    let next = match job.index {
        None => None,
        Some(index) => {
            let options = Options { selection: Some(vec![index]), ..Options::default() };
            workspace.plan(Some(&collected), &options)?.decisions.into_iter().next()
        }
    };
    let name = job.index.map_or_else(
        || row.map_or_else(String::new, |row| visible(&row.name).into_owned()),
        |index| loaded.expansion.job(index).name(),
    );
    let state = row.map_or(crate::state::State::Pending, crate::store::JobRow::state);
    let mut out = context.out()?;
    if context.json() {
        let next = next.as_ref().map(|next| {
            json!({ "action": next.action, "reason": next.reason, "detail": next.detail.to_string() })
        });
        let document = json!({
            "schema": 1, "id": job.id, "name": name, "state": state, "evidence": evidence, "next": next,
        });
        writeln!(out, "{document}")?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    writeln!(out, "{name}  {}\n", job.id)?;
    writeln!(out, "  state   {state}")?;
    for attempt in row.into_iter().flat_map(|row| &row.attempts) {
        let mut line =
            format!("  attempt {} on {}: {}", attempt.attempt, attempt.host, attempt.state.shown());
        if !attempt.reason.is_empty() {
            line += &format!(" ({})", attempt.reason);
        }
        if !attempt.detail.is_empty() {
            line += &format!(": {}", visible(&attempt.detail));
        }
        writeln!(out, "{line}")?;
        if let Some(at) = attempt.started_at {
            write!(out, "          started {}", local(at, &context.zone()))?;
            if let Some(seconds) = attempt.elapsed_s {
                write!(out, ", ran {}", span(seconds))?;
            }
            writeln!(out)?;
        }
        if let Some(witness) = &attempt.witness {
            writeln!(out, "          told by {}", told_by(witness))?;
        }
    }
    if let Some(from) = row.and_then(|row| row.accepted_from) {
        writeln!(out, "  counts as done by the result of {from} (`sp accept`)")?;
    }
    if evidence.is_empty() {
        writeln!(out, "\n  host `{}` has no record of it", workspace.host().name())?;
    } else {
        writeln!(out, "\n  records on host `{}`:", workspace.host().name())?;
        for line in &evidence {
            let line = line.strip_suffix(" .").unwrap_or(line);
            writeln!(out, "    {}", visible(line.strip_prefix("record ").unwrap_or(line)))?;
        }
    }
    if let Some(next) = next {
        let detail = next.detail.to_string();
        let dash = if detail.is_empty() { "" } else { ": " };
        writeln!(out, "\n  the next apply: {} ({}{dash}{detail})", next.action, next.reason)?;
    } else {
        writeln!(out, "\n  it left the matrix: no apply touches it, its result is kept")?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn told_by(witness: &str) -> &str {
    match witness {
        "runner" => "its own runner, which waited for it",
        "orphan" => "a later runner, by the stub's record: its own runner was gone",
        "seal" => "a later look at a dead attempt, under its lock",
        "cancel" => "the cancel, which took the claim before it could start",
        other => other,
    }
}

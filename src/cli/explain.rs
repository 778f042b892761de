//! `sp explain`: the evidence behind a state, and what the next apply does with it.

use serde_json::json;
use tokio::task::JoinSet;

use super::args::OneJob;
use super::context::{Context, Loaded};
use super::error::CliError;
use super::exit::Exit;
use super::session::{Reach, Session};
use super::setup;
use crate::host::Host;
use crate::ids::{HostName, JobId};
use crate::plan::{Action, Decision, Options, Prefixes, Reason};
use crate::report::text::local;
use crate::report::{span, visible};
use crate::state::State;
use crate::store::{AttemptRow, JobRow};

/// The records of each host that answered.
type Evidence = Vec<(HostName, Vec<String>)>;

pub(super) fn run(context: &Context, arguments: &OneJob) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    context.session(loaded, Reach::Hosts, |session| explain(context, session, arguments))
}

/// What the hosts that answer have on record of a job; one that fails at this question is told of.
fn evidence_of(session: &mut Session<'_>, job: JobId) -> Result<Evidence, CliError> {
    let instance = session.workspace.instance().clone();
    let answers = |host: &&Host| session.trouble_of(host.name()).is_none();
    let hosts: Vec<Host> = session.workspace.hosts().iter().filter(answers).cloned().collect();
    let answers = session.context.block_on(async {
        let mut asking = JoinSet::new();
        for (at, host) in hosts.iter().cloned().enumerate() {
            let instance = instance.clone();
            asking.spawn(async move { (at, host.evidence(&instance, job).await) });
        }
        let mut answers = asking.join_all().await;
        answers.sort_by_key(|(at, _)| *at);
        answers
    })?;
    let mut evidence = Vec::new();
    for (at, answer) in answers {
        let name = hosts[at].name();
        match answer {
            Ok(lines) => evidence.push((name.clone(), lines)),
            Err(error) => session.note_trouble(name, &error.into()),
        }
    }
    Ok(evidence)
}

fn explain(
    context: &Context,
    session: &mut Session<'_>,
    arguments: &OneJob,
) -> Result<Exit, CliError> {
    let job = session.resolve(&arguments.job, &session.known()?)?;
    let evidence = evidence_of(session, job.id)?;
    let (workspace, loaded) = (&session.workspace, &session.loaded);
    let snapshot = workspace.store().snapshot()?;
    let row = snapshot.jobs.iter().find(|row| row.id == job.id);
    let (next, home) = match job.index {
        None => (None, None),
        Some(index) => {
            let options = Options { selection: Some(vec![index]), ..Options::default() };
            let plan = workspace.plan(session.collected(), &options)?;
            let next = plan.decisions.into_iter().next();
            let home = next.as_ref().and_then(|next| plan.hosts.into_iter().nth(next.home?));
            (next, home.map(|home| home.name))
        }
    };
    let name = job.index.map_or_else(
        || row.map_or_else(String::new, |row| visible(&row.name).into_owned()),
        |index| loaded.expansion.job(index).name(),
    );
    let state = row.map_or(crate::state::State::Pending, crate::store::JobRow::state);
    let setup_row = setup::of_job(&snapshot, &evidence, home.as_ref());
    let mut out = context.out();
    if context.json() {
        let next = next.as_ref().map(|next| {
            json!({ "action": next.action, "reason": next.reason, "detail": next.detail.to_string() })
        });
        let evidence: Vec<_> = evidence
            .iter()
            .map(|(host, records)| json!({ "host": host, "records": records }))
            .collect();
        let mut document = json!({
            "schema": 1, "id": job.id, "name": name, "state": state, "evidence": evidence, "next": next,
        });
        if let Some(row) = setup_row {
            document["setup"] = setup::document(workspace, row);
        }
        writeln!(out, "{document}")?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    let told = Told {
        context,
        name: &name,
        short: workspace_prefix(loaded, job.id),
        row,
        next: next.as_ref(),
        setup: setup_row.map(|row| setup::sentence(workspace, row)),
        evidence: &evidence,
    };
    out.write_all(told.text().as_bytes())?;
    out.flush()?;
    Ok(Exit::Done)
}

fn workspace_prefix(loaded: &Loaded, id: JobId) -> String {
    Prefixes::new(loaded.expansion.ids().iter().copied().chain([id])).short(id)
}

/// The answer for a person: what it is, what comes next, how it came to be; the records last.
struct Told<'a> {
    context: &'a Context,
    name: &'a str,
    short: String,
    row: Option<&'a JobRow>,
    next: Option<&'a Decision>,
    /// On its setup.
    setup: Option<String>,
    /// Of each host that answered.
    evidence: &'a [(HostName, Vec<String>)],
}

impl Told<'_> {
    fn text(&self) -> String {
        let mut lines = vec![format!("{}  {}", self.short, self.name), String::new()];
        lines.push(format!("  {}", self.state()));
        lines.push(format!("  {}", self.to_come()));
        let started = self.row.and_then(JobRow::newest).is_some_and(|row| row.started_at.is_some());
        if started {
            lines.push(format!("  Output: sp logs {0}   files: sp path {0}", self.short));
        }
        lines.extend(self.setup.iter().map(|setup| format!("  Its {setup}")));
        lines.push(String::new());
        for attempt in self.row.into_iter().flat_map(|row| &row.attempts) {
            self.attempt(attempt, &mut lines);
        }
        for (host, records) in self.evidence {
            if records.is_empty() {
                lines.push(format!("  Host `{host}` has no record of it."));
                continue;
            }
            lines.push(format!("  Records on host `{host}`:"));
            for line in records {
                let line = line.strip_suffix(" .").unwrap_or(line);
                let line = line.strip_prefix("record ").unwrap_or(line);
                lines.push(format!("    {}", visible(line)));
            }
        }
        lines.join("\n") + "\n"
    }

    /// What holds of it now, as a sentence.
    fn state(&self) -> String {
        let state = self.row.map_or(State::Pending, JobRow::state);
        if let Some(from) = self.row.and_then(|row| row.accepted_from) {
            let from: String = from.to_string().chars().take(8).collect();
            return format!("It counts as done by the result of {from} (`sp accept`).");
        }
        let newest = self.row.and_then(JobRow::newest);
        let host = newest.map_or("?", |row| row.host.as_str());
        let detail = newest.map(|row| visible(&row.detail)).filter(|detail| !detail.is_empty());
        let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
        match state {
            State::Pending => "It is pending: no host has it.".to_owned(),
            State::Queued => format!("It is queued on host `{host}`."),
            State::Running => match newest.and_then(|row| row.started_at) {
                Some(at) => {
                    let since = self.context.clock().now().duration_since(at).as_secs_f64();
                    format!("It runs on host `{}`, for {} now{detail}.", host, span(since))
                }
                None => format!("It runs on host `{host}`{detail}."),
            },
            State::Succeeded => "It succeeded.".to_owned(),
            State::Failed => format!("It failed{detail}."),
            State::Timeout => format!("It ran into its time limit{detail}."),
            State::Lost => format!("It is lost{detail}."),
            state => format!("It ended as {state}{detail}."),
        }
    }

    /// What the next apply does with it.
    fn to_come(&self) -> String {
        let Some(next) = self.next else {
            return "It left the matrix: no apply touches it, and its result is kept.".to_owned();
        };
        let detail = next.detail.to_string();
        let why = match (next.reason, detail.is_empty()) {
            (reason, true) => reason.to_string(),
            (reason, false) => format!("{reason}: {detail}"),
        };
        match next.action {
            Action::Run => format!("The next `sp apply` runs it ({why})."),
            Action::Skip | Action::Adopt if next.reason == Reason::Cancelled => {
                format!("The next `sp apply` leaves it: cancelled {detail}.")
            }
            Action::Skip | Action::Adopt => {
                format!("The next `sp apply` leaves it as it is ({}).", next.reason)
            }
            Action::Wait if next.reason == Reason::Unreachable => {
                format!("The next `sp apply` asks for it again ({why}).")
            }
            Action::Wait => "The next `sp apply` waits for it; `sp wait` does too.".to_owned(),
            Action::Withdraw => "The next `sp apply` takes it out of the queue.".to_owned(),
            Action::Blocked => format!("The next `sp apply` cannot run it ({why})."),
        }
    }

    fn attempt(&self, attempt: &AttemptRow, lines: &mut Vec<String>) {
        let reason = match attempt.reason.as_str() {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        let detail = match attempt.detail.as_str() {
            "" => String::new(),
            detail => format!(": {}", visible(detail)),
        };
        lines.push(format!(
            "  Attempt {} on {}: {}{reason}{detail}",
            attempt.attempt,
            attempt.host,
            attempt.state.shown()
        ));
        if let Some(at) = attempt.started_at {
            let ran =
                attempt.elapsed_s.map_or_else(String::new, |time| format!(", ran {}", span(time)));
            lines.push(format!("    started {}{ran}", local(at, &self.context.zone())));
        }
        lines.extend(attempt.files.told().map(|told| format!("    {told}")));
        if let Some(witness) = &attempt.witness {
            lines.push(format!("    told by {}", told_by(witness)));
        }
        lines.push(String::new());
    }
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

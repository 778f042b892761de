//! The `status` document for a terminal: counts, hosts, what runs, what went wrong.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::status::{JobStatus, Status};
use super::text::{local, span, visible};
use super::write::{finished, plain_table};
use crate::state::State;

/// So many jobs that went wrong are shown; the rest is counted.
const TROUBLES_SHOWN: usize = 20;

/// The text, ended by a line end. `now` tells how long running jobs run.
pub fn status_table(
    status: &Status,
    width: Option<u16>,
    zone: &TimeZone,
    now: Timestamp,
) -> String {
    let mut sections = vec![headline(status), hosts(status, width, zone)];
    sections.extend(setups(status, now));
    let running: Vec<&JobStatus> =
        status.jobs.iter().filter(|job| job.state == State::Running).collect();
    if !running.is_empty() {
        sections.push(running_jobs(&running, width, zone, now));
    }
    let trouble: Vec<&JobStatus> = status
        .jobs
        .iter()
        .filter(|job| job.state.is_final() && job.state != State::Succeeded)
        .collect();
    if !trouble.is_empty() {
        sections.push(troubles(&trouble, width));
    }
    sections.join("\n\n") + "\n"
}

fn headline(status: &Status) -> String {
    let counts: Vec<String> = status
        .counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let counts = if counts.is_empty() { "no jobs".to_owned() } else { counts.join(", ") };
    let eta = match status.eta_s {
        // Less is over before it is read.
        Some(seconds) if seconds >= 1.0 => format!("; about {} left", span(seconds)),
        Some(_) | None => String::new(),
    };
    format!("{}: {counts}{eta}", visible(&status.campaign))
}

fn hosts(status: &Status, width: Option<u16>, zone: &TimeZone) -> String {
    let mut table = plain_table(width);
    table.set_header(["host", "state", "slots", "running", "queued", "last seen"]);
    for host in &status.hosts {
        table.add_row([
            host.name.to_string(),
            host.state.word().to_owned(),
            host.slots.to_string(),
            host.running.len().to_string(),
            host.queued.to_string(),
            host.last_seen.map_or_else(String::new, |at| local(at, zone)),
        ]);
    }
    finished(table, &["name", "detail", "note"])
}

/// Setups that run or ended otherwise than well.
fn setups(status: &Status, now: Timestamp) -> Option<String> {
    let told = status.hosts.iter().filter_map(|host| {
        let setup = host.setup.as_ref().filter(|setup| setup.state != State::Succeeded)?;
        let since = setup.started_at.filter(|_| setup.state == State::Running);
        let time = since.map(|at| now.duration_since(at).as_secs_f64()).or(setup.elapsed_s);
        let time = time.map_or_else(String::new, |time| format!(" [{}]", span(time)));
        let detail = visible(&setup.detail);
        let line = format!("setup on {}: {}{time}  {detail}", host.name, setup.state);
        Some(line.trim_end().to_owned())
    });
    let lines: Vec<String> = told.collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn running_jobs(
    jobs: &[&JobStatus],
    width: Option<u16>,
    zone: &TimeZone,
    now: Timestamp,
) -> String {
    let mut table = plain_table(width);
    table.set_header(["running", "name", "host", "attempt", "for", "note"]);
    for job in jobs {
        let ran = job.started_at.map(|at| now.duration_since(at).as_secs_f64());
        let note = match (job.stale_since, job.orphan) {
            (Some(since), _) => format!("not heard of since {}", local(since, zone)),
            (None, true) => "orphan: its wrapper died, a runner looks after it".to_owned(),
            (None, false) => visible(&job.detail).into_owned(),
        };
        table.add_row([
            short(job),
            visible(&job.name).into_owned(),
            host(job),
            job.attempt.map_or_else(String::new, |n| n.to_string()),
            ran.map_or_else(String::new, span),
            note,
        ]);
    }
    finished(table, &["name", "detail", "note"])
}

fn troubles(jobs: &[&JobStatus], width: Option<u16>) -> String {
    let mut table = plain_table(width);
    table.set_header(["job", "name", "state", "detail", "host"]);
    for job in jobs.iter().take(TROUBLES_SHOWN) {
        let detail = if job.detail.is_empty() { &job.reason } else { &job.detail };
        table.add_row([
            short(job),
            visible(&job.name).into_owned(),
            job.state.to_string(),
            visible(detail).into_owned(),
            host(job),
        ]);
    }
    let text = finished(table, &["name", "detail", "note"]);
    match jobs.len().checked_sub(TROUBLES_SHOWN) {
        Some(more) if more > 0 => format!("{text}\nand {more} more"),
        _ => text,
    }
}

fn short(job: &JobStatus) -> String {
    job.id.to_string().chars().take(8).collect()
}

fn host(job: &JobStatus) -> String {
    job.host.as_ref().map_or_else(String::new, ToString::to_string)
}

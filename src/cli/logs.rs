//! `sp logs`: what a job has written.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use super::args;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::plan::count;
use super::session::{Reach, Session};
use super::setup;
use crate::apply::{ApplyError, Interrupts};
use crate::host::Host;
use crate::ids::{Attempt, Instance, JobId};
use crate::lifecycle::AttemptState;
use crate::plain_file;

/// How often a growing log is looked at.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn run(context: &Context, arguments: &args::Logs) -> Result<Exit, CliError> {
    let loaded = context.load(&arguments.file.file)?;
    context.session(loaded, Reach::Hosts, |session| show(context, session, arguments))
}

/// Prints a job's log: the copy kept here, else what its host has.
pub(super) fn show(
    context: &Context,
    session: &Session<'_>,
    arguments: &args::Logs,
) -> Result<Exit, CliError> {
    let workspace = &session.workspace;
    let known = session.known()?;
    let job = session.resolve(&arguments.job, &known)?;
    let Some(newest) = known.get(job.id).and_then(|known| known.attempt) else {
        let snapshot = workspace.store().snapshot()?;
        return Err(CliError::person(
            "no-attempt",
            format!("job `{}` was never started, so it has no log", arguments.job),
            match setup::not_well(&snapshot) {
                Some(row) => format!("its {}", setup::sentence(workspace, row)),
                None => "`sp apply` runs it".to_owned(),
            },
        ));
    };
    let attempt = arguments.attempt.map_or(Some(newest), Attempt::new);
    let Some(attempt) = attempt.filter(|attempt| *attempt <= newest) else {
        let number = usize::try_from(newest.number()).unwrap_or(usize::MAX);
        return Err(CliError::person(
            "no-attempt",
            format!("job `{}` has had {}", arguments.job, count(number, "attempt")),
            format!("`--attempt {newest}` is its newest; attempts count from 1"),
        ));
    };
    let snapshot = workspace.store().snapshot()?;
    let rows = snapshot.jobs.iter().filter(|row| row.id == job.id).flat_map(|row| &row.attempts);
    // By a moved one it may be another host's than the newest.
    let row = rows.rev().find(|row| row.attempt == attempt);
    let ended = row.is_some_and(|row| matches!(row.state, AttemptState::Ended(_)));
    let host = row.map_or(Err(ApplyError::NoHost), |row| workspace.host(&row.host));
    let kept = workspace.kept_log(job.id, attempt);
    let path = match &host {
        Ok(host) if !host.is_here() && !kept.exists() => {
            let wanted = (job.id, attempt);
            let host = session.answering(host)?;
            return match context.block_on(remote(
                workspace.instance(),
                arguments,
                host,
                wanted,
            ))?? {
                None => Ok(Exit::Interrupted),
                Some(true) => Ok(Exit::Done),
                Some(false) => no_log(context, arguments, host, ended),
            };
        }
        Ok(host) if host.is_here() => {
            let folder = host.attempt_folder(workspace.instance(), job.id, attempt);
            let live = context.block_on(folder)??.join("log");
            if live.exists() { live } else { kept }
        }
        _ => kept,
    };
    let mut file = match plain_file::open(&path) {
        Ok((file, _)) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return no_log(context, arguments, host?, ended);
        }
        Err(error) => {
            return Err(CliError::person(
                "log",
                format!("cannot read `{}`: {error}", path.display()),
                "",
            ));
        }
    };
    if let Some(lines) = arguments.lines {
        seek_to_last(&mut file, lines)?;
    }
    copy(&mut file)?;
    if !arguments.follow {
        return Ok(Exit::Done);
    }
    context.block_on(async {
        let mut interrupts = Interrupts::new()?;
        loop {
            // The order matters: what was written before the end is copied after the look.
            let running = is_open(&path);
            copy(&mut file)?;
            if !running {
                return Ok(Exit::Done);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = interrupts.next() => return Ok(Exit::Interrupted),
            }
        }
    })?
}

/// The host has no log of an attempt that it, or another one, has told of.
fn no_log(
    context: &Context,
    arguments: &args::Logs,
    host: &Host,
    ended: bool,
) -> Result<Exit, CliError> {
    let job = &arguments.job;
    if ended {
        return Err(CliError::person(
            "log-gone",
            format!(
                "the log of job `{job}` is not on host `{}` any more, and was not kept here",
                host.name()
            ),
            "`sp gc` removes logs of attempts that nobody needs; what is on record of it: `sp explain`",
        ));
    }
    context.note(&format!("Job `{job}` has not started yet."));
    Ok(Exit::Done)
}

/// A log that lies on another machine: whether there is one; `None` where the person had enough.
async fn remote(
    instance: &Instance,
    arguments: &args::Logs,
    host: &Host,
    wanted: (JobId, Attempt),
) -> Result<Option<bool>, CliError> {
    let mut interrupts = Interrupts::new()?;
    let write = |bytes: &[u8]| {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush())
    };
    tokio::select! {
        shown = host.show_log(instance, wanted, arguments.lines, arguments.follow, write) => Ok(Some(shown??)),
        _ = interrupts.next() => Ok(None),
    }
}

/// Whether the attempt's records have no end yet.
fn is_open(log: &Path) -> bool {
    let state = log.with_file_name("state");
    match std::fs::read_to_string(state) {
        Ok(text) => !text.lines().any(|line| line.starts_with("end ") && line.ends_with(" .")),
        Err(_) => false,
    }
}

fn copy(file: &mut File) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            out.flush()?;
            return Ok(());
        }
        out.write_all(&buffer[..length])?;
    }
}

/// Goes to where the last lines begin, reading backwards.
fn seek_to_last(file: &mut File, lines: usize) -> Result<(), CliError> {
    let mut at = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(());
    }
    let mut left = lines;
    let mut buffer = vec![0; 64 * 1024];
    let mut first = true;
    while at > 0 {
        let length = at.min(buffer.len() as u64);
        at -= length;
        file.seek(SeekFrom::Start(at))?;
        let length = usize::try_from(length).expect("a buffer's length");
        file.read_exact(&mut buffer[..length])?;
        for place in (0..length).rev() {
            let last_byte = first && place == length - 1;
            if buffer[place] == b'\n' && !last_byte {
                if left <= 1 {
                    file.seek(SeekFrom::Start(at + place as u64 + 1))?;
                    return Ok(());
                }
                left -= 1;
            }
        }
        first = false;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(())
}

//! From a reason code and the fields beside it to one sentence for people: `exit code 3`, `result.json is missing`.
//!
//! It adds no advice; what to do next is for `cli` to say.

use std::time::Duration;

use crate::lifecycle::fact::{BadCleanup, Ending, Marker};
use crate::lifecycle::life::Final;
use crate::lifecycle::reason::Reason;

/// What the campaign says about a job, as far as a sentence wants it. All of it may be missing: a host's record is older
/// than the file at times.
#[derive(Debug, Clone, Default)]
pub struct Context<'a> {
    /// `[done] files` as rendered for this job.
    pub files: &'a [String],
    /// `[done] log` as rendered.
    pub log: Option<&'a str>,
    /// `[done] count`: the pattern and the least number.
    pub count: Option<(&'a str, u32)>,
    /// `time-limit`.
    pub time_limit: Option<Duration>,
    /// `cleanup-limit`.
    pub cleanup_limit: Option<Duration>,
    /// `stall-after`.
    pub stall_after: Option<Duration>,
}

/// The sentence, in lower case and without a full stop; empty where the state says it all.
pub fn sentence(ending: &Ending, context: &Context<'_>) -> String {
    let mut text = match &ending.reason {
        Reason::Ok => match ending.exit_code {
            Some(0) | None => String::new(),
            Some(code) => format!("exit code {code} is accepted"),
        },
        Reason::ExitCode => death(ending),
        Reason::Signal => match ending.signal {
            Some(_) => death(ending),
            None => "killed by a signal".to_owned(),
        },
        Reason::Init => before_command("init", ending),
        Reason::Prepare => before_command("prepare", ending),
        Reason::MarkerMissing => format!("{} is missing", marker(ending, context)),
        Reason::MarkerEmpty => format!("{} is empty", marker(ending, context)),
        Reason::MarkerStale => format!("{} is older than the attempt", marker(ending, context)),
        Reason::MarkerLog => {
            let pattern = context.log.map_or_else(String::new, |pattern| format!(" {pattern}"));
            let cut = ending.cut.map_or_else(String::new, |cut| {
                format!(
                    "; {cut} bytes were left out of it after they had been searched, see `log-max`"
                )
            });
            format!("the log does not match{pattern}{cut}")
        }
        Reason::MarkerLimit => {
            format!("looking for {} took too long, or broke off", marker(ending, context))
        }
        Reason::MarkerCount => match context.count {
            Some((pattern, min)) => format!("fewer than {min} files match {pattern}"),
            None => "too few files match".to_owned(),
        },
        Reason::MarkerClock => {
            "the clock went back during the attempt, so no file can be called fresh".to_owned()
        }
        Reason::TimeLimit => limit("ran longer than its time limit", " of ", context.time_limit),
        Reason::Memory => "killed by the kernel for its use of memory".to_owned(),
        Reason::OomSuspected => {
            format!(
                "{}; out of memory is suspected, other jobs share its memory group",
                death(ending)
            )
        }
        Reason::ByUser => "cancelled by `sp cancel`".to_owned(),
        Reason::ByTmux => "cancelled by closing its tmux session".to_owned(),
        Reason::ByQueue => "ended when nothing in the queue needed it any more".to_owned(),
        Reason::Withdrawn => "taken out of the queue before it started".to_owned(),
        Reason::Moved => match &ending.moved_to {
            Some(host) => format!("given to host {host} before it started"),
            None => "given to another host before it started".to_owned(),
        },
        Reason::Reboot => "the host was rebooted while it ran".to_owned(),
        Reason::Restart => {
            "the container or the user's processes were restarted while it ran".to_owned()
        }
        Reason::Killed => {
            "job and wrapper were killed together; nobody saw how it ended".to_owned()
        }
        Reason::BeforeStart => "it was killed before the command started".to_owned(),
        Reason::StubKilled => "the witness of its exit code was killed".to_owned(),
        Reason::NotStartable => "the host could not start it".to_owned(),
        Reason::RootGone => "the host's records of it are gone".to_owned(),
        Reason::Other(_) if ending.state == Final::Stalled => {
            limit("no output and no CPU time", " for ", context.stall_after)
        }
        Reason::Other(word) => match ending.exit_code {
            Some(_) => format!("{word}: {}", death(ending)),
            None => word.to_string(),
        },
    };
    match ending.leftovers.as_str() {
        "kept" => add(&mut text, "processes it left behind still run"),
        "cleaned" => add(&mut text, "processes it left behind were stopped"),
        "waited" => add(&mut text, "its end was put off until processes it left behind had ended"),
        _ => {}
    }
    match ending.cleanup {
        None => {}
        Some(BadCleanup::Code(code)) => {
            add(&mut text, &format!("its `cleanup` ended with exit code {code}"));
        }
        Some(BadCleanup::Limit) => {
            let words = limit("its `cleanup` ran longer than", " ", context.cleanup_limit);
            let over = if context.cleanup_limit.is_some() { "" } else { " its limit" };
            add(&mut text, &format!("{words}{over} and was ended"));
        }
        Some(BadCleanup::Cancelled) => add(&mut text, "its `cleanup` was ended by a cancel"),
    }
    if ending.by == "orphan" {
        add(&mut text, "its wrapper had died, a runner looked after it");
    }
    text
}

/// What failed before the command could start.
fn before_command(what: &str, ending: &Ending) -> String {
    match ending.exit_code {
        Some(_) => format!("`{what}` failed: {}", death(ending)),
        None => format!("`{what}` failed"),
    }
}

/// How it died: a signal that was seen, a code that may stand for one, or a code.
fn death(ending: &Ending) -> String {
    match (&ending.signal, ending.exit_code) {
        (Some(signal), _) => format!("killed by {signal}"),
        (None, Some(code)) => match code.checked_sub(128).and_then(signal_name) {
            Some(signal) => format!("{code}: {signal} or exit {code}"),
            None => format!("exit code {code}"),
        },
        (None, None) => "no exit code was recorded".to_owned(),
    }
}

fn marker(ending: &Ending, context: &Context<'_>) -> String {
    match ending.marker {
        Some(Marker::File(index)) => {
            match usize::try_from(index).ok().and_then(|index| context.files.get(index)) {
                Some(pattern) => pattern.clone(),
                None => format!("done file {}", u64::from(index) + 1),
            }
        }
        Some(Marker::Log) => "the log".to_owned(),
        Some(Marker::Count) => match context.count {
            Some((pattern, _)) => pattern.to_owned(),
            None => "a counted file".to_owned(),
        },
        None => "a done marker".to_owned(),
    }
}

fn limit(words: &str, joint: &str, limit: Option<Duration>) -> String {
    match limit {
        Some(limit) => format!("{words}{joint}{}", short_duration(limit)),
        None => words.to_owned(),
    }
}

fn add(text: &mut String, words: &str) {
    if !text.is_empty() {
        text.push_str("; ");
    }
    text.push_str(words);
}

/// A duration in the campaign file's own spelling: `30m`, `1h 30m`, `1.5s`.
pub fn short_duration(duration: Duration) -> String {
    let whole = duration.as_secs();
    let parts = [(whole / 86_400, "d"), (whole / 3600 % 24, "h"), (whole / 60 % 60, "m")];
    let mut words: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    let seconds = whole % 60;
    let millis = duration.subsec_millis();
    if millis > 0 {
        let fraction = format!("{millis:03}");
        words.push(format!("{seconds}.{}s", fraction.trim_end_matches('0')));
    } else if seconds > 0 || words.is_empty() {
        words.push(format!("{seconds}s"));
    }
    words.join(" ")
}

/// Names of the signals that end programs in practice, by their number on Linux, where every host is.
fn signal_name(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

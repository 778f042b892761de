//! What an apply shows while it runs: bars on a terminal, a plain line per event without one, JSON Lines for programs.

use std::fmt::Write;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressFinish, ProgressState, ProgressStyle};

use super::context::Context;
use super::progress::Progress;
use super::setup::on_one_line;
use super::tables::Tables;
use crate::apply::Observer;
use crate::campaign::Campaign;
use crate::ids::HostName;
use crate::lifecycle::event::HostState;
use crate::lifecycle::{Event, EventKind};
use crate::report::{span, visible};
use crate::state::State;
use crate::store::Snapshot;

/// Without a terminal, a line on how far things are at most this often.
const STILL_THERE: Duration = Duration::from_secs(30);
/// With a bar, successes of larger applies are counted in it and have no line of their own.
const LISTED: u64 = 200;
/// So many failures are said again at the end.
const REPEATED: usize = 20;
/// What failed among fewer jobs is still on the screen at the end.
const SCREENFUL: u64 = 10;

/// Shows events and writes the tables.
pub(super) struct Screen<'a> {
    context: &'a Context,
    tables: Tables,
    bar: Option<ProgressBar>,
    progress: Arc<Mutex<Progress>>,
    total: u64,
    /// Width of the column of hosts, which is there when there is a choice.
    host_width: Option<usize>,
    failures: Vec<(String, String, String)>,
    last_line: Instant,
    output_gone: bool,
    /// Why the tables were not written the last time.
    tables_trouble: Option<String>,
}

impl<'a> Screen<'a> {
    /// A screen for so many jobs of a campaign.
    pub(super) fn new(
        context: &'a Context,
        tables: Tables,
        campaign: &Campaign,
        total: u64,
    ) -> Self {
        let longest = campaign.hosts.keys().map(|name| name.as_str().len()).max();
        let progress = Arc::new(Mutex::new(Progress::new(total, Instant::now())));
        let bar = (context.live() && total > 0).then(|| bar(total, &progress));
        Self {
            context,
            tables,
            bar,
            progress,
            total,
            host_width: longest.filter(|_| campaign.hosts.len() > 1),
            failures: Vec::new(),
            last_line: Instant::now(),
            output_gone: false,
            tables_trouble: None,
        }
    }

    /// Says in the bar that jobs are being handed over, until the first has been.
    pub(super) fn handing_over(&self) {
        self.progress().set_handing_over(true);
    }

    /// Whether the tables as files are not what the checkpoint knows.
    pub(super) fn lacks_tables(&self) -> bool {
        self.tables_trouble.is_some()
    }

    /// Takes the bar away and says again what failed.
    pub(super) fn finish(mut self) -> Tables {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let failed = self.failures.len();
        if failed > 0 && self.total > SCREENFUL {
            self.context.note(&format!("\n{failed} of {} did not succeed:", count_of(self.total)));
            for (word, name, detail) in self.failures.iter().take(REPEATED) {
                self.context.note(&format!("{word} {name}  {detail}"));
            }
            if failed > REPEATED {
                let more = failed - REPEATED;
                self.context.note(&format!(
                    "{:>10} and {more} more: sp results -F \"state != 'succeeded'\"",
                    "…"
                ));
            }
            self.context.note("");
        }
        self.tables
    }

    fn line(&mut self, text: &str) {
        self.last_line = Instant::now();
        match &self.bar {
            Some(bar) => bar.println(text),
            None => self.context.note(text),
        }
    }

    fn json(&mut self, event: &Event) {
        if self.output_gone {
            return;
        }
        // A reader that has left is no reason to leave the jobs alone.
        self.output_gone = print(event).is_err();
    }

    fn host_column(&self, host: &HostName) -> String {
        self.host_width.map_or_else(String::new, |width| format!("{:width$}  ", host.as_str()))
    }

    fn word(&self, state: State) -> String {
        let word = format!("{:>10}", state.word().to_uppercase());
        if !self.context.colour_stderr() {
            return word;
        }
        let colour = match state {
            State::Succeeded => "\x1b[32m",
            State::Cancelled => "\x1b[33m",
            _ => "\x1b[31m",
        };
        format!("{colour}{word}\x1b[0m")
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // A panic while it was held would have ended this process.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints an event as a line of JSON.
pub(super) fn print(event: &Event) -> std::io::Result<()> {
    let line = serde_json::to_string(event).expect("events are JSON");
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}

fn count_of_files(files: u64) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

fn count_of(jobs: u64) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") }
}

/// A bar that says more than how far things are; it looks at `progress` each time it draws itself.
fn bar(total: u64, progress: &Arc<Mutex<Progress>>) -> ProgressBar {
    let progress = Arc::clone(progress);
    let bar = ProgressBar::new(total).with_finish(ProgressFinish::AndClear);
    let style = ProgressStyle::with_template("{bar:20} {said}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("said", move |_: &ProgressState, out: &mut dyn Write| {
            let width = terminal_size::terminal_size().map_or(80, |(width, _)| width.0);
            let room = usize::from(width).saturating_sub(22);
            let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            out.write_str(&progress.text(Instant::now(), room)).expect("a buffer takes all");
        });
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

impl Observer for Screen<'_> {
    fn event(&mut self, event: &Event) {
        if self.context.json() {
            self.json(event);
            return;
        }
        match &event.kind {
            EventKind::JobQueued { .. } => self.progress().set_handing_over(false),
            EventKind::JobStarted { job, .. } => {
                self.progress().started(job.id, &visible(&job.name), Instant::now());
                if let Some(bar) = &self.bar {
                    bar.tick();
                }
                if self.bar.is_none() && self.context.verbose() {
                    self.line(&format!("{:>10} {}", "STARTED", job.name));
                }
            }
            EventKind::JobMoved { name, from, to, .. } => {
                self.line(&format!("{:>10} {name}  from {from} to {to}", "MOVED"));
            }
            EventKind::JobFinished { job, state, detail, elapsed_s, .. } => {
                let good = *state == State::Succeeded;
                self.progress().ended(job.id, good, Instant::now());
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                    if good && self.total > LISTED {
                        return;
                    }
                }
                let time = elapsed_s.map_or_else(String::new, span);
                let detail = visible(detail);
                let word = self.word(*state);
                if !good {
                    self.failures.push((word.clone(), job.name.clone(), detail.to_string()));
                }
                let host = self.host_column(&job.host);
                self.line(format!("{word} [{time:>7}] {host}{}  {detail}", job.name).trim_end());
            }
            EventKind::Host { host, state: HostState::Unreachable, detail } => {
                let detail = visible(detail);
                self.line(&format!("warning: host {host} does not answer; asking again: {detail}"));
            }
            EventKind::Host { host, .. } => self.line(&format!("host {host} answers again")),
            EventKind::Warning { detail, .. } => {
                let text = format!("warning: {}", visible(detail));
                self.line(&text);
            }
            EventKind::Sync { host, snapshot, sent_files, sent_bytes, .. } => {
                if *sent_files > 0 || self.context.verbose() {
                    let short = snapshot.get(..8).unwrap_or(snapshot);
                    let files = count_of_files(*sent_files);
                    let bytes = HumanBytes(*sent_bytes);
                    self.line(&format!("{:>10} {files}, {bytes}, to {host} ({short})", "SENT"));
                }
            }
            EventKind::Setup { host, state, text, detail, elapsed_s, .. } => {
                if *state == State::Running && !self.context.verbose() {
                    return;
                }
                let time = elapsed_s.map_or_else(String::new, span);
                let text = on_one_line(text);
                let end = match state {
                    State::Running => "runs".to_owned(),
                    State::Succeeded => String::new(),
                    state => format!("{state}: {}", visible(detail)),
                };
                let width = self.host_width.unwrap_or(0);
                let head = format!("{:>10} [{time:>7}] {:width$}", "SETUP", host.as_str());
                self.line(format!("{head}  {text}  {end}").trim_end());
            }
            EventKind::Plan { .. } | EventKind::Summary { .. } => {}
        }
    }

    fn tables(&mut self, snapshot: &Snapshot) {
        let trouble = self.tables.write(snapshot).err().map(|error| {
            format!(
                "the tables in {} are not written anew: {error} ({}); nothing is lost: `sp results` prints them, and `sp apply` \
                 writes them once this is put right",
                self.tables.folder().display(),
                error.help()
            )
        });
        // Tables are written often; the same is said once.
        if let Some(detail) = trouble.clone().filter(|_| trouble != self.tables_trouble) {
            let kind =
                EventKind::Warning { code: "results".to_owned(), detail, host: None, id: None };
            self.event(&Event { ts: self.context.clock().now(), kind });
        }
        self.tables_trouble = trouble;
        if self.bar.is_none() && self.last_line.elapsed() >= STILL_THERE {
            let text = self.progress().text(Instant::now(), usize::MAX);
            self.line(&format!("{:>10} {text}", ""));
        }
    }
}

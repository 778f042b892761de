//! What an apply shows while it runs: bars on a terminal, a plain line per event without one, JSON Lines for programs.

use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::context::Context;
use super::tables::Tables;
use crate::apply::Observer;
use crate::lifecycle::{Event, EventKind};
use crate::report::{span, visible};
use crate::state::State;
use crate::store::Snapshot;

/// Without a terminal, a line on how far things are at most this often.
const STILL_THERE: Duration = Duration::from_secs(30);

/// Shows events and writes the tables.
pub(super) struct Screen<'a> {
    context: &'a Context,
    tables: Tables,
    bar: Option<ProgressBar>,
    running: Vec<String>,
    total: u64,
    ended: u64,
    failures: Vec<(String, String, String)>,
    last_line: Instant,
    output_gone: bool,
}

impl<'a> Screen<'a> {
    /// A screen for so many jobs.
    pub(super) fn new(context: &'a Context, tables: Tables, total: u64) -> Self {
        let bar = (context.live() && total > 0).then(|| {
            let bar = ProgressBar::new(total);
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} ended  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        Self {
            context,
            tables,
            bar,
            running: Vec::new(),
            total,
            ended: 0,
            failures: Vec::new(),
            last_line: Instant::now(),
            output_gone: false,
        }
    }

    /// Takes the bar away and says again what failed.
    pub(super) fn finish(mut self) -> Tables {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.failures.len() > 1 && self.total > 10 {
            for (word, name, detail) in &self.failures {
                self.context.note(&format!("{word} {name}  {detail}"));
            }
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
        let line = serde_json::to_string(event).expect("events are JSON");
        let mut out = std::io::stdout().lock();
        // A reader that has left is no reason to leave the jobs alone.
        self.output_gone = writeln!(out, "{line}").and_then(|()| out.flush()).is_err();
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

    fn show_running(&self) {
        let Some(bar) = &self.bar else { return };
        bar.set_position(self.ended);
        let text = match self.running.as_slice() {
            [] => String::new(),
            [one] => format!("running {one}"),
            [one, others @ ..] => format!("running {one} and {} more", others.len()),
        };
        bar.set_message(text);
    }
}

impl Observer for Screen<'_> {
    fn event(&mut self, event: &Event) {
        if self.context.json() {
            self.json(event);
            return;
        }
        match &event.kind {
            EventKind::JobStarted { job, .. } => {
                self.running.push(job.name.clone());
                if self.bar.is_none() && self.context.verbose() {
                    self.line(&format!("{:>10} {}", "STARTED", job.name));
                }
            }
            EventKind::JobFinished { job, state, detail, elapsed_s, .. } => {
                self.running.retain(|name| *name != job.name);
                self.ended += 1;
                let time = elapsed_s.map_or_else(String::new, |seconds| span(seconds));
                let detail = visible(detail);
                let word = self.word(*state);
                if *state != State::Succeeded {
                    self.failures.push((word.clone(), job.name.clone(), detail.to_string()));
                }
                self.line(format!("{word} [{time:>7}] {}  {detail}", job.name).trim_end());
            }
            EventKind::Warning { detail, .. } => {
                let text = format!("warning: {}", visible(detail));
                self.line(&text);
            }
            EventKind::Plan { .. }
            | EventKind::Host { .. }
            | EventKind::JobQueued { .. }
            | EventKind::Summary { .. } => {}
        }
        self.show_running();
    }

    fn tables(&mut self, snapshot: &Snapshot) {
        if let Err(error) = self.tables.write(snapshot) {
            let text = format!(
                "warning: cannot write the tables in {}: {error}",
                self.tables.folder().display()
            );
            self.line(&text);
        }
        if self.bar.is_none() && self.last_line.elapsed() >= STILL_THERE {
            let text = format!(
                "{:>10} {} of {} ended, {} running",
                "",
                self.ended,
                self.total,
                self.running.len()
            );
            self.line(&text);
        }
    }
}

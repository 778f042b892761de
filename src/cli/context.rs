//! What a command knows of the world around it: flags, environment, terminal, clock.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::runtime::Runtime;

use super::args::{Color, Global, Selection};
use super::campaign_file;
use super::error::{CliError, render_diagnostic, told};
use super::exit::Exit;
use super::printable::{printable, printable_warning};
use crate::apply::{ApplyError, Workspace};
use crate::campaign::Campaign;
use crate::clock::Clock;
use crate::host::CampaignFolder;
use crate::ids::HostName;
use crate::plan::{Expansion, Filter, Known, Selector, expand, hosts_of, named_hosts};
use crate::store::{ApplyLock, Holder, Lock, StoreError, set_aside};

/// The world of one command.
pub(super) struct Context {
    global: Global,
    environment: BTreeMap<String, String>,
    clock: Clock,
    handed_over: Cell<bool>,
    /// For all that talks to hosts: a conversation lives as long as the runtime that it was begun in.
    pub(super) runtime: OnceCell<Runtime>,
}

/// A campaign file that was read and expanded.
pub(super) struct Loaded {
    /// Absolute path of the file.
    pub file: PathBuf,
    /// The campaign.
    pub campaign: Arc<Campaign>,
    /// Its jobs.
    pub expansion: Arc<Expansion>,
    /// The files that its texts name.
    pub files: CampaignFolder,
}

#[expect(
    clippy::unused_self,
    reason = "a command asks its context, wherever the answer comes from"
)]
impl Context {
    /// Reads the environment once; goes to the folder of `-C`.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub(super) fn new(global: Global) -> Result<Self, CliError> {
        if let Some(folder) = &global.directory {
            std::env::set_current_dir(folder).map_err(|error| {
                CliError::usage(
                    "directory",
                    format!("cannot enter `{}`: {error}", folder.display()),
                    "",
                )
            })?;
        }
        let mut environment = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            // A value that is no text cannot be a secret or a path that a host is told.
            if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
                environment.insert(name, value);
            }
        }
        let clock = match std::env::var("SP_TEST_CLOCK")
            .ok()
            .and_then(|text| text.parse::<Timestamp>().ok())
        {
            Some(moment) if cfg!(debug_assertions) => Clock::Fixed(moment),
            _ => Clock::System,
        };
        let (handed_over, runtime) = (Cell::new(false), OnceCell::new());
        Ok(Self { global, environment, clock, handed_over, runtime })
    }

    /// A variable of the environment.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The environment.
    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// The clock.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// `--json`.
    pub(super) fn json(&self) -> bool {
        self.global.json
    }

    /// `-q`.
    pub(super) fn quiet(&self) -> bool {
        self.global.quiet
    }

    /// `-v`.
    pub(super) fn verbose(&self) -> bool {
        self.global.verbose > 0
    }

    /// Whether somebody is there to be asked, and may be.
    pub(super) fn can_ask(&self) -> bool {
        !self.global.no_input
            && !self.global.json
            && self.variable("CI").is_none()
            && io::stdin().is_terminal()
            && io::stderr().is_terminal()
    }

    /// Whether bars that redraw themselves are welcome.
    pub(super) fn live(&self) -> bool {
        !self.global.json
            && !self.global.quiet
            && self.variable("CI").is_none()
            && self.variable("TERM") != Some("dumb")
            && io::stderr().is_terminal()
    }

    fn colour(&self, terminal: bool) -> bool {
        match self.global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                self.variable("NO_COLOR").is_none()
                    && (self.variable("CLICOLOR_FORCE").is_some_and(|force| force != "0")
                        || (terminal && self.variable("TERM") != Some("dumb")))
            }
        }
    }

    /// Whether to colour what goes to stdout.
    pub(super) fn colour_stdout(&self) -> bool {
        self.colour(io::stdout().is_terminal())
    }

    /// Whether to colour what goes to stderr.
    pub(super) fn colour_stderr(&self) -> bool {
        self.colour(io::stderr().is_terminal())
    }

    /// Columns of the terminal; 100 without one.
    pub(super) fn width(&self) -> usize {
        self.columns().map_or(100, usize::from)
    }

    /// Columns of the terminal that stdout is.
    pub(super) fn columns(&self) -> Option<u16> {
        if !io::stdout().is_terminal() {
            return None;
        }
        terminal_size::terminal_size().map(|(width, _)| width.0)
    }

    /// The time zone of people here.
    pub(super) fn zone(&self) -> TimeZone {
        TimeZone::system()
    }

    /// Stdout, for data.
    pub(super) fn out(&self) -> Box<dyn Write> {
        Box::new(io::BufWriter::new(io::stdout().lock()))
    }

    /// A line for people, on stderr; nothing with `-q` or `--json`.
    pub(super) fn note(&self, text: &str) {
        if !self.global.quiet && !self.global.json {
            self.say(text);
        }
    }

    /// A line on stderr, whatever the flags.
    pub(super) fn say(&self, text: &str) {
        // Nobody is left to be told that stderr cannot be written.
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// A question with no as its default.
    pub(super) fn confirm(&self, question: &str) -> Result<bool, CliError> {
        let mut errors = io::stderr().lock();
        write!(errors, "{question} [y/N] ")?;
        errors.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Reads, checks and expands a campaign file.
    pub(super) fn load(&self, file: &Path) -> Result<Loaded, CliError> {
        let (file, campaign) = self.read(file)?;
        // Paths are relative to `working-dir` below `sync.root`.
        let folder = file.parent().unwrap_or(Path::new("/")).join(&campaign.sync.root);
        let folder = CampaignFolder::new(&folder, &campaign.working_dir);
        let campaign = Arc::new(campaign);
        let expansion = Arc::new(expand(Arc::clone(&campaign), &folder)?);
        for warning in expansion.warnings() {
            self.note(&printable(&format!("warning: {warning}")));
        }
        Ok(Loaded { file, campaign, expansion, files: folder })
    }

    /// Reads and checks a campaign file; prints its warnings.
    pub(super) fn read(&self, file: &Path) -> Result<(PathBuf, Campaign), CliError> {
        let shown = file.display().to_string();
        let (file, text) = campaign_file::read(file)?;
        let (campaign, warnings) = Campaign::parse(&shown, &text)?;
        if !self.global.quiet && !self.global.json {
            for warning in &warnings {
                drop(
                    io::stderr().write_all(
                        render_diagnostic(
                            &printable_warning(warning),
                            self.colour_stderr(),
                            self.width(),
                        )
                        .as_bytes(),
                    ),
                );
            }
        }
        Ok((file, campaign))
    }

    /// Puts aside a checkpoint whose damage showed while it was used. False where another apply is under way, which finds
    /// the damage itself.
    pub(super) fn set_aside(&self, error: &StoreError) -> Result<bool, CliError> {
        let StoreError::Damaged { path, .. } = error else { return Ok(false) };
        let folder = path.parent().unwrap_or(Path::new("/"));
        let holder = Holder::here(self.clock.now(), command_line());
        match ApplyLock::acquire(folder, &holder).map_err(ApplyError::Lock)? {
            Lock::Held(_) => Ok(false),
            Lock::Acquired(lock) => {
                if let Some(path) = set_aside(path, &lock)? {
                    self.say_set_aside(&path);
                }
                Ok(true)
            }
        }
    }

    /// Says what keeps one host from going on, with the next step, and what it means for the exit code.
    pub(super) fn say_trouble(&self, host: &HostName, error: &ApplyError) -> Exit {
        let (sentence, exit) = told(error);
        if self.json() {
            let mut object = CliError::of(error).json();
            object["host"] = host.as_str().into();
            self.say(&object.to_string());
        } else {
            self.say(&printable(&sentence));
        }
        exit
    }

    pub(super) fn say_set_aside(&self, path: &Path) {
        self.say(&format!(
            "warning: the checkpoint was damaged; it is now {}\n         what hosts know is taken over from them; \
             what only it knew (older versions' names, the last plan) is lost",
            path.display()
        ));
    }

    /// Remembers that this command handed jobs over, for the case that it has to begin again.
    pub(super) fn note_handed_over(&self, workspace: &Workspace) {
        self.handed_over.set(self.handed_over.get() || workspace.handed_over());
    }

    /// Whether this command has handed jobs over before it had to begin again.
    pub(super) fn has_handed_over(&self) -> bool {
        self.handed_over.get()
    }

    /// Locale variables that jobs get.
    pub(super) fn locale(&self) -> Vec<(String, String)> {
        ["LANG", "TZ", "TMPDIR"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), self.variable(name)?.to_owned())))
            .collect()
    }

    /// Seconds of grace at a time limit that a test asks for; nobody else can.
    pub(super) fn kill_after(&self) -> Option<u32> {
        let wanted = self.variable("SP_TEST_KILL_AFTER").filter(|_| cfg!(debug_assertions))?;
        wanted.parse().ok()
    }

    /// Refuses a selection that cannot be read, before anything is asked or done.
    pub(super) fn check(
        &self,
        selection: &Selection,
        expansion: &Expansion,
    ) -> Result<(), CliError> {
        self.hosts(&selection.hosts, expansion)?;
        if let Some(text) = &selection.filter {
            for warning in Filter::parse(text, expansion)?.warnings() {
                self.note(&printable(&format!("warning: {warning}")));
            }
        }
        Ok(())
    }

    /// Jobs that `-F` and `--host` select, by the host that has them or else would get them; `None` for all.
    pub(super) fn select(
        &self,
        selection: &Selection,
        expansion: &Expansion,
        known: &Known,
    ) -> Result<Option<Vec<usize>>, CliError> {
        let filtered = self.filter(selection, expansion, known)?;
        let Some(chosen) = self.hosts(&selection.hosts, expansion)? else { return Ok(filtered) };
        let hosts = hosts_of(expansion, known)?;
        let is = |job: &usize| hosts[*job].as_ref().is_some_and(|host| chosen.contains(host));
        let jobs = filtered.unwrap_or_else(|| (0..expansion.len()).collect());
        Ok(Some(jobs.into_iter().filter(is).collect()))
    }

    /// Hosts that `--host` names; `None` for all.
    pub(super) fn hosts(
        &self,
        words: &[String],
        expansion: &Expansion,
    ) -> Result<Option<BTreeSet<HostName>>, CliError> {
        if words.is_empty() {
            return Ok(None);
        }
        let named = named_hosts(words, expansion.campaign());
        Ok(Some(named.map_err(|error| {
            CliError::usage("host", error.message, error.help.unwrap_or_default())
        })?))
    }

    /// Jobs that `-F` selects; `None` for all.
    pub(super) fn filter(
        &self,
        selection: &Selection,
        expansion: &Expansion,
        known: &Known,
    ) -> Result<Option<Vec<usize>>, CliError> {
        let Some(text) = &selection.filter else { return Ok(None) };
        let filter = Filter::parse(text, expansion)?;
        let mut chosen = Vec::new();
        for job in expansion.jobs() {
            if filter.matches(job, known.get(job.id()))? {
                chosen.push(job.index());
            }
        }
        Ok(Some(chosen))
    }
}

/// How this process was called, for people.
pub(super) fn command_line() -> String {
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    words.join(" ")
}

/// The job that a person names.
pub(super) fn resolve(
    text: &str,
    expansion: &Expansion,
    known: &Known,
) -> Result<crate::plan::JobRef, CliError> {
    Ok(Selector::new(expansion, known).resolve(text)?)
}

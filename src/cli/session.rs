//! A campaign opened for one command: file, jobs, checkpoint, what its hosts answered.
//!
//! Here is the one rule for hosts that are silent or talk nonsense. What was last known of their jobs stands, with the time; a
//! warning names the host, the cause, and whether that may pass; and the command ends with 75, or with 1 where a person must
//! act. A command gets a session only by [`Context::session`], which puts that into its exit code, so it cannot forget it.

use std::path::Path;

use super::context::{Context, Loaded, resolve};
use super::error::CliError;
use super::exit::Exit;
use super::plan::count;
use super::printable::printable;
use crate::apply::{Access, ApplyError, Collected, Settings, Workspace};
use crate::host::Host;
use crate::ids::HostName;
use crate::lifecycle::LineError;
use crate::plan::{JobRef, Known};
use crate::report::text::local;
use crate::store::{ApplyLock, Lock};

/// Whom a command asks before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nobody; it may ask by itself later, see [`Session::ask`].
    Nobody,
    /// All hosts, or none with `--offline`. What is known is shown whoever answers.
    UnlessOffline(bool),
    /// All hosts. What is known is shown whoever answers.
    Hosts,
    /// All hosts, of which one at least must answer: else there is nothing that the command could do.
    SomeHost,
}

impl Reach {
    /// Who shows what is known, whoever answers, only looks.
    fn access(self) -> Access {
        match self {
            Self::UnlessOffline(_) | Self::Hosts => Access::Look,
            Self::Nobody | Self::SomeHost => Access::Work,
        }
    }
}

/// A campaign opened for one command.
pub(super) struct Session<'a> {
    pub(super) context: &'a Context,
    pub(super) loaded: Loaded,
    pub(super) workspace: Workspace,
    collected: Option<Collected>,
    exit: Exit,
}

impl Context {
    /// Opens a campaign, asks its hosts, and has `body` do the work. The exit code is that of `body` together with what the
    /// silence of hosts means.
    pub(super) fn session(
        &self,
        loaded: Loaded,
        reach: Reach,
        body: impl FnOnce(&mut Session<'_>) -> Result<Exit, CliError>,
    ) -> Result<Exit, CliError> {
        self.survive_file_limits()?;
        let settings = Settings {
            file: loaded.file.clone(),
            campaign: loaded.campaign.clone(),
            expansion: loaded.expansion.clone(),
            clock: self.clock(),
            command_line: super::context::command_line(),
            environment: self.environment().clone(),
        };
        let workspace = Workspace::open(settings, reach.access())?;
        if workspace.keeps_nothing() {
            let folder = loaded.file.parent().unwrap_or(Path::new("/")).join(".sp");
            self.note(&printable(&format!(
                "note: you may not write `{}`, so nothing of this is kept",
                folder.display()
            )));
        }
        if let Some(copied) = workspace.copied() {
            self.say(&printable(&format!(
                "warning: `.sp` was copied here from `{}`, which is still there: this is a copy of its own now\n         \
                 {}`sp help instances` says what is shared and how",
                copied.from.display(),
                copied.aside.as_ref().map_or_else(String::new, |aside| {
                    format!("what came along is kept in `{}`; ", aside.display())
                })
            )));
        }
        if let Some(path) = workspace.set_aside() {
            self.say_set_aside(path);
        }
        let (collected, exit) = (None, Exit::Done);
        let mut session = Session { context: self, loaded, workspace, collected, exit };
        if !matches!(reach, Reach::Nobody | Reach::UnlessOffline(true)) {
            self.block_on(session.ask(reach, None))??;
        }
        let exit = body(&mut session)?;
        Ok(exit.and(session.exit))
    }
}

impl Session<'_> {
    /// Asks all hosts and says which of them did not answer. `lock`: this process holds the campaign's lock.
    pub(super) async fn ask(
        &mut self,
        reach: Reach,
        lock: Option<&ApplyLock>,
    ) -> Result<(), CliError> {
        let collected = self.workspace.collect(lock).await?;
        let silent = collected.hosts.iter();
        let silent: Vec<_> =
            silent.filter_map(|(name, host)| Some((name, host.trouble.as_deref()?))).collect();
        let nobody = silent.len() == collected.hosts.len();
        if let [(_, first), others @ ..] = silent.as_slice()
            && nobody
            && reach == Reach::SomeHost
        {
            for (name, error) in others {
                self.exit = self.exit.and(self.context.say_trouble(name, error));
            }
            return Err(CliError::of(first));
        }
        for (name, error) in &silent {
            self.exit = self.exit.and(self.context.say_trouble(name, error));
            self.say_last_known(name)?;
        }
        for (name, host) in &collected.hosts {
            if host.records_gone > 0 {
                let attempts = count(host.records_gone, "ended attempt");
                self.context.note(&format!(
                    "warning: host `{name}` has no records of {attempts} any more: its root was deleted or rolled back\n         \
                     what is told of them is what this checkpoint remembers"
                ));
            }
            self.say_refused(name, &host.refused);
        }
        if !silent.is_empty() && matches!(reach, Reach::UnlessOffline(_)) {
            self.context.note("         `--offline` shows what is known without asking");
        }
        self.collected = Some(collected);
        Ok(())
    }

    /// Asks all hosts once more, for what came of a command. Only what is new is said: a host that answered before and does not
    /// now.
    pub(super) async fn ask_again(&mut self) -> Result<(), CliError> {
        let collected = self.workspace.collect(None).await?;
        for (name, host) in &collected.hosts {
            if let (Some(error), None) = (&host.trouble, self.trouble_of(name)) {
                self.exit = self.exit.and(self.context.say_trouble(name, error));
            }
        }
        self.collected = Some(collected);
        Ok(())
    }

    /// Says which lines of a host's answer were refused.
    pub(super) fn say_refused(&self, host: &HostName, refused: &[LineError]) {
        for error in refused {
            let text = format!("warning: host `{host}`: a line of its answer was refused: {error}");
            self.context.note(&printable(&text));
        }
    }

    /// Says from when it is what is told of a host's jobs.
    fn say_last_known(&self, host: &HostName) -> Result<(), CliError> {
        let last_seen = self.workspace.store().host(host)?.last_seen;
        self.context.note(&match last_seen {
            Some(at) => format!(
                "         what is told of its jobs is from {}",
                local(at, &self.context.zone())
            ),
            None => "         it has never answered, so nothing is known of jobs there".to_owned(),
        });
        Ok(())
    }

    /// What the hosts answered; `None` where none was asked.
    pub(super) fn collected(&self) -> Option<&Collected> {
        self.collected.as_ref()
    }

    /// What the silence of hosts means for the exit code, so far.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// What is known of all jobs by now.
    pub(super) fn known(&self) -> Result<Known, CliError> {
        Ok(Known::new(self.workspace.store().known()?))
    }

    /// The job that a person names.
    pub(super) fn resolve(&self, text: &str, known: &Known) -> Result<JobRef, CliError> {
        resolve(text, &self.loaded.expansion, known)
    }

    /// Why a host did not answer; `None` where it did, or was not asked.
    pub(super) fn trouble_of(&self, host: &HostName) -> Option<&ApplyError> {
        self.collected.as_ref()?.trouble_of(host)
    }

    /// Refuses a host that cannot be asked until somebody has put right what is wrong there. One that was only slow is asked
    /// again, with more patience.
    pub(super) fn answering<'h>(&self, host: &'h Host) -> Result<&'h Host, CliError> {
        match self.trouble_of(host.name()).map(CliError::of) {
            Some(error) if error.exit() != Exit::Unfinished => Err(error),
            _ => Ok(host),
        }
    }

    /// Takes the campaign's lock. Where an apply has it the command ends, and says what it has not done: `nothing was removed`.
    pub(super) fn lock_or_busy(&self, not_done: &str) -> Result<ApplyLock, CliError> {
        match self.workspace.lock()? {
            Lock::Acquired(lock) => Ok(lock),
            Lock::Held(_) => Err(CliError::Said {
                exit: Exit::Unfinished,
                code: "busy",
                message: format!("an apply of this campaign is under way, so {not_done}"),
                help: "run the same command again once it has ended".to_owned(),
            }),
        }
    }

    /// Tells of a host that failed at a later question, once; the command goes on with the others.
    pub(super) fn note_trouble(&mut self, host: &HostName, error: &ApplyError) {
        if self.trouble_of(host).is_some() {
            return;
        }
        self.exit = self.exit.and(self.context.say_trouble(host, error));
    }
}

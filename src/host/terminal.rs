//! Programs that take over the person's terminal, on this machine or over the host's connection.
//!
//! They end when the person is done; what they return is no state of a job.

use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};

use super::batch::secret_lines;
use super::conversation::Host;
use super::error::HostError;
use super::talk::PATIENCE;
use super::transport::command;
use super::{random_word, script};
use crate::ids::{Attempt, Instance, JobId};
use crate::shell::quote;

impl Host {
    /// Shows a tmux session of the host, read-only, until the person leaves or the job ends. A terminal that tmux does not
    /// know is taken for a plain one.
    pub async fn attach(
        &self,
        session: &str,
        terminal: Option<&str>,
    ) -> Result<io::Result<ExitStatus>, HostError> {
        let target = format!("={session}");
        let mut words =
            vec!["tmux", "-L", "sp", "-f", "/dev/null", "-u", "attach-session", "-r", "-t"];
        words.push(&target);
        let plain = terminal.is_none_or(|terminal| terminal == "dumb");
        self.on_terminal(&words, if plain { Some("xterm") } else { None }).await
    }

    /// Opens a shell in an attempt's out folder, with its job's environment, until the person leaves it. The secrets that
    /// are given go there in a file, which the shell takes away before anything else. Success is that it was started,
    /// however it ended.
    pub async fn shell(
        &self,
        instance: &Instance,
        job: JobId,
        attempt: Attempt,
        secrets: &BTreeMap<String, String>,
    ) -> Result<io::Result<ExitStatus>, HostError> {
        let (job, attempt) = (job.to_string(), attempt.to_string());
        let mut word = "none".to_owned();
        if !secrets.is_empty() {
            let lines = secret_lines(secrets)
                .map_err(|error| HostError::Job { job: job.clone(), why: error.to_string() })?;
            word = random_word();
            let arguments = [instance.as_str(), &job, &attempt, &word];
            self.ask("shell_secrets", &arguments, lines.as_bytes(), PATIENCE).await?;
        }
        let root = self.root().await?;
        let script = root.join("v2/bin").join(script::version());
        let (script, root) = (script.to_string_lossy(), root.to_string_lossy());
        let words =
            ["/bin/sh", &*script, "shell", &*root, instance.as_str(), &job, &attempt, &word];
        self.on_terminal(&words, None).await
    }

    /// Runs a program on the person's terminal and waits for its end.
    async fn on_terminal(
        &self,
        words: &[&str],
        terminal: Option<&str>,
    ) -> Result<io::Result<ExitStatus>, HostError> {
        let words = match self.remote_shell().await? {
            None => words.iter().map(|word| (*word).to_owned()).collect(),
            Some((mut ssh, destination)) => {
                ssh.extend(["-t".to_owned(), "-q".to_owned(), destination]);
                let words: Result<Vec<String>, _> = words.iter().map(|word| quote(word)).collect();
                ssh.push(words.unwrap_or_default().join(" "));
                ssh
            }
        };
        let (program, arguments) = words.split_first().expect("a program");
        let mut command = command(program);
        command.args(arguments);
        if let Some(terminal) = terminal {
            command.env("TERM", terminal);
        }
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        Ok(command.status().await)
    }
}

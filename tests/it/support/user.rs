//! A user for whom modes of files mean something; root may do everything.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Run, Sandbox, shell};

/// A user that owns no process and no file of the machine.
const NOBODY: u32 = 65_534;

impl Sandbox {
    /// Runs `sp` as an ordinary user: whoever runs the tests, or, where that is root, somebody else, to whom all of the sandbox
    /// is given.
    #[track_caller]
    pub fn expect_as_user(&self, code: i32, arguments: &[&str]) -> Run {
        let mut command = self.command(arguments);
        if rustix::process::geteuid().is_root() {
            command = Command::new("setpriv");
            let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
            command.args(ids).arg("--clear-groups").arg(self.own_binary()).args(arguments);
            let like = self.command(&[]);
            command.current_dir(self.campaign()).env_clear();
            command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
            shell(self.plain(), &format!("chown -R -h {NOBODY}:{NOBODY} ."));
        }
        let run = Run::of(&command.output().expect("sp starts"));
        assert_eq!(run.code, code, "{arguments:?}: {run:?}");
        run
    }

    /// The program where anybody can start it.
    fn own_binary(&self) -> PathBuf {
        let path = self.plain().join("sp-of-all");
        if !path.exists() {
            fs::copy(env!("CARGO_BIN_EXE_sp"), &path).expect("a copy");
        }
        path
    }
}

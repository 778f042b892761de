//! The same tests over ssh: with `SP_TEST_OVER=ssh` a campaign's host `local` is reached by ssh, and its home is the
//! sandbox's. Jobs start in the campaign's folder there, too, as tests that look at what they did expect it.

use std::borrow::Cow;

use super::Sandbox;

const TABLE: &str = "[hosts.local]\n";

/// Whether it is asked for.
pub(super) fn ssh() -> bool {
    std::env::var_os("SP_TEST_OVER").is_some_and(|over| over == "ssh")
}

/// Whether it is the connection of a client, or the server's end of one.
pub(super) fn is_master(line: &str) -> bool {
    ssh() && (line.starts_with("ssh -E ") || line.starts_with("sshd"))
}

impl Sandbox {
    /// A file as it is for the same jobs over ssh; a campaign that names another host as it is.
    pub(super) fn over_ssh<'a>(&self, path: &str, text: &'a str) -> Cow<'a, str> {
        let others = text.matches("[hosts.").count() > text.matches(TABLE).count();
        if !ssh() || others {
            return text.into();
        }
        let folder = self.campaign().display().to_string();
        let mut text = text.replace("$SP_WORK_DIR", &folder);
        if path != "campaign.toml" {
            return text.into();
        }
        // Globs of markers are relative to the work folder.
        let lines = text.split_inclusive('\n').map(|line| {
            if line.starts_with("files = ") {
                line.into()
            } else {
                line.replace("{{ work_dir }}", &folder)
            }
        });
        text = lines.collect();
        if !text.contains(TABLE) {
            text = format!("{text}\n{TABLE}");
        }
        let init = if text.contains("\ninit = ") {
            String::new()
        } else {
            format!("init = 'cd {folder}'\n")
        };
        text = text.replacen(TABLE, &format!("{TABLE}ssh = \"local\"\n{init}"), 1);
        if !text.contains("[sync]") {
            text.push_str("\n[sync]\nexclude = ['*']\ninclude = ['campaign.toml', 'made']\n");
        }
        text.into()
    }

    /// What the host's side is to see of this client's variables: the names of files that stand for the machine's, faults.
    pub(super) fn tell_host(&self, name: &str, value: &str) {
        if ssh() && ["SP_FAULT", "SP_BOOT_ID_FILE", "SP_MACHINE_ID_FILE"].contains(&name) {
            self.host_variable("local", name, value);
        }
    }
}

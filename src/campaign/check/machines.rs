//! Which machine a host is: `ssh`, `host-key-check`, and that no two hosts of a file are one place.
//!
//! Two spellings of one machine are found out when it is asked.

use std::ops::Range;

use indexmap::IndexMap;

use super::Checker;
use crate::campaign::error::Finding;
use crate::campaign::model::{Host, HostKeyCheck, Ssh};
use crate::campaign::ssh::DestinationError;
use crate::campaign::suggest;
use crate::campaign::wire::At;
use crate::ids::HostName;

/// `root` where the file does not say.
const DEFAULT_ROOT: &str = "~/.local/share/sp";

impl Checker<'_> {
    /// How a host is reached; `None` for this machine.
    pub(super) fn ssh(
        &mut self,
        name: &str,
        ssh: Option<At<String>>,
        key_check: Option<At<String>>,
    ) -> Option<Ssh> {
        let host_key_check = key_check.as_ref().and_then(|at| self.host_key_check(name, at));
        let Some(at) = ssh else {
            if let Some(key_check) = key_check.filter(|_| !self.is_broken(&path(name, "ssh"))) {
                let message = format!("`{}` is without `ssh`", path(name, "host-key-check"));
                let finding = Finding::error("sp::campaign::host_key", message);
                let help = "leave it out: a host without `ssh` is this machine; or write `ssh = \"…\"` beside it";
                self.push(finding.at(&key_check.span, "no key is checked").help(help));
            }
            return None;
        };
        match at.value.parse() {
            Ok(destination) => {
                Some(Ssh { destination, host_key_check: host_key_check.unwrap_or_default() })
            }
            Err(error) => {
                let message = format!("the destination `{}` {error}", path(name, "ssh"));
                let finding = Finding::error("sp::campaign::ssh", message);
                self.push(finding.at(&at.span, "here").help(next_edit(&at.value, &error)));
                self.broken.insert(path(name, "ssh"));
                None
            }
        }
    }

    /// Whether jobs run in a snapshot: over ssh always.
    pub(super) fn snapshot(&mut self, name: &str, wanted: Option<&At<bool>>, ssh: bool) -> bool {
        if let Some(at) = wanted.filter(|at| ssh && !at.value) {
            let message = format!("`{}` is false for a host over ssh", path(name, "snapshot"));
            let finding = Finding::error("sp::campaign::snapshot", message);
            let help = "leave it out: jobs over ssh run in a snapshot of the code, since the campaign's folder is not there";
            self.push(finding.at(&at.span, "cannot be false").help(help));
        }
        ssh || wanted.is_some_and(|at| at.value)
    }

    fn host_key_check(&mut self, name: &str, at: &At<String>) -> Option<HostKeyCheck> {
        let found = HostKeyCheck::ALL.into_iter().find(|check| check.word() == at.value);
        if found.is_none() {
            let words = HostKeyCheck::ALL.map(HostKeyCheck::word);
            let message = format!("`{}` is `{}`", path(name, "host-key-check"), at.value);
            let finding =
                Finding::error("sp::campaign::host_key", message).at(&at.span, "unknown word");
            self.push(match suggest::help(&at.value, &words, "words here are") {
                Some(help) => finding.help(help),
                None => finding,
            });
        }
        found
    }

    /// Refuses two hosts that would be two queues in one place, and a tag that is another host's name.
    pub(super) fn places(&mut self, hosts: &IndexMap<HostName, Host>) {
        let span = |checker: &Self, name: &HostName| -> Range<usize> {
            checker.host_spans.get(name.as_str()).cloned().unwrap_or_default()
        };
        // Of a host whose `ssh` or `root` cannot be read nobody knows which it is.
        let readable = |name: &HostName| {
            !["ssh", "root"].iter().any(|key| self.is_broken(&path(name.as_str(), key)))
        };
        let known: Vec<bool> = hosts.keys().map(readable).collect();
        for (at, (name, host)) in hosts.iter().enumerate() {
            let twin = hosts.iter().take(at).zip(&known).find(|((_, other), other_known)| {
                known[at] && **other_known && place(other) == place(host)
            });
            if let Some(((first, _), _)) = twin {
                let (there, root) = place(host);
                let there = match there {
                    Some(there) => format!("`{there}`"),
                    None => "this machine".to_owned(),
                };
                let message = format!(
                    "the hosts `{first}` and `{name}` are one place: {there} with the root `{root}`"
                );
                let help = match host.ssh {
                    Some(_) => format!("keep one of the two, or give `{name}` another `ssh`"),
                    None => format!("keep one of the two, or write `ssh = \"…\"` for `{name}`"),
                };
                let finding = Finding::error("sp::campaign::hosts", message)
                    .at(&span(self, name), "the same place")
                    .at(&span(self, first), "first");
                self.push(finding.help(format!("{help}; `slots` says how many jobs run at once")));
            }
            for tag in &host.tags {
                if let Some((other, _)) =
                    hosts.get_key_value(tag.as_str()).filter(|(o, _)| *o != name)
                {
                    let message =
                        format!("a tag of the host `{name}` is the name of another host, `{tag}`");
                    let finding = Finding::error("sp::campaign::hosts", message)
                        .at(&span(self, name), "has the tag")
                        .at(&span(self, other), "has the name");
                    self.push(finding.help("choose another tag: `--host` takes names and tags"));
                }
            }
        }
    }
}

fn path(name: &str, key: &str) -> String {
    format!("hosts.{name}.{key}")
}

/// Machine and root as texts that are compared; a root is one with and without a slash at its end.
fn place(host: &Host) -> (Option<&str>, &str) {
    let root = host.root.as_deref().unwrap_or(DEFAULT_ROOT);
    let shorter = root.trim_end_matches('/');
    let ssh = host.ssh.as_ref().map(|ssh| ssh.destination.as_str());
    (ssh, if shorter.is_empty() { root } else { shorter })
}

fn next_edit(text: &str, error: &DestinationError) -> String {
    match error {
        DestinationError::Missing(_) if text.is_empty() => {
            "leave `ssh` out for this machine, or write `user@host` or an alias of `~/.ssh/config`"
                .to_owned()
        }
        DestinationError::BarePort => format!("write `ssh://{text}`"),
        DestinationError::Path(path) => format!(
            "write `{}`; where records lie there is `root`",
            text.strip_suffix(path).unwrap_or(text)
        ),
        DestinationError::Option(_) | DestinationError::Character(_) => {
            "put options into `~/.ssh/config` below an alias, and write the alias".to_owned()
        }
        DestinationError::Missing(_) | DestinationError::Port(_) | DestinationError::Scheme(_) => {
            "write an alias, `user@host` or `ssh://user@host:port`".to_owned()
        }
    }
}

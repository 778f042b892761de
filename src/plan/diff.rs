//! What changed between two versions of a job, in words.
//!
//! Compares [`Parts`] only. A secret stands there by the name of its variable, so no value of one can be shown.

use std::fmt;

use indexmap::IndexMap;

use crate::plan::known::Parts;
use crate::plan::name::visible;

/// One part of a job that differs from its predecessor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The command or its form.
    Command,
    /// `prepare`.
    Prepare,
    /// The words of `shell`.
    Shell,
    /// `working-dir`.
    WorkingDir,
    /// A variable with another value.
    Env {
        /// Its name.
        name: String,
        /// The value before.
        old: String,
        /// The value now.
        new: String,
    },
    /// A variable that was not there.
    EnvAdded(String),
    /// A variable that is not there any more.
    EnvRemoved(String),
    /// An input with other content, or one that came or went.
    Input(String),
}

/// Longer values are not told; the name of the variable is enough then.
const TELLING: usize = 40;

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command => f.write_str("command"),
            Self::Prepare => f.write_str("prepare"),
            Self::Shell => f.write_str("shell"),
            Self::WorkingDir => f.write_str("working-dir"),
            Self::Env { name, old, new } => {
                let (old, new) = (told(old), told(new));
                if old.chars().count() <= TELLING && new.chars().count() <= TELLING {
                    write!(f, "env.{name} {old} → {new}")
                } else {
                    write!(f, "env.{name}")
                }
            }
            Self::EnvAdded(name) => write!(f, "env.{name} added"),
            Self::EnvRemoved(name) => write!(f, "env.{name} removed"),
            Self::Input(path) => write!(f, "inputs {}", visible(path)),
        }
    }
}

/// An empty value is shown as such.
fn told(value: &str) -> String {
    if value.is_empty() { "\"\"".to_owned() } else { visible(value).into_owned() }
}

/// What is different in `new`, in the order in which a person would look: command, prepare, shell, folder, environment,
/// inputs.
pub fn diff(old: &Parts, new: &Parts) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.shell_command != new.shell_command || old.argv != new.argv {
        changes.push(Change::Command);
    }
    if old.prepare != new.prepare {
        changes.push(Change::Prepare);
    }
    if old.shell != new.shell {
        changes.push(Change::Shell);
    }
    if old.working_dir != new.working_dir {
        changes.push(Change::WorkingDir);
    }
    for (name, old, new) in differing(&old.env, &new.env) {
        changes.push(match (old, new) {
            (Some(old), Some(new)) => {
                Change::Env { name: name.to_owned(), old: old.to_owned(), new: new.to_owned() }
            }
            (None, _) => Change::EnvAdded(name.to_owned()),
            (_, None) => Change::EnvRemoved(name.to_owned()),
        });
    }
    for (path, _, _) in differing(&old.inputs, &new.inputs) {
        changes.push(Change::Input(path.to_owned()));
    }
    changes
}

type Difference<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

/// Names whose texts differ, in byte order, whatever the order of the two maps.
fn differing<'a>(
    old: &'a IndexMap<String, String>,
    new: &'a IndexMap<String, String>,
) -> Vec<Difference<'a>> {
    let mut names: Vec<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| (name, old.get(name).map(String::as_str), new.get(name).map(String::as_str)))
        .filter(|(_, old, new)| old != new)
        .collect()
}

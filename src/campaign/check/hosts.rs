//! `[hosts]` and `[env]`.

use indexmap::IndexMap;

use super::Checker;
use super::names::as_word;
use super::templates::{Names, References};
use crate::campaign::error::Finding;
use crate::campaign::model::{EnvValue, Host, Matrix, Value};
use crate::campaign::template::Place;
use crate::campaign::wire::{At, Entries, WireEnv, WireHost};
use crate::ids::{AxisName, HostName};

impl Checker<'_> {
    /// The hosts; without a table, this machine as `local`.
    pub(super) fn hosts(
        &mut self,
        hosts: Option<At<Entries<WireHost>>>,
        matrix: &Matrix,
        vars: &IndexMap<AxisName, Value>,
    ) -> IndexMap<HostName, Host> {
        let mut checked = IndexMap::new();
        for (key, host) in hosts.into_iter().flat_map(|at| at.value.0) {
            let name = self.host_name(&key);
            let host = self.host(&key.value, host.value, matrix, vars);
            self.host_spans.insert(key.value, key.span);
            checked.extend(name.map(|name| (name, host)));
        }
        self.places(&checked);
        if checked.is_empty()
            && let Ok(local) = "local".parse()
        {
            checked.insert(local, Host { slots: 1, ..Host::default() });
        }
        checked
    }

    fn host_name(&mut self, key: &At<String>) -> Option<HostName> {
        match key.value.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                let message = format!("the host's name `{}` {error}", key.value);
                let finding =
                    Finding::error("sp::campaign::name", message).at(&key.span, "this name");
                self.push(finding.help(match as_word(&key.value) {
                    Some(word) => format!("write `[hosts.{word}]`"),
                    None => "write letters, digits, `_` and `-`, at most 64".to_owned(),
                }));
                None
            }
        }
    }

    fn host(
        &mut self,
        name: &str,
        wire: WireHost,
        matrix: &Matrix,
        vars: &IndexMap<AxisName, Value>,
    ) -> Host {
        let path = |key: &str| format!("hosts.{name}.{key}");
        let host_vars = self.vars(&path("vars"), wire.vars);
        let ssh = self.ssh(name, wire.ssh, wire.host_key_check);
        let mut host = Host { ssh, vars: host_vars, slots: 1, ..Host::default() };
        if let Some(root) = &wire.root {
            self.not_empty(root, &path("root"));
        }
        if let Some(init) = &wire.init {
            self.warn_no_template(&path("init"), init);
        }
        if let Some(slots) = self.at_least_one(&path("slots"), wire.slots.as_ref()) {
            host.slots = slots;
        }
        host.snapshot = self.snapshot(name, wire.snapshot.as_ref(), host.ssh.is_some());
        for word in wire.require.iter().chain(&wire.tags).flat_map(|at| &at.value) {
            self.word(word);
        }
        let own =
            IndexMap::from_iter("own".parse::<HostName>().ok().map(|name| (name, host.clone())));
        let names = Names::new(matrix, vars, &own, &self.broken, self.is_broken("matrix"));
        host.env = self.env(&path("env"), wire.env, &names);
        host.when = wire.when.and_then(|at| self.expression(&at, &path("when"), &names));
        let texts = |list: Option<At<Vec<At<String>>>>| {
            list.into_iter().flat_map(|at| at.value).map(|at| at.value).collect()
        };
        host.require = texts(wire.require);
        host.tags = texts(wire.tags);
        host.root = wire.root.map(|at| at.value);
        host.init = wire.init.map(|at| at.value);
        host
    }

    /// A program or tag.
    fn word(&mut self, at: &At<String>) {
        if at.value.is_empty() || at.value.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let finding =
                Finding::error("sp::campaign::word", format!("`{}` is not one word", at.value));
            self.push(
                finding.at(&at.span, "here").help("write one name an element, without blanks"),
            );
        }
    }

    pub(super) fn warn_no_template(&mut self, what: &str, at: &At<String>) {
        if at.value.contains("{{") {
            let finding =
                Finding::warning("sp::campaign::no_template", format!("`{what}` is no template"));
            let help = "braces go to the shell as they are; a job's values are `$SP_PARAM_…`";
            self.push(finding.at(&at.span, "taken literally").help(help));
        }
    }

    /// Variables of the environment.
    pub(super) fn env(
        &mut self,
        what: &str,
        entries: Option<At<Entries<WireEnv>>>,
        names: &Names<'_>,
    ) -> IndexMap<String, EnvValue> {
        let mut checked = IndexMap::new();
        for (key, value) in entries.into_iter().flat_map(|at| at.value.0) {
            let usable = self.variable(&key, &format!("`{what}`"));
            let full = format!("{what}.{}", key.value);
            let names = &names.for_variable(&key.value);
            let value = match value.value {
                WireEnv::Text(text) => {
                    let at = At { value: text, span: value.span };
                    let host =
                        what.strip_prefix("hosts.").and_then(|what| what.strip_suffix(".env"));
                    self.warn_env(
                        &at,
                        &full,
                        names,
                        host.or(names.first_host()).unwrap_or("local"),
                    );
                    self.template(&at, &full, Place::Plain, &References::Allowed, names)
                        .map(EnvValue::Plain)
                }
                WireEnv::From(from) => match from.from_env {
                    Some(name) => {
                        let is = self.is_variable(&name, &format!("`{full}`"));
                        is.then_some(EnvValue::FromEnv(name.value))
                    }
                    None if self.is_broken(&format!("{full}.from-env")) => None,
                    None => {
                        let finding = Finding::error(
                            "sp::campaign::missing_key",
                            format!("`{full}` has no `from-env`"),
                        );
                        self.push(finding.at(&value.span, "empty").help(format!(
                            "write `{{ from-env = \"{}\" }}`, or the value as a string",
                            key.value
                        )));
                        None
                    }
                },
            };
            if let (true, Some(value)) = (usable, value) {
                checked.insert(key.value, value);
            }
        }
        checked
    }

    fn variable(&mut self, key: &At<String>, what: &str) -> bool {
        if key.value.starts_with("SP_") {
            let message =
                format!("{what} sets `{}`, but names with `SP_` are set by `sp`", key.value);
            let finding = Finding::error("sp::campaign::env", message).at(&key.span, "reserved");
            self.push(finding.help("choose another name"));
            return false;
        }
        self.is_variable(key, what)
    }

    fn is_variable(&mut self, at: &At<String>, what: &str) -> bool {
        let mut chars = at.value.chars();
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let good = chars.next().is_some_and(|c| word(c) && !c.is_ascii_digit()) && chars.all(word);
        if !good {
            let message =
                format!("{what} names `{}`, which no shell takes for a variable", at.value);
            let finding = Finding::error("sp::campaign::env", message).at(&at.span, "this name");
            self.push(finding.help("write letters, digits and `_`, and no digit first"));
        }
        good
    }
}

//! One table of the file: its known keys are those that are asked for, the rest is unknown.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{Node, Reader, TOP_LEVEL};
use crate::campaign::error::Finding;
use crate::campaign::suggest;
use crate::campaign::wire::At;

/// A table while its keys are read.
pub(super) struct Table<'t, 'i> {
    path: String,
    entries: &'t DeTable<'i>,
    asked: Vec<&'static str>,
}

impl<'t, 'i> Table<'t, 'i> {
    /// `path` as in `[hosts.gpu-1]` without its brackets; empty for the top level.
    pub(super) fn new(path: &str, table: &'t DeTable<'i>) -> Self {
        Self { path: path.to_owned(), entries: table, asked: Vec::new() }
    }

    /// The table in `node`, or a finding.
    pub(super) fn open(reader: &mut Reader<'_>, what: &str, node: &'t Node<'i>) -> Option<Self> {
        if let DeValue::Table(table) = node.get_ref() {
            return Some(Self::new(what.trim_matches('`'), table));
        }
        no_table(reader, what, node);
        None
    }

    /// Asks for a key and reads its value.
    pub(super) fn with<T>(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'_>, &str, &'t Node<'i>) -> Option<T>,
    ) -> Option<At<T>> {
        self.asked.push(key);
        let node = self.entries.get(key)?;
        let what = join(&self.path, key);
        let value = read(reader, &what, node);
        if value.is_none() {
            reader.broken.insert(what.trim_matches('`').to_owned());
        }
        value.map(|value| At { value, span: node.span() })
    }

    pub(super) fn string(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
    ) -> Option<At<String>> {
        self.with(reader, key, super::string)
    }

    pub(super) fn strings(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
    ) -> Option<At<Vec<At<String>>>> {
        self.with(reader, key, |reader, what, node| super::list(reader, what, node, super::string))
    }

    pub(super) fn integer(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
    ) -> Option<At<i64>> {
        self.with(reader, key, super::integer)
    }

    /// The entries whose keys nobody asked for.
    pub(super) fn rest(&self) -> Vec<(&'t str, Range<usize>, &'t Node<'i>)> {
        self.entries
            .iter()
            .map(|(key, node)| (key.get_ref().as_ref(), key.span(), node))
            .filter(|(key, _, _)| !self.asked.contains(key))
            .collect()
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self, reader: &mut Reader<'_>) {
        for (key, span, node) in self.rest() {
            if !self.path.is_empty() && is_misplaced(reader, &join(&self.path, key), key, &span) {
                continue;
            }
            let place = match self.path.as_str() {
                "" => String::new(),
                path => format!(" in `[{path}]`"),
            };
            let message = format!("unknown key `{key}`{place}");
            let finding = Finding::error("sp::campaign::unknown_key", message)
                .at(&span, "not a key of this table");
            let list = matches!(node.get_ref(), DeValue::Array(_));
            let help = match other_tools(&self.path, key) {
                Some(help) => Some(help.to_owned()),
                None if self.path.is_empty()
                    && list
                    && suggest::nearest(key, self.asked.iter().copied()).is_none() =>
                {
                    Some(format!("an axis stands below `[matrix]`: put `{key}` there"))
                }
                None => suggest::help(key, &self.asked, "keys here are"),
            };
            // An axis in the wrong place is no unknown name besides.
            if self.path.is_empty() {
                let below = node.get_ref().as_table().into_iter().flatten();
                let names = below.map(|(name, _)| name.get_ref().to_string());
                reader
                    .broken
                    .extend(names.chain([key.to_owned()]).map(|name| format!("matrix.{name}")));
            }
            reader.findings.push(match help {
                Some(help) => finding.help(help),
                None => finding,
            });
        }
    }
}

/// The next edit for a key of another tool.
fn other_tools(table: &str, key: &str) -> Option<&'static str> {
    let is_axis = table.starts_with("matrix.");
    match (table, key) {
        ("", "params" | "parameters" | "axes" | "grid" | "sweep" | "sweeps" | "variables") => {
            Some("axes stand in `[matrix]`, constants in `[vars]`")
        }
        ("", "jobs" | "parallel" | "parallelism" | "workers" | "concurrency" | "max-jobs") => Some(
            "jobs at once are `slots = N` in `[hosts.local]`; over all hosts at most `max-parallel`",
        ),
        ("", "retries" | "retry" | "max-retries" | "restarts") => {
            Some("leave it out: a failed job runs again at the next `sp apply`")
        }
        ("", "host" | "machines" | "nodes") => {
            Some("write a table for each host, such as `[hosts.gpu-1]` with `ssh = \"gpu-1\"`")
        }
        ("", "timeout" | "walltime" | "time") => Some("write `time-limit = \"30m\"`"),
        ("", "run" | "cmd" | "script" | "exec") => Some("write `command = \"…\"`"),
        (_, "start" | "begin" | "min" | "low") if is_axis => Some("write `from`"),
        (_, "stop" | "end" | "max" | "high") if is_axis => {
            Some("write `to`; it is the last value, not the one behind it")
        }
        (_, "by" | "increment" | "stride") if is_axis => Some("write `step`"),
        (_, "num" | "n" | "len" | "length" | "points") if is_axis => Some("write `count`"),
        (_, "base" | "ratio" | "mul") if is_axis => Some("write `factor`"),
        (_, "values" | "list") if is_axis => Some("write the list alone: `axis = [1, 2]`"),
        (_, "file" | "path") if is_axis => Some("write `lines = \"seeds.txt\"`, a value a line"),
        (_, "files" | "pattern") if is_axis => Some("write `glob = \"data/*.cnf\"`"),
        _ => None,
    }
}

/// Reports a value where a table is wanted.
pub(super) fn no_table(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) {
    let key = what.trim_matches('`');
    let first = match node.get_ref() {
        DeValue::Array(list) => list.first().map(toml::Spanned::get_ref),
        value => Some(value),
    };
    let text = first.and_then(DeValue::as_str).unwrap_or_default();
    let help = match key {
        "hosts" => {
            let word = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            let name = if word && !text.is_empty() { text } else { "gpu-1" };
            Some(format!(
                "write `[hosts.{name}]`, a table for each host, with `ssh = \"…\"` for another machine"
            ))
        }
        _ if key.rsplit('.').next() == Some("env") => {
            let (name, value) = text.split_once('=').unwrap_or(("NAME", "value"));
            Some(match key {
                "env" => format!(
                    "write `[env]` on a line of its own, and below it `{name} = \"{value}\"`"
                ),
                _ => format!("write `env = {{ {name} = \"{value}\" }}`"),
            })
        }
        "matrix" | "done" | "sync" | "results" | "vars" => {
            Some(format!("write `[{key}]` on a line of its own, and its keys below it"))
        }
        _ => None,
    };
    mismatch(reader, what, "a table", node, help.as_deref());
}

/// Whether a key below a table is one of the file's top level, which is then reported: TOML gives a line below a header to
/// that table, and an axis or variable of that name would be made without a word. A host may be called like such a key
/// where its table is spelled out, as in `[hosts.matrix]`.
pub(super) fn is_misplaced(
    reader: &mut Reader<'_>,
    what: &str,
    key: &str,
    span: &Range<usize>,
) -> bool {
    let spelled_out = reader.text[..span.start].trim_end().ends_with('.');
    let is_host = what.trim_matches('`').strip_prefix("hosts.") == Some(key);
    if !TOP_LEVEL.contains(&key) || is_host && spelled_out {
        return false;
    }
    reader.broken.insert(what.trim_matches('`').to_owned());
    misplaced(reader, what, key, span);
    true
}

fn misplaced(reader: &mut Reader<'_>, what: &str, key: &str, span: &Range<usize>) {
    let table = what.trim_matches('`').rsplit_once('.').map_or("", |(table, _)| table);
    let elsewhere = format!("move `{key}` above the first `[table]` of the file");
    // A variable called `id` or `name` would give the campaign another id or name there, so that is not the first advice.
    let help = match table {
        "matrix" => format!("{elsewhere}; an axis needs another name"),
        table if has_variables(table) => {
            format!(
                "give the variable another name; as a key of the campaign `{key}` stands above the first `[table]` of the file"
            )
        }
        _ => elsewhere,
    };
    reader.findings.push(
        Finding::error(
            "sp::campaign::misplaced_key",
            format!("`{key}` stands below `[{table}]`, so TOML takes it for a key of that table"),
        )
        .at(span, "belongs to the top of the file")
        .help(help),
    );
}

/// Whether the keys of a table are names of variables: `vars`, `env`, and those of a host.
fn has_variables(table: &str) -> bool {
    let of_host = table.strip_prefix("hosts.").and_then(|host| host.split_once('.'));
    matches!(of_host.map_or(table, |(_, table)| table), "vars" | "env")
}

/// `` `table.key` `` for messages.
pub(super) fn join(path: &str, key: &str) -> String {
    match path.trim_matches('`') {
        "" => format!("`{key}`"),
        path => format!("`{path}.{key}`"),
    }
}

/// How messages call a value of an array.
pub(super) fn element(what: &str) -> String {
    format!("a value of {what}")
}

/// Reports a value of the wrong type.
pub(super) fn mismatch(
    reader: &mut Reader<'_>,
    what: &str,
    wanted: &str,
    node: &Node<'_>,
    help: Option<&str>,
) {
    let kind = kind(node.get_ref());
    let finding =
        Finding::error("sp::campaign::wrong_type", format!("{what} takes {wanted}, not {kind}"))
            .at(&node.span(), format!("this is {kind}"));
    reader.findings.push(match help {
        Some(help) => finding.help(help),
        None => finding,
    });
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

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
        mismatch(reader, what, "a table", node, None);
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
        for (key, span, _) in self.rest() {
            if !self.path.is_empty() && TOP_LEVEL.contains(&key) {
                misplaced(reader, &join(&self.path, key), key, &span);
                continue;
            }
            let place = match self.path.as_str() {
                "" => "the file".to_owned(),
                path => format!("`[{path}]`"),
            };
            let finding =
                Finding::error("sp::campaign::unknown_key", format!("{place} has no key `{key}`"))
                    .at(&span, "unknown key");
            reader.findings.push(match suggest::help(key, &self.asked, "keys here are") {
                Some(help) => finding.help(help),
                None => finding,
            });
        }
    }
}

/// Reports a key of the top level that stands below a table.
pub(super) fn misplaced(reader: &mut Reader<'_>, what: &str, key: &str, span: &Range<usize>) {
    let table = what.trim_matches('`').rsplit_once('.').map_or("", |(table, _)| table);
    reader.findings.push(
        Finding::error(
            "sp::campaign::misplaced_key",
            format!("`{key}` stands below `[{table}]`, so TOML takes it for a key of that table"),
        )
        .at(span, "belongs to the top of the file")
        .help(format!("move `{key}` above the first `[table]` of the file")),
    );
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

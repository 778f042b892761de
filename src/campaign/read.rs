//! TOML → wire types, by hand: every syntax error, every unknown key and every wrong type in one pass, each with its
//! own place. (A derived reader stops at the first, and loses places below untagged choices.)
//!
//! The keys that a table may have are those that are asked for here, so there is no second list to keep; a test holds
//! them against the schema.

mod matrix;
mod syntax;
mod table;

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::campaign::error::Finding;
use crate::campaign::model::Value;
use crate::campaign::wire::{
    At, Entries, ExitCode, Scalar, WireCampaign, WireCommand, WireCount, WireDone, WireEnv,
    WireFromEnv, WireHost, WireResults, WireSync,
};
use table::{Table, element, mismatch};

/// A TOML value with its place.
type Node<'i> = Spanned<DeValue<'i>>;

/// Keys of the file's top level, for keys that stand below a table by mistake. The schema test keeps it whole.
pub(super) const TOP_LEVEL: [&str; 27] = [
    "version",
    "name",
    "id",
    "description",
    "command",
    "working-dir",
    "shell",
    "setup",
    "prepare",
    "cleanup",
    "cleanup-limit",
    "leftover",
    "repeat",
    "job-name",
    "time-limit",
    "inputs",
    "code-change",
    "max-parallel",
    "max-fail",
    "log-max",
    "vars",
    "env",
    "matrix",
    "done",
    "sync",
    "hosts",
    "results",
];

/// The text being read and what has been found wrong with it.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) findings: Vec<Finding>,
    /// Keys whose value could not be read, such as `matrix.seq`: they are not missing.
    pub(super) broken: BTreeSet<String>,
}

/// Reads the file; what cannot be read is left out of the result and among the findings.
pub(super) fn campaign(text: &str) -> (WireCampaign, Reader<'_>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, findings: Vec::new(), broken: BTreeSet::new() };
    if !errors.is_empty() {
        reader.findings = syntax::findings(&errors, text);
        return (WireCampaign::default(), reader);
    }
    let wire = top(&mut reader, document.get_ref());
    (wire, reader)
}

fn top(reader: &mut Reader<'_>, document: &DeTable<'_>) -> WireCampaign {
    let mut table = Table::new("", document);
    let wire = WireCampaign {
        version: table.integer(reader, "version"),
        name: table.string(reader, "name"),
        id: table.string(reader, "id"),
        description: table.string(reader, "description"),
        command: table.with(reader, "command", command),
        working_dir: table.string(reader, "working-dir"),
        shell: table.string(reader, "shell"),
        setup: table.string(reader, "setup"),
        prepare: table.string(reader, "prepare"),
        cleanup: table.string(reader, "cleanup"),
        cleanup_limit: table.string(reader, "cleanup-limit"),
        leftover: table.string(reader, "leftover"),
        repeat: table.integer(reader, "repeat"),
        job_name: table.string(reader, "job-name"),
        time_limit: table.string(reader, "time-limit"),
        inputs: table.strings(reader, "inputs"),
        code_change: table.string(reader, "code-change"),
        max_parallel: table.integer(reader, "max-parallel"),
        max_fail: table.integer(reader, "max-fail"),
        log_max: table.string(reader, "log-max"),
        vars: table.with(reader, "vars", |reader, what, node| entries(reader, what, node, scalar)),
        env: table.with(reader, "env", |reader, what, node| entries(reader, what, node, env)),
        matrix: table.with(reader, "matrix", matrix::matrix),
        done: table.with(reader, "done", done),
        sync: table.with(reader, "sync", sync),
        hosts: table.with(reader, "hosts", |reader, what, node| entries(reader, what, node, host)),
        results: table.with(reader, "results", results),
    };
    table.finish(reader);
    wire
}

fn command(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<WireCommand> {
    match node.get_ref() {
        DeValue::String(_) => string(reader, what, node).map(WireCommand::Shell),
        DeValue::Array(words) => {
            let what = element(what);
            let words =
                words.iter().filter_map(|word| located(reader, &what, word, string)).collect();
            Some(WireCommand::Argv(words))
        }
        _ => {
            let help = "write `command = \"…\"` for the shell, or an array of words for no shell";
            mismatch(reader, what, "a string or an array of strings", node, Some(help));
            None
        }
    }
}

fn done(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<WireDone> {
    let mut table = Table::open(reader, what, node)?;
    let done = WireDone {
        exit_codes: table.with(reader, "exit-codes", |reader, what, node| {
            list(reader, what, node, |reader, what, node| integer(reader, what, node).map(ExitCode))
        }),
        files: table.strings(reader, "files"),
        log: table.string(reader, "log"),
        count: table.with(reader, "count", |reader, what, node| {
            let mut table = Table::open(reader, what, node)?;
            let count = WireCount {
                files: table.string(reader, "files"),
                min: table.integer(reader, "min"),
            };
            table.finish(reader);
            Some(count)
        }),
    };
    table.finish(reader);
    Some(done)
}

fn sync(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<WireSync> {
    let mut table = Table::open(reader, what, node)?;
    let sync = WireSync {
        root: table.string(reader, "root"),
        exclude: table.strings(reader, "exclude"),
        include: table.strings(reader, "include"),
        keep: table.strings(reader, "keep"),
        not_code: table.strings(reader, "not-code"),
        max_size: table.string(reader, "max-size"),
    };
    table.finish(reader);
    Some(sync)
}

fn host(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<WireHost> {
    let mut table = Table::open(reader, what, node)?;
    let host = WireHost {
        ssh: table.string(reader, "ssh"),
        root: table.string(reader, "root"),
        slots: table.integer(reader, "slots"),
        snapshot: table.with(reader, "snapshot", boolean),
        env: table.with(reader, "env", |reader, what, node| entries(reader, what, node, env)),
        vars: table.with(reader, "vars", |reader, what, node| entries(reader, what, node, scalar)),
        init: table.string(reader, "init"),
        require: table.strings(reader, "require"),
        tags: table.strings(reader, "tags"),
        when: table.string(reader, "when"),
        host_key_check: table.string(reader, "host-key-check"),
    };
    table.finish(reader);
    Some(host)
}

fn results(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<WireResults> {
    let mut table = Table::open(reader, what, node)?;
    let results = WireResults { dir: table.string(reader, "dir") };
    table.finish(reader);
    Some(results)
}

fn env(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<WireEnv> {
    match node.get_ref() {
        DeValue::String(_) => string(reader, what, node).map(WireEnv::Text),
        DeValue::Table(_) => {
            let mut table = Table::open(reader, what, node)?;
            let from = WireFromEnv { from_env: table.string(reader, "from-env") };
            table.finish(reader);
            Some(WireEnv::From(from))
        }
        _ => {
            let raw = &reader.text[node.span()];
            let help =
                format!("variables are text: write `\"{raw}\"`, or `{{ from-env = \"NAME\" }}`");
            mismatch(reader, what, "a string", node, Some(&help));
            None
        }
    }
}

/// The entries of a table whose keys are names.
fn entries<T>(
    reader: &mut Reader<'_>,
    what: &str,
    node: &Node<'_>,
    mut read: impl FnMut(&mut Reader<'_>, &str, &Node<'_>) -> Option<T>,
) -> Option<Entries<T>> {
    let DeValue::Table(table) = node.get_ref() else {
        table::no_table(reader, what, node);
        return None;
    };
    let mut entries = Vec::new();
    for (key, node) in table {
        let what = table::join(what, key.get_ref());
        if table::is_misplaced(reader, &what, key.get_ref(), &key.span()) {
            continue;
        }
        if let Some(value) = read(reader, &what, node) {
            let key = At { value: key.get_ref().to_string(), span: key.span() };
            entries.push((key, At { value, span: node.span() }));
        } else {
            reader.broken.insert(what.trim_matches('`').to_owned());
        }
    }
    Some(Entries(entries))
}

fn list<T>(
    reader: &mut Reader<'_>,
    what: &str,
    node: &Node<'_>,
    mut read: impl FnMut(&mut Reader<'_>, &str, &Node<'_>) -> Option<T>,
) -> Option<Vec<At<T>>> {
    let DeValue::Array(elements) = node.get_ref() else {
        let raw = &reader.text[node.span()];
        let help = (!raw.contains('\n')).then(|| format!("put it in brackets: `[{raw}]`"));
        mismatch(reader, what, "an array", node, help.as_deref());
        return None;
    };
    let what = element(what);
    let list = elements.iter().filter_map(|node| located(reader, &what, node, &mut read)).collect();
    Some(list)
}

fn located<T>(
    reader: &mut Reader<'_>,
    what: &str,
    node: &Node<'_>,
    mut read: impl FnMut(&mut Reader<'_>, &str, &Node<'_>) -> Option<T>,
) -> Option<At<T>> {
    read(reader, what, node).map(|value| At { value, span: node.span() })
}

fn string(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<String> {
    if let DeValue::String(text) = node.get_ref() {
        if text.contains('\0') {
            reader.findings.push(
                Finding::error("sp::campaign::nul", format!("{what} holds a NUL character"))
                    .at(&node.span(), "no argument, variable or file name can carry it")
                    .help("leave `\\u0000` out"),
            );
            return None;
        }
        return Some(text.to_string());
    }
    let raw = &reader.text[node.span()];
    let help = match (node.get_ref(), what.trim_matches('`')) {
        (DeValue::Integer(_), "time-limit") => {
            Some(format!("write `\"{raw}s\"` for seconds, `\"{raw}m\"` for minutes"))
        }
        (DeValue::Integer(_), "log-max") => Some(format!("write `\"{raw}MiB\"`")),
        (DeValue::Array(list), _) if list.len() == 1 => Some("leave the brackets out".to_owned()),
        (DeValue::Array(_) | DeValue::Table(_), _) => None,
        _ => Some(format!("put it in quotes: `\"{raw}\"`")),
    };
    mismatch(reader, what, "a string", node, help.as_deref());
    None
}

fn integer(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<i64> {
    let DeValue::Integer(number) = node.get_ref() else {
        let bare = node.get_ref().as_str().filter(|text| text.parse::<i64>().is_ok());
        let help = bare.map(|text| format!("leave the quotes out: `{text}`"));
        mismatch(reader, what, "an integer", node, help.as_deref());
        return None;
    };
    let parsed = i64::from_str_radix(number.as_str(), number.radix());
    if parsed.is_err() {
        too_large(reader, &node.span());
    }
    parsed.ok()
}

fn boolean(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<bool> {
    if let DeValue::Boolean(flag) = node.get_ref() {
        return Some(*flag);
    }
    let bare = node.get_ref().as_str().filter(|text| matches!(*text, "true" | "false"));
    let help = bare.map(|text| format!("leave the quotes out: `{text}`"));
    mismatch(reader, what, "`true` or `false`", node, help.as_deref());
    None
}

fn too_large(reader: &mut Reader<'_>, span: &Range<usize>) {
    reader.findings.push(
        Finding::error("sp::campaign::number", "this integer has more than 64 bits")
            .at(span, "too large")
            .help("write it as text, in quotes"),
    );
}

/// A single value, typed as spelled.
fn scalar(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<Scalar> {
    let value = match node.get_ref() {
        DeValue::String(_) => Value::Str(string(reader, what, node)?),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(_) => Value::Int(integer(reader, what, node)?),
        DeValue::Float(_) => {
            let spelled: String =
                reader.text[node.span()].chars().filter(|c| !matches!(c, '_' | '+')).collect();
            let value: f64 = spelled.parse().unwrap_or(f64::NAN);
            if !value.is_finite() {
                reader.findings.push(
                    Finding::error(
                        "sp::campaign::number",
                        "a number that is not finite is no value",
                    )
                    .at(&node.span(), "not finite")
                    .help("write it as text, in quotes, if the program wants it"),
                );
                return None;
            }
            Value::Float { value, spelled }
        }
        DeValue::Datetime(_) => {
            let raw = &reader.text[node.span()];
            let help = format!("put it in quotes: `\"{raw}\"`");
            mismatch(reader, what, "text, a number or a boolean", node, Some(&help));
            return None;
        }
        DeValue::Array(_) | DeValue::Table(_) => {
            let help =
                "values are single; to let several axes advance together, name them in `zip`";
            mismatch(reader, what, "text, a number or a boolean", node, Some(help));
            return None;
        }
    };
    Some(Scalar(value))
}

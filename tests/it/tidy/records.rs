//! `schema/records.md` says what both sides write and read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;
use solverpilot::host::PROBE_KINDS;
use solverpilot::lifecycle::record::kinds;

use super::ROOT;

/// Rows of the tables by their first cell, each with the words in backticks of the second.
fn rows(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let word = |cell: &str| cell.trim().strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
    let mut rows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').collect();
        let name = word(cells[1]).expect("a word");
        let quoted = cells[2].split('`').skip(1).step_by(2);
        rows.entry(name)
            .or_default()
            .extend(quoted.flat_map(str::split_whitespace).map(str::to_owned));
    }
    rows
}

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).expect(path)
}

fn script() -> String {
    let folder = fs::read_dir(Path::new(ROOT).join("scripts/host")).expect("the script's parts");
    let mut parts: Vec<_> = folder.map(|entry| entry.expect("a part").path()).collect();
    parts.sort();
    parts.iter().map(|part| fs::read_to_string(part).expect("a part")).collect()
}

#[test]
fn records_that_are_read_are_written_down() {
    let rows = rows(&text("schema/records.md"));
    for kind in kinds().chain(PROBE_KINDS) {
        let row = rows.get(kind.word).unwrap_or_else(|| panic!("`{}` has no row", kind.word));
        for field in kind.fields {
            assert!(row.contains(*field), "the row `{}` lacks `{field}`", kind.word);
        }
    }
}

/// By the texts that the script prints: a word and fields, up to the end of a record.
#[test]
fn records_that_are_written_are_written_down() {
    let rows = rows(&text("schema/records.md"));
    let record =
        Regex::new(r#"(?:\\n|["' ])([a-z]+)((?: [a-z]+=[^ '"\\]*)+)[^'"\\\n]* \.(?:\\n|["'])"#)
            .expect("a pattern");
    let field = Regex::new(r" ([a-z]+)=").expect("a pattern");
    let script = script();
    let mut seen = BTreeSet::new();
    for found in record.captures_iter(&script) {
        let word = &found[1];
        let row = rows.get(word).unwrap_or_else(|| panic!("`{word}` has no row: {}", &found[0]));
        for one in field.captures_iter(&found[0]) {
            assert!(row.contains(&one[1]), "the row `{word}` lacks `{}`: {}", &one[1], &found[0]);
        }
        seen.insert(word.to_owned());
    }
    for word in ["claim", "start", "stop", "exit", "open", "host", "accept", "removed"] {
        assert!(seen.contains(word), "`{word}` was not found among {seen:?}");
    }
}

#[test]
fn variables_of_a_hand_over_are_written_down() {
    let rows = rows(&text("schema/records.md"));
    let written: BTreeSet<&str> =
        rows.keys().map(String::as_str).filter(|name| name.starts_with("B_")).collect();
    let variable = Regex::new(r"\bB_[A-Z_]*[A-Z]\b").expect("a pattern");
    for (name, text) in [("the script", script()), ("batch.rs", text("src/host/batch.rs"))] {
        let used: BTreeSet<&str> = variable.find_iter(&text).map(|found| found.as_str()).collect();
        assert_eq!(used, written, "{name}");
    }
}

//! Rules of the code as tests: layers, purity, who may print, file lengths, no file forgotten, words.
//!
//! Reads the text of `src` and `tests`. A rule that is stepped over is stated here, with its reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

mod records;
mod shell_variables;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Layers from below, as in `src/lib.rs`; siblings on a line do not import each other.
const LAYERS: &[&[&str]] = &[
    &["ids", "state", "clock", "crash", "shell", "atomic_file", "plain_file"],
    &["campaign"],
    &["plan"],
    &["lifecycle"],
    &["store", "host"],
    &["apply", "report"],
    &["cli"],
];
/// These touch no file, process, network, environment or clock.
const PURE: &[&str] = &["campaign", "plan", "lifecycle", "report"];
/// Lines of a file: more want a reason, many more want another file.
const SOFT: usize = 400;
const HARD: usize = 600;
/// Files beyond the soft limit, with the subject that keeps each in one piece.
const LONG: &[(&str, &str)] = &[
    ("src/cli/args.rs", "every flag of every command"),
    ("tests/it/store.rs", "one store, all that is asked of it"),
    ("tests/it/host_script/world.rs", "a host and what a test asks of it"),
];

/// All Rust files below a folder, by path relative to the repository.
fn files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(ROOT).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let shown = path.strip_prefix(ROOT).expect("it is below").display().to_string();
                found.push((shown, fs::read_to_string(&path).expect("text")));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder}");
    found
}

/// The module of a path such as `src/plan/job.rs`; `None` for `main.rs` and `lib.rs`.
fn module(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (!matches!(name, "main" | "lib")).then_some(name)
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|line| line.contains(&module))
}

/// The code without comments and without what stands below `#[cfg(test)]`, which is at the end by custom.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Modules that a text names by `crate::`, in `use` lines and in paths; lists in braces too.
fn named(text: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut modules = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => drop(modules.insert(word(rest))),
            Some(list) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && !c.is_whitespace() => {
                            modules.insert(word(&list[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    modules
}

#[test]
fn arrows_point_down() {
    let mut wrong = Vec::new();
    for (path, text) in files("src") {
        let Some(from) = module(&path) else { continue };
        let level = layer(from).unwrap_or_else(|| panic!("`{from}` has no layer in tidy.rs"));
        for to in named(&code(&text)) {
            if to != from && layer(&to).is_some_and(|other| other >= level) {
                wrong.push(format!("{path}: `{from}` names `{to}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_layers_are_those_of_the_map() {
    let map = fs::read_to_string(Path::new(ROOT).join("src/lib.rs")).expect("text");
    let declared: BTreeSet<&str> =
        map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let listed: BTreeSet<&str> = LAYERS.iter().copied().flatten().copied().collect();
    assert_eq!(declared, listed);
    let head: Vec<&str> = map.lines().take_while(|line| line.starts_with("//!")).collect();
    for module in listed {
        assert!(head.iter().any(|line| line.contains(module)), "the map lacks `{module}`");
    }
}

#[test]
fn the_pure_layers_touch_nothing() {
    let forbidden = [
        "std::fs",
        "std::process",
        "std::env",
        "std::net",
        "tokio",
        "rusqlite",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "File::open",
        "TimeZone::system",
    ];
    let mut wrong = Vec::new();
    for (path, text) in files("src") {
        if !module(&path).is_some_and(|module| PURE.contains(&module)) {
            continue;
        }
        let text = code(&text);
        wrong.extend(
            forbidden
                .iter()
                .filter(|word| text.contains(*word))
                .map(|word| format!("{path}: {word}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn some_things_are_done_in_one_layer_only() {
    let rules: &[(&[&str], &[&str])] = &[
        (&["rusqlite"], &["store"]),
        (&["println!", "print!(", "eprint", "io::stdout", "io::stderr", "io::stdin"], &["cli"]),
        (&["Command::new", "process::Command"], &["host"]),
        (&["async fn", "async move", ".await"], &["host", "apply", "cli"]),
        (&["env::var", "env::args"], &["cli", "crash"]),
        (&["miette"], &["campaign", "cli"]),
        (&["minijinja", "schemars"], &["campaign", "plan"]),
    ];
    let mut wrong = Vec::new();
    for (path, text) in files("src") {
        let Some(module) = module(&path) else { continue };
        let text = code(&text);
        for (words, allowed) in rules {
            let word = words.iter().find(|word| text.contains(**word));
            if let (Some(word), false) = (word, allowed.contains(&module)) {
                wrong.push(format!("{path}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_stay_short() {
    let mut wrong = Vec::new();
    for (path, text) in files("src").into_iter().chain(files("tests")) {
        let lines = text.lines().count();
        let long = LONG.iter().any(|(known, _)| *known == path);
        if lines > HARD || (lines > SOFT && !long) {
            wrong.push(format!("{path}: {lines} lines"));
        }
        if lines <= SOFT && long {
            wrong.push(format!("{path} is short again: take it off the list"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_is_forgotten() {
    let text_of = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let mut wrong = Vec::new();
    for (path, _) in files("src").into_iter().chain(files("tests")) {
        let path = Path::new(&path);
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        if matches!(stem, "main" | "lib") {
            continue;
        }
        let own = path.parent().expect("a folder");
        let (name, folder) = match stem {
            "mod" => {
                (own.file_name().and_then(|name| name.to_str()).expect("a name"), own.parent())
            }
            stem => (stem, Some(own)),
        };
        let folder = Path::new(ROOT).join(folder.expect("a folder"));
        let parents = [
            folder.join("mod.rs"),
            folder.join("main.rs"),
            folder.join("lib.rs"),
            folder.with_extension("rs"),
        ];
        let line = format!("mod {name};");
        if !parents.iter().any(|parent| text_of(parent).lines().any(|text| text.ends_with(&line))) {
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_begins_with_what_it_is() {
    let mut wrong = Vec::new();
    for (path, text) in files("src") {
        if !text.starts_with("//! ") && path != "src/main.rs" {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "files without a first line on what they are: {wrong:#?}");
}

#[test]
fn words_are_those_of_the_design() {
    // Spelled apart, so that this file does not break its own rule.
    let unfinished: Vec<String> = [["TO", "DO"], ["FIX", "ME"], ["X", "XX"], ["HA", "CK"]]
        .iter()
        .map(|word| word.concat())
        .collect();
    let mut wrong = Vec::new();
    for (path, text) in files("src").into_iter().chain(files("tests")) {
        for (number, line) in text.lines().enumerate() {
            let words: BTreeSet<&str> =
                line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
            let mut say = |word: &str| wrong.push(format!("{path}:{}: {word}", number + 1));
            unfinished
                .iter()
                .filter(|word| words.contains(word.as_str()))
                .for_each(|word| say(word));
            if !path.starts_with("src/") {
                continue;
            }
            // tmux owns that word.
            for phrase in ["apply session", "this session", "session of an apply", "sp session"] {
                if line.contains(phrase) {
                    say(phrase);
                }
            }
            for word in ["daemon", "sentinel", "workflow", "Workflow"] {
                if words.contains(word) {
                    say(word);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a silent host means for the exit code is the session's to say, so no command asks beside it.
#[test]
fn commands_ask_hosts_by_the_session_alone() {
    let asking = ["Workspace::open(", ".collect(None)", ".collect(Some(", ".collect(lock)"];
    let used = |text: &str| asking.into_iter().find(|word| code(text).contains(word));
    let (session, others): (Vec<_>, Vec<_>) =
        files("src/cli").into_iter().partition(|(path, _)| path == "src/cli/session.rs");
    assert!(session.iter().any(|(_, text)| used(text).is_some()), "the words are out of date");
    let wrong: Vec<_> =
        others.iter().filter_map(|(path, text)| Some((path, used(text)?))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A checkpoint that some reader stumbles over is set aside only if the look through it has that reader, too.
#[test]
fn a_checkpoint_is_looked_through_by_every_reader() {
    let open = fs::read_to_string(Path::new(ROOT).join("src/store/open.rs")).expect("text");
    let (_, rest) = open.split_once("fn read_whole(").expect("the look through it");
    let (whole, _) = rest.split_once("\n}\n").expect("its end");
    let mut readers = Vec::new();
    for (path, text) in files("src/store") {
        let text = code(&text);
        if !text.contains("impl Store {") {
            continue;
        }
        for (at, _) in text.match_indices("    pub fn ") {
            let signature: String = text[at..].chars().take_while(|c| *c != '{').collect();
            let words = signature.split_whitespace().collect::<String>();
            let name = words.trim_start_matches("pubfn").split('(').next().unwrap_or_default();
            if words.contains("(&self") && words.contains("->Result<") {
                readers.push((path.clone(), name.to_owned()));
            }
        }
    }
    assert!(readers.len() > 5, "{readers:?}");
    readers.retain(|(_, name)| !whole.contains(&format!(".{name}(")));
    assert!(readers.is_empty(), "{readers:?} is not in `read_whole`");
}

#[test]
fn tests_do_not_sleep() {
    let word = ["thread::", "sleep("].concat();
    let files = files("tests");
    let wrong: Vec<&String> =
        files.iter().filter(|(_, text)| text.contains(&word)).map(|(path, _)| path).collect();
    assert!(wrong.is_empty(), "wait for a condition instead: {wrong:?}");
}

/// For the script on a host see `host_script/for_users.rs`.
#[test]
fn switches_for_tests_are_in_debug_builds_alone() {
    let mut switches = 0;
    for (path, text) in files("src") {
        let code = code(&text);
        let lines: Vec<&str> = code.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if !line.contains("\"SP_TEST_") && !line.contains("\"SP_CRASH_AT\"") {
                continue;
            }
            switches += 1;
            let around = &lines[at.saturating_sub(15)..lines.len().min(at + 5)];
            let is_gated = around.iter().any(|line| line.contains("debug_assertions"));
            assert!(is_gated, "{path}: a release build must not know {line}");
        }
    }
    assert!(switches >= 4, "{switches}");
}

#[test]
fn functions_of_the_host_script_set_no_variable_of_their_callers() {
    let folder = Path::new(ROOT).join("scripts/host");
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").display().to_string();
        let text = fs::read_to_string(&path).expect("text");
        let found = shell_variables::not_declared(&text);
        wrong.extend(found.into_iter().map(|found| format!("{name}: {found}")));
    }
    wrong.sort();
    assert!(wrong.is_empty(), "say `local`, or give a result a name in capitals: {wrong:#?}");
}

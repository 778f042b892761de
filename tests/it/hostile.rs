//! Values are data: whatever an axis holds comes back as it is, everywhere, and nothing of it is ever run.

#![expect(clippy::unwrap_used, reason = "what a test rests on is there, or the test fails")]

mod files;
mod lies;
mod markers;
mod repository;
mod terminal;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Sandbox, files_below};

/// Texts that some shell, glob, regex, printf, path or terminal would take for more than data.
fn values() -> Vec<String> {
    let mut values: Vec<String> = [
        "$(touch pwned)",
        "`touch pwned`",
        "; touch pwned; rm -rf ~",
        "| touch pwned",
        "& touch pwned &",
        "&& touch pwned",
        "' ; touch pwned ; '",
        "'$(touch pwned)'",
        "\" ; touch pwned ; \"",
        "\"$(touch pwned)\"",
        "x\ntouch pwned\n",
        "x\n'\ntouch pwned\n'",
        "x\r\ntouch pwned",
        "\n",
        "}; touch pwned; {",
        ") touch pwned (",
        "EOF\ntouch pwned\nEOF",
        "${HOME}",
        "$HOME $NL $$ $? $* $@ $0",
        "${IFS}touch${IFS}pwned",
        "$((1+1))",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "{# x #}",
        "-rf",
        "--",
        "-n",
        "-e x\\n",
        "*",
        "?",
        "[a-z]*",
        "**",
        ".*",
        "{a,b}",
        "~",
        "~root",
        "../..",
        "../../../pwned",
        "/etc/passwd",
        ".",
        "..",
        "%s %d %n %%",
        "\\",
        "\\n\\t\\0",
        "back\\slash\\",
        "  leading",
        "trailing  ",
        "\ttab",
        " ",
        "",
        "a=b",
        "a,b",
        "#comment",
        "!history",
        "grüße",
        "世界",
        "😀",
        "e\u{301}",
        "\u{202e}right to left",
        "\u{1b}[2J\u{1b}]0;pwned title\u{7}",
        "\u{9b}31m",
        "job 1 2 3",
        " .",
        "claim v=1 .",
        "sp-end x",
        "none",
        "true",
        "1e6",
    ]
    .map(str::to_owned)
    .to_vec();
    values.push((1..0x80).filter_map(char::from_u32).collect());
    // Two to four bytes each, with the bytes 0x80 to 0x88 that dash uses inside for marks of its own.
    values.push((0x80..0x250).filter_map(char::from_u32).collect());
    values.push((0x2000..0x2100).filter_map(char::from_u32).collect());
    values.push((0x8000..0x8210).filter_map(char::from_u32).collect());
    values.push((0x1_f600..0x1_f680).filter_map(char::from_u32).collect());
    values.push("'\"\\$`".repeat(300));
    values
}

/// As a TOML string.
fn toml(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// A campaign with the axis `v` of these values.
fn with_values(values: &[String], text: &str) -> Sandbox {
    let list: Vec<String> = values.iter().map(|value| toml(value)).collect();
    let sandbox = Sandbox::with(&format!("{text}\n[matrix]\nv = [{}]\n", list.join(", ")));
    // What a glob that is expanded would find.
    for name in ["a", "b", "-rf", "file.out", "x=y"] {
        sandbox.write(name, "bait");
    }
    sandbox
}

fn out(sandbox: &Sandbox, campaign: &str, row: &serde_json::Map<String, Value>) -> PathBuf {
    let attempt = row["attempt"].as_u64().unwrap().to_string();
    sandbox.job_folder(campaign, row["job_id"].as_str().unwrap()).join(attempt).join("out")
}

/// Each file in the out folder of each job holds exactly the value.
#[track_caller]
fn check_files(sandbox: &Sandbox, campaign: &str, values: &[String], files: &[&str]) {
    let rows = sandbox.results(campaign);
    assert_eq!(rows.len(), values.len());
    for (row, value) in rows.iter().zip(values) {
        assert_eq!(row["state"], "succeeded", "{value:?}");
        assert_eq!(row["params"]["v"], value.as_str());
        for file in files {
            let found = fs::read(out(sandbox, campaign, row).join(file)).unwrap();
            let found = String::from_utf8_lossy(&found);
            assert_eq!(found, value.as_str(), "{file}: {value:?}");
        }
    }
    check_unharmed(sandbox);
}

/// Nothing that a value asked for has been done.
#[track_caller]
fn check_unharmed(sandbox: &Sandbox) {
    let harmed: Vec<PathBuf> = files_below(sandbox.path())
        .into_iter()
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pwned"))
        })
        .collect();
    assert_eq!(harmed, Vec::<PathBuf>::new());
    assert!(!PathBuf::from("/tmp/pwned").exists());
    assert_eq!(sandbox.read("a"), "bait");
    assert!(sandbox.home().is_dir());
}

/// No byte that steers a terminal: line ends and escape sequences of our own colours are not expected here either.
#[track_caller]
fn check_printable(text: &str) {
    let raw = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    if let Some(at) = text.find(raw) {
        panic!(
            "a raw control character in {:?}",
            text[at.saturating_sub(80)..].chars().take(160).collect::<String>()
        );
    }
}

#[test]
fn a_command_for_bash_gets_each_value_as_it_is() {
    check_shell("bash -euo pipefail");
}

#[test]
fn a_command_for_sh_gets_each_value_as_it_is() {
    check_shell("sh -eu");
}

#[track_caller]
fn check_shell(shell: &str) {
    let values = values();
    let sandbox = with_values(
        &values,
        &r#"
name = "hostile"
shell = "SHELL"
command = """
printf %s {{ v }} >{{ job.out_dir }}/command
printf %s x={{ v }} | tail -c +3 >{{ job.out_dir }}/joined
printf %s "$V" >{{ job.out_dir }}/variable
printf %s "$ON_HOST" >{{ job.out_dir }}/host-variable
printf %s "$SP_PARAM_V" >{{ job.out_dir }}/parameter
cp "$SP_PARAMS_FILE" {{ job.out_dir }}/params.json
"""
prepare = "printf %s {{ v }} >{{ job.out_dir }}/prepare"
cleanup = "printf %s {{ v }} >{{ job.out_dir }}/cleanup"
[env]
V = "{{ v }}"
[hosts.local]
slots = 2
env = { ON_HOST = "{{ v }}" }
"#
        .replace("SHELL", shell),
    );
    let run = sandbox.expect(0, &["apply"]);
    check_printable(&run.stderr);
    let files =
        ["command", "joined", "variable", "host-variable", "parameter", "prepare", "cleanup"];
    check_files(&sandbox, "hostile", &values, &files);
    for (row, value) in sandbox.results("hostile").iter().zip(&values) {
        let text = fs::read(out(&sandbox, "hostile", row).join("params.json")).unwrap();
        let params: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(params, serde_json::json!({ "v": value }));
    }
    for arguments in [
        &["plan"][..],
        &["plan", "--show", "commands"],
        &["plan", "--rerun", "all"],
        &["status"],
        &["results"],
        &["results", "--format", "md"],
    ] {
        check_printable(&sandbox.sp(arguments).stdout);
    }
    for row in sandbox.results("hostile") {
        check_printable(row["name"].as_str().unwrap());
    }
    check_csv(&sandbox.read(".sp/hostile/results.csv"), &values);
    check_unharmed(&sandbox);
}

/// In CSV a name is for people, the value is data and comes back byte for byte.
#[track_caller]
fn check_csv(text: &str, values: &[String]) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let place = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let (name, v) = (place("name"), place("v"));
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), values.len());
    for (record, value) in records.iter().zip(values) {
        check_printable(&record[name]);
        assert!(!record[name].contains('\n'), "{:?}", &record[name]);
        assert_eq!(&record[v], value);
    }
}

#[test]
fn a_command_of_words_gets_each_value_as_it_is() {
    let values = values();
    let sandbox = with_values(
        &values,
        r#"
name = "words"
command = ["sh", "-c", 'printf %s "$1" >"$SP_OUT_DIR/word"; printf %s "${2#x=}" >"$SP_OUT_DIR/joined"; [ $# = 2 ]', "sh", "{{ v }}", "x={{ v }}"]
[hosts.local]
slots = 2
init = "true"
"#,
    );
    sandbox.expect(0, &["apply"]);
    check_files(&sandbox, "words", &values, &["word", "joined"]);
}

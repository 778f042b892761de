//! Long help, manual page, schema, completions: all there, and true to the files they come from.

#![expect(clippy::disallowed_methods, reason = "tests start other programs, as users do")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{Sandbox, shell};

/// Names of the files in `src/help`.
fn topics() -> Vec<String> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/help"));
    let names = folder.expect("a folder").map(|entry| entry.expect("a file").file_name());
    let names = names.filter_map(|name| Some(name.to_str()?.strip_suffix(".md")?.to_owned()));
    names.collect()
}

#[test]
fn every_topic_prints_and_is_listed() {
    let sandbox = Sandbox::new();
    let list = sandbox.expect(0, &["help"]).stdout;
    let readme = include_str!("../../README.md");
    assert!(topics().len() >= 13);
    for topic in topics() {
        let text = sandbox.expect(0, &["help", &topic]).stdout;
        assert!(text.starts_with('#'), "{topic}: {text}");
        assert!(list.contains(&format!("\n  {topic} ")), "`sp help` does not list {topic}");
        assert!(readme.contains(&format!("src/help/{topic}.md")), "README lacks {topic}");
    }
}

#[test]
fn every_command_has_help_and_is_in_the_manual() {
    let sandbox = Sandbox::new();
    let list = sandbox.expect(0, &["--help"]).stdout;
    let commands = list.split("Commands:\n").nth(1).expect("a list").lines();
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 15, "{commands:?}");
    let manual = sandbox.expect(0, &["man"]).stdout;
    for command in commands {
        let usage = sandbox.expect(0, &[command, "--help"]).stdout;
        assert!(usage.contains(&format!("sp {command}")), "{usage}");
        // A topic of the same name says more than the flags.
        let help = sandbox.expect(0, &["help", command]).stdout;
        let topic = topics().iter().any(|topic| topic == command);
        assert!(topic || help.contains("Usage:"), "{command}");
        assert!(manual.contains(&format!("\"SP {}\"", command.to_uppercase())), "{command}");
    }
}

#[test]
fn a_word_that_is_nearly_one_is_told() {
    let sandbox = Sandbox::new();
    for (word, near) in [("identiy", "identity"), ("aply", "apply"), ("host", "hosts")] {
        let said = sandbox.expect(64, &["help", word]).stderr;
        assert!(said.contains(&format!("did you mean `{near}`?")), "{said}");
    }
}

#[test]
fn the_manual_is_a_page() {
    let page = Sandbox::new().expect(0, &["man"]).stdout;
    assert!(page.contains(".TH sp 1"), "{}", &page[..200.min(page.len())]);
    if !there("man") {
        return;
    }
    let warnings = fed("man", &["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "-"], &page);
    assert_eq!(warnings, "");
}

#[test]
fn completions_are_scripts() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.expect(0, &["completions", shell]).stdout;
        assert!(script.contains("apply") && script.contains("withdraw"), "{shell}");
        if there(shell) {
            assert_eq!(fed(shell, &["-n"], &script), "", "{shell}");
        }
    }
    sandbox.expect(64, &["completions", "csh"]);
}

#[test]
fn bash_completes_a_command() {
    let sandbox = Sandbox::new();
    let script = sandbox.expect(0, &["completions", "bash"]).stdout;
    sandbox.write("completions", &script);
    let text = "bash -c '. ./completions; COMP_WORDS=(sp app); COMP_CWORD=1; _sp sp app sp; echo $COMPREPLY'";
    assert_eq!(shell(&sandbox.campaign(), text), "apply\n");
}

#[test]
fn the_schema_is_the_committed_one() {
    let schema = Sandbox::new().expect(0, &["schema"]).stdout;
    assert_eq!(schema, include_str!("../../schema/campaign.schema.json"));
}

fn there(program: &str) -> bool {
    which::which(program).is_ok()
}

/// What a program says on stderr about a text on its stdin.
fn fed(program: &str, arguments: &[&str], text: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

//! What stands on a terminal: names, values and excerpts of the file.

use super::{check_printable, with_values};
use crate::support::Sandbox;

#[test]
fn what_a_job_is_named_steers_no_terminal() {
    let sandbox = with_values(
        &["\u{1b}[31mred\u{1b}[0m\n\u{7}\u{202e}".to_owned()],
        r#"
name = "terminal"
command = "exit 3"
job-name = "name {{ v }}"
[done]
log = "x{{ vars.title }}"
[vars]
title = "\u001b[2J"
"#,
    );
    let run = sandbox.expect(100, &["apply", "-v"]);
    check_printable(&run.stderr);
    let id = sandbox.results("terminal")[0]["job_id"].as_str().unwrap().to_owned();
    for arguments in [
        &["explain", &id][..],
        &["status"],
        &["plan"],
        &["plan", "--show", "commands"],
        &["plan", "-F", "state == 'failed'"],
        &["results"],
        &["cancel", "--all"],
        &["accept", &id],
        &["apply", "--rerun", &id, "-q"],
    ] {
        let run = sandbox.sp(arguments);
        check_printable(&run.stdout);
        check_printable(&run.stderr);
    }
}

#[test]
fn a_mistake_in_a_file_is_shown_without_its_control_characters() {
    for (file, wanted) in [
        ("name = \"a\u{1b}[31mb\"", "name = \"a?[31mb\""),
        ("name = \"a\"\ncommand = \"x\"\n\"k\\u001b[31m\" = 1", "k\\u{1b}[31m"),
        ("name = \"a\"\ncommand = \"x {{ nope }}\" # \u{202e}", "nope"),
        ("name = \"a\"\ncommand = \"x\"\n[matrix]\nv = [\"\\u001b[31m\", \"\\u001b[31m\"]", "31m"),
    ] {
        let sandbox = Sandbox::with(file);
        let run = sandbox.expect(1, &["validate"]);
        assert!(run.stderr.contains(wanted), "{}", run.stderr);
        check_printable(&run.stderr);
    }
}

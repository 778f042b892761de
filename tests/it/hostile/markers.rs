//! Values in the globs and the expression of `[done]`.

use super::{check_printable, check_unharmed, with_values};

/// Values that can be the name of a file, and what stands where a glob of it would find too much.
const NAMES: &[&str] = &[
    "*",
    "?",
    "[ab]",
    "[!x]",
    "a*b",
    "-rf",
    "~",
    "$(touch pwned)",
    "`touch pwned`",
    "a b",
    "  a",
    "'",
    "\"",
    "$HOME",
    "%s",
    "grüße",
    "世界",
    "a;b",
    "#",
    "{a,b}",
    "\\",
    "あぃ",
    "ŁŃ",
    "\u{10081}",
    ".",
    "~root",
    "!",
    "&",
    "|",
    ")",
    "^",
    "]",
    "[",
    "[]",
    "[[:alpha:]]",
    "[a-",
];

#[test]
fn a_value_in_a_marker_matches_itself_alone() {
    let values: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    // Its file is there the second time only; the first time there is one that a glob of it would match.
    let sandbox = with_values(
        &values,
        r#"
name = "markers"
command = """
name={{ v }}.out
[ -e right ] || name=ab.out
echo x >"$SP_OUT_DIR"/"$name"
mkdir -p "$SP_OUT_DIR"/sub
[ ! -e right ] || echo x >"$SP_OUT_DIR"/sub/{{ v }}.1
echo x >"$SP_OUT_DIR"/sub/ab.1
"""
[done]
files = ["{{ v }}.out"]
count = { files = "sub/{{ v }}.*", min = 1 }
[hosts.local]
slots = 2
"#,
    );
    sandbox.expect(100, &["apply"]);
    for row in sandbox.results("markers") {
        assert_eq!(row["reason"], "marker-missing", "{:?}", row["params"]["v"]);
    }
    sandbox.write("right", "");
    let run = sandbox.sp(&["apply"]);
    for row in sandbox.results("markers") {
        assert_eq!(row["reason"], "ok", "{:?}", row["params"]["v"]);
    }
    assert_eq!(run.code, 0, "{}", run.stderr);
    check_unharmed(&sandbox);
}

#[test]
fn a_value_in_the_log_expression_matches_itself_alone() {
    let values: Vec<String> = [
        ".*",
        "a.c",
        "^",
        "$",
        "a|b",
        "(",
        ")",
        "[a-z]",
        "a{2}",
        "a+",
        "a?",
        "\\",
        "\\d",
        "\\.",
        "[",
        "]",
        "{",
        "}",
        "-e",
        "-v",
        "*",
        "$(touch pwned)",
        "'",
        "\"",
        "grüße",
        "世界",
        "\u{1b}[2J",
        "  ",
        "#",
        "%s",
        "/",
        "&",
        "~",
        "{{ x }}",
        "\t",
        "é+",
    ]
    .map(str::to_owned)
    .to_vec();
    let sandbox = with_values(
        &values,
        r#"
name = "log"
command = """
[ -e right ] && printf '<%s>\n' {{ v }} || printf '<%s>\n' aacaa abc aa xyz q d 'a.' ''
"""
[done]
log = "^<{{ v }}>$"
[hosts.local]
slots = 2
"#,
    );
    sandbox.expect(100, &["apply"]);
    for row in sandbox.results("log") {
        assert_eq!(row["reason"], "marker-log", "{:?}", row["params"]["v"]);
    }
    sandbox.write("right", "");
    sandbox.sp(&["apply"]);
    for row in sandbox.results("log") {
        assert_eq!(row["reason"], "ok", "{:?}", row["params"]["v"]);
    }
    check_unharmed(&sandbox);
}

#[test]
fn a_value_that_no_marker_can_hold_is_refused_before_anything_starts() {
    for value in ["\u{1b}[2J", "x\ny", "../x", "/etc/passwd"] {
        let sandbox = with_values(
            &["fine".to_owned(), value.to_owned()],
            "name = \"refused\"\ncommand = \"touch pwned\"\n[done]\nfiles = [\"{{ v }}.out\"]\n",
        );
        let run = sandbox.expect(1, &["apply"]);
        assert!(run.stderr.contains("done.files"), "{}", run.stderr);
        check_printable(&run.stderr);
        check_unharmed(&sandbox);
    }
}

//! `done.log` against real greps: the translated expression finds what the Rust one finds.

use super::*;

/// Whether `grep -aqE` finds the expression, as the host asks it; standard input from a file, so that no pipe fills.
fn grep(program: &[&str], pattern: &str, text: &Path) -> bool {
    let status = Command::new(program[0])
        .args(&program[1..])
        .args(["-aqE", "-e", pattern])
        .env("LC_ALL", "C")
        .stdin(fs::File::open(text).unwrap())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(matches!(status.code(), Some(0 | 1)), "{program:?} {pattern:?}: {status}");
    status.code() == Some(0)
}

fn greps() -> Vec<Vec<&'static str>> {
    let mut greps = vec![vec!["grep"]];
    if Command::new("busybox")
        .arg("grep")
        .arg("--help")
        .output()
        .is_ok_and(|out| out.status.success())
    {
        greps.push(vec!["busybox", "grep"]);
    }
    greps
}

/// The meaning that is promised: over bytes, within one line.
fn rust(pattern: &str, line: &str) -> bool {
    let regex = regex::bytes::RegexBuilder::new(pattern).unicode(false).multi_line(true).build();
    regex.unwrap().is_match(line.as_bytes())
}

fn agree(pattern: &str, line: &str) {
    let Ok(translated) = ere::translate(pattern) else { return };
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, line.as_bytes()).unwrap();
    std::io::Write::write_all(&mut file, b"\n").unwrap();
    for program in greps() {
        let found = grep(&program, &translated, file.path());
        assert_eq!(
            found,
            rust(pattern, line),
            "{program:?}: `{pattern}` as `{translated}` in {line:?}"
        );
    }
}

const PATTERNS: &[&str] = &[
    r"Training completed",
    r"loss: \d+\.\d+",
    r"(?i)DONE",
    r"^done$",
    r"a+?b",
    r"(?:ab){2,3}c",
    r"[^,]+,",
    r"\S+\s\S+",
    r"\w+@\w+",
    r"x|",
    r"(|a)b",
    r"[]^-]",
    r"[^]^-]",
    r"[\[.a]",
    r"[\[=^-]",
    r"[-^]",
    r"[+--]",
    r"[!-~]",
    r"\x41",
    r"\t",
    r"é+",
    r"a.c",
    r"a..c",
    r"^$",
    r"^.$",
    r"(a*)*b",
    r"\\",
    r"\.",
    r"\{1\}",
    r"a{0}",
    r"a{2,}",
    r"(^a|b$)",
    r"x*$",
    r"^*a",
    r"(?:^)+a",
    r"\W",
    r"\D\d",
    r"[[:alpha:]]+1",
    r"(?s).",
    r"]",
    r"}",
    r"-",
    r"^-e",
    r"[a-z&&[^b]]x",
    r"[*]",
    r"\*\+\?",
    r"a|b|c",
    r"(a|)(b|)c",
];

const LINES: &[&str] = &[
    "Training completed",
    "training",
    "loss: 1.25",
    "done",
    "Done",
    " done",
    "aab",
    "ababc",
    "abc",
    "x,y",
    "a b",
    "me@host",
    "",
    "b",
    "]",
    "^",
    "-",
    "[",
    ".",
    "=",
    "+",
    ",",
    "A",
    "\t",
    "é",
    "éé",
    "aéc",
    "a.c",
    "a  c",
    "\\",
    "{1}",
    "aa",
    "ab",
    "1a",
    "a1",
    "-e x",
    "cx",
    "bx",
    "É",
    "*",
    "*+?",
    "c",
    "~",
    "}",
];

#[test]
fn the_usual_ones_mean_the_same_to_both_greps() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for line in LINES {
        std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
    }
    for pattern in PATTERNS {
        let translated =
            ere::translate(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let expected: Vec<_> = LINES.iter().filter(|line| rust(pattern, line)).collect();
        for program in greps() {
            let output = Command::new(program[0])
                .args(&program[1..])
                .args(["-aE", "-e", &translated])
                .arg(file.path())
                .env("LC_ALL", "C")
                .output()
                .unwrap();
            let found = String::from_utf8(output.stdout).unwrap();
            let found: Vec<_> = found.split_terminator('\n').collect();
            let expected: Vec<_> = expected.iter().map(|line| **line).collect();
            assert_eq!(found, expected, "{program:?}: `{pattern}` as `{translated}`");
        }
    }
}

fn atom() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a", "b", "ab", ".", r"\d", r"\w", "[^a]", "[a-c]", r"[\]a-]", r"\.", "é", "^", "$",
        r"[^\w]", r"[-^\[]", r"\+",
    ])
    .prop_map(str::to_owned)
}

fn expression() -> impl Strategy<Value = String> {
    atom().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(|parts| format!("({})", parts.join("|"))),
            (
                inner.clone(),
                prop::sample::select(vec!["*", "+", "?", "*?", "{2}", "{1,2}", "{0,}"])
            )
                .prop_map(|(part, times)| format!("(?:{part}){times}")),
            inner.prop_map(|part| format!("(?i:{part})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_means_the_same_to_both_greps(pattern in expression(), line in "[ab1é.^+\\]\\[A -]{0,6}") {
        agree(&pattern, &line);
    }
}

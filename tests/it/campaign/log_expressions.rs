//! `done.log` against real greps: the translated expression finds what the Rust one finds.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;

use super::*;

/// The pieces of a translation as the host joins them, see `join_pieces` in its script.
fn joined(pieces: &[String]) -> OsString {
    let non_ascii: [&[u8]; 7] = [
        b"[\xc2-\xdf][\x80-\xbf]",
        b"\xe0[\xa0-\xbf][\x80-\xbf]",
        b"[\xe1-\xec\xee\xef][\x80-\xbf]{2}",
        b"\xed[\x80-\x9f][\x80-\xbf]",
        b"\xf0[\x90-\xbf][\x80-\xbf]{2}",
        b"[\xf1-\xf3][\x80-\xbf]{3}",
        b"\xf4[\x80-\x8f][\x80-\xbf]{2}",
    ];
    let mut between = [b"\x80-\xff".to_vec(), non_ascii.join(&b'|')].into_iter().cycle();
    let mut bytes = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            bytes.extend(between.next().expect("it is endless"));
        }
        bytes.extend_from_slice(piece.as_bytes());
    }
    OsString::from_vec(bytes)
}

/// Whether `grep -aqE` finds the expression, as the host asks it; standard input from a file, so that no pipe fills.
fn grep(program: &[&str], pattern: &OsStr, text: &Path) -> bool {
    let status = Command::new(program[0])
        .args(&program[1..])
        .args(["-aqE", "-e"])
        .arg(pattern)
        .env("LC_ALL", "C")
        .stdin(fs::File::open(text).unwrap())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(matches!(status.code(), Some(0 | 1)), "{program:?} {}: {status}", pattern.display());
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

/// The meaning that is promised: over characters, within one line, with sets such as `\d` in ASCII.
fn rust(pattern: &str, line: &str) -> bool {
    let mut ascii = pattern.replace(r"[^\w]", "[^0-9A-Za-z_]");
    for (short, set) in [
        (r"\d", "[0-9]"),
        (r"\D", "[^0-9]"),
        (r"\w", "[0-9A-Za-z_]"),
        (r"\W", "[^0-9A-Za-z_]"),
        (r"\s", r"[\t\n\x0b\x0c\r ]"),
        (r"\S", r"[^\t\n\x0b\x0c\r ]"),
    ] {
        ascii = ascii.replace(short, set);
    }
    regex::RegexBuilder::new(&ascii).multi_line(true).build().unwrap().is_match(line)
}

fn agree(pattern: &str, line: &str) {
    let Ok(translated) = ere::translate(pattern) else { return };
    let translated = joined(&translated);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, line.as_bytes()).unwrap();
    std::io::Write::write_all(&mut file, b"\n").unwrap();
    for program in greps() {
        let found = grep(&program, &translated, file.path());
        assert_eq!(
            found,
            rust(pattern, line),
            "{program:?}: `{pattern}` as {} in {line:?}",
            translated.display()
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
    r"^..$",
    r"^[^-a]{2}$",
    r"^[^]]$",
    r"(?:.é){2}",
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
    "€x",
    "𝄞",
    "ÿ-",
    "aé€é",
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
        let translated = joined(&translated);
        let expected: Vec<_> = LINES.iter().filter(|line| rust(pattern, line)).collect();
        for program in greps() {
            let output = Command::new(program[0])
                .args(&program[1..])
                .args(["-aE", "-e"])
                .arg(&translated)
                .arg(file.path())
                .env("LC_ALL", "C")
                .output()
                .unwrap();
            let found = String::from_utf8(output.stdout).unwrap();
            let found: Vec<_> = found.split_terminator('\n').collect();
            let expected: Vec<_> = expected.iter().map(|line| **line).collect();
            assert_eq!(found, expected, "{program:?}: `{pattern}` as {translated:?}");
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

//! Whatever stands in the file: no panic, and labels that point into it.

use super::*;

pub(crate) fn survives(text: &str) {
    match Campaign::parse("f", text) {
        Ok((_, warnings)) => warnings.iter().for_each(|warning| drop(report(warning))),
        Err(error) => {
            assert!(error.findings.iter().any(|finding| !finding.is_warning), "{text}");
            // As it is shown, with the ends of lines of Unix.
            let shown = error.source_file.inner();
            for (span, label) in error.findings.iter().flat_map(|finding| &finding.labels) {
                assert!(shown.get(span.clone()).is_some(), "{span:?} {label} in {shown}");
            }
            report(&error);
        }
    }
}

#[test]
fn a_place_behind_the_end_of_a_line_is_one() {
    survives("\r\n\u{fffd},");
    survives("\u{feff}\r\na = '\u{fffd}\r\n");
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for text in [
        format!(
            "name = 'a'\ncommand = 'x'\n[done]\nlog = '{}a{}'",
            "(".repeat(5000),
            ")".repeat(5000)
        ),
        format!("name = 'a'\ncommand = '{{{{ {}1{} }}}}'", "(".repeat(5000), ")".repeat(5000)),
        format!("name = 'a'\ncommand = 'x'\n[matrix]\nn = [1]\nwhen = '{} n'", "not ".repeat(5000)),
        format!(
            "name = 'a'\ncommand = 'x'\n[matrix]\nn = {}1{}",
            "[".repeat(5000),
            "]".repeat(5000)
        ),
    ] {
        assert!(Campaign::parse("f", &text).is_err());
    }
}

/// The largest that is accepted, on a thread's default stack.
#[test]
fn what_is_just_short_enough_is_followed() {
    let chain = |link: &str, times: usize| "1".to_owned() + &link.repeat(times);
    let prefixed = |prefix: &str, times: usize| prefix.repeat(times) + "1";
    for inner in [
        prefixed("-", 500),
        prefixed("not ", 490),
        chain("+1", 990),
        chain("|abs", 490),
        chain("[0]", 500),
        chain(" if 1 else 1", 160),
        chain(" is odd", 280),
        chain(".a", 990),
        chain("~1", 990),
    ] {
        survives(&format!("name = 'a'\ncommand = '{{{{ {inner} }}}}'\n[matrix]\nn = [1]"));
        survives(&format!("name = 'a'\ncommand = 'x'\n[matrix]\nn = [1]\nwhen = '{inner}'"));
    }
    let blocks = "{% if 1 %}".repeat(99) + &"{% endif %}".repeat(99);
    survives(&format!("name = 'a'\ncommand = '{blocks}'"));
    survives(&format!("name = 'a'\ncommand = '{}'", "{% if 1 %}".repeat(199)));
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "\n",
            " = ",
            "\"",
            "'",
            "[",
            "]",
            "[[",
            "]]",
            "{",
            "}",
            "{{ ",
            " }}",
            "{% if ",
            "matrix",
            "done",
            "hosts",
            "name",
            "command",
            "repeat",
            "1",
            "0.1",
            "1e-5",
            ", ",
            ".",
            "#",
            "\\",
            "\"\"\"",
            "glob",
            "expr",
            "log",
            "é",
            "\\u0000",
            "\t",
            "[matrix]\n",
            "[[matrix.include]]\n",
            "x = [1]\n",
            "when = \"x > 1\"\n",
            "true",
            "from",
            "job.out_dir",
            "| safe",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn of_tokens(tokens in prop::collection::vec(token(), 0..40)) {
        survives(&tokens.concat());
    }

    /// A good file with a piece of it replaced.
    #[test]
    fn of_a_good_file_with_a_hole(which in 0usize..16, from in 0.0f64..1.0, length in 0usize..40, new in prop::collection::vec(token(), 0..4)) {
        let files = [files("tests/campaigns/valid"), files("tests/campaigns/invalid")].concat();
        let (_, text) = &files[which % files.len()];
        let chars: Vec<char> = text.chars().collect();
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the text")]
        let at = (chars.len() as f64 * from) as usize;
        let end = (at + length).min(chars.len());
        let changed: String = chars[..at].iter().chain(new.concat().chars().collect::<Vec<_>>().iter()).chain(&chars[end..]).collect();
        survives(&changed);
    }
}

//! Values are data: they arrive as they are, in shells, globs and expressions.

use super::*;

/// One axis `x`.
struct One(Value);

impl Scope for One {
    fn axis(&self, name: &str) -> Option<&Value> {
        (name == "x").then_some(&self.0)
    }
}

fn rendered(template: &str, place: Place, value: &str) -> String {
    let template = Template::parse(template, place).unwrap();
    let parts = template.render(&One(Value::Str(value.to_owned()))).unwrap();
    match parts.as_slice() {
        [] => String::new(),
        [Part::Text(text)] => text.clone(),
        other => panic!("{other:?}"),
    }
}

fn output(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_value_reaches_the_program_as_it_is(value in "([^\0]|[ '\"$`\\\\!*~#;&|<>(){}\n\t-]){0,24}") {
        for template in ["printf %s {{ x }}", "printf '%s' {{ x }}", "printf %s {{ x | default('') }}"] {
            let script = rendered(template, Place::Shell, &value);
            for shell in ["dash", "bash"] {
                let got = output(shell, &["-c", &script]);
                prop_assert_eq!(String::from_utf8_lossy(&got), value.as_str(), "{}: {}", shell, script);
            }
        }
    }

    #[test]
    fn a_value_in_a_glob_matches_itself_only(
        value in "([a-c]|[\\]\\[*?{}!^\\\\,. ~-]){1,8}",
        other in "([a-c]|[\\]\\[*?{}!^\\\\,. ~-]){1,8}",
    ) {
        let pattern = rendered("{{ x }}", Place::Glob, &value);
        let glob = globset::GlobBuilder::new(&pattern).literal_separator(true).build().unwrap().compile_matcher();
        prop_assert!(glob.is_match(&value), "{pattern}");
        prop_assert_eq!(glob.is_match(&other), value == other, "{} {}", pattern, other);
        for shell in ["dash", "bash"] {
            let script = "IFS=; case $2 in $1) echo yes ;; *) echo no ;; esac; case $3 in $1) echo yes ;; *) echo no ;; esac";
            let got = output(shell, &["-c", script, "-", &pattern, &value, &other]);
            let expected = if value == other { "yes\nyes\n" } else { "yes\nno\n" };
            prop_assert_eq!(String::from_utf8_lossy(&got), expected, "{}: {} {}", shell, pattern, other);
        }
    }

    #[test]
    fn a_value_in_an_expression_matches_itself_only(value in "[^\0\n]{0,12}", other in "[^\0\n]{0,12}") {
        for template in ["^{{ x }}$", "(?x) ^ {{ x }} $"] {
            let pattern = rendered(template, Place::Regex, &value);
            let regex = regex::bytes::RegexBuilder::new(&pattern).unicode(false).build().unwrap();
            prop_assert!(regex.is_match(value.as_bytes()), "{pattern}");
            prop_assert_eq!(regex.is_match(other.as_bytes()), value == other);
        }
    }

    /// Escaped values can be joined with a template's text: what plan does once for all jobs.
    #[test]
    fn an_escaped_value_is_what_a_template_shows(value in "[^\0]{0,12}") {
        for place in [Place::Shell, Place::Glob, Place::Regex, Place::Plain] {
            let once = Value::Str(value.clone());
            prop_assert_eq!(escape(place, &once).unwrap().into_owned(), rendered("{{ x }}", place, &value));
        }
    }
}

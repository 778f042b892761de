//! The campaign file: every diagnostic as a person sees it, valid files, the schema, and the quoting of values.

#![expect(clippy::disallowed_methods, reason = "real shells and greps are the judges here")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;
use solverpilot::campaign::template::{Expression, Part, Place, Scope, Template, escape, text_of};
use solverpilot::campaign::{self, Axis, Campaign, EnvValue, Value, ere, schema};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Stem and text of the `.toml` files of a folder, sorted.
fn files(name: &str) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (stem, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn report(diagnostic: &dyn Diagnostic) -> String {
    let mut out = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false)
        .render_report(&mut out, diagnostic)
        .unwrap();
    let lines: Vec<_> = out.lines().map(str::trim_end).collect();
    lines.join("\n")
}

fn parse(text: &str) -> Campaign {
    match Campaign::parse("campaign.toml", text) {
        Ok((campaign, _)) => campaign,
        Err(error) => panic!("{}", report(&error)),
    }
}

#[test]
fn every_mistake_is_told_with_its_place_and_the_next_edit() {
    for (stem, text) in files("tests/campaigns/invalid") {
        let error = Campaign::parse("campaign.toml", &text)
            .map(|_| ())
            .expect_err(&format!("{stem}.toml is accepted"));
        for finding in &error.findings {
            let code = finding.code;
            assert!(
                finding.help.is_some()
                    || code == "sp::campaign::syntax"
                    || code == "sp::campaign::wrong_type"
                    || code == "sp::campaign::template",
                "{stem}: no help for {finding}"
            );
            assert!(!finding.labels.is_empty(), "{stem}: no place for {finding}");
            assert!(!finding.message.ends_with('.'), "{stem}: full stop in {finding}");
        }
        insta::with_settings!({ description => text, omit_expression => true }, {
            insta::assert_snapshot!(format!("campaign_invalid_{stem}"), report(&error));
        });
    }
}

#[test]
fn valid_files_are_accepted() {
    for (stem, text) in files("tests/campaigns/valid") {
        match Campaign::parse("campaign.toml", &text) {
            Err(error) => panic!("{stem}: {}", report(&error)),
            Ok((_, warnings)) => {
                let warnings: Vec<_> = warnings.iter().map(|warning| report(warning)).collect();
                assert_eq!(stem == "warnings", !warnings.is_empty(), "{stem}: {warnings:?}");
                if stem == "warnings" {
                    insta::assert_snapshot!("campaign_warnings", warnings.join("\n"));
                }
            }
        }
    }
}

#[test]
fn the_full_file_arrives_whole_and_in_order() {
    let campaign = parse(&fs::read_to_string(folder("tests/campaigns/valid/full.toml")).unwrap());
    let shown = |axis: &str| match &campaign.matrix.axes[axis] {
        Axis::Values(values) => {
            values.iter().map(|v| text_of(v).into_owned()).collect::<Vec<_>>().join(" ")
        }
        Axis::Glob(pattern) => format!("glob {pattern}"),
        Axis::Lines(path) => format!("lines {path}"),
        Axis::Expr(expression) => format!("expr {}", expression.text()),
    };
    let axes: Vec<_> = campaign
        .matrix
        .axes
        .keys()
        .map(|name| format!("{name}: {}", shown(name.as_str())))
        .collect();
    assert_eq!(
        axes,
        [
            "seq: 1024 2048 4096 8192",
            "dtype: fp16 bf16",
            "model: s m",
            "lr: 0.1 1e-5",
            "width: 0.1 0.2 0.3",
            "share: 0.0 0.25 0.5 0.75 1.0",
            "data: glob data/*.cnf",
            "word: lines seeds.txt",
            "seed: expr 1000 + repeat",
            "twice: expr seed * 2",
        ]
    );
    assert_eq!(campaign.working_dir, "experiments/attention");
    assert_eq!(campaign.time_limit.unwrap().as_secs(), 129_600);
    assert_eq!(campaign.log_max, 4 << 20);
    assert_eq!(campaign.done.exit_codes, [0, 10, 20]);
    assert_eq!(campaign.hosts["gpu-1"].slots, 2);
    assert!(matches!(&campaign.env["HF_TOKEN"], EnvValue::FromEnv(name) if name == "HF_TOKEN"));
    assert_eq!(campaign.env.keys().collect::<Vec<_>>(), ["OMP_NUM_THREADS", "DATA", "HF_TOKEN"]);
    assert_eq!(campaign.matrix.include[0]["seq"], Value::Int(16384));
}

#[test]
fn defaults_are_those_of_the_help() {
    let campaign = parse("name = 'a'\ncommand = 'x'\n");
    assert_eq!(campaign.shell, ["bash", "-euo", "pipefail"]);
    assert_eq!((campaign.working_dir.as_str(), campaign.repeat), (".", 1));
    assert_eq!(campaign.log_max, 268_435_456);
    assert_eq!(campaign.done.exit_codes, [0]);
    assert_eq!(campaign.hosts.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["local"]);
    assert_eq!(campaign.hosts["local"].slots, 1);
    assert!(campaign.matrix.axes.is_empty() && campaign.results_dir.is_none());
}

#[test]
fn floats_keep_their_spelling() {
    let campaign = parse("name = 'a'\ncommand = 'x'\n[matrix]\nlr = [1e-5, +1_0.50, 1E+3, -0.0]\n");
    let Axis::Values(values) = &campaign.matrix.axes["lr"] else { panic!() };
    let spelled: Vec<_> = values.iter().map(|value| text_of(value).into_owned()).collect();
    assert_eq!(spelled, ["1e-5", "10.50", "1E3", "-0.0"]);
}

/// Nothing else of the design is accepted and ignored.
#[test]
fn keys_of_later_versions_are_unknown() {
    for key in [
        "setup = 'x'",
        "steps = []",
        "stall-after = '1m'",
        "code-change = 'warn'",
        "sync = {}",
        "signal = {}",
        "retry = {}",
        "metrics = {}",
        "artifacts = {}",
        "services = {}",
        "notify = {}",
        "report = {}",
        "hosts.a.ssh = 'x'",
        "hosts.a.gpus = [0]",
        "hosts.a.snapshot = true",
        "hosts.a.host-key-check = 'strict'",
    ] {
        let error =
            Campaign::parse("f", &format!("name = 'a'\ncommand = 'x'\n{key}\n")).unwrap_err();
        assert_eq!(error.findings.len(), 1, "{key}: {error}");
        assert_eq!(error.findings[0].code, "sp::campaign::unknown_key", "{key}");
    }
}

mod schema_of_the_file {
    use super::*;

    fn validator() -> (serde_json::Value, jsonschema::Validator) {
        let schema: serde_json::Value = serde_json::from_str(&schema::json()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        (schema, validator)
    }

    fn is_valid(validator: &jsonschema::Validator, text: &str) -> Result<(), String> {
        let value: serde_json::Value = toml::from_str(text).map_err(|error| error.to_string())?;
        validator.validate(&value).map_err(|error| error.to_string())
    }

    #[test]
    fn the_committed_copy_is_the_generated_one() {
        let path = folder("schema/campaign.schema.json");
        if std::env::var_os("SP_UPDATE_SCHEMA").is_some() {
            fs::write(&path, schema::json()).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == schema::json(),
            "schema/campaign.schema.json is old; run the tests once with SP_UPDATE_SCHEMA=1"
        );
    }

    #[test]
    fn valid_files_and_examples_pass() {
        let (_, validator) = validator();
        let examples = fs::read_dir(folder("examples")).into_iter().flatten().filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.display().to_string(), fs::read_to_string(path.join("campaign.toml")).ok()?))
        });
        for (name, text) in files("tests/campaigns/valid").into_iter().chain(examples) {
            assert_eq!(is_valid(&validator, &text), Ok(()), "{name}");
        }
    }

    #[test]
    fn it_refuses_what_types_can_tell() {
        let (_, validator) = validator();
        for stem in [
            "unknown-key",
            "wrong-type",
            "below-a-table",
            "missing",
            "empty",
            "name-is-a-path",
            "ranges",
            "paths-and-counts",
            "everything",
            "empty-matrix",
            "empty-values",
        ] {
            let path = folder("tests/campaigns/invalid").join(format!("{stem}.toml"));
            assert!(is_valid(&validator, &fs::read_to_string(path).unwrap()).is_err(), "{stem}");
        }
        for text in [
            "name = 'a'\ncommand = 'x'\nrepeat = 0",
            "name = 'a'\ncommand = 'x'\ndone.exit-codes = [256]",
        ] {
            assert!(is_valid(&validator, text).is_err(), "{text}");
        }
    }

    /// Every key of the schema is read, and the other way round: an unknown key's help lists what is read.
    #[test]
    fn it_knows_the_keys_that_are_read() {
        let (schema, _) = validator();
        let keys = |at: &serde_json::Value| -> Vec<String> {
            let mut keys: Vec<_> = at["properties"].as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys
        };
        let read = |prefix: &str| -> Vec<String> {
            let text = format!("name = 'a'\ncommand = 'x'\n{prefix}QQQQ = 1\n");
            let error = Campaign::parse("f", &text).unwrap_err();
            let help = error
                .findings
                .iter()
                .find_map(|f| f.help.clone()?.strip_prefix("keys here are ").map(str::to_owned));
            let mut keys: Vec<_> = help
                .unwrap_or_else(|| panic!("{error}"))
                .split(", ")
                .map(|key| key.trim_matches('`').to_owned())
                .collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(&schema), read(""));
        let definitions = &schema["definitions"];
        for (name, prefix) in [
            ("WireDone", "done."),
            ("WireCount", "done.count."),
            ("WireHost", "hosts.a."),
            ("WireResults", "results."),
            ("WireFromEnv", "env.A."),
            ("WireAxisTable", "matrix.a."),
        ] {
            assert_eq!(keys(&definitions[name]), read(prefix), "{name}");
        }
        assert_eq!(keys(&definitions["WireMatrix"]), ["exclude", "include", "when", "zip"]);
    }

    #[test]
    fn it_has_no_null_and_a_sentence_for_every_key() {
        let (schema, _) = validator();
        assert!(!schema::json().contains("\"null\""));
        let mut objects = vec![&schema];
        objects.extend(schema["definitions"].as_object().unwrap().values());
        for object in objects {
            for (key, property) in object["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{key} has no description");
            }
        }
    }
}

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

mod log_expressions {
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
        let regex =
            regex::bytes::RegexBuilder::new(pattern).unicode(false).multi_line(true).build();
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

    #[test]
    fn the_usual_ones_mean_the_same_to_both_greps() {
        let patterns = [
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
            r"(?i)é",
            r"[*]",
            r"\*\+\?",
            r"a|b|c",
            r"(a|)(b|)c",
        ];
        let lines = [
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
        for pattern in patterns {
            assert!(
                ere::translate(pattern).is_ok() || pattern == "(?i)é",
                "{pattern}: {:?}",
                ere::translate(pattern)
            );
            for line in lines {
                agree(pattern, line);
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
}

/// A hundred thousand jobs are planned in a moment only if each rendering is a join of pieces.
#[test]
fn plain_templates_need_no_engine() {
    let campaign = parse(&fs::read_to_string(folder("tests/campaigns/valid/full.toml")).unwrap());
    let campaign::Command::Argv(words) = &campaign.command else { panic!() };
    assert!(words.iter().all(|word| word.segments().is_some()));
    assert!(campaign.prepare.unwrap().segments().is_some());
    let names = Expression::parse("a > 1 and vars.b == repeat").unwrap();
    let names: BTreeMap<_, _> = names.names().iter().map(|name| (name.to_string(), ())).collect();
    assert_eq!(names.into_keys().collect::<Vec<_>>(), ["a", "repeat", "vars.b"]);
}

//! The campaign file: every diagnostic as a person sees it, valid files, the schema, and the quoting of values.

#![expect(clippy::disallowed_methods, reason = "real shells and greps are the judges here")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod log_expressions;

pub(crate) mod robustness;
mod schema_of_the_file;
mod values;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;
use solverpilot::campaign::template::{Expression, Part, Place, Scope, Template, escape, text_of};
use solverpilot::campaign::{self, Axis, Campaign, EnvValue, HostKeyCheck, Value, ere, schema};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Stem and text of the `.toml` files of a folder, sorted.
pub(crate) fn files(name: &str) -> Vec<(String, String)> {
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
            assert!(
                finding.help.is_some() || finding.code == "sp::campaign::wrong_type",
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
    let ssh = |name: &str| {
        let ssh = campaign.hosts[name].ssh.as_ref()?;
        Some((ssh.destination.as_str(), ssh.host_key_check))
    };
    assert_eq!(ssh("gpu-1"), Some(("gpu-1", HostKeyCheck::Strict)));
    let second = "ssh://ann@gpu-2.example.org:2222";
    assert_eq!(ssh("gpu-2"), Some((second, HostKeyCheck::AcceptNew)));
    assert_eq!(ssh("gpu-2-of-bob"), Some((second, HostKeyCheck::Strict)));
    assert_eq!(ssh("local"), None);
    assert!(matches!(&campaign.env["HF_TOKEN"], EnvValue::FromEnv(name) if name == "HF_TOKEN"));
    assert_eq!(campaign.env.keys().collect::<Vec<_>>(), ["OMP_NUM_THREADS", "DATA", "HF_TOKEN"]);
    assert_eq!(campaign.matrix.include[0]["seq"], Value::Int(16384));
}

#[test]
fn a_range_counts_by_one_where_it_does_not_say() {
    let values = |range: &str| -> Vec<String> {
        let text = format!("name = 'a'\ncommand = 'x {{{{ n }}}}'\nmatrix.n = {{ {range} }}");
        match &parse(&text).matrix.axes["n"] {
            Axis::Values(values) => values.iter().map(|v| text_of(v).into_owned()).collect(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(values("from = 1, to = 4"), ["1", "2", "3", "4"]);
    assert_eq!(values("from = -1, to = 1"), ["-1", "0", "1"]);
    assert_eq!(values("from = 0.5, to = 2"), ["0.5", "1.5"]);
    assert_eq!(values("from = 7, to = 7"), ["7"]);
}

#[test]
fn defaults_are_those_of_the_help() {
    let campaign = parse("name = 'a'\ncommand = 'x'\n");
    assert_eq!(campaign.shell, ["bash", "-euo", "pipefail"]);
    assert_eq!((campaign.working_dir.as_str(), campaign.repeat), (".", 1));
    assert_eq!(campaign.log_max, 268_435_456);
    assert_eq!(campaign.done.exit_codes, [0]);
    assert_eq!(
        campaign.hosts.keys().map(solverpilot::ids::HostName::as_str).collect::<Vec<_>>(),
        ["local"]
    );
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
        "steps = []",
        "stall-after = '1m'",
        "signal = {}",
        "retry = {}",
        "metrics = {}",
        "artifacts = {}",
        "services = {}",
        "notify = {}",
        "report = {}",
        "hosts.a.gpus = [0]",
        "hosts.a.gpus = [0]",
    ] {
        let error =
            Campaign::parse("f", &format!("name = 'a'\ncommand = 'x'\n{key}\n")).unwrap_err();
        assert_eq!(error.findings.len(), 1, "{key}: {error}");
        assert_eq!(error.findings[0].code, "sp::campaign::unknown_key", "{key}");
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
    let names: Vec<_> = names.names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a", "repeat", "vars.b"]);
}

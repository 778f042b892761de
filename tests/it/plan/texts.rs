//! A file means what it says: its line ends and its marks change nothing, and its numbers keep their spelling.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use solverpilot::campaign::Campaign;
use solverpilot::campaign::template::Part;
use solverpilot::host::CampaignFolder;
use solverpilot::plan::{CommandSpec, Expansion, Filter, JobRef, Known, Params, Selector, expand};
use tempfile::TempDir;

use super::support::{FakeFiles, text as text_value};

const MARK: &str = "\u{feff}";

#[expect(clippy::disallowed_methods, reason = "a test writes files as editors do")]
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

/// The jobs of a file and of the lines that it reads, each as their editors left them.
fn saved(campaign: &str, lines: &str) -> Expansion {
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("seeds.txt"), lines);
    let (campaign, _) = Campaign::parse("campaign.toml", campaign).unwrap();
    expand(Arc::new(campaign), &CampaignFolder::new(folder.path(), ".")).unwrap()
}

fn of(text: &str) -> Expansion {
    let (campaign, _) = Campaign::parse("campaign.toml", text).unwrap();
    expand(Arc::new(campaign), &FakeFiles::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn line_ends_and_a_mark_change_no_job(
        script in prop::collection::vec("[a-z {}$#]{0,8}|echo \\{\\{ s \\}\\}|é", 0..6),
        prepare in prop::collection::vec("[a-z]{0,4}", 0..3),
        value in "[a-z]{1,4}(\n[a-z]{1,4})?",
        seeds in prop::collection::btree_set("[a-z]{1,4}|é", 0..4),
        blank in prop_oneof!["", " ", "
"],
        last in any::<bool>(),
    ) {
        prop_assume!(!script.concat().contains("{{") || script.concat().contains("{{ s }}"));
        let text = format!(
            "# a comment\nname = 'texts'\ncommand = '''\nrun {{{{ s }}}} {{{{ t }}}}\n{}\n'''\nprepare = \"\"\"\n: {}\n\"\"\"\n\
             [env]\nA = '''{value}'''\n[matrix]\nt = ['''{value}''', 'other']\ns = {{ lines = 'seeds.txt' }}\n",
            script.join("\n"), prepare.join("\n"),
        );
        prop_assume!(Campaign::parse("campaign.toml", &text).is_ok());
        let lines = format!("First\n{blank}{}{}", seeds.into_iter().collect::<Vec<_>>().join("\n"), if last { "\n" } else { "" });
        let wanted = saved(&text, &lines);
        for (campaign_mark, lines_mark) in [("", ""), (MARK, ""), ("", MARK), (MARK, MARK)] {
            for (campaign, lines) in [
                (text.clone(), lines.clone()),
                (text.replace('\n', "\r\n"), lines.clone()),
                (text.clone(), lines.replace('\n', "\r\n")),
                (text.replace('\n', "\r\n"), lines.replace('\n', "\r\n")),
                // An editor that mixes them.
                (text.replacen('\n', "\r\n", 4), lines.replacen('\n', "\r\n", 1)),
            ] {
                let found = saved(&format!("{campaign_mark}{campaign}"), &format!("{lines_mark}{lines}"));
                prop_assert_eq!(found.ids(), wanted.ids());
                let specs = |jobs: &Expansion| -> Vec<_> { jobs.jobs().map(|job| job.spec().unwrap()).collect() };
                prop_assert_eq!(specs(&found), specs(&wanted));
            }
        }
    }
}

/// A float as people write it, and the same number as others would.
fn spelled() -> impl Strategy<Value = (String, Vec<String>)> {
    let whole = prop_oneof!["0", "[1-9][0-9]{0,5}", "[1-9]_[0-9]{3}"];
    let fraction = prop_oneof!["", "\\.[0-9]{1,6}", "\\.[0-9]{1,3}0"];
    let exponent = prop_oneof!["", "[eE][+-]?0?[0-9]", "e-[12][0-9]", "e1[0-9]"];
    (prop_oneof!["", "\\+", "-"], whole, fraction, exponent)
        .prop_map(|(sign, whole, fraction, exponent)| format!("{sign}{whole}{fraction}{exponent}"))
        .prop_filter("a float", |text| text.contains(['.', 'e', 'E']))
        .prop_map(|text| {
            let number: f64 = text.replace('_', "").parse().unwrap();
            let others = vec![
                format!("{number:?}"),
                format!("{number:e}"),
                format!("{number:E}"),
                format!("{number}"),
            ];
            (text, others)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_number_keeps_its_spelling_and_is_found_by_every_other((number, others) in spelled()) {
        let text = format!("name = 'n'\ncommand = 'run {{{{ lr }}}}'\n[matrix]\nlr = [{number}, 'none']\n");
        let jobs = of(&text);
        let shown = number.replace(['_', '+'], "");
        let spec = jobs.job(0).spec().unwrap();
        prop_assert_eq!(&spec.name, &format!("lr={shown}"));
        prop_assert_eq!(spec.command, CommandSpec::Shell(vec![Part::Text(format!("run {shown}"))]));
        let json = spec.params.to_json();
        prop_assert_eq!(&json, &format!("{{\"lr\":{shown}}}"));
        let read: Params = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read.to_json(), json);
        let known = Known::default();
        for other in others.iter().chain([&shown, &number.replace('_', "")]) {
            let found = Selector::new(&jobs, &known).resolve(&format!("lr={other}"));
            prop_assert_eq!(found, Ok(JobRef { id: jobs.ids()[0], index: Some(0) }), "lr={}", other);
        }
        for other in &others[..3] {
            let filter = Filter::parse(&format!("lr == {other}"), &jobs).unwrap();
            prop_assert!(filter.matches(jobs.job(0), None).unwrap(), "lr == {}", other);
            prop_assert!(!filter.matches(jobs.job(1), None).unwrap(), "lr == {}", other);
        }
    }
}

/// The nearest spelling wins: two texts that are one number are two values.
#[test]
fn a_spelling_that_is_there_is_meant() {
    let jobs = of(
        "name = 'n'\ncommand = 'run {{ v }}'\n[matrix]\nv = ['3.10', 3.1, '03.1', 10, 100000]\n",
    );
    let known = Known::default();
    for (text, wanted) in [
        ("v=3.10", Some(0)),
        ("v=3.1", Some(1)),
        ("v=3.100", Some(1)),
        ("v=03.1", Some(2)),
        ("v=1e1", Some(3)),
        ("v=10.0", Some(3)),
        ("v=1E5", Some(4)),
        ("v=100000.00000000001", None),
        ("v=nan", None),
    ] {
        let found = Selector::new(&jobs, &known).resolve(text).ok().and_then(|job| job.index);
        assert_eq!(found, wanted, "{text}");
    }
    assert_eq!(jobs.columns()[0].values[0], text_value("3.10"));
}

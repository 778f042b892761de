//! The campaigns in `examples/`: valid by schema and by `sp`, and run as they are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Sandbox;

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let folders = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("one").path());
    let mut found: Vec<PathBuf> =
        folders.filter(|path| path.join("campaign.toml").exists()).collect();
    found.sort();
    assert!(found.len() >= 3, "{found:?}");
    found
}

/// A sandbox that holds a copy of an example.
fn copied(folder: &Path) -> Sandbox {
    let sandbox = Sandbox::new();
    copy(folder, &sandbox.campaign());
    sandbox
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        // What an earlier run of it there has left.
        if name == ".sp" || name == "results" {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).expect("a file");
        }
    }
}

fn example(name: &str) -> Sandbox {
    copied(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name))
}

#[test]
fn all_are_valid() {
    let schema = serde_json::from_str(include_str!("../../schema/campaign.schema.json"));
    let schema = jsonschema::validator_for(&schema.expect("JSON")).expect("a schema");
    for folder in examples() {
        let text = fs::read_to_string(folder.join("campaign.toml")).expect("text");
        assert!(text.starts_with("#:schema ../../schema/"), "{}", folder.display());
        let value: toml::Value = toml::from_str(&text).expect("TOML");
        let value = serde_json::to_value(value).expect("JSON");
        let errors: Vec<String> = schema.iter_errors(&value).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", folder.display());
        let run = copied(&folder).expect(0, &["validate"]);
        assert_eq!(run.stderr, "", "{}", folder.display());
    }
}

/// Runs an example to its end and once more: everything succeeds, and then nothing is left.
fn runs(name: &str) -> Sandbox {
    let sandbox = example(name);
    sandbox.expect(0, &["apply", "-y"]);
    let again = sandbox.expect(0, &["apply"]);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    sandbox
}

#[test]
fn quickstart_runs() {
    let sandbox = runs("quickstart");
    assert_eq!(sandbox.results("quickstart").len(), 16);
    // As its first lines say: an edit of the input runs them all.
    let text = sandbox.read("sort.awk");
    sandbox.write("sort.awk", &format!("{text}\n# edited\n"));
    assert_eq!(sandbox.json(&["plan"])["summary"]["run"], 16);
}

#[test]
fn ssh_runs() {
    let mut sandbox = example("ssh");
    sandbox.hosts(&["lab"]);
    sandbox.expect(0, &["doctor"]);
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.results("over-ssh").len(), 12);
    let logs = sandbox.expect(0, &["logs", "steps=1000000,seed=1"]);
    assert_eq!(logs.stdout, "estimated pi with 1000000 points\n");
}

#[test]
#[ignore = "half a minute; wants gzip, xz and zstd"]
fn compress_runs() {
    runs("compress");
}

#[test]
#[ignore = "minutes; wants SAT solvers"]
fn sat_runs() {
    runs("sat");
}

#[test]
fn the_campaign_of_the_readme_is_valid() {
    let readme = include_str!("../../README.md");
    let text = readme.split("```toml\n").nth(1).and_then(|text| text.split("```").next());
    let sandbox = Sandbox::with(text.expect("a campaign"));
    sandbox.write("bench.sh", "true\n");
    let run = sandbox.expect(0, &["validate"]);
    assert_eq!(run.stdout, "campaign.toml is valid: 10 jobs\n");
    assert!(readme.contains("\nTen jobs."), "the README says how many");
    assert!(sandbox.json(&["explain", "tool=xz,level=9"])["id"].is_string());
}

//! `sp adopt`: results of another copy, on request and copied whole.

#![expect(clippy::disallowed_methods, reason = "tests start processes and write files as users do")]

use std::fs;
use std::path::PathBuf;

use crate::support::{Run, Sandbox, files_below, places, shell, wait_until};

/// A job that says which code it ran.
fn campaign(values: &str) -> String {
    format!(
        "name = 'study'\ncommand = 'sh run.sh {{{{ n }}}}'\nhosts.local.snapshot = true\n[matrix]\nn = [{values}]\n"
    )
}

/// The script of a copy: it fails where it is told to, and says its own name.
fn script(name: &str) -> String {
    format!(
        "echo {name} $1 >> ~/ran\necho result of {name} > $SP_OUT_DIR/x\necho state of {name} > $SP_STATE_DIR/x\n\
         [ ! -e ~/fail ] || exit 1\nwhile [ -e ~/wait ]; do sleep 0.05; done\n"
    )
}

struct Two {
    sandbox: Sandbox,
    second: PathBuf,
}

impl Two {
    /// The first folder has run its two jobs; the second one is a copy with another script.
    fn new() -> Self {
        let sandbox = Sandbox::with(&campaign("1, 2"));
        sandbox.write("run.sh", &script("first"));
        sandbox.expect(0, &["apply"]);
        sandbox.wait_quiet();
        let second = sandbox.path().join("second");
        fs::create_dir(&second).expect("a folder");
        fs::write(second.join("campaign.toml"), campaign("1, 2, 3")).expect("a file");
        fs::write(second.join("run.sh"), script("second")).expect("a file");
        Self { sandbox, second }
    }

    fn sp(&self, code: i32, arguments: &[&str]) -> Run {
        let output = self.sandbox.command_in(&self.second, arguments).output().expect("sp starts");
        let run = Run::of(&output);
        assert_eq!(run.code, code, "{arguments:?}: {run:?}");
        run
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let run = self.sp(0, &[arguments, &["--json"]].concat());
        serde_json::from_str(&run.stdout).expect("a JSON document")
    }

    /// The first one's place on the host, as `sp plan` tells it in the second folder.
    fn from(&self) -> String {
        let plan = self.json(&["plan"]);
        plan["others"][0]["instance"].as_str().expect("an instance").to_owned()
    }

    fn ran(&self) -> Vec<String> {
        let text = fs::read_to_string(self.sandbox.home().join("ran")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn states(&self) -> Vec<String> {
        let table = self.json(&["results"]);
        let rows = table["rows"].as_array().expect("rows").iter();
        rows.map(|row| row["state"].as_str().unwrap_or("").to_owned()).collect()
    }
}

#[test]
fn results_of_another_copy_are_taken_over_on_request() {
    let two = Two::new();
    let from = two.from();
    let root = two.sandbox.root();
    let theirs = root.join("v2").join(&from);
    let before = shell(&theirs, "find . -type f -exec md5sum {} + | sort");
    let listed = two.sp(0, &["adopt", &from]);
    assert!(listed.stderr.contains("Nothing was taken over: `-y` does it."), "{listed:?}");
    assert_eq!(listed.stdout.matches(", other than here").count(), 2, "{listed:?}");
    let file = two.sandbox.campaign().join("campaign.toml");
    assert!(listed.stdout.contains(&format!("of `{}`", file.display())), "{listed:?}");
    let listed = two.json(&["adopt", &from]);
    assert_eq!(
        (&listed["adopted"], listed["results"].as_array().map(Vec::len)),
        (&false.into(), Some(2))
    );
    assert_ne!(listed["code"], listed["results"][0]["code"]);
    assert_eq!(two.states(), ["pending", "pending", "pending"]);

    let taken = two.sp(0, &["adopt", &from, "-y"]);
    assert!(taken.stderr.contains("Taken over: 2 results."), "{taken:?}");
    assert_eq!(two.states(), ["succeeded", "succeeded", "pending"]);
    assert_eq!(shell(&theirs, "find . -type f -exec md5sum {} + | sort"), before);
    assert_eq!(two.sp(0, &["apply", "-y"]).code, 0);
    assert_eq!(two.ran(), ["first 1", "first 2", "second 3"]);
    let out = PathBuf::from(two.sp(0, &["path", "n=1"]).stdout.trim());
    assert_eq!(fs::read_to_string(out.join("x")).expect("a result"), "result of first\n");
    assert!(out.starts_with(&root) && !out.starts_with(&theirs), "{out:?}");
    let explained = two.sp(0, &["explain", "n=1"]).stdout;
    assert!(explained.contains(&format!("adopted from={from} n=1")), "{explained}");

    // Neither a new checkpoint nor the end of the other copy changes it.
    fs::remove_dir_all(&theirs).expect("it goes");
    let state = two.second.join(".sp/study");
    shell(&state, "rm checkpoint.db*");
    fs::remove_file(places(&root, "study").remove(0).join("journal")).expect("a journal");
    assert_eq!(two.states(), ["succeeded", "succeeded", "succeeded"]);
    assert!(out.join("x").exists());
}

#[test]
fn an_attempt_of_ones_own_stays_and_what_runs_is_let_be() {
    let two = Two::new();
    let from = two.from();
    fs::write(two.sandbox.home().join("fail"), "").expect("a file");
    two.sp(100, &["apply", "-y", "-F", "n == 1"]);
    fs::remove_file(two.sandbox.home().join("fail")).expect("it goes");
    fs::write(two.sandbox.home().join("wait"), "").expect("a file");
    two.sp(0, &["apply", "-y", "--detach", "-F", "n == 2"]);
    wait_until("the second one runs", || two.ran().contains(&"second 2".to_owned()));
    let refused = two.sp(1, &["adopt", &from, "n=2", "-y"]);
    assert!(refused.stderr.contains("job `n=2` is under way here"), "{refused:?}");
    // By the start of the id, and by all that has no result.
    let id = from.split_once('~').expect("an instance").1;
    two.sp(0, &["adopt", &id[..4], "-y"]);
    assert_eq!(two.states(), ["succeeded", "running", "pending"]);
    let explained = two.sp(0, &["explain", "n=1"]).stdout;
    assert!(explained.contains("Attempt 1 on local: failed"), "{explained}");
    assert!(explained.contains("Attempt 2 on local: succeeded"), "{explained}");
    let refused = two.sp(1, &["adopt", &from, "n=1", "-y"]);
    assert!(refused.stderr.contains("job `n=1` has a result here"), "{refused:?}");
    let nothing = two.sp(0, &["adopt", &from, "n=3", "-y"]);
    assert!(nothing.stderr.contains("has no result of job `n=3`"), "{nothing:?}");
    let unknown = two.sp(1, &["adopt", "nowhere", "-y"]);
    assert!(unknown.stderr.contains(&format!("there is `{from}`")), "{unknown:?}");
    fs::remove_file(two.sandbox.home().join("wait")).expect("it goes");
    two.sp(0, &["wait"]);
    // What was begun and cut off is no attempt, and goes.
    let place = places(&two.sandbox.root(), "study");
    let ours = place.iter().find(|place| !place.ends_with(&from)).expect("ours");
    let job =
        fs::read_dir(ours.join("jobs")).expect("jobs").flatten().next().expect("a job").path();
    fs::create_dir(job.join("try-9.adopt-999999")).expect("a folder");
    let listed = two.sp(0, &["gc", "--dry-run"]);
    assert!(
        listed.stdout.contains("1 folder prepared for attempts that never began"),
        "{listed:?}"
    );
    assert!(!files_below(&two.sandbox.root().join("v2").join(&from)).is_empty());
}

/// A damaged record of the other copy is told of, and the others are offered all the same.
#[test]
fn a_record_that_cannot_be_read_is_told_of() {
    let two = Two::new();
    let from = two.from();
    let theirs = two.sandbox.root().join("v2").join(&from);
    shell(&theirs, "set -- jobs/*/1/state; sed -i 's/^\\(end id=[^ ]*\\) .*/\\1 n=none ./' \"$1\"");
    let listed = two.sp(0, &["adopt", &from]);
    assert!(listed.stderr.contains("a line of its answer was refused"), "{listed:?}");
    assert_eq!(listed.stdout.matches("attempt 1 on local").count(), 1, "{listed:?}");
}

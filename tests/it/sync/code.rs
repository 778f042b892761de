//! `code-change`: what it is to have run with other code.

use super::campaign;
use crate::support::{Run, Sandbox, shell};

fn summary(run: &Run) -> String {
    run.stdout.lines().rfind(|line| line.starts_with("Plan: ")).unwrap_or_default().to_owned()
}

const IN_PLACE: &str =
    "name = 'c'\ncommand = 'true'\ninputs = ['input']\n[sync]\nnot-code = ['*.md', 'input']\n";

fn in_place() -> Sandbox {
    let sandbox = Sandbox::with(IN_PLACE);
    for path in ["bench.py", "lib/x.py", "readme.md", "input", "old.py"] {
        sandbox.write(path, "1");
    }
    sandbox.expect(0, &["apply"]);
    sandbox
}

#[test]
fn other_code_is_told_in_one_line() {
    let sandbox = in_place();
    sandbox.write("readme.md", "2");
    sandbox.write("campaign.toml", &format!("description = 'edited'\n{IN_PLACE}"));
    let run = sandbox.expect(0, &["plan"]);
    assert!(!run.stderr.contains("other code"), "{}", run.stderr);
    sandbox.write("lib/x.py", "2");
    sandbox.write("new.py", "2");
    shell(&sandbox.campaign(), "rm old.py");
    let folder = sandbox.campaign().canonicalize().expect("a folder");
    let line = format!(
        "warning: 1 finished job ran with other code than `{}` has now: lib/x.py (changed), old.py (gone); \
         `sp apply --code-change rerun` runs it again, and `[sync] not-code = [\"/lib/x.py\", \"/old.py\"]` says that jobs do \
         not depend on it\n",
        folder.display()
    );
    for words in [&["plan"][..], &["apply"]] {
        let run = sandbox.expect(0, words);
        assert!(run.stderr.contains(&line), "{}", run.stderr);
    }
    let run = sandbox.expect(0, &["plan", "--code-change", "ignore"]);
    assert!(!run.stderr.contains("other code"), "{}", run.stderr);
    // What it was is not known any more; that it was another is.
    shell(&sandbox.campaign(), "rm -r .sp/c/lists");
    let run = sandbox.expect(0, &["plan"]);
    assert!(run.stderr.contains("and what that was is not on record here;"), "{}", run.stderr);
}

#[test]
fn other_code_runs_again_where_that_is_asked_for() {
    let sandbox = in_place();
    assert_eq!(
        summary(&sandbox.expect(0, &["plan", "--code-change", "rerun"])),
        "Plan: nothing to do; 1 done."
    );
    sandbox.write("bench.py", "2");
    assert_eq!(summary(&sandbox.expect(0, &["plan"])), "Plan: nothing to do; 1 done.");
    let run = sandbox.expect(0, &["plan", "--code-change", "rerun"]);
    assert!(run.stdout.contains("code-changed"), "{}", run.stdout);
    sandbox.write("campaign.toml", &format!("code-change = 'rerun'\n{IN_PLACE}"));
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.results("c")[0]["attempt"], 2);
    assert_eq!(summary(&sandbox.expect(0, &["plan"])), "Plan: nothing to do; 1 done.");
    // Back again is another code as well.
    sandbox.write("bench.py", "1");
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.results("c")[0]["attempt"], 3);
}

#[test]
fn a_saved_plan_is_of_its_code() {
    let sandbox = in_place();
    sandbox.write("bench.py", "2");
    sandbox.expect(0, &["plan", "--code-change", "rerun", "--out", "saved.plan"]);
    sandbox.write("lib/x.py", "2");
    let run = sandbox.expect(1, &["apply", "saved.plan"]);
    assert!(run.stderr.contains("the code has changed"), "{}", run.stderr);
    sandbox.write("lib/x.py", "1");
    sandbox.expect(0, &["apply", "saved.plan"]);
    assert_eq!(sandbox.results("c")[0]["attempt"], 2);
}

#[test]
fn a_damaged_cache_changes_nothing() {
    let sandbox = in_place();
    let cache = sandbox.campaign().join(".sp/c/files.cache");
    for damage in ["echo x >> .sp/c/files.cache", ": > .sp/c/files.cache", "rm .sp/c/files.cache"] {
        assert!(cache.exists());
        shell(&sandbox.campaign(), damage);
        assert_eq!(
            summary(&sandbox.expect(0, &["plan", "--code-change", "rerun"])),
            "Plan: nothing to do; 1 done."
        );
    }
}

#[test]
fn a_snapshot_has_the_digest_of_its_code() {
    let sandbox = Sandbox::with(&campaign("true", "[sync]\nnot-code = ['data']\n"));
    sandbox.write("code", "1");
    sandbox.write("data", "1");
    sandbox.expect(0, &["apply"]);
    sandbox.write("data", "2");
    assert_eq!(
        summary(&sandbox.expect(0, &["plan", "--code-change", "rerun"])),
        "Plan: nothing to do; 1 done."
    );
    sandbox.write("code", "2");
    sandbox.expect(0, &["apply", "--code-change", "rerun"]);
    assert_eq!(super::folders(&sandbox).len(), 2);
}

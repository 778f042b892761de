//! A campaign whose folder its user may not write: what only looks works, what must keep something says where.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::support::{Sandbox, commit, shell};

const CAMPAIGN: &str = r#"
name = "shared"
command = "echo job {{ n }}"
[matrix]
n = [1, 2]
"#;

fn set_mode(path: PathBuf, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// What lies in the campaign's folder, and in that of temporary files.
fn listed(sandbox: &Sandbox) -> String {
    shell(sandbox.path(), "ls -A work; ls -A tmp")
}

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::with(CAMPAIGN);
    fs::create_dir(sandbox.path().join("tmp")).expect("a folder");
    let temporary = sandbox.path().join("tmp").display().to_string();
    sandbox.set("TMPDIR", &temporary);
    sandbox
}

#[test]
fn folder_without_a_checkpoint_can_be_looked_at() {
    let sandbox = sandbox();
    set_mode(sandbox.campaign(), 0o555);
    let before = listed(&sandbox);
    sandbox.expect_as_user(0, &["validate"]);
    let plan = sandbox.expect_as_user(0, &["plan"]);
    assert!(plan.stdout.contains("2 to run"), "{plan:?}");
    assert!(plan.stderr.contains("nothing of this is kept"), "{plan:?}");
    let status = sandbox.expect_as_user(0, &["status"]);
    assert!(status.stdout.contains("2 pending"), "{status:?}");
    let results = sandbox.expect_as_user(0, &["results", "--format", "csv"]);
    assert_eq!(results.stdout.matches("pending").count(), 2, "{results:?}");
    let explain = sandbox.expect_as_user(0, &["explain", "n=1"]);
    assert!(explain.stdout.contains("n=1"), "{explain:?}");
    assert_eq!(listed(&sandbox), before);
    set_mode(sandbox.campaign(), 0o755);
}

#[test]
fn apply_says_which_folder_it_needs_and_is_content_with_that_one() {
    let sandbox = sandbox();
    set_mode(sandbox.campaign(), 0o555);
    for command in [&["apply"][..], &["wait"], &["cancel", "--all"]] {
        let run = sandbox.expect_as_user(1, command);
        let state = sandbox.campaign().join(".sp").display().to_string();
        assert!(
            run.stderr.contains(&format!("help: `{state}` must be a folder that you may write")),
            "{run:?}"
        );
    }
    set_mode(sandbox.campaign(), 0o755);
    fs::create_dir(sandbox.campaign().join(".sp")).expect("a folder");
    set_mode(sandbox.campaign().join(".sp"), 0o700);
    set_mode(sandbox.campaign(), 0o555);
    sandbox.expect_as_user(0, &["apply"]);
    assert_eq!(sandbox.results("shared").len(), 2);
    set_mode(sandbox.campaign(), 0o755);
}

#[test]
fn what_was_kept_before_is_still_known() {
    let sandbox = sandbox();
    sandbox.expect_as_user(0, &["apply", "-F", "n == 1"]);
    shell(&sandbox.campaign(), "chmod -R a-w . .sp");
    let before = listed(&sandbox);
    let status = sandbox.expect_as_user(0, &["status", "--offline"]);
    assert!(status.stdout.contains("1 pending, 1 succeeded"), "{status:?}");
    let plan = sandbox.expect_as_user(0, &["plan"]);
    assert!(plan.stdout.contains("1 to run, 1 done or left"), "{plan:?}");
    assert_eq!(sandbox.expect_as_user(0, &["logs", "n=1"]).stdout, "job 1\n");
    assert_eq!(listed(&sandbox), before);
    shell(&sandbox.campaign(), "chmod -R u+w . .sp");
}

/// The folder of somebody else, whose `.sp` is theirs alone.
#[test]
fn state_of_another_user_is_as_good_as_none() {
    let sandbox = sandbox();
    commit(&sandbox.campaign());
    fs::create_dir(sandbox.campaign().join(".sp")).expect("a folder");
    set_mode(sandbox.campaign().join(".sp"), 0o000);
    let plan = sandbox.expect_as_user(0, &["plan"]);
    assert!(plan.stdout.contains("2 to run"), "{plan:?}");
    let apply = sandbox.expect_as_user(1, &["apply"]);
    assert!(apply.stderr.contains("must be a folder that you may write"), "{apply:?}");
    set_mode(sandbox.campaign().join(".sp"), 0o700);
}

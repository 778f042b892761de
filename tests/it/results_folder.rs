//! `[results] dir`: a folder that a campaign shares with its user, and with no other campaign.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;
use std::path::Path;

use crate::support::{Run, Sandbox, commit, places, shell, wait_until};

/// A campaign of this name with two jobs, whose tables go into `dir`.
fn campaign(name: &str, dir: &str, more: &str) -> String {
    format!(
        "name = '{name}'\ncommand = 'echo {{{{ n }}}} >>~/ran'\n[matrix]\nn = [1, 2]\n[results]\ndir = '{dir}'\n{more}"
    )
}

const SNAPSHOT: &str = "[hosts.local]\nsnapshot = true\n";

fn ran(sandbox: &Sandbox) -> usize {
    fs::read_to_string(sandbox.home().join("ran")).unwrap_or_default().lines().count()
}

#[track_caller]
fn sp(sandbox: &Sandbox, folder: &Path, arguments: &[&str], code: i32) -> Run {
    let run = Run::of(&sandbox.command_in(folder, arguments).output().expect("sp starts"));
    assert_eq!(run.code, code, "{arguments:?}: {run:?}");
    run
}

/// Paths of the newest snapshot's tree.
fn sent(sandbox: &Sandbox, campaign: &str) -> Vec<String> {
    let snapshots = sandbox.place(campaign).join("snapshots");
    let text = shell(&snapshots, "cd [0-9a-f]*/tree && find . ! -type d | sort");
    text.lines().map(|line| line.trim_start_matches("./").to_owned()).collect()
}

#[test]
fn file_of_the_user_is_kept_byte_for_byte() {
    let own = "my,own\n1,2\n";
    for (dir, path, make) in [
        ("results", "results/results.csv", ""),
        (".", "results.csv", ""),
        ("a/b", "a/b/attempts.csv", ""),
        ("results", "results/results.jsonl", "ln -sf ../kept results/results.jsonl"),
        (
            "results",
            "results/attempts.csv",
            "rm results/attempts.csv; ln ../outside results/attempts.csv",
        ),
    ] {
        let sandbox = Sandbox::with(&campaign("own", dir, ""));
        sandbox.write(path, own);
        sandbox.write("kept", own);
        fs::write(sandbox.path().join("outside"), own).expect("a file");
        shell(&sandbox.campaign(), make);
        let what = format!("{dir} {make}");
        for command in ["validate", "plan", "apply"] {
            let run = sandbox.expect(1, &[command]);
            let name = sandbox.campaign().join(path).display().to_string();
            assert!(run.stderr.contains(&name), "{what}: {run:?}");
            assert!(run.stderr.contains("another `dir` below `[results]`"), "{what}: {run:?}");
        }
        // Before anything ran.
        assert_eq!((ran(&sandbox), sandbox.read(path)), (0, own.to_owned()), "{what}");
        assert_eq!(sandbox.read("kept"), own);
        // What the message says helps.
        sandbox.write("campaign.toml", &campaign("own", "elsewhere", ""));
        sandbox.expect(0, &["apply"]);
        assert_eq!(sandbox.read("elsewhere/results.csv").lines().count(), 3);
        assert_eq!(sandbox.read(path), own);
    }
}

#[test]
fn own_tables_are_replaced_and_nothing_else_in_the_folder() {
    let sandbox = Sandbox::with(&campaign("mine", "out", ""));
    sandbox.write("out/notes.md", "mine");
    sandbox.expect(0, &["apply", "-F", "n == 1"]);
    assert_eq!(sandbox.read("out/results.csv").matches("succeeded").count(), 1);
    for command in ["validate", "plan"] {
        sandbox.expect(0, &[command]);
    }
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.read("out/results.csv").matches("succeeded").count(), 2);
    assert_eq!(sandbox.read("out/attempts.csv").lines().count(), 3);
    assert_eq!(sandbox.read("out/notes.md"), "mine");
    // A table that was removed comes back, as does one that a power cut left empty.
    fs::remove_file(sandbox.campaign().join("out/results.jsonl")).expect("it goes");
    sandbox.write("out/results.csv", "");
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.read("out/results.jsonl").lines().count(), 2);
    assert_eq!(sandbox.read("out/results.csv").lines().count(), 3);
    let names = shell(&sandbox.campaign(), "ls -A out");
    assert_eq!(names, ".sp-results\nattempts.csv\nnotes.md\nresults.csv\nresults.jsonl\n");
}

#[test]
fn table_that_the_user_edited_is_not_lost() {
    let sandbox = Sandbox::with(&campaign("mine", "out", ""));
    sandbox.expect(0, &["apply", "-F", "n == 1"]);
    let edited = sandbox.read("out/results.csv") + "remark,of,mine\n";
    sandbox.write("out/results.csv", &edited);
    let run = sandbox.expect(1, &["apply"]);
    assert!(run.stderr.contains("was changed since sp wrote it"), "{run:?}");
    assert_eq!((sandbox.read("out/results.csv"), ran(&sandbox)), (edited.clone(), 1));
    shell(&sandbox.campaign(), "mv out/results.csv out/annotated.csv");
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.read("out/results.csv").matches("succeeded").count(), 2);
    assert_eq!(sandbox.read("out/annotated.csv"), edited);
}

#[test]
fn edit_while_jobs_run_costs_neither_the_edit_nor_the_results() {
    let sandbox = Sandbox::with(
        "name = 'mine'\ncommand = 'until [ -e ~/go ]; do sleep 0.02; done'\n[results]\ndir = 'out'\n",
    );
    let apply = sandbox.spawn(&["apply"]);
    wait_until("the first tables are there", || !sandbox.read("out/attempts.csv").is_empty());
    sandbox.write("out/results.csv", "mine");
    fs::write(sandbox.home().join("go"), "").expect("a file");
    let run = crate::support::finish(apply);
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(run.stderr.matches("was changed since sp wrote it").count(), 1, "{run:?}");
    assert!(run.stderr.contains("`sp results` prints them"), "{run:?}");
    assert!(run.stderr.contains("1 job: 1 succeeded"), "{run:?}");
    assert_eq!(sandbox.read("out/results.csv"), "mine");
    assert_eq!(sandbox.states(), [("succeeded".to_owned(), "ok".to_owned())]);
    assert!(sandbox.expect(0, &["results", "--format", "csv"]).stdout.contains("succeeded"));
    fs::remove_file(sandbox.campaign().join("out/results.csv")).expect("it goes");
    sandbox.expect(0, &["apply"]);
    assert!(sandbox.read("out/results.csv").contains("succeeded"));
}

#[test]
fn two_campaigns_do_not_replace_each_others_tables() {
    for (dir, second) in [("shared", "shared"), (".", "."), ("shared", "./shared/")] {
        let sandbox = Sandbox::with(&campaign("first", dir, ""));
        sandbox.write("second.toml", &campaign("second", second, ""));
        sandbox.expect(0, &["apply"]);
        let tables = shell(&sandbox.campaign(), &format!("cd {dir}; cat *.csv *.jsonl"));
        for command in ["validate", "plan", "apply"] {
            let run = sandbox.expect(1, &[command, "second.toml"]);
            assert!(run.stderr.contains("belongs to the campaign `first`"), "{run:?}");
        }
        assert_eq!(shell(&sandbox.campaign(), &format!("cd {dir}; cat *.csv *.jsonl")), tables);
        assert_eq!(ran(&sandbox), 2);
        sandbox.write("second.toml", &campaign("second", "second", ""));
        sandbox.expect(0, &["apply", "second.toml"]);
        sandbox.expect(0, &["apply"]);
    }
}

#[test]
fn first_of_two_campaigns_has_the_folder_from_its_start() {
    let sandbox = Sandbox::with(
        "name = 'first'\ncommand = 'until [ -e ~/go ]; do sleep 0.02; done'\n[results]\ndir = 'out'\n",
    );
    sandbox.write("second.toml", &campaign("second", "out", ""));
    sandbox.expect(0, &["apply", "-d"]);
    let run = sandbox.expect(1, &["apply", "second.toml"]);
    assert!(run.stderr.contains("belongs to the campaign `first`"), "{run:?}");
    fs::write(sandbox.home().join("go"), "").expect("a file");
    sandbox.expect(0, &["apply"]);
    assert!(sandbox.read("out/results.csv").contains("succeeded"));
}

#[test]
fn copied_folder_leaves_the_tables_of_the_first() {
    let sandbox = Sandbox::with(&campaign("bench", "results", ""));
    sandbox.expect(0, &["apply"]);
    shell(sandbox.path(), "cp -r work copy");
    let copy = sandbox.path().join("copy");
    let run = sp(&sandbox, &copy, &["apply"], 1);
    assert!(run.stderr.contains("tables of another copy of the campaign `bench`"), "{run:?}");
    assert!(run.stderr.contains("remove them and `.sp-results` there"), "{run:?}");
    assert_eq!(ran(&sandbox), 2);
    shell(&copy, "rm -r results");
    sp(&sandbox, &copy, &["apply"], 0);
    assert_eq!((ran(&sandbox), places(&sandbox.root(), "bench").len()), (4, 2));
    sandbox.expect(0, &["apply"]);
}

#[test]
fn clone_goes_on_with_tables_that_were_committed() {
    let sandbox = Sandbox::with(&campaign("bench", "results", ""));
    commit(&sandbox.campaign());
    sandbox.expect(0, &["apply", "-F", "n == 1"]);
    commit(&sandbox.campaign());
    shell(sandbox.path(), "git clone -q work clone");
    let clone = sandbox.path().join("clone");
    sp(&sandbox, &clone, &["validate"], 0);
    sp(&sandbox, &clone, &["apply"], 0);
    let table = fs::read_to_string(clone.join("results/results.csv")).expect("a table");
    assert_eq!(table.matches("succeeded").count(), 2);
}

#[test]
fn only_what_sp_wrote_is_left_out_of_the_code() {
    for git in [false, true] {
        let sandbox = Sandbox::with(&campaign("c", ".", SNAPSHOT));
        for path in ["run.sh", "data/a", "results.txt"] {
            sandbox.write(path, path);
        }
        if git {
            commit(&sandbox.campaign());
        }
        let tree = ["campaign.toml", "data/a", "results.txt", "run.sh"];
        sandbox.expect(0, &["apply"]);
        assert_eq!(sent(&sandbox, "c"), tree, "git: {git}");
        // The tables are there by now; the code is the same.
        let run = sandbox.expect(0, &["apply"]);
        assert!(!run.stderr.contains("other code"), "{run:?}");
        assert_eq!(sent(&sandbox, "c"), tree);
    }
    // A folder of data that the tables go into.
    let sandbox = Sandbox::with(&campaign("c", "data", SNAPSHOT));
    for path in ["data/a", "data/sub/results.csv", "data/.hidden"] {
        sandbox.write(path, path);
    }
    sandbox.expect(0, &["apply"]);
    sandbox.expect(0, &["apply"]);
    let expected = ["campaign.toml", "data/.hidden", "data/a", "data/sub/results.csv"];
    assert_eq!(sent(&sandbox, "c"), expected);
    // A table of the user's own is data, whatever its name.
    let sandbox = Sandbox::with(&campaign("c", "data", SNAPSHOT));
    sandbox.write("data/results.csv", "mine");
    let listed = sandbox.expect(0, &["sync", "--dry-run", "--json"]).stdout;
    assert!(listed.contains("\"files\":2"), "{listed}");
}

#[test]
fn folder_behind_a_link_or_in_the_way_is_refused() {
    for (dir, make, told) in [
        ("out", "ln -s ../elsewhere out", "is a link"),
        ("out/deep", "ln -s ../elsewhere out", "is a link"),
        ("out", "ln -s nowhere out", "is a link"),
        ("out", "echo x >out", "is no folder"),
        ("out", "mkdir out; echo '{}' >out/.sp-results", "does not say which tables"),
        ("out", "mkdir out; ln -s ../kept out/.sp-results", "does not say which tables"),
        ("out", "mkdir -p out/results.csv", "is no plain file"),
    ] {
        let sandbox = Sandbox::with(&campaign("c", dir, ""));
        shell(sandbox.path(), "mkdir elsewhere; echo kept >work/kept");
        shell(&sandbox.campaign(), make);
        for command in ["validate", "plan", "apply"] {
            let run = sandbox.expect(1, &[command]);
            assert!(run.stderr.contains(told), "{make}: {run:?}");
            assert!(run.stderr.contains("help: "), "{make}: {run:?}");
        }
        let written = fs::read_dir(sandbox.path().join("elsewhere")).expect("a folder").count();
        assert_eq!((written, ran(&sandbox), sandbox.read("kept")), (0, 0, "kept\n".to_owned()));
    }
}

#[test]
fn interruption_leaves_no_table_that_is_taken_for_the_users() {
    // The first tables, and those that take their place.
    for (point, again) in [
        ("results.listed:1", false),
        ("results.replaced:1", false),
        ("results.replaced:2", false),
        ("results.listed:1", true),
        ("results.replaced:1", true),
    ] {
        let mut sandbox = Sandbox::with(&campaign("c", "out", ""));
        if again {
            sandbox.expect(0, &["apply"]);
        }
        sandbox.set("SP_CRASH_AT", point);
        let died = sandbox.sp(&["apply", "--yes", "--rerun", "all"]);
        assert!(died.code < 0, "{point}: {died:?}");
        sandbox.unset("SP_CRASH_AT");
        sandbox.expect(0, &["apply"]);
        assert_eq!(sandbox.read("out/results.csv").matches("succeeded").count(), 2, "{point}");
    }
}

//! Files of a stranger's folder that are none: links that lead out of it, pipes and devices, and what lies where `sp` keeps
//! its own.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use crate::support::{Run, Sandbox, commit, in_toml, shell};

const SECRET: &str = "not-to-be-shown";

/// A folder with a secret beside it, and links, pipes and devices in it.
fn folder() -> Sandbox {
    let sandbox = Sandbox::new();
    shell(
        &sandbox.campaign(),
        &format!(
            "mkdir ../beside d; echo {SECRET} >../beside/secret; echo 1 >plain; echo 2 >d/x; ln -s plain in; mkfifo pipe
             ln -s /dev/zero zero; ln -s ../beside/secret out; ln -s ../beside away; ln -s / top
             truncate -s 65M large"
        ),
    );
    sandbox
}

fn campaign(axis: &str, more: &str) -> String {
    format!("name = 'c'\ncommand = 'echo {{{{ x }}}}'\n{more}\n[matrix]\nx = {axis}\n")
}

/// What a plan reads is what came with the campaign: nothing else is shown, waited for or read without an end.
#[test]
fn a_plan_reads_plain_files_of_the_tree() {
    let sandbox = folder();
    for (axis, more, code, words) in [
        ("{ lines = 'in' }", "", 0, &["x=1"][..]),
        ("{ glob = 'in' }", "inputs = ['in', 'plain', 'd/*']", 0, &["x=in"]),
        ("{ glob = '*' }", "[sync]\nexclude = ['x']", 1, &["`out`", "leads out of the folder"]),
        ("{ lines = 'out' }", "", 1, &["`out`", "leads out of the folder", "copy `"]),
        ("{ lines = 'away/secret' }", "", 1, &["`away/secret`", "leads out of the folder"]),
        ("{ lines = 'pipe' }", "", 1, &["`pipe`: it is a named pipe", "plain file"]),
        ("{ lines = 'zero' }", "", 1, &["`zero`", "leads out of the folder, to `/dev/zero`"]),
        ("{ lines = 'large' }", "", 1, &["`large`: it has more than 64 MiB"]),
        ("{ glob = 'pipe' }", "", 1, &["`pipe`: it is a named pipe"]),
        ("{ glob = 'away/*' }", "", 1, &["`away`", "leads out of the folder"]),
        ("{ glob = 'top/**/*' }", "", 1, &["`top`", "leads out of the folder, to `/`"]),
        ("{ glob = '**/*.txt' }", "working-dir = 'top'", 1, &["`top`", "leads out of the folder"]),
        ("[1]", "inputs = ['pipe']", 1, &["`pipe`: it is a named pipe"]),
        ("[1]", "inputs = ['zero']", 1, &["`zero`", "leads out of the folder"]),
        ("[1]", "inputs = ['out']", 1, &["`out`", "leads out of the folder", "copy `"]),
        ("[1]", "inputs = ['away/*']", 1, &["`away`", "leads out of the folder"]),
    ] {
        sandbox.write("campaign.toml", &campaign(axis, more));
        for command in ["validate", "plan"] {
            let run = sandbox.sp(&[command]);
            let text = format!("{}{}", run.stdout, run.stderr);
            assert!(!text.contains(SECRET), "{axis} {more}\n{text}");
            if command == "plan" {
                assert_eq!(run.code, code, "{axis} {more}\n{text}");
                let missing = words.iter().find(|word| !text.contains(**word));
                assert_eq!(missing, None, "{axis} {more}\n{text}");
            }
        }
    }
}

#[test]
fn a_campaign_file_is_a_plain_file_of_its_folder() {
    let sandbox = folder();
    sandbox.write("d/real.toml", &campaign("[1]", ""));
    shell(&sandbox.campaign(), "ln -s d/real.toml linked.toml");
    for (file, code, words) in [
        ("linked.toml", 0, "1 job"),
        ("out", 1, "`out` is a link that leads out of its folder, to `"),
        ("zero", 1, "`zero` is a link that leads out of its folder, to `/dev/zero`"),
        ("pipe", 1, "cannot read `pipe`: it is a named pipe"),
        ("large", 1, "cannot read `large`: it has more than 64 MiB"),
        ("d", 1, "cannot read `d`: is a directory"),
    ] {
        for command in ["plan", "apply", "status"] {
            let run = sandbox.sp(&[command, file]);
            let text = format!("{}{}", run.stdout, run.stderr);
            assert!(!text.contains(SECRET), "{file}\n{text}");
            assert_eq!(run.code, code, "sp {command} {file}\n{text}");
            assert!(code == 0 || text.contains(words), "sp {command} {file}\n{text}");
        }
    }
}

/// A list of ignored files that has no end, in a folder without git.
#[test]
fn a_gitignore_is_a_plain_file() {
    for place in [".gitignore", "d/.gitignore"] {
        for make in ["mkfifo", "ln -s /dev/zero"] {
            let sandbox = folder();
            shell(&sandbox.campaign(), &format!("{make} {place}"));
            sandbox.write("campaign.toml", &campaign("[1]", ""));
            let run = sandbox.expect(0, &["plan"]);
            assert!(run.stderr.contains("the code is not compared: cannot read"), "{}", run.stderr);
            assert!(run.stderr.contains(place), "{}", run.stderr);
        }
    }
}

#[test]
fn what_sp_keeps_is_reached_by_no_link() {
    let text = campaign("[1]", "");
    // What can be made anew takes the place of the link.
    for (place, make, refused) in [
        (".sp", "folder", true),
        (".sp/c", "folder", true),
        (".sp/c/apply.lock", "file", true),
        (".sp/c/apply.lock", "pipe", true),
        (".sp/c/tables.lock", "file", true),
        (".sp/c/tables.lock", "pipe", true),
        (".sp/c/id", "file", true),
        (".sp/c/id", "pipe", true),
        (".sp/c/checkpoint.db", "file", true),
        (".sp/c/checkpoint.db-journal", "file", false),
        (".sp/c/logs", "folder", true),
        (".sp/c/lists", "folder", true),
        (".sp/c/files.cache", "file", false),
        (".sp/c/files.cache", "pipe", false),
        (".sp/c/results.csv", "file", false),
    ] {
        let tables = if place.ends_with("tables.lock") { "[results]\ndir = 'out'\n" } else { "" };
        let sandbox = Sandbox::with(&format!("{text}{tables}"));
        shell(
            &sandbox.campaign(),
            &format!(
                "mkdir -p ../beside/folder $(dirname {place}); echo {SECRET} >../beside/file; chmod 700 .sp || :
                 if [ {make} = pipe ]; then mkfifo {place}; else ln -s \"$PWD/../beside/{make}\" {place}; fi"
            ),
        );
        let run = sandbox.sp(&["apply"]);
        let beside = shell(sandbox.path(), "cat beside/file; ls -A beside/folder");
        assert_eq!(beside, format!("{SECRET}\n"), "{place} {make}\n{}", run.stderr);
        if refused {
            assert_eq!(run.code, 1, "{place} {make}\n{}{}", run.stdout, run.stderr);
            let wrong = if make == "pipe" { "it is a named pipe" } else { "it is a link" };
            assert!(run.stderr.contains(place) && run.stderr.contains(wrong), "{}", run.stderr);
        } else {
            assert_eq!(run.code, 0, "{place} {make}\n{}", run.stderr);
            let now = fs::symlink_metadata(sandbox.campaign().join(place));
            assert!(now.map_or(true, |now| now.is_file()), "{place} {make}");
        }
    }
}

#[test]
fn a_log_is_shown_from_a_plain_file() {
    let sandbox = Sandbox::with(&campaign("[1]", ""));
    sandbox.expect(0, &["apply"]);
    let id = sandbox.results("c")[0]["job_id"].as_str().expect("an id").to_owned();
    sandbox.wait_quiet();
    fs::remove_dir_all(sandbox.root()).expect("there is one");
    shell(
        &sandbox.campaign(),
        &format!(
            "echo {SECRET} >../secret; rm .sp/c/logs/{id}.1.log; ln -s \"$PWD/../secret\" .sp/c/logs/{id}.1.log"
        ),
    );
    let run = sandbox.sp(&["logs", "x=1"]);
    assert!(run.code != 0 && !run.stdout.contains(SECRET), "{run:?}");
}

/// The root of this machine in the folder that is sent, where every apply writes.
#[test]
fn a_tree_does_not_hold_its_own_root() {
    for (root, git) in [("root", false), ("root", true), ("link/sub", false), ("", false)] {
        let sandbox = Sandbox::new();
        shell(&sandbox.campaign(), "mkdir real; ln -s real link");
        let path = sandbox.campaign().join(root);
        let hosts = format!("[hosts.local]\nsnapshot = true\nroot = {}\n", in_toml(path));
        let text = |values: &str| campaign(values, "") + &hosts;
        sandbox.write("campaign.toml", &text("[1]"));
        if git {
            commit(&sandbox.campaign());
        }
        sandbox.expect(0, &["apply"]);
        for values in ["[1, 2]", "[1, 2, 3]"] {
            sandbox.write("campaign.toml", &text(values));
            let run = sandbox.expect(0, &["apply"]);
            assert!(!run.stderr.contains("changes while"), "{root}\n{}", run.stderr);
        }
        let listed = sandbox.expect(0, &["plan", "--show", "files"]);
        assert!(!listed.stdout.contains("v2/"), "{root}\n{}", listed.stdout);
    }
}

#[test]
fn a_folder_that_no_job_can_be_told_is_refused_before_a_start() {
    let mut sandbox = Sandbox::new();
    let folder = sandbox.path().join(OsStr::from_bytes(b"bad\xffname"));
    fs::create_dir(&folder).expect("a folder");
    shell(&folder, "printf 'name = \"c\"\\ncommand = \"true\"\\n' >campaign.toml");
    let sp = |sandbox: &Sandbox, words: &[&str]| {
        Run::of(&sandbox.command_in(&folder, words).output().expect("sp starts"))
    };
    let run = sp(&sandbox, &["apply"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("is not UTF-8") && run.stderr.contains("rename it"), "{run:?}");
    assert!(sandbox.attempts("c", "state").is_empty());
    // A snapshot has a name of its own.
    shell(&folder, "printf '[hosts.local]\\nsnapshot = true\\n' >>campaign.toml");
    sandbox.set("LC_ALL", "C");
    let run = sp(&sandbox, &["apply"]);
    assert_eq!(run.code, 0, "{run:?}");
}

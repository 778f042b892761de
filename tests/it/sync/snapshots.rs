//! Snapshots on the host: jobs run in them, and what is not whole is never one.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::{all_snapshots, campaign, folders, replace, sync, tree};
use crate::support::{Sandbox, commit, finish, quoted, shell, wait_until};

#[test]
fn jobs_run_what_was_planned() {
    let mut sandbox = Sandbox::new();
    let go = sandbox.plain().join("go").display().to_string();
    let text = format!(
        "until [ -e {go} ]; do sleep 0.02; done; echo $SP_SNAPSHOT $(cat code) {{{{ x }}}}; [ \"$PWD\" = \"$SP_WORK_DIR\" ]"
    );
    sandbox.write("campaign.toml", &campaign(&text, "[matrix]\nx = [1, 2]\n"));
    sandbox.write("code", "old");
    sandbox.set("SP_SNAPSHOT", "not from here");
    sandbox.expect(0, &["apply", "--detach"]);
    sandbox.write("code", "new");
    fs::write(&go, "").expect("a file");
    sandbox.expect(0, &["wait"]);
    let name = folders(&sandbox).concat();
    for x in [1, 2] {
        let log = sandbox.expect(0, &["logs", &format!("x={x}")]).stdout;
        assert_eq!(log, format!("{name} old {x}\n"));
    }
    let status = sandbox.json(&["status"]);
    assert_eq!(status["jobs"][0]["snapshot"], name);
}

#[test]
fn an_unchanged_tree_is_not_sent_again() {
    let mut sandbox = Sandbox::with(&campaign("cat code", ""));
    sandbox.write("code", "1");
    let first = sync(&sandbox);
    replace(&mut sandbox, "rsync", "exit 99");
    assert_eq!(sync(&sandbox)["folder"], first["folder"]);
    assert_eq!(sync(&sandbox)["had_it"], true);
    // Times are no content.
    shell(&sandbox.campaign(), "touch -d 2001-01-01 code");
    sandbox.expect(0, &["apply"]);
    shell(&sandbox.campaign(), "chmod +x code");
    let run = sandbox.expect(1, &["sync"]);
    assert!(run.stderr.contains("rsync to host `local` failed"), "{}", run.stderr);
    assert_eq!(folders(&sandbox).len(), 1);
}

#[test]
fn unchanged_files_are_shared_and_nobody_may_write_them() {
    let mut sandbox = Sandbox::with(&campaign("true", ""));
    sandbox.write("same", "1");
    sandbox.write("d/other", "1");
    // The first one needs no rsync.
    replace(&mut sandbox, "rsync", "exit 99");
    let first = tree(&sandbox);
    replace(&mut sandbox, "rsync", "exec \"$REAL\" \"$@\"");
    sandbox.write("d/other", "22");
    let second = tree(&sandbox);
    assert_ne!(first, second);
    let about = |path: std::path::PathBuf| fs::metadata(path).expect("a file");
    assert_eq!(about(first.join("same")).ino(), about(second.join("same")).ino());
    assert_eq!(about(second.join("same")).permissions().mode() & 0o777, 0o400);
    assert_eq!(about(second.join("d")).permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_to_string(first.join("d/other")).expect("text"), "1");
}

/// By size and time the file is the same, for rsync too.
#[test]
fn a_change_that_does_not_show_is_sent() {
    let sandbox = Sandbox::with(&campaign("true", ""));
    sandbox.write("code", "1");
    shell(&sandbox.campaign(), "touch -d 2001-01-01 code");
    let first = tree(&sandbox);
    for forget in ["true", "rm -r .sp/c/lists"] {
        shell(
            &sandbox.campaign(),
            &format!(
                "echo $(($(cat code) + 1)) | tr -d '\\n' > code; touch -d 2001-01-01 code; {forget}"
            ),
        );
        let second = tree(&sandbox);
        assert_eq!(fs::read_to_string(second.join("code")).expect("text"), sandbox.read("code"));
    }
    assert_eq!(fs::read_to_string(first.join("code")).expect("text"), "1");
}

#[test]
fn a_sync_that_is_cut_is_never_used() {
    let mut sandbox = Sandbox::with(&campaign("cat a b", ""));
    sandbox.write("a", "0");
    let first = [sync(&sandbox)["folder"].as_str().expect("a folder").to_owned()];
    sandbox.write("a", "1");
    sandbox.write("b", "2");
    replace(
        &mut sandbox,
        "rsync",
        "for target; do :; done; echo 1 > \"$target/a\"; cat > /dev/null; kill -9 $$",
    );
    let run = sandbox.expect(75, &["apply"]);
    assert!(run.stderr.contains("was ended from outside"), "{}", run.stderr);
    assert_eq!(folders(&sandbox), first);
    assert_eq!(sandbox.states(), [("pending".to_owned(), String::new())]);
    // One that says all is well and sent half of it.
    replace(
        &mut sandbox,
        "rsync",
        "\"$REAL\" \"$@\" || exit; for target; do :; done; rm -f \"$target/b\"",
    );
    let run = sandbox.expect(75, &["apply"]);
    assert!(run.stderr.contains("did not get the tree as it was sent"), "{}", run.stderr);
    assert_eq!(folders(&sandbox), first);
    // The client dies in the midst of it.
    let hangs = sandbox.plain().join("hangs");
    replace(&mut sandbox, "rsync", &format!(": > {}; exec sleep 60", hangs.display()));
    let child = sandbox.spawn(&["apply"]);
    wait_until("rsync is at it", || hangs.exists());
    crate::support::signal(&child, rustix::process::Signal::KILL);
    finish(child);
    assert!(folders(&sandbox).iter().any(|name| name.starts_with("in.")));
    for (pid, line) in sandbox.leftovers() {
        if line.starts_with("sleep 60") {
            crate::support::kill(pid, rustix::process::Signal::KILL);
        }
    }
    replace(&mut sandbox, "rsync", "exec \"$REAL\" \"$@\"");
    sandbox.expect(0, &["apply"]);
    assert_eq!(folders(&sandbox).len(), 2);
    assert!(folders(&sandbox).iter().all(|name| !name.starts_with("in.")));
    assert_eq!(sandbox.expect(0, &["logs", "c"]).stdout, "12");
}

#[test]
fn a_file_that_changes_meanwhile_is_sent_again_or_refused() {
    let mut sandbox = Sandbox::with(&campaign("cat code", ""));
    sandbox.write("code", "0");
    sandbox.expect(0, &["sync"]);
    sandbox.write("code", "1");
    let source = quoted(sandbox.campaign().join("code"));
    let flag = sandbox.plain().join("flag").display().to_string();
    replace(
        &mut sandbox,
        "rsync",
        &format!(
            "\"$REAL\" \"$@\"; rc=$?; mkdir {flag} 2>/dev/null && echo 2 > {source}; exit $rc"
        ),
    );
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.expect(0, &["logs", "c"]).stdout, "2\n");
    sandbox.write("code", "3");
    replace(&mut sandbox, "rsync", &format!("\"$REAL\" \"$@\"; rc=$?; echo >> {source}; exit $rc"));
    let run = sandbox.expect(75, &["sync"]);
    assert!(run.stderr.contains("`code` changes while it is sent"), "{}", run.stderr);
    // Gone before rsync comes to it: the list is made again.
    fs::remove_dir(&flag).expect("a folder");
    sandbox.write("passing", "1");
    let passing = quoted(sandbox.campaign().join("passing"));
    replace(&mut sandbox, "rsync", &format!("rm -f {passing}; exec \"$REAL\" \"$@\""));
    assert!(!tree(&sandbox).join("passing").exists());
}

#[test]
fn ends_of_rsync_have_words() {
    let mut sandbox = Sandbox::with(&campaign("true", ""));
    let first = [sync(&sandbox)["folder"].as_str().expect("a folder").to_owned()];
    sandbox.write("code", "1");
    for (code, exit, words) in [
        (11, 1, "could not write the files there"),
        (12, 75, "lost its connection"),
        (255, 75, "lost its connection"),
        (1, 1, "did not understand its options"),
        (23, 1, "could not read every file"),
    ] {
        replace(&mut sandbox, "rsync", &format!("echo because >&2; exit {code}"));
        let run = sandbox.expect(exit, &["sync"]);
        assert!(run.stderr.contains(words) && run.stderr.contains("because"), "{}", run.stderr);
        assert_eq!(folders(&sandbox), first);
    }
}

#[test]
fn a_snapshot_that_was_changed_is_made_anew_beside_it() {
    let sandbox = Sandbox::with(&campaign("cat code; chmod u+w code; echo more >> code", ""));
    sandbox.write("code", "1\n");
    sandbox.expect(0, &["apply"]);
    let name = folders(&sandbox).concat();
    let run = sandbox.expect(0, &["apply", "-y", "--rerun", "all"]);
    assert!(run.stderr.contains("were changed on host `local`"), "{}", run.stderr);
    assert_eq!(folders(&sandbox), [name.clone(), format!("{name}.2")]);
    assert_eq!(sandbox.expect(0, &["logs", "c"]).stdout, "1\n");
    let old = all_snapshots(&sandbox).join(&name).join("tree/code");
    assert_eq!(fs::read_to_string(old).expect("text"), "1\nmore\n");
}

#[test]
fn two_clients_that_send_the_same_tree_both_succeed() {
    let sandbox = Sandbox::with(&campaign("true", ""));
    for number in 0..200 {
        sandbox.write(&format!("files/{number}"), &number.to_string());
    }
    commit(&sandbox.campaign());
    shell(sandbox.path(), "git clone -q work other");
    let other = sandbox.path().join("other");
    let children = [sandbox.campaign(), other.clone(), other]
        .map(|folder| sandbox.command_in(&folder, &["sync", "--json"]).spawn().expect("sp starts"));
    let runs = children.map(finish);
    for run in &runs {
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    assert_eq!(folders(&sandbox).len(), 1, "{:?}", folders(&sandbox));
}

/// The build is a stand-in for make: it builds when what it built is not newer than the source.
#[test]
fn a_kept_folder_is_a_snapshots_own() {
    let build = "[ target/bin -nt src ] || { cp -f src target/bin; touch target/built-$SP_SNAPSHOT; }; cat target/bin; ls target";
    let sandbox = Sandbox::with(&campaign(build, "[sync]\nkeep = ['target']\n"));
    sandbox.write("target/never-sent", "1");
    sandbox.write("src", "one\n");
    shell(&sandbox.campaign(), "touch -d 2001-01-01 src");
    sandbox.expect(0, &["apply"]);
    let first = folders(&sandbox).concat();
    let log = |sandbox: &Sandbox| sandbox.expect(0, &["logs", "c"]).stdout;
    assert_eq!(log(&sandbox), format!("one\nbin\nbuilt-{first}\n"));
    // What a setup that ended well notes.
    let root = sandbox.root();
    let script = fs::read_dir(root.join("v2/bin"))
        .expect("bin")
        .next()
        .expect("a script")
        .expect("a script");
    let home = quoted(sandbox.home());
    let set_up = format!(
        "HOME={home} sh {} snapshot_set_up {} n {} {first}",
        quoted(script.path()),
        quoted(&root),
        sandbox.place("c").file_name().expect("a name").display()
    );
    assert!(shell(sandbox.path(), &set_up).contains("noted ."));
    // Another source, older than what was built.
    sandbox.write("src", "two\n");
    shell(&sandbox.campaign(), "touch -d 1999-01-01 src");
    sandbox.expect(0, &["apply", "--code-change", "rerun"]);
    let second = folders(&sandbox).into_iter().find(|name| *name != first).expect("another");
    let mut built = [format!("built-{first}"), format!("built-{second}")];
    built.sort();
    assert_eq!(log(&sandbox), format!("two\nbin\n{}\n", built.join("\n")));
    // The first one is as it was.
    let old = all_snapshots(&sandbox).join(&first).join("tree/target/bin");
    assert_eq!(fs::read_to_string(old).expect("text"), "one\n");
}

#[test]
fn a_working_dir_without_files_is_refused_before_anything_starts() {
    let text = format!("working-dir = 'empty'\n{}", campaign("true", ""));
    let sandbox = Sandbox::with(&text);
    fs::create_dir(sandbox.campaign().join("empty")).expect("a folder");
    let run = sandbox.expect(1, &["apply"]);
    assert!(run.stderr.contains("`working-dir` `empty` has no file"), "{}", run.stderr);
}

//! The texts of a job: what must have gone well before they start, how their shells are found, and the rights of files.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use rustix::process::Signal;

use super::world::{Batch, Job, World, job, kill, quoted, verdict};

super::in_every_shell! {
    an_init_that_fails_is_the_reason what_init_leaves_is_there_for_all a_shell_is_found_by_the_accounts_path
    jobs_have_the_umask_of_the_account what_a_start_up_file_leaves_running_is_not_waited_for
}

/// With a text before and one after.
fn whole(command: &str) -> Job {
    let mut job = job(command);
    "; PREPARE() { script prepare 'echo prepare >>count'; }; CLEANUP() { script cleanup 'echo cleanup >>count'; }"
        .clone_into(&mut job.more);
    job
}

fn with_init(job: &Job, init: &str) -> Batch {
    let common = format!("B_INIT={} B_PREPARE=1 B_CLEANUP=1", quoted(init));
    Batch::new([job.clone()]).with(&common)
}

/// Nothing that needs it runs.
fn an_init_that_fails_is_the_reason(world: &World) {
    for (number, (init, wanted)) in [
        ("echo init >>count; (exit 3); echo never >>count", "failed init 3 none"),
        ("echo init >>count; exit 4", "failed init 4 none"),
        ("echo init >>count; exit 0", "failed init 126 none"),
        ("echo init >>count; kill -9 $$", "failed init 137 KILL"),
        ("echo init >>count; if", "failed init 2 none"),
    ]
    .into_iter()
    .enumerate()
    {
        let job = whole(&format!("echo {number} >>count"));
        // A text that is no shell text at all fails as a whole.
        let begins = !init.ends_with("if");
        let ends = world.run(&with_init(&job, init));
        let end = verdict(&ends, &job);
        if begins {
            assert_eq!(end, wanted, "{init}");
        } else {
            assert!(end.starts_with("failed init "), "{end}");
        }
        assert_eq!(world.lines("count"), if begins { vec!["init"] } else { vec![] }, "{init}");
        assert_eq!(ends[&format!("{}/1", job.id)]["cleanup"], "none");
        drop(fs::remove_file(world.at("count")));
    }
    let stopped = job(": >count");
    let init = "B_INIT=': >begun; sleep 600' B_LIMIT=1.00";
    let ends = world.run(&Batch::new([stopped.clone()]).with(init));
    assert!(verdict(&ends, &stopped).starts_with("timeout time-limit "), "{ends:#?}");
}

/// A condition that is false is no failure, and the rule ends with it.
fn what_init_leaves_is_there_for_all(world: &World) {
    let job = whole(
        "false; echo \"$MODE $# $-\" | sed 's/[^ ]*$//' >>count; case $- in *e*) echo e >>count ;; esac",
    );
    let ends = world.run(&with_init(&job, "set -- a b; export MODE=fast; [ -e nothing ] && true"));
    assert_eq!(verdict(&ends, &job), "succeeded ok 0 none");
    assert_eq!(world.lines("count"), ["prepare", "fast 0 ", "cleanup"]);
}

fn a_shell_is_found_by_the_accounts_path(world: &World) {
    let own = world.sandbox.path().join("own");
    fs::create_dir(&own).expect("a folder");
    let path = quoted(own.to_str().expect("UTF-8"));
    let mut job = whole("echo \"$PATH\" >>count");
    let with_shell = |shell: &str| {
        format!(
            "; ENVIRONMENT() {{ export PATH={path}; }}; B_SHELL() {{ run_shell {shell} -eu \"$@\"; }}"
        )
    };
    job.more.push_str(&with_shell("bash"));
    let ends = world.run(&with_init(&job, "true"));
    assert_eq!(verdict(&ends, &job), "succeeded ok 0 none");
    assert_eq!(world.lines("count"), ["prepare", own.to_str().expect("UTF-8"), "cleanup"]);
    // One that is there in the job's own path comes first; one that is nowhere is said by name.
    let bash = own.join("bash");
    fs::write(&bash, "#!/bin/sh\necho mine >>count\n").expect("a file");
    fs::set_permissions(&bash, fs::Permissions::from_mode(0o755)).expect("rights");
    let mut mine = self::job("true");
    mine.more = with_shell("bash");
    let mut nowhere = self::job("false");
    nowhere.more = with_shell("no-such-shell");
    let ends = world.run(&Batch::new([mine.clone(), nowhere.clone()]));
    assert_eq!(verdict(&ends, &mine), "succeeded ok 0 none");
    assert_eq!(world.lines("count").last().expect("a line"), "mine");
    assert_eq!(verdict(&ends, &nowhere), "failed exit-code 127 none");
    let log = fs::read_to_string(world.attempt(&nowhere).join("log")).expect("a log");
    assert!(log.contains("no-such-shell"), "{log}");
}

fn mode(path: &Path) -> String {
    let mode = fs::metadata(path).expect("it is there").permissions().mode();
    format!("{:04o}", mode & 0o7777)
}

/// What is kept beside them is for the user alone.
fn jobs_have_the_umask_of_the_account(world: &World) {
    let make = |name: &str| format!("umask >>count; : >{name}; mkdir {name}.d");
    let mut job = job(format!("{}; : >\"$SP_OUT_DIR/file\"", make("command")));
    job.more = format!(
        "; PREPARE() {{ script prepare {}; }}; CLEANUP() {{ script cleanup {}; }}",
        quoted(&make("prepare")),
        quoted(&make("cleanup"))
    );
    let batch = with_init(&job, "true").with(" B_UMASK=0002");
    let ends = world.run(&batch);
    assert_eq!(verdict(&ends, &job), "succeeded ok 0 none");
    assert_eq!(world.lines("count"), ["0002"; 3]);
    for name in ["prepare", "command", "cleanup"] {
        assert_eq!(mode(&world.at(name)), "0664");
        assert_eq!(mode(&world.at(&format!("{name}.d"))), "0775");
    }
    let attempt = fs::canonicalize(world.attempt(&job)).expect("a folder");
    for entry in fs::read_dir(&attempt).expect("a folder").flatten() {
        let wanted = if entry.path().is_dir() { "0700" } else { "0600" };
        assert_eq!(mode(&entry.path()), wanted, "{}", entry.path().display());
    }
    assert_eq!(mode(&attempt.join("out/file")), "0664");
    for above in attempt.ancestors().take_while(|above| above.starts_with(&world.root)).take(3) {
        assert_eq!(mode(above), "0700", "{}", above.display());
    }
}

/// A login shell that is over has told what it has to tell, whoever still holds its output.
fn what_a_start_up_file_leaves_running_is_not_waited_for(world: &World) {
    let pid = world.sandbox.home().join("pid");
    let profile = format!("sleep 600 & echo $! >{}\n", quoted(pid.to_str().expect("UTF-8")));
    for name in [".profile", ".bash_profile"] {
        fs::write(world.sandbox.home().join(name), &profile).expect("a file");
    }
    let begun = Instant::now();
    let body = world.ask("account", &[], "");
    // No login shell of the tests' account reads them, or it was not waited for.
    if let Ok(text) = fs::read_to_string(pid) {
        kill(text.trim().parse().expect("a number"), Signal::KILL);
    }
    assert!(body.lines().any(|line| line.starts_with("account PATH=/")), "{body}");
    assert!(!body.contains("sp-env-end"), "{body}");
    assert!(begun.elapsed().as_secs() < 300, "{:?}", begun.elapsed());
}

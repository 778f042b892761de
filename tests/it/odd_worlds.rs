//! Worlds that are seldom met: limits on files, names and variables that are no text.

#![expect(clippy::disallowed_methods, reason = "tests start processes and make files as users do")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::{Run, Sandbox};

const CAMPAIGN: &str = "name = 'odd'\ncommand = 'echo x >>~/ran'\n";

/// A limit of the shell on the size of files is an error that is told, and the next apply goes on.
#[test]
fn limit_on_files_is_told() {
    let sandbox = Sandbox::with(
        "name = 'odd'\ncommand = 'echo {{ n }}'\n[matrix]\nn = { from = 1, to = 2000 }\n",
    );
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 100; exec \"$0\" apply -d", env!("CARGO_BIN_EXE_sp")]);
    command.current_dir(sandbox.campaign()).env_clear();
    let like = sandbox.command(&[]);
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let run = Run::of(&command.output().expect("sp starts"));
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("error: the checkpoint"), "{run:?}");
    sandbox.expect(0, &["plan"]);
}

#[test]
fn folder_that_no_job_can_be_told_is_refused_before_jobs_start() {
    let sandbox = Sandbox::with(CAMPAIGN);
    let folder = sandbox.path().join(OsStr::from_bytes(b"odd\xff"));
    fs::create_dir(&folder).expect("a folder");
    fs::copy(sandbox.campaign().join("campaign.toml"), folder.join("campaign.toml"))
        .expect("a copy");
    let sp = |arguments: &[&str]| {
        Run::of(&sandbox.command_in(&folder, arguments).output().expect("sp starts"))
    };
    let run = sp(&["apply"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stderr.contains("is not UTF-8") && run.stderr.contains("help: rename it"),
        "{run:?}"
    );
    assert!(sp(&["status"]).stdout.contains("1 pending"));
    assert!(!sandbox.home().join("ran").exists());
}

#[test]
fn home_and_secrets_that_are_no_text_are_told_as_such() {
    let sandbox = Sandbox::with(&format!("{CAMPAIGN}[env]\nTOKEN = {{ from-env = 'TOKEN' }}\n"));
    let sp = |name: &str, value: &[u8]| {
        let mut command = sandbox.command(&["apply"]);
        command.env(name, OsStr::from_bytes(value));
        Run::of(&command.output().expect("sp starts"))
    };
    for (name, value, told) in [
        ("HOME", &b"/tmp/a\xffb"[..], "`$HOME` is not set, or is not UTF-8"),
        ("HOME", b"/tmp/a\nb", "`/tmp/a\\nb/.local/share/sp` holds a line end"),
        ("TOKEN", b"a\xffb", "which does not have it as UTF-8 text"),
    ] {
        let run = sp(name, value);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.stderr.contains(told), "{run:?}");
    }
}

#[test]
fn words_that_are_no_text_are_no_panic() {
    let sandbox = Sandbox::with(CAMPAIGN);
    let mut command = sandbox.command(&["status"]);
    command.arg(Path::new(OsStr::from_bytes(b"x\xff.toml")));
    let run = Run::of(&command.output().expect("sp starts"));
    assert_eq!(run.code, 1, "{run:?}");
    fs::copy(
        sandbox.campaign().join("campaign.toml"),
        sandbox.campaign().join(OsStr::from_bytes(b"x\xff.toml")),
    )
    .expect("a copy");
    let run = Run::of(&command.output().expect("sp starts"));
    assert_eq!(run.code, 0, "{run:?}");
}

//! What a host says: shown without what would steer a terminal, bounded, and never more than an answer to what was asked. And
//! a root that is not the user's alone.

#![expect(clippy::disallowed_methods, reason = "a host writes what it likes")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::check_printable;
use crate::support::{Run, Sandbox};

const GARBAGE: &str = include_str!("../faults/garbage.sh");

/// Every command that asks a host, whatever it ends with: no panic, and nothing raw on the terminal.
#[track_caller]
fn ask_all(sandbox: &Sandbox, case: &str) -> Vec<Run> {
    let commands = [
        &["status"][..],
        &["plan"],
        &["explain", "n=1"],
        &["results"],
        &["doctor"],
        &["gc"],
        &["apply"],
    ];
    commands
        .map(|arguments| {
            let run = sandbox.sp(arguments);
            check_printable(&run.stdout);
            check_printable(&run.stderr);
            assert!([0, 1, 75, 100].contains(&run.code), "{case}: {arguments:?}: {run:?}");
            run
        })
        .into()
}

const ONE: &str = "name = 'lies'\ncommand = 'true'\n[matrix]\nn = [1]\n";

#[test]
fn an_answer_of_a_host_steers_no_terminal() {
    let mut sandbox = Sandbox::with(&format!("{ONE}[hosts.box]\nssh = 'box'\n"));
    sandbox.hosts(&["box"]);
    sandbox.expect(0, &["apply"]);
    // None of these conversations ever comes to an answer.
    sandbox.set("SP_TEST_ASK_WITHIN", "1");
    let folder = sandbox.plain().join("ssh");
    fs::write(folder.join("garbage.sh"), GARBAGE).unwrap();
    sandbox.sshd_config(&format!("ForceCommand sh {0}/garbage.sh {0}", folder.display()));
    for how in ["escapes", "chatter", "huge"] {
        fs::write(folder.join("garbage"), format!("{how}\n")).unwrap();
        ask_all(&sandbox, how);
    }
}

/// A host that goes on for ever before its answer is not listened to for ever.
#[test]
fn what_comes_before_a_log_has_an_end() {
    let told = ONE.replace("true", "echo told");
    let mut sandbox = Sandbox::with(&format!("{told}[hosts.box]\nssh = 'box'\n"));
    sandbox.hosts(&["box"]);
    sandbox.expect(0, &["apply"]);
    fs::remove_dir_all(sandbox.campaign().join(".sp/lies/logs")).unwrap();
    let folder = sandbox.plain().join("ssh");
    fs::write(folder.join("garbage.sh"), GARBAGE).unwrap();
    sandbox.sshd_config(&format!("ForceCommand sh {0}/garbage.sh {0}", folder.display()));
    fs::write(folder.join("garbage"), "endless log\n").unwrap();
    let run = sandbox.expect(75, &["logs", "n=1"]);
    assert!(run.stderr.contains("gave no whole answer to `log`"), "{run:?}");
    assert_eq!(run.stdout, "");
    fs::remove_file(folder.join("garbage")).unwrap();
    assert_eq!(sandbox.expect(0, &["logs", "n=1"]).stdout, "told\n");
}

/// Records, journal and ids of a host that writes what it likes into its own files.
#[test]
fn what_stands_in_a_hosts_files_steers_no_terminal() {
    let sandbox = Sandbox::with(ONE);
    sandbox.expect(0, &["apply"]);
    sandbox.wait_quiet();
    let append = |path: &std::path::Path, text: &str| {
        let old = fs::read_to_string(path).unwrap();
        fs::write(path, format!("{old}{text}")).unwrap();
    };
    let escape = "\u{1b}]0;pwned\u{7}\u{1b}[2J\u{202e}";
    let state = sandbox.attempts("lies", "state").remove(0);
    append(&state, &format!("start pid=1 {escape} .\nstop why={escape} by={escape} up=1.00 .\n"));
    append(
        &sandbox.place("lies").join("journal"),
        &format!("end id={escape} .\nstart {escape} .\n"),
    );
    let told = ask_all(&sandbox, "files");
    assert!(told[2].stdout.contains("\\u{1b}]0;pwned"), "it is shown, made visible: {:?}", told[2]);
    assert!(told[0].stdout.contains("succeeded"), "{:?}", told[0]);
    for (name, text) in [("instance", escape), ("clients/0123456789abcdef", escape)] {
        fs::write(sandbox.place("lies").join(name), format!("{text}\n")).unwrap();
        ask_all(&sandbox, name);
    }
    fs::write(sandbox.root().join("v2/root-id"), format!("{escape}\n")).unwrap();
    ask_all(&sandbox, "root-id");
}

#[test]
fn a_root_that_others_could_write_to_or_own_is_refused() {
    let sandbox = Sandbox::with(ONE);
    for folder in [sandbox.root(), sandbox.root().join("v2")] {
        fs::create_dir_all(&folder).unwrap();
        for mode in [0o720, 0o702, 0o777] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            let run = sandbox.expect(1, &["apply"]);
            assert!(run.stderr.contains("can be written by other users"), "{mode:o}: {run:?}");
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&folder, Some(65534), None).unwrap();
            let run = sandbox.expect(1, &["apply"]);
            assert!(run.stderr.contains("belongs to another user"), "{run:?}");
            std::os::unix::fs::chown(&folder, Some(0), None).unwrap();
        }
    }
    sandbox.expect(0, &["apply"]);
}

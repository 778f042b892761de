//! What somebody else has open, a lock or a pipe, is not held by what outlives the command.

#![expect(clippy::disallowed_methods, reason = "tests start processes and write files as users do")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::doctor::bash_is_the_login_shell;
use crate::support::{Sandbox, wait_until};

/// Writes down what it has open and its umask, and waits for the file `go`.
const JOB: &str = r#"
name = "open"
command = '''
sh -c 'for file in /proc/$$/fd/*; do [ ! -h "$file" ] || echo "${file##*/}"; done' >"$HOME/seen"
umask >"$HOME/umask"
until [ -e "$HOME/go" ]; do sleep 0.02; done
'''
"#;

/// The job's input, its log twice, and the locks that say that it runs.
const OWN: [&str; 5] = ["0", "1", "2", "7", "8"];

/// Runs `sp apply --detach` for a caller that has its output at descriptor 10, too, and holds a lock at 12; both must be
/// free again although the job still runs.
fn applied_by_a_caller_with_a_lock_and_a_pipe(sandbox: &Sandbox, home: &Path) {
    let lock = sandbox.path().join("lock");
    let apply = sandbox.command(&["apply", "--detach"]);
    let mut caller = Command::new("bash");
    caller.args(["-c", "exec 10>&1 12>\"$0\"; flock 12; exec \"$@\""]).arg(&lock);
    caller.arg(apply.get_program()).args(apply.get_args()).env_clear();
    caller.envs(apply.get_envs().filter_map(|(name, value)| Some((name, value?))));
    caller.current_dir(apply.get_current_dir().expect("a folder"));
    let mut caller = caller.stdout(Stdio::piped()).spawn().expect("bash starts");
    let output = caller.stdout.take().expect("piped");
    let mut reader = Command::new("timeout");
    reader.args(["30", "cat"]).stdin(output).stdout(Stdio::null());
    let read = reader.status().expect("cat starts");
    assert!(caller.wait().expect("sp ends").success());
    assert!(read.success(), "what reads the caller's pipe must not wait for the job");
    assert!(is_free(&lock), "the caller's lock is held while the job runs");
    wait_until("the job runs", || home.join("umask").exists());
    let seen = fs::read_to_string(home.join("seen")).expect("a list");
    assert_eq!(seen.lines().collect::<Vec<_>>(), OWN);
}

/// Whether nobody holds a lock.
fn is_free(lock: &Path) -> bool {
    let mut take = Command::new("flock");
    take.arg("-n").arg(lock).arg("true").status().expect("flock starts").success()
}

fn finish(sandbox: &Sandbox, home: &Path) {
    fs::write(home.join("go"), "").expect("a file");
    sandbox.expect(0, &["wait"]);
    assert_eq!(sandbox.states(), [("succeeded".to_owned(), "ok".to_owned())]);
}

#[test]
fn what_the_caller_has_open_is_not_the_jobs() {
    let sandbox = Sandbox::with(JOB);
    applied_by_a_caller_with_a_lock_and_a_pipe(&sandbox, &sandbox.home());
    finish(&sandbox, &sandbox.home());
}

#[test]
fn what_a_start_up_file_leaves_open_is_not_the_jobs() {
    if !bash_is_the_login_shell() {
        return;
    }
    let mut sandbox = Sandbox::with(&format!("{JOB}[hosts.box]\nssh = 'box'\n"));
    sandbox.hosts(&["box"]);
    let home = sandbox.host_home("box");
    // The second apply finds the script there.
    for _ in 0..2 {
        let text = "exec 5<>\"$HOME/held\" 11<>\"$HOME/held\"; flock -s 11; umask 027\n";
        fs::write(home.join(".bashrc"), text).expect("a file");
        applied_by_a_caller_with_a_lock_and_a_pipe(&sandbox, &home);
        // The connection may take a moment to end.
        wait_until("nobody holds what the start-up file has locked", || {
            is_free(&home.join("held"))
        });
        let umask = fs::read_to_string(home.join("umask")).expect("a mask");
        assert_eq!(umask, "0027\n", "the account's own is not lost on the way");
        finish(&sandbox, &home);
        for file in ["go", "umask", "seen"] {
            fs::remove_file(home.join(file)).expect("it was there");
        }
        sandbox.write("open/more", "");
        let text = sandbox.read("campaign.toml").replace("umask >", ": again; umask >");
        sandbox.write("campaign.toml", &text);
    }
}

//! What does not pass by itself: it ends a command with 1 and says what to change, `sp doctor` finds it, and other hosts go
//! on. What a server allows little of is done without.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{one, refused, says};
use crate::doctor::bash_is_the_login_shell;
use crate::support::{Disk, Sandbox, quoted};

/// An apply that ends with 1 and an error of this code, for which a look by `sp doctor` has the same words.
#[track_caller]
fn stands(sandbox: &Sandbox, code: &str, words: &[&str]) {
    let run = refused(sandbox, 1, code);
    says(&run, words);
    let doctor = sandbox.expect(1, &["doctor"]);
    for word in words {
        assert!(doctor.stdout.contains(word), "`{word}` is not in\n{}", doctor.stdout);
    }
    assert!(doctor.stdout.contains("fix: "), "{}", doctor.stdout);
}

/// A host whose `.bashrc` is this.
fn with_bashrc(text: &str) -> Sandbox {
    let sandbox = one("box", "", "echo done");
    fs::write(sandbox.host_home("box").join(".bashrc"), text).expect("a file");
    sandbox
}

#[test]
fn a_start_up_file_that_ends_the_shell() {
    if !bash_is_the_login_shell() {
        return;
    }
    for (text, said) in [
        ("exit 0\n", "(it ended with 0)"),
        ("set -eu\nfalse\n", "(it ended with 1)"),
        ("date +at-%N >&2; exit 3\n", "(it ended with 3); it said: at-"),
    ] {
        let sandbox = with_bashrc(text);
        stands(&sandbox, "login-ends", &["ends each command before it starts", "~/.bashrc", said]);
        // What the advice says.
        let quiet = format!("case $- in *i*) ;; *) return ;; esac\n{text}");
        fs::write(sandbox.host_home("box").join(".bashrc"), quiet).expect("a file");
        says(&sandbox.expect(0, &["apply"]), &["1 succeeded"]);
    }
}

#[test]
fn a_start_up_file_that_puts_another_shell_in_its_place() {
    if !bash_is_the_login_shell() {
        return;
    }
    let mut others = vec!["dash".to_owned(), "busybox ash".to_owned()];
    let known = ["zsh", "fish", "tcsh", "ksh"].into_iter();
    others.extend(known.filter(|name| which::which(name).is_ok()).map(str::to_owned));
    for other in others {
        let sandbox = with_bashrc(&format!("exec {other}\n"));
        let run = sandbox.expect(1, &["apply"]);
        says(&run, &["host `box` ", "exec", "~/.bashrc"]);
        let doctor = sandbox.expect(1, &["doctor"]);
        assert!(doctor.stdout.contains("~/.bashrc"), "{other}: {}", doctor.stdout);
    }
    let sandbox = with_bashrc("exec dash\n");
    stands(&sandbox, "login-replaced", &["runs `dash` in place of each command"]);
}

/// It is over as soon as it has said more than any start-up file does, whatever it is asked.
#[test]
fn a_start_up_file_that_prints_without_end() {
    if !bash_is_the_login_shell() {
        return;
    }
    let sandbox = with_bashrc("yes\n");
    stands(&sandbox, "login-noise", &["prints without end", "~/.bashrc"]);
}

#[test]
fn an_account_that_runs_no_commands() {
    let ends = "ends each command before it starts";
    for (force, code, words) in [
        ("/bin/false", "login-ends", ends),
        ("echo welcome", "login-ends", ends),
        ("internal-sftp", "no-login", "sftp connections only"),
    ] {
        let sandbox = one("box", "", "true");
        sandbox.sshd_config(&format!("ForceCommand {force}"));
        stands(&sandbox, code, &[words]);
    }
    let sandbox = one("box", "", "true");
    sandbox.sshd_config("ForceCommand exec bash -r -c \"$SSH_ORIGINAL_COMMAND\"");
    stands(&sandbox, "restricted-shell", &["a restricted shell", "chsh"]);
}

/// Every session that is asked for beside the one that the server allows goes over a connection of its own.
#[test]
fn a_server_that_gives_one_session_a_connection() {
    let sandbox = one("box", "", "cat code");
    sandbox.sshd_config("MaxSessions 1");
    for code in ["1", "2"] {
        // The first tree goes as a pack, the second by rsync.
        sandbox.write("code", code);
        says(&sandbox.expect(0, &["apply", "-y", "--rerun", "all"]), &["1 succeeded"]);
        assert_eq!(sandbox.expect(0, &["logs", "far"]).stdout, code);
    }
    let doctor = sandbox.expect(0, &["doctor"]);
    assert!(doctor.stdout.contains("1 at once over one connection"), "{}", doctor.stdout);
    let sandbox = one("box", "", "true");
    sandbox.sshd_config("MaxSessions 0");
    stands(&sandbox, "ssh-sessions", &["refuses every session", "MaxSessions"]);
}

#[test]
fn a_configuration_that_takes_the_input_away() {
    let sandbox = one("box", "", "cat code");
    sandbox
        .ssh_config("Host *\n  StdinNull yes\n  ForkAfterAuthentication yes\n  SessionType none\n");
    for code in ["1", "2"] {
        sandbox.write("code", code);
        says(&sandbox.expect(0, &["apply", "-y", "--rerun", "all"]), &["1 succeeded"]);
        assert_eq!(sandbox.expect(0, &["logs", "far"]).stdout, code);
    }
    sandbox.expect(0, &["doctor"]);
    let sandbox = one("box", "", "true");
    sandbox.ssh_config("Host *\n  NoSuchWord yes\n");
    let run = refused(&sandbox, 1, "ssh-config");
    says(&run, &["ssh does not accept its configuration", "ssh -G box"]);
}

/// A machine on which each command finds something else mounted; `None` where nothing can be mounted.
pub(super) fn mounted(sandbox: &Sandbox, mount: &str) -> Option<()> {
    let tried = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "x", "/mnt"]).status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("skipped: nothing can be mounted here");
        return None;
    }
    // In a file: the server's configuration has quotes of its own.
    let force = sandbox.plain().join("mounts-first");
    fs::write(&force, format!("{mount} && exec bash -c \"$SSH_ORIGINAL_COMMAND\"\n"))
        .expect("a file");
    let force = force.display();
    sandbox.sshd_config(&format!("ForceCommand exec unshare -m bash {force}"));
    Some(())
}

#[test]
fn a_machine_that_lacks_what_jobs_stand_on() {
    let sandbox = one("box", "", "true");
    let Some(()) = mounted(&sandbox, "mount -t tmpfs x /proc") else { return };
    stands(&sandbox, "unfit", &["its `/proc` cannot be read", "mount -t proc"]);
    // A `/bin/sh` without a word that the script needs.
    let sandbox = one("box", "", "true");
    let rc = sandbox.path().join("rc");
    fs::write(&rc, "enable -n local\n").expect("a file");
    let text = format!("#!/bin/bash\nexec env BASH_ENV={} bash \"$@\"\n", quoted(&rc));
    crate::support::shell(sandbox.path(), &format!("cat >sh <<'E'\n{text}E\nchmod +x sh"));
    let sh = quoted(sandbox.path().join("sh"));
    mounted(&sandbox, &format!("mount --bind {sh} /bin/sh")).expect("as before");
    stands(&sandbox, "unfit", &["its `/bin/sh` has no `local`", "dash, bash or busybox ash"]);
}

#[test]
fn a_home_that_is_none() {
    for (home, words) in [
        ("", "the variable `HOME` that it names is not set there"),
        ("here", "is no absolute path there"),
        ("/proc/nothing", "cannot be made"),
    ] {
        let sandbox = one("box", "", "true");
        sandbox.host_variable("box", "HOME", home);
        stands(&sandbox, "root", &[words]);
    }
    for (home, words) in [
        (Some("here"), "is no absolute path"),
        (Some("/a\nb"), "holds a line end"),
        (None, "`$HOME` is not set"),
    ] {
        let sandbox = Sandbox::with("name = 'here'\ncommand = 'true'\n");
        let mut command = sandbox.command(&["apply"]);
        command.env_remove("HOME");
        if let Some(home) = home {
            command.env("HOME", home);
        }
        let run = crate::support::Run::of(&command.output().expect("sp starts"));
        assert_eq!(run.code, 1, "{run:?}");
        says(&run, &[words]);
    }
}

#[test]
fn a_root_with_a_backslash_and_other_odd_text() {
    for name in ["a\\nb", "it's", "a  b", "-n", "$x*"] {
        let sandbox = one("box", "", "cat code; echo; echo $PWD >&2");
        let root = sandbox.path().join(name).join("r");
        let table = format!("root = {:?}\n", root.to_string_lossy().replace('$', "$$"));
        let table = if name.contains('$') { String::new() } else { table };
        let text = sandbox.read("campaign.toml");
        sandbox.write("campaign.toml", &format!("{text}{table}"));
        for code in ["1", "2"] {
            sandbox.write("code", code);
            says(&sandbox.expect(0, &["apply", "-y", "--rerun", "all"]), &["1 succeeded"]);
            assert!(sandbox.expect(0, &["logs", "far"]).stdout.starts_with(code), "{name}");
        }
    }
}

fn remount(at: &Path, options: &str) {
    let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(at).status();
    assert!(status.is_ok_and(|status| status.success()), "it is mounted");
}

#[test]
fn a_root_on_a_disk_that_cannot_be_written() {
    let sandbox = one("box", "", "true");
    let root = sandbox.host_root("box");
    let Some(_disk) = Disk::mount(&root, "size=8m") else { return };
    sandbox.expect(0, &["apply"]);
    sandbox.wait_quiet();
    remount(&root, "ro");
    sandbox.write(
        "campaign.toml",
        &sandbox.read("campaign.toml").replace("'''true'''", "'''true 2'''"),
    );
    stands(&sandbox, "place", &["host `box` cannot write to `", "v2/run`"]);
    // Whoever only looks is told the same, with what is known.
    says(&sandbox.expect(1, &["status"]), &["cannot write to"]);
    remount(&root, "rw");
    sandbox.expect(0, &["apply"]);
    // A program of a snapshot could not start there.
    remount(&root, "noexec");
    sandbox.write("campaign.toml", &sandbox.read("campaign.toml").replace("true 2", "true 3"));
    says(&sandbox.expect(1, &["apply"]), &["mounted `noexec`", "`root` on a local disk"]);
    assert!(sandbox.expect(1, &["doctor"]).stdout.contains("mounted `noexec`"));
    sandbox.wait_quiet();
}

/// One host cannot work until somebody puts it right: the others do, and the command ends.
#[test]
fn other_hosts_go_on() {
    let mut sandbox = Sandbox::with(
        "name = 'far'\ncommand = 'echo {{ n }}'\n[matrix]\nn = { from = 1, to = 8, step = 1 }\n[hosts.bad]\nssh = 'bad'\n\
         [hosts.good]\nssh = 'good'\n",
    );
    sandbox.hosts(&["bad", "good"]);
    // sh(1) and `[` of the account's own make no difference: its home is a file.
    fs::remove_dir(sandbox.host_home("bad")).expect("it is empty");
    fs::write(sandbox.host_home("bad"), "").expect("a file");
    let run = sandbox.expect(1, &["apply"]);
    says(&run, &["host `bad` cannot be made", "give the host another `root`"]);
    let states = sandbox.states();
    let done = states.iter().filter(|(state, _)| state == "succeeded").count();
    assert!(
        done > 0
            && states.iter().all(|(state, _)| ["succeeded", "pending"].contains(&state.as_str())),
        "{states:?}"
    );
}

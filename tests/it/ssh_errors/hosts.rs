//! What is behind the login: shells, start-up files, programs, roots, disks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use solverpilot::shell::quote;

use super::{one, read, refused, says};
use crate::doctor::bash_is_the_login_shell;
use crate::support::{Disk, Sandbox, in_toml, shell, wait_until};

/// A host whose commands find every program but these.
fn without(programs: &[&str]) -> Sandbox {
    let sandbox = one("box", "", "true");
    let folder = sandbox.programs_without(programs);
    sandbox.host_variable("box", "PATH", &folder.to_string_lossy());
    sandbox
}

/// An apply that ends with 1 and a warning, with nothing handed over.
#[track_caller]
fn lacks(sandbox: &Sandbox, words: &[&str]) {
    let run = sandbox.expect(1, &["apply"]);
    says(&run, words);
    let queue = sandbox.host_place("box", "far").join("queue");
    assert_eq!(fs::read_dir(queue).into_iter().flatten().count(), 0, "nothing was handed over");
}

#[test]
fn a_program_that_every_run_needs_is_missing() {
    lacks(&without(&["rsync"]), &["host `box` lacks rsync", "install rsync"]);
    lacks(&without(&["flock", "setsid"]), &["host `box` lacks flock, setsid"]);
}

/// Without these no question can be answered: that does not pass, whoever asks.
#[test]
fn a_program_that_every_answer_needs_is_missing() {
    let words = ["host `box` lacks awk, tail", "install awk, tail"];
    let sandbox = without(&["awk", "tail"]);
    lacks(&sandbox, &words);
    for look in ["plan", "status", "wait"] {
        says(&sandbox.expect(1, &[look]), &words[..1]);
    }
    let doctor = sandbox.expect(1, &["doctor"]);
    assert!(doctor.stdout.contains("lacks awk, tail"), "{}", doctor.stdout);
}

#[test]
fn a_program_that_goes_while_a_job_is_waited_for() {
    let sandbox = one("box", "", "until [ -e \"$HOME/go\" ]; do sleep 0.02; done");
    sandbox.expect(0, &["apply", "--detach"]);
    let keys = fs::read_to_string(sandbox.plain().join("ssh/authorized_keys")).expect("a file");
    let folder = sandbox.programs_without(&["awk"]);
    sandbox.host_variable("box", "PATH", &folder.to_string_lossy());
    let run = sandbox.expect(1, &["wait"]);
    says(&run, &["host `box` lacks awk"]);
    assert!(!run.stderr.contains("asking again"), "{}", run.stderr);
    fs::write(sandbox.plain().join("ssh/authorized_keys"), keys).expect("a file");
    fs::write(sandbox.host_home("box").join("go"), "").expect("a file");
    sandbox.expect(0, &["wait"]);
    assert_eq!(sandbox.states(), [("succeeded".to_owned(), "ok".to_owned())]);
}

#[test]
fn bash_is_missing_where_jobs_would_look_for_it() {
    let sandbox = one("box", "init = 'module load gcc'", "true");
    let folder = sandbox.programs_without(&["bash"]);
    fs::write(sandbox.host_home("box").join(".profile"), format!("PATH='{}'\n", folder.display()))
        .expect("a file");
    lacks(&sandbox, &["host `box` lacks bash", "login shell's PATH"]);
    // A campaign that does without bash runs there.
    let text = sandbox.read("campaign.toml").replace("init = 'module load gcc'", "");
    sandbox.write("campaign.toml", &format!("shell = 'sh -eu'\n{text}"));
    sandbox.expect(0, &["apply"]);
}

#[test]
fn without_tmux_there_is_a_warning() {
    let run = without(&["tmux"]).expect(0, &["apply"]);
    says(&run, &["there is no tmux", "1 succeeded"]);
}

#[test]
fn a_root_that_cannot_be_made_or_is_no_path() {
    let run = refused(&one("box", "root = '/proc/nothing/sp'", "true"), 1, "root");
    says(&run, &["the root `/proc/nothing/sp` of host `box` cannot be made", "another `root`"]);
    let run = refused(&one("box", "root = '$LOGNAME/sp'", "true"), 1, "root");
    says(&run, &["the root `$LOGNAME/sp` of host `box` is no absolute path there"]);
}

#[test]
fn a_root_that_others_could_write_to() {
    let sandbox = one("box", "", "true");
    let root = sandbox.host_root("box");
    fs::create_dir_all(&root).expect("a folder");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o775)).expect("a mode");
    let run = refused(&sandbox, 1, "root");
    says(&run, &["can be written by other users", "chmod go-w ~/.local/share/sp"]);
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).expect("a mode");
    sandbox.expect(0, &["apply"]);
}

#[test]
fn a_root_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give a folder away");
        return;
    }
    let sandbox = one("box", "", "true");
    let root = sandbox.host_root("box");
    fs::create_dir_all(&root).expect("a folder");
    std::os::unix::fs::chown(&root, Some(65534), None).expect("it is given away");
    let run = refused(&sandbox, 1, "root");
    says(&run, &["belongs to another user", "ls -ld ~/.local/share/sp"]);
}

/// Whoever may rename the root could put a script of theirs in its place.
#[test]
fn a_root_below_a_folder_that_others_may_write_to() {
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    let far = one("box", "root = ROOT", "true");
    let near = Sandbox::with("name = 'here'\ncommand = 'true'\n[hosts.box]\nroot = ROOT\n");
    for sandbox in [far, near] {
        let root = in_toml(sandbox.path().join("lab/ann/sp"));
        let text = sandbox.read("campaign.toml").replace("ROOT", &root);
        sandbox.write("campaign.toml", &text);
        let lab = sandbox.path().join("lab");
        fs::create_dir(&lab).expect("a folder");
        mode(sandbox.path(), 0o755);
        sandbox.expect(0, &["apply"]);
        mode(&lab, 0o777);
        let run = refused(&sandbox, 1, "root");
        let lab_path = lab.display();
        says(
            &run,
            &[
                &format!("lies below `{lab_path}` (others may write to it)"),
                "could put another folder in its place",
            ],
        );
        let word = quote(&lab.to_string_lossy()).expect("text");
        says(&run, &[&format!("chmod go-w {word}; or")]);
        let doctor = sandbox.expect(1, &["doctor"]);
        assert!(doctor.stdout.contains("chmod go-w"), "{}", doctor.stdout);
        says(&sandbox.expect(1, &["cancel", "--all"]), &["others may write to it"]);
        // Sticky, and out of everybody's reach, it is safe.
        mode(&lab, 0o1777);
        sandbox.expect(0, &["status"]);
        mode(&lab, 0o777);
        mode(sandbox.path(), 0o700);
        sandbox.expect(0, &["status"]);
        if rustix::process::geteuid().is_root() {
            mode(sandbox.path(), 0o755);
            mode(&lab, 0o2770);
            // Root's own group has nobody else in it here.
            std::os::unix::fs::chown(&lab, None, Some(65534)).expect("it is given away");
            says(&refused(&sandbox, 1, "root"), &["others may write to it"]);
            // A link is whoever's it belongs to, unless fs.protected_symlinks is on, see proc(5).
            mode(&lab, 0o1777);
            let link = lab.join("link");
            std::os::unix::fs::symlink("ann", &link).expect("a link");
            std::os::unix::fs::lchown(&link, Some(65534), None).expect("it is given away");
            if link.exists() {
                let text = sandbox.read("campaign.toml");
                sandbox.write("campaign.toml", &text.replace("/ann/sp", "/link/sp"));
                says(&refused(&sandbox, 1, "root"), &["(of another user)"]);
                sandbox.write("campaign.toml", &text);
            }
            mode(&lab, 0o755);
            std::os::unix::fs::chown(&lab, Some(65534), None).expect("it is given away");
            says(&refused(&sandbox, 1, "root"), &["(of another user)", "ls -ld "]);
        }
        sandbox.wait_quiet();
    }
}

#[test]
fn a_disk_that_is_full() {
    let sandbox = one("box", "", "true");
    let Some(disk) = Disk::mount(&sandbox.host_root("box"), "size=1m") else { return };
    disk.fill_but(0);
    let full = "cannot be written; is the disk full";
    let run = refused(&sandbox, 1, "root");
    says(&run, &[full, "df ~/.local/share/sp"]);
    // Full after the script was brought: told before anything is handed over.
    disk.make_room();
    sandbox.expect(0, &["status"]);
    disk.fill_but(0);
    let run = sandbox.expect(1, &["apply"]);
    says(&run, &[full]);
    sandbox.expect(1, &["doctor"]);
    disk.make_room();
    sandbox.expect(0, &["apply"]);
    sandbox.wait_quiet();
}

#[test]
fn a_disk_that_is_too_small_for_the_tree() {
    let sandbox = one("box", "", "true");
    let Some(_disk) = Disk::mount(&sandbox.host_root("box"), "size=2m") else { return };
    sandbox.write("large", &"x".repeat(3 << 20));
    let run = sandbox.expect(1, &["apply"]);
    says(&run, &["host `box` could not write the files: its disk is full", "tar: ", "df -h"]);
    assert_eq!(sandbox.states()[0].0, "pending");
    // Nothing of it is left to fill the disk.
    fs::remove_file(sandbox.campaign().join("large")).expect("it is there");
    says(&sandbox.expect(0, &["apply"]), &["1 succeeded"]);
    sandbox.wait_quiet();
}

#[test]
fn start_up_files_that_are_slow_change_nothing_and_those_that_print_are_told() {
    if !bash_is_the_login_shell() {
        return;
    }
    let sandbox = one("box", "", "echo done");
    let file = sandbox.host_home("box").join(".bashrc");
    let chatty = "echo Welcome; echo back >&2; printf 'sp-begin x'\n";
    fs::write(&file, chatty).expect("a file");
    // What is asked is understood all the same, a first tree with it; rsync is not.
    sandbox.expect(0, &["status"]);
    says(&sandbox.expect(0, &["apply"]), &["1 succeeded"]);
    sandbox.write("code", "1");
    sandbox.write("campaign.toml", &sandbox.read("campaign.toml").replace("echo done", "cat code"));
    let run = sandbox.expect(1, &["apply"]);
    says(&run, &["start-up files", "~/.bashrc"]);
    assert_eq!(sandbox.states()[0].0, "pending");
    fs::write(&file, format!("case $- in *i*) ;; *) return ;; esac\n{chatty}")).expect("a file");
    says(&sandbox.expect(0, &["apply"]), &["1 succeeded"]);
    let sandbox = one("box", "", "echo done");
    fs::write(sandbox.host_home("box").join(".bashrc"), "sleep 0.3\n").expect("a file");
    says(&sandbox.expect(0, &["apply"]), &["1 succeeded"]);
    assert_eq!(sandbox.expect(0, &["logs", "far"]).stdout, "done\n");
}

/// A rented machine that is another one the next day: what it had is lost, and said to be.
#[test]
fn a_host_whose_disk_is_a_new_one() {
    let sandbox = one("box", "", "echo x >> \"$RAN\"; until [ -e ~/go ]; do sleep 0.05; done");
    let ran = sandbox.path().join("ran");
    let text = sandbox.read("campaign.toml");
    sandbox.write("campaign.toml", &format!("{text}\n[env]\nRAN = {}\n", in_toml(&ran)));
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the job runs", || read(&ran) == "x\n");
    sandbox.kill_all();
    let home = sandbox.host_home("box");
    fs::remove_dir_all(&home).expect("it is gone");
    fs::create_dir(&home).expect("a folder");
    fs::write(home.join("go"), "").expect("a file");
    assert_eq!(sandbox.states(), [("lost".to_owned(), "root-gone".to_owned())]);
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.states()[0].0, "succeeded");
    let attempts = sandbox.read(".sp/far/attempts.csv");
    assert!(attempts.contains("root-gone"), "{attempts}");
}

#[test]
fn a_home_with_a_blank_and_quotes() {
    let sandbox = one("box", "", "echo done > \"$HOME/ran\"");
    let home = sandbox.path().join("it's \"a\" $home");
    fs::create_dir(&home).expect("a folder");
    sandbox.host_variable("box", "HOME", &home.to_string_lossy());
    says(&sandbox.expect(0, &["apply"]), &["1 succeeded"]);
    assert_eq!(read(&home.join("ran")), "done\n");
    sandbox.expect(0, &["logs", "far"]);
    sandbox.expect(0, &["doctor"]);
}

/// The server runs `SHELL -c LINE` of whatever the account's shell is; so does this command in its place.
#[test]
fn other_login_shells() {
    for program in ["dash", "busybox", "zsh", "fish", "tcsh", "ksh"] {
        let Ok(path) = which::which(program) else {
            eprintln!("skipped: there is no {program} here");
            continue;
        };
        let ash = if program == "busybox" { " ash" } else { "" };
        let sandbox = one("box", "", "echo done");
        let force =
            format!("ForceCommand exec {}{ash} -c \"$SSH_ORIGINAL_COMMAND\"", path.display());
        sandbox.sshd_config(&force);
        says(&sandbox.expect(0, &["apply"]), &["1 succeeded"]);
        assert_eq!(sandbox.expect(0, &["logs", "far"]).stdout, "done\n", "{program}");
    }
}

#[test]
fn programs_that_only_the_login_shell_finds_and_init() {
    let sandbox = one(
        "box",
        "require = ['my-tool']\ninit = '''\nmodule() { export MODULE=\"$2\"; }\nmodule load gcc/13\n'''\n",
        "my-tool \"$MODULE\"",
    );
    let home = sandbox.host_home("box");
    lacks(&sandbox, &["host `box` lacks my-tool", "login shell's PATH"]);
    shell(
        &home,
        "mkdir tools; printf '#!/bin/sh\\necho tool of $1\\n' >tools/my-tool; chmod +x tools/my-tool\n\
         echo 'PATH=$HOME/tools:$PATH' >.profile",
    );
    says(&sandbox.expect(0, &["apply"]), &["1 succeeded"]);
    assert_eq!(sandbox.expect(0, &["logs", "far"]).stdout, "tool of gcc/13\n");
    sandbox.expect(0, &["doctor"]);
}

/// Nothing of this machine's environment goes over but what the file says.
#[test]
fn the_environment_of_a_job_is_the_documented_one() {
    let mut sandbox = one("box", "env = { HERE = '1' }", "env | sed s/=.*// | sort");
    let text = sandbox.read("campaign.toml");
    sandbox.write(
        "campaign.toml",
        &format!("time-limit = '1h'\nenv.OWN = '1'\nmatrix.n = [1]\n{text}"),
    );
    for name in ["LANG", "TZ", "SECRET_OF_MINE", "TMUX", "SLURM_JOB_ID", "LC_ALL"] {
        sandbox.set(name, "C");
    }
    fs::write(
        sandbox.host_home("box").join(".profile"),
        "export TMPDIR=/var/tmp LEAKED=1\nTZ=UTC\nexport TZ\n",
    )
    .expect("a file");
    sandbox.expect(0, &["apply"]);
    let found = sandbox.expect(0, &["logs", "n=1"]).stdout;
    // Some shells add these by themselves to what they start.
    let found: Vec<&str> =
        found.lines().filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name)).collect();
    let mut wanted = vec![
        "HERE",
        "HOME",
        "LOGNAME",
        "OWN",
        "PATH",
        "PYTHONUNBUFFERED",
        "SHELL",
        "TMPDIR",
        "TZ",
        "USER",
        "SP_ATTEMPT",
        "SP_CAMPAIGN",
        "SP_DEADLINE",
        "SP_HOST",
        "SP_JOB_ID",
        "SP_JOB_NAME",
        "SP_OUT_DIR",
        "SP_PARAMS_FILE",
        "SP_PARAM_N",
        "SP_SLOT",
        "SP_SNAPSHOT",
        "SP_STATE_DIR",
        "SP_TIME_LIMIT",
        "SP_WORK_DIR",
    ];
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

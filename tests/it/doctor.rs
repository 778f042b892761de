//! `sp doctor`: what is wrong with a host is told before a run needs it, each finding with its fix.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{PATIENCE, Sandbox, wait_until};

/// A sandbox with these hosts, whose campaign is this text and a table for each host.
fn campaign(names: &[&str], text: &str) -> Sandbox {
    let tables: Vec<String> =
        names.iter().map(|name| format!("[hosts.{name}]\nssh = \"{name}\"\n")).collect();
    let mut sandbox = Sandbox::with(&format!("name = 'far'\n{text}\n{}", tables.concat()));
    sandbox.hosts(names);
    sandbox
}

fn one() -> Sandbox {
    campaign(&["box"], "command = 'true'")
}

/// The findings of a host on one check: level, finding, fix.
#[track_caller]
fn findings<'a>(document: &'a Value, host: &str, check: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let hosts = document["hosts"].as_array().expect("a list of hosts");
    let host = hosts.iter().find(|one| one["name"] == host).expect("the host");
    let all = host["findings"].as_array().expect("a list of findings").iter();
    all.filter(|finding| finding["check"] == check)
        .map(|finding| {
            let word = |key: &str| finding[key].as_str().unwrap_or("");
            (word("level"), word("finding"), word("fix"))
        })
        .collect()
}

/// The one finding on a check of the host `box`, which must be of this level.
#[track_caller]
fn found(sandbox: &Sandbox, level: &str, check: &str) -> (String, String) {
    let document = sandbox.json(&["doctor"]);
    let all = findings(&document, "box", check);
    assert_eq!(all.len(), 1, "{check}: {document:#}");
    let (found, text, fix) = all[0];
    assert_eq!(found, level, "{check}: {document:#}");
    (text.to_owned(), fix.to_owned())
}

/// Whether the account that runs the tests has bash as its login shell, which reads `.bashrc` for a command over ssh.
pub(crate) fn bash_is_the_login_shell() -> bool {
    let sandbox = Sandbox::new();
    let entry = crate::support::shell(sandbox.path(), "getent passwd \"$(id -un)\"");
    let is = entry.trim_end().ends_with("/bash");
    if !is {
        eprintln!("skipped: the login shell here is not bash: {entry}");
    }
    is
}

#[test]
fn hosts_in_order_are_looked_at_side_by_side() {
    let sandbox = campaign(&["left", "right"], "command = 'true'");
    let run = sandbox.expect(0, &["doctor"]);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines[0], "left (left)");
    assert!(lines.contains(&"right (right)"), "{}", run.stdout);
    assert!(lines[1].starts_with("  ok       ssh         connected in "), "{}", run.stdout);
    assert!(run.stderr.starts_with("Nothing needs a person"), "{}", run.stderr);
    let document = sandbox.json(&["doctor"]);
    assert_eq!((&document["schema"], &document["problems"]), (&1.into(), &0.into()));
    for host in ["left", "right"] {
        for check in ["ssh", "start-up", "sessions", "root", "space", "locks", "programs", "rsync"]
        {
            let all = findings(&document, host, check);
            assert!(all.len() == 1 && all[0].0 != "problem", "{host} {check}: {all:?}");
        }
        // Sandboxes lie where machines clean up.
        assert_eq!(findings(&document, host, "root")[0].0, "warning");
    }
    let one = sandbox.expect(0, &["doctor", "right"]);
    assert!(!one.stdout.contains("left"), "{}", one.stdout);
    sandbox.expect(0, &["doctor", "campaign.toml"]);
    let wrong = sandbox.expect(64, &["doctor", "rihgt"]);
    assert!(wrong.stderr.contains("did you mean `right`?"), "{}", wrong.stderr);
    assert!(!sandbox.campaign().join(".sp").exists(), "a look leaves nothing here");
}

#[test]
fn this_machine_is_looked_at_too() {
    let sandbox = Sandbox::with(
        "name = 'here'\ncommand = 'true'\nhosts.desk.require = ['no-such-program']\n",
    );
    let run = sandbox.expect(1, &["doctor"]);
    assert!(run.stdout.starts_with("desk (this machine)\n"), "{}", run.stdout);
    assert!(
        run.stdout.contains("problem  programs    jobs would find no `no-such-program`\n"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("fix: install no-such-program there"), "{}", run.stdout);
    assert!(run.stderr.contains("1 finding for a person"), "{}", run.stderr);
    let quiet = sandbox.expect(1, &["doctor", "-q"]);
    assert!(!quiet.stdout.contains("  ok "), "{}", quiet.stdout);
}

#[test]
fn a_host_that_does_not_answer_hides_no_other() {
    let sandbox = campaign(&["box", "gone"], "command = 'true'");
    sandbox.ssh_config("Host gone\n  ProxyCommand false\n");
    let run = sandbox.sp(&["doctor", "--json"]);
    assert_eq!(run.code, 1, "{run:?}");
    let document: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(findings(&document, "box", "locks")[0].0, "ok");
    assert_eq!(findings(&document, "gone", "ssh-cut")[0].0, "problem");
}

#[test]
fn start_up_files_that_print_or_are_slow() {
    if !bash_is_the_login_shell() {
        return;
    }
    let sandbox = one();
    let bashrc = sandbox.host_home("box").join(".bashrc");
    fs::write(&bashrc, "sleep 0.3\n").expect("a file");
    let (text, _) = found(&sandbox, "warning", "start-up");
    assert!(
        text.starts_with("start-up files take ") && text.ends_with(" before each command starts"),
        "{text}"
    );
    fs::write(&bashrc, "printf 'Welcome \\033[31mback'\n").expect("a file");
    let document = sandbox.json(&["doctor"]);
    let all = findings(&document, "box", "start-up");
    assert_eq!(
        (all[0].0, all[0].1),
        ("problem", "start-up files print where nobody reads: Welcome \\u{1b}[31mback")
    );
    assert!(all[0].2.contains("rsync"), "{all:?}");
    let run = sandbox.expect(1, &["doctor"]);
    assert!(!run.stdout.contains('\u{1b}'), "{}", run.stdout);
}

#[test]
fn programs_that_are_missing() {
    let sandbox = one();
    let folder = sandbox.programs_without(&["rsync", "tmux", "flock"]);
    sandbox.host_variable("box", "PATH", &folder.to_string_lossy());
    let (text, fix) = found(&sandbox, "problem", "rsync");
    assert_eq!((text.as_str(), fix.as_str()), ("there is no `rsync` there", "install rsync there"));
    found(&sandbox, "warning", "tmux");
    assert_eq!(found(&sandbox, "problem", "programs").1, "install util-linux");
    assert_eq!(found(&sandbox, "problem", "locks").1, "install util-linux");
}

#[test]
fn fewer_sessions_than_sp_may_use() {
    let sandbox = one();
    sandbox.sshd_config("MaxSessions 3");
    let (text, fix) = found(&sandbox, "warning", "sessions");
    assert_eq!(text, "the ssh server gives 3 at once over one connection, of 8");
    assert!(fix.contains("MaxSessions"), "{fix}");
}

/// A path as the list of mounts has it.
fn mounted(path: &Path) -> String {
    path.to_string_lossy().replace(' ', "\\040")
}

/// A folder with files that stand in for the system's.
fn system(sandbox: &Sandbox, files: &[(&str, &str)]) {
    let folder = sandbox.path().join("system");
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    sandbox.host_variable("box", "SP_SYSTEM_ROOT", &folder.to_string_lossy());
}

/// An apply refuses what the doctor refuses, in the same words.
#[test]
fn a_root_on_a_network_or_noexec_is_refused() {
    for (mounts, what) in [
        ("server:/home /HOME nfs4 rw,relatime 0 0\n", "lies on a network file system (nfs4)"),
        ("/dev/sdb1 /HOME ext4 rw,noexec 0 0\n", "lies on a file system mounted `noexec`"),
    ] {
        let sandbox = one();
        let home = sandbox.host_home("box").canonicalize().expect("a home");
        let mounts = mounts.replace("/HOME", &mounted(&home));
        system(&sandbox, &[("proc/self/mounts", &format!("overlay / overlay rw 0 0\n{mounts}"))]);
        // Sandboxes lie where machines clean up, which is the second finding.
        let document = sandbox.json(&["doctor"]);
        let (level, text, fix) = findings(&document, "box", "root")[0];
        assert!(level == "problem" && text.contains(what), "{text}");
        assert!(fix.contains("local disk"), "{fix}");
        let apply = sandbox.expect(1, &["apply"]);
        assert!(apply.stderr.contains(what), "{}", apply.stderr);
        assert!(apply.stderr.contains("local disk"), "{}", apply.stderr);
        let queue = sandbox.host_place("box", "far").join("queue");
        let handed_over = std::fs::read_dir(queue).into_iter().flatten().count();
        assert_eq!(handed_over, 0, "nothing was handed over");
    }
}

/// A mount point with a blank, and one that only begins like the root's path.
#[test]
fn the_mount_of_the_root_is_the_right_one() {
    let sandbox = one();
    let home = sandbox.host_home("box");
    let spaced = home.join("my disk");
    fs::create_dir(&spaced).expect("a folder");
    sandbox.write(
        "campaign.toml",
        &format!(
            "name = 'far'\ncommand = 'true'\n[hosts.box]\nssh = 'box'\nroot = {:?}\n",
            spaced.join("sp")
        ),
    );
    let home = mounted(&home.canonicalize().expect("a home"));
    let mounts = format!(
        "a / ext4 rw 0 0\nb {home}/my nfs rw 0 0\nc {home}/my\\040disk ext4 rw 0 0\nd {home}/my\\040disk btrfs rw 0 0\ne {home} nfs rw 0 0\n"
    );
    system(&sandbox, &[("proc/self/mounts", &mounts)]);
    let document = sandbox.json(&["doctor"]);
    assert_ne!(findings(&document, "box", "root")[0].0, "problem", "{document:#}");
}

#[test]
fn what_systemd_does_at_a_logout_is_read_where_it_runs() {
    let sandbox = one();
    let kills = "[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n";
    let home = sandbox.path().join("system");
    let says = |files: &[(&str, &str)]| {
        drop(fs::remove_dir_all(&home));
        fs::create_dir(&home).expect("a folder");
        system(&sandbox, files);
        let document = sandbox.json(&["doctor"]);
        findings(&document, "box", "logout")[0].1.to_owned()
    };
    let running = ("run/systemd/system/x", "");
    let user = crate::support::shell(sandbox.path(), "id -un");
    let linger = format!("var/lib/systemd/linger/{}", user.trim());
    // Who is root is left alone by systemd.
    let killed = if rustix::process::geteuid().is_root() {
        "jobs stay after a logout"
    } else {
        "systemd ends every process of yours with your last login (KillUserProcesses)"
    };
    assert_eq!(says(&[("etc/systemd/logind.conf", kills)]), "jobs stay after a logout");
    assert_eq!(says(&[running, ("etc/systemd/logind.conf", kills)]), killed);
    assert_eq!(
        says(&[running, ("etc/systemd/logind.conf", kills), (&linger, "")]),
        "jobs stay after a logout (linger is enabled)"
    );
    let no = "[Login]\nKillUserProcesses=no\n";
    let overridden = [
        running,
        ("etc/systemd/logind.conf", kills),
        ("etc/systemd/logind.conf.d/site.conf", no),
        (&linger, ""),
    ];
    assert_eq!(says(&overridden), "jobs stay after a logout");
}

#[test]
fn a_runner_whose_root_is_gone() {
    let sandbox = campaign(&["box"], "command = 'until [ -e ~/go ]; do sleep 0.1; done'");
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the job runs", || sandbox.json(&["status"])["counts"]["running"] == 1);
    let root = sandbox.host_root("box");
    fs::rename(&root, root.with_extension("moved")).expect("it is moved");
    let (text, fix) = found(&sandbox, "warning", "runners");
    assert!(text.starts_with("runners that serve a root that is gone: "), "{text}");
    assert!(fix.contains("kill "), "{fix}");
    fs::write(sandbox.host_home("box").join("go"), "").expect("a file");
    sandbox.kill_all();
}

/// Sockets of a killed command are ended by the next one; the doctor says so.
#[test]
fn sockets_of_a_killed_command() {
    let sandbox = campaign(&["box"], "command = 'until [ -e ~/go ]; do sleep 0.1; done'");
    let mut apply = sandbox.spawn(&["apply"]);
    wait_until("the job runs", || sandbox.json(&["status"])["counts"]["running"] == 1);
    apply.kill().expect("it is killed");
    apply.wait().expect("it ends");
    let (text, _) = found(&sandbox, "ok", "sockets");
    assert_eq!(text, "1 left by commands that were killed; cleared away");
    fs::write(sandbox.host_home("box").join("go"), "").expect("a file");
    sandbox.expect(0, &["wait", "--timeout", &format!("{}s", PATIENCE.as_secs())]);
}

//! The way in: name, port, keys, login, connection.

use std::fs;
use std::process::Command;

use super::{one, read, refused, says};
use crate::support::{Sandbox, finish, kill, wait_until};

#[test]
fn a_name_that_leads_nowhere() {
    // Longer than a label may be, so that no server is asked.
    let name = "n".repeat(70);
    let run = refused(&one(&name, "", "true"), 75, "ssh-name");
    says(&run, &["host `box` (nnn", "its name cannot be resolved", "~/.ssh/config"]);
}

#[test]
fn nobody_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let run = refused(&one(&format!("ssh://127.0.0.1:{port}"), "", "true"), 75, "ssh-refused");
    says(&run, &["the connection was refused", "port"]);
}

#[test]
fn nobody_answers() {
    let mut sandbox = one("box", "", "true");
    sandbox.unset("SP_TEST_ASK_WITHIN");
    sandbox.ssh_config("Host box\n  ProxyCommand sh -c 'cat >/dev/null; :'\n");
    let run = sandbox.expect(75, &["apply"]);
    says(&run, &["host `box` did not answer within 5 s", "VPN"]);
    sandbox.wait_quiet();
}

#[test]
fn a_key_that_nobody_has_seen_is_taken_once_where_the_file_says_so() {
    let sandbox = one("box", "", "true");
    let known = sandbox.path().join("ssh/known_hosts");
    fs::write(&known, "").expect("a file");
    let run = refused(&sandbox, 1, "host-key-unknown");
    says(&run, &["its host key is not known", "ssh box true", "accept-new"]);
    assert_eq!(read(&known), "");
    let text = sandbox.read("campaign.toml");
    sandbox.write("campaign.toml", &format!("{text}host-key-check = 'accept-new'\n"));
    sandbox.expect(0, &["apply"]);
    assert!(read(&known).starts_with("sp-test "), "it is remembered");
    sandbox.write("campaign.toml", &text);
    sandbox.expect(0, &["status"]);
}

#[test]
fn a_key_that_has_changed_is_refused_either_way() {
    for table in ["", "host-key-check = 'accept-new'"] {
        let sandbox = one("box", table, "true");
        let folder = sandbox.path().join("ssh");
        let other = read(&folder.join("key-box.pub"));
        let other: Vec<&str> = other.split(' ').take(2).collect();
        fs::write(folder.join("known_hosts"), format!("sp-test {}\n", other.join(" ")))
            .expect("a file");
        let run = refused(&sandbox, 1, "host-key-changed");
        says(
            &run,
            &[
                "its host key has changed; it said: ",
                "; Offending ED25519 key in ",
                "ssh-keygen -R",
            ],
        );
        assert_eq!(run.stderr.lines().filter(|line| !line.is_empty()).count(), 2, "{}", run.stderr);
    }
}

#[test]
fn a_login_that_is_refused() {
    let sandbox = one("box", "", "true");
    fs::write(sandbox.path().join("ssh/authorized_keys"), "").expect("a file");
    let run = refused(&sandbox, 1, "login-refused");
    says(
        &run,
        &[
            "the login was refused",
            "Permission denied",
            "ssh -oBatchMode=yes box true",
            "ControlMaster",
        ],
    );
}

/// Where a login takes a person (a second factor, a passphrase), the connection that the person keeps open serves, and stays.
#[test]
fn a_connection_of_the_users_own_serves_where_ours_is_refused() {
    let sandbox = one("box", "", "echo done");
    let socket = sandbox.path().join("ssh/mine");
    sandbox.ssh_config(&format!("Host box\n  ControlPath {}\n", socket.display()));
    let config = sandbox.path().join("ssh/config");
    let ssh = |arguments: &[&str]| {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(&config).args(arguments).env("HOME", sandbox.home());
        ssh.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        ssh.stderr(std::process::Stdio::null()).status().expect("ssh starts").success()
    };
    assert!(ssh(&["-M", "-N", "-f", "box"]), "the user logs in");
    fs::write(sandbox.path().join("ssh/authorized_keys"), "").expect("a file");
    let run = sandbox.expect(0, &["apply"]);
    says(&run, &["1 succeeded"]);
    assert!(ssh(&["-O", "check", "box"]), "it is still there");
    assert!(ssh(&["-O", "exit", "box"]));
    refused(&sandbox, 1, "login-refused");
}

/// What nologin(8) prints, on stdout, and its code.
#[test]
fn an_account_without_a_shell() {
    let sandbox = one("box", "", "true");
    sandbox.sshd_config("ForceCommand echo 'This account is currently not available.'; exit 1");
    let run = refused(&sandbox, 1, "no-login");
    says(&run, &["This account is currently not available.", "has no shell"]);
}

/// Process ids of the servers behind this sandbox's connections: they have its log open.
fn servers(sandbox: &Sandbox) -> Vec<i32> {
    let log = sandbox.path().join("ssh/log-box");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let open = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        if open.into_iter().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == log)) {
            found.extend(entry.file_name().to_string_lossy().parse::<i32>());
        }
    }
    found
}

#[test]
fn a_server_that_is_restarted_in_the_middle() {
    let sandbox = one(
        "box",
        "",
        "echo {{ n }} >> ~/ran; until [ -e ~/go ]; do sleep 0.05; done\n'''\nmatrix.n = [1, 2, 3]\n#'''",
    );
    let ran = sandbox.host_home("box").join("ran");
    let apply = sandbox.spawn(&["apply"]);
    wait_until("the first job runs", || read(&ran) == "1\n");
    let first = servers(&sandbox);
    assert!(!first.is_empty(), "{:?}", sandbox.processes());
    for pid in &first {
        kill(*pid, rustix::process::Signal::KILL);
    }
    wait_until("there is another connection", || {
        servers(&sandbox).iter().any(|pid| !first.contains(pid))
    });
    fs::write(sandbox.host_home("box").join("go"), "").expect("a file");
    let run = finish(apply);
    assert_eq!(run.code, 0, "{}", run.stderr);
    says(&run, &["3 succeeded"]);
    assert_eq!(read(&ran), "1\n2\n3\n");
}

/// What people have in their configuration for logging in by hand.
#[test]
fn a_configuration_that_runs_a_command_and_wants_a_terminal() {
    let sandbox = one("box", "", "echo done");
    sandbox.ssh_config(
        "Host *\n  RemoteCommand exec screen -R\n  RequestTTY force\n  PermitLocalCommand yes\n",
    );
    let run = sandbox.expect(0, &["apply"]);
    says(&run, &["1 succeeded"]);
    assert_eq!(sandbox.expect(0, &["logs", "far"]).stdout, "done\n");
    sandbox.expect(0, &["doctor"]);
}

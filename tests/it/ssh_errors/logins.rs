//! The way in: name, port, keys, login, connection.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use rustix::process::Signal;

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
    let known = sandbox.plain().join("ssh/known_hosts");
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
        let folder = sandbox.plain().join("ssh");
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
    fs::write(sandbox.plain().join("ssh/authorized_keys"), "").expect("a file");
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

/// A connection that the person keeps open, at the place that the configuration names.
struct Users<'a>(&'a Sandbox);

impl<'a> Users<'a> {
    fn open(sandbox: &'a Sandbox) -> Self {
        let socket = sandbox.plain().join("ssh/mine");
        sandbox.ssh_config(&format!("Host box\n  ControlPath {}\n", socket.display()));
        let users = Self(sandbox);
        assert!(users.ssh(&["-M", "-N", "-f", "box"]), "the user logs in");
        users
    }

    fn ssh(&self, arguments: &[&str]) -> bool {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(self.0.plain().join("ssh/config")).args(arguments);
        ssh.env("HOME", self.0.home()).stdin(Stdio::null()).stdout(Stdio::null());
        ssh.stderr(Stdio::null()).status().expect("ssh starts").success()
    }

    fn is_open(&self) -> bool {
        self.ssh(&["-O", "check", "box"])
    }
}

impl Drop for Users<'_> {
    fn drop(&mut self) {
        self.ssh(&["-O", "exit", "box"]);
    }
}

/// How often somebody has logged in there.
fn logins(sandbox: &Sandbox) -> usize {
    sandbox.ssh_log("box").matches("Accepted publickey").count()
}

/// It costs no login, serves where a login takes a person (a second factor, a passphrase), and stays.
#[test]
fn a_connection_of_the_users_own_serves_first() {
    let sandbox = one("box", "", "echo done");
    let users = Users::open(&sandbox);
    assert_eq!(logins(&sandbox), 1);
    let keys = sandbox.plain().join("ssh/authorized_keys");
    let allowed = read(&keys);
    fs::write(&keys, "").expect("a file");
    let run = sandbox.expect(0, &["apply"]);
    says(&run, &["1 succeeded"]);
    assert!(users.is_open(), "it is still there");
    fs::write(&keys, allowed).expect("a file");
    sandbox.expect(0, &["status"]);
    assert_eq!(logins(&sandbox), 1);
    drop(users);
    sandbox.expect(0, &["status"]);
    assert_eq!(logins(&sandbox), 2);
}

#[test]
fn a_connection_of_the_users_own_that_has_no_session_left_is_not_needed() {
    let sandbox = one("box", "", "echo done");
    sandbox.sshd_config("MaxSessions 1");
    let users = Users::open(&sandbox);
    let mut shell = Command::new("ssh");
    shell.arg("-F").arg(sandbox.plain().join("ssh/config")).args(["box", "cat"]);
    shell.env("HOME", sandbox.home()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = shell.spawn().expect("ssh starts");
    let mut stdin = shell.stdin.take().expect("piped");
    stdin.write_all(b"x").expect("it reads");
    let mut byte = [0];
    shell.stdout.take().expect("piped").read_exact(&mut byte).expect("it is there");
    sandbox.expect(0, &["status"]);
    assert_eq!(logins(&sandbox), 2);
    drop(stdin);
    assert!(shell.wait().expect("it ends").success());
    assert!(users.is_open());
}

/// Its network is gone, and nobody has noticed: the server says nothing any more.
#[test]
fn a_connection_of_the_users_own_that_is_dead_is_not_waited_for() {
    let sandbox = one("box", "", "echo done");
    let users = Users::open(&sandbox);
    let first = servers(&sandbox);
    for pid in &first {
        kill(*pid, Signal::STOP);
    }
    let run = sandbox.sp(&["status"]);
    for pid in &first {
        kill(*pid, Signal::CONT);
    }
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(logins(&sandbox), 2);
    assert!(users.is_open());
}

/// What nologin(8) prints, on stdout, and its code.
#[test]
fn an_account_without_a_shell() {
    let sandbox = one("box", "", "true");
    sandbox.sshd_config("ForceCommand echo 'This account is currently not available.'; exit 1");
    let run = refused(&sandbox, 1, "no-login");
    says(&run, &["This account is currently not available.", "lets the account run no commands"]);
}

/// Process ids of the servers behind this sandbox's connections: they have its log open.
fn servers(sandbox: &Sandbox) -> Vec<i32> {
    let log = sandbox.plain().join("ssh/log-box");
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
        kill(*pid, Signal::KILL);
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

//! A network of its own (`network_namespaces(7)`), where this user may make one: a loopback that can be taken down, with a
//! real sshd on it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Sandbox, wait_until};

/// Nobody else has it: the network is ours alone.
const PORT: &str = "2222";

/// The network, which lives as long as this or a process in it.
pub struct Network {
    space: File,
    ssh: PathBuf,
    server: Option<Child>,
}

impl Network {
    /// The way to all hosts of a sandbox from now on; none where networks cannot be made here, which is told.
    #[expect(clippy::print_stderr, reason = "for who wonders what a test has shown")]
    pub fn new(sandbox: &Sandbox) -> Option<Self> {
        let mut first = Command::new("unshare");
        first.args(["--net", "/bin/sh", "-c", "ip link set lo up && echo up && read -r _"]);
        first.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut first = first.spawn().ok()?;
        let mut said = String::new();
        let read = BufReader::new(first.stdout.take().expect("piped")).read_line(&mut said);
        let space = File::open(format!("/proc/{}/ns/net", first.id()));
        drop(first.stdin.take());
        drop(first.wait());
        let (Ok(space), true) = (space, read.is_ok() && said == "up\n") else {
            eprintln!("this user cannot make networks here");
            return None;
        };
        let mut network = Self { space, ssh: sandbox.plain().join("ssh"), server: None };
        network.start_server();
        let way = format!("Host *\n  ProxyCommand none\n  HostName 127.0.0.1\n  Port {PORT}\n");
        sandbox.ssh_config(&way);
        Some(network)
    }

    /// The same command, in this network.
    pub fn command(&self, command: &Command) -> Command {
        within(["nsenter", self.word().as_str(), "--"], command)
    }

    fn word(&self) -> String {
        format!("--net=/proc/{}/fd/{}", std::process::id(), self.space.as_raw_fd())
    }

    /// Takes the network down, or up again: packets are lost, and nobody is told.
    pub fn set(&self, state: &str) {
        let mut command = Command::new("nsenter");
        command.arg(self.word()).args(["--", "ip", "link", "set", "lo", state]);
        assert!(command.status().expect("nsenter starts").success(), "lo goes {state}");
    }

    /// Process id of the server that listens; it has none while it is stopped.
    pub fn server(&self) -> Option<i32> {
        self.server.as_ref().and_then(|server| i32::try_from(server.id()).ok())
    }

    /// Ends the server that listens; what it has begun is not its own any more.
    pub fn stop_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.kill());
            drop(server.wait());
        }
    }

    /// Starts it, and waits until it listens.
    pub fn start_server(&mut self) {
        let pid = self.ssh.join("pid");
        drop(fs::remove_file(&pid));
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-o", "ListenAddress=127.0.0.1", "-o", &format!("Port={PORT}")]);
        sshd.arg("-f").arg(self.ssh.join("sshd_config"));
        sshd.arg("-E").arg(self.ssh.join("log-network")).current_dir("/");
        let mut sshd = self.command(&sshd);
        self.server = Some(sshd.stdin(Stdio::null()).spawn().expect("nsenter starts"));
        wait_until("sshd listens", || pid.exists());
    }
}

/// A command behind words that start it in another place; its variables and its folder stay.
pub(super) fn within<'a>(words: impl IntoIterator<Item = &'a str>, command: &Command) -> Command {
    let mut words = words.into_iter();
    let mut within = Command::new(words.next().expect("a program"));
    within.args(words).arg(command.get_program()).args(command.get_args());
    within.env_clear();
    within.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    within.current_dir(command.get_current_dir().unwrap_or(Path::new(".")));
    within
}

impl Drop for Network {
    fn drop(&mut self) {
        self.stop_server();
    }
}

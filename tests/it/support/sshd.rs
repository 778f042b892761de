//! Hosts reached by a real sshd: each name is a home of its own behind one server, stock limits included.
//!
//! The server is started by ssh itself, over a pipe: no port, and nothing that outlives a connection.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Sandbox;

const SSHD: &str = "/usr/sbin/sshd";

impl Sandbox {
    /// Makes hosts that `ssh NAME` reaches; their homes are `host-NAME` in the sandbox.
    pub fn hosts(&mut self, names: &[&str]) {
        let folder = self.plain().join("ssh");
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("it can be made anew");
        }
        fs::create_dir(&folder).expect("a folder");
        make_key(&folder.join("host_key"));
        let public = fs::read_to_string(folder.join("host_key.pub")).expect("a key");
        let public: Vec<&str> = public.split(' ').take(2).collect();
        fs::write(folder.join("known_hosts"), format!("sp-test {}\n", public.join(" ")))
            .expect("a file");
        let at = folder.display();
        let server = format!(
            "HostKey {at}/host_key\nPidFile {at}/pid\nAuthorizedKeysFile {at}/authorized_keys\n\
             StrictModes no\nUsePAM no\nPermitUserEnvironment yes\nPermitRootLogin yes\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel VERBOSE\n"
        );
        fs::write(folder.join("sshd_config"), server).expect("a file");
        let mut authorized = Vec::new();
        let mut client = Vec::new();
        for name in names {
            let home = self.host_home(name);
            if !home.exists() {
                fs::create_dir(&home).expect("a home");
            }
            let key = folder.join(format!("key-{name}"));
            make_key(&key);
            let public = fs::read_to_string(key.with_extension("pub")).expect("a key");
            let home = home.display();
            authorized.push(format!(
                "environment=\"HOME={home}\",environment=\"TMUX_TMPDIR={home}\" {public}"
            ));
            client.push(format!(
                "Host {name}\n  IdentityFile {}\n  ProxyCommand {SSHD} -i -f {at}/sshd_config -E {at}/log-{name}\n",
                key.display()
            ));
        }
        client.push(format!(
            "Host *\n  HostKeyAlias sp-test\n  IdentitiesOnly yes\n  UserKnownHostsFile {at}/known_hosts\n  \
             GlobalKnownHostsFile /dev/null\n"
        ));
        fs::write(folder.join("authorized_keys"), authorized.concat()).expect("a file");
        fs::write(folder.join("config"), client.concat()).expect("a file");
        let config = folder.join("config").to_string_lossy().into_owned();
        self.set("SP_SSH_CONFIG", &config);
        self.set("SP_TEST_ASK_WITHIN", &super::PATIENCE.as_secs().to_string());
    }

    /// Puts lines before the client's configuration: the first value of a key counts.
    pub fn ssh_config(&self, text: &str) {
        let path = self.plain().join("ssh/config");
        let old = fs::read_to_string(&path).expect("a file");
        fs::write(path, format!("{text}{old}")).expect("a file");
    }

    /// Adds a line to the server's configuration.
    pub fn sshd_config(&self, line: &str) {
        let path = self.plain().join("ssh/sshd_config");
        let old = fs::read_to_string(&path).expect("a file");
        fs::write(path, format!("{old}{line}\n")).expect("a file");
    }

    /// Gives commands on a host a variable, in place of the one it has.
    pub fn host_variable(&self, host: &str, name: &str, value: &str) {
        let path = self.plain().join("ssh/authorized_keys");
        let key = fs::read_to_string(self.plain().join(format!("ssh/key-{host}.pub")));
        let key = key.expect("a key");
        let old = fs::read_to_string(&path).expect("a file");
        let is_set = format!("environment=\"{name}=");
        let value = value.replace('"', "\\\"");
        let lines = old.lines().map(|line| match line.strip_suffix(key.trim_end()) {
            None => format!("{line}\n"),
            Some(options) => {
                let options = options.trim_end().split_inclusive("\",");
                let others = options.map(|one| one.trim_end_matches(','));
                let others = others.filter(|one| !one.starts_with(&is_set));
                let set = format!("{is_set}{value}\"");
                let all: Vec<&str> = others.chain([set.as_str()]).collect();
                format!("{} {key}", all.join(","))
            }
        });
        let text: String = lines.collect();
        fs::write(path, text).expect("a file");
    }

    /// A folder that has every program of this machine but these.
    pub fn programs_without(&self, missing: &[&str]) -> PathBuf {
        let folder = self.plain().join(format!("without-{}", missing.join("-")));
        fs::create_dir(&folder).expect("a folder");
        for bin in ["/usr/bin", "/bin", "/usr/sbin", "/sbin"] {
            for entry in fs::read_dir(bin).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let to = folder.join(&name);
                if !missing.iter().any(|word| name == *word) && !to.exists() {
                    // What leads nowhere is no program, and the same name may be in two folders.
                    drop(std::os::unix::fs::symlink(entry.path(), to));
                }
            }
        }
        folder
    }

    /// From now on `ssh NAME` reaches nobody.
    pub fn unplug(&self, name: &str) {
        self.edit_ssh_config(
            &format!("Host {name}\n"),
            &format!("Host {name}\n  ProxyCommand false\n"),
        );
    }

    /// `ssh NAME` reaches the host again.
    pub fn plug_in(&self, name: &str) {
        self.edit_ssh_config(
            &format!("Host {name}\n  ProxyCommand false\n"),
            &format!("Host {name}\n"),
        );
    }

    fn edit_ssh_config(&self, from: &str, to: &str) {
        let path = self.plain().join("ssh/config");
        let text = fs::read_to_string(&path).expect("a file");
        assert!(text.contains(from), "{from:?} is not in {text}");
        fs::write(path, text.replace(from, to)).expect("a file");
    }

    /// Home of a host.
    pub fn host_home(&self, name: &str) -> PathBuf {
        self.path().join(format!("host-{name}"))
    }

    /// Root of a host.
    pub fn host_root(&self, name: &str) -> PathBuf {
        self.host_home(name).join(".local/share/sp")
    }

    /// Folder of a campaign on a host.
    #[track_caller]
    pub fn host_place(&self, host: &str, campaign: &str) -> PathBuf {
        super::place(&self.host_root(host), campaign)
    }

    /// What a host's server has logged.
    pub fn ssh_log(&self, name: &str) -> String {
        fs::read_to_string(self.plain().join(format!("ssh/log-{name}"))).unwrap_or_default()
    }
}

fn make_key(path: &Path) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .status()
        .expect("ssh-keygen starts");
    assert!(status.success());
}

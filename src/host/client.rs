//! Who works with an instance, and from where: what a client leaves on a host with each hand-over, so that others can be told
//! whose an instance is, and a folder that has lost its memory finds its own again.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::git::Repository;
use crate::ids::Instance;

/// The longest line about a client that is read.
const LINE_MAX: usize = 16 << 10;
/// Where a machine's identity stands, see machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";

/// One client of an instance: a campaign file on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Digest of machine and path: two clients with the same one are the same file.
    pub place: String,
    /// Name of the machine, for people.
    pub machine: String,
    /// Absolute path of the campaign file, for people: bytes that are no UTF-8 are replaced.
    pub file: String,
    /// Digest of the address that the repository was cloned from, without what may be secret in it.
    pub remote: Option<String>,
    /// The commit that the work tree stood at.
    pub commit: Option<String>,
    /// Digest of the file's path in the repository.
    pub path: Option<String>,
}

impl Client {
    /// The client that a campaign file on this machine is. `machine`: its identity, see [`machine_id`].
    pub fn new(machine: &str, file: &Path) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(machine.as_bytes()).update(b"\0").update(file.as_os_str().as_bytes());
        Self {
            place: short_digest(&hasher),
            machine: node_name(),
            file: file.to_string_lossy().into_owned(),
            remote: None,
            commit: None,
            path: None,
        }
    }

    /// Adds what is known of the file's repository.
    pub fn is_in(&mut self, repository: &Repository, file: &Path) {
        let name = file.file_name().unwrap_or_default().as_bytes();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&repository.prefix).update(name);
        self.path = Some(short_digest(&hasher));
        self.remote.clone_from(&repository.remote);
        self.commit = Some(repository.commit.clone());
    }

    /// Whether both are the same file of one repository, by its address or by the commit that both stood at.
    pub fn is_clone_of(&self, other: &Self) -> bool {
        let same = |ours: &Option<String>, theirs| ours.is_some() && ours == theirs;
        same(&self.path, &other.path)
            && (same(&self.remote, &other.remote) || same(&self.commit, &other.commit))
    }

    /// The client as JSON on one line.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("texts are JSON")
    }
}

/// An instance of the same name that a host has beside the one it was asked for, by one of its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherInstance {
    /// The instance.
    pub instance: Instance,
    /// How many jobs the host has of it.
    pub jobs: u64,
    /// Who handed them over; an instance with several clients stands once for each.
    pub client: Client,
}

impl OtherInstance {
    /// Reads `NAME~ID JOBS {client}`; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        let instance = words.next()?.parse().ok()?;
        let jobs = words.next()?.parse().ok()?;
        let client: Client =
            words.next().filter(|json| json.len() <= LINE_MAX).map(serde_json::from_str)?.ok()?;
        is_digest(&client.place).then_some(Self { instance, jobs, client })
    }
}

/// Digest of a repository's address, the same for `https://user:token@host/a.git`, `ssh://git@host/a` and `git@host:a`.
pub(super) fn remote_digest(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let scheme = address.len() != rest.len();
    let (host, path) = match rest.split_once(if scheme { '/' } else { ':' }) {
        // A path of this machine has no host.
        Some((host, path)) if !host.contains('/') => (host, path),
        _ => ("", rest),
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
    let mut hasher = blake3::Hasher::new();
    hasher.update(host.to_ascii_lowercase().as_bytes()).update(b"\0").update(path.as_bytes());
    short_digest(&hasher)
}

/// Identity of this machine: what the system keeps of it, else its name.
pub fn machine_id() -> String {
    match std::fs::read_to_string(MACHINE_ID) {
        Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => node_name(),
    }
}

fn node_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn short_digest(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex()[..16].to_owned()
}

fn is_digest(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_repository_have_one_digest() {
        let digest = remote_digest("https://example.org/ann/exp");
        for address in [
            "https://ann:token@Example.org/ann/exp.git",
            "ssh://git@example.org:22/ann/exp.git/",
            "git@example.org:ann/exp.git",
            "example.org:/ann/exp",
        ] {
            assert_eq!(remote_digest(address), digest, "{address}");
        }
        assert_ne!(remote_digest("https://example.org/ann/other"), digest);
        assert_ne!(remote_digest("https://example.com/ann/exp"), digest);
        assert_eq!(remote_digest("file:///srv/exp"), remote_digest("/srv/exp.git"));
    }

    #[test]
    fn a_clone_has_the_same_file_of_the_same_repository() {
        let repository = |remote: Option<&str>, commit: &str, prefix: &str| Repository {
            first_commit: None,
            prefix: prefix.as_bytes().to_vec(),
            commit: commit.to_owned(),
            remote: remote.map(str::to_owned),
        };
        let client = |repository: Repository| {
            let file = Path::new("/x/campaign.toml");
            let mut client = Client::new("machine", file);
            client.is_in(&repository, file);
            client
        };
        let one = client(repository(Some("r"), "c", "exp1/"));
        assert!(one.is_clone_of(&client(repository(Some("r"), "d", "exp1/"))));
        assert!(one.is_clone_of(&client(repository(None, "c", "exp1/"))));
        assert!(!one.is_clone_of(&client(repository(Some("r"), "c", "exp2/"))));
        assert!(!one.is_clone_of(&client(repository(Some("s"), "d", "exp1/"))));
        assert!(!one.is_clone_of(&Client::new("machine", Path::new("/x/campaign.toml"))));
        let (none, nobody) = (repository(None, "c", ""), repository(None, "d", ""));
        assert!(!client(none).is_clone_of(&client(nobody)));
    }

    #[test]
    fn client_line_is_read_back() {
        let client = Client::new("machine", Path::new("/home/ann/a b/campaign.toml"));
        let line = format!("bench~0123456789ab 12 {}", client.json());
        let other = OtherInstance::parse(&line).expect("an instance");
        assert_eq!((other.jobs, other.client), (12, client));
        assert_eq!(other.instance.campaign(), "bench");
        for wrong in ["", "bench 1 {}", "bench~x 1 {}", "bench~x -1 {\"place\":\"x\"}"] {
            assert_eq!(OtherInstance::parse(wrong), None, "{wrong}");
        }
    }
}

//! What a host says of itself and of where its root lies, as it answers `doctor` and `account`.

use jiff::Timestamp;

use super::answer::nonsense;
use super::error::HostError;
use super::trouble::{Lack, RootTrouble};
use crate::lifecycle::fields::{count, size};

/// File systems that other machines write to as well. A lock there may be local, or lost with a lease (flock(2), nfs(5)).
const NETWORK: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ncpfs",
    "afs",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
    "fhgfs",
    "pvfs2",
    "orangefs",
    "panfs",
    "ocfs2",
    "gfs2",
    "fuse.sshfs",
    "fuse.ceph",
    "fuse.ceph-fuse",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.gcsfuse",
    "fuse.rclone",
    "fuse.juicefs",
    "fuse.davfs2",
];

/// What a host says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Its clock.
    pub clock: Option<Timestamp>,
    /// Number of the account; 0 is root.
    pub uid: u32,
    /// The root without links, and `v2`.
    pub path: String,
    /// Where the root lies.
    pub root: RootFacts,
    /// Programs that were asked for and are not on the `PATH` of a command over ssh.
    pub missing: Vec<String>,
    /// What `tmux -V` prints.
    pub tmux: Option<String>,
    /// First line of `rsync --version`.
    pub rsync: Option<String>,
    /// Bytes free at the root.
    pub free_bytes: Option<u64>,
    /// Inodes free at the root; `None` where the file system does not count them.
    pub free_inodes: Option<u64>,
    /// Whether a lock keeps another process out; `None` when locks fail.
    pub locks_exclude: Option<bool>,
    /// What systemd does with processes when the last login ends: `keeps`, `kills`, `lingers`.
    pub logout: String,
    /// Where secrets lie until they are used.
    pub secrets: String,
    /// The place where they would lie if it were the account's alone.
    pub taken: Option<String>,
    /// Runners that serve nobody.
    pub strays: Vec<Stray>,
}

/// A runner that serves nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Its process.
    pub pid: u32,
    /// Whether its root is gone; else it is of another version of the script, with nothing queued.
    pub root_gone: bool,
}

/// Where a root lies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RootFacts {
    /// The kernel's name of its file system; empty when unknown.
    pub file_system: String,
    /// How it is mounted.
    pub options: Vec<String>,
    /// Whether a block could not be written.
    pub is_full: bool,
    /// What the machine lacks to run jobs at all.
    pub lacks: Vec<Lack>,
}

impl RootFacts {
    /// Takes a line of an answer; false for one that is about something else.
    pub(super) fn take(&mut self, name: &str, value: &str) -> bool {
        match (name, value) {
            ("fs", fs) => fs.clone_into(&mut self.file_system),
            ("options", options) => self.options = options.split(',').map(str::to_owned).collect(),
            ("lacks", word) => self.lacks.push(Lack::of(word)),
            ("room", room @ ("yes" | "no")) => self.is_full = room == "no",
            _ => return false,
        }
        true
    }

    /// Why jobs cannot be kept there. `sent`: what they run is sent there, so that programs must start from it.
    pub fn trouble(&self, sent: bool) -> Option<RootTrouble> {
        if NETWORK.contains(&self.file_system.as_str()) {
            Some(RootTrouble::Network(self.file_system.clone()))
        } else if self.is_full {
            Some(RootTrouble::Write)
        } else if sent && self.options.iter().any(|option| option == "noexec") {
            Some(RootTrouble::NoExec)
        } else {
            None
        }
    }
}

/// Reads the body of an answer to `doctor`.
pub(super) fn parse(host: &str, body: &[u8]) -> Result<Facts, HostError> {
    let mut facts = Facts::default();
    for line in body.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let wrong = || nonsense(host, "doctor", line);
        let text = std::str::from_utf8(line).map_err(|_| wrong())?;
        let (name, value) =
            text.strip_prefix("fact ").and_then(|text| text.split_once('=')).ok_or_else(wrong)?;
        match name {
            "clock" => facts.clock = super::answer::clock(value),
            "uid" => facts.uid = value.parse().map_err(|_| wrong())?,
            "path" => value.clone_into(&mut facts.path),
            "missing" => facts.missing.push(value.to_owned()),
            "tmux" => facts.tmux = Some(value.to_owned()),
            "rsync" => facts.rsync = Some(value.to_owned()),
            "free" => (facts.free_bytes, facts.free_inodes) = free(value),
            "locks" => {
                facts.locks_exclude = match value {
                    "first" => Some(true),
                    "first second" => Some(false),
                    _ => None,
                }
            }
            "logout" => value.clone_into(&mut facts.logout),
            "secrets" => value.clone_into(&mut facts.secrets),
            "taken" => facts.taken = Some(value.to_owned()),
            "stray" => facts.strays.push(stray(value).ok_or_else(wrong)?),
            _ if facts.root.take(name, value) => {}
            _ => return Err(wrong()),
        }
    }
    Ok(facts)
}

/// Blocks, size of one, inodes in all and free, as bytes and inodes that are free.
fn free(value: &str) -> (Option<u64>, Option<u64>) {
    let numbers: Vec<u64> = value.split(' ').filter_map(size).collect();
    let &[blocks, size, inodes, free] = numbers.as_slice() else { return (None, None) };
    (Some(blocks.saturating_mul(size)), (inodes > 0).then_some(free))
}

fn stray(value: &str) -> Option<Stray> {
    let (pid, why) = value.split_once(' ')?;
    let root_gone = match why {
        "gone" => true,
        "old" => false,
        _ => return None,
    };
    Some(Stray { pid: count(pid)?, root_gone })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn facts_are_read_and_others_refused() {
        let facts = parse(
            "box",
            b"fact uid=5\nfact fs=ext4\nfact options=rw,noexec\nfact room=yes\nfact free=10 4096 0 0\nfact locks=first\n\
              fact missing=awk\nfact stray=7 gone\n",
        )
        .expect("facts");
        assert_eq!((facts.uid, facts.free_bytes, facts.free_inodes), (5, Some(40960), None));
        assert_eq!(facts.locks_exclude, Some(true));
        assert_eq!(facts.missing, ["awk"]);
        assert_eq!(facts.strays, [Stray { pid: 7, root_gone: true }]);
        assert_eq!(facts.root.trouble(true), Some(RootTrouble::NoExec));
        assert_eq!(facts.root.trouble(false), None);
        for wrong in
            [&b"fact nothing=1\n"[..], b"facts\n", b"fact stray=x gone\n", b"fact \xff=1\n"]
        {
            assert!(parse("box", wrong).is_err());
        }
    }

    #[test]
    fn a_root_on_a_network_is_refused_first() {
        let mut root = RootFacts::default();
        for (name, value) in [("fs", "nfs4"), ("options", "rw,noexec"), ("room", "no")] {
            assert!(root.take(name, value));
        }
        assert_eq!(root.trouble(false), Some(RootTrouble::Network("nfs4".to_owned())));
        assert!(!root.take("room", "perhaps") && !root.take("uid", "1"));
    }

    proptest! {
        #![proptest_config(crate::fuzz_config())]

        #[test]
        fn no_bytes_make_the_reader_panic(words in prop::collection::vec(prop_oneof![
            "fact ", "(clock|uid|free|locks|stray|missing|fs|options|room|id)=", "[0-9]{0,22}[. ]", " (gone|old|first|second)", "\n", "\\PC{0,3}",
        ], 0..16)) {
            if let Ok(facts) = parse("box", words.concat().as_bytes()) {
                prop_assert!(facts.strays.len() + facts.missing.len() <= words.len());
            }
        }
    }
}

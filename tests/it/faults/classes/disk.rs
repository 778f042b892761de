//! A disk that is full for a while: bytes or inodes, of the host or of the client.

#![expect(clippy::disallowed_methods, reason = "trials mount disks and write files")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;

use super::signals;
use crate::faults::oracle::{Finding, Grant};
use crate::faults::trial::{Shape, Trial, usual};

pub(super) fn shape(_rng: &mut Rng) -> Shape {
    Shape { host: "root = \"SANDBOX/disk/root\"", ..usual(&[]) }
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let of_client = trial.chance(35);
    trial.root = Some(trial.sandbox.path().join("disk/root"));
    let disk = if of_client {
        trial.sandbox.campaign().join(".sp")
    } else {
        trial.sandbox.path().join("disk")
    };
    let inodes = trial.chance(40);
    let Some(_mounted) = Mounted::new(&disk) else {
        trial.tell("no disk can be mounted here: nothing is full");
        return signals::play(trial);
    };
    let mut client = trial.start(&["apply"]);
    if trial.chance(70) {
        trial.until_begun(&mut client);
    }
    trial.let_pass(0..=500);
    let whose = if of_client { "client" } else { "host" };
    let what = if inodes { "inodes" } else { "bytes" };
    trial.tell(format!("the disk of the {whose} is full: {what}"));
    let fill = disk.join("fill");
    fs::create_dir(&fill).expect("a folder");
    let full = trial.rng.u64(300..=2500);
    let end = std::time::Instant::now() + std::time::Duration::from_millis(full);
    while std::time::Instant::now() < end {
        // What is freed meanwhile is taken again.
        if inodes {
            fill_inodes(&fill);
        } else {
            fill_bytes(&fill);
        }
        trial.let_pass(5..=20);
    }
    if trial.chance(40) {
        signals::strike(trial, Some(&client));
    }
    fs::remove_dir_all(&fill).expect("room again");
    trial.tell("there is room again");
    if !of_client {
        // A command that could not be written was not run, and says so; where the witness could not write that it saw a signal,
        // only the number is known.
        for _ in 0..trial.jobs {
            trial.grants.push(Grant::any(&["failed:126", "failed:137", "failed:143"]));
        }
    }
    trial.finish(client);
    trial.close()
}

fn fill_bytes(fill: &Path) {
    let file = fs::OpenOptions::new().append(true).create(true).open(fill.join("bytes"));
    let Ok(mut file) = file else { return };
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

fn fill_inodes(fill: &Path) {
    let from = fs::read_dir(fill).map_or(0, Iterator::count);
    for number in from.. {
        if fs::File::create_new(fill.join(number.to_string())).is_err() {
            return;
        }
    }
}

/// A small disk; unmounted whatever becomes of the trial.
struct Mounted(PathBuf);

impl Mounted {
    fn new(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m,nr_inodes=600,mode=700", "tmpfs"]).arg(folder);
        mount.stderr(std::process::Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then(|| Self(folder.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

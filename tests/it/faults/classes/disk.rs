//! A disk that is full for a while: bytes or inodes, of the host or of the client; by others, or by a job.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use fastrand::Rng;

use super::signals;
use crate::faults::oracle::{Finding, Grant, states};
use crate::faults::trial::{Shape, Trial, usual};
use crate::support::Disk;

/// Root of the host, on a disk of its own.
const ROOT: &str = "root = \"SANDBOX/disk/root\"";

/// Small enough to be filled at once, in bytes and in files.
const SIZE: &str = "size=4m,nr_inodes=600";

pub(super) fn shape(rng: &mut Rng) -> Shape {
    let hosts = [&[][..], &["a"]][rng.usize(0..2)];
    Shape { host: ROOT, ..usual(hosts) }
}

/// Jobs that take all the room; some leave none.
pub(super) fn of_a_job(rng: &mut Rng) -> Shape {
    Shape { ends: &["exit-0", "exit-3", "fills", "fills", "floods", "twice"], ..shape(rng) }
}

pub(super) fn by_a_job(trial: &mut Trial) -> Vec<Finding> {
    trial.root = Some(trial.sandbox.path().join("disk/root"));
    let Some(_mounted) = Disk::mount(&trial.sandbox.path().join("disk"), SIZE) else {
        trial.tell("no disk can be mounted here: nothing is full");
        return signals::play(trial);
    };
    let mut client = trial.start(&["apply"]);
    if trial.chance(40) {
        trial.until_begun(&mut client);
        trial.let_pass(0..=700);
        signals::strike(trial, Some(&client));
    }
    // Somebody looks from time to time, and makes room.
    while client.lives() {
        trial.let_pass(100..=1500);
        make_room(trial);
    }
    no_room_for_a_command(trial);
    trial.finish(client);
    make_room(trial);
    // What floods again is tidied up again.
    for _ in 0..trial.jobs {
        let mut client = trial.start(&["apply", "--no-failed"]);
        while client.lives() {
            trial.let_pass(100..=500);
            make_room(trial);
        }
        if [0, 100].contains(&trial.finish(client)) {
            break;
        }
    }
    let code = trial.run(&["apply", "--no-failed"]);
    trial.judged(code)
}

/// Removes what jobs have left that are over.
fn make_room(trial: &Trial) {
    for state in states(trial) {
        let over = fs::read_to_string(&state).is_ok_and(|text| text.contains("\nexit "));
        if over {
            // It may have left nothing.
            drop(fs::remove_file(state.with_file_name("out/fill")));
        }
    }
}

/// A command that could not be written was not run, and says so; where the witness could not write that it saw a signal,
/// only the number is known.
fn no_room_for_a_command(trial: &mut Trial) {
    for _ in 0..trial.jobs {
        trial.grants.push(Grant::any(&["failed:126", "failed:137", "failed:143"]));
    }
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
    let Some(_mounted) = Disk::mount(&disk, SIZE) else {
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
        no_room_for_a_command(trial);
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

//! The client's memory: gone, corrupt, cut, of a newer version, locked, read-only.

#![expect(clippy::disallowed_methods, reason = "trials write files as users do")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fastrand::Rng;
use rusqlite::Connection;
use rustix::process::Signal;

use crate::faults::oracle::{Finding, Kind};
use crate::faults::trial::{CAMPAIGN, Shape, Trial, any_hosts, usual};

pub(super) fn shape(rng: &mut Rng) -> Shape {
    usual(any_hosts(rng))
}

const DAMAGES: &[&str] = &[
    "removed",
    "folder",
    "noise",
    "empty",
    "cut",
    "pages",
    "journal",
    "newer",
    "locked",
    "read-only",
];

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let folder = trial.sandbox.campaign().join(".sp").join(CAMPAIGN);
    let db = folder.join("checkpoint.db");
    let mut client = trial.start(&["apply"]);
    if trial.chance(70) {
        trial.until_begun(&mut client);
        trial.let_pass(0..=500);
        if let Some(process) = client.process() {
            let signal = trial.pick(&[Signal::KILL, Signal::INT]);
            trial.signal("the client", process, signal);
        }
    }
    trial.finish(client);
    let damage = trial.pick(DAMAGES);
    trial.tell(format!("the checkpoint: {damage}"));
    let Ok(whole) = fs::read(&db) else { return trial.close() };
    match damage {
        "removed" => fs::remove_file(&db).expect("it is there"),
        "folder" => fs::remove_dir_all(trial.sandbox.campaign().join(".sp")).expect("it is there"),
        "noise" => {
            let noise: Vec<u8> = (0..20_000).map(|_| trial.rng.u8(..)).collect();
            fs::write(&db, noise).expect("a file");
        }
        "empty" => fs::write(&db, "").expect("a file"),
        "cut" => fs::write(&db, &whole[..trial.rng.usize(1..whole.len())]).expect("a file"),
        "pages" => {
            let mut bytes = whole;
            for page in bytes.chunks_mut(4096).skip(1) {
                page[..64].fill(0xa5);
            }
            fs::write(&db, bytes).expect("a file");
        }
        "journal" => fs::write(folder.join("checkpoint.db-journal"), "stale").expect("a file"),
        "newer" => return newer(trial),
        "locked" => return locked(trial),
        _ => return read_only(trial),
    }
    trial.close()
}

/// Only a person can decide what becomes of it: it is refused, and nothing is lost when it can be read again.
fn newer(trial: &mut Trial) -> Vec<Finding> {
    let db = trial.sandbox.campaign().join(".sp").join(CAMPAIGN).join("checkpoint.db");
    let version = |number: i64| {
        let connection = Connection::open(&db).expect("a database");
        let old: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number");
        connection.pragma_update(None, "user_version", number).expect("it is set");
        old
    };
    let old = version(9999);
    let code = trial.run(&["apply"]);
    version(old);
    let mut findings = trial.close();
    if code != 1 {
        findings.push(Finding::new(Kind::Wrong, format!("a newer checkpoint: {code}")));
    }
    findings
}

fn locked(trial: &mut Trial) -> Vec<Finding> {
    let db = trial.sandbox.campaign().join(".sp").join(CAMPAIGN).join("checkpoint.db");
    let connection = Connection::open(&db).expect("a database");
    connection.execute_batch("BEGIN EXCLUSIVE").expect("it is free");
    let client = trial.start(&["apply"]);
    let longest = trial.pick(&[1_000, 7_000]);
    trial.let_pass(0..=longest);
    drop(connection);
    trial.tell("it is free again");
    trial.finish(client);
    trial.close()
}

/// For the superuser there is no such thing.
fn read_only(trial: &mut Trial) -> Vec<Finding> {
    let folder = trial.sandbox.campaign().join(".sp").join(CAMPAIGN);
    let db = folder.join("checkpoint.db");
    let mode = |file: u32, all: u32| {
        fs::set_permissions(&db, fs::Permissions::from_mode(file)).expect("ours");
        fs::set_permissions(&folder, fs::Permissions::from_mode(all)).expect("ours");
    };
    mode(0o400, 0o500);
    trial.run(&["apply"]);
    mode(0o600, 0o700);
    trial.close()
}

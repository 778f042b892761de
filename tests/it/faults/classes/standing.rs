//! One of two hosts gets an error that does not pass by itself, before the first hand-over or while jobs run, and is put right
//! before the closing apply. Every command meanwhile ends by itself and says so.

#![expect(clippy::disallowed_methods, reason = "trials write files as users do")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use rustix::process::Signal;

use crate::doctor::bash_is_the_login_shell;
use crate::faults::oracle::{Finding, Kind};
use crate::faults::targets::of_client;
use crate::faults::trial::{Client, ENDS, Shape, Trial};

/// The host that goes wrong; the other one goes on.
const BAD: &str = "b";
const NOBODY: u32 = 65534;
/// Start-up files after which no command of ours can run.
const START_UP: &[&str] = &[
    "exit 0\n",
    "exit 3\n",
    "echo welcome; exit 1\n",
    "set -eu\nfalse\n",
    "exec true\n",
    "exec dash\n",
    "exec sh -c 'echo no; exit 5'\n",
];
/// What asks hosts, and changes nothing.
const LOOKS: &[&[&str]] = &[&["status"], &["wait"], &["plan"], &["doctor"], &["apply", "--detach"]];

/// What was changed, to be put right again.
enum Error {
    StartUp(PathBuf),
    Mode(PathBuf, u32),
    Owner(PathBuf, u32),
    /// The file of keys, which has each host's environment, and its text.
    Environment(PathBuf, String),
}

pub(super) fn shape(_rng: &mut Rng) -> Shape {
    Shape { hosts: &["a", "b"], jobs: 4..=7, ends: ENDS, nap: 10..=120, host: "" }
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut error = trial.chance(30).then(|| make(trial));
    let mut client = trial.start(&["apply"]);
    if trial.chance(70) {
        trial.until_begun(&mut client);
    }
    let (mut client, mut allowed) = (Some(client), vec![0, 1, 100]);
    for _ in 0..trial.rng.u32(1..=3) {
        trial.let_pass(0..=600);
        let standing = error.take().unwrap_or_else(|| make(trial));
        if trial.chance(60) {
            cut(trial);
            // Who had asked when its connection went may ask again.
            allowed.push(75);
        }
        trial.let_pass(0..=800);
        for _ in 0..trial.rng.u32(0..=2) {
            let arguments = trial.pick(LOOKS);
            let look = trial.start(arguments);
            ended(trial, look, &[1], &mut findings);
        }
        if trial.chance(40)
            && let Some(client) = client.take()
        {
            ended(trial, client, &allowed, &mut findings);
        }
        undo(trial, standing);
    }
    if let Some(client) = client {
        ended(trial, client, &allowed, &mut findings);
    }
    findings.extend(trial.close());
    findings
}

/// Waits for a command, which must end with one of these.
fn ended(trial: &mut Trial, client: Client, allowed: &[i32], findings: &mut Vec<Finding>) {
    let told = client.told.clone();
    let code = trial.finish(client);
    if !allowed.contains(&code) {
        let text = fs::read_to_string(told).unwrap_or_default();
        let text = format!("a command ended with {code}, not one of {allowed:?}: {text}");
        findings.push(Finding::new(Kind::Wrong, text));
    }
}

/// Makes an error that stands for every login from now on.
fn make(trial: &mut Trial) -> Error {
    let home = trial.sandbox.host_home(BAD);
    let root = home.join(".local/share/sp");
    let kind = trial.pick(&["start-up", "start-up", "mode", "owner", "home", "programs"]);
    // Only bash reads such a file.
    let is_read = kind != "start-up" || bash_is_the_login_shell();
    let kind = if is_read { kind } else { "home" };
    // A root that is not there yet is made with the rights that it needs.
    let place = trial.pick(&[".local/share/sp/v2/bin", ".local/share/sp/v2", ".local/share/sp"]);
    let place = home.join(place);
    match kind {
        "mode" | "owner" if !place.exists() => environment(trial, "PATH", &root),
        "mode" => {
            let old = fs::metadata(&place).expect("it is there").permissions().mode();
            fs::set_permissions(&place, Permissions::from_mode(0o777)).expect("it is ours");
            trial.tell(format!("anybody may write to {}", place.display()));
            Error::Mode(place, old)
        }
        // Only root can give it away.
        "owner" => match chown(&place, Some(NOBODY), None) {
            Ok(()) => {
                trial.tell(format!("{} is another user's", place.display()));
                Error::Owner(place, rustix::process::getuid().as_raw())
            }
            Err(_) => environment(trial, "PATH", &root),
        },
        "home" => environment(trial, "HOME", Path::new("/proc/nothing")),
        "programs" => environment(trial, "PATH", &root),
        _ => start_up(trial, &home),
    }
}

/// Gives each command on the host a variable that leads nowhere.
fn environment(trial: &mut Trial, name: &str, value: &Path) -> Error {
    let keys = trial.sandbox.plain().join("ssh/authorized_keys");
    let old = fs::read_to_string(&keys).expect("a file");
    let value = value.display().to_string();
    trial.sandbox.host_variable(BAD, name, &value);
    trial.tell(format!("{name} of host {BAD} is {value}"));
    Error::Environment(keys, old)
}

fn start_up(trial: &mut Trial, home: &Path) -> Error {
    let file = home.join(".bashrc");
    let text = trial.pick(START_UP);
    fs::write(&file, text).expect("a file");
    trial.tell(format!("the start-up file of host {BAD} is {text:?}"));
    Error::StartUp(file)
}

fn undo(trial: &mut Trial, error: Error) {
    match error {
        Error::StartUp(file) => fs::remove_file(file),
        Error::Mode(place, mode) => fs::set_permissions(place, Permissions::from_mode(mode)),
        Error::Owner(place, user) => chown(place, Some(user), None),
        Error::Environment(keys, text) => fs::write(keys, text),
    }
    .expect("what was done can be undone");
    trial.tell(format!("host {BAD} is put right"));
}

/// Ends the client's connections, so that the next question needs a new login.
fn cut(trial: &mut Trial) {
    for master in of_client(trial, |line| line.starts_with("ssh")) {
        trial.signal("a connection", master, Signal::KILL);
    }
}

//! Clocks that are set, forward and back, on the host and between two commands of the client. The clock of the machine is
//! not touched: the host's `date` and the client's clock are other ones.

#![expect(clippy::disallowed_methods, reason = "trials write files as users do")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fastrand::Rng;

use super::signals;
use crate::faults::oracle::Finding;
use crate::faults::trial::{Shape, Trial, usual};

/// `date +%s` and `date +%s.%N` of a clock that is so many seconds off; the rest as it is.
const DATE: &str = r#"#!/bin/sh
case $1 in
  +%s | +%s.%N)
    read -r off <"OFF"
    now=$(REAL "+%s.%N")
    now=$((${now%.*} + off)).${now#*.}
    [ "$1" = +%s.%N ] || now=${now%.*}
    echo "$now"
    ;;
  *) exec REAL "$@" ;;
esac
"#;

pub(super) fn shape(rng: &mut Rng) -> Shape {
    let hosts = [&[][..], &["a"]][rng.usize(0..2)];
    usual(hosts)
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let folder = trial.sandbox.path().join("clock");
    fs::create_dir(&folder).expect("a folder");
    let off = folder.join("off");
    let real = which::which("date").expect("there is a `date`");
    let text = DATE.replace("OFF", &off.to_string_lossy()).replace("REAL", &real.to_string_lossy());
    fs::write(folder.join("date"), text).expect("a file");
    fs::set_permissions(folder.join("date"), fs::Permissions::from_mode(0o755)).expect("ours");
    let path = std::env::var("PATH").expect("PATH");
    let path = format!("{}:{path}", folder.display());
    set(trial, &off);
    if trial.hosts.is_empty() {
        trial.sandbox.set("PATH", &path);
    } else {
        trial.sandbox.host_variable("a", "PATH", &path);
    }
    let mut client = trial.start(&["apply"]);
    for _ in 0..trial.rng.u32(1..=4) {
        if trial.chance(60) {
            trial.until_begun(&mut client);
        }
        trial.let_pass(0..=400);
        set(trial, &off);
        if trial.chance(25) {
            signals::strike(trial, Some(&client));
        }
    }
    if trial.chance(50) {
        // The next command begins years before or after this one.
        let moment = trial.pick(&["2001-09-09T01:46:40Z", "2038-01-19T03:14:08Z"]);
        trial.tell(format!("another client, at {moment}"));
        let folder = trial.sandbox.campaign();
        let other = trial.start_in(&folder, &["apply"], &[("SP_TEST_CLOCK", moment)]);
        trial.finish(other);
    }
    trial.finish(client);
    trial.close()
}

fn set(trial: &mut Trial, off: &std::path::Path) {
    let seconds = trial.pick(&[0, 1, -1, 30, -30, 3600, -3600, 100_000_000, -100_000_000]);
    trial.tell(format!("the clock of the host is {seconds} s off"));
    // By a rename: whoever reads it finds a number.
    let new = off.with_extension("new");
    fs::write(&new, format!("{seconds}\n")).expect("a file");
    fs::rename(new, off).expect("ours");
}

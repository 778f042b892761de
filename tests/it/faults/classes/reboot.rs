//! A host goes down with all that runs there, and comes up with another boot id.

#![expect(clippy::disallowed_methods, reason = "trials write files as users do")]

use std::fs;

use fastrand::Rng;

use crate::faults::oracle::{Finding, Grant};
use crate::faults::trial::{Shape, Trial, any_hosts, usual};

pub(super) fn shape(rng: &mut Rng) -> Shape {
    usual(any_hosts(rng))
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let boot = |name: &str| trial.sandbox.path().join(format!("boot-{name}"));
    let (hosts, mut boots) = (trial.hosts, Vec::new());
    for name in hosts {
        trial.sandbox.host_variable(name, "SP_BOOT_ID_FILE", &boot(name).to_string_lossy());
        boots.push(boot(name));
    }
    if hosts.is_empty() {
        boots.push(boot("local"));
        trial.sandbox.set("SP_BOOT_ID_FILE", &boots[0].to_string_lossy());
    }
    for boot in &boots {
        fs::write(boot, "boot-0\n").expect("a file");
    }
    for number in 1..=trial.rng.u32(1..=2) {
        let mut client = trial.start(&["apply"]);
        if trial.chance(80) {
            trial.until_begun(&mut client);
        }
        trial.let_pass(0..=800);
        let at = trial.rng.usize(..boots.len());
        let home = trial.homes()[at].clone();
        trial.kill_host(&home);
        fs::write(&boots[at], format!("boot-{number}\n")).expect("a file");
        // One slot: no more than one was under way.
        trial.grants.push(Grant::any(&["lost:reboot", "lost:killed", "lost:before-start"]));
        trial.finish(client);
    }
    trial.close()
}

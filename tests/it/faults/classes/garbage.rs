//! A host that answers nonsense for a while: noise, nothing, half an answer, far too much, terminal escapes.

#![expect(clippy::disallowed_methods, reason = "trials write files as users do")]

use std::fs;

use fastrand::Rng;

use crate::faults::oracle::Finding;
use crate::faults::trial::{Shape, Trial, usual};

const HOST: &str = include_str!("../garbage.sh");
const KINDS: &[&str] =
    &["noise", "nothing", "failure", "cut", "cut", "cut", "huge", "escapes", "chatter", "late"];

pub(super) fn shape(rng: &mut Rng) -> Shape {
    usual([&["a"][..], &["a", "b"]][rng.usize(0..2)])
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let folder = trial.sandbox.plain().join("ssh");
    fs::write(folder.join("garbage.sh"), HOST).expect("a file");
    let line = format!("ForceCommand sh {0}/garbage.sh {0}", folder.display());
    trial.sandbox.sshd_config(&line);
    let how = folder.join("garbage");
    for _ in 0..trial.rng.u32(1..=2) {
        let early = trial.chance(30);
        let mut client = None;
        if !early {
            let mut one = trial.start(&["apply"]);
            if trial.chance(70) {
                trial.until_begun(&mut one);
            }
            client = Some(one);
        }
        trial.let_pass(0..=500);
        let kind = trial.pick(KINDS);
        let count = trial.rng.u32(0..2000);
        trial.tell(format!("the hosts answer by {kind} {count}"));
        // By rename: it is never seen half written.
        fs::write(how.with_extension("new"), format!("{kind} {count}\n")).expect("a file");
        fs::rename(how.with_extension("new"), &how).expect("a file");
        let client = client.unwrap_or_else(|| trial.start(&["apply"]));
        trial.let_pass(200..=2500);
        fs::remove_file(&how).expect("it is there");
        trial.tell("they answer as they should");
        trial.finish(client);
    }
    trial.close()
}

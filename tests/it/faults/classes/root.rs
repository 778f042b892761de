//! A host's root is wiped under what runs there.

use std::fs;

use fastrand::Rng;

use crate::faults::oracle::{Finding, Grant};
use crate::faults::trial::{Shape, Trial, any_hosts, usual};

pub(super) fn shape(rng: &mut Rng) -> Shape {
    usual(any_hosts(rng))
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let mut client = trial.start(&["apply"]);
    if trial.chance(60) {
        trial.until_begun(&mut client);
        trial.let_pass(0..=900);
    } else {
        // Under the hand-over, or before it.
        trial.let_pass(0..=300);
    }
    let roots = trial.roots();
    let root = roots[trial.rng.usize(..roots.len())].clone();
    // At once, as the end of a file system; what runs keeps what it has open.
    let gone = trial.sandbox.path().join("gone");
    if fs::rename(&root, &gone).is_ok() {
        trial.tell(format!("{} is gone", root.display()));
        fs::remove_dir_all(&gone).ok();
        // Who ran there still does: nobody has a record of it any more, and the locks of its slots went, too.
        trial.records_gone = true;
        for _ in 0..trial.jobs {
            trial.grants.push(Grant::any(&["lost:root-gone"]));
        }
    }
    trial.finish(client);
    trial.close()
}

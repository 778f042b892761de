//! A host whose journal gets extreme lines while jobs run on it and on another one. Those on its jobs are to be refused, since
//! a lie that is taken is no fault of the client; those on setups that nobody has are taken.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use fastrand::Rng;

use crate::faults::oracle::Finding;
use crate::faults::trial::{CAMPAIGN, Shape, Trial, usual};
use crate::support::place;

const SETUP: &str = "ffffffffffffffffffffffffffffffff";
/// `ID` is one of the host's jobs.
const REFUSED: &[&str] = &[
    "queued id=ID n=1 apply=x kind=setup",
    "queued id=ID n=4294967295 apply=x",
    "start id=ID n=1000000000 apply=x slot=0 t=1.00 up=1.00",
    "start id=ID n=7 apply=x slot=4294967295 t=1.00 up=1.00",
    "start id=ID n=7 apply=x slot=0 t=999999999999.999 up=1.00",
    "open id=ID n=4294967296 apply=x slot=0 verdict=running t=none session=none",
    "end id=ID n=4294967295 apply=x slot=none state=cancelled reason=moved rc=none sig=none by=cancel marker=none left=none \
     started=none ended=1.00 el=none up=1.00 to=b",
    "end id=ID n=7 apply=x slot=0 state=failed reason=exit-code rc=256 sig=none by=runner marker=none left=none started=1.00 \
     ended=1.00 el=1.00 up=1.00",
    "end id=ID n=7 apply=x slot=0 state=succeeded reason=ok rc=none sig=none by=runner marker=none left=none started=1.00 \
     ended=1.00 el=1.00 up=1.00",
];
const TAKEN: &[&str] = &[
    "start id=SETUP n=999999999 apply=x kind=setup slot=999999999 t=253402207200.999 up=999999999999.999",
    "end id=SETUP n=999999999 apply=x kind=setup slot=0 state=succeeded reason=ok rc=255 sig=none by=runner marker=none \
     left=none started=0.00 ended=253402207200.999 el=999999999999.999 up=1.00",
];

pub(super) fn shape(_rng: &mut Rng) -> Shape {
    usual(&["a", "b"])
}

pub(super) fn play(trial: &mut Trial) -> Vec<Finding> {
    let campaign = place(&trial.roots()[0], CAMPAIGN);
    for _ in 0..trial.rng.u32(1..=2) {
        let mut client = trial.start(&["apply"]);
        trial.until_begun(&mut client);
        for _ in 0..trial.rng.u32(1..=4) {
            trial.let_pass(0..=300);
            say(trial, &campaign);
        }
        if trial.chance(40) {
            trial.run(&["status"]);
        }
        trial.finish(client);
    }
    trial.close()
}

/// Adds some lines to the journal; where the host has none yet, nothing.
fn say(trial: &mut Trial, campaign: &Path) {
    let entries = fs::read_dir(campaign.join("jobs")).into_iter().flatten().flatten();
    let mut jobs: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    jobs.sort();
    let Ok(mut journal) = OpenOptions::new().append(true).open(campaign.join("journal")) else {
        return;
    };
    for _ in 0..trial.rng.usize(1..=6) {
        let line = match jobs.len() {
            0 => trial.pick(TAKEN).to_owned(),
            _ if trial.chance(25) => trial.pick(TAKEN).to_owned(),
            jobs_there => {
                let job = &jobs[trial.rng.usize(..jobs_there)];
                trial.pick(REFUSED).replace("ID", job)
            }
        };
        let line = format!("{} .\n", line.replace("SETUP", SETUP));
        trial.tell(format!("host a says {}", line.trim_end()));
        // In one piece, as the host writes its own.
        journal.write_all(line.as_bytes()).expect("a journal");
    }
}

//! The checkpoint, damaged anywhere: no command panics, and no job that ended is told to have ended otherwise.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use proptest::sample::Index;
use solverpilot::state::State;
use solverpilot::store::Store;

use crate::store::{self, Place};
use crate::support::Sandbox;

super::forms!(a_damaged_checkpoint_tells_no_other_end, 60);

/// What happened to the file: pages of noise or of zeros, pages that changed places, an end that is gone, edited bytes.
#[derive(Debug, Clone)]
enum Damage {
    Noise(Index, u64),
    Zeros(Index),
    Swapped(Index, Index),
    Cut(Index),
    Edited(Vec<super::Edit>),
}

const PAGE: usize = 4096;

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let page = |index: &Index, bytes: &[u8]| index.index((bytes.len() / PAGE).max(1)) * PAGE;
        match self {
            Self::Noise(at, seed) => {
                let (at, mut random) = (page(at, bytes), fastrand::Rng::with_seed(*seed));
                bytes[at..].iter_mut().take(PAGE).for_each(|byte| *byte = random.u8(..));
            }
            Self::Zeros(at) => {
                let at = page(at, bytes);
                bytes[at..].iter_mut().take(PAGE).for_each(|byte| *byte = 0);
            }
            Self::Swapped(a, b) => {
                let (a, b) = (page(a, bytes), page(b, bytes));
                (0..PAGE.min(bytes.len() - a.max(b))).for_each(|at| bytes.swap(a + at, b + at));
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Self::Edited(edits) => super::edit(bytes, edits),
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        3 => (any::<Index>(), any::<u64>()).prop_map(|(at, seed)| Damage::Noise(at, seed)),
        1 => any::<Index>().prop_map(Damage::Zeros),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Damage::Swapped(a, b)),
        2 => any::<Index>().prop_map(Damage::Cut),
        2 => super::edits().prop_map(Damage::Edited),
    ]
}

fn ends(store: &Store) -> Option<BTreeMap<String, State>> {
    let jobs = store.snapshot().ok()?.jobs;
    Some(jobs.iter().map(|job| (job.id.to_string(), job.state())).collect())
}

fn run(cases: u32) {
    let place = Place::new();
    let mut made = place.open();
    store::plan(&mut made, &store::planned(0..60));
    let facts: Vec<_> = (0..40).map(|job| store::ended(job, 1, "")).collect();
    store::report(&mut made, "local", Some(("g", 5)), &facts);
    let known = ends(&made).expect("a sound checkpoint");
    drop(made);
    let sound = fs::read(place.db()).expect("a checkpoint");
    super::tried(file!(), cases, &prop::collection::vec(damage(), 1..3), |damages| {
        let mut bytes = sound.clone();
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        for entry in fs::read_dir(place.folder()).expect("a folder").flatten() {
            fs::remove_file(entry.path()).expect("removed");
        }
        store::put(&place.db(), &bytes);
        // Refused, set aside, or read: each in words.
        let opened = match place.try_open() {
            Ok(opened) => opened,
            Err(error) => {
                prop_assert!(!error.to_string().is_empty());
                return Ok(());
            }
        };
        for (id, state) in ends(&opened.store).unwrap_or_default() {
            if let Some(was) = known.get(&id).filter(|was| was.is_final() && state.is_final()) {
                prop_assert_eq!(state, *was, "{}", id);
            }
        }
        Ok(())
    });
}

/// The same through the binary, where the host can be asked.
fn asked(cases: u32) {
    let sandbox = Sandbox::with(
        "name = 'damaged'\ncommand = 'exit {{ n }}'\n[matrix]\nn = { from = 0, to = 3 }\n",
    );
    sandbox.expect(100, &["apply"]);
    sandbox.wait_quiet();
    let known = sandbox.states();
    let folder = sandbox.campaign().join(".sp/damaged");
    let sound = fs::read(folder.join("checkpoint.db")).expect("a checkpoint");
    super::tried(file!(), cases, &prop::collection::vec(damage(), 1..3), |damages| {
        let mut bytes = sound.clone();
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            if entry.file_name().to_string_lossy().starts_with("checkpoint") {
                fs::remove_file(entry.path()).expect("removed");
            }
        }
        fs::write(folder.join("checkpoint.db"), &bytes).expect("written");
        for arguments in [&["status", "--offline"][..], &["status"], &["plan"], &["results"]] {
            let run = sandbox.sp(arguments);
            prop_assert!([0, 1, 75].contains(&run.code), "{:?}: {:?}", arguments, run);
            prop_assert!(!run.stderr.contains("panicked"), "{:?}: {:?}", arguments, run);
            prop_assert!(
                run.code == 0 || run.stderr.contains("error: "),
                "{:?}: {:?}",
                arguments,
                run
            );
        }
        let run = sandbox.sp(&["status", "--json"]);
        if run.code == 0 {
            // Two pages that changed places can make a row invisible; none can make an end another one.
            for (told, known) in sandbox.states().iter().zip(&known) {
                prop_assert!(told == known || told.0 == "pending", "{:?} for {:?}", told, known);
            }
        }
        Ok(())
    });
}

#[test]
fn a_damaged_checkpoint_is_told_by_every_command() {
    asked(1);
}

#[test]
#[ignore = "long; PROPTEST_CASES says how long"]
fn long_by_every_command() {
    // A case is six commands.
    asked(super::many().div_ceil(20));
}

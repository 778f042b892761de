//! Faults at seeded moments: whatever happens, the final state of a job is what the job did.
//!
//! Each trial follows from its class and its seed alone, but for the moments at which the machine runs what. Here are a few
//! trials of each class; `scripts/soak` runs as many as one likes.

mod classes;
mod oracle;
mod procs;
mod said;
mod soak;
mod targets;
mod trial;

use std::panic::{AssertUnwindSafe, catch_unwind};

use classes::Class;
use oracle::{Finding, Kind};
use trial::Trial;

/// Runs one trial. Where it is right: what happened; else its world is kept.
fn run(class: &Class, seed: u64) -> Result<Vec<String>, Failure> {
    // The name is mixed in, so that classes do not run the same numbers.
    let name = blake3::hash(class.name.as_bytes());
    let mixed = u64::from_le_bytes(name.as_bytes()[..8].try_into().expect("8 bytes")) ^ seed;
    let mut rng = fastrand::Rng::with_seed(mixed);
    let shape = (class.shape)(&mut rng);
    let mut trial = Trial::new(&shape, rng);
    let findings = catch_unwind(AssertUnwindSafe(|| (class.play)(&mut trial)));
    let findings = findings.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        vec![Finding::new(Kind::Wrong, text.unwrap_or_else(|| "a panic".to_owned()))]
    });
    let Some(kind) = findings.iter().map(|finding| finding.kind).min() else {
        return Ok(trial.story);
    };
    trial.sandbox.keep();
    trial.sandbox.kill_all();
    let findings: Vec<String> = findings.iter().map(Finding::to_string).collect();
    let text = format!(
        "class {}, seed {seed}; again: scripts/soak 1 --class {} --seed {seed}\nkept: {}\n{}\n{}",
        class.name,
        class.name,
        trial.sandbox.path().display(),
        trial.story.join("\n"),
        findings.join("\n")
    );
    Err(Failure { kind, text })
}

/// A trial that was not right.
struct Failure {
    kind: Kind,
    text: String,
}

/// The trial of a class with this seed.
#[track_caller]
fn one(name: &str, seed: u64) {
    let class = classes::ALL.iter().find(|class| class.name == name).expect("a class");
    if let Err(failure) = run(class, seed) {
        panic!("{}", failure.text);
    }
}

macro_rules! trials {
    ($($class:ident: $($test:ident $seed:literal)*;)*) => {
        $(mod $class {
            $(#[test]
            fn $test() {
                super::one(stringify!($class), $seed);
            })*
        })*

        #[test]
        fn no_class_is_forgotten() {
            let here = [$(stringify!($class)),*];
            let short = classes::ALL.iter().filter(|class| !class.long).map(|class| class.name);
            assert_eq!(short.collect::<Vec<_>>(), here);
        }
    };
}

trials! {
    signals: first 1 second 2 third 3;
    hostile: first 1;
    moves: first 1;
    steps: first 1 second 2;
    clients: first 1 second 2;
    connection: first 1 second 2;
    network: first 1 second 2;
    reboot: first 1;
    checkpoint: first 1 second 2;
    root: first 1;
    cancel: first 1 second 2;
    disk: first 1;
    flood: first 1;
    memory: first 1;
    clock: first 1;
    cleaning: first 1;
    garbage: first 1 second 1041;
    machines: first 1;
    extreme: first 1 second 2;
    foreign: first 1 second 2;
    standing: first 1 second 2;
}

//! The long form, for `scripts/soak`: as many trials as wanted, several at once, a table and one closing line.

#![expect(clippy::disallowed_methods, reason = "the script says by the environment what it wants")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, RwLock};

use super::classes::{ALL, Class};
use super::oracle::Kind;
use super::run;

#[derive(Default)]
struct Count {
    trials: u32,
    lost: u32,
    doubled: u32,
    wrong: u32,
}

impl Count {
    fn add(&mut self, kind: Option<Kind>) {
        self.trials += 1;
        match kind {
            None => {}
            Some(Kind::Lost) => self.lost += 1,
            Some(Kind::Doubled) => self.doubled += 1,
            Some(Kind::Wrong) => self.wrong += 1,
        }
    }

    fn right(&self) -> u32 {
        self.trials - self.lost - self.doubled - self.wrong
    }
}

fn wanted(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str, otherwise: u64) -> u64 {
    wanted(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Which class and seed each trial has: the classes in turn, the seeds one after the other.
fn trials(classes: &[&'static Class], seed: u64, number: u64) -> VecDeque<(&'static Class, u64)> {
    let of_each = classes.len() as u64;
    let one = |at: u64| {
        let class = classes[usize::try_from(at % of_each).expect("a small number")];
        (class, seed + at / of_each)
    };
    (0..number).map(one).collect()
}

#[test]
#[ignore = "the long form: scripts/soak"]
fn soak() {
    let seed = number("SP_SOAK_SEED", 1);
    let named = wanted("SP_SOAK_CLASS");
    // Unless asked for by name, what takes minutes comes along only where minutes are there.
    let long = number("SP_SOAK_LONG", 0) > 0;
    let classes: Vec<&Class> = ALL
        .iter()
        .filter(|class| named.as_ref().map_or(long || !class.long, |name| name == class.name))
        .collect();
    let known: Vec<&str> = ALL.iter().map(|class| class.name).collect();
    assert!(!classes.is_empty(), "no such class; there are: {}", known.join(" "));
    let tell = number("SP_SOAK_TELL", 0) > 0;
    let left = Mutex::new(trials(&classes, seed, number("SP_SOAK_TRIALS", 1)));
    let counts: Mutex<BTreeMap<&str, Count>> = Mutex::default();
    let machine = RwLock::new(());
    std::thread::scope(|scope| {
        for _ in 0..number("SP_SOAK_JOBS", 2) {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no panic").pop_front();
                    let Some((class, seed)) = next else { return };
                    let (_all, _part);
                    if class.alone {
                        _all = machine.write().expect("no panic");
                    } else {
                        _part = machine.read().expect("no panic");
                    }
                    let began = std::time::Instant::now();
                    let ended = run(class, seed);
                    let kind = ended.as_ref().err().map(|failure| failure.kind);
                    counts.lock().expect("no panic").entry(class.name).or_default().add(kind);
                    let word =
                        kind.map_or("right".to_owned(), |kind| format!("{kind:?}").to_uppercase());
                    let seconds = began.elapsed().as_secs_f64();
                    let text = match ended {
                        Err(failure) => format!("\n{}\n", failure.text),
                        Ok(story) if tell => format!("\n{}\n", story.join("\n")),
                        Ok(_) => String::new(),
                    };
                    eprintln!("{:<11} seed {seed:<6} {word:<8} {seconds:>6.1} s{text}", class.name);
                }
            });
        }
    });
    let counts = counts.into_inner().expect("no panic");
    println!(
        "\n{:<11} {:>7} {:>7} {:>5} {:>8} {:>6}",
        "class", "trials", "right", "lost", "doubled", "wrong"
    );
    let mut all = Count::default();
    for (name, count) in &counts {
        let right = count.right();
        println!(
            "{name:<11} {:>7} {right:>7} {:>5} {:>8} {:>6}",
            count.trials, count.lost, count.doubled, count.wrong
        );
        all.trials += count.trials;
        all.lost += count.lost;
        all.doubled += count.doubled;
        all.wrong += count.wrong;
    }
    let right = all.right();
    println!(
        "{} trials, {right} right, {} lost, {} doubled, {} wrong",
        all.trials, all.lost, all.doubled, all.wrong
    );
    assert_eq!(right, all.trials, "not all trials were right");
}

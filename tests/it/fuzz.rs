//! What others wrote, or what a disk made of it: no panic, no hang, no state that nobody recorded.
//!
//! Each family has a short form for every run, and a long one that is ignored: `PROPTEST_CASES=100000 cargo nextest run
//! --run-ignored only fuzz::`. What was found stands as a test of its own where the fault was. The readers of hosts'
//! answers, which are private, have theirs beside them: `host::answer`, `host::doctor`, `host::gc`, `lifecycle`.

#![expect(clippy::disallowed_methods, reason = "tests damage files on purpose")]

mod campaign_text;
mod file_lists;
mod state_files;
mod templates;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseResult, TestRunner};

/// Cases of a long form that nobody gave a number.
const LONG: u32 = 10_000;

/// Tries so many cases; the seeds of those that fail are kept below `tests/proptest-regressions`.
#[track_caller]
fn tried<S: Strategy>(
    source: &'static str,
    cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> TestCaseResult,
) {
    let config = Config {
        cases,
        source_file: Some(source),
        failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel(
            "proptest-regressions",
        ))),
        ..Config::default()
    };
    if let Err(error) = TestRunner::new(config).run(strategy, test) {
        panic!("{error}");
    }
}

/// The number of cases of a long form.
fn many() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(LONG)
}

/// Both forms of a family.
macro_rules! forms {
    ($family:ident, $short:literal) => {
        #[test]
        fn $family() {
            run($short);
        }

        #[test]
        #[ignore = "long; PROPTEST_CASES says how long"]
        fn long() {
            run(super::many());
        }
    };
}
use forms;

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Edit {
    /// Some are replaced; by nothing, too.
    Replace(Index, usize, Vec<u8>),
    /// Some are put once more, elsewhere.
    Repeat(Index, usize, Index),
    /// All behind a place is gone.
    Cut(Index),
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |index: &Index, bytes: &Vec<u8>| index.index(bytes.len() + 1);
        match self {
            Self::Replace(at, length, new) => {
                let at = place(at, bytes);
                let end = (at + length).min(bytes.len());
                bytes.splice(at..end, new.iter().copied());
            }
            Self::Repeat(at, length, to) => {
                let (at, to) = (place(at, bytes), place(to, bytes));
                let some = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(to..to, some);
            }
            Self::Cut(at) => bytes.truncate(place(at, bytes)),
        }
    }
}

/// Makes all of them.
fn edit(bytes: &mut Vec<u8>, edits: &[Edit]) {
    for edit in edits {
        edit.apply(bytes);
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..6);
    let edit = prop_oneof![
        6 => (any::<Index>(), 0usize..40, bytes).prop_map(|(at, length, new)| Edit::Replace(at, length, new)),
        3 => (any::<Index>(), 0usize..200, any::<Index>()).prop_map(|(at, length, to)| Edit::Repeat(at, length, to)),
        1 => any::<Index>().prop_map(Edit::Cut),
    ];
    prop::collection::vec(edit, 0..6)
}

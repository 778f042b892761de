//! Well-formed but extreme lines of one host: each is refused by itself or kept, and every command goes on for the other hosts.
//!
//! Kinds and fields come from the readers of the product, so a new field is tried as soon as it is read.

#![expect(clippy::disallowed_methods, reason = "a host writes what it likes")]

mod commands;
mod silent;

use std::collections::BTreeMap;

use jiff::Timestamp;
use solverpilot::ids::HostName;
use solverpilot::lifecycle::record::{kinds, parse_line};
use solverpilot::lifecycle::{HostFact, JournalPosition, Kind};
use solverpilot::store::{HostMemory, HostReport, Store};

use crate::store::Place;

/// Bounds of number types, of SQLite, of JSON, of the host script; spellings of them; words that mean something elsewhere.
const VALUES: &[&str] = &[
    "0",
    "1",
    "00",
    "01",
    "+1",
    "-1",
    "-0",
    "127",
    "128",
    "255",
    "256",
    "65536",
    "999999998",
    "999999999",
    "1000000000",
    "2147483647",
    "2147483648",
    "4294967294",
    "4294967295",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999999",
    "0.001",
    "0.9999",
    ".5",
    "5.",
    "253402207200.999",
    "253402300800",
    "999999999999.999",
    "9999999999999",
    "1e308",
    "1e-308",
    "nan",
    "inf",
    "-inf",
    "none",
    "null",
    "",
    "=",
    "a=b",
    "setup",
    "queued",
    "intended",
    "running",
    "pending",
    "succeeded",
    "failed",
    "timeout",
    "stalled",
    "oom",
    "cancelled",
    "lost",
    "ok",
    "moved",
    "withdrawn",
    "root-gone",
    "by-user",
    "starting",
    "orphan",
    "foreign",
    "log",
    "count",
    "files.0",
    "files.999999999",
    "files.4294967295",
    "bad",
    "good",
    "nowhere",
    "KILL",
    "RTMIN+99999999",
    "..",
    "../../x",
    "-rf",
    "%s%n",
    "$(id)",
    "'",
    "00000000000000000000000000000000",
    "ffffffffffffffffffffffffffffffff",
];

/// The values, and words as long as a reader takes them or longer.
fn values() -> Vec<String> {
    let lengths = [16, 17, 32, 33, 40, 64, 65, 100, 101, 160, 161, 1500];
    let long = lengths.into_iter().flat_map(|length| ["a".repeat(length), "9".repeat(length)]);
    VALUES.iter().map(|value| (*value).to_owned()).chain(long).collect()
}

const ID: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "11111111111111111111111111111111";
const SUCCEEDED: &str = "apply=a1 slot=0 state=succeeded reason=ok rc=0 sig=none by=runner marker=none left=none \
                         started=1700000000.25 ended=1700000002.50 el=2.25 up=5.00 to=none snapshot=none code=none git=none dirty=none";
const FAILED: &str = "apply=a1 slot=0 state=failed reason=signal rc=137 sig=KILL by=orphan marker=files.1 left=kept \
                      started=1700000000.25 ended=1700000002.50 el=2.25 up=5.00 to=none snapshot=s code=none git=none dirty=1";
const MOVED: &str = "apply=a1 slot=none state=cancelled reason=moved rc=none sig=none by=cancel marker=none left=none \
                     started=none ended=1700000002.50 el=none up=5.00 to=good snapshot=none code=none git=none dirty=none";

/// Good lines of a kind: the fields of each but for the mark at its end. A kind that is not here fails every test.
fn good_lines(kind: &str, id: &str) -> Vec<String> {
    let attempt = format!("id={id} n=1");
    let of = |rests: &[&str]| -> Vec<String> {
        rests.iter().map(|rest| format!("{attempt} {rest}")).collect()
    };
    match kind {
        "start" => of(&[
            "apply=a1 slot=0 t=1700000000.25 up=5.00",
            "apply=a1 slot=0 t=1700000000.25 up=5.00 kind=setup",
        ]),
        "end" => {
            let setup = format!("{SUCCEEDED} kind=setup");
            of(&[SUCCEEDED, FAILED, MOVED, &setup])
        }
        "open" => of(&[
            "apply=a1 slot=0 verdict=running t=1700000000.25 session=sp-c-01234567",
            "apply=a1 slot=0 verdict=orphan t=none session=none",
            "apply=a1 slot=0 verdict=running t=1700000000.25 session=none kind=setup",
        ]),
        "queued" => of(&["apply=a1"]),
        "accept" => vec![format!("id={id} from={OTHER}")],
        "removed" => vec![attempt],
        other => panic!("a good line of the kind `{other}` is missing here"),
    }
}

/// The fields of a line with another value for one of them, which may not have been there.
fn with(fields: &str, key: &str, value: &str) -> String {
    let mut found = false;
    let mut words: Vec<String> = Vec::new();
    for word in fields.split(' ') {
        let is_it = word.split_once('=').is_some_and(|(name, _)| name == key);
        found |= is_it;
        words.push(if is_it { format!("{key}={value}") } else { word.to_owned() });
    }
    if !found {
        words.push(format!("{key}={value}"));
    }
    words.join(" ")
}

/// Every line with one extreme value in one field of this kind.
fn extreme_lines(kind: &Kind, id: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for good in good_lines(kind.word, id) {
        for key in kind.fields {
            let line = |value: &String| format!("{} {} .", kind.word, with(&good, key, value));
            lines.extend(values().iter().map(line));
        }
    }
    lines
}

#[test]
fn good_lines_are_good() {
    for kind in kinds() {
        for good in good_lines(kind.word, ID) {
            let line = format!("{} {good} .", kind.word);
            assert!(matches!(parse_line(line.as_bytes()), Ok(Some(_))), "{line}");
        }
    }
}

/// Whatever the checkpoint has taken, every reader of it can read.
#[track_caller]
fn check_readable(store: &Store, line: &str) {
    let read = || -> Result<(), solverpilot::store::StoreError> {
        store.known()?;
        store.open_attempts()?;
        store.moved_attempts()?;
        store.snapshot().map(drop)
    };
    if let Err(error) = read() {
        panic!("after {line}: {error}");
    }
}

#[test]
fn what_a_reader_takes_the_checkpoint_can_hold() {
    let bad: HostName = "bad".parse().expect("a name");
    for kind in kinds() {
        let place = Place::new();
        let mut store = place.open();
        let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
        let mut last = String::new();
        // In bundles: each is a transaction. Of one that fails, each line is tried alone.
        let lines = extreme_lines(kind, ID);
        for bundle in lines.chunks(200) {
            let facts: Vec<(&String, HostFact)> = bundle
                .iter()
                .filter_map(|line| Some((line, parse_line(line.as_bytes()).ok()??)))
                .collect();
            *taken.entry(kind.word).or_default() += u32::try_from(facts.len()).expect("few");
            let only: Vec<HostFact> = facts.iter().map(|(_, fact)| fact.clone()).collect();
            if let Err(error) = store.record(&report(&bad, &only)) {
                for (line, fact) in &facts {
                    let one = store.record(&report(&bad, std::slice::from_ref(fact)));
                    assert!(one.is_ok(), "{line}: {one:?}");
                }
                panic!("{}: {error}", kind.word);
            }
            last.clone_from(bundle.last().expect("a line"));
            check_readable(&store, &last);
        }
        assert!(taken[kind.word] > 0, "no line of the kind `{}` was taken", kind.word);
        check_readable(&store, &last);
    }
}

fn report<'a>(host: &'a HostName, facts: &'a [HostFact]) -> HostReport<'a> {
    let journal =
        JournalPosition { generation: "g".to_owned(), offset: 0, mark: "none".to_owned() };
    HostReport {
        host,
        memory: HostMemory {
            journal: Some(journal),
            last_seen: Some(Timestamp::UNIX_EPOCH),
            ..HostMemory::default()
        },
        read_from: None,
        whole: false,
        facts,
    }
}

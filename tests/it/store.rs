//! The checkpoint: what it keeps, what it refuses, and what a crash leaves.
#![expect(clippy::unwrap_used, reason = "helpers of tests; the lint sees only test functions")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;
use solverpilot::ids::{ApplyId, Attempt, CampaignName, HostName, JobId};
use solverpilot::lifecycle::record::parse_lines;
use solverpilot::lifecycle::{AttemptState, Fact, Final, HostFact, JournalPosition, Unit};
use solverpilot::plan::{CellKey, Params, Parts};
use solverpilot::state::State;
use solverpilot::store::{
    Holder, HostMemory, HostReport, Intended, Intent, Opened, PlannedJob, Provenance, Recorded,
    Store, StoreError, folder_of,
};
use tempfile::TempDir;

use crate::lifecycle::any_fact;

mod open;

/// A campaign's folder with its file.
pub(crate) struct Place {
    root: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { root: TempDir::new().unwrap() };
        put(&place.file(), b"");
        place
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("campaign.toml")
    }

    pub(crate) fn folder(&self) -> PathBuf {
        folder_of(self.root.path(), &campaign())
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.folder().join("checkpoint.db")
    }

    pub(crate) fn try_open(&self) -> Result<Opened, StoreError> {
        Store::open_patient(&self.folder(), &campaign(), &holder(), Duration::ZERO)
    }

    pub(crate) fn open(&self) -> Store {
        let opened = self.try_open().unwrap();
        assert_eq!(opened.set_aside, None);
        opened.store
    }

    fn sql(&self, text: &str) {
        Connection::open(self.db()).unwrap().execute_batch(text).unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test makes files as others leave them")]
pub(crate) fn put(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
}

fn holder() -> Holder {
    Holder { pid: 42, host: "box".to_owned(), since: now(), command: "sp apply".to_owned() }
}

fn campaign() -> CampaignName {
    "camp".parse().unwrap()
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn apply() -> ApplyId {
    "a1".parse().unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn id(n: u32) -> JobId {
    JobId((u128::from(n) << 64 | 7).to_be_bytes())
}

pub(crate) struct Planned {
    id: JobId,
    name: String,
    params: Params,
    parts: Parts,
}

pub(crate) fn planned(numbers: impl IntoIterator<Item = u32>) -> Vec<Planned> {
    let make = |n: u32| Planned {
        id: id(n),
        name: format!("n={n}"),
        params: serde_json::from_value(json!({"n": n, "kind": "x"})).unwrap(),
        parts: Parts {
            shell_command: Some(format!("./bench --n {n} --out {{{{ job.out_dir }}}}")),
            shell: vec!["bash".to_owned()],
            working_dir: ".".to_owned(),
            ..Parts::default()
        },
    };
    numbers.into_iter().map(make).collect()
}

pub(crate) fn plan(store: &mut Store, jobs: &[Planned]) {
    let rows = jobs.iter().zip(0..).map(|(job, index)| PlannedJob {
        id: job.id,
        cell: CellKey(job.id.0),
        name: &job.name,
        index,
        params: &job.params,
        parts: &job.parts,
    });
    store.record_plan(rows).unwrap();
}

fn intend(store: &mut Store, attempts: &[(u32, u32)]) -> Result<(), StoreError> {
    let attempts: Vec<Intended> = attempts
        .iter()
        .map(|(job, n)| Intended { job: id(*job), attempt: Attempt::new(*n).expect("a number") })
        .collect();
    let provenance = Provenance { git_rev: Some("abc".to_owned()), ..Provenance::default() };
    store.intend(&Intent {
        apply: &apply(),
        host: &host("local"),
        batch: "b1",
        at: now(),
        provenance: &provenance,
        attempts: &attempts,
    })
}

fn about(job: u32, n: u32, fact: Fact) -> HostFact {
    HostFact::Attempt {
        unit: Unit::Job(id(job)),
        attempt: Attempt::new(n).expect("a number"),
        apply: apply(),
        fact,
    }
}

pub(crate) fn ended(job: u32, n: u32, more: &str) -> HostFact {
    let line = crate::lifecycle::end_line(&format!("id={} n={n} {more}", id(job)));
    parse_lines(format!("{line}\n").as_bytes()).facts.remove(0)
}

fn started(job: u32, n: u32) -> HostFact {
    about(job, n, Fact::Started { slot: 0, at: now() })
}

pub(crate) fn report(
    store: &mut Store,
    name: &str,
    journal: Option<(&str, u64)>,
    facts: &[HostFact],
) -> Recorded {
    let memory = HostMemory {
        root_id: Some("r1".to_owned()),
        journal: journal.map(|(generation, offset)| JournalPosition {
            generation: generation.to_owned(),
            offset,
            mark: format!("after-{offset}"),
        }),
        last_seen: Some(now()),
        ..HostMemory::default()
    };
    // Nobody has read further than the checkpoint says, but who has read less and was slower: that one began before.
    let read_from = store.host(&host(name)).unwrap().journal;
    let further = |read: &JournalPosition| journal.is_some_and(|(_, offset)| offset < read.offset);
    let read_from = read_from.filter(|read| !further(read));
    store.record(&HostReport { host: &host(name), memory, read_from, whole: false, facts }).unwrap()
}

fn states(store: &Store) -> Vec<(u32, State, u32)> {
    let number = |id: JobId| u32::try_from(u128::from_be_bytes(id.0) >> 64).unwrap();
    store
        .known()
        .unwrap()
        .iter()
        .map(|job| (number(job.id), job.state, job.attempt.map_or(0, Attempt::number)))
        .collect()
}

#[test]
fn a_plan_is_remembered_in_its_order() {
    let place = Place::new();
    let mut store = place.open();
    plan(&mut store, &planned([3, 1, 2]));
    assert_eq!(states(&store), [3, 1, 2].map(|n| (n, State::Pending, 0)));
    let jobs = planned([2, 3, 4]);
    plan(&mut store, &jobs);
    assert_eq!(states(&store), [2, 3, 4, 1].map(|n| (n, State::Pending, 0)));
    let known = store.known().unwrap();
    assert_eq!(known.iter().map(|job| job.planned).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(known[0].cell, Some(CellKey(id(2).0)));
    assert_eq!(store.parts(id(4)).unwrap().as_ref(), Some(&jobs[2].parts));
    assert_eq!(store.parts(id(9)).unwrap(), None);
    let snapshot = store.snapshot().unwrap();
    assert_eq!(
        snapshot.jobs.iter().map(|job| job.index).collect::<Vec<_>>(),
        [Some(0), Some(1), Some(2), None]
    );
    assert_eq!(snapshot.jobs[0].params, jobs[0].params);
}

#[test]
fn an_attempt_goes_from_intent_to_end() {
    let place = Place::new();
    let mut store = place.open();
    plan(&mut store, &planned(0..2));
    store.begin_apply(&apply(), now()).unwrap();
    intend(&mut store, &[(0, 1), (1, 1)]).unwrap();
    assert_eq!(states(&store), [(0, State::Queued, 1), (1, State::Queued, 1)]);
    let facts = [
        about(0, 1, Fact::Queued),
        started(0, 1),
        ended(0, 1, "state=failed reason=exit-code rc=3"),
    ];
    let recorded = report(&mut store, "local", Some(("g", 100)), &facts);
    let steps: Vec<_> = recorded.changes.iter().map(|change| (change.from, change.to)).collect();
    assert_eq!(
        steps,
        [
            (Some(AttemptState::Intended), AttemptState::Queued),
            (Some(AttemptState::Queued), AttemptState::Running),
            (Some(AttemptState::Running), AttemptState::Ended(Final::Failed)),
        ]
    );
    // Told again, nothing changes; told otherwise, it is refused.
    assert_eq!(report(&mut store, "local", Some(("g", 100)), &facts), Recorded::default());
    let recorded = report(&mut store, "local", None, &[ended(0, 1, "")]);
    assert_eq!((recorded.changes.len(), recorded.illegal.len()), (0, 1));
    let known = store.known().unwrap();
    assert_eq!(known[0].state, State::Failed);
    assert_eq!((known[0].reason.as_str(), known[0].exit_code), ("exit-code", Some(3)));
    assert_eq!(known[0].detail, "exit code 3");
    assert_eq!((known[0].elapsed_s, known[0].host.clone()), (Some(2.25), Some(host("local"))));
    let memory = store.host(&host("local")).unwrap();
    assert_eq!(
        memory.journal,
        Some(JournalPosition {
            generation: "g".to_owned(),
            offset: 100,
            mark: "after-100".to_owned(),
        })
    );
    assert_eq!((memory.root_id.as_deref(), memory.last_seen), (Some("r1"), Some(now())));
    store.end_apply(&apply(), now(), 100).unwrap();
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.applies[0].exit_code, Some(100));
    let row = &snapshot.jobs[0].attempts[0];
    assert_eq!(row.provenance.as_ref().unwrap().git_rev.as_deref(), Some("abc"));
    assert_eq!((row.batch.as_deref(), row.witness.as_deref()), (Some("b1"), Some("runner")));
}

#[test]
fn attempts_that_have_not_ended() {
    let place = Place::new();
    let mut store = place.open();
    plan(&mut store, &planned([5, 4, 3, 2, 1]));
    intend(&mut store, &[(4, 1), (3, 1)]).unwrap();
    report(
        &mut store,
        "b",
        None,
        &[started(9, 1), started(5, 2), ended(1, 1, ""), about(3, 2, Fact::Queued)],
    );
    report(&mut store, "a", None, &[ended(5, 1, "state=failed reason=exit-code rc=1")]);
    let open = store.open_attempts().unwrap();
    let told: Vec<_> = open
        .iter()
        .map(|open| (open.unit.id(), open.attempt.number(), open.host.as_str(), open.state.word()))
        .collect();
    let wanted = [
        (id(5), 2, "b", "running"),
        (id(4), 1, "local", "intended"),
        (id(3), 1, "local", "intended"),
        (id(3), 2, "b", "queued"),
        (id(9), 1, "b", "running"),
    ];
    assert_eq!(told, wanted);
    assert!(open.iter().all(|open| open.apply == apply()));
    // The long way round comes to the same.
    let snapshot = store.snapshot().unwrap();
    let ended = |state: AttemptState| matches!(state, AttemptState::Ended(_));
    let long = snapshot.jobs.iter().flat_map(|job| {
        let open = job.attempts.iter().filter(|row| !ended(row.state));
        open.map(|row| (job.id, row.attempt.number(), row.host.as_str(), row.state.word()))
    });
    assert_eq!(long.collect::<Vec<_>>(), wanted);
}

#[test]
fn only_an_intent_may_be_repeated_or_taken_back() {
    let place = Place::new();
    let mut store = place.open();
    plan(&mut store, &planned(0..3));
    intend(&mut store, &[(0, 1), (1, 1)]).unwrap();
    intend(&mut store, &[(0, 1)]).unwrap();
    report(&mut store, "local", None, &[started(1, 1)]);
    let error = intend(&mut store, &[(2, 1), (1, 1)]).unwrap_err();
    assert!(matches!(error, StoreError::AttemptTaken { .. }), "{error}");
    // The refused one wrote nothing, of its first row neither.
    assert_eq!(states(&store)[2], (2, State::Pending, 0));
    let both = [0, 1].map(|job| Intended { job: id(job), attempt: Attempt::FIRST });
    assert_eq!(store.take_back(&host("local"), &both).unwrap(), 1);
    assert_eq!(states(&store)[..2], [(0, State::Pending, 0), (1, State::Running, 1)]);
}

#[test]
fn what_only_a_host_knows_is_adopted() {
    let place = Place::new();
    let mut store = place.open();
    let recorded = report(&mut store, "local", Some(("g", 9)), &[ended(5, 2, ""), started(6, 1)]);
    assert_eq!(recorded.changes.iter().map(|change| change.from).collect::<Vec<_>>(), [None, None]);
    assert_eq!(states(&store), [(5, State::Succeeded, 2), (6, State::Running, 1)]);
    assert_eq!(store.known().unwrap()[0].cell, None);
    plan(&mut store, &planned([4, 5]));
    assert_eq!(states(&store)[..2], [(4, State::Pending, 0), (5, State::Succeeded, 2)]);
    assert_eq!(store.known().unwrap()[1].cell, Some(CellKey(id(5).0)));
    assert!(store.parts(id(5)).unwrap().is_some());
}

/// The host's record fills in what the checkpoint does not know; what was handed over from here keeps its own.
#[test]
fn what_an_adopted_attempt_ran_from() {
    let place = Place::new();
    let mut store = place.open();
    plan(&mut store, &planned(0..5));
    intend(&mut store, &[(0, 1)]).unwrap();
    let (code, git) = ("0a".repeat(32), "b".repeat(40));
    let tree = format!("snapshot=s1 code={code} git={git} dirty=1");
    let facts = [
        ended(0, 1, &tree),
        ended(1, 1, &tree),
        ended(2, 1, ""),
        HostFact::Accepted { job: id(3), from: id(1) },
        HostFact::Accepted { job: id(4), from: id(3) },
    ];
    report(&mut store, "local", Some(("g", 9)), &facts);
    report(&mut store, "local", Some(("h", 9)), &facts);
    let snapshot = store.snapshot().unwrap();
    let of = |job: usize| snapshot.jobs[job].attempts[0].provenance.as_deref().cloned();
    assert_eq!(of(0).unwrap().git_rev.as_deref(), Some("abc"));
    let adopted = Provenance {
        snapshot: Some("s1".to_owned()),
        code_digest: Some(code),
        git_rev: Some(git),
        dirty: Some(true),
        ..Provenance::default()
    };
    assert_eq!(of(1), Some(adopted));
    assert_eq!(of(2), None);
    let codes: Vec<_> = store.known().unwrap().iter().map(|job| job.code).collect();
    assert_eq!(codes, [None, Some([10; 32]), None, Some([10; 32]), Some([10; 32])]);
    let rows: u32 = Connection::open(place.db())
        .unwrap()
        .query_row("SELECT count(*) FROM provenance", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 2, "no row that nobody refers to");
}

#[test]
fn the_newest_attempt_of_any_host_counts() {
    let place = Place::new();
    let mut store = place.open();
    plan(&mut store, &planned(0..1));
    report(&mut store, "b", None, &[started(0, 2)]);
    report(&mut store, "a", None, &[ended(0, 1, "state=failed reason=exit-code rc=1")]);
    let known = store.known().unwrap().remove(0);
    assert_eq!(
        (known.state, known.attempt.map_or(0, Attempt::number), known.host),
        (State::Running, 2, Some(host("b")))
    );
    assert_eq!(known.elapsed_s, Some(2.25));
}

#[test]
fn an_accepted_result_counts_until_a_later_attempt() {
    let place = Place::new();
    let mut store = place.open();
    plan(&mut store, &planned([1]));
    let accepted = HostFact::Accepted { job: id(1), from: id(0) };
    let facts =
        [ended(0, 1, ""), ended(1, 1, "state=failed reason=exit-code rc=1"), accepted.clone()];
    report(&mut store, "local", Some(("g", 50)), &facts);
    let known = store.known().unwrap().remove(0);
    assert_eq!(
        (known.state, known.reason.as_str(), known.accepted_from),
        (State::Succeeded, "accepted", Some(id(0)))
    );
    assert_eq!(store.snapshot().unwrap().jobs[0].accepted_from, Some(id(0)));
    report(
        &mut store,
        "local",
        Some(("g", 90)),
        &[ended(1, 2, "state=failed reason=exit-code rc=1")],
    );
    // A slower reader of the same journal, and one that starts over, tell the acceptance again.
    report(&mut store, "local", Some(("g", 50)), std::slice::from_ref(&accepted));
    report(&mut store, "local", Some(("h", 50)), &[accepted]);
    let known = store.known().unwrap().remove(0);
    assert_eq!((known.state, known.accepted_from), (State::Failed, None));
    assert_eq!(store.snapshot().unwrap().jobs[0].accepted_from, None);
}

#[test]
fn a_slower_reader_does_not_set_the_journal_back() {
    let place = Place::new();
    let mut store = place.open();
    let offset = |store: &Store| store.host(&host("local")).unwrap().journal.unwrap();
    report(&mut store, "local", Some(("g", 200)), &[]);
    report(&mut store, "local", Some(("g", 100)), &[]);
    assert_eq!(offset(&store).offset, 200);
    // Who asked from there and is told of less found a journal that was rolled back.
    let mut position = offset(&store);
    let read_from = Some(position.clone());
    position.offset = 150;
    let memory = HostMemory { journal: Some(position), ..HostMemory::default() };
    let host_name = host("local");
    let rolled = HostReport { host: &host_name, memory, read_from, whole: true, facts: &[] };
    store.record(&rolled).unwrap();
    assert_eq!(offset(&store).offset, 150);
    report(&mut store, "local", Some(("new", 10)), &[]);
    assert_eq!((offset(&store).generation.as_str(), offset(&store).offset), ("new", 10));
    assert_eq!(store.host(&host("never")).unwrap(), HostMemory::default());
}

#[test]
fn a_root_that_is_gone_loses_what_had_not_ended() {
    let place = Place::new();
    let mut store = place.open();
    report(&mut store, "local", None, &[started(0, 1), ended(1, 1, "")]);
    let gone = [0, 1, 2].map(|job| about(job, 1, Fact::RootGone));
    report(&mut store, "local", None, &gone);
    assert_eq!(states(&store), [(0, State::Lost, 1), (1, State::Succeeded, 1)]);
    assert_eq!(store.known().unwrap()[0].reason, "root-gone");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_walks_the_life_cycle(facts in proptest::collection::vec((0..3_u32, 1..3_u32, any_fact()), 1..25)) {
        let place = Place::new();
        let mut store = place.open();
        plan(&mut store, &planned(0..3));
        let mut model = std::collections::BTreeMap::new();
        for (job, n, fact) in facts {
            let gone = fact == Fact::RootGone;
            report(&mut store, "local", None, &[about(job, n, fact.clone())]);
            let before = model.get(&(job, n)).copied();
            if before.is_none() && gone {
                continue;
            }
            let before = before.unwrap_or(AttemptState::Intended);
            model.insert((job, n), before.next(&fact).unwrap_or(before));
        }
        let snapshot = store.snapshot().unwrap();
        let mut stored = std::collections::BTreeMap::new();
        for (job, row) in snapshot.jobs.iter().zip(0..).flat_map(|(job, n)| job.attempts.iter().map(move |row| (n, row))) {
            stored.insert((job, row.attempt.number()), row.state);
        }
        prop_assert_eq!(stored, model);
        // Both ways of reading agree.
        for (job, known) in snapshot.jobs.iter().zip(store.known().unwrap()) {
            prop_assert_eq!(job.state(), known.state);
            prop_assert_eq!(job.newest().map_or(0, |row| row.attempt.number()), known.attempt.map_or(0, Attempt::number));
        }
    }
}

/// `cargo test --release -- --ignored speed --nocapture`
#[test]
#[ignore = "measures"]
fn speed() {
    let clock = std::time::Instant::now;
    let place = Place::new();
    let mut store = place.open();
    let jobs = planned(0..10_000);
    let facts: Vec<HostFact> = (0..10_000).map(|job| ended(job, 1, "")).collect();
    let start = clock();
    plan(&mut store, &jobs);
    println!("record_plan {:?}", start.elapsed());
    let start = clock();
    plan(&mut store, &jobs);
    println!("record_plan, the same {:?}", start.elapsed());
    let all: Vec<(u32, u32)> = (0..10_000).map(|job| (job, 1)).collect();
    let start = clock();
    intend(&mut store, &all).unwrap();
    println!("intend {:?}", start.elapsed());
    let start = clock();
    report(&mut store, "local", Some(("g", 1)), &facts);
    println!("record {:?}", start.elapsed());
    drop(store);
    for _ in 0..3 {
        let start = clock();
        let store = place.open();
        println!("open {:?}", start.elapsed());
        let start = clock();
        assert_eq!(store.known().unwrap().len(), 10_000);
        println!("known {:?}", start.elapsed());
        let start = clock();
        assert_eq!(store.snapshot().unwrap().jobs.len(), 10_000);
        println!("snapshot {:?}", start.elapsed());
        let start = clock();
        store.check().unwrap();
        println!("check {:?}", start.elapsed());
    }
    println!("{} bytes", fs::metadata(place.db()).unwrap().len());
}

//! The checkpoint: what it keeps, what it refuses, and what a crash leaves.
#![expect(clippy::unwrap_used, reason = "helpers of tests; the lint sees only test functions")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use solverpilot::ids::{ApplyId, Attempt, CampaignName, HostName, JobId};
use solverpilot::lifecycle::record::parse_lines;
use solverpilot::lifecycle::{AttemptState, Fact, Final, HostFact};
use solverpilot::plan::{CellKey, Parts};
use solverpilot::state::State;
use solverpilot::store::{
    ApplyLock, Holder, HostMemory, HostReport, Intended, Intent, JournalPosition, Lock, Opened,
    PlannedJob, Provenance, Recorded, Store, StoreError, folder_of,
};
use tempfile::TempDir;

use crate::lifecycle::any_fact;

/// A campaign's folder with its file.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { root: TempDir::new().unwrap() };
        put(&place.file(), b"");
        place
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("campaign.toml")
    }

    fn folder(&self) -> PathBuf {
        folder_of(self.root.path(), &campaign())
    }

    fn db(&self) -> PathBuf {
        self.folder().join("checkpoint.db")
    }

    fn try_open(&self) -> Result<Opened, StoreError> {
        Store::open_patient(&self.folder(), &campaign(), &self.file(), now(), Duration::ZERO)
    }

    fn open(&self) -> Store {
        let opened = self.try_open().unwrap();
        assert_eq!(opened.set_aside, None);
        opened.store
    }

    fn sql(&self, text: &str) {
        Connection::open(self.db()).unwrap().execute_batch(text).unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test makes files as others leave them")]
fn put(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
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

struct Planned {
    id: JobId,
    name: String,
    params: Map<String, Value>,
    parts: Parts,
}

fn planned(numbers: impl IntoIterator<Item = u32>) -> Vec<Planned> {
    let make = |n: u32| Planned {
        id: id(n),
        name: format!("n={n}"),
        params: json!({"n": n, "kind": "x"}).as_object().unwrap().clone(),
        parts: Parts {
            shell_command: Some(format!("./bench --n {n} --out {{{{ job.out_dir }}}}")),
            shell: vec!["bash".to_owned()],
            working_dir: ".".to_owned(),
            ..Parts::default()
        },
    };
    numbers.into_iter().map(make).collect()
}

fn plan(store: &mut Store, jobs: &[Planned]) {
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
    let attempts: Vec<Intended> =
        attempts.iter().map(|(job, n)| Intended { job: id(*job), attempt: Attempt(*n) }).collect();
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
    HostFact::Attempt { job: id(job), attempt: Attempt(n), apply: apply(), fact }
}

fn ended(job: u32, n: u32, more: &str) -> HostFact {
    let line = crate::lifecycle::end_line(&format!("id={} n={n} {more}", id(job)));
    parse_lines(format!("{line}\n").as_bytes()).facts.remove(0)
}

fn started(job: u32, n: u32) -> HostFact {
    about(job, n, Fact::Started { slot: 0, at: now() })
}

fn report(
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
        }),
        last_seen: Some(now()),
        ..HostMemory::default()
    };
    store.record(&HostReport { host: &host(name), memory, facts }).unwrap()
}

fn states(store: &Store) -> Vec<(u32, State, u32)> {
    let number = |id: JobId| u32::try_from(u128::from_be_bytes(id.0) >> 64).unwrap();
    store.known().unwrap().iter().map(|job| (number(job.id), job.state, job.attempt.0)).collect()
}

#[test]
fn files_are_the_users_alone() {
    let place = Place::new();
    let mut store = place.open();
    plan(&mut store, &planned(0..3));
    let Ok(Lock::Acquired(_lock)) = ApplyLock::acquire(&place.folder(), &holder()) else {
        panic!()
    };
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.root.path().join(".sp")), 0o700);
    assert_eq!(mode(&place.folder()), 0o700);
    assert_eq!(mode(&place.db()), 0o600);
    assert_eq!(mode(&place.folder().join("apply.lock")), 0o600);
    assert_eq!(fs::read_to_string(place.root.path().join(".sp/.gitignore")).unwrap(), "*\n");
    drop(store);
    let mut left: Vec<_> =
        fs::read_dir(place.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["apply.lock", "checkpoint.db"]);
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
    assert_eq!((known[0].elapsed_s, known[0].host.clone()), (Some(2.25), Some(host("local"))));
    let memory = store.host(&host("local")).unwrap();
    assert_eq!(memory.journal, Some(JournalPosition { generation: "g".to_owned(), offset: 100 }));
    assert_eq!((memory.root_id.as_deref(), memory.last_seen), (Some("r1"), Some(now())));
    store.end_apply(&apply(), now(), 100).unwrap();
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.applies[0].exit_code, Some(100));
    let row = &snapshot.jobs[0].attempts[0];
    assert_eq!(row.provenance.as_ref().unwrap().git_rev.as_deref(), Some("abc"));
    assert_eq!((row.batch.as_deref(), row.witness.as_deref()), (Some("b1"), Some("runner")));
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
    let both = [0, 1].map(|job| Intended { job: id(job), attempt: Attempt(1) });
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

#[test]
fn the_newest_attempt_of_any_host_counts() {
    let place = Place::new();
    let mut store = place.open();
    plan(&mut store, &planned(0..1));
    report(&mut store, "b", None, &[started(0, 2)]);
    report(&mut store, "a", None, &[ended(0, 1, "state=failed reason=exit-code rc=1")]);
    let known = store.known().unwrap().remove(0);
    assert_eq!((known.state, known.attempt.0, known.host), (State::Running, 2, Some(host("b"))));
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

fn made() -> Place {
    let place = Place::new();
    let mut store = place.open();
    plan(&mut store, &planned(0..200));
    report(
        &mut store,
        "local",
        Some(("g", 5)),
        &(0..200).map(|job| ended(job, 1, "")).collect::<Vec<_>>(),
    );
    place
}

/// From the bytes of a whole file and some noise to those of a damaged one.
type Damage = fn(Vec<u8>, &[u8]) -> Vec<u8>;

#[test]
fn damaged_files_are_set_aside() {
    let noise: Vec<u8> =
        (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let whole = |place: &Place| fs::read(place.db()).unwrap();
    let damages: [(&str, Damage); 5] = [
        ("noise", |_, noise| noise.to_vec()),
        ("empty", |_, _| Vec::new()),
        ("one byte", |_, _| b"x".to_vec()),
        ("cut", |whole, _| whole[..whole.len() / 2].to_vec()),
        ("cut in the first page", |whole, _| whole[..700].to_vec()),
    ];
    for (name, damage) in damages {
        let place = made();
        let bytes = damage(whole(&place), &noise);
        put(&place.db(), &bytes);
        // A journal of the damaged file must not reach the new one.
        put(&place.folder().join("checkpoint.db-journal"), b"stale");
        let opened = place.try_open().unwrap_or_else(|error| panic!("{name}: {error}"));
        let aside = opened.set_aside.unwrap_or_else(|| panic!("{name}: not set aside"));
        assert_eq!(aside, place.folder().join("checkpoint.db.corrupt-1"), "{name}");
        assert_eq!(opened.store.known().unwrap(), [], "{name}");
        opened.store.check().unwrap();
        drop(opened.store);
        assert_eq!(place.open().known().unwrap(), [], "{name}");
        put(&place.db(), b"");
        let again = place.try_open().unwrap().set_aside.unwrap();
        assert_eq!(again, place.folder().join("checkpoint.db.corrupt-2"), "{name}");
    }
}

#[test]
fn damage_deep_in_the_file_is_an_error_that_can_be_set_aside() {
    let place = made();
    let mut bytes = fs::read(place.db()).unwrap();
    for page in 2..bytes.len() / 4096 {
        bytes[page * 4096..page * 4096 + 64].fill(0xa5);
    }
    put(&place.db(), &bytes);
    let store = match place.try_open() {
        Ok(Opened { store, set_aside: None }) => store,
        Ok(Opened { set_aside: Some(_), .. }) => return,
        Err(error) => panic!("{error}"),
    };
    assert!(matches!(store.check(), Err(StoreError::Damaged { .. })));
    assert!(matches!(store.known(), Err(StoreError::Damaged { .. })));
    store.set_aside().unwrap();
    assert_eq!(place.open().known().unwrap(), []);
}

#[test]
fn what_is_not_ours_to_mend_is_refused() {
    let refused = |sql: &str| {
        let place = made();
        place.sql(sql);
        let error = place.try_open().unwrap_err();
        let text = error.to_string().replace(&place.folder().display().to_string(), "[folder]");
        assert!(place.db().exists());
        text
    };
    insta::assert_snapshot!(
        [
            refused("PRAGMA user_version = 99"),
            refused("PRAGMA application_id = 1"),
            refused("UPDATE meta SET campaign = 'other'"),
        ]
        .join("\n")
    );
    let place = Place::new();
    drop(place.open());
    fs::remove_file(place.db()).unwrap();
    place.sql("CREATE TABLE notes (text)");
    assert!(matches!(place.try_open(), Err(StoreError::Foreign { .. })));
}

#[test]
fn a_locked_file_is_told() {
    let place = made();
    let other = Connection::open(place.db()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert!(matches!(place.try_open(), Err(StoreError::Locked { .. })));
    other.execute_batch("ROLLBACK; BEGIN IMMEDIATE").unwrap();
    // Readers pass a writer that has not yet written; a second writer does not.
    let mut store = place.open();
    assert_eq!(store.known().unwrap().len(), 200);
    assert!(matches!(store.begin_apply(&apply(), now()), Err(StoreError::Locked { .. })));
}

#[test]
fn what_cannot_be_written_is_told() {
    let place = made();
    assert!(Store::open_read_only(&place.root.path().join("nowhere")).unwrap().is_none());
    let mut store = Store::open_read_only(&place.folder()).unwrap().unwrap();
    assert_eq!(store.known().unwrap().len(), 200);
    assert!(matches!(store.begin_apply(&apply(), now()), Err(StoreError::ReadOnly { .. })));
    drop(store);
    fs::set_permissions(place.db(), fs::Permissions::from_mode(0o400)).unwrap();
    // Root may write it all the same.
    match place.try_open() {
        Err(StoreError::ReadOnly { .. }) => {}
        Ok(_) if fs::OpenOptions::new().write(true).open(place.db()).is_ok() => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_belongs_to_one_file() {
    let place = made();
    let open = |folder: &Path, file: &Path| {
        Store::open_patient(folder, &campaign(), file, now(), Duration::ZERO)
            .map(|opened| opened.store)
    };
    // A second campaign file of the same name beside the first.
    let second = place.root.path().join("second.toml");
    put(&second, b"");
    assert!(matches!(open(&place.folder(), &second), Err(StoreError::OtherFile { .. })));
    // The same file by another path.
    let link = place.root.path().join("link.toml");
    std::os::unix::fs::symlink(place.file(), &link).unwrap();
    open(&place.folder(), &link).unwrap();
    open(&place.folder(), &place.file()).unwrap();
    // The file was renamed.
    fs::remove_file(&second).unwrap();
    fs::rename(place.file(), &second).unwrap();
    assert_eq!(open(&place.folder(), &second).unwrap().known().unwrap().len(), 200);
    // The folder was moved.
    let moved = TempDir::new().unwrap();
    let target = moved.path().join("moved");
    fs::rename(place.root.path(), &target).unwrap();
    open(&folder_of(&target, &campaign()), &target.join("second.toml")).unwrap();
    fs::create_dir(place.root.path()).unwrap();
}

#[test]
fn an_old_checkpoint_opens() {
    let place = Place::new();
    drop(place.open());
    fs::remove_file(place.db()).unwrap();
    place.sql(include_str!("../stores/v1.sql"));
    let mut store = place.open();
    store.check().unwrap();
    let snapshot = store.snapshot().unwrap();
    insta::assert_debug_snapshot!(snapshot);
    // It can still be written.
    plan(&mut store, &planned(0..2));
}

/// Writes the fixture anew, for the day a format 2 needs one; the dump of an old format is never changed.
#[test]
#[ignore = "writes a fixture"]
fn make_fixture() {
    let place = Place::new();
    let mut store = place.open();
    plan(&mut store, &planned(0..4));
    store.begin_apply(&apply(), now()).unwrap();
    intend(&mut store, &[(0, 1), (1, 1), (2, 1)]).unwrap();
    let facts = [
        ended(0, 1, ""),
        ended(1, 1, "state=failed reason=marker-missing marker=files.0"),
        started(1, 2),
        HostFact::Accepted { job: id(3), from: id(0) },
    ];
    report(&mut store, "local", Some(("g", 512)), &facts);
    plan(&mut store, &planned([3, 2, 1]));
    store.end_apply(&apply(), now(), 75).unwrap();
    println!("{}", place.root.keep().display());
}

#[test]
fn one_apply_at_a_time() {
    let place = Place::new();
    let Ok(Lock::Acquired(lock)) = ApplyLock::acquire(&place.folder(), &holder()) else { panic!() };
    match ApplyLock::acquire(&place.folder(), &Holder { pid: 1, ..holder() }).unwrap() {
        Lock::Held(Some(other)) => assert_eq!(other, holder()),
        other => panic!("{other:?}"),
    }
    drop(lock);
    assert!(matches!(ApplyLock::acquire(&place.folder(), &holder()), Ok(Lock::Acquired(_))));
    // A holder that has not said who it is.
    let file = fs::File::open(place.folder().join("apply.lock")).unwrap();
    file.lock().unwrap();
    assert!(matches!(ApplyLock::acquire(&place.folder(), &holder()), Ok(Lock::Held(None))));
}

fn holder() -> Holder {
    Holder { pid: 42, host: "box".to_owned(), since: now(), command: "sp apply".to_owned() }
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
            stored.insert((job, row.attempt.0), row.state);
        }
        prop_assert_eq!(stored, model);
        // Both ways of reading agree.
        for (job, known) in snapshot.jobs.iter().zip(store.known().unwrap()) {
            prop_assert_eq!(job.state(), known.state);
            prop_assert_eq!(job.newest().map_or(0, |row| row.attempt.0), known.attempt.0);
        }
    }
}

/// What the process that is killed does; only as a child of the next test.
#[test]
#[ignore = "the child of `a_crash_at_any_point_leaves_a_whole_checkpoint`"]
fn crash_child() {
    #[expect(clippy::disallowed_methods, reason = "how a test talks to its child")]
    let folder = PathBuf::from(std::env::var("SP_TEST_FOLDER").unwrap());
    let open = Store::open(
        &folder_of(&folder, &campaign()),
        &campaign(),
        &folder.join("campaign.toml"),
        now(),
    );
    let mut store = open.unwrap().store;
    plan(&mut store, &planned(0..50));
    intend(&mut store, &[(0, 1), (1, 1)]).unwrap();
    report(&mut store, "local", Some(("g", 10)), &[started(0, 1), ended(0, 1, "")]);
    report(&mut store, "local", Some(("g", 20)), &[started(1, 1), ended(1, 1, "")]);
}

#[test]
#[cfg(debug_assertions)]
fn a_crash_at_any_point_leaves_a_whole_checkpoint() {
    let points = [
        "create.before:1",
        "create.inside:1",
        "create.after:1",
        "plan.before:1",
        "plan.inside:1",
        "plan.after:1",
        "intend.inside:1",
        "intend.after:1",
        "record.inside:1",
        "record.after:1",
        "record.inside:2",
        "record.after:2",
    ];
    let mut seen = Vec::new();
    for point in points {
        let place = Place::new();
        #[expect(clippy::disallowed_methods, reason = "a process to be killed")]
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["store::crash_child", "--exact", "--ignored", "--test-threads=1"])
            .env("SP_TEST_FOLDER", place.root.path())
            .env("SP_CRASH_AT", format!("store.{point}"))
            .output()
            .unwrap()
            .status;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{point}");
        let store = place.open();
        store.check().unwrap();
        let offset =
            store.host(&host("local")).unwrap().journal.map_or(0, |journal| journal.offset);
        let ended = states(&store).iter().filter(|(_, state, _)| state.is_final()).count();
        // Facts and offset move together.
        assert_eq!(u64::try_from(ended).unwrap() * 10, offset, "{point}");
        seen.push(format!("{point} jobs={} ended={ended} offset={offset}", states(&store).len()));
    }
    insta::assert_snapshot!(seen.join("\n"));
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

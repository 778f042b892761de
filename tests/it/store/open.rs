//! Opening the checkpoint: who may, what is refused, what is set aside, and what a crash leaves.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use solverpilot::lifecycle::HostFact;
use solverpilot::store::{ApplyLock, Holder, Lock, Opened, Store, StoreError, folder_of};

use super::{
    Place, apply, campaign, ended, holder, host, id, intend, now, plan, planned, put, report,
    started, states,
};

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

/// An apply may be between its intent and the hand-over: nobody moves the file away under it.
#[test]
fn a_damaged_file_in_use_stays() {
    let place = made();
    put(&place.db(), b"");
    let Ok(Lock::Acquired(lock)) = ApplyLock::acquire(&place.folder(), &holder()) else { panic!() };
    let error = place.try_open().unwrap_err();
    let text = error.to_string().replace(&place.folder().display().to_string(), "[folder]");
    assert_eq!(
        text,
        "the checkpoint `[folder]/checkpoint.db` is damaged (the file is empty or cut short), and `sp apply` (process \
         42 on box, since 2023-11-14T22:13:20Z) works with it; run sp again when that has ended"
    );
    assert!(place.db().exists() && !place.folder().join("checkpoint.db.corrupt-1").exists());
    // What is whole is opened all the same.
    fs::remove_file(place.db()).unwrap();
    assert_eq!(place.open().known().unwrap(), []);
    put(&place.db(), b"");
    drop(lock);
    assert!(place.try_open().unwrap().set_aside.is_some());
    // Nobody is kept out afterwards.
    assert!(matches!(ApplyLock::acquire(&place.folder(), &holder()), Ok(Lock::Acquired(_))));
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
    drop(store);
    let Ok(Lock::Acquired(lock)) = ApplyLock::acquire(&place.folder(), &holder()) else { panic!() };
    assert!(solverpilot::store::set_aside(&place.db(), &lock).unwrap().unwrap().exists());
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
fn an_old_checkpoint_opens() {
    let place = Place::new();
    drop(place.open());
    fs::remove_file(place.db()).unwrap();
    place.sql(include_str!("../../stores/v1.sql"));
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
        ended(9, 1, "kind=setup"),
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

/// What the process that is killed does; only as a child of the next test.
#[test]
#[ignore = "the child of `a_crash_at_any_point_leaves_a_whole_checkpoint`"]
fn crash_child() {
    #[expect(clippy::disallowed_methods, reason = "how a test talks to its child")]
    let Ok(folder) = std::env::var("SP_TEST_FOLDER").map(PathBuf::from) else {
        // Run by itself, among the slow tests, it has nothing to do.
        return;
    };
    let open = Store::open(&folder_of(&folder, &campaign()), &campaign(), &holder());
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
            .args(["store::open::crash_child", "--exact", "--ignored", "--test-threads=1"])
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

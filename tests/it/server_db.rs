//! `server.db`: what people find in it, and that nothing rests on it.

#![expect(clippy::disallowed_methods, reason = "tests start processes and write files as users do")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};

use crate::support::{Sandbox, finish, wait_until};

fn index(sandbox: &Sandbox) -> PathBuf {
    sandbox.root().join("v2/server.db")
}

/// Rows of a query as words, `NULL` for nothing.
#[track_caller]
fn query(sandbox: &Sandbox, text: &str) -> Vec<String> {
    let connection = Connection::open_with_flags(index(sandbox), OpenFlags::SQLITE_OPEN_READ_ONLY)
        .expect("it opens");
    let mut statement = connection.prepare(text).expect("a query");
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let words = (0..columns).map(|at| {
            Ok(match row.get_ref(at)? {
                rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Real(number) => number.to_string(),
                rusqlite::types::ValueRef::Text(text) | rusqlite::types::ValueRef::Blob(text) => {
                    String::from_utf8_lossy(text).into_owned()
                }
            })
        });
        Ok(words.collect::<rusqlite::Result<Vec<String>>>()?.join("|"))
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

const MIXED: &str = r#"
name = "mixed"
command = "echo it\\'s {{ n }}; {{ what | safe }}"
time-limit = "1s"
[matrix]
n = [1, 2, 3, 4]
what = ["true", "exit 7", "sleep 60", "kill -9 $$"]
zip = [["n", "what"]]
"#;

#[test]
fn every_outcome_is_in_it() {
    let mut sandbox = Sandbox::with(MIXED);
    sandbox.set("SP_TEST_KILL_AFTER", "1");
    sandbox.expect(100, &["apply"]);
    sandbox.wait_quiet();
    let rows = query(
        &sandbox,
        "SELECT status, exit_code, error, command, session, attempt FROM jobs ORDER BY command",
    );
    let command = |n: u32, what: &str| format!("echo it\\'s {n}; {what}|NULL|1");
    assert_eq!(
        rows,
        [
            format!("succeeded|0|NULL|{}", command(1, "true")),
            format!("failed|7|exit-code|{}", command(2, "exit 7")),
            format!(
                "timeout|{}|time-limit|{}",
                rows[2].split('|').nth(1).unwrap_or(""),
                command(3, "sleep 60")
            ),
            format!("failed|137|signal|{}", command(4, "kill -9 $$")),
        ]
    );
    let order = "SELECT count(*) FROM jobs WHERE queued_at <= started_at AND started_at <= completed_at
                 AND queued_at GLOB '20??-??-??T??:??:??.???Z' AND campaign = 'mixed' AND user <> ''";
    assert_eq!(query(&sandbox, order), ["4"]);
    for log in query(&sandbox, "SELECT log FROM jobs") {
        assert!(fs::read_to_string(&log).expect("the log").starts_with("it's "), "{log}");
    }
    // A newer attempt takes the place of the one before it.
    sandbox.expect(100, &["apply", "--limit", "1", "-F", "n == 2"]);
    sandbox.wait_quiet();
    assert_eq!(
        query(&sandbox, "SELECT attempt, count(*) FROM jobs GROUP BY attempt"),
        ["1|3", "2|1"]
    );
}

#[test]
fn what_runs_and_waits_is_in_it() {
    let sandbox = Sandbox::with(
        "name = 'c'\ncommand = 'touch here; until [ -e go ]; do sleep 0.02; done'\n[matrix]\nn = [1, 2]\n",
    );
    let apply = sandbox.spawn(&["apply"]);
    wait_until("the job runs", || sandbox.campaign().join("here").exists());
    wait_until("the index is there", || index(&sandbox).exists());
    let text = "SELECT status, started_at IS NULL, completed_at IS NULL FROM jobs ORDER BY status";
    wait_until("it is written", || {
        Connection::open(index(&sandbox)).is_ok_and(|db| db.prepare(text).is_ok())
    });
    assert_eq!(query(&sandbox, text), ["queued|1|1", "running|0|1"]);
    sandbox.write("go", "");
    assert_eq!(finish(apply).code, 0);
    sandbox.wait_quiet();
    assert_eq!(query(&sandbox, text), ["succeeded|0|0", "succeeded|0|0"]);
}

/// One job more, and what the index says of all of them then.
#[track_caller]
fn next(sandbox: &Sandbox, jobs: u32) {
    let values: Vec<String> = (1..=jobs).map(|n| n.to_string()).collect();
    let text = format!("name = 'c'\ncommand = 'true'\n[matrix]\nn = [{}]\n", values.join(", "));
    sandbox.write("campaign.toml", &text);
    let run = sandbox.expect(0, &["apply"]);
    let told = format!("{jobs} succeeded");
    assert!(run.stderr.contains(&told), "{}", run.stderr);
    sandbox.wait_quiet();
}

const COUNT: &str = "SELECT count(*) FROM jobs WHERE status = 'succeeded'";

/// Waits until the index is whole and holds so many jobs.
#[track_caller]
fn comes_to(sandbox: &Sandbox, jobs: u32) {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    wait_until("the index is right", || {
        let found = Connection::open_with_flags(index(sandbox), flags)
            .and_then(|db| db.query_row(COUNT, [], |row| row.get::<_, u32>(0)));
        found.is_ok_and(|found| found == jobs)
    });
}

#[test]
fn damage_is_moved_away_and_the_next_drain_writes_it_anew() {
    let sandbox = Sandbox::new();
    next(&sandbox, 1);
    assert_eq!(query(&sandbox, COUNT), ["1"]);
    let good = fs::read(index(&sandbox)).expect("a file");
    let mut page = good.clone();
    page[4096..8192].fill(0xff);
    for (jobs, bytes) in [
        (2, &b"no database at all, but long enough to be one"[..]),
        (3, &page),
        (4, &good[..5000]),
        (5, b""),
    ] {
        fs::write(index(&sandbox), bytes).expect("a file");
        next(&sandbox, jobs);
        comes_to(&sandbox, jobs);
    }
    assert!(index(&sandbox).with_extension("db.damaged").exists());
    fs::remove_file(index(&sandbox)).expect("it goes");
    fs::create_dir(index(&sandbox)).expect("a folder in its place");
    next(&sandbox, 6);
    comes_to(&sandbox, 6);
    fs::remove_file(index(&sandbox)).expect("it goes");
    next(&sandbox, 7);
    comes_to(&sandbox, 7);
}

#[test]
fn a_lock_on_it_holds_nobody_up() {
    let sandbox = Sandbox::new();
    next(&sandbox, 1);
    let connection = Connection::open(index(&sandbox)).expect("it opens");
    connection.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    next(&sandbox, 2);
    connection.execute_batch("COMMIT").expect("no lock");
    assert_eq!(query(&sandbox, COUNT), ["1"]);
    next(&sandbox, 3);
    assert_eq!(query(&sandbox, COUNT), ["3"]);
    assert!(!index(&sandbox).with_extension("db.damaged").exists());
}

#[test]
fn without_sqlite3_there_is_none() {
    let mut sandbox = Sandbox::new();
    let bin = sandbox.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    for folder in ["/usr/bin", "/bin", "/usr/sbin", "/sbin"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name() != "sqlite3" {
                // One that is in two folders is found in the first.
                drop(symlink(entry.path(), bin.join(entry.file_name())));
            }
        }
    }
    sandbox.set("PATH", &bin.to_string_lossy());
    next(&sandbox, 1);
    assert!(!index(&sandbox).exists());
    sandbox.unset("PATH");
    next(&sandbox, 2);
    assert_eq!(query(&sandbox, COUNT), ["2"]);
}

#[test]
fn the_script_has_the_committed_schema() {
    let schema = include_str!("../../schema/server.sql");
    assert!(include_str!("../../scripts/host/84-index.sh").contains(schema.trim_end()));
}

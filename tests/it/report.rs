//! Views of a snapshot: result files, status, and the traps of those who read them.
#![expect(clippy::unwrap_used, reason = "helpers of tests; the lint sees only test functions")]

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use solverpilot::ids::{Attempt, JobId};
use solverpilot::lifecycle::event::HostState;
use solverpilot::lifecycle::{AttemptState, Final};
use solverpilot::plan::Params;
use solverpilot::report::{
    Cell, Column, HostView, Table, attempts, results, status, status_table, text, write,
};
use solverpilot::state::Files;
use solverpilot::store::{ApplyRow, AttemptRow, HostRow, JobRow, Provenance, Snapshot};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap() + second.seconds()
}

fn attempt(n: u32, state: AttemptState) -> AttemptRow {
    let ended = matches!(state, AttemptState::Ended(_));
    let started = ended || state == AttemptState::Running;
    AttemptRow {
        host: "local".parse().unwrap(),
        attempt: Attempt::new(n).expect("a number"),
        apply: "a1".parse().unwrap(),
        batch: None,
        state,
        reason: if ended { "ok" } else { "" }.to_owned(),
        detail: String::new(),
        exit_code: ended.then_some(0),
        signal: None,
        witness: None,
        marker: None,
        leftovers: None,
        slot: started.then_some(0),
        session: None,
        orphan: false,
        queued_at: Some(at(0)),
        started_at: started.then(|| at(i64::from(n) * 10)),
        ended_at: ended.then(|| at(i64::from(n) * 10 + 4)),
        elapsed_s: ended.then_some(4.25),
        moved_to: None,
        files: Files::Kept,
        provenance: Some(Arc::new(Provenance {
            snapshot: Some("feedfacefeedfacefeed".to_owned()),
            git_rev: Some("0badc0de0badc0de0badc0de".to_owned()),
            dirty: Some(true),
            ..Provenance::default()
        })),
    }
}

fn job(index: u8, name: &str, params: &Value, attempts: Vec<AttemptRow>) -> JobRow {
    let params: Params = serde_json::from_str(&params.to_string()).unwrap();
    JobRow {
        planned_here: true,
        id: JobId([index + 1; 16]),
        name: name.to_owned(),
        index: Some(u32::from(index)),
        params,
        accepted_from: None,
        attempts,
    }
}

fn snapshot() -> Snapshot {
    let ended = |state| AttemptState::Ended(state);
    let failed = AttemptRow {
        reason: "exit-code".to_owned(),
        detail: "exit code 3".to_owned(),
        exit_code: Some(3),
        ..attempt(1, ended(Final::Failed))
    };
    let killed = AttemptRow {
        reason: "signal".to_owned(),
        detail: "killed by SIGKILL".to_owned(),
        exit_code: Some(137),
        signal: Some("SIGKILL".to_owned()),
        elapsed_s: Some(0.5),
        provenance: None,
        ..attempt(2, ended(Final::Failed))
    };
    let mut jobs = vec![
        job(
            0,
            "plain",
            &json!({"size": 8192, "kind": "NA", "lr": 1e-5, "on": true}),
            vec![attempt(1, ended(Final::Succeeded))],
        ),
        job(
            1,
            "again \u{1b}[31mred",
            &json!({"size": 2, "kind": "8192", "lr": 1e21, "on": false}),
            vec![
                failed.clone(),
                AttemptRow {
                    orphan: true,
                    session: Some("sp-c-02020202".to_owned()),
                    ..attempt(2, AttemptState::Running)
                },
            ],
        ),
        job(
            2,
            "killed",
            &json!({"size": 3, "kind": "a,\"b\"\n|c", "lr": 0.1, "on": true}),
            vec![failed, killed],
        ),
        job(3, "waits", &json!({"size": 4, "kind": "nan"}), vec![attempt(1, AttemptState::Queued)]),
        job(4, "pending", &json!({"size": 5, "kind": "", "extra": "=1+1"}), vec![]),
        job(5, "accepted", &json!({"size": 6, "kind": "null"}), vec![]),
        job(6, "old", &json!({"size": 7, "gone": 1}), vec![attempt(1, ended(Final::Succeeded))]),
    ];
    jobs[5].accepted_from = Some(jobs[6].id);
    jobs[6].index = None;
    Snapshot {
        campaign: "camp".to_owned(),
        hosts: vec![HostRow { name: "local".parse().unwrap(), last_seen: Some(at(100)) }],
        applies: vec![ApplyRow {
            id: "a1".parse().unwrap(),
            started_at: None,
            ended_at: None,
            exit_code: None,
        }],
        jobs,
        setups: Vec::new(),
    }
}

fn written(write: impl Fn(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_job_has_a_row() {
    let table = results(&snapshot(), &["size", "kind"], false);
    insta::assert_snapshot!("results_csv", written(|out| write::csv(&table, out)));
    insta::assert_snapshot!("results_jsonl", written(|out| write::jsonl(&table, out)));
    insta::assert_snapshot!("results_tsv", written(|out| write::tsv(&table, out)));
    insta::assert_snapshot!("results_md", written(|out| write::markdown(&table, out)));
    insta::assert_snapshot!("results_terminal", write::terminal(&table, None, &TimeZone::UTC).0);
}

#[test]
fn attempts_have_a_table_of_their_own() {
    let table = attempts(&snapshot(), &[], true);
    insta::assert_snapshot!("attempts_csv", written(|out| write::csv(&table, out)));
}

#[test]
fn obsolete_jobs_come_when_asked() {
    let few = results(&snapshot(), &[], false);
    let all = results(&snapshot(), &[], true);
    assert_eq!((few.rows.len(), all.rows.len()), (6, 7));
    assert!(!few.columns.contains(&Column::Axis("gone".to_owned())));
    assert!(all.columns.contains(&Column::Axis("gone".to_owned())));
}

#[test]
fn repeat_is_a_column_where_something_repeats() {
    let names = |repeats: &[u32]| {
        let jobs = repeats
            .iter()
            .zip(0_u8..)
            .map(|(repeat, index)| job(index, "j", &json!({"repeat": repeat, "a": 1}), vec![]));
        let snapshot = Snapshot { jobs: jobs.collect(), ..Snapshot::default() };
        let columns = results(&snapshot, &[], false).columns;
        columns
            .iter()
            .filter(|c| matches!(c, Column::Axis(_)))
            .map(|c| c.name().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&[0]), ["a"]);
    assert_eq!(names(&[0, 1]), ["a", "repeat"]);
}

#[test]
fn words_that_look_like_nothing_stay_text() {
    let table = results(&snapshot(), &["kind"], false);
    let text = written(|out| write::csv(&table, out));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let place = reader.headers().unwrap().iter().position(|name| name == "kind").unwrap();
    let kinds: Vec<String> = reader.records().map(|row| row.unwrap()[place].to_owned()).collect();
    assert_eq!(kinds, ["NA", "8192", "a,\"b\"\n|c", "nan", "", "null"]);
    let lines = written(|out| write::jsonl(&table, out));
    let kinds: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["params"]["kind"].clone())
        .collect();
    assert_eq!(json!(kinds), json!(["NA", "8192", "a,\"b\"\n|c", "nan", "", "null"]));
}

#[test]
fn numbers_that_are_none_are_told() {
    let table = Table {
        columns: vec![Column::Fixed("x")],
        rows: [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300, 0.1 + 0.2]
            .map(|number| vec![Cell::Float(number)])
            .into(),
    };
    insta::assert_snapshot!(written(|out| write::csv(&table, out)), @"
    x
    nan
    inf
    -inf
    -0.0
    1e+300
    0.30000000000000004
    ");
    insta::assert_snapshot!(written(|out| write::jsonl(&table, out)), @r#"
    {"x":"NaN"}
    {"x":"Infinity"}
    {"x":"-Infinity"}
    {"x":-0.0}
    {"x":1e+300}
    {"x":0.30000000000000004}
    "#);
}

#[test]
fn circles_of_acceptance_end() {
    let mut snapshot = snapshot();
    let (a, b) = (snapshot.jobs[4].id, snapshot.jobs[5].id);
    snapshot.jobs[4].accepted_from = Some(b);
    snapshot.jobs[5].accepted_from = Some(a);
    assert_eq!(results(&snapshot, &[], false).rows.len(), 6);
}

fn views(state: HostState) -> Vec<HostView> {
    vec![HostView { name: "local".parse().unwrap(), state, slots: 2 }]
}

#[test]
fn status_tells_where_it_stands() {
    let status = status(&snapshot(), &views(HostState::Reachable));
    // By the writer that people's JSON comes from: it keeps the spelling of numbers.
    let json = serde_json::to_string_pretty(&status).unwrap();
    insta::assert_snapshot!("status_json", json);
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    insta::assert_snapshot!("status_wide", status_table(&status, Some(120), &zone, at(95)));
    insta::assert_snapshot!("status_narrow", status_table(&status, Some(60), &zone, at(95)));
}

#[test]
fn a_silent_host_makes_its_jobs_stale_and_changes_no_state() {
    let status = status(&snapshot(), &views(HostState::Unreachable));
    let stale: Vec<_> = status.jobs.iter().filter(|job| job.stale_since == Some(at(100))).collect();
    assert_eq!(stale.iter().map(|job| job.state.word()).collect::<Vec<_>>(), ["running", "queued"]);
}

#[test]
fn eta_needs_something_to_go_by() {
    let mut snapshot = snapshot();
    let reachable = views(HostState::Reachable);
    // Elapsed 4.25, 4.25, 0.5: the median times three that are left, on two slots.
    assert_eq!(status(&snapshot, &reachable).eta_s, Some(4.5));
    snapshot.jobs.retain(|job| job.state().is_final());
    assert_eq!(status(&snapshot, &reachable).eta_s, Some(0.0));
    snapshot.jobs = vec![job(0, "j", &json!({}), vec![])];
    assert_eq!(status(&snapshot, &reachable).eta_s, None);
    assert_eq!(status(&Snapshot::default(), &[]).eta_s, Some(0.0));
}

#[test]
fn what_steers_a_terminal_is_written_out() {
    assert_eq!(
        text::visible("a\u{1b}[2J\r\n\u{202e}b\u{200b}é漢"),
        "a\\u{1b}[2J\\r\\n\\u{202e}b\\u{200b}é漢"
    );
    let table = results(&snapshot(), &[], true);
    for shown in [
        write::terminal(&table, Some(80), &TimeZone::UTC).0,
        written(|out| write::markdown(&table, out)),
    ] {
        assert!(!shown.contains('\u{1b}'));
    }
    let spans = [0.0, 0.424, 3.06, 59.4, 59.6, 725.0, 7380.0, 400_000.0, f64::NAN].map(text::span);
    assert_eq!(
        spans,
        ["0.00s", "0.42s", "3.1s", "59s", "1m 00s", "12m 05s", "2h 03m", "4d 15h", "0.00s"]
    );
}

/// Whole columns go, those first that say least; what is left is not broken into letters.
#[test]
fn a_narrow_terminal_does_without_some_columns() {
    let jobs = (1..=3).map(|n| {
        let name = format!("a-rather-long-name-{n}");
        job(n, &name, &json!({ "n": n }), vec![attempt(1, AttemptState::Ended(Final::Succeeded))])
    });
    let table = results(&Snapshot { jobs: jobs.collect(), ..Snapshot::default() }, &["n"], false);
    let (whole, none) = write::terminal(&table, None, &TimeZone::UTC);
    assert!(none.is_empty() && whole.contains("a-rather-long-name-2"));
    // The last column has its blanks, too.
    let widest = whole.lines().map(str::len).max().unwrap_or_default() + 2;
    let (same, none) = write::terminal(&table, u16::try_from(widest).ok(), &TimeZone::UTC);
    assert_eq!((same, none), (whole, vec![]));
    let narrow = u16::try_from(widest - 1).ok();
    let (shown, left_out) = write::terminal(&table, narrow, &TimeZone::UTC);
    assert_eq!(left_out, ["name"]);
    assert_eq!(shown.lines().count(), 4, "{shown}");
}

/// A job that was given to another host and is on its way there has no result of that attempt.
#[test]
fn a_moved_job_is_pending_and_its_attempt_is_listed() {
    let moved = AttemptRow {
        reason: "moved".to_owned(),
        moved_to: Some("other".parse().unwrap()),
        exit_code: None,
        ..attempt(2, AttemptState::Ended(Final::Cancelled))
    };
    let fresh = AttemptRow { attempt: Attempt::FIRST, ..moved.clone() };
    let failed = attempt(1, AttemptState::Ended(Final::Failed));
    let jobs = vec![
        job(0, "first", &json!({}), vec![fresh]),
        job(1, "again", &json!({}), vec![failed, moved]),
    ];
    let snapshot = Snapshot { jobs, ..Snapshot::default() };
    let table = results(&snapshot, &[], false);
    let column = |name: &str| table.columns.iter().position(|one| one.name() == name).unwrap();
    let text = |row: usize, name: &str| table.rows[row][column(name)].clone();
    for row in [0, 1] {
        assert_eq!(text(row, "state"), Cell::Text("pending".to_owned()));
    }
    assert_eq!(text(0, "host"), Cell::Empty);
    assert_eq!(text(1, "attempt"), Cell::Int(1), "the last result is shown beside it");
    assert_eq!(attempts(&snapshot, &[], false).rows.len(), 3);
}

//! The client killed at every step: whatever it leaves behind, applying again ends with every job run exactly once.
//!
//! The points are read from the source, so that a new one is killed at too, or is named below as one that nothing reaches.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Run, Sandbox, quoted};

const CAMPAIGN: &str = r#"
name = "crash"
command = '''echo {{ n }} >> {{ work_dir }}/ran'''
[matrix]
n = [1, 2, 3]
"#;
const ALL: [&str; 3] = ["1", "2", "3"];

/// Points of calls that no command makes yet. One that is reached all the same makes the test fail, so that it is
/// taken out here.
const UNREACHED: &[&str] = &["store.events", "host.withdraw", "host.move"];

/// Sandboxes at once; each has a client and a runner that compete for the same few cores.
const AT_ONCE: usize = 3;

#[test]
fn killed_at_every_step_of_an_apply() {
    let reached = Mutex::new(BTreeSet::new());
    let cases: Vec<String> = points().into_iter().filter(|name| !is_of_others(name)).collect();
    in_parallel(&cases, |point| {
        // Every passage of the point, until there is none any more.
        for passage in 1.. {
            let sandbox = Sandbox::with(CAMPAIGN);
            if !crashes(&sandbox, &["apply"], point, passage) {
                ran_once(&sandbox, &format!("{point}:{passage} never reached"));
                break;
            }
            reached.lock().expect("no panic").insert(point.clone());
            applied_to_the_end(&sandbox, &format!("{point}:{passage}"));
        }
    });
    let reached = reached.into_inner().expect("no panic");
    let missed: Vec<&String> = cases.iter().filter(|name| !reached.contains(*name)).collect();
    assert!(missed.is_empty(), "an apply never comes to these points: {missed:#?}");
}

/// The second apply finds what the first one left, and is killed in the midst of that; then the third one is.
#[test]
fn killed_again_and_again() {
    let points = points();
    let firsts = [
        "host.hand_over.before",
        "host.hand_over.after",
        "store.intend.after",
        "store.begin-apply.inside",
    ];
    let mut cases = Vec::new();
    for (row, first) in firsts.iter().enumerate() {
        for (column, second) in points.iter().filter(|name| !is_of_others(name)).enumerate() {
            // Some of all pairs: each second point after one of the first ones, half of them after a lost hand-over.
            if column % firsts.len() == row || (row == 0 && column % 2 == 0) {
                cases.push((*first, second.clone()));
            }
        }
    }
    in_parallel(&cases, |(first, second)| {
        let sandbox = Sandbox::with(CAMPAIGN);
        assert!(crashes(&sandbox, &["apply"], first, 1), "{first} is not reached");
        let killed = crashes(&sandbox, &["apply"], second, 1);
        let third = killed && crashes(&sandbox, &["apply"], second, 2);
        applied_to_the_end(&sandbox, &format!("{first}, then {second} ({killed}, {third})"));
    });
}

/// Intents that came to nothing are taken back by whoever asks the host next; that can be cut off too.
#[test]
fn killed_while_taking_back() {
    let cases = of_call("store.take-back");
    in_parallel(&cases, |point| {
        let sandbox = Sandbox::with(CAMPAIGN);
        assert!(crashes(&sandbox, &["apply"], "host.hand_over.before", 1));
        assert!(crashes(&sandbox, &["status"], point, 1), "status does not come to {point}");
        assert!(sandbox.lines("ran").is_empty(), "status started a job");
        applied_to_the_end(&sandbox, point);
    });
}

/// The checkpoint of a campaign folder that was moved learns its new place.
#[test]
fn killed_in_a_folder_that_was_moved() {
    for point in of_call("store.identity") {
        let sandbox = Sandbox::with(CAMPAIGN);
        sandbox.expect(0, &["apply"]);
        let moved = sandbox.path().join("moved");
        fs::rename(sandbox.campaign(), &moved).expect("a folder");
        let mut command = sandbox.command_in(&moved, &["apply"]);
        let run = Run::of(&command.env("SP_CRASH_AT", format!("{point}:1")).output().expect("sp"));
        assert_eq!(run.code, -9, "apply does not come to {point}: {run:?}");
        let run = Run::of(&sandbox.command_in(&moved, &["apply"]).output().expect("sp starts"));
        assert_eq!(run.code, 0, "{run:?}");
        assert_eq!(fs::read_to_string(moved.join("ran")).expect("it ran"), "1\n2\n3\n", "{point}");
    }
}

/// What was copied or not is known by the next time, and nothing runs that was taken over.
#[test]
fn killed_while_adopting() {
    let cases: Vec<String> =
        ["host.ends", "host.adopt"].iter().flat_map(|call| of_call(call)).collect();
    in_parallel(&cases, |point| {
        let sandbox = Sandbox::with(CAMPAIGN);
        let other = sandbox.path().join("other");
        fs::create_dir(&other).expect("a folder");
        let ran = quoted(sandbox.campaign().join("ran"));
        let text = CAMPAIGN.replace("{{ work_dir }}/ran", &ran);
        fs::write(other.join("campaign.toml"), &text).expect("a file");
        sandbox.write("campaign.toml", &text);
        let run = Run::of(&sandbox.command_in(&other, &["apply"]).output().expect("sp starts"));
        assert_eq!(run.code, 0, "{run:?}");
        let plan = sandbox.json(&["plan"]);
        let from = plan["others"][0]["instance"].as_str().expect("an instance").to_owned();
        assert!(crashes(&sandbox, &["adopt", &from, "-y"], point, 1), "{point} is not reached");
        sandbox.expect(0, &["adopt", &from, "-y"]);
        applied_to_the_end(&sandbox, point);
    });
}

/// Whoever finds a queue that stands still is killed at bringing it back.
#[test]
fn killed_while_starting_runners() {
    for point in of_call("host.kick") {
        let sandbox = Sandbox::with(CAMPAIGN);
        // While it is paused a runner finds nothing to do and leaves.
        sandbox.expect(0, &["plan"]);
        let campaign = sandbox.place("crash");
        fs::create_dir_all(&campaign).expect("a folder");
        for folder in [&sandbox.root(), &sandbox.root().join("v2")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("ours");
        }
        fs::write(campaign.join("paused"), "").expect("a file");
        sandbox.expect(0, &["apply", "--detach"]);
        sandbox.wait_quiet();
        fs::remove_file(campaign.join("paused")).expect("it is there");
        assert!(crashes(&sandbox, &["apply"], &point, 1), "apply does not come to {point}");
        applied_to_the_end(&sandbox, &point);
    }
}

/// A cancel that is killed may have been heard or not; the same command again ends it.
/// What was not whole is never used, and goes with the next sync.
#[test]
fn killed_while_sending() {
    let calls = ["host.snapshot_begin", "host.snapshot_fill", "host.snapshot_publish", "sync"];
    let points: Vec<String> = calls.iter().flat_map(|call| of_call(call)).collect();
    in_parallel(&points, |point| {
        let sandbox = Sandbox::new();
        let ran = quoted(sandbox.campaign().join("ran"));
        let text = CAMPAIGN.replace("{{ work_dir }}/ran", &format!("{ran}; cat code"));
        let more = "[sync]\nexclude = ['ran']\n[hosts.local]\nsnapshot = true\n";
        sandbox.write("campaign.toml", &format!("{text}{more}"));
        sandbox.write("code", "one");
        assert!(crashes(&sandbox, &["apply"], point, 1), "{point} is not reached");
        applied_to_the_end(&sandbox, point);
        let all = sandbox.place("crash").join("snapshots");
        let names: Vec<_> = fs::read_dir(all)
            .expect("snapshots")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .filter(|name| !name.starts_with('.'))
            .collect();
        assert_eq!(names.len(), 1, "{point}: {names:?}");
        assert_eq!(names[0].len(), 32, "{point}: {names:?}");
    });
}

#[test]
fn killed_while_cancelling() {
    let cases = of_call("host.cancel");
    in_parallel(&cases, |point| {
        let sandbox = Sandbox::with(
            r#"
name = "crash"
command = "echo {{ n }} >> {{ work_dir }}/ran; exec sleep 1000"
[matrix]
n = [1, 2]
"#,
        );
        sandbox.expect(0, &["apply", "--detach"]);
        crate::support::wait_until("the first one runs", || sandbox.lines("ran") == ["1"]);
        assert!(crashes(&sandbox, &["cancel", "--all", "--now"], point, 1), "not at {point}");
        sandbox.expect(0, &["cancel", "--all", "--now"]);
        let cancelled = ("cancelled".to_owned(), "by-user".to_owned());
        assert_eq!(sandbox.states(), [cancelled.clone(), cancelled], "{point}");
        sandbox.expect(100, &["apply"]);
        assert_eq!(sandbox.lines("ran"), ["1"], "{point}");
    });
}

#[test]
fn killed_while_accepting() {
    for point in of_call("host.accept") {
        let sandbox = Sandbox::with(CAMPAIGN);
        sandbox.expect(0, &["apply"]);
        sandbox.write("campaign.toml", &CAMPAIGN.replace("echo {{ n }}", "echo  {{ n }}"));
        assert!(crashes(&sandbox, &["accept", "n=1"], &point, 1), "not at {point}");
        sandbox.expect(0, &["accept", "n=1", "n=2", "n=3"]);
        sandbox.expect(0, &["apply"]);
        assert_eq!(sandbox.lines("ran"), ALL, "{point}");
    }
}

/// Looking changes nothing, so neither does a look that is cut off.
#[test]
fn killed_while_looking() {
    let sandbox = Sandbox::with(
        r#"
name = "crash"
command = "echo once >> {{ work_dir }}/ran; until [ -e {{ work_dir }}/go ]; do sleep 0.05; done"
"#,
    );
    sandbox.expect(0, &["apply", "--detach"]);
    crate::support::wait_until("it runs", || sandbox.lines("ran") == ["once"]);
    let id = sandbox.json(&["status"])["jobs"][0]["id"].as_str().expect("an id").to_owned();
    for point in of_call("host.evidence") {
        assert!(crashes(&sandbox, &["explain", &id], &point, 1), "not at {point}");
    }
    for point in of_call("host.window") {
        assert!(crashes(&sandbox, &["attach", &id], &point, 1), "not at {point}");
    }
    for point in of_call("host.doctor") {
        assert!(crashes(&sandbox, &["doctor"], &point, 1), "not at {point}");
    }
    sandbox.write("go", "");
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.lines("ran"), ["once"]);
}

/// Runs `sp` with a crash point and says whether it died there.
#[track_caller]
fn crashes(sandbox: &Sandbox, arguments: &[&str], point: &str, passage: u32) -> bool {
    let mut command = sandbox.command(arguments);
    let run =
        Run::of(&command.env("SP_CRASH_AT", format!("{point}:{passage}")).output().expect("sp"));
    assert!([-9, 0].contains(&run.code), "{arguments:?} with {point}:{passage}: {run:?}");
    run.code == -9
}

#[track_caller]
fn applied_to_the_end(sandbox: &Sandbox, case: &str) {
    let run = sandbox.sp(&["apply"]);
    assert_eq!(run.code, 0, "{case}: {run:?}");
    ran_once(sandbox, case);
}

#[track_caller]
fn ran_once(sandbox: &Sandbox, case: &str) {
    assert_eq!(sandbox.lines("ran"), ALL, "{case}");
    let rows: Vec<_> = sandbox
        .results("crash")
        .iter()
        .map(|row| (row["params"]["n"].as_i64(), row["attempt"].as_i64(), row["state"].clone()))
        .collect();
    let wanted: Vec<_> =
        (1..=3).map(|n| (Some(n), Some(1), serde_json::Value::from("succeeded"))).collect();
    assert_eq!(rows, wanted, "{case}");
}

/// Whether a point belongs to a call that a plain apply does not make.
fn is_of_others(point: &str) -> bool {
    const OTHERS: &[&str] = &[
        "store.take-back",
        "store.identity",
        "host.kick",
        "host.cancel",
        "host.accept",
        "host.evidence",
        "host.window",
        "host.shell_secrets",
        "host.gc",
        "host.snapshot_begin",
        "host.snapshot_fill",
        "host.snapshot_publish",
        // Only what went wrong is given up, see `sync`.
        "host.snapshot_drop",
        "sync",
        "host.doctor",
        "host.ends",
        "host.adopt",
        // Only with `[results] dir`, see `results_folder`.
        "results",
    ];
    let call = point.rsplit_once('.').map_or(point, |(call, _)| call);
    OTHERS.contains(&call) || UNREACHED.contains(&call)
}

/// The points of one call; at least one, or it was renamed.
fn of_call(call: &str) -> Vec<String> {
    let points: Vec<String> = points()
        .into_iter()
        .filter(|point| point.rsplit_once('.').is_some_and(|(name, _)| name == call))
        .collect();
    assert!(!points.is_empty(), "there is no point of {call}");
    points
}

/// Runs the cases, some at a time.
fn in_parallel<T: Sync>(cases: &[T], run: impl Fn(&T) + Sync) {
    assert!(!cases.is_empty());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    run(case);
                }
            });
        }
    });
}

/// Every crash point of the source.
pub(super) fn points() -> Vec<String> {
    let mut text = String::new();
    read_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    // Without white space a call reads the same however it is laid out.
    text.retain(|c| !c.is_whitespace());
    let calls = |before: &str| -> BTreeSet<String> {
        text.split(before)
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
            .collect()
    };
    let writes = calls(".write(\"");
    let asks = calls(".ask(\"");
    let mut points = BTreeSet::new();
    for rest in text.split("crash_point(").skip(1) {
        if rest.starts_with("name:&str") || rest.starts_with("_name:&str") {
            continue;
        }
        let literal = rest.strip_prefix("&format!(").unwrap_or(rest);
        let point = literal.strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let (point, _) = point.unwrap_or_else(|| {
            panic!("this test cannot read the name of a point: {}", &rest[..60.min(rest.len())])
        });
        let (template, names) = if point.contains("{name}") {
            ("{name}", writes.clone())
        } else if point.contains("{verb}") {
            ("{verb}", asks.clone())
        } else {
            assert!(!point.contains('{'), "what stands for the braces in {point}?");
            ("", BTreeSet::from([String::new()]))
        };
        points.extend(names.iter().map(|name| match template {
            "" => point.to_owned(),
            template => point.replace(template, name),
        }));
    }
    assert!(points.len() > 30, "few points were found: {points:?}");
    points.into_iter().collect()
}

fn read_below(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("the source").flatten() {
        if entry.path().is_dir() {
            read_below(&entry.path(), text);
        } else {
            text.push_str(&fs::read_to_string(entry.path()).expect("a source file"));
            text.push('\n');
        }
    }
}

//! Every way in which a job can end: each is told as it was, runs again until its cause is gone, then never more.

#![expect(clippy::unwrap_used, reason = "what a test rests on is there, or the test fails")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Sandbox, field};

/// Case, what its script does, then state, exit code, signal and reason of its row.
type Case =
    (&'static str, &'static str, &'static str, Option<i64>, Option<&'static str>, &'static str);

const GOOD: &str = ". ./good.sh";

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("code-0", GOOD, "succeeded", Some(0), None, "ok"),
    ("code-1", ". ./good.sh; exit 1", "failed", Some(1), None, "exit-code"),
    ("code-3", ". ./good.sh; exit 3", "failed", Some(3), None, "exit-code"),
    ("code-126", ". ./good.sh; exit 126", "failed", Some(126), None, "exit-code"),
    ("code-127", ". ./good.sh; exit 127", "failed", Some(127), None, "exit-code"),
    ("code-137", ". ./good.sh; exit 137", "failed", Some(137), None, "exit-code"),
    ("code-255", ". ./good.sh; exit 255", "failed", Some(255), None, "exit-code"),
    ("not-found", ". ./good.sh; no-such-program-at-all", "failed", Some(127), None, "exit-code"),
    ("no-program", ". ./good.sh; ./good.sh", "failed", Some(126), None, "exit-code"),
    ("kill", ". ./good.sh; kill -s KILL $$", "failed", Some(137), Some("SIGKILL"), "signal"),
    ("term", ". ./good.sh; kill -s TERM $$", "failed", Some(143), Some("SIGTERM"), "signal"),
    ("segv", ". ./good.sh; kill -s SEGV $$", "failed", Some(139), Some("SIGSEGV"), "signal"),
    ("hup", ". ./good.sh; kill -s HUP $$", "failed", Some(129), Some("SIGHUP"), "signal"),
    // No shell tells of a death by SIGINT, so no witness saw more than the number.
    ("int", ". ./good.sh; kill -s INT $$", "failed", Some(130), None, "exit-code"),
    ("missing", ". ./good.sh; rm \"$SP_OUT_DIR\"/*.out", "failed", Some(0), None, "marker-missing"),
    ("empty", ". ./good.sh; : >\"$SP_OUT_DIR\"/empty.out", "failed", Some(0), None, "marker-empty"),
    ("folder", ". ./good.sh; rm \"$SP_OUT_DIR\"/*.out; mkdir \"$SP_OUT_DIR\"/folder.out", "failed", Some(0), None, "marker-missing"),
    ("stale", "skip=made; . ./good.sh", "failed", Some(0), None, "marker-stale"),
    ("fresh", GOOD, "succeeded", Some(0), None, "ok"),
    // `cp -p` keeps the old time of the content; the inode's own time tells.
    ("copied", "skip=made; . ./good.sh; cp -p old.txt made/copied.txt", "succeeded", Some(0), None, "ok"),
    ("log", "skip=log; . ./good.sh", "failed", Some(0), None, "marker-log"),
    ("count", ". ./good.sh; rm \"$SP_OUT_DIR\"/frames/2.png", "failed", Some(0), None, "marker-count"),
    ("count-empty", ". ./good.sh; : >\"$SP_OUT_DIR\"/frames/2.png", "failed", Some(0), None, "marker-count"),
    ("prepare", GOOD, "failed", Some(7), None, "prepare"),
    ("child", ". ./good.sh; sleep 1000 &", "succeeded", Some(0), None, "ok"),
    ("daemon", ". ./good.sh; setsid sleep 1000 &", "succeeded", Some(0), None, "ok"),
    ("closed", ". ./good.sh; setsid sh -c 'exec <&- >&- 2>&- 7>&- 8>&-; exec sleep 1000' &", "succeeded", Some(0), None, "ok"),
    ("stubborn", ". ./good.sh; sh -c 'trap : TERM HUP; while :; do sleep 0.1; done' & sleep 0.2; exit 4", "failed", Some(4), None, "exit-code"),
    ("bare", ". ./good.sh; env -i setsid sleep 1000 &", "succeeded", Some(0), None, "ok"),
    ("many", ". ./good.sh; for i in 1 2 3 4 5 6 7 8; do (setsid sleep 1000 &) done", "succeeded", Some(0), None, "ok"),
    ("long-log", ". ./good.sh; head -c 300000 /dev/zero | tr '\\0' x; echo; echo the end", "succeeded", Some(0), None, "ok"),
];

const LEAVES_CHILDREN: &[&str] = &["child", "daemon", "closed", "stubborn", "bare", "many"];

const GOOD_SCRIPT: &str = r#"
[ "${skip-}" = log ] || echo finished
echo x >"$SP_OUT_DIR/$SP_PARAM_CASE.out"
mkdir "$SP_OUT_DIR/frames"
echo x >"$SP_OUT_DIR/frames/1.png"
echo x >"$SP_OUT_DIR/frames/2.png"
[ "${skip-}" = made ] || echo x >"made/$SP_PARAM_CASE.txt"
"#;

/// A campaign of all cases. Once the file `fixed` is there every job does well.
fn every_outcome() -> Sandbox {
    let names: Vec<String> = CASES.iter().map(|case| format!("{:?}", case.0)).collect();
    let sandbox = Sandbox::with(&format!(
        r#"
name = "ends"
command = """
echo {{{{ case }}}} >>runs
[ ! -e fixed ] || exec sh good.sh
exec sh cases/{{{{ case }}}}.sh
"""
prepare = "[ {{{{ case }}}} != prepare ] || [ -e fixed ] || exit 7"
cleanup = "echo {{{{ case }}}} >>{{{{ work_dir }}}}/cleaned"
log-max = "64KiB"
[matrix]
case = [{}]
[done]
files = ["{{{{ case }}}}.out", "{{{{ work_dir }}}}/made/{{{{ case }}}}.txt"]
log = "^finished$"
count = {{ files = "frames/*.png", min = 2 }}
"#,
        names.join(", ")
    ));
    // Wherever the jobs run, what they make there is one folder.
    let made = sandbox.path().join("made");
    fs::create_dir(&made).unwrap();
    std::os::unix::fs::symlink(&made, sandbox.campaign().join("made")).unwrap();
    sandbox.write("good.sh", GOOD_SCRIPT);
    sandbox.write("old.txt", "old");
    for (case, script, ..) in CASES {
        sandbox.write(&format!("cases/{case}.sh"), script);
        sandbox.write(&format!("made/{case}.txt"), "of an earlier run");
    }
    sandbox
}

fn expected() -> Vec<Value> {
    CASES
        .iter()
        .map(|(case, _, state, code, signal, reason)| {
            serde_json::json!({"case": case, "state": state, "exit_code": code, "signal": signal, "reason": reason, "attempt": 1})
        })
        .collect()
}

fn rows(sandbox: &Sandbox) -> Vec<Value> {
    let row = |row: serde_json::Map<String, Value>| {
        serde_json::json!({"case": row["params"]["case"], "state": row["state"], "exit_code": row["exit_code"],
            "signal": row["signal"], "reason": row["reason"], "attempt": row["attempt"]})
    };
    sandbox.results("ends").into_iter().map(row).collect()
}

/// Lines of a file that jobs have appended to, counted by case.
fn count(sandbox: &Sandbox, file: &str, case: &str) -> usize {
    sandbox.read(file).lines().filter(|line| *line == case).count()
}

#[test]
fn every_end_is_told_as_it_was_and_only_what_failed_runs_again() {
    let sandbox = every_outcome();
    sandbox.expect(100, &["apply"]);
    for (row, wanted) in rows(&sandbox).iter().zip(expected()) {
        assert_eq!(*row, wanted);
    }
    assert_eq!(rows(&sandbox).len(), CASES.len());
    sandbox.wait_quiet();
    for (case, ..) in CASES {
        assert_eq!(count(&sandbox, "runs", case), usize::from(*case != "prepare"), "{case}");
        assert_eq!(count(&sandbox, "cleaned", case), 1, "{case}");
    }
    for row in sandbox.results("ends") {
        let case = row["params"]["case"].as_str().unwrap().to_owned();
        let end = sandbox.record("ends", row["job_id"].as_str().unwrap(), 1, "end");
        let left = LEAVES_CHILDREN.contains(&case.as_str());
        assert_eq!(field(&end, "left"), if left { "cleaned" } else { "none" }, "{case}");
    }
    let long = CASES.iter().position(|case| case.0 == "long-log").unwrap();
    let log = kept_log(&sandbox, "ends", long);
    check_cut(&log, 64 << 10, "finished\nxxxx", "xxxx\nthe end\n");

    sandbox.expect(100, &["apply"]);
    let failed = |state: &str| state != "succeeded";
    for (case, _, state, ..) in CASES {
        let wanted = if *case == "prepare" { 0 } else { 1 + usize::from(failed(state)) };
        assert_eq!(count(&sandbox, "runs", case), wanted, "{case}");
    }

    sandbox.write("fixed", "");
    let run = sandbox.expect(0, &["apply"]);
    assert!(run.stderr.contains(&format!("{} jobs: {0} succeeded", CASES.len())), "{}", run.stderr);
    for (row, (case, _, state, ..)) in rows(&sandbox).iter().zip(CASES) {
        let attempt = if failed(state) { 3 } else { 1 };
        assert_eq!(
            (&row["state"], &row["attempt"]),
            (&"succeeded".into(), &attempt.into()),
            "{case}"
        );
    }
    let before = sandbox.read("runs");
    let run = sandbox.expect(0, &["apply"]);
    assert!(run.stderr.contains("nothing to do"), "{}", run.stderr);
    assert_eq!(sandbox.read("runs"), before);
    sandbox.wait_quiet();
}

/// The collected log of the first attempt of a job.
fn kept_log(sandbox: &Sandbox, campaign: &str, job: usize) -> PathBuf {
    let id = sandbox.results(campaign)[job]["job_id"].as_str().unwrap().to_owned();
    sandbox.campaign().join(format!(".sp/{campaign}/logs/{id}.1.log"))
}

/// A log that was longer than `max`: not longer now but for the notice, its beginning and its end as they were.
#[track_caller]
fn check_cut(log: &Path, max: usize, head: &str, tail: &str) {
    let log = fs::read(log).unwrap();
    let text = String::from_utf8_lossy(&log);
    let notice = text.lines().find(|line| line.starts_with("[sp: ")).expect("a notice");
    assert!(notice.ends_with("bytes left out: the log is longer than log-max]"), "{notice}");
    assert!(log.len() <= max + notice.len() + 2, "{} bytes", log.len());
    assert!(text.starts_with(head) && text.ends_with(tail));
    assert!(!log.contains(&0), "holes were kept as zeros");
}

#[test]
#[ignore = "writes a gigabyte"]
fn a_gigabyte_of_log_keeps_head_and_tail() {
    let sandbox = Sandbox::with(
        r#"
name = "huge"
command = "echo the beginning; head -c 1G /dev/zero | tr '\\0' x; echo; echo the end"
log-max = "1MiB"
"#,
    );
    sandbox.expect(0, &["apply"]);
    let log = kept_log(&sandbox, "huge", 0);
    check_cut(&log, 1 << 20, "the beginning\nxxxx", "xxxx\nthe end\n");
}

#[test]
fn a_time_limit_ends_what_obeys_and_what_does_not() {
    let mut sandbox = Sandbox::with(
        r#"
name = "limits"
command = "[ -e fixed ] || exec sh {{ case }}.sh"
time-limit = "700ms"
cleanup = "echo {{ case }} >>cleaned"
[matrix]
case = ["obeys", "ignores", "daemon"]
"#,
    );
    // Ten seconds of grace are too long for a test.
    sandbox.set("SP_TEST_KILL_AFTER", "1");
    sandbox.write("obeys.sh", "exec sleep 1000");
    sandbox.write("ignores.sh", "trap '' TERM HUP\nwhile :; do sleep 0.1; done");
    sandbox.write("daemon.sh", "setsid sh -c \"trap '' TERM; exec sleep 1000\" &\nexec sleep 1000");
    sandbox.expect(100, &["apply"]);
    for row in sandbox.results("limits") {
        let case = row["params"]["case"].as_str().unwrap();
        assert_eq!(
            (&row["state"], &row["reason"]),
            (&"timeout".into(), &"time-limit".into()),
            "{case}"
        );
        let id = row["job_id"].as_str().unwrap();
        assert_eq!(field(&sandbox.record("limits", id, 1, "stop"), "why"), "time-limit", "{case}");
        // What the job ended with is told beside the state that it has for its limit.
        let signal = if case == "ignores" { "SIGKILL" } else { "SIGTERM" };
        assert_eq!(row["signal"], signal, "{case}");
        assert_eq!(count(&sandbox, "cleaned", case), 1, "{case}");
    }
    sandbox.wait_quiet();
    sandbox.write("fixed", "");
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.results("limits")[0]["attempt"], 2);
}

#[test]
fn a_program_that_cannot_be_started_fails_its_job() {
    let sandbox = Sandbox::with(
        r#"
name = "programs"
command = ["{{ program }}"]
[matrix]
program = ["no-such-program", "./plain-file", "./folder", "true"]
"#,
    );
    sandbox.write("plain-file", "no program");
    sandbox.write("folder/x", "");
    sandbox.expect(100, &["apply"]);
    let rows: Vec<_> = sandbox
        .results("programs")
        .iter()
        .map(|row| (row["state"].clone(), row["exit_code"].clone(), row["reason"].clone()))
        .collect();
    let failed = |code: i64| ("failed".into(), code.into(), "exit-code".into());
    assert_eq!(
        rows,
        [failed(127), failed(126), failed(126), ("succeeded".into(), 0.into(), "ok".into())]
    );
}

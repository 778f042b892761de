//! Choices of `plan` and `apply`: saved plans, `--limit`, `-F`, `--rerun`, `--no-failed`, `--offline`.

use crate::support::Sandbox;

const BASE: &str = r#"
name = "choices"
command = "echo {{ x }} >> {{ work_dir }}/ran; exit {{ code }}"
inputs = ["in"]
[matrix]
x = [1, 2, 3, 4]
code = { expr = "3 if x == 4 else 0" }
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with(BASE);
    sandbox.write("in", "1");
    sandbox
}

fn ran(sandbox: &Sandbox) -> String {
    let ran = sandbox.read("ran").replace('\n', " ");
    sandbox.write("ran", "");
    ran
}

#[test]
fn a_saved_plan_does_exactly_what_it_shows() {
    let sandbox = sandbox();
    let saved = sandbox.expect(0, &["plan", "--limit", "2", "--out", "saved.plan"]);
    assert!(saved.stderr.contains("sp apply saved.plan"), "{}", saved.stderr);
    sandbox.expect(0, &["apply", "saved.plan"]);
    assert_eq!(ran(&sandbox), "1 2 ");
    let stale = sandbox.expect(1, &["apply", "saved.plan"]);
    assert!(stale.stderr.contains("the state of a job has changed"), "{}", stale.stderr);
    assert_eq!(ran(&sandbox), "");
}

#[test]
fn a_saved_plan_is_refused_when_its_ground_has_changed() {
    let sandbox = sandbox();
    sandbox.expect(0, &["plan", "-o", "saved.plan"]);
    sandbox.write("in", "2");
    let stale = sandbox.sp(&["apply", "saved.plan", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&stale.stderr).expect("an object");
    assert_eq!((stale.code, error["code"].as_str()), (1, Some("stale-plan")));
    assert!(error["error"].to_string().contains("an input"), "{error}");
    sandbox.write("in", "1");
    sandbox.write("campaign.toml", &format!("# edited\n{BASE}"));
    let stale = sandbox.expect(1, &["apply", "saved.plan"]);
    assert!(stale.stderr.contains("the campaign file has changed"), "{}", stale.stderr);
    assert!(stale.stderr.contains("sp plan --out"), "{}", stale.stderr);
    assert_eq!(ran(&sandbox), "");
}

#[test]
fn a_limit_and_a_filter_choose_jobs() {
    let sandbox = sandbox();
    sandbox.expect(0, &["apply", "--limit", "1"]);
    assert_eq!(ran(&sandbox), "1 ");
    sandbox.expect(0, &["apply", "-F", "x == 3"]);
    assert_eq!(ran(&sandbox), "3 ");
    sandbox.expect(100, &["apply", "-F", "state == 'pending'"]);
    assert_eq!(ran(&sandbox), "2 4 ");
    sandbox.expect(100, &["apply", "-F", "exit_code == 3"]);
    assert_eq!(ran(&sandbox), "4 ");
    let none = sandbox.expect(4, &["apply", "-F", "x > 100"]);
    assert!(none.stderr.contains("0 jobs"), "{}", none.stderr);
}

#[test]
fn a_wrong_filter_is_told_before_anything_runs() {
    let sandbox = sandbox();
    let cases =
        [("cod == 3", "did you mean `code`?"), ("host == 'locl'", "local"), ("x ==", "filter")];
    for (filter, said) in cases {
        for command in ["plan", "apply", "status", "results", "wait"] {
            let run = sandbox.expect(64, &[command, "-F", filter]);
            assert!(run.stderr.contains(said), "{command} -F {filter}: {}", run.stderr);
        }
    }
    assert_eq!(ran(&sandbox), "");
}

#[test]
fn a_rerun_of_what_succeeded_wants_a_yes() {
    let sandbox = sandbox();
    sandbox.expect(100, &["apply"]);
    ran(&sandbox);
    let left = sandbox.expect(75, &["apply", "--rerun", "x=1"]);
    assert!(left.stderr.contains("`-y` runs them"), "{}", left.stderr);
    // What needs no question is done.
    assert_eq!(ran(&sandbox), "4 ");
    sandbox.expect(0, &["apply", "--no-failed", "-F", "x != 4", "--rerun", "x=1", "-y"]);
    assert_eq!(ran(&sandbox), "1 ");
    sandbox.expect(100, &["apply", "--rerun", "all", "--yes"]);
    assert_eq!(ran(&sandbox), "1 2 3 4 ");
    // One that failed needs no yes.
    sandbox.expect(100, &["apply", "--no-failed", "--rerun", "x=4"]);
    assert_eq!(ran(&sandbox), "4 ");
    let rows = sandbox.results("choices");
    let attempts: Vec<_> = rows.iter().map(|row| row["attempt"].as_u64()).collect();
    assert_eq!(attempts, [Some(3), Some(2), Some(2), Some(4)]);
    let unknown = sandbox.expect(64, &["apply", "--rerun", "x=9"]);
    assert!(unknown.stderr.contains("no job is `x=9`"), "{}", unknown.stderr);
}

#[test]
fn failed_jobs_are_left_when_asked() {
    let sandbox = sandbox();
    sandbox.expect(100, &["apply"]);
    ran(&sandbox);
    sandbox.expect(0, &["plan", "--no-failed", "--detailed-exitcode"]);
    sandbox.expect(2, &["plan", "--detailed-exitcode"]);
    sandbox.expect(100, &["apply", "--no-failed"]);
    assert_eq!(ran(&sandbox), "");
}

#[test]
fn offline_asks_no_host() {
    let sandbox = sandbox();
    sandbox.expect(100, &["apply", "-F", "x != 1"]);
    std::fs::rename(sandbox.root(), sandbox.home().join("elsewhere")).expect("it was there");
    let plan = sandbox.json(&["plan", "--offline"]);
    assert_eq!(plan["summary"]["skip"], 2);
    assert_eq!(plan["summary"]["run"], 2);
    assert_eq!(plan["hosts"][0].get("probed_at"), None);
    for command in ["status", "results"] {
        sandbox.expect(0, &[command, "--offline"]);
    }
    assert!(!sandbox.place("choices").exists());
}

/// The last line does not pass an earlier result off as that of a run that did not take place.
#[test]
fn summary_says_what_did_not_run_again() {
    let sandbox = sandbox();
    let summary = |code: i32, arguments: &[&str]| {
        let run = sandbox.expect(code, arguments);
        let line = run.stderr.lines().find(|line| line.contains(" Summary [")).expect("a summary");
        line.split_once("] ").expect("a time").1.to_owned()
    };
    let all = "4 jobs: 3 succeeded, 1 failed";
    assert_eq!(summary(100, &["apply"]), all);
    let left = format!("{all}; 3 of them were to run again and did not");
    assert_eq!(summary(75, &["apply", "--rerun", "all"]), left);
    assert_eq!(
        summary(75, &["apply", "--rerun", "x=1,code=0", "-F", "x == 1"]),
        "1 job: 1 succeeded, by its earlier run: it was to run again and did not"
    );
    assert_eq!(summary(100, &["apply", "--rerun", "all", "-y"]), all);
    assert_eq!(summary(4, &["apply", "-F", "x == 9"]), "0 jobs");
}

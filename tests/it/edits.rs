//! An edited file: what runs again, what does not, what is told; choices of `plan` and `apply`; saved plans.

use crate::support::{Sandbox, finish, wait_until};

const BASE: &str = r#"
name = "edits"
command = "echo {{ x }}-{{ y }} >> {{ work_dir }}/ran"
[matrix]
x = [1, 2]
y = ["a", "b"]
"#;

/// What has run since the last look, in order.
fn ran(sandbox: &Sandbox) -> Vec<String> {
    let lines = sandbox.read("ran").lines().map(str::to_owned).collect();
    sandbox.write("ran", "");
    lines
}

/// Action, reason and detail of each job, by name.
fn decisions(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    let plan = sandbox.json(&[&["plan"], arguments].concat());
    let jobs = plan["jobs"].as_array().expect("jobs").iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    jobs.map(|job| {
        let [name, action] = [&job["name"], &job["action"]].map(text);
        let [reason, detail] = [&job["reason"], &job["detail"]].map(text);
        format!("{name} {action} {reason}: {detail}")
    })
    .collect()
}

fn applied(campaign: &str) -> Sandbox {
    let sandbox = Sandbox::with(campaign);
    sandbox.expect(0, &["apply"]);
    ran(&sandbox);
    sandbox
}

#[test]
fn order_form_and_comments_are_no_edit() {
    let sandbox = applied(BASE);
    sandbox.write(
        "campaign.toml",
        r#"
# The same in other clothes.
command = 'echo {{ x }}-{{ y }} >> {{ work_dir }}/ran'
name        = "edits"
description = "said later"
time-limit  = "5m"
[matrix]
y = [ "b",
      "a" ]   # the other way round
x = [2, 1]
"#,
    );
    let plan = sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(plan.stdout.contains("nothing to do; 4 done"), "{}", plan.stdout);
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), [""; 0]);
}

#[test]
fn one_more_value_runs_exactly_the_new_jobs() {
    let sandbox = applied(BASE);
    sandbox.write("campaign.toml", &BASE.replace("x = [1, 2]", "x = [1, 2, 3]"));
    let told = decisions(&sandbox, &[]);
    assert_eq!(told[4], "x=3,y=a run new: x=3 added");
    let plan = sandbox.expect(2, &["plan", "--detailed-exitcode"]);
    assert!(plan.stdout.contains("new: x=3 added"), "{}", plan.stdout);
    assert!(plan.stdout.contains("Plan: 2 to run, 4 done or left."), "{}", plan.stdout);
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["3-a", "3-b"]);
    assert_eq!(sandbox.results("edits").len(), 6);
}

#[test]
fn repeat_keeps_the_first() {
    let sandbox = applied(BASE);
    sandbox.write("campaign.toml", &BASE.replace("[matrix]", "repeat = 3\n[matrix]"));
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox).len(), 8);
    let rows = sandbox.results("edits");
    let first = rows.iter().filter(|row| row["params"]["repeat"] == 0);
    assert_eq!(first.filter(|row| row["attempt"] == 1).count(), 4);
}

#[test]
fn an_edit_runs_its_jobs_and_is_told() {
    let text = r#"
name = "edits"
command = "sh bench.sh {{ x }}"
inputs = ["bench.sh", "data/{{ x }}"]
[env]
SEED = "1"
[matrix]
x = [1, 2]
"#;
    let sandbox = Sandbox::with(text);
    sandbox.write("bench.sh", "echo $1 >> \"$SP_WORK_DIR\"/ran\n");
    sandbox.write("data/1", "one");
    sandbox.write("data/2", "two");
    sandbox.expect(0, &["apply"]);
    ran(&sandbox);
    let one = |what: &str| [format!("x=1 run changed: {what}"), format!("x=2 run changed: {what}")];

    sandbox.write("bench.sh", "# edited\necho $1 >> \"$SP_WORK_DIR\"/ran\n");
    assert_eq!(decisions(&sandbox, &[]), one("inputs bench.sh"));
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["1", "2"]);

    sandbox.write("data/2", "other");
    let told = decisions(&sandbox, &[]);
    assert!(told[0].starts_with("x=1 skip succeeded"), "{told:?}");
    assert_eq!(told[1], "x=2 run changed: inputs data/2");
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["2"]);

    let text = text.replace("SEED = \"1\"", "SEED = \"2\"");
    sandbox.write("campaign.toml", &text);
    assert_eq!(decisions(&sandbox, &[]), one("env.SEED 1 → 2"));
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["1", "2"]);

    sandbox.write("campaign.toml", &text.replace("bench.sh {{", "./bench.sh {{"));
    assert_eq!(decisions(&sandbox, &[]), one("command"));
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["1", "2"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn without_its_checkpoint_an_edit_still_runs_only_its_jobs() {
    let sandbox = applied(BASE);
    std::fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("it was there");
    // The edit leaves `y = "b"` as it was.
    sandbox.write(
        "campaign.toml",
        &BASE.replace("{{ x }}-{{ y }}", "{{ x }}-{{ y }}{{ '!' if y == 'a' else '' | safe }}"),
    );
    sandbox.expect(0, &["apply"]);
    let again = ran(&sandbox);
    assert!(again.iter().all(|line| line.ends_with("a!") || line.ends_with('b')), "{again:?}");
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), [""; 0]);
}

#[test]
fn obsolete_jobs_leave_the_queue_only_when_told_and_results_stay() {
    let text = r#"
name = "edits"
command = "echo {{ x }} >> {{ work_dir }}/ran; until [ -e {{ work_dir }}/go ]; do sleep 0.05; done"
[matrix]
x = [1, 2, 3]
"#;
    let sandbox = Sandbox::with(text);
    sandbox.expect(0, &["apply", "--detach"]);
    wait_until("the first runs", || sandbox.read("ran") == "1\n");
    sandbox.write("campaign.toml", &text.replace("[1, 2, 3]", "[1, 2]"));
    let plan = sandbox.expect(0, &["plan"]);
    assert!(plan.stdout.contains("`--withdraw` takes it out"), "{}", plan.stdout);
    let plan = sandbox.expect(0, &["plan", "--withdraw"]);
    assert!(plan.stdout.contains("1 to withdraw"), "{}", plan.stdout);
    let apply = sandbox.spawn(&["apply", "--withdraw"]);
    // Its claim is taken, so that nobody runs it; the one that runs has its own.
    wait_until("it left the queue", || sandbox.attempts("edits", "state").len() == 2);
    sandbox.write("go", "");
    assert_eq!(finish(apply).code, 0);
    assert_eq!(ran(&sandbox), ["1", "2"]);

    sandbox.write("campaign.toml", &text.replace("[1, 2, 3]", "[1]"));
    sandbox.expect(0, &["apply"]);
    let rows = |arguments: &[&str]| {
        sandbox.json(&[&["results"], arguments].concat())["rows"].as_array().map(Vec::len)
    };
    assert_eq!(rows(&[]), Some(1));
    assert!(rows(&["--obsolete"]) >= Some(2));
    assert_eq!(ran(&sandbox), [""; 0]);
}

#[test]
fn an_accepted_result_counts_until_a_rerun() {
    let sandbox = applied(BASE);
    sandbox.write("campaign.toml", &BASE.replace("echo", "echo  "));
    assert!(decisions(&sandbox, &[]).iter().all(|told| told.ends_with("run changed: command")));
    sandbox.expect(0, &["accept", "x=1,y=a", "x=1,y=b"]);
    let told = decisions(&sandbox, &[]);
    assert!(told[0].starts_with("x=1,y=a skip accepted: result of "), "{told:?}");
    std::fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("it was there");
    sandbox.expect(0, &["apply"]);
    assert_eq!(ran(&sandbox), ["2-a", "2-b"]);
    assert_eq!(sandbox.results("edits")[0]["reason"], "accepted");
    assert_eq!(sandbox.results("edits")[0]["state"], "succeeded");

    sandbox.expect(0, &["apply", "-y", "--rerun", "x=1,y=a"]);
    assert_eq!(ran(&sandbox), ["1-a"]);
    assert_eq!(sandbox.results("edits")[0]["reason"], "ok");
    let told = decisions(&sandbox, &[]);
    assert!(told[0].starts_with("x=1,y=a skip succeeded"), "{told:?}");
    assert!(told[1].starts_with("x=1,y=b skip accepted"), "{told:?}");

    let refused = sandbox.expect(1, &["accept", "x=2,y=a"]);
    assert!(refused.stderr.contains("no earlier version"), "{}", refused.stderr);
}

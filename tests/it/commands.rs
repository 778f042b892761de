//! Commands that look at jobs, on a campaign with one job of each kind; how `sp` ends when nothing is there.

use std::io::{BufRead as _, BufReader, Read as _};

use crate::support::{Sandbox, finish, wait_until};

/// A succeeded job, a failed one, then one that runs until `go` is there.
const MIXED: &str = r#"
name = "mixed"
command = "echo begins {{ kind }}; sh {{ kind }}.sh; echo ends {{ kind }}"
job-name = "{{ kind }}"
[matrix]
kind = ["good", "bad", "long"]
"#;

fn mixed() -> Sandbox {
    let sandbox = Sandbox::with(MIXED);
    sandbox.write("good.sh", "echo result > \"$SP_OUT_DIR\"/result; seq 1 50");
    sandbox.write("bad.sh", "exit 3");
    sandbox.write("long.sh", "until [ -e \"$SP_WORK_DIR\"/go ]; do sleep 0.05; done");
    sandbox
}

/// Hands the jobs over and waits until the long one runs.
fn under_way() -> Sandbox {
    let sandbox = mixed();
    let run = sandbox.expect(0, &["apply", "--detach"]);
    assert!(run.stderr.contains("3 jobs handed over. To wait for them: sp wait"), "{}", run.stderr);
    wait_until("the long one runs", || {
        let jobs = &sandbox.json(&["status"])["jobs"];
        jobs[2]["state"] == "running" && !jobs[2]["started_at"].is_null()
    });
    sandbox
}

/// What was handed over is what arrived, not what was planned.
#[test]
fn a_detached_apply_counts_what_arrived() {
    let sandbox = under_way();
    let run = sandbox.expect(0, &["apply", "--detach", "--no-failed"]);
    assert!(run.stderr.contains("Nothing was handed over; 1 job under way."), "{}", run.stderr);
    let run = sandbox.expect(0, &["apply", "--detach"]);
    assert!(run.stderr.contains("1 job handed over, 1 under way before."), "{}", run.stderr);
    sandbox.write("go", "");
    sandbox.expect(100, &["wait"]);
    let run = sandbox.expect(100, &["apply", "--detach", "--no-failed"]);
    assert!(run.stderr.contains("Summary"), "{}", run.stderr);
}

#[test]
fn status_and_explain_say_where_every_job_is() {
    let sandbox = under_way();
    let status = sandbox.expect(0, &["status"]);
    let head = status.stdout.lines().next().unwrap_or_default();
    assert!(head.starts_with("mixed: 1 running, 1 succeeded, 1 failed"), "{head}");
    for said in ["host ", "slots", "long", "exit code 3"] {
        assert!(status.stdout.contains(said), "{said}: {}", status.stdout);
    }
    let json = sandbox.json(&["status", "-F", "kind == 'bad'"]);
    assert_eq!(json["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["jobs"][0]["exit_code"], 3);

    let explain = |job: &str| sandbox.expect(0, &["explain", job]).stdout;
    let bad = explain("bad");
    assert!(bad.contains("It failed: exit code 3."), "{bad}");
    assert!(bad.contains("The next `sp apply` runs it (failed: exit code 3"), "{bad}");
    assert!(bad.contains("told by its own runner"), "{bad}");
    let records = bad.find("Records on host").expect("records");
    assert!(bad.find("Attempt 1 on local").is_some_and(|attempt| attempt < records), "{bad}");
    assert!(explain("long").contains("It runs on host `local`"), "{}", explain("long"));
    assert!(explain("long").contains("`sp wait`"), "{}", explain("long"));
    let json = sandbox.json(&["explain", "good"]);
    assert_eq!(json["state"], "succeeded");
    assert_eq!(json["next"]["action"], "skip");
    assert!(json["evidence"].as_array().is_some_and(|lines| !lines.is_empty()));
    sandbox.write("go", "");
    sandbox.expect(100, &["wait"]);
}

#[test]
fn logs_and_path_find_a_jobs_files() {
    let sandbox = under_way();
    let log = sandbox.expect(0, &["logs", "good"]).stdout;
    assert!(log.starts_with("begins good\n1\n") && log.ends_with("50\nends good\n"), "{log}");
    assert_eq!(sandbox.expect(0, &["logs", "good", "-n", "2"]).stdout, "50\nends good\n");
    assert_eq!(sandbox.expect(0, &["logs", "good", "-n", "999"]).stdout, log);
    assert_eq!(sandbox.expect(0, &["logs", "good", "-n", "0"]).stdout, "");
    assert_eq!(sandbox.expect(0, &["logs", "good", "--attempt", "1"]).stdout, log);
    let none = sandbox.expect(1, &["logs", "good", "--attempt", "2"]);
    assert!(none.stderr.contains("has had 1 attempt\n"), "{}", none.stderr);

    let out = sandbox.expect(0, &["path", "good"]).stdout;
    let result = std::path::Path::new(out.trim_end()).join("result");
    assert_eq!(std::fs::read_to_string(result).expect("a result"), "result\n");
    let json = sandbox.json(&["path", "good"]);
    assert_eq!(json["out_dir"].as_str(), Some(out.trim_end()));

    let mut follow = sandbox.spawn(&["logs", "-f", "long"]);
    let mut lines = BufReader::new(follow.stdout.take().expect("piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    assert_eq!(line, "begins long\n");
    sandbox.write("go", "");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "ends long\n");
    assert_eq!(finish(follow).code, 0);
    sandbox.expect(100, &["wait"]);
}

#[test]
fn wait_ends_with_the_jobs_or_with_its_patience() {
    let sandbox = under_way();
    let run = sandbox.expect(124, &["wait", "--timeout", "100ms"]);
    assert!(run.stderr.contains("the jobs go on"), "{}", run.stderr);
    sandbox.expect(0, &["wait", "-F", "kind == 'good'"]);
    sandbox.expect(100, &["wait", "-F", "kind == 'bad'"]);
    let wrong = sandbox.expect(64, &["wait", "--timeout", "soon"]);
    assert!(wrong.stderr.contains("30m"), "{}", wrong.stderr);
    let wait = sandbox.spawn(&["wait"]);
    sandbox.write("go", "");
    assert_eq!(finish(wait).code, 100);
    let nothing = sandbox.expect(100, &["wait"]);
    assert!(nothing.stderr.contains("Nothing is queued or running."), "{}", nothing.stderr);
}

#[test]
fn results_come_in_every_form() {
    let sandbox = mixed();
    sandbox.write("go", "");
    sandbox.expect(100, &["apply"]);
    let out = |form: &str| sandbox.expect(0, &["results", "--format", form]).stdout;
    let csv_text = out("csv");
    let mut csv = csv::Reader::from_reader(csv_text.as_bytes());
    let head: Vec<String> = csv.headers().expect("a head").iter().map(str::to_owned).collect();
    assert_eq!(head[..5], ["job_id", "name", "index", "attempt", "state"]);
    let states: Vec<String> = csv.records().map(|row| row.expect("a row")[4].to_owned()).collect();
    assert_eq!(states, ["succeeded", "failed", "succeeded"]);
    assert_eq!(csv_text, sandbox.read(".sp/mixed/results.csv"));
    assert_eq!(out("jsonl"), sandbox.read(".sp/mixed/results.jsonl"));
    assert!(out("tsv").lines().all(|line| line.split('\t').count() == head.len()));
    let md = out("md");
    assert!(md.lines().nth(1).is_some_and(|line| line.starts_with("| ---")), "{md}");
    let json: serde_json::Value = serde_json::from_str(&out("json")).expect("a document");
    assert_eq!((&json["schema"], &json["campaign"]), (&1.into(), &"mixed".into()));
    assert_eq!(json["rows"][1]["params"]["kind"], "bad");
    let table = out("table");
    assert_eq!(table.lines().count(), 4, "{table}");
    let chosen = sandbox.expect(0, &["results", "-F", "state != 'succeeded'"]).stdout;
    assert_eq!(chosen.lines().count(), 2, "{chosen}");
}

#[test]
fn a_fresh_folder_gets_to_results() {
    let sandbox = Sandbox::new();
    let run = sandbox.expect(0, &["init"]);
    assert!(run.stderr.contains("Next: edit it, then `sp plan`"), "{}", run.stderr);
    let again = sandbox.expect(1, &["init"]);
    assert!(again.stderr.contains("--force"), "{}", again.stderr);
    sandbox.expect(0, &["init", "--force"]);
    let valid = sandbox.expect(0, &["validate"]);
    assert_eq!(valid.stdout, "campaign.toml is valid: 6 jobs\n");
    let plan = sandbox.expect(0, &["plan"]);
    assert!(plan.stdout.ends_with("Plan: 6 to run.\n"), "{}", plan.stdout);
    assert_eq!(plan.stderr, "To do it: sp apply\n");
    // As it stands, but for its second of sleep.
    let text = sandbox.read("campaign.toml").replace("sleep 1", "true");
    sandbox.write("campaign.toml", &text);
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.results("work").len(), 6);
}

#[test]
fn what_is_not_there_is_told_with_the_next_step() {
    let sandbox = Sandbox::new();
    for command in ["plan", "apply", "status", "results", "validate", "wait"] {
        let run = sandbox.expect(1, &[command]);
        assert!(run.stderr.contains("there is no file `campaign.toml` here"), "{}", run.stderr);
        assert!(run.stderr.contains("sp init"), "{}", run.stderr);
    }
    sandbox.write("campaign.toml", MIXED);
    for command in ["explain", "logs", "path", "attach", "accept", "cancel"] {
        let run = sandbox.expect(64, &[command, "god"]);
        assert!(run.stderr.contains("did you mean `good`?"), "{command}: {}", run.stderr);
        let several = sandbox.sp(&[command, "nothing=like=it"]);
        assert_eq!(several.code, 64, "{command}: {}", several.stderr);
    }
    for (command, said) in [("logs", "has no log"), ("path", "has no files"), ("attach", "pending")]
    {
        let run = sandbox.expect(1, &[command, "good"]);
        assert!(run.stderr.contains(said), "{command}: {}", run.stderr);
    }
    let explain = sandbox.expect(0, &["explain", "good"]).stdout;
    assert!(explain.contains("It is pending"), "{explain}");
    let status = sandbox.expect(0, &["status"]).stdout;
    assert!(status.starts_with("mixed: 3 pending\n"), "{status}");
}

#[test]
fn another_folder_is_entered() {
    let sandbox = mixed();
    sandbox.write("go", "");
    let run = sandbox.command_in(sandbox.path(), &["-C", "work", "apply", "-q"]).output();
    let run = run.expect("sp runs");
    assert_eq!(run.status.code(), Some(100));
    assert_eq!((run.stdout.as_slice(), run.stderr.as_slice()), (&b""[..], &b""[..]));
    assert_eq!(sandbox.results("mixed").len(), 3);
    let run = sandbox.expect(64, &["-C", "nowhere", "plan"]);
    assert!(run.stderr.contains("cannot enter `nowhere`"), "{}", run.stderr);
    // The file may lie elsewhere too; its folder is what counts.
    let run = sandbox.command_in(sandbox.path(), &["status", "work/campaign.toml"]).output();
    assert!(String::from_utf8_lossy(&run.expect("sp runs").stdout).contains("2 succeeded"));
}

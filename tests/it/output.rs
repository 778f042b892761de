//! What programs and logs read: the documented fields of JSON, plain lines, closed pipes, exit codes.

#![expect(clippy::disallowed_methods, reason = "a terminal is made by another program")]

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Sandbox, finish, signal, wait_until};

const TWO: &str = r#"
name = "two"
command = "exit {{ code }}"
[matrix]
code = [0, 3]
"#;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// The words of a line, asked to be all there: fields are only ever added.
#[track_caller]
fn has(value: &Value, fields: &str) {
    let there = keys(value);
    for field in fields.split_whitespace() {
        assert!(there.contains(&field), "no `{field}` in {there:?}");
    }
}

#[test]
fn documents_have_their_documented_fields() {
    let sandbox = Sandbox::with(TWO);
    let plan = sandbox.json(&["plan"]);
    assert_eq!(plan["schema"], 1);
    has(&plan, "campaign hosts jobs obsolete summary");
    has(&plan["hosts"][0], "name probed_at");
    has(&plan["jobs"][0], "id name index params command home action reason detail");
    has(&plan["summary"], "total run skip adopt wait withdraw blocked obsolete");
    assert_eq!(plan["jobs"][1]["command"]["shell"], "exit 3");
    assert_eq!(plan["jobs"][0]["id"].as_str().map(str::len), Some(32));

    sandbox.expect(100, &["apply"]);
    let status = sandbox.json(&["status"]);
    assert_eq!(status["schema"], 1);
    has(&status, "campaign counts hosts jobs eta_s");
    has(&status["hosts"][0], "name state slots running queued last_seen");
    has(
        &status["jobs"][0],
        "id name index params state reason detail exit_code signal host attempt session orphan progress snapshot \
         started_at ended_at elapsed_s stale_since",
    );
    assert_eq!(status["counts"]["failed"], 1);
    for command in [&["explain", "code=0"][..], &["path", "code=0"], &["validate"], &["results"]] {
        assert_eq!(sandbox.json(command)["schema"], 1, "{command:?}");
    }
}

#[test]
fn an_apply_tells_events_as_lines() {
    let sandbox = Sandbox::with(TWO);
    let run = sandbox.expect(100, &["apply", "--json"]);
    assert_eq!(run.stderr, "");
    let events: Vec<Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for event in &events {
        has(event, "event ts");
    }
    let of = |word: &str| -> Vec<&Value> {
        events.iter().filter(|event| event["event"] == word).collect()
    };
    assert_eq!(of("plan")[0]["summary"]["run"], 2);
    for word in ["job-queued", "job-started", "job-finished"] {
        assert_eq!(of(word).len(), 2, "{word}");
        for event in of(word) {
            has(event, "id name host attempt");
        }
    }
    has(of("job-finished")[1], "state reason detail exit_code signal elapsed_s");
    assert_eq!(of("job-finished")[1]["exit_code"], 3);
    let summary = events.last().expect("an event");
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["counts"]["succeeded"], 1);
    assert_eq!(summary["exit_code"], 100);
    has(summary, "elapsed_s");
}

#[test]
fn an_error_is_one_object_on_stderr() {
    let sandbox = Sandbox::with("name = \"x\"\ncomand = \"true\"\n");
    let cases = [(1, &["plan"][..]), (1, &["plan", "none.toml"]), (64, &["help", "nonsense"])];
    for (code, arguments) in cases {
        let run = sandbox.expect(code, &[arguments, &["--json"]].concat());
        assert_eq!(run.stdout, "", "{arguments:?}");
        let error: Value = serde_json::from_str(&run.stderr).expect("one object");
        has(&error, "error code help span");
        assert!(error["error"].is_string() && error["code"].is_string(), "{error}");
    }
    let error: Value =
        serde_json::from_str(&sandbox.sp(&["plan", "--json"]).stderr).expect("one object");
    assert!(error["span"].is_array(), "{error}");
    let usage = sandbox.expect(64, &["plan", "--nonsense", "--json"]);
    let error: Value = serde_json::from_str(&usage.stderr).expect("one object");
    has(&error, "error code help span");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let rows = "name = \"many\"\ncommand = \"true {{ n }}\"\n[matrix]\nn = { from = 1, to = 3000, step = 1 }\n";
    let sandbox = Sandbox::with(rows);
    let commands = [
        &["help"][..],
        &["help", "campaign-file"],
        &["plan", "--show", "jobs"],
        &["plan", "--json"],
        &["results", "--format", "csv"],
        &["results"],
        &["status", "--json"],
        &["schema"],
        &["man"],
        &["completions", "bash"],
        &["--help"],
    ];
    for arguments in commands {
        let mut child = sandbox.spawn(arguments);
        drop(child.stdout.take());
        let run = finish(child);
        let notes = run.stderr.replace("To do it: sp apply\n", "");
        assert_eq!((run.code, notes.as_str()), (0, ""), "{arguments:?}");
    }
}

#[test]
fn without_a_terminal_lines_are_plain() {
    let mut sandbox = Sandbox::with(TWO);
    let run = sandbox.expect(100, &["apply"]);
    assert!(!run.stderr.contains('\x1b') && !run.stderr.contains('\r'), "{:?}", run.stderr);
    assert!(run.stderr.contains(" SUCCEEDED [") && run.stderr.contains("    FAILED ["));
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("why: sp explain "), "{}", run.stderr);
    let coloured = sandbox.expect(0, &["plan", "--color", "always"]);
    assert!(coloured.stdout.contains('\x1b'), "{:?}", coloured.stdout);
    sandbox.set("CLICOLOR_FORCE", "1");
    assert!(sandbox.expect(0, &["plan"]).stdout.contains('\x1b'));
    sandbox.set("NO_COLOR", "1");
    assert!(!sandbox.expect(0, &["plan"]).stdout.contains('\x1b'));
}

/// Runs `sp` in a pseudo-terminal, as `script` of util-linux makes one.
fn in_terminal(sandbox: &Sandbox, line: &str) -> String {
    let sp = sandbox.command(&[]);
    let text = format!("stty cols 100 rows 30; {} {line}", sp.get_program().to_string_lossy());
    let mut script = sandbox.command(&[]);
    script.env("TERM", "xterm");
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &text, "/dev/null"]).current_dir(sandbox.campaign()).env_clear();
    command.envs(script.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.stdin(Stdio::null()).output().expect("script runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_terminal_gets_colours_and_a_bar_unless_it_does_not_want_them() {
    let text = "name = \"seen\"\ncommand = \"sleep 1.2\"\n[matrix]\nn = [1, 2]\n";
    let mut sandbox = Sandbox::with(text);
    let screen = in_terminal(&sandbox, "apply");
    assert!(screen.contains("\x1b[32m"), "{screen:?}");
    assert!(screen.contains("/2 ended  running n="), "{screen:?}");
    assert!(screen.contains("1/2 ended"), "{screen:?}");
    sandbox.set("CI", "true");
    sandbox.set("NO_COLOR", "1");
    let screen = in_terminal(&sandbox, "apply -y --rerun all");
    assert!(!screen.contains('\x1b') && !screen.contains("ended  running"), "{screen:?}");
    assert!(screen.contains(" SUCCEEDED ["), "{screen:?}");
}

#[test]
fn an_interrupted_apply_says_what_goes_on_and_how_to_come_back() {
    let text = "name = \"slow\"\ncommand = \"until [ -e {{ work_dir }}/go ]; do sleep 0.05; done\"\n\
                [matrix]\nn = [1, 2, 3]\n";
    let sandbox = Sandbox::with(text);
    let cases = [(Signal::INT, 130), (Signal::TERM, 143)];
    for (sent, code) in cases {
        let apply = sandbox.spawn(&["apply"]);
        wait_until("the first runs", || sandbox.json(&["status"])["counts"]["running"] == 1);
        signal(&apply, sent);
        let run = finish(apply);
        assert_eq!(run.code, code, "{}", run.stderr);
        let said = "1 running and 2 queued jobs go on without you. Come back: sp apply. Stop: sp cancel --all.";
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    let plan = sandbox.expect(0, &["plan"]);
    assert!(plan.stdout.contains("Plan: 0 to run, 3 under way."), "{}", plan.stdout);
    sandbox.write("go", "");
    sandbox.expect(0, &["apply"]);
    sandbox.wait_quiet();
}

#[test]
fn wrong_words_end_with_64_and_a_guess() {
    let sandbox = Sandbox::with(TWO);
    let unknown = sandbox.expect(64, &["aply"]);
    assert!(unknown.stderr.contains("'apply'"), "{}", unknown.stderr);
    let several = sandbox.expect(64, &["explain", ""]);
    assert!(several.stderr.contains("error:"), "{}", several.stderr);
    sandbox.expect(64, &[]);
    sandbox.expect(0, &["--version"]);
    sandbox.expect(0, &["apply", "--help"]);
    let topic = sandbox.expect(64, &["help", "mtrix"]);
    assert!(topic.stderr.contains("did you mean `matrix`?"), "{}", topic.stderr);
}

/// Whoever reads JSON gets some, also where there was nothing to do.
#[test]
fn every_command_that_tells_of_jobs_has_an_object() {
    let sandbox = Sandbox::with("name = 'idle'\ncommand = 'echo {{ n }}'\n[matrix]\nn = [1]\n");
    let wait = sandbox.json(&["wait"]);
    let expected = serde_json::json!({ "pending": 1 });
    assert_eq!((&wait["event"], &wait["counts"]), (&"summary".into(), &expected), "{wait}");
    assert_eq!(sandbox.json(&["cancel", "--all"])["jobs"], serde_json::json!([]));
    sandbox.write(
        "campaign.toml",
        "name = 'idle'\ncommand = 'until [ -e ~/go ]; do sleep 0.02; done'\n[matrix]\nn = [1]\n",
    );
    sandbox.expect(0, &["apply", "-d"]);
    let ended = sandbox.json(&["cancel", "--all", "--now"]);
    assert_eq!(
        (&ended["jobs"][0]["name"], &ended["jobs"][0]["state"]),
        (&"n=1".into(), &"cancelled".into())
    );
}

/// A line end in a command and a backslash before an `n` do not look the same.
#[test]
fn commands_are_shown_with_their_own_line_ends() {
    let sandbox = Sandbox::with(
        "name = 'lines'\ncommand = '''\nprintf '%s\\n' {{ v }}\necho end'''\n[matrix]\nv = ['a\\nb', \"a\\nb\"]\n",
    );
    let plan = sandbox.expect(0, &["plan", "--show", "commands"]).stdout;
    assert!(plan.contains("\n      printf '%s\\n' \"a\\\\nb\"\n      echo end\n"), "{plan}");
    assert!(plan.contains("\n      printf '%s\\n' 'a\n      b'\n      echo end\n"), "{plan}");
}

/// It has a slot itself, for which its jobs would wait for ever.
#[test]
fn apply_in_a_job_says_that_the_job_has_a_slot() {
    let sandbox = Sandbox::new();
    sandbox.write("inner.toml", "name = 'inner'\ncommand = 'true'\n");
    let text = format!(
        "name = 'outer'\ncommand = '{{{{ vars.sp }}}} apply -d inner.toml'\n[vars]\nsp = {:?}\n",
        env!("CARGO_BIN_EXE_sp")
    );
    sandbox.write("campaign.toml", &text);
    sandbox.expect(0, &["apply"]);
    let row = sandbox.json(&["results"])["rows"][0].clone();
    let log = sandbox.expect(0, &["logs", row["job_id"].as_str().expect("an id")]).stdout;
    assert!(log.contains("this runs in the job"), "{log}");
    assert!(log.contains("in `[hosts.local]`"), "{log}");
    let outside = sandbox.expect(0, &["apply", "inner.toml"]);
    assert!(!outside.stderr.contains("this runs in the job"), "{outside:?}");
}

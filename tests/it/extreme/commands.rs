//! The same lines through the binary: a campaign of two hosts, of which one answers whatever a test gives it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use solverpilot::host::PROBE_KINDS;
use solverpilot::lifecycle::record::kinds;

use super::{OTHER, extreme_lines, with};
use crate::support::{Run, Sandbox};

/// Job 1 is the bad host's, job 2 the good one's.
const TWO: &str = "name = 'two'\ncommand = 'echo told {{ n }}; echo {{ n }} >> ~/ran'\n[matrix]\nn = [1, 2]\n\
                   [hosts.bad]\nroot = '~/bad'\nwhen = 'n == 1'\n[hosts.good]\nroot = '~/good'\nwhen = 'n == 2'\n";

/// In place of the real answer to a probe: what a file of the root says, where it is there. Else the real one, which is kept.
const LIAR: &str = "verb_probe() {\n  if [ -e \"$V/answer\" ]; then cat \"$V/answer\"; else real_probe \"$@\" | tee \"$V/true\"; fi\n}\n";

struct Two {
    sandbox: Sandbox,
    /// The true answer of the bad host.
    truth: String,
    /// Its job.
    bad_job: String,
}

impl Two {
    /// Both jobs have run, and the bad host was found to answer as it is told.
    fn new() -> Self {
        let sandbox = Sandbox::with(TWO);
        sandbox.expect(0, &["apply"]);
        sandbox.wait_quiet();
        let bin = sandbox.home().join("bad/v2/bin");
        let entries = fs::read_dir(bin).expect("a folder").flatten().map(|entry| entry.path());
        let scripts: Vec<PathBuf> = entries.filter(|path| path.extension().is_none()).collect();
        let [script] = scripts.as_slice() else { panic!("one script is there: {scripts:?}") };
        let text = fs::read_to_string(script).expect("a script");
        let head = "verb_probe() {";
        assert_eq!(text.matches(head).count(), 1);
        fs::write(script, text.replace(head, &format!("{LIAR}real_probe() {{"))).expect("a file");
        fs::remove_dir_all(sandbox.campaign().join(".sp")).expect("a checkpoint");
        sandbox.expect(0, &["status"]);
        let truth = fs::read_to_string(sandbox.home().join("bad/v2/true")).expect("an answer");
        let plan = sandbox.json(&["plan", "--offline"]);
        let bad_job = plan["jobs"][0]["id"].as_str().expect("an id").to_owned();
        Self { sandbox, truth, bad_job }
    }

    /// A client that was never here asks the bad host, which answers this.
    fn answers(&self, text: &str) {
        fs::write(self.sandbox.home().join("bad/v2/answer"), text).expect("a file");
        drop(fs::remove_dir_all(self.sandbox.campaign().join(".sp")));
    }

    /// The true answer with these lines more.
    fn adds(&self, lines: &[String]) {
        // Before the stretch of the journal, which is counted in bytes.
        let at = self.truth.find("journal gen=").expect("a journal");
        let (head, journal) = self.truth.split_at(at);
        self.answers(&format!("{head}{}{journal}", lines.join("\n") + "\n"));
    }

    /// Every command does its work for the good host. Returns what went wrong.
    fn fault(&self, commands: &[Check]) -> Option<String> {
        for Check { arguments, codes, holds } in commands {
            let run = self.sandbox.sp(arguments);
            let ok = codes.contains(&run.code) && !run.stderr.contains("panicked");
            if !ok || !holds(&run) {
                return Some(format!("sp {arguments:?}: {run:?}"));
            }
        }
        None
    }

    /// Like [`Self::fault`] with these lines; of many, the one that is at fault is found.
    #[track_caller]
    fn check(&self, lines: &[String], commands: &[Check]) {
        self.adds(lines);
        let Some(fault) = self.fault(commands) else { return };
        for line in lines {
            self.adds(std::slice::from_ref(line));
            if let Some(fault) = self.fault(commands) {
                panic!("{line}\n{fault}");
            }
        }
        panic!("only together: {} lines like {:?}\n{fault}", lines.len(), lines.first());
    }
}

/// A command, the exit codes that are right, and what holds of it whatever the bad host says.
struct Check {
    arguments: &'static [&'static str],
    codes: &'static [i32],
    holds: fn(&Run) -> bool,
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or(Value::Null)
}

/// Every command that asks hosts. 75 and 1 tell of the bad host; what is said of the good one is the same.
const COMMANDS: &[Check] = &[
    Check {
        arguments: &["status", "--json"],
        codes: &[0, 1, 75],
        holds: |run| json(run)["jobs"][1]["state"] == "succeeded",
    },
    Check {
        arguments: &["plan", "--json"],
        codes: &[0, 1, 75],
        holds: |run| json(run)["jobs"][1]["action"] == "skip",
    },
    Check { arguments: &["plan"], codes: &[0, 1, 75], holds: |run| run.stdout.contains("Plan: ") },
    Check {
        arguments: &["status"],
        codes: &[0, 1, 75],
        holds: |run| run.stdout.starts_with("two: "),
    },
    Check {
        arguments: &["results", "--format", "csv"],
        codes: &[0, 1, 75],
        holds: |run| run.stdout.lines().any(|line| line.contains("n=2") && line.contains("good")),
    },
    Check {
        arguments: &["explain", "n=2"],
        codes: &[0, 1, 75],
        holds: |run| run.stdout.contains("It succeeded."),
    },
    Check {
        arguments: &["explain", "n=1"],
        codes: &[0, 1, 75],
        holds: |run| !run.stdout.is_empty(),
    },
    Check {
        arguments: &["logs", "n=2"],
        codes: &[0, 1, 75],
        holds: |run| run.stdout == "told 2\n",
    },
    Check {
        arguments: &["path", "n=2"],
        codes: &[0, 1, 75],
        holds: |run| run.stdout.contains("/good/v2/two~"),
    },
    Check {
        arguments: &["attach", "n=2"],
        codes: &[1],
        holds: |run| run.stderr.contains("does not run"),
    },
    Check {
        arguments: &["accept", "n=2"],
        codes: &[1],
        holds: |run| run.stderr.contains("no earlier version"),
    },
    Check {
        arguments: &["wait", "-F", "n == 2", "--timeout", "40s"],
        codes: &[0, 1, 75],
        holds: |run| run.stderr.contains("Nothing is queued or running."),
    },
    Check {
        arguments: &["gc", "--dry-run", "--host", "good"],
        codes: &[0, 1, 75],
        holds: |run| !run.stderr.contains("error:"),
    },
    Check {
        arguments: &["cancel", "--all", "--host", "good"],
        codes: &[0, 1, 75],
        holds: |run| run.stderr.contains("Nothing to cancel"),
    },
    Check {
        arguments: &["apply", "-y", "-F", "n == 2", "--rerun", "n=2"],
        codes: &[0, 1, 75],
        holds: |run| run.stderr.contains("1 succeeded"),
    },
];

#[test]
fn a_line_of_one_host_keeps_no_command_from_the_others() {
    let two = Two::new();
    two.check(&[], COMMANDS);
    for kind in kinds() {
        two.check(&extreme_lines(kind, &two.bad_job), COMMANDS);
        // Of a job that nobody here knows: what shows the campaign, and what runs it.
        two.check(&extreme_lines(kind, OTHER), &COMMANDS[..2]);
        two.check(&extreme_lines(kind, OTHER), &COMMANDS[COMMANDS.len() - 1..]);
    }
}

/// Of the lines that are no facts each says all there is to say, so each value makes an answer of its own.
#[test]
fn an_answer_of_one_host_keeps_no_command_from_the_others() {
    let two = Two::new();
    // Words and lengths in turn; numbers all.
    let is_number = |value: &str| value.starts_with(|c: char| c.is_ascii_digit());
    let all = super::values();
    let (numbers, words): (Vec<String>, Vec<String>) =
        all.into_iter().filter(|value| value.len() < 50).partition(|value| is_number(value));
    let mut values: Vec<String> = words.into_iter().step_by(6).collect();
    values.extend(numbers.into_iter().step_by(2));
    values.push("[{\"name\":\"a\",\"slots\":4294967295,\"when\":\"n > 1\"}]".to_owned());
    values.push("[{\"name\":\"good\",\"slots\":0,\"when\":\"(((((\"}]".to_owned());
    values.push(format!("[{{\"name\":\"a\",\"slots\":1,\"when\":\"{}1\"}}]", "-".repeat(9000)));
    values.push("[]".to_owned());
    for (number, kind) in PROBE_KINDS.iter().enumerate() {
        let line = two.truth.lines().find(|line| line.starts_with(kind.word));
        let line = line.map_or_else(|| format!("{} x .", kind.word), str::to_owned);
        let fields = line.strip_prefix(kind.word).and_then(|rest| rest.strip_prefix(' '));
        let fields =
            fields.and_then(|rest| rest.strip_suffix(" .").or(Some(rest))).expect("fields");
        let mark = if kind.word == "hosts" { "" } else { " ." };
        // Each kind has a third of them, in turn; what is said of other hosts has all.
        let (first, step) = if kind.word == "hosts" { (0, 1) } else { (number % 3, 3) };
        for value in values.iter().skip(first).step_by(step) {
            let answers: Vec<String> = match kind.fields {
                [] => vec![value.clone()],
                keys => keys.iter().map(|key| with(fields, key, value)).collect(),
            };
            for answer in answers {
                let extreme = format!("{} {answer}{mark}", kind.word);
                let text = if two.truth.contains(&line) {
                    two.truth.replacen(&line, &extreme, 1)
                } else {
                    format!("{}\n{}", extreme, two.truth)
                };
                two.answers(&text);
                if let Some(fault) = two.fault(&COMMANDS[..1]) {
                    panic!("{extreme}\n{fault}");
                }
            }
        }
    }
}

/// A host that shows the root of another one is not asked for it, where that one was known by it before.
#[test]
fn a_host_cannot_pass_for_another_one() {
    let two = Two::new();
    let root = |name: &str| {
        let path = two.sandbox.home().join(name).join("v2/root-id");
        fs::read_to_string(path).expect("an id").trim().to_owned()
    };
    let text = two.truth.replace(&root("bad"), &root("good"));
    fs::write(two.sandbox.home().join("bad/v2/answer"), text).expect("a file");
    let run = two.sandbox.expect(1, &["status"]);
    assert!(run.stderr.contains("the hosts `good` and `bad` are the same place"), "{run:?}");
    assert!(run.stdout.starts_with("two: 2 succeeded"), "{run:?}");
    let run = two.sandbox.expect(1, &["apply", "-y", "-F", "n == 2", "--rerun", "n=2"]);
    assert!(run.stderr.contains("1 succeeded"), "{run:?}");
}

/// A number that has no successor: the job says so, with an edit that helps, and the others run.
#[test]
fn a_job_whose_numbers_are_used_up_says_what_helps() {
    let two = Two::new();
    let last = |n: &str| {
        let failed = super::FAILED;
        vec![format!("end id={} n={n} {failed} .", two.bad_job)]
    };
    // The last but one has a successor, which the host can write.
    two.adds(&last("999999998"));
    let plan = two.sandbox.json(&["plan"]);
    assert_eq!(plan["jobs"][0]["action"], "run", "{plan}");
    two.adds(&last("999999999"));
    let plan = two.sandbox.json(&["plan"]);
    assert_eq!(plan["jobs"][0]["action"], "blocked", "{plan}");
    assert_eq!(plan["jobs"][0]["reason"], "no-attempt-left", "{plan}");
    let run = two.sandbox.expect(1, &["apply", "-y", "--rerun", "all"]);
    assert!(run.stderr.contains("the last number there is"), "{run:?}");
    assert!(run.stderr.contains("another command or `[env]`"), "{run:?}");
    assert_eq!(two.sandbox.json(&["status", "--offline"])["jobs"][1]["attempt"], 2);
    // What it says does help.
    let text =
        two.sandbox.read("campaign.toml").replace("name = 'two'", "name = 'two'\nenv.AGAIN = '1'");
    two.sandbox.write("campaign.toml", &text);
    fs::remove_file(two.sandbox.home().join("bad/v2/answer")).expect("it is there");
    two.sandbox.expect(0, &["apply"]);
}

/// A line that says a job was moved with the last number leaves nothing that could be handed over or cancelled.
#[test]
fn a_job_that_was_moved_with_the_last_number_keeps_nobody() {
    let two = Two::new();
    let moved = super::MOVED;
    for n in ["999999999", "4294967295", "4294967296"] {
        two.adds(&[format!("end id={} n={n} {moved} .", two.bad_job)]);
        let run = two.sandbox.sp(&["cancel", "--all"]);
        assert!(run.stderr.contains("Nothing to cancel"), "{n}: {run:?}");
        let run = two.sandbox.sp(&["apply", "-y", "-F", "n == 2", "--rerun", "n=2"]);
        assert!(run.stderr.contains("1 succeeded"), "{n}: {run:?}");
    }
}

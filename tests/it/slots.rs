//! Slots: how many jobs of a user run at once on a machine, whatever campaign and root they come from.

#![expect(clippy::unwrap_used, reason = "what a test rests on is there, or the test fails")]

use crate::support::{Sandbox, finish};

/// Writes when it began and when it ended, by the job's own clock.
const STAMPED: &str = r#"command = "b=$(date +%s%N); sleep 0.05; echo $b $(date +%s%N) >>{{ vars.stamps }}"
[vars]
stamps = "STAMPS"
[matrix]
n = { from = 1, to = 6, step = 1 }
"#;

fn stamped(sandbox: &Sandbox, name: &str) -> String {
    let stamps = sandbox.path().join("stamps");
    format!("name = {name:?}\n{}", STAMPED.replace("STAMPS", &stamps.to_string_lossy()))
}

/// The stamps of `jobs` jobs: no two of them overlap.
#[track_caller]
fn check_one_at_a_time(sandbox: &Sandbox, jobs: usize) {
    let text = std::fs::read_to_string(sandbox.path().join("stamps")).unwrap();
    let stamp = |word: &str| word.parse::<u64>().unwrap();
    let mut spans: Vec<(u64, u64)> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(begin, end)| (stamp(begin), stamp(end)))
        .collect();
    spans.sort_unstable();
    assert_eq!(spans.len(), jobs, "{text}");
    for pair in spans.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "two jobs ran at once:\n{text}");
    }
}

#[test]
fn one_slot_runs_one_job_at_a_time() {
    let sandbox = Sandbox::new();
    sandbox.write("campaign.toml", &stamped(&sandbox, "one"));
    sandbox.expect(0, &["apply"]);
    check_one_at_a_time(&sandbox, 6);
}

#[test]
fn two_campaigns_of_one_root_share_the_slot() {
    let sandbox = Sandbox::new();
    sandbox.write("a.toml", &stamped(&sandbox, "a"));
    sandbox.write("b.toml", &stamped(&sandbox, "b"));
    let (a, b) = (sandbox.spawn(&["apply", "a.toml"]), sandbox.spawn(&["apply", "b.toml"]));
    for run in [finish(a), finish(b)] {
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    check_one_at_a_time(&sandbox, 12);
}

#[test]
fn two_roots_of_one_user_share_the_slot() {
    let sandbox = Sandbox::new();
    for name in ["a", "b"] {
        let text = stamped(&sandbox, name) + &format!("[hosts.local]\nroot = \"~/root-{name}\"\n");
        sandbox.write(&format!("{name}.toml"), &text);
    }
    let (a, b) = (sandbox.spawn(&["apply", "a.toml"]), sandbox.spawn(&["apply", "b.toml"]));
    for run in [finish(a), finish(b)] {
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    check_one_at_a_time(&sandbox, 12);
}

/// Jobs that wait until four of them are there; alone, each gives up after a while.
const MEETING: &str = r#"
name = "meeting"
command = """
: >met.{{ n }}
i=0
until [ $(ls met.* | wc -l) -ge 4 ]; do
  i=$((i + 1))
  [ $i -lt 1000 ] || exit 9
  sleep 0.02
done
echo $SP_SLOT >slot.{{ n }}
"""
[matrix]
n = [0, 1, 2, 3]
[hosts.local]
slots = 4
"#;

#[test]
fn four_slots_run_four_jobs_at_once() {
    let sandbox = Sandbox::with(MEETING);
    sandbox.expect(0, &["apply"]);
    let mut slots: Vec<String> =
        (0..4).map(|n| sandbox.read(&format!("slot.{n}")).trim().to_owned()).collect();
    slots.sort_unstable();
    assert_eq!(slots, ["0", "1", "2", "3"]);
}

/// Each job looks how many are at work beside it, itself counted.
const CROWD: &str = r#"
name = "crowd"
command = """
mkdir at-work.{{ n }}
for i in 1 2 3 4 5; do ls | grep -c at-work >>crowd; sleep 0.02; done
rmdir at-work.{{ n }}
"""
[matrix]
n = { from = 1, to = 8, step = 1 }
[hosts.local]
slots = 4
"#;

#[test]
fn max_parallel_limits_jobs_at_once() {
    for (key, arguments) in
        [("", &["apply", "--max-parallel", "2"][..]), ("max-parallel = 2", &["apply"])]
    {
        let sandbox = Sandbox::with(&format!("{key}\n{CROWD}"));
        sandbox.expect(0, arguments);
        let seen: Vec<u32> =
            sandbox.read("crowd").lines().map(|line| line.trim().parse().unwrap()).collect();
        assert_eq!(seen.len(), 40);
        assert!(seen.iter().all(|at_once| *at_once <= 2), "{seen:?}");
    }
}

#[test]
fn max_fail_stops_and_the_next_apply_goes_on() {
    let sandbox = Sandbox::with(
        r#"
name = "failing"
command = "echo {{ n }} >>ran; [ -e fixed ]"
max-fail = 2
[matrix]
n = [1, 2, 3, 4, 5]
"#,
    );
    let states = || -> Vec<String> {
        let state = |row: &serde_json::Map<String, serde_json::Value>| {
            row["state"].as_str().unwrap().to_owned()
        };
        sandbox.results("failing").iter().map(state).collect()
    };
    let run = sandbox.expect(100, &["apply"]);
    assert_eq!(sandbox.read("ran"), "1\n2\n", "{}", run.stderr);
    assert_eq!(states(), ["failed", "failed", "pending", "pending", "pending"]);
    // Failures of an earlier apply do not count.
    sandbox.expect(100, &["apply"]);
    assert_eq!(sandbox.read("ran"), "1\n2\n1\n2\n");
    sandbox.expect(100, &["apply", "--max-fail", "3", "--no-failed"]);
    assert_eq!(sandbox.read("ran"), "1\n2\n1\n2\n3\n4\n5\n");
    sandbox.write("fixed", "");
    sandbox.expect(0, &["apply"]);
    assert_eq!(states(), ["succeeded"; 5]);
}

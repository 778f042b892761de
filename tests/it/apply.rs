//! The main way: jobs run once, end in the right state, and a second apply does nothing.

use crate::support::Sandbox;

#[test]
fn a_campaign_runs_and_a_second_apply_does_nothing() {
    let sandbox = Sandbox::with(
        r#"
name = "once"
command = "echo {{ n }} >> {{ work_dir }}/ran; exit {{ code }}"
[matrix]
n = [1, 2, 3]
code = { expr = "3 if n == 2 else 0" }
"#,
    );
    let run = sandbox.expect(100, &["apply"]);
    assert!(run.stderr.contains("exit code 3"), "{}", run.stderr);
    assert_eq!(sandbox.read("ran"), "1\n2\n3\n");
    let states: Vec<_> = sandbox.results("once").iter().map(|row| row["state"].clone()).collect();
    assert_eq!(states, ["succeeded", "failed", "succeeded"]);
    // The failed one alone runs again.
    sandbox.expect(100, &["apply"]);
    assert_eq!(sandbox.read("ran"), "1\n2\n3\n2\n");
    let run = sandbox.expect(100, &["apply", "--no-failed"]);
    assert!(run.stderr.contains("nothing to do"), "{}", run.stderr);
    assert_eq!(sandbox.read("ran"), "1\n2\n3\n2\n");
}

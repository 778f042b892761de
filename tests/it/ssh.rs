//! Hosts reached by ssh: a real sshd, its stock limits, real rsync and tmux.

use crate::support::Sandbox;

/// A sandbox with these hosts, whose campaign is this text and a table for each host.
fn campaign(names: &[&str], text: &str) -> Sandbox {
    let tables: Vec<String> =
        names.iter().map(|name| format!("[hosts.{name}]\nssh = \"{name}\"\n")).collect();
    let mut sandbox = Sandbox::with(&format!("{text}\n{}", tables.concat()));
    sandbox.hosts(names);
    sandbox
}

#[test]
fn jobs_run_there_and_their_logs_come_here() {
    let sandbox = campaign(
        &["box"],
        "name = 'far'\ncommand = 'echo {{ n }} on $SP_HOST; echo {{ n }} >> ~/ran'\n[matrix]\nn = [1, 2, 3]\n",
    );
    let run = sandbox.expect(0, &["apply"]);
    assert!(run.stderr.contains("3 succeeded"), "{run:?}");
    let ran = std::fs::read_to_string(sandbox.host_home("box").join("ran")).expect("jobs ran");
    assert_eq!(ran, "1\n2\n3\n");
    let logs = sandbox.expect(0, &["logs", "n=2"]);
    assert_eq!(logs.stdout, "2 on box\n");
    let again = sandbox.expect(0, &["apply"]);
    assert!(again.stderr.contains("nothing to do"), "{again:?}");
}

/// Conversations cost by host, not by job.
#[test]
fn channels_do_not_grow_with_jobs() {
    let channels = |jobs: u32| {
        let text =
            format!("name = 'far'\ncommand = 'true'\n[matrix]\nn = {{ from = 1, to = {jobs} }}\n");
        let sandbox = campaign(&["box"], &text);
        sandbox.expect(0, &["apply"]);
        let log = sandbox.ssh_log("box");
        assert!(sandbox.host_place("box", "far").join("journal").exists());
        log.lines().filter(|line| line.contains("Starting session: command")).count()
    };
    let (few, many) = (channels(10), channels(200));
    assert!(few > 0 && many <= few + 2, "{few} for 10 jobs, {many} for 200");
}

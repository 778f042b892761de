//! What a person is told of each fact.

use super::*;
use crate::host::{Account, RootFacts, Stray};

/// A host with nothing to complain about.
fn healthy() -> Examination {
    Examination {
        greeting: Some(Greeting {
            connected: Duration::from_millis(280),
            round_trip: Duration::from_millis(12),
            start_up: Duration::from_millis(3),
            shell: "/bin/bash".to_owned(),
            printed: String::new(),
        }),
        rsync_here: Some("rsync  version 3.2.7  protocol version 31".to_owned()),
        facts: Some(Facts {
            uid: 1000,
            path: "/home/ann/.local/share/sp/v2".to_owned(),
            root: root_on("ext4", "rw,relatime", false),
            tmux: Some("tmux 3.3a".to_owned()),
            rsync: Some("rsync  version 3.4.1  protocol version 32".to_owned()),
            free_bytes: Some(50_000_000_000),
            free_inodes: Some(3_000_000),
            locks_exclude: Some(true),
            secrets: "/dev/shm/sp-1000".to_owned(),
            logout: "keeps".to_owned(),
            ..Facts::default()
        }),
        clock_ahead_ms: Some(0),
        account: Some(Account::default()),
        channels: Some((8, 8)),
        ..Examination::default()
    }
}

fn root_on(kind: &str, options: &str, is_full: bool) -> RootFacts {
    RootFacts {
        file_system: kind.to_owned(),
        options: options.split(',').map(str::to_owned).collect(),
        is_full,
        lacks: Vec::new(),
    }
}

/// What is not as it should be, after a change: level, check, finding.
fn after(change: impl FnOnce(&mut Examination, &mut Facts)) -> Vec<String> {
    let mut found = healthy();
    let mut facts = found.facts.take().expect("facts");
    change(&mut found, &mut facts);
    found.facts = Some(facts);
    let findings = judge(&found, false, true);
    assert!(findings.iter().all(|one| (one.level == Level::Ok) == one.fix.is_none()));
    let bad = findings.iter().filter(|finding| finding.level != Level::Ok);
    bad.map(|one| format!("{} {}: {}", one.level.word(), one.check, one.text)).collect()
}

#[test]
fn a_healthy_host_has_no_finding_and_every_check() {
    let findings = judge(&healthy(), false, true);
    assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:#?}");
    let checks: Vec<&str> = findings.iter().map(|finding| finding.check).collect();
    assert_eq!(
        checks,
        [
            "ssh", "start-up", "sessions", "root", "space", "locks", "programs", "rsync", "tmux",
            "clock", "secrets", "logout"
        ]
    );
}

#[test]
fn each_thing_that_is_wrong_is_told() {
    let root = |kind: &'static str, options: &'static str| {
        after(move |_, facts| facts.root = root_on(kind, options, false))
    };
    assert_eq!(
        root("nfs4", "rw"),
        [
            "problem root: /home/ann/.local/share/sp lies on a network file system (nfs4), where a lock may be lost, \
          and with it the rule that a job starts once"
        ]
    );
    assert!(root("ext4", "rw,noexec")[0].starts_with("problem root:"));
    assert!(
        root("tmpfs", "rw")[0]
            .starts_with("warning root: /home/ann/.local/share/sp lies in memory")
    );
    let cleaned = after(|_, facts| facts.path = "/var/tmp/sp/v2".to_owned());
    assert_eq!(cleaned, ["warning root: /var/tmp/sp lies where machines clean up by themselves"]);
    // Of two things that are wrong each is told.
    assert_eq!(root("tmpfs", "rw,noexec").len(), 2);
    let full = after(|_, facts| facts.root.is_full = true);
    assert!(full[0].contains("cannot be written; is the disk full"), "{full:?}");

    assert_eq!(
        after(|_, facts| facts.free_bytes = Some(300_000_000)),
        ["warning space: 300 MB free, 3000000 inodes"]
    );
    assert_eq!(
        after(|_, facts| facts.free_inodes = Some(7)),
        ["problem space: 50 GB free, 7 inodes"]
    );
    assert_eq!(
        after(|_, facts| facts.locks_exclude = Some(false)),
        ["problem locks: two processes got the same lock"]
    );
    let no_flock = after(|_, facts| {
        facts.locks_exclude = None;
        facts.missing = vec!["flock".to_owned(), "rsync".to_owned()];
        facts.rsync = None;
    });
    assert_eq!(
        no_flock,
        [
            "problem locks: there is no `flock` to try them with",
            "problem programs: there is no `flock`",
            "problem rsync: there is no `rsync` there",
        ]
    );
    assert_eq!(
        after(|found, _| found.account =
            Some(Account { missing: vec!["uv".into()], ..Account::default() })),
        ["problem programs: jobs would find no `uv`"]
    );
    assert_eq!(
        after(|_, facts| facts.tmux = None),
        ["warning tmux: there is no `tmux`: jobs run without a window"]
    );
    assert_eq!(
        after(|found, _| found.clock_ahead_ms = Some(-90_000)),
        ["warning clock: 90.0 s behind this machine's"]
    );
    assert_eq!(
        after(|found, _| found.channels = Some((2, 8))),
        ["warning sessions: the ssh server gives 2 at once over one connection, of 8"]
    );
    assert_eq!(
        after(|_, facts| facts.logout = "kills".to_owned()),
        [
            "problem logout: systemd ends every process of yours with your last login (KillUserProcesses)"
        ]
    );
    assert!(after(|_, facts| (facts.logout, facts.uid) = ("kills".to_owned(), 0)).is_empty());
    assert!(after(|_, facts| facts.logout = "lingers".to_owned()).is_empty());
    let strays = after(|_, facts| {
        facts.strays = vec![Stray { pid: 7, root_gone: true }, Stray { pid: 9, root_gone: false }];
    });
    assert_eq!(
        strays,
        [
            "warning runners: runners that serve a root that is gone: 7",
            "warning runners: runners that are of another version of sp, with nothing queued: 9",
        ]
    );
}

#[test]
fn an_rsync_that_sends_no_snapshots_is_refused() {
    for (line, fine) in [
        ("rsync  version 3.1.3  protocol version 31", true),
        ("rsync  version v3.4.0  protocol version 32", true),
        ("rsync  version 3.0.9  protocol version 30", false),
        ("rsync  version 2.6.9  protocol version 29", false),
        ("openrsync: protocol version 29", false),
        ("", false),
    ] {
        let here = after(|found, _| found.rsync_here = Some(line.to_owned()));
        assert_eq!(here.is_empty(), fine, "{line}: {here:?}");
        let there = after(|_, facts| facts.rsync = Some(line.to_owned()));
        assert_eq!(there.is_empty(), fine, "{line}: {there:?}");
    }
}

#[test]
fn start_up_files_that_print_or_are_slow_are_told_apart() {
    let greeting = |printed: &str, millis| {
        let mut greeting = healthy().greeting.expect("one");
        greeting.printed = printed.to_owned();
        greeting.start_up = Duration::from_millis(millis);
        after(|found, _| found.greeting = Some(greeting))
    };
    assert_eq!(
        greeting("Welcome!", 5),
        ["problem start-up: start-up files print where nobody reads: Welcome!"]
    );
    assert_eq!(
        greeting("", 310),
        ["warning start-up: start-up files take 310 ms before each command starts"]
    );
    assert!(greeting("", 50).is_empty());
}

/// This machine keeps its jobs in the campaign's folder: neither rsync nor a clock of its own is asked for.
#[test]
fn this_machine_needs_less() {
    let mut found = healthy();
    (found.greeting, found.channels, found.rsync_here) = (None, None, None);
    if let Some(facts) = &mut found.facts {
        facts.rsync = None;
        facts.root = root_on("ext4", "noexec", false);
    }
    let findings = judge(&found, true, false);
    let checks: Vec<&str> = findings.iter().map(|finding| finding.check).collect();
    assert_eq!(checks, ["root", "space", "locks", "programs", "tmux", "secrets", "logout"]);
    assert!(findings.iter().all(|finding| finding.level != Level::Problem), "{findings:#?}");
}

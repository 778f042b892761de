//! From a hand-over to the ends of its jobs.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;

use super::world::{Batch, CAMPAIGN, VERSION, World, hex, job, quoted, records, verdict};
use crate::support::wait_until;

super::in_every_shell! {
    exit_codes_and_signals a_hundred_jobs_in_order two_slots_and_then_one damaged_repeated_and_weird noise
    secrets_go two_versions_in_one_root paused_work_spins_nobody log_over_its_limit log_of_a_long_job
    the_job_sees_its_own_environment max_fail prepare_and_cleanup waiting_leaves_nothing
    what_is_claimed_while_we_look_is_told secrets_that_have_gone secrets_that_were_cut_off
}

/// A job leaves the queue for its claim while the whole answer is made: whoever looks behind its back must have seen it in
/// the queue, or the client takes it for one that never came.
fn what_is_claimed_while_we_look_is_told(world: &World) {
    world.hand_over(&Batch::new([job("true")]));
    world.drained();
    fs::write(world.root.join("v2").join(CAMPAIGN).join("paused"), "").expect("a file");
    let late = job("echo late");
    world.hand_over(&Batch::new([late.clone()]));
    world.sandbox.wait_quiet();
    assert_eq!(world.records("queued")[0]["id"], late.id);
    let claim = format!(
        "settle_campaign() {{ mkdir -p \"$V/$C/jobs/{0}\" && ln -s try-1.x \"$V/$C/jobs/{0}/1\"; }}\n",
        late.id
    );
    world.install(VERSION, &claim);
    let told = world.records("queued");
    assert!(world.jobs().join(&late.id).join("1").is_symlink());
    assert_eq!(told.len(), 1, "neither queued nor claimed: {told:?}");
    assert_eq!(told[0]["id"], late.id);
}

pub(super) fn exit_codes_and_signals(world: &World) {
    let cases = [
        ("exit 0", "succeeded ok 0 none"),
        ("exit 1", "failed exit-code 1 none"),
        ("exit 255", "failed exit-code 255 none"),
        ("exit 137", "failed exit-code 137 none"),
        ("kill -s KILL $$", "failed signal 137 KILL"),
        ("kill -s TERM $$", "failed signal 143 TERM"),
        ("kill -s SEGV $$", "failed signal 139 SEGV"),
        ("kill -s HUP $$", "failed signal 129 HUP"),
        // No shell says that a child died of these.
        ("kill -s INT $$", "failed exit-code 130 none"),
        ("kill -s PIPE $$", "failed exit-code 141 none"),
    ];
    let ends = world.run(&Batch::new(cases.map(|(command, _)| job(command))));
    for (command, wanted) in cases {
        assert_eq!(verdict(&ends, &job(command)), wanted, "{command}");
    }
    assert_eq!(world.errors(), "");
}

pub(super) fn a_hundred_jobs_in_order(world: &World) {
    let jobs = (0..100).map(|i| job(format!("echo {i} >>order")));
    let ends = world.run(&Batch::new(jobs));
    assert_eq!(ends.len(), 100);
    assert!(ends.values().all(|end| end["state"] == "succeeded" && end["by"] == "runner"));
    let wanted: Vec<String> = (0..100).map(|i: i32| i.to_string()).collect();
    assert_eq!(world.lines("order"), wanted);
    assert!(records(&world.probe(), "queued").is_empty());
    assert_eq!(world.errors(), "");
}

pub(super) fn two_slots_and_then_one(world: &World) {
    // Each waits for the other, so they are done only if they run at once.
    let meet = |mine, other| {
        job(format!(
            ": >{mine}; while [ ! -e {other} ]; do sleep 0.02; done; echo $SP_SLOT >>slots"
        ))
    };
    let mut batch = Batch::new([meet("a", "b"), meet("b", "a")]).with("B_LIMIT=30.00");
    batch.slots = 2;
    let ends = world.run(&batch);
    assert!(ends.values().all(|end| end["state"] == "succeeded"), "{ends:#?}");
    let mut slots = world.lines("slots");
    slots.sort();
    assert_eq!(slots, ["0", "1"]);
    // Two runners, but the work of this one is for one slot.
    let alone =
        (0..4).map(|i| job(format!("mkdir busy || echo {i} >>overlap; sleep 0.02; rmdir busy")));
    world.hand_over(&Batch::new(alone));
    world.ask("kick", &["2"], "");
    world.drained();
    assert!(world.lines("overlap").is_empty());
    assert_eq!(world.errors(), "");
}

pub(super) fn damaged_repeated_and_weird(world: &World) {
    let batch = Batch::new([job("echo x >>count")]);
    let (text, hash) = world.text(&batch);
    let name = batch.name();
    let wrong = hex(b"something else");
    let refused = world.ask("hand_over", &[CAMPAIGN, "none", &name, &wrong, "1"], &text);
    assert_eq!(refused, "refused damaged .\n");
    let cut = &text[..text.len() - 5];
    let refused = world.ask("hand_over", &[CAMPAIGN, "none", &name, &hash, "1"], cut);
    assert_eq!(refused, "refused damaged .\n");
    // Meant for a root that was here before.
    let other = "0123456789abcdef";
    let refused = world.ask("hand_over", &[CAMPAIGN, "none", &name, &hash, "1", other], &text);
    assert_eq!(refused, "refused root .\n");
    assert!(world.records("queued").is_empty());
    for _ in 0..3 {
        world.hand_over(&batch);
    }
    world.drained();
    world.run(&batch);
    assert_eq!(world.lines("count"), ["x"]);
    // Words that would lead out of their folder, or are none.
    for weird in ["", ".", "..", "a/b", "../x", "-n", "a b", "a;b", "*", "a\nb", "$(id)", "é"] {
        let campaign = format!("camp~{weird}");
        for arguments in [
            vec!["probe", weird, "x", "0", "none"],
            vec!["probe", &campaign, "x", "0", "none"],
            vec!["evidence", CAMPAIGN, weird],
            vec!["hand_over", CAMPAIGN, "none", weird, &hash, "1"],
        ] {
            let answer = world.ask_any(arguments[0], &arguments[1..], &text);
            assert!(!answer.framed && answer.code == Some(64), "{arguments:?}: {}", answer.body);
        }
        world.ask("accept", &[CAMPAIGN], &format!("{weird} {weird}\n"));
        world.ask("cancel", &[CAMPAIGN, "user", "0"], &format!("{weird} 1 a\n"));
    }
    assert_eq!(fs::read_dir(world.jobs()).expect("jobs").count(), 1);
}

pub(super) fn noise(world: &World) {
    // What a profile prints is in front of the answer; the account's login shell may print too.
    fs::write(world.sandbox.home().join(".profile"), "echo noise; echo sp-path:no\n")
        .expect("a profile");
    let body = world.ask("account", &["sh", "no-such-program"], "");
    assert!(body.contains("account missing=no-such-program\n"), "{body}");
    assert!(body.lines().all(|line| line.starts_with("account ")), "{body}");
    assert!(body.lines().any(|line| line.starts_with("account PATH=/")), "{body}");
}

pub(super) fn secrets_go(world: &World) {
    let folder = |world: &World| -> Vec<String> {
        let root = fs::read_to_string(world.root.join("v2/root-id")).expect("a root id");
        let uid = rustix::process::geteuid().as_raw();
        [format!("/dev/shm/sp-{uid}"), world.root.join("v2/secrets").display().to_string()]
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten()
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with(root.trim()))
            .collect()
    };
    let mut one = job("echo \"$TOKEN\" >>seen");
    "; ENVIRONMENT() { export TOKEN=\"$SP_SECRET_T\"; }".clone_into(&mut one.more);
    let mut two = job(
        "echo \"$TOKEN\" >>seen; env | grep -c SP_SECRET_ >>raw; : >two; while [ ! -e go ]; do sleep 0.02; done",
    );
    two.more.clone_from(&one.more);
    let mut batch = Batch::new([one, two]);
    batch.secrets = format!("SP_SECRET_T={}\n", quoted("a $b 'c'"));
    world.hand_over(&batch);
    world.wait_for("two");
    // The last job of the hand-over runs: nothing is left.
    assert_eq!(folder(world), Vec::<String>::new());
    fs::write(world.at("go"), "").expect("a file");
    world.drained();
    assert_eq!(world.lines("seen"), ["a $b 'c'", "a $b 'c'"]);
    // Asked again, and withdrawn: nothing either.
    world.run(&batch);
    let text =
        fs::read_to_string(world.root.join("v2").join(CAMPAIGN).join("journal")).expect("journal");
    assert!(!text.contains("$b"));
    world.sandbox.write("paused", "");
    fs::write(world.root.join("v2").join(CAMPAIGN).join("paused"), "").expect("a file");
    let mut third = Batch::new([job("echo never >>seen")]);
    third.secrets.clone_from(&batch.secrets);
    world.hand_over(&third);
    assert_eq!(folder(world).len(), 1);
    world.ask("withdraw", &[CAMPAIGN, &third.apply], "");
    assert_eq!(folder(world), Vec::<String>::new());
    world.hand_over(&third);
    assert_eq!(folder(world), Vec::<String>::new());
    world.sandbox.wait_quiet();
}

/// A line that dies in the last bytes must not start jobs without their secrets.
fn secrets_that_were_cut_off(world: &World) {
    let mut batch = Batch::new([job("echo ran >>seen")]);
    batch.secrets = format!("SP_SECRET_A={}\nSP_SECRET_B={}\n", quoted("one"), quoted("two"));
    let (text, hash) = world.text(&batch);
    let ask =
        |text: &str| world.ask("hand_over", &[CAMPAIGN, "none", &batch.name(), &hash, "1"], text);
    for cut in ["secrets-end", "SP_SECRET_B", "SP_SECRET_A", "secrets\n"] {
        let end = text.find(cut).expect("it is there");
        assert_eq!(ask(&text[..end]), "refused damaged .\n", "before {cut}");
    }
    assert!(!world.at("seen").exists());
    assert_eq!(ask(&text), "taken .\n");
    world.drained();
    assert_eq!(world.lines("seen"), ["ran"]);
}

/// A logout may take the files of an account from memory, between the claim and the start, too. The command is not run without
/// them.
fn secrets_that_have_gone(world: &World) {
    world.install(VERSION, "stand_by() { rm -f \"$SECRET\"; }\n");
    let only = job("echo ran >>seen");
    let mut batch = Batch::new([only.clone()]);
    batch.secrets = format!("SP_SECRET_T={}\n", quoted("a"));
    let ends = world.run(&batch);
    assert_eq!(verdict(&ends, &only), "failed exit-code 126 none");
    let log = fs::read_to_string(world.attempt(&only).join("log")).expect("a log");
    assert!(log.contains("cannot read the secrets"), "{log}");
    assert!(!world.at("seen").exists());
}

fn two_versions_in_one_root(world: &World) {
    world.install("version-b", "judge() { STATE=failed WHY=exit-code SIGNAL=none MARKER=none; }\n");
    let a = [job("echo 1"), job("echo 3")];
    let b = [job("echo 2"), job("echo 4")];
    let mut other = Batch::new(b.clone());
    "version-b".clone_into(&mut other.version);
    fs::create_dir_all(world.root.join("v2").join(CAMPAIGN)).expect("a folder");
    fs::write(world.root.join("v2").join(CAMPAIGN).join("paused"), "").expect("a file");
    world.hand_over(&Batch::new([a[0].clone()]));
    world.hand_over(&other);
    world.hand_over(&Batch::new([a[1].clone()]));
    fs::remove_file(world.root.join("v2").join(CAMPAIGN).join("paused")).expect("resumed");
    world.kick();
    let ends = world.drained();
    for job in &a {
        assert_eq!(verdict(&ends, job), "succeeded ok 0 none");
        assert!(world.state(job).contains(&format!(" script={VERSION} ")));
    }
    for job in &b {
        assert_eq!(verdict(&ends, job), "failed exit-code 0 none");
        assert!(world.state(job).contains(" script=version-b "));
    }
    // One process did it all, with its locks.
    assert_eq!(world.number(&a[0], "rid"), world.number(&b[1], "rid"));
    assert_eq!(world.errors(), "");
}

fn paused_work_spins_nobody(world: &World) {
    world.run(&Batch::new([job("true")]));
    let paused = world.root.join("v2").join(CAMPAIGN).join("paused");
    fs::write(&paused, "").expect("a file");
    let batch = Batch::new([job("echo x >>count")]);
    world.hand_over(&batch);
    // Whoever was started leaves, and nobody takes over.
    world.sandbox.wait_quiet();
    assert_eq!(world.records("queued").len(), 1);
    assert!(world.probe().contains("paused .\n"));
    fs::remove_file(paused).expect("resumed");
    world.kick();
    world.drained();
    assert_eq!(world.lines("count"), ["x"]);
}

pub(super) fn log_over_its_limit(world: &World) {
    let long = job("i=0; while [ $i -lt 3000 ]; do echo line-$i-; i=$((i + 1)); done");
    let exact = job("printf %01000d 0");
    let ends = world.run(&Batch::new([long.clone(), exact.clone()]).with("B_LOG_MAX=1000"));
    assert!(ends.values().all(|end| end["state"] == "succeeded"));
    let log = fs::read_to_string(world.attempt(&long).join("log")).expect("a log");
    assert!(log.starts_with("line-0-\n") && log.ends_with("line-2999-\n"), "{log}");
    assert!(log.contains("bytes left out") && log.len() < 1200, "{}", log.len());
    assert_eq!(fs::read(world.attempt(&exact).join("log")).expect("a log").len(), 1000);
}

/// While a long job writes on, the middle of its log goes; what is kept at the end had stayed.
fn log_of_a_long_job(world: &World) {
    use std::os::unix::fs::MetadataExt as _;
    let probe = world.at("probe");
    fs::write(&probe, vec![b'x'; 8192]).expect("a file");
    if !world
        .try_command("fallocate", &["-p", "-o", "0", "-l", "4096", probe.to_str().expect("UTF-8")])
    {
        // busybox, or a file system without holes: then nothing is cut before the end.
        return;
    }
    let lines = "i=0; while [ $i -lt 20000 ]; do echo line-$i-; i=$((i + 1)); done";
    let long = job(format!("{lines}; until [ -e go ]; do sleep 0.02; done; echo last"));
    world.hand_over(&Batch::new([long.clone()]).with("B_LOG_MAX=10000"));
    let log = world.attempt(&long).join("log");
    wait_until("the middle is gone", || {
        let about = fs::metadata(&log);
        about.is_ok_and(|about| about.len() > 100_000 && about.blocks() * 512 < 60_000)
    });
    fs::write(world.at("go"), "").expect("a file");
    let ends = world.drained();
    assert_eq!(verdict(&ends, &long), "succeeded ok 0 none");
    let log = fs::read(&log).expect("a log");
    assert!(log.starts_with(b"line-0-\n") && log.ends_with(b"line-19999-\nlast\n"));
    assert!(log.len() < 10_200 && !log.contains(&0), "no hole is shown");
}

pub(super) fn the_job_sees_its_own_environment(world: &World) {
    let look = job("env >seen; echo \"$#\" >>seen; cat >>seen");
    world.run(&Batch::new([look.clone()]));
    let seen = world.lines("seen");
    for name in ["SP_SH", "SP_TEST_SH", "SP_FAULT", "LC_ALL", "TMUX", "TMUX_TMPDIR", "SP_SECRET_T"]
    {
        assert!(
            !seen.iter().any(|line| line.starts_with(&format!("{name}="))),
            "{name} in {seen:#?}"
        );
    }
    for wanted in
        [format!("SP_JOB_ID={}", look.id), "SP_ATTEMPT=1".to_owned(), "SP_HOST=local".to_owned()]
    {
        assert!(seen.contains(&wanted), "{wanted} not in {seen:#?}");
    }
}

fn max_fail(world: &World) {
    let jobs: Vec<_> = (0..8).map(|i| job(format!("echo {i} >>count; exit 3"))).collect();
    world.run(&Batch::new(jobs).with("B_MAX_FAIL=3"));
    assert_eq!(world.lines("count").len(), 3);
    assert!(world.records("queued").is_empty());
}

pub(super) fn prepare_and_cleanup(world: &World) {
    let mut good = job("echo command >>order");
    "; PREPARE() { script prepare 'echo prepare >>order'; }; \
                 CLEANUP() { script cleanup 'echo cleanup >>order; sleep 600 & exit 4'; }"
        .clone_into(&mut good.more);
    let mut bad = job("echo never >>order");
    bad.more = good.more.replace(">>order'; }; ", ">>order; exit 7'; }; ");
    let ends = world.run(&Batch::new([good.clone(), bad.clone()]).with("B_PREPARE=1 B_CLEANUP=1"));
    assert_eq!(verdict(&ends, &good), "succeeded ok 0 none");
    assert_eq!(verdict(&ends, &bad), "failed prepare 7 none");
    assert_eq!(world.lines("order"), ["prepare", "command", "cleanup", "prepare", "cleanup"]);
    let log = fs::read_to_string(world.attempt(&good).join("log")).expect("a log");
    assert!(log.contains("cleanup ended with code 4"), "{log}");
}

fn waiting_leaves_nothing(world: &World) {
    world.hand_over(&Batch::new([job(": >started; while [ ! -e go ]; do sleep 0.02; done")]));
    world.wait_for("started");
    let waiting = || {
        let all = world.sandbox.processes();
        // The window of a job that has lived for a moment follows its log with `-F`.
        let tail = |line: &str| line.contains("tail ") && !line.contains(" -F ");
        all.iter().filter(|(_, line)| tail(line) || line.contains(" wait ")).count()
    };
    let mut child = world.start("wait", &[CAMPAIGN, "0", "50"], "");
    wait_until("the journal is followed", || waiting() > 1);
    // The client's end of the line is gone: so is all that it started, long before the time is over.
    child.kill().expect("killed");
    child.wait().expect("ended");
    wait_until("nobody waits", || waiting() == 0);
    // The bound holds, too.
    let body = world.ask("wait", &[CAMPAIGN, "0", "1"], "");
    assert_eq!(records(&body, "start").len(), 1, "{body}");
    assert!(records(&body, "end").is_empty());
    fs::write(world.at("go"), "").expect("a file");
    world.drained();
}

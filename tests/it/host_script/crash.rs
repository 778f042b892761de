//! Deaths of the processes that keep watch, reboots, and machines that are not this one.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;

use rustix::process::Signal;

use super::world::{Batch, CAMPAIGN, Job, World, job, kill, quoted, verdict};
use crate::support::wait_until;

super::in_every_shell! {
    runner_dies_at_every_step a_runner_that_always_dies_is_paced the_stub_dies runner_and_stub_die an_orphan_is_supervised what_an_orphan_leaves_is_ended a_folder_that_goes_holds_up_nobody a_root_made_anew_is_not_the_old_runners a_root_that_goes_under_a_hand_over everything_dies_then_reboot
    a_foreign_attempt_is_never_sealed a_stranger_with_our_pid_lives a_root_that_goes_under_a_question
}

/// Jobs that count their starts, and what they must have come to.
fn three(point: &str) -> [Job; 3] {
    [1, 2, 3].map(|i| job(format!("echo {i} >>count; : {point}; exit {}", i % 2)))
}

fn runner_dies_at_every_step(world: &mut World) {
    let points = [
        ("before-claim", "failed exit-code 1 none"),
        ("claimed", "lost before-start none none"),
        ("claim-durable", "lost before-start none none"),
        ("job-ended", "failed exit-code 1 none"),
        ("end-written", "failed exit-code 1 none"),
    ];
    for (point, wanted) in points {
        drop(fs::remove_file(world.at("count")));
        let jobs = three(point);
        world.set("SP_FAULT", point);
        world.hand_over(&Batch::new(jobs.clone()));
        world.ask("wait", &[CAMPAIGN, "0", "50"], "");
        world.set("SP_FAULT", "");
        world.kick();
        let ends = world.drained();
        assert!(
            world.sandbox.home().join(format!("sp-fault.{point}")).exists(),
            "{point} was passed"
        );
        assert_eq!(verdict(&ends, &jobs[0]), wanted, "{point}");
        assert_eq!(verdict(&ends, &jobs[1]), "succeeded ok 0 none", "{point}");
        assert_eq!(verdict(&ends, &jobs[2]), "failed exit-code 1 none", "{point}");
        let started: &[&str] =
            if wanted.starts_with("lost") { &["2", "3"] } else { &["1", "2", "3"] };
        assert_eq!(world.lines("count"), started, "{point}");
        assert!(world.records("queued").is_empty() && world.records("open").is_empty());
    }
    assert_eq!(world.errors(), "");
}

/// The first successor comes at once, each further one after a second: what happened stands in `told`, in its order.
fn a_runner_that_always_dies_is_paced(world: &World) {
    let told = || {
        let text = fs::read_to_string(world.sandbox.home().join("told")).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let dies = "fault() { [ \"$1\" != before-claim ] || { echo death >>\"$HOME/told\"; kill -9 $$; }; }\n\
                sleep() { echo \"sleep $1\" >>\"$HOME/told\"; command sleep \"$1\"; }\n";
    world.install(super::world::VERSION, dies);
    let job = job("echo one >>count");
    world.hand_over(&Batch::new([job.clone()]));
    wait_until("four have died", || told().iter().filter(|line| *line == "death").count() == 4);
    world.sandbox.kill_runners();
    let paced = ["death", "death", "sleep 1", "death", "sleep 1", "death"];
    assert_eq!(told()[..6], paced);
    let locks = fs::read_dir(world.root.join("v2/run")).expect("a folder").flatten();
    let lives = locks.filter(|lock| lock.file_name().to_string_lossy().starts_with("life."));
    assert!(lives.count() <= 3, "what the dead left is tidied");
    // Once it does not die any more all is as ever, and who leaves by itself is no death.
    world.install(super::world::VERSION, &dies.replace("before-claim", "nowhere"));
    world.kick();
    let ends = world.drained();
    assert_eq!(verdict(&ends, &job), "succeeded ok 0 none");
    let waits = || told().iter().filter(|line| *line == "sleep 1").count();
    let before = waits();
    for number in 0..3 {
        world.run(&Batch::new([self::job(format!("echo {number} >>count"))]));
    }
    assert_eq!(waits(), before);
    assert_eq!(world.lines("count"), ["one", "0", "1", "2"]);
    assert_eq!(world.errors(), "");
}

fn the_stub_dies(world: &mut World) {
    let points = [
        ("stub-before-start", "before-start", 2),
        ("stub-started", "stub-killed", 2),
        ("stub-ended", "stub-killed", 3),
    ];
    for (point, why, started) in points {
        drop(fs::remove_file(world.at("count")));
        let jobs = three(point);
        world.set("SP_FAULT", point);
        world.hand_over(&Batch::new(jobs.clone()));
        let ends = world.drained();
        assert_eq!(verdict(&ends, &jobs[0]), format!("lost {why} none none"), "{point}");
        assert_eq!(verdict(&ends, &jobs[1]), "succeeded ok 0 none", "{point}");
        assert_eq!(world.lines("count").len(), started, "{point}");
        world.set("SP_FAULT", "");
    }
}

/// A job that is there until `go` is.
fn long(name: &str) -> Job {
    job(format!("echo {name} >>count; : >{name}; while [ ! -e go ]; do sleep 0.02; done"))
}

fn runner_and_stub_die(world: &World) {
    // The command lives on: an orphan, whose slot stays busy; nobody will ever know its exit code.
    let (first, second) = (long("one"), long("two"));
    world.hand_over(&Batch::new([first.clone(), second.clone()]));
    world.wait_for("one");
    world.sandbox.kill_runners();
    kill(world.number(&first, "pid"), Signal::KILL);
    let open = world.records("open");
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["verdict"], "orphan");
    world.kick();
    // The next one waits for it.
    assert_eq!(world.lines("count"), ["one"]);
    fs::write(world.at("go"), "").expect("a file");
    let ends = world.drained();
    assert_eq!(verdict(&ends, &first), "lost killed none none");
    assert_eq!(verdict(&ends, &second), "succeeded ok 0 none");
    assert_eq!(world.lines("count"), ["one", "two"]);
}

fn an_orphan_is_supervised(world: &World) {
    // Limit and marker of an orphan hold; it is started once; its exit code is the stub's.
    let mut marked = long("one");
    "marker_file 0 \"$SP_OUT_DIR\" nothing".clone_into(&mut marked.markers);
    let over = job(": >over; sleep 600");
    world.hand_over(&Batch::new([marked.clone()]).with("B_MARKERS=1"));
    world.wait_for("one");
    world.sandbox.kill_runners();
    world.kick();
    world.wait_supervised();
    fs::write(world.at("go"), "").expect("a file");
    let ends = world.drained();
    assert_eq!(verdict(&ends, &marked), "failed marker-missing 0 none");
    assert_eq!(ends.values().next().expect("an end")["by"], "orphan");
    world.hand_over(&Batch::new([over.clone()]).with("B_LIMIT=1.50"));
    world.wait_for("over");
    world.sandbox.kill_runners();
    world.kick();
    let ends = world.drained();
    assert!(verdict(&ends, &over).starts_with("timeout time-limit "), "{ends:#?}");
    assert_eq!(world.lines("count"), ["one"]);
}

/// Its exit is on record, but what it left behind holds its lock: that is ended as any other's, not waited for.
fn what_an_orphan_leaves_is_ended(world: &World) {
    let lingers =
        job("sleep 600 & echo one >>count; : >one; while [ ! -e go ]; do sleep 0.02; done");
    let next = job("echo two >>count");
    world.hand_over(&Batch::new([lingers.clone(), next.clone()]));
    world.wait_for("one");
    world.sandbox.kill_runners();
    world.kick();
    world.wait_supervised();
    fs::write(world.at("go"), "").expect("a file");
    let ends = world.drained();
    assert_eq!(verdict(&ends, &lingers), "succeeded ok 0 none");
    let end = &ends[&format!("{}/1", lingers.id)];
    assert_eq!((end["by"].as_str(), end["left"].as_str()), ("orphan", "cleaned"));
    assert_eq!(verdict(&ends, &next), "succeeded ok 0 none");
    assert_eq!(world.lines("count"), ["one", "two"]);
}

/// A job that removes its own folder on the host costs its own record, not the queue.
fn a_folder_that_goes_holds_up_nobody(world: &World) {
    let first = job("rm -rf \"${SP_OUT_DIR%/*/*}\"; echo one >>count");
    let second = job("echo two >>count");
    let last = job("rm -rf \"${SP_OUT_DIR%/*/*}\"; echo three >>count");
    let ends = world.run(&Batch::new([first, second.clone(), last]));
    assert_eq!(verdict(&ends, &second), "succeeded ok 0 none");
    assert_eq!(world.lines("count"), ["one", "two", "three"]);
}

/// The root is removed under a job, and made anew in its place: whoever served the old one takes nothing from the new one's
/// queue. (It has the slot, so it is the first to come by.)
fn a_root_made_anew_is_not_the_old_runners(world: &World) {
    let (first, second) = (long("one"), job("echo two >>count"));
    world.hand_over(&Batch::new([first]));
    world.wait_for("one");
    fs::remove_dir_all(&world.root).expect("a root");
    world.install(super::world::VERSION, "");
    world.hand_over(&Batch::new([second.clone()]));
    fs::write(world.at("go"), "").expect("a file");
    let ends = world.drained();
    assert_eq!(verdict(&ends, &second), "succeeded ok 0 none");
    assert_eq!(world.lines("count"), ["one", "two"]);
}

/// The root is being removed while somebody asks what it has: what is missing from such an answer may have run, so it is none.
fn a_root_that_goes_under_a_question(world: &World) {
    let gone = ["$V/root-id", "$V/$C/jobs", "$V/$C/queue", "$V/$C/instance"];
    for missing in gone {
        let only = job(format!("echo '{missing}' >>count"));
        world.run(&Batch::new([only.clone()]));
        let more =
            format!("queued_entries() {{ rm -rf \"$V/$C/jobs/{}\" \"{missing}\"; }}\n", only.id);
        world.install(super::world::VERSION, &more);
        let answer = world.ask_any("probe", &[CAMPAIGN, "none", "0", "none"], "");
        assert!(!answer.framed, "{missing}: {}", answer.body);
        fs::remove_dir_all(&world.root).expect("a root");
        world.install(super::world::VERSION, "");
    }
    assert_eq!(world.lines("count").len(), gone.len());
}

/// The root goes at any step of a hand-over. What is told afterwards of its jobs is that they went with it, so none of them may
/// run in the root that comes in its place, whether the answer was that it was taken or not.
fn a_root_that_goes_under_a_hand_over(world: &World) {
    let steps = [
        "mkdir */queue",
        "mkdir */withdrawn",
        "mkdir in.*",
        "awk *",
        "sha256sum *",
        "flock 5",
        "mv in.*",
    ];
    let gone = world.sandbox.path().join("gone");
    for step in steps {
        let (program, arguments) = step.split_once(' ').expect("two words");
        // Once, as the step begins.
        let more = format!(
            "{program}() {{ case \"$*\" in {arguments}) [ -e {gone} ] || mv \"$ROOT\" {gone} ;; esac; command {program} \"$@\"; }}\n",
            gone = quoted(gone.to_str().expect("UTF-8")),
        );
        world.install(super::world::VERSION, "");
        let probe = world.records("host");
        world.install(super::world::VERSION, &more);
        let batch = Batch::new([job(format!("echo {} >>count", step.replace(['*', '/'], "")))]);
        let (text, hash) = world.text(&batch);
        let words = [CAMPAIGN, "none", &batch.name(), &hash, "1", &probe[0]["root"]];
        let answer = world.ask_any("hand_over", &words, &text);
        assert!(gone.exists(), "{step}: {} {}", answer.body, answer.stderr);
        world.install(super::world::VERSION, "");
        assert_ne!(world.records("host")[0]["root"], probe[0]["root"], "{step}");
        world.kick();
        world.drained();
        assert_eq!(world.lines("count"), [""; 0], "{step}: {}", answer.body);
        fs::remove_dir_all(&gone).expect("the old root");
        fs::remove_dir_all(&world.root).expect("the new root");
    }
}

fn everything_dies_then_reboot(world: &mut World) {
    let boot = world.sandbox.path().join("boot");
    let all = [long("one"), long("two"), long("three")];
    for (job, reason) in all.iter().zip(["killed", "restart", "reboot"]) {
        fs::write(&boot, "first-boot\n").expect("a file");
        world.set("SP_BOOT_ID_FILE", boot.to_str().expect("UTF-8"));
        world.hand_over(&Batch::new([job.clone()]));
        wait_until("it runs", || world.state(job).contains("\nstart "));
        let stub = world.number(job, "pid");
        world.sandbox.kill_runners();
        kill(stub, Signal::KILL);
        for (pid, line) in world.sandbox.processes() {
            if !line.starts_with("tmux ") {
                kill(pid, Signal::KILL);
            }
        }
        world.sandbox.wait_quiet();
        match reason {
            "reboot" => fs::write(&boot, "second-boot\n").expect("a file"),
            // The life of pid 1 stands behind the boot's name.
            "restart" => {
                let state = world.attempt(job).join("state");
                let text = world.state(job).replace("boot=first-boot.", "boot=first-boot.9");
                fs::write(state, text).expect("a file");
            }
            _ => {}
        }
        let ends = world.ends();
        assert_eq!(verdict(&ends, job), format!("lost {reason} none none"));
        // The same on a second look, and whatever runs then.
        assert_eq!(ends, world.ends());
    }
}

fn a_foreign_attempt_is_never_sealed(world: &mut World) {
    let machine = world.sandbox.path().join("machine");
    fs::write(&machine, "elsewhere\n").expect("a file");
    world.set("SP_MACHINE_ID_FILE", machine.to_str().expect("UTF-8"));
    let job = long("one");
    world.hand_over(&Batch::new([job.clone()]));
    world.wait_for("one");
    world.set("SP_MACHINE_ID_FILE", "");
    // From here the job runs on another machine, and its runner with it.
    assert_eq!(world.records("open")[0]["verdict"], "foreign");
    world.ask("cancel", &[CAMPAIGN, "user", "0"], &format!("{} 1 a\n", job.id));
    assert!(!world.state(&job).contains("\nstop "));
    assert!(world.ends().is_empty());
    // A runner of ours has nothing to do with it, and does not stay for it. (It has another machine's slot to itself, but
    // the same root.)
    world.sandbox.kill_runners();
    world.kick();
    let runners =
        || world.sandbox.processes().iter().filter(|(_, l)| l.contains(" runner ")).count();
    wait_until("our runner leaves", || runners() == 0);
    assert_eq!(world.records("open")[0]["verdict"], "foreign");
    fs::write(world.at("go"), "").expect("a file");
    world.sandbox.wait_quiet();
    assert!(world.state(&job).contains("\nexit rc=0 "));
}

fn a_stranger_with_our_pid_lives(world: &World) {
    let job = long("one");
    world.hand_over(&Batch::new([job.clone()]));
    world.wait_for("one");
    let stub = world.number(&job, "pid");
    world.sandbox.kill_runners();
    for (pid, line) in world.sandbox.processes() {
        if !line.starts_with("tmux ") {
            kill(pid, Signal::KILL);
        }
    }
    kill(stub, Signal::KILL);
    world.sandbox.wait_quiet();
    // A session that has the number on record by now, with and without its leader.
    let script =
        "setsid sh -c 'sleep 600 & echo $$ $! >stranger; exec sleep 600' >/dev/null 2>&1 &\n";
    crate::support::shell(&world.sandbox.campaign(), script);
    wait_until("a stranger", || world.lines("stranger").len() == 1);
    let line = world.lines("stranger")[0].clone();
    let (leader, child) = line.split_once(' ').expect("two pids");
    let (leader, child): (i32, i32) =
        (leader.parse().expect("a pid"), child.parse().expect("a pid"));
    let state = world.state(&job).replace(&format!(" pid={stub} "), &format!(" pid={leader} "));
    fs::write(world.attempt(&job).join("state"), &state).expect("a file");
    let alive = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['S', 'R', 'D']))
    };
    let cancel = format!("{} 1 a\n", job.id);
    let copy = job.clone();
    world.ask("cancel", &[CAMPAIGN, "user", "0"], &cancel);
    assert!(verdict(&world.ends(), &copy).starts_with("cancelled by-user"));
    assert!(alive(leader) && alive(child));
    kill(leader, Signal::KILL);
    wait_until("the leader has ended", || !alive(leader));
    fs::write(world.attempt(&job).join("state"), &state).expect("a file");
    fs::remove_file(world.root.join("v2").join(CAMPAIGN).join("journal")).expect("gone");
    world.ask("cancel", &[CAMPAIGN, "user", "0"], &cancel);
    assert!(alive(child));
    assert!(verdict(&world.ends(), &copy).starts_with("cancelled by-user"));
    kill(child, Signal::KILL);
}

//! The ends that somebody asked for.

#![expect(clippy::disallowed_methods, reason = "tests put files where folders should be")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use super::world::{Batch, CAMPAIGN, Job, World, job, quoted, records, verdict};

super::in_every_shell! {
    cancel_whatever_it_is_at cancel_of_many cancel_against_the_claim withdraw_against_the_claim time_limits
    a_limit_that_is_over_before_the_start moves_what_nobody_has_claimed a_move_against_the_claim
    a_mark_without_a_word_is_a_persons a_list_that_was_cut_off_is_none an_attempt_after_one_elsewhere another_root_is_asked_in_vain a_root_that_goes_under_a_move_or_a_cancel
}

fn ask_cancel(world: &World, jobs: &[&Job], grace: &str) -> String {
    let lines: Vec<String> =
        jobs.iter().map(|job| format!("{} {} a\n", job.id, job.attempt)).collect();
    world.ask("cancel", &[CAMPAIGN, "user", grace], &lines.concat())
}

fn cancel_whatever_it_is_at(world: &World) {
    let done = job("echo done >>count");
    let running = job("echo running >>count; : >running; sleep 600");
    let queued = job("echo queued >>count");
    let last = job("echo last >>count");
    world.hand_over(&Batch::new([done.clone(), running.clone(), queued.clone(), last.clone()]));
    world.wait_for("running");
    ask_cancel(world, &[&queued], "5");
    assert_eq!(verdict(&world.ends(), &queued), "cancelled by-user none none");
    ask_cancel(world, &[&running, &done], "5");
    let ends = world.drained();
    assert_eq!(verdict(&ends, &running), "cancelled by-user 143 TERM");
    assert_eq!(verdict(&ends, &done), "succeeded ok 0 none");
    assert_eq!(verdict(&ends, &queued), "cancelled by-user none none");
    assert_eq!(verdict(&ends, &last), "succeeded ok 0 none");
    // An orphan; and one that will not hear.
    let orphan = job("trap : TERM; echo orphan >>count; : >orphan; while :; do sleep 0.05; done");
    world.hand_over(&Batch::new([orphan.clone()]));
    world.wait_for("orphan");
    world.sandbox.kill_runners();
    let answer = ask_cancel(world, &[&orphan], "1");
    assert!(records(&answer, "open").is_empty(), "{answer}");
    assert!(verdict(&world.ends(), &orphan).starts_with("cancelled by-user"));
    // Never handed over: it never will start.
    let never = job("echo never >>count");
    ask_cancel(world, &[&never], "5");
    world.run(&Batch::new([never.clone()]));
    assert_eq!(verdict(&world.ends(), &never), "cancelled by-user none none");
    assert_eq!(world.lines("count"), ["done", "running", "last", "orphan"]);
}

fn a_list_that_was_cut_off_is_none(world: &World) {
    let job = job("echo ran >>count");
    let cut = format!("{} 1 a", job.id);
    for arguments in [&["cancel", CAMPAIGN, "user", "0"][..], &["move", CAMPAIGN, "other"]] {
        let answer = world.ask_any(arguments[0], &arguments[1..], &cut);
        assert_eq!((answer.framed, answer.code), (false, Some(64)), "{arguments:?}");
    }
    assert!(!world.jobs().join(&job.id).exists());
}

/// A full disk takes the mark's file and not its word.
fn a_mark_without_a_word_is_a_persons(world: &World) {
    let job = job("echo never >>count");
    let folder = world.jobs().join(&job.id);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("cancelled.1"), "").expect("a file");
    assert_eq!(
        verdict(&world.run(&Batch::new([job.clone()])), &job),
        "cancelled by-user none none"
    );
    assert!(!world.at("count").exists());
}

/// More than one chunk; some stand in the list twice, some are nonsense, and one cannot be written.
fn cancel_of_many(world: &World) {
    let running = job("echo running >>count; : >running; sleep 600");
    let mut jobs = vec![running];
    jobs.extend((0..150).map(|i| job(format!("echo {i} >>count"))));
    world.hand_over(&Batch::new(jobs.clone()));
    world.wait_for("running");
    let blocked = job("echo blocked >>count");
    fs::write(world.jobs().join(&blocked.id), "").expect("a file where a folder should be");
    let mut list = format!("x 1 a\n{} 0 a\n../.. 1 a\n{} 1 ../a\n\n", blocked.id, blocked.id);
    for job in jobs.iter().chain(&jobs[..20]).chain([&blocked]) {
        writeln!(list, "{} 1 a", job.id).expect("a string takes all");
    }
    let answer = world.ask_any("cancel", &[CAMPAIGN, "user", "0"], &list);
    assert_eq!(
        (answer.framed, answer.code),
        (false, Some(73)),
        "what was not done is not called done"
    );
    fs::remove_file(world.jobs().join(&blocked.id)).expect("a file");
    let ends = world.drained();
    for job in &jobs {
        assert!(verdict(&ends, job).starts_with("cancelled by-user "), "{ends:#?}");
    }
    assert_eq!(world.lines("count"), ["running"]);
    let journal = world.root.join("v2").join(CAMPAIGN).join("journal");
    let journal = fs::read_to_string(journal).expect("a journal");
    let told: Vec<_> = journal.lines().filter(|line| line.starts_with("end ")).collect();
    // (One that ended under two pairs of eyes may be told twice, in the same words.)
    let different: BTreeSet<_> = told.iter().collect();
    assert_eq!(different.len(), jobs.len());
    for job in &jobs {
        let claim = fs::read_link(world.attempt(job)).expect("a claim");
        let folder = fs::read_dir(world.jobs().join(&job.id)).expect("a folder").flatten();
        let tries = folder.map(|entry| entry.file_name()).filter(|name| {
            name.to_string_lossy().starts_with("try-1.cancel-") && *name != *claim.as_os_str()
        });
        assert_eq!(tries.count(), 0, "no claim that was not made");
    }
    // Once more, with nothing left to do.
    let again: Vec<&Job> = jobs.iter().chain([&blocked]).collect();
    ask_cancel(world, &again, "0");
    assert_eq!(verdict(&world.ends(), &blocked), "cancelled by-user none none");
}

fn cancel_against_the_claim(world: &World) {
    for round in 0..6 {
        let jobs: Vec<Job> = (0..3).map(|i| job(format!("echo {round}-{i} >>count"))).collect();
        let (text, hash) = world.text(&Batch::new(jobs.clone()));
        let name = Batch::new(jobs.clone()).name();
        let hand_over = world.start("hand_over", &[CAMPAIGN, "none", &name, &hash, "1"], &text);
        ask_cancel(world, &[&jobs[round % 3]], "0");
        assert!(World::finish(hand_over).framed);
        let ends = world.drained();
        for job in &jobs {
            let end = &ends[&format!("{}/1", job.id)];
            assert!(
                matches!(end["state"].as_str(), "succeeded" | "cancelled" | "failed"),
                "{end:?}"
            );
        }
        // What counts as cancelled before its start did not start; nothing started twice.
        let lines = world.lines("count");
        for (i, job) in jobs.iter().enumerate() {
            let starts = lines.iter().filter(|line| **line == format!("{round}-{i}")).count();
            let started = world.state(job).contains("\nstart ");
            assert!(starts <= usize::from(started), "{starts} {}", world.state(job));
        }
    }
}

fn withdraw_against_the_claim(world: &World) {
    for round in 0..6 {
        let jobs: Vec<Job> = (0..4).map(|i| job(format!("echo {round}-{i} >>count"))).collect();
        let batch = Batch::new(jobs.clone());
        world.hand_over(&batch);
        // One whose name begins alike is not meant.
        world.ask("withdraw", &[CAMPAIGN, &batch.apply[..20]], "");
        world.ask("withdraw", &[CAMPAIGN, &batch.apply], "");
        let after = world.lines("count").len();
        let ends = world.drained();
        assert!(world.records("queued").is_empty());
        assert!(world.lines("count").len() <= after + 1, "one was being claimed at most");
        for job in &jobs {
            if let Some(end) = ends.get(&format!("{}/1", job.id)) {
                assert!(end["reason"] == "ok" || end["reason"] == "withdrawn", "{end:?}");
            }
        }
    }
}

/// On a loaded machine the first process of a job may come later than the end of its time.
fn a_limit_that_is_over_before_the_start(world: &World) {
    let slow = "setsid() { until grep -q '^stop ' \"$ATT/state\"; do sleep 0.02; done; sleep 0.3; command setsid \"$@\"; }\n";
    world.install(super::world::VERSION, slow);
    let late = job("sleep 600");
    let ends = world.run(&Batch::new([late.clone()]).with("B_LIMIT=0.05"));
    assert!(verdict(&ends, &late).starts_with("timeout time-limit "), "{ends:#?}");
}

fn time_limits(world: &World) {
    let quick = job("true");
    let slow = job("sleep 600");
    let deaf = job("trap '' TERM; while :; do sleep 0.05; done");
    let begun = Instant::now();
    let ends =
        world.run(&Batch::new([quick.clone(), slow.clone(), deaf.clone()]).with("B_LIMIT=0.80"));
    assert_eq!(verdict(&ends, &quick), "succeeded ok 0 none");
    assert_eq!(verdict(&ends, &slow), "timeout time-limit 143 TERM");
    assert!(verdict(&ends, &deaf).starts_with("timeout time-limit 137 "));
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    assert_eq!(world.errors(), "");
    // A limit of eight hundredths is no octal number.
    let ends = world.run(&Batch::new([job("sleep 601")]).with("B_LIMIT=0.08"));
    assert!(ends.values().any(|end| end["el"].parse::<f64>().is_ok_and(|el| el < 5.0)));
}

fn moved(world: &World, jobs: &[&Job], to: &str) -> Vec<String> {
    let lines: Vec<String> =
        jobs.iter().map(|job| format!("{} {} a\n", job.id, job.attempt)).collect();
    let answer = world.ask("move", &[CAMPAIGN, to], &lines.concat());
    records(&answer, "end")
        .into_iter()
        .map(|end| {
            assert_eq!((end["state"].as_str(), end["reason"].as_str()), ("cancelled", "moved"));
            format!("{} {}", end["id"], end["to"])
        })
        .collect()
}

/// What is asked of a root that was here before is nothing of this one's: it may run on, or never have been here.
fn another_root_is_asked_in_vain(world: &World) {
    let (running, queued) =
        (job(": >running; while [ ! -e go ]; do sleep 0.02; done"), job("true"));
    world.hand_over(&Batch::new([running.clone(), queued.clone()]));
    world.wait_for("running");
    let list = format!("{} 1 a\n{} 1 a\n", running.id, queued.id);
    let root = world.records("host")[0]["root"].clone();
    for root in ["another", &root[1..]] {
        assert_eq!(world.ask("move", &[CAMPAIGN, "b", root], &list), "refused root .\n");
        let refused = world.ask("cancel", &[CAMPAIGN, "user", "0", root], &list);
        assert_eq!(refused, "refused root .\n");
    }
    assert!(world.ends().is_empty());
    let told = world.ask("move", &[CAMPAIGN, "b", &root], &list);
    assert_eq!(records(&told, "end").len(), 1, "{told}");
    fs::write(world.at("go"), "").expect("a file");
    assert_eq!(verdict(&world.drained(), &running), "succeeded ok 0 none");
}

fn moves_what_nobody_has_claimed(world: &World) {
    let running = job("echo running >>count; : >running; while [ ! -e go ]; do sleep 0.02; done");
    let mut jobs = vec![running];
    jobs.extend((0..70).map(|i| job(format!("echo {i} >>count"))));
    world.hand_over(&Batch::new(jobs.clone()));
    world.wait_for("running");
    ask_cancel(world, &[&jobs[3]], "0");
    let asked: Vec<&Job> = jobs.iter().filter(|job| job.id != jobs[1].id).collect();
    let told = moved(world, &asked, "other");
    // What runs stays, and so does what somebody cancelled.
    let expected: Vec<String> =
        [&jobs[2]].into_iter().chain(&jobs[4..]).map(|job| format!("{} other", job.id)).collect();
    assert_eq!(told, expected);
    // Asked again, and for another host: the first word stands.
    assert_eq!(moved(world, &[&jobs[2], &jobs[4]], "third"), expected[..2]);
    fs::write(world.at("go"), "").expect("a file");
    let ends = world.drained();
    assert_eq!(verdict(&ends, &jobs[0]), "succeeded ok 0 none");
    assert_eq!(verdict(&ends, &jobs[1]), "succeeded ok 0 none");
    assert_eq!(verdict(&ends, &jobs[2]), "cancelled moved none none");
    assert_eq!(verdict(&ends, &jobs[3]), "cancelled by-user none none");
    assert_eq!(world.lines("count"), ["running", "0"]);
    // Called back: the next attempt runs here.
    let again = Job { attempt: 2, ..jobs[2].clone() };
    let ends = world.run(&Batch::new([again.clone()]));
    assert_eq!(verdict(&ends, &again), "succeeded ok 0 none");
    assert_eq!(world.lines("count"), ["running", "0", "1"]);
}

/// Either it is moved or it runs here.
fn a_move_against_the_claim(world: &World) {
    for round in 0..6 {
        let jobs: Vec<Job> = (0..4).map(|i| job(format!("echo {round}-{i} >>count"))).collect();
        let batch = Batch::new(jobs.clone());
        let (text, hash) = world.text(&batch);
        let arguments = [CAMPAIGN, "none", &batch.name(), &hash, "1"];
        let hand_over = world.start("hand_over", &arguments, &text);
        let told = moved(world, &jobs.iter().collect::<Vec<_>>(), "other");
        assert!(World::finish(hand_over).framed);
        let ends = world.drained();
        let lines = world.lines("count");
        for (i, job) in jobs.iter().enumerate() {
            let starts = lines.iter().filter(|line| **line == format!("{round}-{i}")).count();
            let is_moved = told.contains(&format!("{} other", job.id));
            assert_eq!(starts, usize::from(!is_moved), "{told:?} {lines:?}");
            let expected =
                if is_moved { "cancelled moved none none" } else { "succeeded ok 0 none" };
            assert_eq!(verdict(&ends, job), expected);
        }
    }
}

/// Attempts between two of this host may have been another's.
/// The root goes at any step, and another one is in its place: nothing is written there of attempts that were in the old one.
fn a_root_that_goes_under_a_move_or_a_cancel(world: &World) {
    let gone = world.sandbox.path().join("gone");
    let list = format!("{} 1 a\n", job("true").id);
    for (verb, word, last) in [("move", "b", None), ("cancel", "user", Some("0"))] {
        for program in ["cat", "mkdir", "ln"] {
            let root = world.records("host")[0]["root"].clone();
            // Once, as the step begins.
            let more = format!(
                "{program}() {{ [ -e {gone} ] || {{ mv \"$ROOT\" {gone}; command mkdir -p \"$V\"; echo new >\"$V/root-id\"; }}; command {program} \"$@\"; }}\n",
                gone = quoted(gone.to_str().expect("UTF-8")),
            );
            world.install(super::world::VERSION, &more);
            let words: Vec<&str> =
                [CAMPAIGN, word].into_iter().chain(last).chain([&*root]).collect();
            let answer = world.ask_any(verb, &words, &list);
            assert!(gone.exists() && !answer.framed, "{verb}, {program}: {}", answer.body);
            let written = world.root.join("v2").join(CAMPAIGN);
            assert!(!written.exists(), "{verb}, {program}");
            fs::remove_dir_all(&gone).expect("the old root");
            fs::remove_dir_all(&world.root).expect("the new root");
            world.install(super::world::VERSION, "");
        }
    }
}

fn an_attempt_after_one_elsewhere(world: &World) {
    let first = job("echo x >>count; exit 3");
    world.run(&Batch::new([first.clone()]));
    let third = Job { attempt: 3, ..first.clone() };
    let ends = world.run(&Batch::new([third.clone()]));
    assert_eq!(verdict(&ends, &third), "failed exit-code 3 none");
    let eleventh = Job { attempt: 11, ..first };
    world.run(&Batch::new([eleventh]));
    assert_eq!(world.lines("count").len(), 3);
}

//! How a marker's glob goes through folders, however many and however they hang together, and how its judgement is bounded.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Instant;

use super::markers::{check, marked, work};
use super::world::{Batch, CAMPAIGN, VERSION, World, verdict};
use crate::support::wait_until;

super::in_every_shell! {
    many_stars_cost_no_more_than_one links_are_followed_where_they_are_named stars_within_a_name
    a_judgement_has_a_limit a_cancel_reaches_a_judgement characters_and_ends_of_lines
    what_was_cut_out_of_a_log_was_searched
}

/// Without care each `**` multiplies what the others have to look at, and so does each link to a folder above.
fn many_stars_cost_no_more_than_one(world: &World) {
    let make = "for a in 1 2 3 4; do for b in 1 2 3 4; do for c in 1 2 3 4; do d=deep/$a/$b/$c/x/y/z; \
                mkdir -p $d; echo x >$d/file; ln -sfn ../.. $d/up; done; done; done";
    let begun = Instant::now();
    check(
        world,
        &[
            (make, work("**/*/**/*/**/*/**/*/**/*/**/none"), "marker-missing"),
            (make, work("**/*/**/*/**/*/**/z/**/fi*"), "ok"),
            (make, "marker_count \"$SP_WORK_DIR\" 'deep/**/x/**/file' 64".to_owned(), "ok"),
            (
                make,
                "marker_count \"$SP_WORK_DIR\" 'deep/**/x/**/file' 65".to_owned(),
                "marker-count",
            ),
        ],
    );
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

fn links_are_followed_where_they_are_named(world: &World) {
    let far = world.sandbox.path().join("far");
    fs::create_dir_all(far.join("runs/new")).expect("a folder");
    symlink("new", far.join("runs/latest")).expect("a link");
    symlink(&far, world.at("data")).expect("a link");
    symlink(".", far.join("ring")).expect("a link");
    let make = "echo x >data/runs/new/r.json";
    let cases = [
        ("data/runs/latest/r.json", "ok"),
        ("data/runs/*/r.json", "ok"),
        ("da*/runs/new/r.json", "ok"),
        ("da*/runs/latest/r.json", "marker-missing"),
        ("**/r.json", "marker-missing"),
        ("data/**/r.json", "ok"),
        ("*/*/*/*/*/*/*/*/*/*/*/*/none", "marker-missing"),
    ];
    let cases: Vec<_> = cases.iter().map(|(glob, wanted)| (make, work(glob), *wanted)).collect();
    check(world, &cases);
}

fn stars_within_a_name(world: &World) {
    let name = format!("{}b", "a".repeat(200));
    let make =
        format!("echo x >{name}; echo x >'x*y*z'; echo x >a]b]c; echo x >.h.i.j; echo x >p-q-r");
    let cases = [
        ("*a*a*a*a*a*a*a*a*a*a*a*a*c", "marker-missing"),
        ("*a*a*a*a*a*a*a*a*a*a*a*a*b", "ok"),
        ("a*a*b", "ok"),
        ("*b*b*", "marker-missing"),
        ("*a*b*", "ok"),
        ("*c*c*", "marker-missing"),
        ("x[*]*[*]z", "ok"),
        ("x[*][*]*z*", "marker-missing"),
        ("a[]]*[]]c*", "ok"),
        ("[!]b]*[^]]*[[:alpha:]]b]c", "marker-missing"),
        ("[[:alpha:]x]*b*[[:lower:]]", "ok"),
        ("*h*i*", "marker-missing"),
        (".*i*", "ok"),
        ("p*[a-]q*r", "ok"),
        ("p**", "ok"),
        ("p?*?*r", "ok"),
        ("p*r*r", "marker-missing"),
    ];
    let cases: Vec<_> = cases.iter().map(|(glob, wanted)| (&*make, work(glob), *wanted)).collect();
    check(world, &cases);
}

/// Each look at a file that is older than the attempt starts a process here.
const SLOW: &str = "mkdir -p \"$SP_WORK_DIR/many\"; cd \"$SP_WORK_DIR/many\"; i=0; \
                    while [ $i -lt 3000 ]; do : >f$i; i=$((i + 1)); done";

fn a_judgement_has_a_limit(world: &World) {
    world.install(VERSION, "JUDGE_LIMIT=0\n");
    check(
        world,
        &[
            (SLOW, work("**/none"), "marker-limit"),
            (SLOW, "marker_count \"$SP_WORK_DIR\" '**/n' 2".to_owned(), "marker-limit"),
        ],
    );
}

/// Its job is neither done nor failed: whether it was done is not known.
fn a_cancel_reaches_a_judgement(world: &World) {
    world.install(VERSION, "name_matches() { : >\"$HOME/judging\"; sleep 0.05; return 1; }\n");
    let job = marked(SLOW, "marker_count \"$SP_WORK_DIR\" '**/none' 1");
    world.hand_over(&Batch::new([job.clone()]).with("B_MARKERS=1"));
    wait_until("it is judged", || world.sandbox.home().join("judging").exists());
    let begun = Instant::now();
    world.ask("cancel", &[CAMPAIGN, "user", "10"], &format!("{} 1 a\n", job.id));
    assert_eq!(verdict(&world.drained(), &job), "cancelled by-user 0 none");
    assert!(begun.elapsed().as_secs() < 25, "{:?}", begun.elapsed());
}

fn characters_and_ends_of_lines(world: &World) {
    let high = "'([^' ']|' ')'";
    let say = r"printf 'M\303\274nchen\r\nM\374nchen\n\200\n'";
    let cases = [
        (format!("marker_log '^M'{high}'nchen$'").replace("''", ""), "ok"),
        ("marker_log '^M([^' ']|' '){2}nchen$'".to_owned(), "marker-log"),
        ("marker_log '^([^' ']|' ')$'".to_owned(), "ok"),
        ("marker_log '^([^' ']|' '){2}$'".to_owned(), "marker-log"),
        ("marker_log 'chen$'".to_owned(), "ok"),
        ("marker_log 'chen.$'".to_owned(), "marker-log"),
    ];
    let cases: Vec<_> = cases.iter().map(|(log, wanted)| (say, log.clone(), *wanted)).collect();
    check(world, &cases);
}

/// While the log grows, and at its end.
fn what_was_cut_out_of_a_log_was_searched(world: &World) {
    let fill = "i=0; while [ $i -lt 3000 ]; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; i=$((i + 1)); done";
    let at_once = marked(&format!("{fill}; echo RESULT; {fill}"), "marker_log '^RESULT$'");
    let nowhere = marked(&format!("{fill}; echo xRESULT; {fill}"), "marker_log '^RESULT$'");
    let common = "B_MARKERS=1 B_LOG_MAX=65536";
    let ends = world.run(&Batch::new([at_once.clone(), nowhere.clone()]).with(common));
    let end = |job: &super::world::Job| ends[&format!("{}/1", job.id)].clone();
    assert_eq!(verdict(&ends, &at_once), "succeeded ok 0 none");
    assert_eq!(verdict(&ends, &nowhere), "failed marker-log 0 none");
    let log = fs::read_to_string(world.attempt(&nowhere).join("log")).expect("a log");
    let cut = end(&nowhere)["cut"].clone();
    assert!(log.contains(&format!("{cut} bytes left out")) && !log.contains("RESULT"), "{cut}");
    // The watch takes out the middle while the job writes on.
    let grows = marked(
        &format!("{fill}; echo RESULT; while [ ! -e go ]; do {fill}; sleep 0.1; done"),
        "marker_log '^RESULT$'",
    );
    world.hand_over(&Batch::new([grows.clone()]).with(common));
    wait_until("it was found", || world.state(&grows).contains("\nfound marker=log "));
    fs::write(world.at("go"), "").expect("a file");
    assert_eq!(verdict(&world.drained(), &grows), "succeeded ok 0 none");
}

//! Done markers: what lies where, how old it is, what it is called.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;
use std::time::{Duration, SystemTime};

use super::world::{Batch, Job, World, job, quoted, verdict};

super::in_every_shell! { files_in_the_work_folder names_are_data counts_and_logs many_matches the_future }

pub(super) fn marked(command: &str, markers: &str) -> Job {
    let mut job = job(format!("{command} # {}", super::world::hex(markers.as_bytes())));
    markers.clone_into(&mut job.markers);
    job
}

pub(super) fn work(pattern: &str) -> String {
    format!("marker_file 0 \"$SP_WORK_DIR\" {}", quoted(pattern))
}

#[track_caller]
pub(super) fn check(world: &World, cases: &[(&str, String, &str)]) {
    let jobs: Vec<Job> =
        cases.iter().map(|(command, markers, _)| marked(command, markers)).collect();
    let ends = world.run(&Batch::new(jobs.clone()).with("B_MARKERS=1 B_STAMP=1"));
    for (job, (command, markers, wanted)) in jobs.iter().zip(cases) {
        let end = &ends[&format!("{}/1", job.id)];
        assert_eq!(end["reason"], *wanted, "{command} / {markers}: {}", verdict(&ends, job));
        assert_eq!(end["marker"] == "none", *wanted == "ok", "{markers}");
    }
    assert_eq!(world.errors(), "");
}

fn files_in_the_work_folder(world: &World) {
    for name in ["old", "again", "young"] {
        world.sandbox.write(name, "x");
    }
    let long_ago = SystemTime::now() - Duration::from_hours(1);
    for name in ["old", "again"] {
        fs::File::options()
            .write(true)
            .open(world.at(name))
            .and_then(|f| f.set_modified(long_ago))
            .expect("a time");
    }
    check(
        world,
        &[
            ("true", work("nothing"), "marker-missing"),
            ("mkdir folder", work("folder"), "marker-missing"),
            (": >empty", work("empty"), "marker-empty"),
            ("true", work("old"), "marker-stale"),
            // Made a moment before the attempt, in the same tick of the clock perhaps.
            ("true", work("young"), "marker-stale"),
            ("echo new >>again", work("again"), "ok"),
            // The old time of content, but here only since now. busybox sees whole seconds of it.
            ("sleep 1.1; cp -p old copied", work("copied"), "ok"),
            ("echo x >made", work("ma?e"), "ok"),
            ("echo x >\"$SP_OUT_DIR/r\"", "marker_file 0 \"$SP_OUT_DIR\" r".to_owned(), "ok"),
            (
                "echo x >\"$SP_OUT_DIR/r\"",
                "marker_file 0 \"$SP_OUT_DIR\" s".to_owned(),
                "marker-missing",
            ),
        ],
    );
}

fn names_are_data(world: &World) {
    let make = |names: &str| format!("mkdir -p 'd[1]' d1 'a b' .h x/y/z; {names}");
    let cases = [
        // What a folder is called is no pattern.
        (make("echo x >d1/plain; : >'d[1]/plain'"), work("**/plain"), "ok"),
        (make("rm -f d1/*; echo x >'d[1]/q'"), work("**/q"), "ok"),
        (make("echo x >'a b/c d'"), work("a b/c d"), "ok"),
        (make("echo x >'lit[1]'"), work("lit[[]1]"), "ok"),
        (make("echo x >.h/hidden; echo x >.hidden2"), work("**/*hidden*"), "marker-missing"),
        (make("echo x >x/y/z/deep"), work("x/**/deep"), "ok"),
        (make("echo x >x/y/z/deep2"), work("**/y/**/deep2"), "ok"),
        (make("echo x >x/y/z/tail"), work("x/**"), "ok"),
        (make("ln -sf .. x/ring; echo x >x/top"), work("**/nowhere"), "marker-missing"),
        (make("echo x >\"$(printf 'new\\nline')\""), work("new*line"), "ok"),
        (make("echo x >'-dash'; : >'$(touch pwned)'"), work("-d*"), "ok"),
        (make("true"), work("$(touch pwned)`touch pwned`{a,b}~"), "marker-missing"),
    ];
    let cases: Vec<(&str, String, &str)> = cases
        .iter()
        .map(|(command, markers, wanted)| (command.as_str(), markers.clone(), *wanted))
        .collect();
    check(world, &cases);
    assert!(!world.at("pwned").exists());
}

fn counts_and_logs(world: &World) {
    let three = "for i in 1 2 3; do echo x >\"$SP_OUT_DIR/$i\"; done; printf 'a\\377 done: 3\\n'";
    let count = |n: u32| format!("marker_count \"$SP_OUT_DIR\" '*' {n}");
    check(
        world,
        &[
            (three, count(3), "ok"),
            (three, count(4), "marker-count"),
            (three, "marker_log '^a.*done: [0-9]+$'".to_owned(), "ok"),
            (three, "marker_log 'done: x'".to_owned(), "marker-log"),
            (three, format!("{}; marker_log x; {}", count(4), work("nothing")), "marker-count"),
        ],
    );
}

fn many_matches(world: &World) {
    let make = "cd \"$SP_OUT_DIR\"; i=0; while [ $i -lt 5000 ]; do echo >f$i; i=$((i + 1)); done";
    check(
        world,
        &[
            (make, "marker_count \"$SP_OUT_DIR\" 'f*' 5000".to_owned(), "ok"),
            (make, "marker_count \"$SP_OUT_DIR\" 'f*' 5001".to_owned(), "marker-count"),
        ],
    );
}

fn the_future(world: &World) {
    world.sandbox.write("later", "x");
    let later = SystemTime::now() + Duration::from_hours(1);
    fs::File::options()
        .write(true)
        .open(world.at("later"))
        .and_then(|f| f.set_modified(later))
        .expect("a time");
    check(world, &[("echo y >>other", work("later"), "marker-clock")]);
}

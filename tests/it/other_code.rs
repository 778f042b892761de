//! "Ran with other code" is worth reading: what jobs write beside the code never causes it, an edit of what they read does.

#![expect(clippy::disallowed_methods, reason = "what a person does beside `sp`")]

use std::time::{Duration, Instant};

use crate::support::{Run, Sandbox, commit, finish, in_toml, shell, wait_until};

/// A folder in which jobs, and what belongs to `sp`, write beside the code; `lib.sh` is read by all jobs. What was sent to a
/// snapshot is read-only there, so jobs put a new file in its place.
struct Folder {
    name: &'static str,
    command: &'static str,
    /// What lies there before the first job.
    before: &'static str,
    /// What happens between two applies that is no change of the code.
    between: &'static str,
    root_inside: bool,
}

const FOLDERS: &[Folder] = &[
    Folder {
        name: "output beside the code",
        command: "sh bench.sh {{ n }} > out; cp -f out out-{{ n }}",
        before: "echo by-hand > out-1",
        between: "true",
        root_inside: false,
    },
    Folder {
        name: "caches",
        command: "mkdir -p .cache __pycache__; find .cache -type f ! -perm -200 -delete
                  sh bench.sh {{ n }} >> .cache/index; date > __pycache__/bench.pyc",
        before: "mkdir .cache; echo by-hand > .cache/index",
        between: "echo downloaded > .cache/new",
        root_inside: false,
    },
    Folder {
        name: "figures",
        command: "sh bench.sh {{ n }}; mkdir -p figures; find figures -type f ! -perm -200 -delete; echo {{ n }} $SP_ATTEMPT > figures/all.svg",
        before: "mkdir figures; echo by-hand > figures/all.svg",
        between: "cp figures/all.svg figures/kept-$(ls figures | wc -l).svg",
        root_inside: false,
    },
    Folder {
        name: "other campaigns",
        command: "sh bench.sh {{ n }}",
        before: "printf 'name = \"other\"\\ncommand = \"sh bench.sh 0 > theirs\"\\n' > other.toml",
        between: "echo '# edited' >> other.toml; cp other.toml third.toml; $SP apply other.toml -q
                  printf 'name = \"other\"\\ncommand = \"sh bench.sh 00 > theirs\"\\n' > other.toml; $SP apply other.toml -q",
        root_inside: false,
    },
    Folder {
        name: "own root",
        command: "sh bench.sh {{ n }} > \"$SP_OUT_DIR/x\"",
        before: "true",
        between: "$SP results > table; for format in csv tsv jsonl md; do $SP results --format $format > table.$format; done
                  $SP plan --out saved.plan -q",
        root_inside: true,
    },
];

impl Folder {
    fn campaign(&self, sandbox: &Sandbox, values: &str, snapshot: bool) -> String {
        let root = sandbox.campaign().join("kept");
        let root =
            if self.root_inside { format!("root = {}\n", in_toml(root)) } else { String::new() };
        format!(
            "name = 'c'\ncommand = '''{}'''\n[matrix]\nn = {values}\n[hosts.local]\nsnapshot = {snapshot}\nslots = 2\n{root}",
            self.command
        )
    }

    /// Runs all of the story, in one of the ways to have it.
    fn run(&self, git: bool, snapshot: bool) {
        let what = format!("{}, git: {git}, snapshot: {snapshot}", self.name);
        let mut sandbox = Sandbox::new();
        sandbox.set("SP", env!("CARGO_BIN_EXE_sp"));
        sandbox.write("bench.sh", ". ./lib.sh; echo $x $1\n");
        sandbox.write("lib.sh", "x=1\n");
        let text = |values: &str| self.campaign(&sandbox, values, snapshot);
        sandbox.write("campaign.toml", &text("[1, 2]"));
        by_hand(&sandbox, self.before);
        if git {
            commit(&sandbox.campaign());
        }
        sandbox.expect(0, &["apply"]);
        silent(&sandbox, &what);
        by_hand(&sandbox, self.between);
        silent(&sandbox, &what);
        // Now what the first jobs wrote was there before.
        sandbox.write("campaign.toml", &text("[1, 2, 3]"));
        sandbox.expect(0, &["apply"]);
        silent(&sandbox, &what);
        by_hand(&sandbox, self.between);
        sandbox.expect(0, &["apply", "--yes", "--rerun", "n=1"]);
        silent(&sandbox, &what);
        if git {
            shell(
                &sandbox.campaign(),
                "git add -A . ':!kept'; git -c user.name=t -c user.email=t@example.org commit -qm more",
            );
            silent(&sandbox, &what);
        }
        sandbox.write("lib.sh", "x=2\n");
        let run = sandbox.expect(0, &["plan"]);
        let folder = sandbox.campaign().canonicalize().expect("a folder");
        let line = format!(
            "warning: 3 finished jobs ran with other code than `{}` has now: lib.sh (changed); \
             `sp apply --code-change rerun` runs them again, and `[sync] not-code = [\"/lib.sh\"]` says that jobs do not \
             depend on it\n",
            folder.display()
        );
        assert!(run.stderr.contains(&line), "{what}\n{}", run.stderr);
        // Both ways out.
        let planned = sandbox.json(&["plan", "--code-change", "rerun"]);
        assert_eq!(planned["summary"]["run"], 3, "{what}\n{planned}");
        let not_code = format!("{}[sync]\nnot-code = [\"/lib.sh\"]\n", text("[1, 2, 3]"));
        sandbox.write("campaign.toml", &not_code);
        silent(&sandbox, &what);
    }
}

/// What a person does in the folder.
#[track_caller]
fn by_hand(sandbox: &Sandbox, text: &str) {
    let sp = sandbox.command(&[]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-ec", text]).current_dir(sandbox.campaign()).env_clear();
    shell.envs(sp.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().expect("sh starts");
    assert!(output.status.success(), "{text}\n{output:?}");
}

/// That no finished job is said to have run with other code, nor would run again for it.
#[track_caller]
fn silent(sandbox: &Sandbox, what: &str) {
    let says = |run: &Run| run.stderr.contains("other code");
    let run = sandbox.expect(0, &["plan"]);
    assert!(!says(&run), "{what}\n{}", run.stderr);
    let planned = sandbox.json(&["plan", "--code-change", "rerun"]);
    let jobs = planned["jobs"].as_array().expect("jobs");
    let again = jobs.iter().filter(|job| job["reason"] == "code-changed").count();
    assert_eq!(again, 0, "{what}\n{planned}");
}

#[test]
fn output_beside_the_code() {
    both_ways(&FOLDERS[0]);
}

#[test]
fn caches_beside_the_code() {
    both_ways(&FOLDERS[1]);
}

#[test]
fn figures_that_each_job_writes_anew() {
    both_ways(&FOLDERS[2]);
}

#[test]
fn other_campaigns_in_the_folder() {
    both_ways(&FOLDERS[3]);
}

#[test]
fn own_root_in_the_folder() {
    both_ways(&FOLDERS[4]);
}

/// With and without git, with and without snapshots; the crosswise two are the long form's.
fn both_ways(folder: &Folder) {
    folder.run(false, true);
    folder.run(true, false);
}

#[test]
#[ignore = "a minute"]
fn every_folder_the_other_ways_round() {
    for folder in FOLDERS {
        folder.run(false, false);
        folder.run(true, true);
    }
}

/// What a job writes in its last moments may be its own; what was written long before its end, or what the command names,
/// is an edit.
#[test]
fn an_edit_while_a_job_runs_is_told() {
    let sandbox = Sandbox::with(
        "name = 'c'\ncommand = '''touch began; until [ -e go ]; do :; done; sh bench.sh'''\n",
    );
    sandbox.write("bench.sh", ". ./lib.sh\n");
    sandbox.write("lib.sh", "x=1\n");
    let child = sandbox.spawn(&["apply"]);
    wait_until("the job runs", || sandbox.campaign().join("began").exists());
    sandbox.write("lib.sh", "x=2\n");
    let edited = Instant::now();
    wait_until("the edit is old", || edited.elapsed() > Duration::from_millis(2200));
    sandbox.write("bench.sh", "true; . ./lib.sh\n");
    sandbox.write("go", "");
    assert_eq!(finish(child).code, 0);
    let run = sandbox.expect(0, &["plan"]);
    assert!(run.stderr.contains("bench.sh (changed), lib.sh (changed);"), "{}", run.stderr);
    assert!(run.stderr.contains("not-code = [\"/bench.sh\", \"/lib.sh\"]"), "{}", run.stderr);
    sandbox.write("bench.sh", ". ./lib.sh\n");
    sandbox.write("lib.sh", "x=1\n");
    silent(&sandbox, "as it was");
}

/// What jobs wrote is theirs as long as nobody else writes it: an edit that fell into a job's last moments once does not hide
/// those that follow.
#[test]
fn an_edit_of_what_a_job_seemed_to_write_is_told() {
    let sandbox = Sandbox::with(
        "name = 'c'\ncommand = '''sh bench.sh; touch began; until [ -e go ]; do :; done'''\n",
    );
    sandbox.write("bench.sh", ". ./lib.sh\n");
    sandbox.write("lib.sh", "x=1\n");
    let child = sandbox.spawn(&["apply"]);
    wait_until("the job runs", || sandbox.campaign().join("began").exists());
    sandbox.write("lib.sh", "x=2\n");
    sandbox.write("go", "");
    assert_eq!(finish(child).code, 0);
    silent(&sandbox, "its last moments");
    sandbox.expect(0, &["apply", "--yes", "--rerun", "all"]);
    silent(&sandbox, "another apply");
    let ended = Instant::now();
    // Past the blur of clocks.
    wait_until("no job runs", || ended.elapsed() > Duration::from_millis(200));
    sandbox.write("lib.sh", "x=3\n");
    let run = sandbox.expect(0, &["plan"]);
    assert!(run.stderr.contains("lib.sh (changed);"), "{}", run.stderr);
}

/// A setup in the folder is of its code: what jobs wrote there since makes no other one.
#[test]
fn a_setup_is_not_repeated_for_what_jobs_wrote() {
    let text = |values: &str| {
        format!(
            "name = 'c'\nsetup = 'echo once >> set-up'\ncommand = 'sh lib.sh {{{{ n }}}} > out'\n[matrix]\nn = {values}\n"
        )
    };
    let sandbox = Sandbox::with(&text("[1]"));
    sandbox.write("lib.sh", "echo $1\n");
    sandbox.expect(0, &["apply"]);
    sandbox.write("campaign.toml", &text("[1, 2]"));
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.lines("set-up"), ["once"]);
    sandbox.write("lib.sh", "echo $1 $1\n");
    sandbox.write("campaign.toml", &text("[1, 2, 3]"));
    sandbox.expect(0, &["apply"]);
    assert_eq!(sandbox.lines("set-up"), ["once", "once"]);
}

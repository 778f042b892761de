//! Two folders of one campaign name: what each command in the second one does to the first, whose jobs run and wait.

#![expect(
    clippy::disallowed_methods,
    reason = "tests copy folders and start processes as users do"
)]

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Run, Sandbox, commit, quoted, shell, sp_in, wait_until};

/// One that ends, one that has an older attempt, one that runs until `~/go` is there, one that waits behind it.
const FIRST: &str = r#"
name = "bench"
command = "echo x >>{{ job.state_dir }}/resume; echo first {{ n }} >{{ job.out_dir }}/result; case {{ n }} in 3) until [ -e ~/go ]; do sleep 0.02; done ;; esac"
[matrix]
n = [1, 2, 3, 4]
"#;
/// The second folder's, with a shorter matrix: three jobs of the first are not in it.
const SECOND: &str = r#"
name = "bench"
command = "echo x >>{{ job.state_dir }}/resume; echo first {{ n }} >{{ job.out_dir }}/result; case {{ n }} in 3) until [ -e ~/go ]; do sleep 0.02; done ;; esac"
[matrix]
n = [1]
[hosts.local]
slots = 2
"#;

/// How the second folder came to be.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Copy,
    Clone,
    Worktree,
    Moved,
    Unrelated,
    Shallow,
}

impl Kind {
    /// Whether both folders are one instance.
    fn shares(self) -> bool {
        !matches!(self, Self::Copy | Self::Unrelated)
    }
}

struct Two {
    sandbox: Sandbox,
    first: PathBuf,
    second: PathBuf,
    kind: Kind,
}

impl Two {
    /// The first folder has one job that runs and one that waits; the second one is there.
    fn new(kind: Kind) -> Self {
        let sandbox = Sandbox::with(FIRST);
        let first = sandbox.campaign();
        if kind != Kind::Copy {
            commit(&first);
        }
        sandbox.expect(0, &["apply", "--detach"]);
        let two =
            Self { first: first.clone(), second: sandbox.path().join("second"), sandbox, kind };
        wait_until("the third runs", || {
            two.states() == ["succeeded", "succeeded", "running", "queued"]
        });
        let path = two.sandbox.path();
        match kind {
            Kind::Copy => shell(path, "cp -r work second"),
            Kind::Clone => shell(path, "git clone -q work second"),
            Kind::Worktree => shell(&first, "git worktree add -q ../second"),
            Kind::Moved => shell(path, "mv work second && mkdir work"),
            Kind::Unrelated => shell(path, "mkdir second && cp work/campaign.toml second"),
            Kind::Shallow => {
                let from = quoted(format!("file://{}", first.display()));
                shell(path, &format!("git clone -q --depth 1 {from} second"))
            }
        };
        if kind == Kind::Unrelated {
            let git = "git -c user.name=o -c user.email=o@example.org";
            shell(&two.second, &format!("git init -q && git add -A && {git} commit -qm other"));
        }
        fs::write(two.second.join("campaign.toml"), SECOND).expect("a file");
        two
    }

    fn second(&self, arguments: &[&str]) -> Run {
        sp_in(&self.sandbox, &self.second, arguments)
    }

    /// What the first folder's memory says of its jobs, after it has asked.
    fn states(&self) -> Vec<String> {
        let folder =
            if self.first.join("campaign.toml").exists() { &self.first } else { &self.second };
        let run = sp_in(&self.sandbox, folder, &["status", "--json"]);
        let status: Value = serde_json::from_str(&run.stdout).expect("JSON");
        let jobs = status["jobs"].as_array().expect("a list").iter();
        jobs.map(|job| job["state"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Outputs and folders of jobs that are on the host.
    fn files(&self) -> usize {
        let find = "find . -path '*/jobs/*' \\( -name result -o -name resume \\) | wc -l";
        shell(&self.sandbox.root(), find).trim().parse().expect("a number")
    }

    /// Lets everything end, and expects that the first folder's jobs have ended as they would have without the second.
    #[track_caller]
    fn first_goes_on(self) {
        fs::write(self.sandbox.home().join("go"), "").expect("a file");
        if self.kind != Kind::Moved {
            let run = sp_in(&self.sandbox, &self.first, &["wait"]);
            assert_eq!(run.code, 0, "{run:?}");
            assert_eq!(self.states(), ["succeeded"; 4]);
        }
        self.sandbox.wait_quiet();
    }
}

fn plans(kind: Kind) {
    let two = Two::new(kind);
    let run = two.second(&["plan", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let plan: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let summary = |key: &str| plan["summary"][key].as_u64().expect("a number");
    let told = (summary("run"), summary("adopt"), summary("obsolete"), summary("others"));
    let wanted = match kind {
        Kind::Copy | Kind::Unrelated => (1, 0, 0, 0),
        Kind::Moved => (0, 0, 3, 0),
        Kind::Clone | Kind::Worktree | Kind::Shallow => (0, 1, 0, 3),
    };
    assert_eq!(told, wanted, "{plan}");
    let others = plan["others"].as_array().expect("a list");
    assert_eq!(others.len(), usize::from(!kind.shares()), "{plan}");
    let text = two.second(&["plan"]);
    if !kind.shares() {
        assert_eq!(others[0]["file"], two.first.join("campaign.toml").display().to_string());
        assert!(text.stderr.contains("is left alone"), "{text:?}");
    }
    two.first_goes_on();
}

fn applies(kind: Kind) {
    let two = Two::new(kind);
    let before = two.files();
    let run = two.second(&["apply"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(two.files() - before, if kind.shares() { 0 } else { 2 });
    two.first_goes_on();
}

fn cleans(kind: Kind) {
    let two = Two::new(kind);
    let before = two.files();
    let run = two.second(&["gc", "-y", "--older-than", "0s"]);
    assert_eq!(run.code, 0, "{run:?}");
    if kind == Kind::Moved {
        // The second job has left the matrix of the folder that had handed it over. Its state folder stays as long as its
        // hand-over is in the queue.
        assert_eq!(before - two.files(), 1, "{run:?}");
        assert!(run.stdout.contains("n=2"), "{run:?}");
    } else {
        assert_eq!(two.files(), before, "{run:?}");
        let told = run.stderr.contains("that another clone or work tree handed over stay");
        assert_eq!(told, kind.shares(), "{run:?}");
    }
    two.first_goes_on();
}

fn cancels(kind: Kind) {
    let two = Two::new(kind);
    let run = two.second(&["cancel", "--all", "--now"]);
    assert_eq!(run.code, 0, "{run:?}");
    if kind == Kind::Moved {
        assert!(run.stderr.contains("CANCELLED"), "{run:?}");
        return;
    }
    assert_eq!(two.states(), ["succeeded", "succeeded", "running", "queued"], "{run:?}");
    if kind.shares() {
        assert!(
            run.stderr.contains("2 jobs that another clone or work tree handed over"),
            "{run:?}"
        );
    }
    two.first_goes_on();
}

fn withdraws(kind: Kind) {
    let two = Two::new(kind);
    let run = two.second(&["apply", "--withdraw", "--detach"]);
    assert_eq!(run.code, 0, "{run:?}");
    if kind == Kind::Moved {
        let plan = two.second(&["plan", "--json"]);
        let plan: Value = serde_json::from_str(&plan.stdout).expect("JSON");
        let states: Vec<&Value> =
            plan["obsolete"].as_array().expect("a list").iter().map(|job| &job["state"]).collect();
        assert!(states.contains(&&Value::from("cancelled")), "{plan}");
    } else {
        assert_eq!(two.states()[2..], ["running", "queued"], "{run:?}");
    }
    two.first_goes_on();
}

fn tells_results(kind: Kind) {
    let two = Two::new(kind);
    let run = two.second(&["results", "--format", "jsonl"]);
    assert_eq!(run.code, 0, "{run:?}");
    let states: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["state"].clone())
        .collect();
    let wanted = if kind.shares() { "succeeded" } else { "pending" };
    assert_eq!(states, [wanted], "{run:?}");
    two.first_goes_on();
}

macro_rules! cells {
    ($($name:ident $kind:ident),+ $(,)?) => {
        $(mod $name {
            use super::Kind::$kind;

            #[test]
            fn plan() {
                super::plans($kind);
            }

            #[test]
            fn apply() {
                super::applies($kind);
            }

            #[test]
            fn gc() {
                super::cleans($kind);
            }

            #[test]
            fn cancel_all() {
                super::cancels($kind);
            }

            #[test]
            fn withdraw() {
                super::withdraws($kind);
            }

            #[test]
            fn results() {
                super::tells_results($kind);
            }
        })+
    };
}

cells! {
    copy Copy,
    clone Clone,
    worktree Worktree,
    moved Moved,
    unrelated Unrelated,
    shallow Shallow,
}

/// What the clone leaves alone it takes when told to.
#[test]
fn others_are_reached_on_request() {
    let two = Two::new(Kind::Clone);
    let before = two.files();
    let run = two.second(&["cancel", "--all", "--others", "--now"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(two.states()[2..], ["cancelled", "cancelled"], "{run:?}");
    let run = two.second(&["gc", "-y", "--others", "--older-than", "0s"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(before > two.files(), "{run:?}");
    two.sandbox.wait_quiet();
}

/// A result that is ten minutes old at the most may be somebody's of this minute.
#[test]
fn young_outputs_stay() {
    let two = Two::new(Kind::Moved);
    let before = two.files();
    assert_eq!(two.second(&["gc", "-y"]).code, 0);
    assert_eq!(two.files(), before);
    assert_eq!(two.second(&["gc", "-y", "--older-than", "0s"]).code, 0);
    assert!(two.files() < before);
    two.first_goes_on();
}

//! Several hosts on the command line, as far as no host need be asked: homes in the plan, `--host`, saved plans.

use insta::assert_snapshot;

use crate::support::Sandbox;

const THREE: &str = r#"
name = "three"
command = "echo {{ n }}"
matrix.n = [1, 2, 3, 4, 5, 6]
[hosts.local]
when = "n != 6"
tags = ["small"]
[hosts.gpu-1]
ssh = "ann@gpu-1"
slots = 2
when = "n != 6"
tags = ["h200"]
[hosts.gpu-2]
ssh = "gpu-2"
slots = 2
when = "n != 6"
tags = ["h200"]
"#;

fn homes(plan: &serde_json::Value) -> Vec<(i64, Option<String>)> {
    let jobs = plan["jobs"].as_array().expect("a list");
    let home = |job: &serde_json::Value| job["home"].as_str().map(str::to_owned);
    jobs.iter().map(|job| (job["params"]["n"].as_i64().expect("a number"), home(job))).collect()
}

#[test]
fn the_plan_shows_the_home_of_each_job() {
    let sandbox = Sandbox::with(THREE);
    let shown = sandbox.expect(0, &["plan", "--offline", "--show", "jobs"]).stdout;
    assert_snapshot!(shown);
    let plan = sandbox.json(&["plan", "--offline"]);
    assert_eq!(homes(&plan)[5], (6, None));
    assert_eq!(plan["jobs"][5]["reason"], "no-host");
    assert_eq!(plan["hosts"].as_array().map(Vec::len), Some(3));
    // One host is not worth a column.
    let one = Sandbox::with("name = 'one'\ncommand = 'true'\n");
    let shown = one.expect(0, &["plan", "--offline", "--show", "jobs"]).stdout;
    assert!(shown.contains("  one  new: never run"), "{shown}");
}

#[test]
fn host_chooses_and_moves_nothing() {
    let sandbox = Sandbox::with(THREE);
    let all = homes(&sandbox.json(&["plan", "--offline"]));
    let of = |hosts: &[&str]| -> Vec<(i64, Option<String>)> {
        let is = |home: &Option<String>| home.as_ref().is_some_and(|h| hosts.contains(&h.as_str()));
        all.iter().filter(|(_, home)| is(home)).cloned().collect()
    };
    for (arguments, hosts) in [
        (vec!["--host", "local"], vec!["local"]),
        (vec!["--host", "h200"], vec!["gpu-1", "gpu-2"]),
        (vec!["--host", "small", "--host", "gpu-1"], vec!["local", "gpu-1"]),
    ] {
        let plan = [&["plan", "--offline"], arguments.as_slice()].concat();
        assert_eq!(homes(&sandbox.json(&plan)), of(&hosts), "{arguments:?}");
        let status = [&["status", "--offline"], arguments.as_slice()].concat();
        let jobs = sandbox.json(&status)["jobs"].as_array().map(Vec::len);
        assert_eq!(jobs, Some(of(&hosts).len()), "{arguments:?}");
    }
    let both = sandbox.json(&["plan", "--offline", "--host", "h200", "-F", "n < 4"]);
    let mut expected = of(&["gpu-1", "gpu-2"]);
    expected.retain(|(n, _)| *n < 4);
    assert_eq!(homes(&both), expected);
    let nothing = sandbox.expect(4, &["plan", "--offline", "--host", "local", "-F", "n > 5"]);
    assert!(nothing.stderr.contains("No job is selected"), "{}", nothing.stderr);
}

#[test]
fn a_host_that_is_none_is_told_with_what_was_meant() {
    let sandbox = Sandbox::with(THREE);
    // Before any host is asked.
    for command in ["plan", "apply", "status", "results", "wait"] {
        let run = sandbox.expect(64, &[command, "--host", "gpu1"]);
        assert!(run.stderr.contains("did you mean `gpu-1`?"), "{command}: {}", run.stderr);
    }
    let alone = sandbox.expect(64, &["cancel", "--host", "gpu-1"]);
    assert!(alone.stderr.contains("--all"), "{}", alone.stderr);
}

#[test]
fn one_host_of_one_is_chosen_by_name_and_tag() {
    let sandbox = Sandbox::with(
        "name = 'one'\ncommand = 'true'\nmatrix.n = [1, 2]\nhosts.desk.tags = ['here']\n",
    );
    sandbox.expect(64, &["apply", "--host", "dask"]);
    sandbox.expect(0, &["plan", "--host", "here", "--out", "saved.plan"]);
    sandbox.expect(0, &["apply", "saved.plan"]);
    assert!(sandbox.states().iter().all(|(state, _)| state == "succeeded"));
    for command in ["wait", "status", "results"] {
        sandbox.expect(0, &[command, "--host", "desk"]);
    }
    sandbox.expect(0, &["cancel", "--all", "--host", "desk"]);
    let wrong = sandbox.expect(64, &["cancel", "--all", "--host", "dask"]);
    assert!(wrong.stderr.contains("did you mean `desk`?"), "{}", wrong.stderr);
}

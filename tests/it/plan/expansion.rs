//! The order and number of cells, names, specs, and what keeps a matrix from being jobs.

use std::sync::Arc;

use insta::assert_snapshot;
use solverpilot::campaign::template::{Part, Reference};
use solverpilot::campaign::{Axis, Command, DoneCount, EnvValue, Value};
use solverpilot::plan::{CommandSpec, EnvSpec, PlanWarning, expand};

use super::support::*;

#[test]
fn no_matrix_is_one_job_named_like_the_campaign() {
    let jobs = jobs(campaign("true", &[]));
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs.job(0).name(), "test");
}

#[test]
fn the_last_axis_is_fastest_and_repeat_faster() {
    let mut campaign = sweep();
    campaign.repeat = 2;
    assert_snapshot!(names(&jobs(campaign)).join("\n"), @r"
    seq=1024,dtype=fp16,repeat=0
    seq=1024,dtype=fp16,repeat=1
    seq=1024,dtype=bf16,repeat=0
    seq=1024,dtype=bf16,repeat=1
    seq=2048,dtype=fp16,repeat=0
    seq=2048,dtype=fp16,repeat=1
    seq=2048,dtype=bf16,repeat=0
    seq=2048,dtype=bf16,repeat=1
    seq=4096,dtype=fp16,repeat=0
    seq=4096,dtype=fp16,repeat=1
    seq=4096,dtype=bf16,repeat=0
    seq=4096,dtype=bf16,repeat=1
    ");
}

#[test]
fn zip_groups_stand_at_the_place_of_their_first_axis() {
    let mut campaign = campaign(
        "x {{ a }} {{ b }} {{ c }}",
        &[("a", ints([1, 2])), ("b", ints([10, 20])), ("c", ints([100, 200]))],
    );
    campaign.matrix.zip = vec![vec![axis_name("c"), axis_name("a")]];
    assert_snapshot!(names(&jobs(campaign)).join("\n"), @r"
    a=1,b=10,c=100
    a=1,b=20,c=100
    a=2,b=10,c=200
    a=2,b=20,c=200
    ");
}

#[test]
fn derived_axes_when_exclude_include_in_this_order() {
    let mut campaign = sweep();
    campaign.command = Command::Shell(shell("x {{ seq }} {{ dtype }} {{ seed }} {{ twice }}"));
    // `twice` needs `seed`, which stands behind it: the order of keys makes no difference.
    campaign.matrix.axes.insert(axis_name("twice"), Axis::Expr(expr("seed * 2")));
    campaign.matrix.axes.insert(axis_name("seed"), Axis::Expr(expr("seq + repeat")));
    campaign.matrix.when = Some(expr("seed != 1024"));
    campaign.matrix.exclude =
        vec![subset(&[("dtype", text("bf16")), ("twice", int(8192))]), subset(&[("seq", int(7))])];
    campaign.matrix.include = vec![subset(&[("seq", int(1024)), ("dtype", text("fp8"))])];
    let jobs = jobs(campaign);
    let lines: Vec<String> = jobs
        .jobs()
        .map(|job| {
            let Ok(CommandSpec::Shell(parts)) = job.command() else { panic!() };
            solverpilot::plan::told(&parts)
        })
        .collect();
    assert_snapshot!(lines.join("\n"), @r"
    x 2048 fp16 2048 4096
    x 2048 bf16 2048 4096
    x 4096 fp16 4096 8192
    x 1024 fp8 1024 2048
    ");
    assert_eq!(
        jobs.warnings(),
        [PlanWarning::ExcludeUnused { position: 2, cells: "seq=7".to_owned() }]
    );
}

#[test]
fn an_include_leaves_axes_empty_and_repeats() {
    let mut campaign = campaign(
        "x {{ a }} {{ b | default('none') }} {{ c | default('none') }}",
        &[("a", ints([1])), ("b", ints([2])), ("c", Axis::Expr(expr("a + b")))],
    );
    campaign.matrix.include =
        vec![subset(&[("a", int(5))]), subset(&[("a", int(6)), ("b", int(1))])];
    campaign.repeat = 2;
    let jobs = jobs(campaign);
    let rows: Vec<String> = jobs
        .jobs()
        .map(|job| {
            let value = |v: Option<&Value>| match v {
                Some(Value::Int(n)) => n.to_string(),
                _ => "-".to_owned(),
            };
            job.params().map(|(_, v)| value(v)).collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert_eq!(rows, ["1 2 3 0", "1 2 3 1", "5 - - 0", "5 - - 1", "6 1 7 0", "6 1 7 1"]);
}

#[test]
fn nothing_but_includes_is_a_list_of_jobs() {
    let mut campaign = campaign("x {{ a }}", &[]);
    campaign.matrix.include = vec![subset(&[("a", int(1))]), subset(&[("a", int(2))])];
    assert_eq!(names(&jobs(campaign)), ["a=1", "a=2"]);
}

#[test]
fn globs_and_lines_are_values_in_byte_order_and_file_order() {
    let files = FakeFiles::default()
        .with("data/b.cnf", "")
        .with("data/a.cnf", "")
        .with("seeds.txt", "9\n\n3\n");
    let campaign = campaign(
        "solve {{ cnf }} {{ seed }}",
        &[
            ("cnf", Axis::Glob("data/*.cnf".to_owned())),
            ("seed", Axis::Lines("seeds.txt".to_owned())),
        ],
    );
    let jobs = expand(Arc::new(campaign), &files).unwrap();
    assert_eq!(
        names(&jobs),
        [
            "cnf=data/a.cnf,seed=9",
            "cnf=data/a.cnf,seed=3",
            "cnf=data/b.cnf,seed=9",
            "cnf=data/b.cnf,seed=3"
        ]
    );
}

#[test]
fn a_name_is_never_a_terminal_escape() {
    let mut campaign = campaign("x {{ a }}", &[("a", texts(&["1\n2", "\u{1b}[31m", "\u{202e}x"]))]);
    assert_eq!(names(&jobs(campaign.clone())), [r"a=1\n2", r"a=\u{1b}[31m", r"a=\u{202e}x"]);
    campaign.job_name = Some(plain("job {{ a }}"));
    assert_eq!(names(&jobs(campaign)), [r"job 1\n2", r"job \u{1b}[31m", r"job \u{202e}x"]);
}

#[test]
fn equal_names_warn() {
    let mut campaign = sweep();
    campaign.job_name = Some(plain("{{ dtype }}"));
    let jobs = jobs(campaign);
    let [PlanWarning::SameName { count: 4, .. }] = jobs.warnings() else {
        panic!("{:?}", jobs.warnings());
    };
}

#[test]
fn a_spec_holds_what_a_host_needs() {
    let mut campaign = sweep();
    campaign.command =
        Command::Argv(vec![plain("bench"), plain("--out={{ job.out_dir }}/{{ seq }}")]);
    campaign.cleanup = Some(shell("rm -rf {{ dtype }}"));
    campaign.env.insert("TOKEN".to_owned(), EnvValue::FromEnv("HF_TOKEN".to_owned()));
    env(&mut campaign, "SEED", "{{ seq }}");
    campaign.done.files = vec![glob("{{ dtype }}-*.json"), glob("{{ work_dir }}/x")];
    campaign.done.log = Some(regex(r"done \d+ {{ dtype }}"));
    campaign.done.count = Some(DoneCount { files: glob("f/*.png"), min: 3 });
    let jobs = jobs(campaign);
    let spec = jobs.job(1).spec().unwrap();
    assert_eq!(
        spec.command,
        CommandSpec::Argv(vec![
            vec![Part::Text("bench".to_owned())],
            vec![
                Part::Text("--out=".to_owned()),
                Part::Ref(Reference::OutDir),
                Part::Text("/1024".to_owned())
            ],
        ])
    );
    assert_eq!(spec.env["TOKEN"], EnvSpec::FromEnv("HF_TOKEN".to_owned()));
    assert_eq!(spec.env["SEED"], EnvSpec::Text(vec![Part::Text("1024".to_owned())]));
    assert_eq!(
        spec.markers.log.clone().map(|log| log.pieces),
        Some(vec!["done [0-9]+ bf16".to_owned()])
    );
    assert_eq!(spec.markers.count.as_ref().map(|count| count.min), Some(3));
    assert_eq!(spec.params.to_json(), r#"{"seq":1024,"dtype":"bf16"}"#);
    assert_eq!((spec.index, spec.name.as_str()), (1, "seq=1024,dtype=bf16"));
}

#[test]
fn inputs_are_part_of_the_job() {
    let mut campaign = sweep();
    campaign.inputs = vec![glob("bench.py"), glob("data/{{ seq }}*")];
    let mut files = FakeFiles::default().with("bench.py", "1");
    for seq in [1024, 2048, 4096] {
        files = files.with(&format!("data/{seq}.bin"), "x");
    }
    let before = expand(Arc::new(campaign.clone()), &files).unwrap();
    let parts = before.job(0).parts().unwrap();
    assert_eq!(parts.inputs.keys().collect::<Vec<_>>(), ["bench.py", "data/1024.bin"]);
    // Only the jobs of one file's value change with it.
    let after =
        expand(Arc::new(campaign.clone()), &files.clone().with("data/2048.bin", "y")).unwrap();
    let same: Vec<bool> = before.ids().iter().zip(after.ids()).map(|(a, b)| a == b).collect();
    assert_eq!(same, [true, true, false, false, true, true]);

    files.0.remove("data/4096.bin");
    assert_snapshot!(said(&error(campaign.clone(), &files)), @r"
    no file matches the input `data/4096*` of `seq=4096,dtype=fp16`
    make the file, or correct `inputs`; it is relative to `working-dir`
    ");
    files.0.remove("bench.py");
    assert_snapshot!(said(&error(campaign, &files)), @r"
    the inputs of `seq=1024,dtype=fp16` cannot be read: cannot read `bench.py`: no such file
    make `bench.py` readable; it is relative to `working-dir`
    ");
}

#[test]
fn a_matrix_that_gives_no_jobs_says_why() {
    let files = FakeFiles::default().with("empty.txt", "\n").with("three.txt", "a\nb\nc");
    let mut said_all = Vec::new();
    let mut say = |campaign| said_all.push(said(&error(campaign, &files)));

    say(campaign("x {{ a }}", &[("a", Axis::Glob("no/*.cnf".to_owned()))]));
    say(campaign("x {{ a }}", &[("a", Axis::Lines("empty.txt".to_owned()))]));
    say(campaign("x {{ a }}", &[("a", Axis::Lines("absent.txt".to_owned()))]));
    let mut zip = campaign("x", &[("a", Axis::Lines("three.txt".to_owned())), ("b", ints([1, 2]))]);
    zip.matrix.zip = vec![vec![axis_name("a"), axis_name("b")]];
    say(zip);
    let many: Vec<(&str, Axis)> =
        ["a", "b", "c", "d"].into_iter().map(|name| (name, ints(0..1000))).collect();
    let mut many = campaign("x", &many);
    many.repeat = u32::MAX;
    say(many);
    let mut none = sweep();
    none.matrix.when = Some(expr("seq > 1024"));
    none.matrix.exclude = vec![subset(&[("seq", int(2048))]), subset(&[("seq", int(4096))])];
    say(none);
    say(campaign("x {{ a }}", &[("a", texts(&["p", "q", "p"]))]));
    let mut twice = sweep();
    twice.matrix.include = vec![subset(&[("dtype", text("bf16")), ("seq", int(2048))])];
    say(twice);
    let mut left_out = sweep();
    left_out.matrix.include = vec![subset(&[("dtype", text("fp8"))])];
    say(left_out);
    let mut cycle = campaign("x", &[]);
    for (name, of) in [("a", "b + 1"), ("b", "a + 1")] {
        cycle.matrix.axes.insert(axis_name(name), Axis::Expr(expr(of)));
    }
    say(cycle);
    let mut pattern = campaign("x", &[("a", texts(&["ok", "../../etc"]))]);
    pattern.done.files = vec![glob("{{ a }}/*.json")];
    say(pattern);
    let mut inputs = campaign("x", &[("a", texts(&["../secret"]))]);
    inputs.inputs = vec![glob("{{ a }}")];
    say(inputs);
    let mut log = campaign("x", &[("a", texts(&["x"]))]);
    log.done.log = Some(regex(r"\bdone"));
    say(log);
    let mut compare = sweep();
    compare.matrix.when = Some(expr("seq + dtype == 3"));
    say(compare);
    assert_snapshot!(said_all.join("\n\n"));
}

#[test]
fn the_limit_is_told_without_expanding() {
    let mut campaign = campaign("x", &[("a", ints(0..1000)), ("b", ints(0..1000))]);
    campaign.matrix.include = vec![subset(&[("a", int(1))])];
    assert_snapshot!(error(campaign, &FakeFiles::default()), @"the matrix has 1000001 cells; a campaign has at most 1000000 jobs");
}

//! Ids: the bytes that are hashed, ids that must never change, and what leaves them alone.

use std::collections::BTreeSet;

use proptest::prelude::*;
use solverpilot::campaign::{Axis, Campaign, Command, EnvValue, Leftover, Value};
use solverpilot::ids::JobId;
use solverpilot::plan::{CellKeys, diff};

use super::support::*;

fn ids(campaign: Campaign) -> Vec<JobId> {
    jobs(campaign).ids().to_vec()
}

fn id_set(campaign: Campaign) -> BTreeSet<JobId> {
    ids(campaign).into_iter().collect()
}

/// A campaign with everything that counts.
fn full() -> Campaign {
    let mut campaign = campaign(
        "run {{ n }} {{ who }} > {{ job.out_dir }}/x {{ host.scratch }}{{ job.state_dir }}{{ work_dir }}",
        &[
            ("who", texts(&["o'brien"])),
            ("n", ints([-7])),
            ("lr", Axis::Values(vec![float("1e-5"), float("-0.0")])),
            ("on", Axis::Values(vec![Value::Bool(true)])),
        ],
    );
    campaign.repeat = 2;
    campaign.prepare = Some(shell("rm -f {{ who }}"));
    "experiments".clone_into(&mut campaign.working_dir);
    env(&mut campaign, "B", "{{ lr }}");
    campaign.env.insert("A".to_owned(), EnvValue::FromEnv("TOKEN".to_owned()));
    campaign.inputs = vec![glob("bench.py")];
    campaign
}

/// These ids are names of results that people keep. If this test fails, the form has changed: give it a new version and
/// keep the old one for what was stored under it.
#[test]
fn pinned_ids_never_change() {
    let files = FakeFiles::default().with("bench.py", "print()\n");
    let full = solverpilot::plan::expand(std::sync::Arc::new(full()), &files).unwrap();
    let mut lines: Vec<String> = Vec::new();
    for jobs in [&jobs(campaign("true", &[])), &jobs(sweep()), &full] {
        let mut keys = CellKeys::new(jobs);
        lines.extend(jobs.jobs().map(|job| {
            let key = keys.key(job.index()).0;
            format!("{} {} {}", job.id(), JobId(key), job.name())
        }));
    }
    let mut argv = sweep();
    argv.command = Command::Argv(vec![plain("bench"), plain("{{ seq }}"), plain("")]);
    lines.push(jobs(argv).job(0).id().to_string());
    // Not a snapshot, which a tool would update.
    let pinned = [
        "3408619ba1dc158cda874f3648a69578 2c789839d5f4cce5189448772fcf1b10 test",
        "636a4de9080f7d92ffe2a81699d8b541 b5a29428a3914f82b6020e3da1efb480 seq=1024,dtype=fp16",
        "c16db69e4cf241e5694b293aabf22d2e 6ce53917b8e925f5fdea55d1fd09e82d seq=1024,dtype=bf16",
        "40c10e5f937f1f7cd76f9bb4ecc9b72d ac368a56d910459fbf498c7856304af1 seq=2048,dtype=fp16",
        "d93dd96774030045a304a5f91664b279 51d18388805da6614c4d32edc3baf91d seq=2048,dtype=bf16",
        "6ca3c9659593ee62b1edd9a7d4750c6a 06e02064f3d7d4b27b853b3171a929b1 seq=4096,dtype=fp16",
        "30b4b37688a9078b1e59958c63dbda5b 34699912e3fd554b33e24c351bbeabad seq=4096,dtype=bf16",
        "68e3e1328de615338126818fcee9a627 b22c5d5435d1f10488116f01b80040ae who=o'brien,n=-7,lr=1e-5,on=true,repeat=0",
        "9a4c8db9f929f7416b755f93df698b76 941e23e20628dc2745e8090dc874161d who=o'brien,n=-7,lr=1e-5,on=true,repeat=1",
        "a751e2645670e16a55392734f7e14016 72b4d9f2751fa0dc26107c94e2c7bb34 who=o'brien,n=-7,lr=-0.0,on=true,repeat=0",
        "423065f37ca4bd6752c6b7bce2a93c9e 1ff53c3f18ba7e667f370fdd1853368a who=o'brien,n=-7,lr=-0.0,on=true,repeat=1",
        "6db5f91080a3c29ec122984fa59122b4",
    ];
    assert_eq!(lines, pinned);
}

/// The form as the module's documentation has it, written down a second time.
#[test]
fn the_documented_form_is_what_is_hashed() {
    fn str(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }
    let files = FakeFiles::default().with("bench.py", "print()\n");
    let expansion = solverpilot::plan::expand(std::sync::Arc::new(full()), &files).unwrap();
    let axes = [
        b"A".as_slice(),
        &str("lr"),
        b"f",
        &1e-5_f64.to_bits().to_le_bytes(),
        b"A",
        &str("n"),
        b"i",
        &(-7_i64).to_le_bytes(),
        b"A",
        &str("on"),
        b"b\x01",
        b"A",
        &str("repeat"),
        b"i",
        &1_i64.to_le_bytes(),
        b"A",
        &str("who"),
        b"s",
        &str("o'brien"),
    ]
    .concat();
    let form = [
        b"sp job 1\n".as_slice(),
        &axes,
        b"C",
        b"t",
        &str("run -7 \"o'brien\" > "),
        b"o",
        b"t",
        &str("/x "),
        b"h",
        &str("scratch"),
        b"d",
        b"w",
        b".",
        b"P",
        b"t",
        &str("rm -f \"o'brien\""),
        b".",
        b"H",
        &3_u64.to_le_bytes(),
        &str("bash"),
        &str("-euo"),
        &str("pipefail"),
        b"W",
        &str("experiments"),
        b"E",
        &str("A"),
        b"S",
        &str("TOKEN"),
        b"E",
        &str("B"),
        b"T",
        b"t",
        &str("1e-5"),
        b".",
        b"I",
        &str("bench.py"),
        blake3::hash(b"print()\n").as_bytes(),
    ]
    .concat();
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..32].to_owned();
    assert_eq!(expansion.job(1).id().to_string(), hash(&form));
    let cell = [b"sp cell 1\n".as_slice(), &axes].concat();
    assert_eq!(JobId(expansion.job(1).cell_key().0).to_string(), hash(&cell));
}

#[test]
fn types_count_and_spelling_does_not() {
    let of = |value: Value| ids(campaign("x", &[("a", Axis::Values(vec![value]))]))[0];
    assert_ne!(of(int(1)), of(text("1")));
    assert_ne!(of(int(1)), of(float("1.0")));
    assert_ne!(of(text("true")), of(Value::Bool(true)));
    assert_eq!(of(float("1e3")), of(float("1000.0")));
    assert_eq!(of(float("-0.0")), of(float("0.0")));
    // The command has the spelling.
    let of = |value| ids(campaign("x {{ a }}", &[("a", Axis::Values(vec![value]))]))[0];
    assert_ne!(of(float("1e3")), of(float("1000.0")));
}

#[test]
fn what_does_not_count_leaves_ids_alone() {
    let before = ids(sweep());
    let mut other = sweep();
    other.name = "renamed".parse().unwrap();
    other.description = Some("text".to_owned());
    other.cleanup = Some(shell("rm -rf tmp"));
    other.leftover = Leftover::Keep;
    other.cleanup_limit = std::time::Duration::from_secs(1);
    other.job_name = Some(plain("{{ seq }}"));
    other.time_limit = Some(std::time::Duration::from_secs(1));
    other.done.exit_codes = vec![0, 10];
    other.done.files = vec![glob("*.json")];
    other.log_max = 1;
    other.matrix.axes.insert(axis_name("twice"), Axis::Expr(expr("seq * 2")));
    let host = &mut other.hosts[0];
    host.init = Some("module load cuda".to_owned());
    host.slots = 4;
    assert_eq!(before, ids(other));
}

#[test]
fn what_counts_changes_every_id_and_the_cell_stays() {
    type Edit = fn(&mut Campaign);
    let before = jobs(sweep());
    let edits: [(&str, Edit); 7] = [
        ("command", |c| c.command = Command::Shell(shell("python b.py {{ seq }} {{ dtype }}"))),
        ("command", |c| c.command = Command::Argv(vec![plain("{{ seq }}"), plain("{{ dtype }}")])),
        ("prepare", |c| c.prepare = Some(shell("make"))),
        ("shell", |c| c.shell = vec!["sh".to_owned()]),
        ("working-dir", |c| c.working_dir = "sub".to_owned()),
        ("env.SEED added", |c| env(c, "SEED", "2")),
        ("env.KEY added", |c| {
            c.env.insert("KEY".to_owned(), EnvValue::FromEnv("SECRET".to_owned()));
        }),
    ];
    for (told, edit) in edits {
        let mut campaign = sweep();
        edit(&mut campaign);
        let after = jobs(campaign);
        for (old, new) in before.jobs().zip(after.jobs()) {
            assert_ne!(old.id(), new.id(), "{told}");
            assert_eq!(old.cell_key(), new.cell_key(), "{told}");
            let changes = diff(&old.parts().unwrap(), &new.parts().unwrap());
            assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), [told]);
        }
    }
}

#[test]
fn edits_are_told_in_words() {
    let parts = |edit: fn(&mut Campaign)| {
        let mut campaign = sweep();
        env(&mut campaign, "SEED", "1");
        env(&mut campaign, "GONE", "x");
        edit(&mut campaign);
        campaign.env.insert("TOKEN".to_owned(), EnvValue::FromEnv("HF_TOKEN".to_owned()));
        jobs(campaign).job(0).parts().unwrap()
    };
    let old = parts(|_| {});
    let mut new = parts(|c| {
        env(c, "SEED", "2");
        env(c, "NEW", "");
        c.env.shift_remove("GONE");
    });
    new.inputs.insert("bench.py".to_owned(), "00".to_owned());
    let told: Vec<String> = diff(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["env.GONE removed", "env.NEW added", "env.SEED 1 → 2", "inputs bench.py"]);
    assert_eq!(old.env["TOKEN"], "{ from-env = HF_TOKEN }");
}

fn ids_of_text(text: &str) -> Vec<JobId> {
    ids(Campaign::parse("campaign.toml", text).unwrap().0)
}

#[test]
fn reordering_reformatting_and_comments_change_nothing() {
    let one = r#"
name = "a"
command = "bench {{ seq }} {{ dtype }} {{ vars.data }} {{ lr }}"
prepare = "make"
[vars]
data = "/data"
[env]
A = "1"
B = "{{ seq }}"
[matrix]
seq = { from = 1024, to = 4096, factor = 2 }
dtype = ["fp16", "bf16"]
lr = [0.1, 1e-5]
[[matrix.exclude]]
dtype = "bf16"
seq = 4096
"#;
    let other = r#"
# The same, by another hand.
prepare = """make"""
command = 'bench {{seq}} {{ dtype }} {{  vars.data }} {{ lr }}'
name = "b"
description = "text"
cleanup = "rm -rf tmp"
time-limit = "10m"
[done]
files = ["x-{{ seq }}.json"]
[hosts.local]
slots = 3
env = { A = "2" }
[env]
B = "{{ seq }}"
A = "1"
[matrix]
lr = [1e-5, 0.1]
exclude = [{ seq = 4_096, dtype = "bf16" }]
dtype = ["bf16", "fp16"]
seq = [1024, 4096, 2048]
[vars]
data = "/data"
"#;
    let set = |text| ids_of_text(text).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(set(one).len(), 10);
    assert_eq!(set(one), set(other));
}

#[test]
fn the_engine_and_the_short_way_give_the_same_ids() {
    let short = ids(sweep());
    let mut by_engine = sweep();
    let text = "python bench.py --seq {% if true %}{{ seq }}{% endif %} --dtype {{ dtype }}";
    by_engine.command = Command::Shell(shell(text));
    assert_eq!(short, ids(by_engine));
}

#[test]
fn ids_do_not_hang_on_how_many_jobs_there_are() {
    let of =
        |n| ids(campaign("x {{ a }} {{ b }}", &[("a", ints(0..n)), ("b", texts(&["p", "q"]))]));
    let many = of(5000);
    assert_eq!(of(100), many[..200]);
    assert_eq!(many.len(), many.iter().collect::<BTreeSet<_>>().len());
}

fn values() -> impl Strategy<Value = Vec<Value>> {
    let value = prop_oneof![
        any::<i64>().prop_map(Value::Int),
        "[a-z'$ \\n=,]{0,6}".prop_map(Value::Str),
        any::<bool>().prop_map(Value::Bool),
        (-1000_i32..1000).prop_map(|n| {
            let value = f64::from(n) / 8.0;
            Value::Float { value, spelled: format!("{value:?}") }
        }),
    ];
    proptest::collection::vec(value, 1..5).prop_map(|mut values| {
        let mut seen: Vec<Value> = Vec::new();
        values.retain(|value| {
            // -0 and 0 are one value.
            let same = |v: &Value| match (v, value) {
                (Value::Float { value: a, .. }, Value::Float { value: b, .. }) => {
                    (a + 0.0).to_bits() == (b + 0.0).to_bits()
                }
                (a, b) => a == b,
            };
            let new = !seen.iter().any(same);
            seen.push(value.clone());
            new
        });
        values
    })
}

fn matrices() -> impl Strategy<Value = Campaign> {
    (proptest::collection::vec(values(), 1..4), 1_u32..3, any::<bool>()).prop_map(
        |(axes, repeat, used)| {
            let names = ["a", "b", "c", "d"];
            let axes: Vec<(&str, Axis)> =
                names.into_iter().zip(axes.into_iter().map(Axis::Values)).collect();
            let mut campaign = campaign(if used { "x {{ a }} {{ repeat }}" } else { "x" }, &axes);
            campaign.repeat = repeat;
            env(&mut campaign, "ONE", "{{ a }}");
            env(&mut campaign, "TWO", "2");
            campaign
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_same_file_gives_the_same_jobs_and_each_once(campaign in matrices()) {
        let first = ids(campaign.clone());
        prop_assert_eq!(&first, &ids(campaign.clone()));
        prop_assert_eq!(first.len(), id_set(campaign).len());
    }

    #[test]
    fn the_order_of_keys_changes_no_id(campaign in matrices()) {
        let mut turned = campaign.clone();
        turned.matrix.axes.reverse();
        turned.env.reverse();
        for axis in turned.matrix.axes.values_mut() {
            if let Axis::Values(values) = axis {
                values.reverse();
            }
        }
        prop_assert_eq!(id_set(campaign), id_set(turned));
    }

    #[test]
    fn one_more_value_adds_exactly_its_jobs(campaign in matrices(), pick in 0_usize..4) {
        let mut more = campaign.clone();
        let at = pick % more.matrix.axes.len();
        let Axis::Values(values) = &mut more.matrix.axes[at] else { unreachable!() };
        let (before, others) = (values.len(), campaign.matrix.axes.len());
        values.push(text("a value that is new"));
        let (old, new) = (id_set(campaign), id_set(more));
        prop_assert!(old.is_subset(&new), "{others} axes");
        prop_assert_eq!(new.len() - old.len(), old.len() / before);
    }

    #[test]
    fn repeat_keeps_the_first(campaign in matrices()) {
        let mut once = campaign.clone();
        // `{{ repeat }}` is 0 without the key, and the ids stay.
        once.repeat = 1;
        let mut thrice = campaign;
        thrice.repeat = 3;
        let (first, all) = (ids(once), ids(thrice));
        prop_assert_eq!(first, all.into_iter().step_by(3).collect::<Vec<_>>());
    }
}

//! Properties and examples of templates and expressions.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Default)]
struct Cell {
    axes: BTreeMap<&'static str, Value>,
    vars: BTreeMap<&'static str, Value>,
    repeat: u32,
}

impl Scope for Cell {
    fn axis(&self, name: &str) -> Option<&Value> {
        self.axes.get(name)
    }
    fn repeat(&self) -> u32 {
        self.repeat
    }
    fn var(&self, name: &str) -> Option<&Value> {
        self.vars.get(name)
    }
}

fn float(spelled: &str) -> Value {
    Value::Float { value: spelled.parse().unwrap(), spelled: spelled.to_owned() }
}

fn cell() -> Cell {
    Cell {
        axes: [
            ("seq", Value::Int(8192)),
            ("lr", float("1e-5")),
            ("tenth", float("0.10")),
            ("same", float("1e-1")),
            ("flag", Value::Bool(true)),
            ("text", Value::Str("it's $HOME".to_owned())),
        ]
        .into(),
        vars: [("data", Value::Str("/d".to_owned()))].into(),
        repeat: 2,
    }
}

/// Text with references as `<job.out_dir>`.
fn show(rendered: &Rendered) -> String {
    rendered
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Ref(reference) => format!("<{reference}>"),
        })
        .collect()
}

fn shell(text: &str) -> String {
    match Template::parse(text, Place::Shell) {
        Err(error) => format!("parse: {error}"),
        Ok(template) => match template.render(&cell()) {
            Err(error) => format!("render: {error}"),
            Ok(rendered) => show(&rendered),
        },
    }
}

#[test]
fn values_are_written_as_spelled() {
    assert_eq!(shell("{{ seq }} {{lr}} {{ flag }} {{ repeat }}"), "8192 1e-5 true 2");
    assert_eq!(shell("{{ lr if flag }} {{ flag and true }} {{ 1e300 }}"), "1e-5 true 1e300");
    assert_eq!(shell("{{ tenth | default(1) }} {{ same | default(1) }}"), "0.10 1e-1");
    assert_eq!(shell("{{ seq * 2 }} {{ lr * 2 }}"), "16384 2e-5");
}

#[test]
fn references_stay_apart_from_text() {
    assert_eq!(shell("x {{ job.out_dir }}/a"), "x <job.out_dir>/a");
    assert_eq!(shell("x {{ job.out_dir ~ '/a b' }}"), "x <job.out_dir>'/a b'");
    assert_eq!(shell("{{ host.scratch | default('x') }}"), "<host.scratch>");
    for filter in ["upper", "lower", "title", "capitalize", "reverse", "replace('_', '-')"] {
        let text = shell(&format!("{{{{ job.out_dir | {filter} }}}}"));
        assert!(text.starts_with("render: a filter changes"), "{filter}: {text}");
    }
    assert_eq!(shell("{{ vars.data }}{{ work_dir | safe }}"), "/d<work_dir>");
}

#[test]
fn a_value_is_one_word_unless_called_safe() {
    assert_eq!(shell("{{ text }}"), "\"it's \"'$HOME'");
    assert_eq!(shell("{{ text ~ '!' }}"), "\"it's \"'$HOME!'");
    assert_eq!(shell("{{ text | safe }}"), "it's $HOME");
    assert_eq!(shell("{{ '' ~ '' }}"), "''");
    assert_eq!(
        shell("{{ 'a=' ~ 'b' }} {{ 'time' ~ '' }} {{ '~' ~ '' }} {{ '-x' | lower }}"),
        "'a=b' 'time' '~' -x"
    );
    assert_eq!(shell("{% set x %}a {{ text }}{% endset %}{{ x }}"), "a \"it's \"'$HOME'");
    assert_eq!(shell("{{ [text, 'b'] | tojson }}").matches('\'').count() % 2, 0);
    assert_eq!(shell("{% autoescape false %}{{ text }}{% endautoescape %}"), "\"it's \"'$HOME'");
}

/// A string by itself and a `raw` block are text of the file: as it is in every place, inside quotes too.
#[test]
fn what_a_literal_or_a_raw_block_puts_out_is_text() {
    assert_eq!(shell("awk '{{ '{{' }}print{{ \"}}\" }}' {{ seq }}"), "awk '{{print}}' 8192");
    assert_eq!(shell("echo \"{% raw %}{{ seq }}{% endraw %}\""), "echo \"{{ seq }}\"");
    assert_eq!(shell("echo {{ 'a  b' }} {{ '$HOME' }}"), "echo a  b $HOME");
    assert_eq!(shell("{{ '\"' }}{{ seq }}{{ '\"' }}"), shell("\"{{ seq }}\""));
    assert_eq!(shell("a{{- ' \\'x\\' ' -}} b"), "a 'x' b");
    assert_eq!(shell("{% if flag %}'{{ '{{' }}'{% endif %}"), "'{{'");
    for (place, wanted) in
        [(Place::Plain, "{{ .*"), (Place::Glob, "{{ .*"), (Place::Regex, "{{ .*")]
    {
        for text in ["{{ '{{' }} {{ '.*' }}", "{% raw %}{{ .*{% endraw %}"] {
            let rendered = Template::parse(text, place).unwrap().render(&cell()).unwrap();
            assert_eq!(show(&rendered), wanted, "{text}");
        }
    }
}

#[test]
fn every_mistake_of_a_template_is_told() {
    let told = |text: &str| -> Vec<String> {
        let found = Template::check(text, Place::Shell).unwrap_err();
        let mut told: Vec<String> = found
            .errors
            .iter()
            .map(|error| text[error.range.clone().unwrap()].to_owned())
            .collect();
        told.extend(found.names.iter().map(|name| format!("name {name}")));
        told
    };
    assert_eq!(
        told("{{ job.outdir }} {{ lr }} {{ matrix.a }} '{{ seq }}' \"{{ text }}\""),
        ["job.outdir", "matrix.a", "{{ seq }}", "{{ text }}", "name lr", "name seq", "name text"]
    );
    assert_eq!(told("{{ job.outdir | upper }} {{ x.y }}"), ["job.outdir", "x.y"]);
    assert_eq!(told("{{ a + }} {{ b }} {{ c | }}").len(), 2);
    assert_eq!(told("{{ 'x' }} {{ a + }} b"), ["}}"]);
}

/// No filter but `safe` lets a value out of its quotes.
#[test]
fn filters_leave_the_quotes_on() {
    for expression in [
        "text ~ text",
        "text | upper",
        "text | trim",
        "text | indent(2)",
        "text | replace('x', text)",
        "[text, text] | join(text)",
        "'%s %s' | format(text, text)",
        "text | list | first",
        "text | lines | first",
        "text | split(' ') | last",
        "text | default('x')",
        "text | string",
        "[text] | tojson",
        "text | tojson",
        "{'a': text} | items | first | first",
        "[text] | first",
        "text[2:]",
        "text | title",
        "text | capitalize",
        "[text] | map('upper') | first",
        "text | reverse",
        "[text, 'b'] | sort | last",
        "[text] | unique | first",
        "text if true else ''",
        "(text ~ 'a') | replace('a', 'b')",
        "[text] | slice(1) | first | first",
    ] {
        let shown = shell(&format!("printf %s {{{{ {expression} }}}}"));
        let words = crate::shell::split(&shown).unwrap_or_else(|| panic!("{expression}: {shown}"));
        assert_eq!(words.len(), 3, "{expression}: {shown}");
        assert!(!shown.replace("'$HOME", "").contains(" $HOME"), "{expression}: {shown}");
    }
}

#[test]
fn what_has_no_text_is_refused() {
    assert!(shell("{{ nope }}").starts_with("render: `nope` is empty in this job"));
    assert!(shell("{{ nope | upper }}").starts_with("render: `nope` is empty in this job"));
    assert_eq!(shell("{{ nope | default('x') }}"), "x");
    assert!(shell("{{ none }}").starts_with("render: `none` cannot"));
    assert!(shell("{{ [1, 2] }}").starts_with("render: a list cannot"));
    assert_eq!(shell("{{ [1, 2] | join(' ') }}"), "'1 2'");
    assert!(shell("{% for i in range(900000) %}{% endfor %}").starts_with("render:"));
    assert!(shell("{{ job.id }}").starts_with("parse: there is no `job.id`"));
    assert!(shell("{{ vars }}").starts_with("parse: `vars` alone"));
    assert!(shell("{{ seq.x }}").starts_with("parse: `seq.x`: `seq` has no parts"));
    assert!(shell("{{ vars.x.y }}").starts_with("parse: `vars.x.y`: `vars.x` has no parts"));
}

#[test]
fn text_of_the_shell_is_left_alone() {
    assert_eq!(shell("${#a[@]} {%- if flag %} y{% endif %}\n"), "${#a[@]} y\n");
    assert_eq!(shell("a {{# note #}}b\n"), "a b\n");
    assert_eq!(shell("awk '{ print $1 }'"), "awk '{ print $1 }'");
}

#[test]
fn names_are_found() {
    let names = |text: &str| {
        let template = Template::parse(text, Place::Plain).unwrap();
        template.names().iter().map(Name::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("{{ b }}{{ a }}{{ vars.x }}{{ job.out_dir }}"), "a b vars.x job.out_dir");
    assert_eq!(names("{{ a[b:] }} {% for s in x %}{{ s[:1] }}{% endfor %}"), "a b x");
    assert_eq!(names("{% for i in range(n) %}{{ i }}{{ host.y }}{% endfor %}"), "n host.y");
}

#[test]
fn expressions_test_and_compute() {
    let test = |text: &str| match Expression::parse(text) {
        Err(error) => format!("parse: {error}"),
        Ok(e) => e.test(&cell()).map_or_else(|e| format!("error: {e}"), |b| b.to_string()),
    };
    assert_eq!(test("seq > 4096 and not (text == 'fp16')"), "true");
    assert_eq!(test("missing == 'x'"), "false");
    assert_eq!(test("missing is defined"), "false");
    assert_eq!(test("missing < 5"), "true");
    assert_eq!(test("missing > 5"), "false");
    assert_eq!(test("lr == 0.00001 and repeat == 2"), "true");
    assert_eq!(test("vars.data == '/d'"), "true");
    assert_eq!(test("host == 'x'"), "false");
    assert!(test("seq").starts_with("error: `seq` is `8192`, neither"));
    assert!(test("missing").starts_with("error: `missing` has no value"));
    assert!(test("{{ seq }}").starts_with("parse: an expression stands without braces"));
    assert!(test("job.out_dir == 'x'").starts_with("parse: `job.out_dir` is known on the host"));
    assert!(test("seq >").starts_with("parse: "));
    let value = |text: &str| Expression::parse(text).unwrap().value(&cell());
    assert_eq!(value("1000 + repeat"), Ok(Value::Int(1002)));
    assert_eq!(value("lr"), Ok(float("1e-5")));
    assert_eq!(value("seq / 3 > 1"), Ok(Value::Bool(true)));
    assert_eq!(value("text ~ seq"), Ok(Value::Str("it's $HOME8192".to_owned())));
    assert!(value("missing").is_err() && value("[1]").is_err() && value("none").is_err());
}

fn place() -> impl Strategy<Value = Place> {
    prop::sample::select(vec![Place::Shell, Place::Glob, Place::Regex, Place::Plain])
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[^\0]{0,12}".prop_map(Value::Str),
        any::<i64>().prop_map(Value::Int),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|value| Value::Float { value, spelled: format!("{value:?}") }),
        prop::sample::select(vec!["1e-5", "0.10", "1E5", "1.0", "100000.0"]).prop_map(float),
    ]
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z .\n/]{0,5}",
        prop::sample::select(vec![
            "{{ a }}",
            "{{b}}",
            "{{ vars.v }}",
            "{{ repeat }}",
            "{{ job.out_dir }}",
            "{{ job.state_dir }}",
            "{{ work_dir }}",
            "{{ host.h }}",
            "{{ '{{' }}",
            "{{ '' }}",
            "{{ \"a  *\" }}",
            "{% raw %}{{ a }}{% endraw %}",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn the_quick_way_equals_the_engine(
        pieces in prop::collection::vec(piece(), 0..8),
        place in place(),
        a in value(),
        b in value(),
        v in value(),
        repeat in 0u32..5,
    ) {
        let text = pieces.concat();
        let template = Template::parse(&text, place).unwrap();
        prop_assert!(template.segments().is_some());
        let cell = Cell { axes: [("a", a), ("b", b)].into(), vars: [("v", v)].into(), repeat };
        prop_assert_eq!(template.render(&cell), template.render_by_engine(&cell));
    }
}

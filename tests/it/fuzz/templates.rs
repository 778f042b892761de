//! Templates and expressions: whatever they say, an end, and no more text than a command may have.

use std::collections::BTreeMap;

use proptest::prelude::*;
use solverpilot::campaign::Value;
use solverpilot::campaign::template::{Expression, Part, Place, Scope, Template};

super::forms!(any_template_ends_and_stays_small, 400);

/// A little of everything.
struct Cell(BTreeMap<&'static str, Value>);

impl Scope for Cell {
    fn axis(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
    fn var(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "{{ ", " }}", "{% if ", "{% for i in ", "{% set a = ", "{% with a = ", " %}", "{% else %}", "{% endif %}",
    "{% endfor %}", "{% endwith %}", "{% raw %}", "{% endraw %}", "{{#", "#}}", "{#", "a", "b", "repeat",
    "vars.a", "job.out_dir", "host.x", "work_dir", "i", "loop.index", "none", "true", "(", ")", "[", "]", "{",
    "}", ":", ",", ".", "1", "0", "-1", "99999999999999999999", "1e400", "10**9", "'x'", "'%d'",
    "'%1000000000d'", "\"", "'", " * ", " ** ", " + ", " - ", " / ", " // ", " % ", " ~ ", " in ", " is ", " not ",
    " and ", " or ", " if ", " else ", " == ", " < ", "range(100000)", "range(", "|length", "|list",
    "|join('-')", "|join(", "|replace('x', 'yy')", "|replace(", "|upper", "|format(1)", "|format(",
    "|indent(9)", "|indent(", "|batch(", "|slice(", "|tojson", "|tojson(", "|safe", "|sum", "|map('upper')",
    "|sort", "|reverse", "|default('x')", "|first", "|last", "|int", "|float", "|round", "|abs", "|trim",
    "|split('x')", "|unique", "|groupby(", "|dictsort", "|items", "|min", "|max", "|string", "|bool", "|select",
    "|reject", "\0", "\n", "é", "\u{1b}", "$(", "`", "\\",
];

fn token() -> impl Strategy<Value = String> {
    prop_oneof![8 => prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,3}"]
}

fn run(cases: u32) {
    let place = prop::sample::select(vec![Place::Shell, Place::Glob, Place::Regex, Place::Plain]);
    let text = prop::collection::vec(token(), 0..25).prop_map(|tokens| tokens.concat());
    let cell = Cell(BTreeMap::from([
        ("a", Value::Int(3)),
        ("b", Value::Str("x 'y' \u{1b}*\n".to_owned())),
    ]));
    super::tried(file!(), cases, &(text, place), |(text, place)| {
        let engine = format!("{{{{ {text} }}}}");
        for text in [&text, &engine] {
            if let Ok(template) = Template::parse(text, place)
                && let Ok(parts) = template.render(&cell)
            {
                let length: usize = parts
                    .iter()
                    .map(|part| if let Part::Text(text) = part { text.len() } else { 0 })
                    .sum();
                prop_assert!(length <= 2 << 20, "{length} bytes of {text}");
            }
        }
        if let Ok(expression) = Expression::parse(&text) {
            drop((expression.test(&cell), expression.value(&cell)));
        }
        Ok(())
    });
}

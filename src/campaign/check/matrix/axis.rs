//! The values of one axis.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::Checker;
use crate::campaign::decimal::{Decimal, Rule, range};
use crate::campaign::error::Finding;
use crate::campaign::model::{Axis, Value};
use crate::campaign::template::text_of;
use crate::campaign::wire::{At, Number, Scalar, WireAxis, WireAxisTable};

/// Words that pandas reads as missing unless told otherwise; source: `na_values` in the documentation of
/// `pandas.read_csv`.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// An axis, or an expression that is parsed when all names are known.
pub(super) enum Checked<'w> {
    Axis(Axis),
    Expr(&'w At<String>),
}

impl Checker<'_> {
    pub(super) fn axis<'w>(
        &mut self,
        key: &At<String>,
        axis: &'w At<WireAxis>,
    ) -> Option<Checked<'w>> {
        match &axis.value {
            WireAxis::List(values) => self.list(key, values, &axis.span),
            WireAxis::Table(table) => self.table(key, table, &axis.span),
        }
    }

    fn list<'w>(
        &mut self,
        key: &At<String>,
        values: &[At<Scalar>],
        span: &Range<usize>,
    ) -> Option<Checked<'w>> {
        if values.is_empty() {
            if !self.is_unreadable_list(span) {
                let message = format!("the axis `{}` has no values", key.value);
                let finding = Finding::error("sp::campaign::empty", message).at(span, "empty");
                self.push(finding.help("give it at least one value, or leave the axis out"));
            }
            return None;
        }
        let mut checked: Vec<(Value, &At<Scalar>)> = Vec::with_capacity(values.len());
        let mut seen = BTreeMap::new();
        for at in values {
            let value = &at.value.0;
            if let Some(first) = seen.insert(same(value), at) {
                let first: &At<Scalar> = first;
                let message =
                    format!("the axis `{}` has the value `{}` twice", key.value, text_of(value));
                self.push(
                    Finding::error("sp::campaign::duplicate_value", message)
                        .at(&at.span, "again")
                        .at(&first.span, "first")
                        .help("keep one: the same job cannot be there twice; `repeat` runs each cell more than once"),
                );
                seen.insert(same(value), first);
                continue;
            }
            self.warn_missing(key, value, at);
            checked.push((value.clone(), at));
        }
        Some(Checked::Axis(Axis::Values(checked.into_iter().map(|(value, _)| value).collect())))
    }

    /// A list none of whose values could be read is no empty list.
    fn is_unreadable_list(&self, span: &Range<usize>) -> bool {
        let inside = |finding: &Finding| span.contains(&finding.start());
        self.findings.iter().any(inside)
    }

    fn warn_missing(&mut self, key: &At<String>, value: &Value, at: &At<Scalar>) {
        if let Value::Str(text) = value
            && MISSING.contains(&text.as_str())
        {
            let message = format!(
                "pandas reads the value `\"{text}\"` of the axis `{}` as missing",
                key.value
            );
            self.push(
                Finding::warning("sp::campaign::missing_like", message)
                    .at(&at.span, "looks like no value")
                    .help("choose another word, or read the table with `keep_default_na=False`"),
            );
        }
    }

    fn table<'w>(
        &mut self,
        key: &At<String>,
        table: &'w WireAxisTable,
        span: &Range<usize>,
    ) -> Option<Checked<'w>> {
        let given: [(&str, bool); 8] = [
            ("from", table.from.is_some()),
            ("to", table.to.is_some()),
            ("step", table.step.is_some()),
            ("factor", table.factor.is_some()),
            ("count", table.count.is_some()),
            ("glob", table.glob.is_some()),
            ("lines", table.lines.is_some()),
            ("expr", table.expr.is_some()),
        ];
        let given: Vec<&str> = given.iter().filter(|(_, is)| *is).map(|(key, _)| *key).collect();
        match (given.as_slice(), table) {
            (["glob"], WireAxisTable { glob: Some(at), .. }) => {
                self.glob(at, &format!("matrix.{}.glob", key.value));
                Some(Checked::Axis(Axis::Glob(at.value.clone())))
            }
            (["lines"], WireAxisTable { lines: Some(at), .. }) => {
                let path = self.folder(&format!("matrix.{}.lines", key.value), at)?;
                Some(Checked::Axis(Axis::Lines(path)))
            }
            (["expr"], WireAxisTable { expr: Some(at), .. }) => Some(Checked::Expr(at)),
            (
                ["from", "to"] | ["from", "to", _],
                WireAxisTable { from: Some(from), to: Some(to), .. },
            ) => self.range(key, from, to, table, span),
            _ => {
                // A part that could not be read has been told already.
                if !self.is_unreadable_list(span) {
                    let message =
                        format!("the axis `{}` is no range, glob, lines or expr", key.value);
                    let finding = Finding::error("sp::campaign::axis", message)
                        .at(span, "cannot tell its values");
                    self.push(finding.help(
                        "write `{ from = 1, to = 8, factor = 2 }` (or `step`, or `count`), `{ glob = \"…\" }`, `{ lines = \"…\" }` or `{ expr = \"…\" }`",
                    ));
                }
                None
            }
        }
    }

    fn range<'w>(
        &mut self,
        key: &At<String>,
        from: &At<Number>,
        to: &At<Number>,
        table: &WireAxisTable,
        span: &Range<usize>,
    ) -> Option<Checked<'w>> {
        let compute = || {
            let decimal = |at: &At<Number>| Decimal::parse(&at.value.0);
            let rule = match table {
                WireAxisTable { step: Some(step), .. } => Rule::Step(decimal(step)?),
                WireAxisTable { factor: Some(factor), .. } => Rule::Factor(decimal(factor)?),
                WireAxisTable { count: Some(count), .. } => Rule::Count(count.value),
                // As anybody counts.
                _ => Rule::Step(Decimal::parse("1")?),
            };
            range(decimal(from)?, decimal(to)?, &rule)
        };
        match compute() {
            Ok(values) => Some(Checked::Axis(Axis::Values(values))),
            Err(error) => {
                let message = format!("the range of the axis `{}` {error}", key.value);
                let finding = Finding::error("sp::campaign::range", message).at(span, "this range");
                self.push(finding.help(
                    "write `{ from = 1, to = 9, step = 2 }` or `{ from = 1, to = 8, factor = 2 }`",
                ));
                None
            }
        }
    }
}

/// Equal for values that make the same job: typed, floats by number and not by spelling.
fn same(value: &Value) -> (u8, String) {
    match value {
        Value::Str(text) => (0, text.clone()),
        Value::Int(number) => (1, number.to_string()),
        Value::Float { value, .. } => (2, format!("{:?}", value + 0.0)),
        Value::Bool(flag) => (3, flag.to_string()),
    }
}

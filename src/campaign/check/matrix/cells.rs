//! `[[matrix.exclude]]` and `[[matrix.include]]`.

use std::mem::Discriminant;

use indexmap::IndexMap;

use super::super::Checker;
use crate::campaign::error::Finding;
use crate::campaign::model::{Axis, Matrix, Value};
use crate::campaign::template::text_of;
use crate::campaign::wire::{At, Entries, Scalar};
use crate::ids::AxisName;

impl Checker<'_> {
    pub(super) fn cells(
        &mut self,
        kind: &str,
        cells: Option<&At<Vec<At<Entries<Scalar>>>>>,
        matrix: &Matrix,
    ) -> Vec<IndexMap<AxisName, Value>> {
        let mut checked = Vec::new();
        let kinds: IndexMap<&AxisName, Kinds<'_>> = matrix
            .axes
            .iter()
            .filter_map(|(name, axis)| match axis {
                Axis::Values(values) => Some((name, Kinds::of(values)?)),
                Axis::Glob(_) | Axis::Lines(_) | Axis::Expr(_) => None,
            })
            .collect();
        for cell in cells.iter().flat_map(|cells| &cells.value) {
            if cell.value.0.is_empty() && !self.is_broken(&format!("matrix.{kind}")) {
                let message = format!("an entry of `matrix.{kind}` names no axis");
                let finding =
                    Finding::error("sp::campaign::empty", message).at(&cell.span, "empty");
                self.push(
                    finding.help("name at least one axis with its value, or leave the entry out"),
                );
            }
            let mut values = IndexMap::new();
            for (name, value) in &cell.value.0 {
                let Some((axis, _)) = matrix.axes.get_key_value(name.value.as_str()) else {
                    self.unknown_axis(&format!("matrix.{kind}"), name, matrix);
                    continue;
                };
                if let Some(kinds) = kinds.get(axis) {
                    self.warn_type(kind, axis, kinds, value);
                }
                values.insert(axis.clone(), value.value.0.clone());
            }
            checked.push(values);
        }
        checked
    }

    /// `8192` is not `"8192"`: rarely meant, though allowed.
    fn warn_type(&mut self, kind: &str, name: &AxisName, kinds: &Kinds<'_>, value: &At<Scalar>) {
        let (values, given) = (kinds.values, &value.value.0);
        if kinds.known.contains(&std::mem::discriminant(given)) {
            return;
        }
        let text = text_of(given);
        let message = format!(
            "`matrix.{kind}` gives `{name}` {}, while the axis has {}",
            kind_of(given),
            kind_of(&values[0])
        );
        let finding =
            Finding::warning("sp::campaign::value_type", message).at(&value.span, "another type");
        let help = match values.iter().any(|value| text_of(value) == text) {
            true if kind == "exclude" => format!(
                "write `{}` as the axis does, or nothing is left out",
                spelled(&values[0], &text)
            ),
            true => format!(
                "write `{}` as the axis does, or it is another value",
                spelled(&values[0], &text)
            ),
            false => "write it as the axis does, if it is meant to be comparable".to_owned(),
        };
        self.push(finding.help(help));
    }
}

/// The values of an axis with the types that they have, found once for all cells.
struct Kinds<'m> {
    values: &'m [Value],
    known: Vec<Discriminant<Value>>,
}

impl<'m> Kinds<'m> {
    /// `None` for an axis whose values could not be read.
    fn of(values: &'m [Value]) -> Option<Self> {
        let mut known: Vec<_> = Vec::new();
        for kind in values.iter().map(std::mem::discriminant) {
            if !known.contains(&kind) {
                known.push(kind);
            }
        }
        (!values.is_empty()).then_some(Self { values, known })
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Str(_) => "text",
        Value::Int(_) => "an integer",
        Value::Float { .. } => "a float",
        Value::Bool(_) => "a boolean",
    }
}

fn spelled(like: &Value, text: &str) -> String {
    match like {
        Value::Str(_) => format!("\"{text}\""),
        _ => text.to_owned(),
    }
}

//! Whether values are texts or numbers: what an expression compares them with must be the same.

use crate::campaign::model::{Axis, Value};
use crate::campaign::template::{Comparison, Literal};

/// What values are, where all of them are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Texts.
    Text,
    /// Integers or floats, which compare with each other.
    Number,
}

/// What is wrong with a comparison; the message goes on after "`when` compares".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherType {
    /// The two sides, and what follows.
    pub message: String,
    /// The next edit.
    pub help: String,
}

impl Kind {
    /// Returns what the values of an axis are; `None` for booleans, computed values and a mixture.
    pub fn of_axis(axis: &Axis) -> Option<Self> {
        match axis {
            Axis::Values(values) => Self::of(values),
            Axis::Glob(_) | Axis::Lines(_) => Some(Self::Text),
            Axis::Expr(_) => None,
        }
    }

    /// Returns what values are; `None` for booleans, no value and a mixture.
    pub fn of(values: &[Value]) -> Option<Self> {
        let kind = |value: &Value| match value {
            Value::Str(_) => Some(Self::Text),
            Value::Int(_) | Value::Float { .. } => Some(Self::Number),
            Value::Bool(_) => None,
        };
        let first = kind(values.first()?)?;
        values.iter().all(|value| kind(value) == Some(first)).then_some(first)
    }

    /// Tells a comparison whose literal is of the other kind: its answer does not depend on the value.
    pub fn told(self, comparison: &Comparison<'_>) -> Option<OtherType> {
        let name = comparison.name;
        let never = if comparison.by_equality {
            "never equal"
        } else {
            "any text is greater than any number"
        };
        let (message, help) = match (self, comparison.literal) {
            (Self::Text, Literal::Text(_)) | (Self::Number, Literal::Number) => return None,
            (Self::Text, Literal::Number) => (
                format!("`{name}`, which is text, with a number: {never}"),
                format!("write `{name} | float` for its number, or the value in quotes"),
            ),
            (Self::Number, Literal::Text(text)) => (
                format!("`{name}`, which is a number, with text: {never}"),
                match text.parse::<f64>() {
                    Ok(_) => format!("write `{text}` without quotes"),
                    Err(_) => "compare it with a number".to_owned(),
                },
            ),
        };
        Some(OtherType { message, help })
    }
}

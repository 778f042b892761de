//! Values of axes as JSON.

use serde::{Serialize, Serializer};
use serde_json::Number;

use crate::campaign::Value;

/// An axis value as a JSON value of the same type. A float keeps its spelling: `3.10` is the JSON number `3.10`.
#[derive(Debug, Clone, Copy)]
pub struct JsonValue<'a>(pub &'a Value);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Str(text) => serializer.serialize_str(text),
            Value::Int(number) => serializer.serialize_i64(*number),
            // TOML's spelling less `_` and `+` is also JSON's.
            Value::Float { value, spelled } => match spelled.parse::<Number>() {
                Ok(number) => number.serialize(serializer),
                Err(_) => serializer.serialize_f64(*value),
            },
            Value::Bool(value) => serializer.serialize_bool(*value),
        }
    }
}

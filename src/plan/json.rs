//! Values of axes as JSON.

use serde::{Serialize, Serializer};

use crate::campaign::Value;

/// An axis value as a JSON value of the same type.
#[derive(Debug, Clone, Copy)]
pub struct JsonValue<'a>(pub &'a Value);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Str(text) => serializer.serialize_str(text),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float { value, .. } => serializer.serialize_f64(*value),
            Value::Bool(value) => serializer.serialize_bool(*value),
        }
    }
}

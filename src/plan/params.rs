//! The axis values of a job by name: what is shown and kept of them.

use indexmap::IndexMap;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::campaign::Value;

/// A job's axis values by name, in file order; `None` where an `include` left an axis out. As JSON it is one object, whose
/// numbers are spelled as the file spells them: `3.10` and `1e-3` are JSON as they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params(IndexMap<String, Option<Value>>);

impl Params {
    /// Returns the value of an axis.
    pub fn get(&self, axis: &str) -> Option<&Value> {
        self.0.get(axis)?.as_ref()
    }

    /// Returns all axes in order, those without a value too.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&Value>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_ref()))
    }

    /// Returns the names of all axes in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns the JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a map with text keys is JSON")
    }
}

impl<N: Into<String>> FromIterator<(N, Option<Value>)> for Params {
    fn from_iter<I: IntoIterator<Item = (N, Option<Value>)>>(values: I) -> Self {
        Self(values.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(name, value)| (name, value.map(JsonValue))))
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = IndexMap::<String, Box<RawValue>>::deserialize(deserializer)?;
        let values = texts.into_iter().map(|(name, text)| {
            let value = value_of(text.get()).map_err(D::Error::custom)?;
            Ok((name, value))
        });
        values.collect::<Result<_, D::Error>>().map(Self)
    }
}

/// Returns the value that a JSON text stands for, a float with its spelling.
fn value_of(text: &str) -> serde_json::Result<Option<Value>> {
    let is_float = text.contains(['.', 'e', 'E']);
    Ok(Some(match text.as_bytes().first() {
        Some(b'n') => return Ok(None),
        Some(b't' | b'f') => Value::Bool(serde_json::from_str(text)?),
        Some(b'-' | b'0'..=b'9') if is_float => {
            Value::Float { value: serde_json::from_str(text)?, spelled: text.to_owned() }
        }
        Some(b'-' | b'0'..=b'9') => Value::Int(serde_json::from_str(text)?),
        _ => Value::Str(serde_json::from_str(text)?),
    }))
}

/// An axis value as a JSON value of the same type.
#[derive(Debug, Clone, Copy)]
pub struct JsonValue<'a>(pub &'a Value);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Str(text) => serializer.serialize_str(text),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float { spelled, .. } => JsonNumber(spelled).serialize(serializer),
            Value::Bool(value) => serializer.serialize_bool(*value),
        }
    }
}

/// A number as it is spelled; TOML's spelling less `_` and `+` is also JSON's.
#[derive(Debug, Clone, Copy)]
pub struct JsonNumber<'a>(pub &'a str);

impl Serialize for JsonNumber<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = RawValue::from_string(self.0.to_owned()).map_err(S::Error::custom)?;
        text.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spelling_survives_the_way_through_json() {
        for text in [
            r#"{"lr":0.10,"py":3.10,"a":1e-3,"b":1E5,"c":1e21,"d":1e-05,"e":-0.0,"f":1.0e+3}"#,
            r#"{"n":-9223372036854775808,"m":0,"t":true,"f":false,"none":null}"#,
            r#"{"text":"3.10","escaped":"a\"\n€","empty":""}"#,
        ] {
            let params: Params = serde_json::from_str(text).unwrap();
            assert_eq!(params.to_json(), text);
        }
        for text in [r#"{"n":[1]}"#, r#"{"n":{}}"#, r#"{"n":99999999999999999999}"#, "[]"] {
            assert!(serde_json::from_str::<Params>(text).is_err(), "{text}");
        }
    }
}

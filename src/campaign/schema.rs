//! The JSON Schema of the campaign file, for editors: `#:schema` in the first line of a file names it.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::Value;

use crate::campaign::wire::WireCampaign;

/// The schema as draft-07 JSON, with a newline at its end; `schema/campaign.schema.json` is a copy.
pub fn json() -> String {
    let settings = SchemaSettings::draft07().with_transform(StripNull);
    let schema = settings.into_generator().into_root_schema_for::<WireCampaign>();
    let mut text = format!("{:#}", schema.to_value());
    text.push('\n');
    text
}

/// TOML has no null: an optional key is one that may be absent. With `null` in it every nested mistake would read "not
/// valid under any of the schemas".
#[derive(Debug, Clone)]
struct StripNull;

impl Transform for StripNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|name| name != "null");
            if let [one] = types.as_slice() {
                let one = one.clone();
                object.insert("type".to_owned(), one);
            }
        }
        let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
        choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
        if choices.len() == 1
            && let Some(Value::Object(only)) = choices.pop()
        {
            object.remove("anyOf");
            if only.contains_key("$ref") {
                // Draft 7 ignores what stands beside a `$ref`, and the description does.
                object.insert("allOf".to_owned(), Value::Array(vec![Value::Object(only)]));
                return;
            }
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

//! The JSON Schema: current, complete, and of one mind with the reader.

use super::*;

fn validator() -> (serde_json::Value, jsonschema::Validator) {
    let schema: serde_json::Value = serde_json::from_str(&schema::json()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    (schema, validator)
}

fn is_valid(validator: &jsonschema::Validator, text: &str) -> Result<(), String> {
    let value: serde_json::Value = toml::from_str(text).map_err(|error| error.to_string())?;
    validator.validate(&value).map_err(|error| error.to_string())
}

#[test]
fn the_committed_copy_is_the_generated_one() {
    let path = folder("schema/campaign.schema.json");
    if std::env::var_os("SP_UPDATE_SCHEMA").is_some() {
        fs::write(&path, schema::json()).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == schema::json(),
        "schema/campaign.schema.json is old; run the tests once with SP_UPDATE_SCHEMA=1"
    );
}

#[test]
fn valid_files_and_examples_pass() {
    let (_, validator) = validator();
    let examples = fs::read_dir(folder("examples")).into_iter().flatten().filter_map(|entry| {
        let path = entry.ok()?.path();
        Some((path.display().to_string(), fs::read_to_string(path.join("campaign.toml")).ok()?))
    });
    for (name, text) in files("tests/campaigns/valid").into_iter().chain(examples) {
        assert_eq!(is_valid(&validator, &text), Ok(()), "{name}");
    }
}

#[test]
fn it_refuses_what_types_can_tell() {
    let (_, validator) = validator();
    for stem in [
        "unknown-key",
        "wrong-type",
        "below-a-table",
        "missing",
        "empty",
        "name-is-a-path",
        "ranges",
        "paths-and-counts",
        "everything",
        "empty-matrix",
        "empty-values",
    ] {
        let path = folder("tests/campaigns/invalid").join(format!("{stem}.toml"));
        assert!(is_valid(&validator, &fs::read_to_string(path).unwrap()).is_err(), "{stem}");
    }
    for text in [
        "name = 'a'\ncommand = 'x'\nrepeat = 0",
        "name = 'a'\ncommand = 'x'\ndone.exit-codes = [256]",
    ] {
        assert!(is_valid(&validator, text).is_err(), "{text}");
    }
}

/// Every key of the schema is read, and the other way round: an unknown key's help lists what is read.
#[test]
fn it_knows_the_keys_that_are_read() {
    let (schema, _) = validator();
    let keys = |at: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<_> = at["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let read = |prefix: &str| -> Vec<String> {
        let text = format!("name = 'a'\ncommand = 'x'\n{prefix}QQQQ = 1\n");
        let error = Campaign::parse("f", &text).unwrap_err();
        let help = error
            .findings
            .iter()
            .find_map(|f| f.help.clone()?.strip_prefix("keys here are ").map(str::to_owned));
        let mut keys: Vec<_> = help
            .unwrap_or_else(|| panic!("{error}"))
            .split(", ")
            .map(|key| key.trim_matches('`').to_owned())
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&schema), read(""));
    let definitions = &schema["definitions"];
    for (name, prefix) in [
        ("done", "done."),
        ("done-count", "done.count."),
        ("host", "hosts.a."),
        ("results", "results."),
        ("secret", "env.A."),
        ("axis-table", "matrix.a."),
    ] {
        assert_eq!(keys(&definitions[name]), read(prefix), "{name}");
    }
    assert_eq!(keys(&definitions["matrix"]), ["exclude", "include", "when", "zip"]);
}

#[test]
fn it_has_no_null_and_a_sentence_for_every_key() {
    let (schema, _) = validator();
    assert!(!schema::json().contains("\"null\""));
    let mut objects = vec![&schema];
    objects.extend(schema["definitions"].as_object().unwrap().values());
    for object in objects {
        for (key, property) in object["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{key} has no description");
        }
    }
}

//! The committed schema of every JSON answer (docs/cli/schema.json), for the tests.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

/// The schema, stricter than it is committed: an answer has no field that it does not name.
pub(crate) struct Schema(Value);

impl Schema {
    /// Reads the committed file.
    pub(crate) fn committed() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli/schema.json");
        let text = std::fs::read_to_string(path).expect("the schema is committed");
        let mut schema: Value = serde_json::from_str(&text).expect("it is JSON");
        close(&mut schema["$defs"]);
        Self(schema)
    }

    /// The commands whose answer it describes.
    pub(crate) fn commands(&self) -> BTreeSet<String> {
        self.0["commands"].as_object().expect("a table").keys().cloned().collect()
    }

    /// Asserts that `answer` is one of the answers of `command`.
    #[track_caller]
    pub(crate) fn check(&self, command: &str, answer: &Value) {
        assert!(self.commands().contains(command), "{command} is not described");
        let names = self.0["commands"][command].as_array().expect("a list");
        let any: Vec<Value> =
            names.iter().map(|name| json!({"$ref": format!("#/$defs/{}", name.as_str().expect("a name"))})).collect();
        let schema = json!({"$schema": self.0["$schema"], "$defs": self.0["$defs"], "anyOf": any});
        let validator =
            jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema is valid");
        let wrong: Vec<String> =
            validator.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{command}: {wrong:#?} in {answer:#}");
        assert_ids(answer);
    }
}

/// Forbids what is not named, except in what is put together from parts.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("properties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            let whole = |key: &str| !matches!(key, "allOf" | "oneOf");
            object.iter_mut().filter(|(key, _)| whole(key)).for_each(|(_, value)| close(value));
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Fields that hold a whole identifier wherever they stand.
const IDS: [&str; 9] = ["alliance", "author", "control", "envelope", "held", "nation_id", "node", "root", "roster"];

#[track_caller]
fn assert_ids(value: &Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if let (true, Some(id)) = (IDS.contains(&key.as_str()), value.as_str()) {
                    let is_whole = id.len() == 64 && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
                    assert!(is_whole, "{key} is {id}");
                }
                assert_ids(value);
            }
        }
        Value::Array(items) => items.iter().for_each(assert_ids),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

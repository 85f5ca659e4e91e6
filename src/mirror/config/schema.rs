//! The JSON Schema of the configuration, for editors.

use super::keys::{Key, Shape, TOP, Table};
use serde_json::{Map, Value, json};

/// The maximum nesting depth of shapes, which the tables do not reach.
const MAX_DEPTH: usize = 16;

/// Returns the JSON Schema of the configuration, in draft 2020-12.
pub fn schema() -> Value {
    let mut schema = table(&TOP, 0);
    if let Value::Object(top) = &mut schema {
        top.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        top.insert("title".into(), json!("Configuration of reapify mirror"));
    }
    schema
}

fn table(table: &'static Table, depth: usize) -> Value {
    let mut properties = Map::new();
    for key in table.keys() {
        properties.insert(key.name.into(), described(key, depth));
    }
    // Only some editors resolve merge keys before they apply a schema, and required keys may come from merge
    // keys.
    properties.insert("<<".into(), json!({}));
    let required = json!({ "anyOf": [{ "required": table.required }, { "required": ["<<"] }] });
    let mut schema = json!({
        "type": ["object", "null"],
        "properties": properties,
        "patternProperties": { "^x-": {} },
        "additionalProperties": false,
    });
    if !table.required.is_empty()
        && let Value::Object(schema) = &mut schema
    {
        schema.insert("type".into(), json!("object"));
        schema.insert("allOf".into(), json!([required]));
    }
    schema
}

fn described(key: &'static Key, depth: usize) -> Value {
    let mut schema = shape(&key.shape, depth + 1);
    if let Value::Object(object) = &mut schema {
        match key.unused {
            Some(why) => {
                object.insert("description".into(), format!("Has no effect: {why}.").into());
                object.insert("deprecated".into(), true.into());
            }
            None => {
                object.insert("description".into(), key.about.into());
            }
        }
    }
    schema
}

fn shape(shape: &'static Shape, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return json!({});
    }
    match shape {
        Shape::Text => json!({ "type": ["string", "number", "boolean", "null"] }),
        Shape::Bool => json!({ "type": ["boolean", "null"] }),
        Shape::Count => json!({ "type": ["integer", "null"], "minimum": 0, "maximum": u32::MAX }),
        Shape::Integer => json!({ "type": ["integer", "null"] }),
        Shape::Number => json!({ "type": ["number", "null"], "minimum": 0 }),
        Shape::Duration => json!({
            "type": ["string", "number", "null"],
            "pattern": r"^([-+]?0|\+?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$",
            "minimum": 0,
            "maximum": 0,
        }),
        Shape::Choice(words) => {
            let words: Vec<Value> = words.iter().map(|word| json!(word)).chain([Value::Null]).collect();
            json!({ "enum": words })
        }
        Shape::List(item) => json!({ "type": ["array", "null"], "items": self::shape(item, depth + 1) }),
        Shape::Table(inner) => table(inner, depth + 1),
        Shape::TextMap => json!({
            "type": ["object", "null"],
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        }),
        Shape::Any(shapes) => {
            let shapes: Vec<Value> = shapes.iter().map(|shape| self::shape(shape, depth + 1)).collect();
            json!({ "anyOf": shapes })
        }
    }
}

//! The schema agrees with the reader.

use super::{World, load, real};
use crate::mirror::config::schema;
use serde_json::{Value, json};

/// Reads YAML through the program's own JSON, so that merge keys and anchors are gone.
fn resolved(text: &str) -> Value {
    let json = load(text, "f", &World::full()).unwrap().config.to_json();
    serde_json::from_str(&json).unwrap()
}

#[test]
fn the_schema_accepts_every_resolved_file() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for (name, text) in real::files() {
        let errors: Vec<String> = validator.iter_errors(&resolved(&text)).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

#[test]
fn the_schema_rejects_invalid_files() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for value in [
        json!({ "synk": [] }),
        json!({ "sync": [{ "source": "a", "target": "b" }] }),
        json!({ "sync": [{ "source": "a", "target": "b", "type": "imge" }] }),
        json!({ "sync": [{ "source": "a", "target": "b", "type": "image", "interval": "7d" }] }),
        json!({ "sync": [{ "source": "a", "target": "b", "type": "image", "tags": { "allow": "a" } }] }),
        json!({ "sync": [{ "source": "a", "target": "b", "type": "image", "newest": -1 }] }),
        json!({ "creds": [{ "user": "a" }] }),
        json!({ "events": { "receivers": [{ "kind": "harbor", "secret": "text" }] } }),
    ] {
        assert!(!validator.is_valid(&value), "{value}");
        assert!(load(&value.to_string(), "f", &World::full()).is_err(), "{value}");
    }
    for value in [
        json!({ "x-mine": 3, "sync": null }),
        json!({ "sync": [{ "source": "a", "target": "b", "type": "image", "interval": "1h30m", "x-note": [] }] }),
    ] {
        assert!(validator.is_valid(&value), "{value}");
        assert!(load(&value.to_string(), "f", &World::full()).is_ok(), "{value}");
    }
}

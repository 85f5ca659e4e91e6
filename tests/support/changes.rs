//! The changes that a wrap may make, checked on JSON values. Other tests check that unwrap restores every byte.

use serde_json::{Value, json};

/// Compares manifest and config before and after a wrap: the entrypoint has two more words, diff_ids and layers one
/// more entry, so does the history if it matches the layers, and the labels and annotations contain a record. Nothing
/// else differs.
#[track_caller]
pub fn only_what_wrap_changes(old: (&[u8], &[u8]), new: (&[u8], &[u8]), what: &str) {
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (old_manifest, mut old_config) = (json(old.0), json(old.1));
    let (mut manifest, mut config) = (json(new.0), json(new.1));

    let mut argv = list(&config["config"]["Entrypoint"]);
    assert_eq!(argv.drain(..2).collect::<Vec<_>>(), ["/.reaper", "--"], "{what}");
    let mut before = list(&old_config["config"]["Entrypoint"]);
    // Docker treats one empty word as no entrypoint.
    if before == [""] {
        before.clear();
    }
    assert_eq!(argv, before, "{what}");
    let labels = config["config"]["Labels"].as_object().expect("labels");
    for (key, value) in old_config["config"]["Labels"].as_object().into_iter().flatten() {
        assert!(key.starts_with("io.reapify.") || labels.get(key) == Some(value), "{what}: the label {key}");
    }

    // The history gains an entry only if its entries match the layers; otherwise it would belong to another layer.
    let layers = list(&old_manifest["layers"]).len();
    let entries = list(&old_config["history"]).iter().filter(|e| e["empty_layer"] != true).count();
    let fits = old_config["history"].is_array() && entries == layers;
    for (place, grows) in [("/rootfs/diff_ids", true), ("/history", fits)] {
        let (now, then) = (config.pointer(place), old_config.pointer(place));
        let (mut now, then) = (now.map(list).unwrap_or_default(), then.map(list).unwrap_or_default());
        assert_eq!(now.len(), then.len() + usize::from(grows), "{what}: {place}");
        now.truncate(then.len());
        assert_eq!(now, then, "{what}: {place}");
    }
    let mut now = list(&manifest["layers"]);
    assert_eq!(now.len(), layers + 1, "{what}");
    now.truncate(layers);
    assert_eq!(now, list(&old_manifest["layers"]), "{what}");

    // Without everything that may change, both must be equal.
    for config in [&mut config, &mut old_config] {
        if config["config"].is_null() {
            config["config"] = json!({});
        }
        for place in ["/config/Entrypoint", "/config/Labels", "/rootfs/diff_ids", "/history"] {
            take(config, place);
        }
    }
    assert_eq!(config, old_config, "{what}");
    let mut old_manifest = old_manifest;
    for manifest in [&mut manifest, &mut old_manifest] {
        if let Some(annotations) = manifest["annotations"].as_object_mut() {
            annotations.retain(|key, _| !key.starts_with("io.reapify."));
        }
        if manifest["annotations"].as_object().is_none_or(serde_json::Map::is_empty) {
            take(manifest, "/annotations");
        }
        for place in ["/config/digest", "/config/size", "/config/data", "/layers"] {
            take(manifest, place);
        }
    }
    assert_eq!(manifest, old_manifest, "{what}");
}

fn take(value: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    if let Some(object) = value.pointer_mut(parent).and_then(Value::as_object_mut) {
        object.remove(key);
    }
}

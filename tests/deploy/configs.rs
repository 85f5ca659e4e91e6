//! Deployed configurations, and those of the documentation, loaded by the program.

use super::objects::{Object, parse};
use super::{overlays, render};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns a command that runs the program.
pub fn reapify() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reapify"));
    command.env_clear();
    command
}

/// Loads a configuration as in a pod in which all secrets of receivers exist.
pub fn load(name: &str, text: &str) {
    let dir = tempfile::tempdir().unwrap();
    let text = with_secrets(text, dir.path());
    let file = dir.path().join("regsync.yml");
    std::fs::write(&file, &text).unwrap();
    let mut command = reapify();
    command.args(["mirror", "config", "-c"]).arg(&file).env("HUB_USER", "user-of-this-test");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{name}: {}\n{text}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).lines().any(|line| line == "sync:"), "{name}");
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(notes.is_empty(), "{name}: an example that causes notes: {notes}");
}

/// Writes a secret for each file below /etc/reapify or /run/secrets that the text names.
fn with_secrets(text: &str, dir: &Path) -> String {
    let mut text = text.to_owned();
    for place in ["/etc/reapify/events", "/run/secrets"] {
        let here: PathBuf = dir.join(place.trim_start_matches('/'));
        std::fs::create_dir_all(&here).unwrap();
        for rest in text.clone().split(place).skip(1) {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let name: String = rest.trim_start_matches('/').chars().take_while(|c| is_name(*c)).collect();
            std::fs::write(here.join(name), "secret-of-this-test\n").unwrap();
        }
        text = text.replace(place, here.to_str().unwrap());
    }
    text
}

/// Returns the configuration in a ConfigMap.
pub fn of(object: &Object) -> Option<&str> {
    match object {
        Object::ConfigMap(map) => Some(&map.data.as_ref()?["regsync.yml"]),
        _ => None,
    }
}

#[test]
fn deployed_configurations_load() {
    for (name, objects) in overlays() {
        let configs: Vec<_> = objects.iter().filter_map(of).collect();
        assert_eq!(configs.len(), 1, "{name}");
        configs.iter().for_each(|text| load(name, text));
    }
}

#[test]
fn receivers_read_files_of_the_mounted_secret() {
    let objects = parse(&render::kustomize("server"));
    let pod = objects.iter().find_map(Object::pod).unwrap();
    let mounts = super::rules::container(pod).volume_mounts.as_ref().unwrap();
    let config = objects.iter().find_map(of).unwrap();
    let files: Vec<&str> = config.split("file: ").skip(1).filter_map(|rest| rest.split('}').next()).collect();
    assert!(!files.is_empty());
    for file in files {
        let (dir, key) = file.rsplit_once('/').unwrap();
        assert!(mounts.iter().any(|mount| mount.mount_path == dir), "{file}");
        let readme = std::fs::read_to_string(render::root().join("deploy/README.md")).unwrap();
        assert!(readme.contains(&format!("--from-literal={key}=")), "{file}");
    }
}

/// Returns the fenced code blocks of a language in a Markdown text.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        // A block in a list item is indented as a whole.
        let indent = &line[..line.len() - line.trim_start().len()];
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let body = lines.by_ref().map(|line| line.strip_prefix(indent).unwrap_or(line));
        let body: Vec<&str> = body.take_while(|line| !line.starts_with("```")).collect();
        if info.trim() == language {
            blocks.push(body.join("\n") + "\n");
        }
    }
    blocks
}

fn manual() -> String {
    std::fs::read_to_string(render::root().join("docs/mirror.md")).unwrap()
}

#[test]
fn configurations_in_the_manual_load() {
    let configs: Vec<String> =
        blocks(&manual(), "yaml").into_iter().filter(|block| block.contains("sync:")).collect();
    assert!(configs.len() >= 5, "the manual has {} configurations", configs.len());
    for (number, text) in configs.iter().enumerate() {
        load(&format!("configuration {} of the manual", number + 1), text);
    }
}

#[test]
fn values_in_the_instructions_render() {
    let text = std::fs::read_to_string(render::root().join("deploy/README.md")).unwrap();
    let values = blocks(&text, "yaml");
    assert_eq!(values.len(), 1);
    for values in values {
        let values = serde_yaml_ng::from_str(&values).unwrap();
        let objects = parse(&render::helm("mirror", &values).unwrap());
        load("deploy/README.md", objects.iter().find_map(of).unwrap());
    }
}

#[test]
fn the_manual_names_every_key_that_has_an_effect() {
    let output = reapify().args(["mirror", "schema"]).output().unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let (manual, mut missing) = (manual(), Vec::new());
    let entry = &schema["properties"]["sync"]["items"]["properties"];
    let defaults = &schema["properties"]["defaults"]["properties"];
    let receiver = &schema["properties"]["events"]["properties"]["receivers"]["items"]["properties"];
    for keys in [entry, &entry["wrap"]["properties"], defaults, receiver] {
        for (key, about) in keys.as_object().unwrap() {
            if about["deprecated"] != true && key != "<<" && !manual.contains(&format!("`{key}`")) {
                missing.push(key.clone());
            }
        }
    }
    missing.sort();
    missing.dedup();
    assert!(missing.is_empty(), "docs/mirror.md does not name {missing:?}");
}

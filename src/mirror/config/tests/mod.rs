//! The configuration as a whole; the tests of its parts stand beside them.

mod errors;
mod real;
mod resolved;
mod schema;
mod templates;

use super::*;
use std::collections::HashMap;

/// Variables and files for tests.
#[derive(Default)]
pub struct World(HashMap<String, String>);

impl World {
    pub fn new(pairs: &[(&str, &str)]) -> Self {
        World(pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect())
    }

    /// What the files of `testdata` ask for.
    pub fn full() -> Self {
        World::new(&[
            ("HUB_USERNAME", "robot"),
            ("HUB_PASSWORD", "hunter2-hub"),
            ("STAGE_USERNAME", "stage-robot"),
            ("STAGE_PASSWORD", "hunter2-stage"),
            ("REGISTRY_ENDPOINT", "prime.example"),
            ("REGISTRY_USERNAME", "prime-robot"),
            ("REGISTRY_PASSWORD", "hunter2-prime"),
            ("ACCESS_TOKEN", "hunter2-token"),
            ("ORGANISATION", "acme"),
            ("PROJECT", "warehouse"),
            ("CLOUD_PASSWORD", "hunter2-cloud"),
            ("CLOUD_PASSWORD1", "hunter2-one"),
            ("CLOUD_PASSWORD2", "hunter2-two"),
            ("DEBIAN_VERSION", "13.1"),
            ("ETCD_VERSION", "v3.6.1"),
            ("TARGET_REGISTRY", "target.example"),
            ("HOOK_TOKEN", "hunter2-hook"),
            ("EVENT_SECRET", "hunter2-events"),
            ("/var/run/secrets/hub_token", "hunter2-file\n"),
            ("/run/secrets/lab", "hunter2-lab\n"),
        ])
    }
}

impl Outside for World {
    fn env(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".into())
    }
}

/// Loads a text that must be right.
pub fn loaded(text: &str) -> Loaded {
    load(text, "regsync.yml", &World::full()).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Returns the configuration of a text that must be right.
pub fn config(text: &str) -> Config {
    loaded(text).config
}

/// Returns the only entry of a text: `keys` are the lines of the entry after its three required keys.
pub fn entry(keys: &str) -> Entry {
    let lines: String = keys.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("sync:\n  - source: a\n    target: b.example/a\n    type: repository\n{lines}");
    config(&text).entries.remove(0)
}

/// Returns the message with its place, and the hint, of a text that must be wrong.
pub fn error(text: &str) -> (String, Option<String>) {
    match load(text, "regsync.yml", &World::full()) {
        Ok(loaded) => panic!("{text}\nis accepted as {loaded:?}"),
        Err(e) => (e.to_string(), e.hint),
    }
}

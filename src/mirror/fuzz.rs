//! Properties that hold for every configuration: loading does not panic, and the printed form loads as the
//! same configuration.

use super::config::{self, Outside};
use super::rule::Rule;
use crate::reapers::Reapers;

/// An environment in which every variable is set and every file is readable.
struct Everything;

impl Outside for Everything {
    fn env(&self, name: &str) -> Option<String> {
        Some(name.to_lowercase())
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Ok(path.to_owned())
    }
}

/// Loads a configuration, prints it, loads the printed form, and compiles its entries.
pub fn fuzz_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(loaded) = config::load(text, "fuzz", &Everything) else { return };
    let shown = loaded.config.to_yaml();
    let again = config::load(&shown, "shown", &Everything);
    let again = again.unwrap_or_else(|e| panic!("{e}\n{shown}"));
    assert_eq!(again.config.to_yaml(), shown);
    serde_json::from_str::<serde_json::Value>(&loaded.config.to_json()).expect("it is shown as JSON");
    let Ok((rules, _)) = Rule::all(&loaded.config, "fuzz", &|_| Ok(Reapers::default())) else { return };
    for rule in rules {
        for tag in ["latest", "1.2.3", "v2.0.0-rc.1", "sha256-00.sig"] {
            let _ = rule.filter.verdict(tag).to_string();
            let source = rule.source_repository(None).and_then(|name| name.with_tag(tag));
            let _ = source.and_then(|source| rule.destination(&source));
        }
    }
}

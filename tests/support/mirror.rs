//! Configurations of the mirror, and the reports of its passes.

use super::image::{Family, Image, digest, file};
use super::registry::Registry;
use super::run::{Run, reapify};
use super::scratch;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Returns an image that contains this text.
pub fn image(text: &str) -> Image {
    Image::new().layer(&[file("base", b"shared by all")]).layer(&[file("app", text.as_bytes())])
}

/// Pushes an artifact that refers to an image of the same repository, and returns its digest.
pub fn referrer(registry: &Registry, repository: &str, image: &Image) -> String {
    let referrer = format!(
        r#"{{"schemaVersion":2,"mediaType":"{0}","artifactType":"text/x","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}},"layers":[],"subject":{{"mediaType":"{0}","digest":"{1}","size":{2}}}}}"#,
        Family::Oci.manifest(),
        image.digest(),
        image.manifest_bytes().len()
    );
    registry.put_blob(repository, b"{}");
    let name = digest(referrer.as_bytes());
    registry.put_manifest(repository, &name, Family::Oci.manifest(), referrer.as_bytes());
    name
}

/// A configuration file in a temporary directory.
pub struct Config {
    dir: tempfile::TempDir,
}

impl Config {
    pub fn new(text: &str) -> Self {
        let config = Config { dir: scratch() };
        config.write(text);
        config
    }

    /// Creates a configuration with one entry that mirrors `app` of one registry to `copy/app` of another.
    pub fn between(source: &Registry, target: &Registry, more: &str) -> Self {
        Config::new(&format!(
            "version: 1\nsync:\n  - source: {}/app\n    target: {}/copy/app\n    type: repository\n{more}",
            source.host(),
            target.host()
        ))
    }

    pub fn write(&self, text: &str) {
        std::fs::write(self.file("regsync.yml"), text).unwrap();
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn run(&self, command: &str) -> Run {
        reapify(["mirror", command, "-c"]).arg(self.file("regsync.yml"))
    }

    /// Runs a pass, and returns the lines of its report by destination.
    pub fn once(&self) -> BTreeMap<String, Value> {
        let report = self.file("report");
        self.run("once").arg("--report").arg(&report).run().succeeds();
        lines(&report)
    }
}

/// Returns the lines of a report, by the end of the destination's name.
pub fn lines(report: &Path) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(report).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let name = |line: &Value| {
        let name = line["destination"].as_str().or(line["source"].as_str()).unwrap_or_default();
        name.split_once('/').map_or(name, |(_, name)| name).to_owned()
    };
    lines.map(|line| (name(&line), line)).collect()
}

pub fn actions(lines: &BTreeMap<String, Value>) -> Vec<(&str, &str)> {
    lines.iter().map(|(name, line)| (name.as_str(), line["action"].as_str().unwrap())).collect()
}

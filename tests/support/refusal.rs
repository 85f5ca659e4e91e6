//! Sources and destinations for rejected runs, and the checks: one error, its exit code, and nothing written.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::image::{Image, digest, file};
use super::registry::Registry;
use super::run::{Outcome, Run, reapify};
use super::scratch;

/// A registry to read from and write to, in which `copy:v1` exists, and a directory.
pub struct Place {
    pub registry: Registry,
    pub dir: tempfile::TempDir,
    pub old: String,
}

impl Place {
    pub fn new() -> Self {
        let registry = Registry::start();
        let old = Image::new().layer(&[file("old", b"old")]);
        old.in_registry(&registry, "copy", "v1");
        Self { registry, dir: scratch(), old: old.digest() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns `transport:DIR/name`, with any suffix in `name`.
    pub fn at(&self, transport: &str, name: &str) -> String {
        format!("{transport}:{}/{name}", self.dir.path().display())
    }

    pub fn layout(&self, image: &Image) -> String {
        image.in_layout(&self.path("source"), "v1")
    }

    pub fn pushed(&self, image: &Image) -> String {
        image.in_registry(&self.registry, "app", "v1")
    }

    /// Returns every kind of destination.
    pub fn destinations(&self) -> [String; 4] {
        let archive = self.at("docker-archive", "out/docker.tar:app:v1");
        [
            self.registry.name("copy", "v1"),
            self.at("oci", "out/layout:v1"),
            self.at("oci-archive", "out/oci.tar:v1"),
            archive,
        ]
    }

    /// Checks that no manifest, tag or file was written anywhere. Complete blobs may remain, also in a directory that
    /// is not a layout.
    #[track_caller]
    pub fn is_untouched(&self) {
        assert_eq!(self.registry.complete("copy", "v1"), self.old);
        let log = self.registry.log();
        assert_eq!(log.count(|entry| entry.asked.writes_manifest()), 0, "{:#?}", log.lines());
        assert_eq!(self.registry.open_uploads(), 0, "no upload is left open");
        for path in files_below(&self.path("out")) {
            let name = path.display().to_string().replace("/sha256/", "/sha256:");
            let bytes = std::fs::read(&path).expect("a file");
            assert!(name.ends_with(&digest(&bytes)), "{name} was left");
            assert!(
                serde_json::from_slice::<Value>(&bytes).map_or(true, |json| json.get("layers").is_none())
            );
        }
    }
}

/// Returns every file in a directory and its subdirectories.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Wraps to every kind of destination, and expects the same error, which contains `phrase`.
#[track_caller]
pub fn refused(place: &Place, source: &str, options: &[&str], code: i32, phrase: &str) {
    for destination in place.destinations() {
        refused_to(place, source, &destination, options, code, phrase);
    }
}

#[track_caller]
pub fn refused_to(place: &Place, source: &str, destination: &str, options: &[&str], code: i32, phrase: &str) {
    // Content left by an earlier attempt must not help this one.
    let out = place.path("out");
    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir(&out).expect("a directory");
    let outcome = wrap(source, destination).args(options).run().exits(code).says(phrase);
    has_one_error(outcome);
    place.is_untouched();
}

pub fn wrap(source: &str, destination: &str) -> Run {
    reapify(["wrap", "--retries", "0", source, destination])
}

/// Checks that there is one line that starts with `error:`, and nothing on standard output.
#[track_caller]
pub fn has_one_error(outcome: Outcome) -> Outcome {
    let errors = outcome.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{outcome}");
    assert!(!outcome.stderr.contains("panicked"), "{outcome}");
    outcome.prints("")
}

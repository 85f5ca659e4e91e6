//! Wrapped images whose layers another program packed again, as engines do that push them: the config and its record are
//! intact, and the manifest is new.

mod support;

use serde_json::Value;
use support::image::{Family, digest, layout_blob, layout_manifest, write_blob, write_index};
use support::run::reapify;
use support::tars::gzip;
use support::{scratch, zombies};

struct Repacked {
    dir: tempfile::TempDir,
}

impl Repacked {
    fn name(&self, name: &str) -> String {
        format!("oci:{}:v1", self.dir.path().join(name).display())
    }

    /// Wraps the sample through `docker-archive:`, which drops the manifest and the compression of the layers.
    fn new() -> Self {
        let dir = scratch();
        let archive = format!("docker-archive:{}", dir.path().join("wrapped.tar").display());
        reapify(["wrap", &zombies(), &archive]).run().succeeds();
        let repacked = Repacked { dir };
        reapify(["wrap", &archive, &repacked.name("pushed")]).run().succeeds();
        repacked
    }
}

#[test]
fn a_repacked_image_is_verified_by_its_diff_ids() {
    let repacked = Repacked::new();
    let pushed = repacked.name("pushed");
    reapify(["verify", &pushed]).run().succeeds();
    reapify(["verify", &pushed, "--source", &zombies()]).run().succeeds();
    reapify(["inspect", "--check", &pushed]).run().succeeds();
    // Another layer in place of one of the original ones is not the image that was wrapped.
    let layout = repacked.dir.path().join("pushed");
    let manifest = String::from_utf8(layout_manifest(&layout, "v1")).unwrap();
    let parsed: Value = serde_json::from_str(&manifest).unwrap();
    let old = &parsed["layers"][0];
    let other = gzip(&[0; 1024]);
    write_blob(&layout, &other);
    let forged = manifest
        .replace(old["digest"].as_str().unwrap(), &digest(&other))
        .replace(&format!("\"size\":{}", old["size"]), &format!("\"size\":{}", other.len()));
    assert_ne!(forged, manifest);
    write_blob(&layout, forged.as_bytes());
    write_index(&layout, &[("v1", Family::Oci.manifest(), forged.as_bytes())]);
    reapify(["verify", &pushed]).run().exits(6).says("diff_id").says(&digest(&other));
}

#[test]
fn a_repacked_image_is_unchanged_upgraded_and_unwrapped() {
    let repacked = Repacked::new();
    let pushed = repacked.name("pushed");
    let report =
        reapify(["wrap", "--output", "json", &pushed, &repacked.name("again")]).run().succeeds().json();
    assert_eq!(report["action"], "unchanged", "{report}");
    let report = reapify(["wrap", "--grace", "5", "--output", "json", &pushed, &repacked.name("upgraded")])
        .run()
        .succeeds()
        .json();
    assert_eq!(report["action"], "upgraded", "{report}");
    reapify(["verify", &repacked.name("upgraded")]).run().succeeds();
    for from in ["pushed", "upgraded"] {
        let outcome = reapify(["unwrap", &repacked.name(from), &repacked.name("back")]).run().succeeds();
        if from == "pushed" {
            outcome.says("another program made the present one");
        }
        let manifest: Value =
            serde_json::from_slice(&layout_manifest(&repacked.dir.path().join("back"), "v1")).unwrap();
        let original: Value =
            serde_json::from_slice(&layout_manifest(&support::project("testdata/zombies"), "latest"))
                .unwrap();
        assert_eq!(manifest["config"]["digest"], original["config"]["digest"], "{from}");
        let config =
            layout_blob(&repacked.dir.path().join("back"), manifest["config"]["digest"].as_str().unwrap());
        assert_eq!(digest(&config), original["config"]["digest"].as_str().unwrap());
    }
}

#[test]
fn archives_are_named_by_the_digest_of_their_config() {
    let dir = scratch();
    let archive = format!("docker-archive:{}", dir.path().join("wrapped.tar").display());
    let wrapped = reapify(["wrap", &zombies(), &archive]).run().succeeds().digest();
    for command in [&["verify"][..], &["inspect", "--output", "json"]] {
        let text = reapify(command.iter().copied()).arg(&archive).run().succeeds().text();
        assert!(text.contains(&wrapped), "{command:?}: {text}");
    }
    let back = format!("docker-archive:{}", dir.path().join("back.tar").display());
    let unwrapped = reapify(["unwrap", &archive, &back]).run().succeeds().digest();
    let original: Value =
        serde_json::from_slice(&layout_manifest(&support::project("testdata/zombies"), "latest")).unwrap();
    assert_eq!(original["config"]["digest"], unwrapped);
}

#[test]
fn a_run_that_fails_early_writes_no_archive_to_a_pipe() {
    let dir = scratch();
    let missing = format!("oci:{}:v1", dir.path().join("none").display());
    for archive in ["docker-archive:-", "oci-archive:-"] {
        for (command, source) in [("wrap", &missing), ("unwrap", &zombies())] {
            let outcome = reapify([command, source, archive]).run();
            assert_ne!(outcome.code(), 0);
            assert!(outcome.stdout.is_empty(), "{command} {archive}: {} bytes", outcome.stdout.len());
        }
        // A stream that ends in the middle of its source is not ended like a whole one.
        let whole = reapify(["wrap", &zombies(), archive]).run().succeeds().stdout;
        let cut = whole[..whole.len() / 2].to_vec();
        let outcome = reapify(["wrap", "--force", archive, archive]).stdin(cut).run();
        assert_ne!(outcome.code(), 0);
        let end = &outcome.stdout[outcome.stdout.len().saturating_sub(1024)..];
        assert!(end.is_empty() || end.iter().any(|byte| *byte != 0), "{archive}: {outcome}");
    }
}

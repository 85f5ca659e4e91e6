//! Images as various tools create them: `testdata/corpus`, made by `testdata/make-corpus` or written by hand to match
//! the output of the tools. Each is wrapped to the bytes stored beside it, copied unchanged, or rejected.
//!
//! `BLESS=1 cargo test --test corpus` writes those bytes again; review the difference before committing it.

mod support;

use std::path::PathBuf;

use serde_json::{Value, json};
use support::changes::only_what_wrap_changes;
use support::image::Family;
use support::registry::Registry;
use support::run::{Outcome, reapify};
use support::{project, scratch};

/// The expected treatment of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Wrapped,
    /// Copied unchanged for this reason.
    Carried(&'static str),
    /// Rejected with exit code 5 and this message.
    Refused(&'static str),
}
use Fate::{Carried, Refused, Wrapped};

const FATES: [(&str, Fate); 28] = [
    ("apko", Wrapped),
    ("bazel-rules-docker", Wrapped),
    ("bazel-rules-oci", Wrapped),
    ("buildah-commit-gzip", Wrapped),
    ("buildah-commit-zstd", Wrapped),
    ("buildkit", Wrapped),
    ("buildpacks", Wrapped),
    ("cmd-is-a-string", Refused("Cmd")),
    ("data-only", Wrapped),
    ("diff-ids-missing", Refused("2 layers, but the config has 0 diff_ids")),
    ("docker-build", Wrapped),
    ("docker-build-shell", Wrapped),
    ("docker-commit", Wrapped),
    ("docker-import", Wrapped),
    ("history-too-short", Wrapped),
    ("jib", Wrapped),
    ("kaniko", Wrapped),
    ("key-twice", Refused("duplicate field `Cmd`")),
    ("ko", Wrapped),
    ("nix-docker-tools", Wrapped),
    ("nix2container", Wrapped),
    ("podman-build-docker", Wrapped),
    ("podman-build-oci", Wrapped),
    ("s6-overlay", Carried("s6")),
    ("systemd", Carried("an init system")),
    ("tini", Carried("tini")),
    ("umoci", Wrapped),
    ("windows", Refused("no reaper for windows/amd64")),
];

struct Specimen {
    name: &'static str,
    manifest: Vec<u8>,
    config: Vec<u8>,
}

fn corpus() -> PathBuf {
    project("testdata/corpus")
}

impl Specimen {
    fn read(name: &'static str) -> Self {
        let file = |file: &str| std::fs::read(corpus().join(name).join(file)).expect("a file of the corpus");
        Specimen { name, manifest: file("manifest.json"), config: file("config.json") }
    }

    fn json(&self) -> (Value, Value) {
        let json = |bytes| serde_json::from_slice(bytes).expect("JSON");
        (json(&self.manifest), json(&self.config))
    }

    fn media_type(&self) -> &'static str {
        let is_docker = self.json().0["config"]["mediaType"].as_str().is_some_and(|t| t.contains("docker"));
        if is_docker { Family::Docker.manifest() } else { Family::Oci.manifest() }
    }

    /// The layers are elsewhere: operations within a repository do not read them.
    fn push(&self, registry: &Registry, tag: &str) -> String {
        registry.set(|s| s.checks_references = false);
        registry.put_blob("app", &self.config);
        registry.put_manifest("app", tag, self.media_type(), &self.manifest)
    }

    fn descriptor(&self) -> Value {
        let config = self.json().1;
        let mut platform = json!({"os": config["os"], "architecture": config["architecture"]});
        if config["variant"].is_string() {
            platform["variant"] = config["variant"].clone();
        }
        let digest = support::image::digest(&self.manifest);
        json!({"mediaType": self.media_type(), "size": self.manifest.len(), "digest": digest, "platform": platform})
    }
}

/// Wraps with reapers whose bytes never change.
fn wrap(registry: &Registry, from: &str, to: &str) -> Outcome {
    let amd64 = project("testdata/tiny-init");
    // A copy for a machine that is never started differs only in the machine number of the ELF header.
    let mut program = std::fs::read(&amd64).expect("the smallest reaper");
    program.splice(18..20, 183u16.to_le_bytes());
    let dir = scratch();
    let arm64 = dir.path().join("arm64");
    std::fs::write(&arm64, program).expect("a reaper");
    let reapers = [("amd64", &amd64), ("arm64", &arm64)]
        .map(|(machine, file)| format!("--reaper=linux/{machine}={}", file.display()));
    let names = [registry.name("app", from), registry.name("app", to)];
    reapify(["wrap", "--output", "json", "--attestations", "keep"]).args(reapers).args(names).run()
}

fn unwrap(registry: &Registry, from: &str, to: &str) -> Value {
    let names = [registry.name("app", from), registry.name("app", to)];
    reapify(["unwrap", "--output", "json"]).args(names).run().succeeds().json()
}

#[test]
fn every_specimen_has_an_expectation() {
    let entries = std::fs::read_dir(corpus()).expect("the corpus");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, FATES.map(|fate| fate.0));
}

#[test]
fn every_specimen_meets_its_expectation() {
    for (name, fate) in FATES {
        let specimen = Specimen::read(name);
        let registry = Registry::start();
        let source = specimen.push(&registry, "v1");
        let outcome = wrap(&registry, "v1", "reaped");
        match fate {
            Wrapped => {
                let report = outcome.succeeds().json();
                assert_eq!(report["action"], "wrapped", "{name}");
                compare(&specimen, &registry);
                // Wrapping again changes nothing, and unwrapping restores the original.
                let again = wrap(&registry, "reaped", "twice").succeeds().json();
                assert_eq!((&again["action"], &again["digest"]), (&"unchanged".into(), &report["digest"]));
                assert_eq!(unwrap(&registry, "reaped", "back")["digest"], source, "{name}");
                let back = registry.manifest("app", "back").expect("the image again");
                assert_eq!(back.bytes, specimen.manifest, "{name}");
                assert_eq!(back.media_type, specimen.media_type(), "{name}");
            }
            Carried(why) => {
                let report = outcome.succeeds().json();
                assert_eq!(
                    (&report["action"], &report["digest"]),
                    (&"skipped".into(), &source.into()),
                    "{name}"
                );
                let reason = report["platforms"][0]["reason"].as_str().unwrap_or_default();
                assert!(reason.contains(why), "{name}: {reason}");
                assert_eq!(registry.manifest("app", "reaped").expect("a copy").bytes, specimen.manifest);
            }
            Refused(why) => {
                outcome.exits(5).says(why);
                assert!(registry.manifest("app", "reaped").is_none(), "{name}");
            }
        }
    }
}

/// Compares the result with the files beside the specimen, and checks that only what wrap must change differs.
fn compare(specimen: &Specimen, registry: &Registry) {
    let name = specimen.name;
    let manifest = registry.manifest("app", "reaped").expect("a wrapped image").bytes;
    let new: Value = serde_json::from_slice(&manifest).expect("JSON");
    let config = registry.blob("app", new["config"]["digest"].as_str().expect("a digest")).expect("a config");
    for (file, bytes) in [("wrapped-manifest.json", &manifest[..]), ("wrapped-config.json", &config[..])] {
        let path = corpus().join(name).join(file);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, bytes).expect("a file of the corpus");
        }
        let expected = std::fs::read(&path).expect("a file of the corpus");
        assert_eq!(String::from_utf8_lossy(bytes), String::from_utf8_lossy(&expected), "{name}/{file}");
    }
    only_what_wrap_changes((&specimen.manifest, &specimen.config), (&manifest, &config), name);
}

#[test]
fn wraps_and_unwraps_an_index_of_all_specimens() {
    for family in [Family::Oci, Family::Docker] {
        let registry = Registry::start();
        let found: Vec<Specimen> = FATES
            .iter()
            .filter(|fate| !matches!(fate.1, Refused(_)))
            .map(|fate| Specimen::read(fate.0))
            .filter(|s| family == Family::Oci || s.media_type() == family.manifest())
            .collect();
        for specimen in &found {
            specimen.push(&registry, specimen.name);
        }
        let children: Vec<Value> = found.iter().map(Specimen::descriptor).collect();
        let index = json!({"schemaVersion": 2, "mediaType": family.index(), "manifests": children});
        let text = serde_json::to_vec_pretty(&index).expect("JSON");
        let source = registry.put_manifest("app", "all", family.index(), &text);
        let report = wrap(&registry, "all", "reaped").succeeds().json();
        let of = |fate: fn(&Fate) -> bool| {
            found.iter().filter(|s| FATES.iter().any(|f| f.0 == s.name && fate(&f.1))).count()
        };
        let count = |action: &str| {
            let platforms = report["platforms"].as_array().expect("platforms");
            platforms.iter().filter(|p| p["action"] == action).count()
        };
        assert_eq!(count("wrapped"), of(|fate| *fate == Wrapped), "{report:#}");
        assert_eq!(count("skipped"), of(|fate| matches!(fate, Carried(_))), "{report:#}");
        let again = wrap(&registry, "reaped", "twice").succeeds().json();
        assert_eq!(again["digest"], report["digest"]);
        assert_eq!(unwrap(&registry, "reaped", "back")["digest"], source);
    }
}

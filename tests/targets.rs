//! The machine of an image whose index, config and programs disagree or do not state one.

mod support;

use serde_json::{Value, json};
use support::image::{Family, Image, file};
use support::index::put_index;
use support::registry::Registry;
use support::run::{Outcome, reapify};
use support::scratch;

/// Returns the start of a program for an ELF machine.
fn program(machine: u8) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([2, 0, machine, 0]);
    bytes.resize(120, 0);
    bytes
}

const AMD64: u8 = 62;
const ARM64: u8 = 183;

/// Returns an image with a program, and with these members in its config that state a platform.
fn image(machine: u8, platform: &str) -> Image {
    let content = program(machine);
    let config = support::image::CONFIG.replace(r#""architecture":"amd64","os":"linux","#, platform);
    Image::new().layer(&[file("app", &content)]).config(&config)
}

/// Returns the ELF machine of the reaper in the image's last layer, if there is one.
fn reaper_of(registry: &Registry, repository: &str, digest: &str) -> Option<u8> {
    let manifest: Value =
        serde_json::from_slice(&registry.manifest(repository, digest).unwrap().bytes).unwrap();
    let last = manifest["layers"].as_array().unwrap().last().unwrap()["digest"].as_str().unwrap();
    let blob = registry.blob(repository, last).unwrap();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&blob[..]));
    let mut entry = tar.entries().unwrap().next().unwrap().unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
    (entry.path().unwrap().to_str() == Some(".reaper")).then(|| bytes[18])
}

fn wrap(from: &str, to: &str, options: &[&str]) -> Outcome {
    reapify(["wrap", "--output", "json"]).args(options).args([from, to]).run()
}

#[test]
fn the_program_decides_if_index_and_config_disagree() {
    let amd64 = r#""architecture":"amd64","os":"linux","#;
    for (machine, config, listed, expected) in [
        (ARM64, amd64, json!({"os": "linux", "architecture": "arm64"}), Some((ARM64, "linux/arm64"))),
        (AMD64, amd64, json!({"os": "linux", "architecture": "arm64"}), Some((AMD64, "linux/amd64"))),
        (22, amd64, json!({"os": "linux", "architecture": "arm64"}), None),
        // Only one of them states a platform.
        (ARM64, "", json!({"os": "linux", "architecture": "arm64"}), Some((ARM64, "linux/arm64"))),
        (ARM64, r#""architecture":"arm64","#, json!({"architecture": "arm64"}), Some((ARM64, "linux/arm64"))),
        (AMD64, amd64, json!(null), Some((AMD64, "linux/amd64"))),
        // Neither states a platform.
        (ARM64, "", json!(null), Some((ARM64, "linux/arm64"))),
        (0, "", json!(null), None),
        (0, amd64, json!({"os": "linux", "architecture": "arm64"}), None),
    ] {
        let registry = Registry::start();
        let image = image(machine, config);
        image.in_registry(&registry, "app", "one");
        let mut descriptor = image.descriptor();
        if !listed.is_null() {
            descriptor["platform"] = listed.clone();
        }
        put_index(&registry, "app", "all", Family::Oci, &[descriptor]);
        let (from, to) = (registry.name("app", "all"), registry.name("copy", "all"));
        let what = format!("{machine} {config} {listed}");
        let report = wrap(&from, &to, &[]).succeeds().json();
        let child = &report["platforms"][0];
        let digest = child["digest"].as_str().unwrap();
        match expected {
            Some((machine, platform)) => {
                assert_eq!(reaper_of(&registry, "copy", digest), Some(machine), "{what}");
                assert_eq!(
                    (&child["action"], &child["platform"]),
                    (&"wrapped".into(), &platform.into()),
                    "{what}"
                );
                reapify(["verify", &to, "--source", &from]).run().succeeds();
            }
            None => {
                assert_eq!(digest, image.digest(), "{what}");
                assert_eq!(child["action"], "skipped", "{what}");
                assert!(child["reason"].as_str().unwrap().len() > 20, "{what}: {child}");
                wrap(&from, &registry.name("copy", "strict"), &["--strict"]).exits(5);
            }
        }
        // The result is the same in a second run, and if the source is already the result.
        for (from, to) in [(&from, "all"), (&to, "twice")] {
            let again = wrap(from, &registry.name("copy", to), &[]).succeeds().json();
            assert_eq!(again["digest"], report["digest"], "{what}");
        }
    }
}

#[test]
fn notes_a_resolved_disagreement() {
    let registry = Registry::start();
    let image = image(ARM64, r#""architecture":"amd64","os":"linux","#);
    image.in_registry(&registry, "app", "one");
    let mut descriptor = image.descriptor();
    descriptor["platform"] = json!({"os": "linux", "architecture": "arm64"});
    put_index(&registry, "app", "all", Family::Oci, &[descriptor]);
    let from = registry.name("app", "all");
    let report = wrap(&from, &registry.name("copy", "all"), &[]).succeeds().json();
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains("linux/arm64") && note.contains("linux/amd64"), "{note}");
    // The platform of the index is the one to request, and the one that an archive gets.
    let dir = scratch();
    let archive = format!("docker-archive:{}", dir.path().join("x.tar").display());
    for to in [registry.name("copy", "some"), archive] {
        let report = wrap(&from, &to, &["--platform", "linux/arm64"]).succeeds().json();
        assert_eq!(report["platforms"][0]["platform"], "linux/arm64");
        wrap(&from, &to, &["--platform", "linux/amd64"]).exits(2);
    }
}

#[test]
fn arm_images_get_the_reaper_that_runs_on_both_variants() {
    for (config, listed, expected) in
        [("v7", "v6", "linux/arm/v6"), ("v6", "v7", "linux/arm/v6"), ("v7", "v7", "linux/arm/v7")]
    {
        let registry = Registry::start();
        let image = image(40, &format!(r#""architecture":"arm","variant":"{config}","os":"linux","#));
        image.in_registry(&registry, "app", "one");
        let mut descriptor = image.descriptor();
        descriptor["platform"] = json!({"os": "linux", "architecture": "arm", "variant": listed});
        put_index(&registry, "app", "all", Family::Oci, &[descriptor]);
        let (from, to) = (registry.name("app", "all"), registry.name("copy", "all"));
        let report = wrap(&from, &to, &[]).succeeds().json();
        assert_eq!(report["platforms"][0]["platform"], expected);
        reapify(["verify", &to, "--source", &from]).run().succeeds();
    }
}

#[test]
fn the_user_states_the_platform_of_an_image_without_one() {
    let registry = Registry::start();
    let from = image(0, "").in_registry(&registry, "app", "v1");
    let to = registry.name("copy", "v1");
    wrap(&from, &to, &[]).exits(5).says("platform").says("hint");
    let report = wrap(&from, &to, &["--platform", "linux/arm64"]).succeeds().json();
    assert_eq!(reaper_of(&registry, "copy", report["digest"].as_str().unwrap()), Some(ARM64));
    reapify(["verify", &to]).run().succeeds();
}

#[test]
fn finds_platforms_stated_only_in_configs() {
    let registry = Registry::start();
    let children: Vec<Value> = [("amd64", AMD64), ("arm64", ARM64)]
        .map(|(name, machine)| {
            let image = image(machine, &format!(r#""architecture":"{name}","os":"linux","#));
            image.in_registry(&registry, "app", name);
            image.descriptor()
        })
        .to_vec();
    put_index(&registry, "app", "all", Family::Oci, &children);
    let from = registry.name("app", "all");
    let report =
        wrap(&from, &registry.name("copy", "some"), &["--platform", "linux/arm64"]).succeeds().json();
    let images = report["platforms"].as_array().unwrap();
    assert_eq!((images.len(), &images[0]["platform"]), (1, &"linux/arm64".into()));
    wrap(&from, &registry.name("copy", "x"), &["--platform", "linux/s390x"])
        .exits(2)
        .says("linux/amd64, linux/arm64");
    let dir = scratch();
    let archive = format!("docker-archive:{}", dir.path().join("x.tar").display());
    assert_eq!(
        wrap(&from, &archive, &["--platform", "linux/amd64"]).succeeds().json()["platforms"][0]["platform"],
        "linux/amd64"
    );
}

//! Validation of options before anything else happens, for the reaper in use and the destination.

mod support;

use std::path::Path;

use serde_json::Value;
use support::image::{Family, Image, file};
use support::index::{image_for, manifest};
use support::registry::Registry;
use support::run::{Outcome, reapify, tool};
use support::scratch;

/// Starts a registry with an image; returns the names of source and destination.
fn place() -> (Registry, String, String) {
    let registry = Registry::start();
    Image::new().layer(&[file("app", b"program")]).in_registry(&registry, "app", "v1");
    let (from, to) = (registry.name("app", "v1"), registry.name("copy", "v1"));
    (registry, from, to)
}

/// Returns a working reaper that is not one of ours: ours with one more byte.
fn stranger(dir: &Path) -> String {
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/reaper/prebuilt/linux-amd64");
    let mut program = std::fs::read(ours).expect("the reaper for amd64");
    program.push(0);
    let path = dir.join("stranger");
    std::fs::write(&path, program).expect("a file");
    path.display().to_string()
}

#[test]
fn rejects_reaper_options_for_a_given_reaper() {
    let dir = scratch();
    let other = stranger(dir.path());
    for option in [&["--grace", "5"][..], &["--group"], &["--rewrite", "TERM:INT"]] {
        let (registry, from, to) = place();
        reapify(["wrap", "--reaper", &other, &from, &to])
            .args(option)
            .run()
            .exits(2)
            .says(option[0])
            .says("--reaper");
        assert_eq!(registry.log().len(), 0, "{option:?}: a request was made");
        // The same options are valid for the built-in reaper.
        reapify(["wrap", &from, &to]).args(option).run().succeeds();
    }
}

#[test]
fn an_unwritable_digest_file_prevents_the_run() {
    let dir = scratch();
    let (registry, from, to) = place();
    for place in [dir.path().join("absent/digest"), dir.path().to_path_buf()] {
        reapify(["wrap", &from, &to, "--digest-file"])
            .arg(&place)
            .run()
            .exits(2)
            .says(&place.display().to_string());
        assert_eq!(registry.log().len(), 0, "a request was made");
    }
    let file = dir.path().join("digest");
    let report = reapify(["wrap", "--output", "json", &from, &to, "--digest-file"]).arg(&file).run();
    let digest = report.succeeds().json()["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(std::fs::read_to_string(&file).expect("the file").trim(), digest);
}

#[test]
fn does_not_write_an_image_to_a_terminal() {
    let (registry, from, _) = place();
    let program = env!("CARGO_BIN_EXE_reapify");
    for archive in ["oci-archive:-", "docker-archive:-:app:v1"] {
        let command = format!("{program} wrap {from} {archive}");
        let outcome = tool("script", ["--quiet", "--return", "--command", &command, "/dev/null"]).run();
        let shown = outcome.exits(2).text();
        assert!(shown.contains("terminal") && shown.len() < 2000, "{archive}: {shown}");
        assert_eq!(registry.log().len(), 0, "a request was made");
    }
}

fn verify(image: &str, options: &[&str]) -> Outcome {
    reapify(["verify", "--output", "json", image]).args(options).run()
}

#[test]
fn verify_distinguishes_our_reaper_from_another() {
    let dir = scratch();
    let other = stranger(dir.path());
    let (_registry, from, to) = place();
    let reaper = |report: &Value| report["platforms"][0]["reaper"].clone();

    reapify(["wrap", &from, &to]).run().succeeds();
    let ours = reaper(&verify(&to, &["--source", &from]).succeeds().json());
    assert!(ours.to_string().contains("sha256:"), "{ours}");
    // Ours is not the expected one.
    verify(&to, &["--reaper", &other]).exits(6).says("reaper");

    // Another reaper gives another result, although everything else is equal.
    let report =
        reapify(["wrap", "--output", "json", "--reaper", &other, &from, &to]).run().succeeds().json();
    assert_eq!(report["action"], "wrapped");
    verify(&to, &[]).exits(6).says("reaper");
    let theirs = reaper(&verify(&to, &["--reaper", &other]).succeeds().json());
    assert!(theirs.to_string().contains("sha256:") && theirs != ours, "{theirs}");
}

#[test]
fn check_fails_only_for_what_wrap_can_change() {
    let registry = Registry::start();
    let check = |tag: &str| reapify(["inspect", "--check=strict", &registry.name("app", tag)]).run();
    Image::new().layer(&[file("app", b"program")]).in_registry(&registry, "app", "plain");
    check("plain").exits(8);
    image_for("windows", "amd64", "", Family::Oci).in_registry(&registry, "app", "windows");
    check("windows").succeeds();
    reapify(["wrap", &registry.name("app", "plain"), &registry.name("app", "wrapped")]).run().succeeds();
    check("wrapped").succeeds();

    // The labels of a wrapped image, without its layer and its entrypoint.
    let (_, wrapped) = manifest(&registry, "app", "wrapped");
    let config = registry.blob("app", wrapped["config"]["digest"].as_str().expect("a digest"));
    let config: Value = serde_json::from_slice(&config.expect("the config")).expect("JSON");
    let labels = config["config"]["Labels"].to_string();
    let text = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Entrypoint":["/app"],"Labels":{labels}}},"rootfs":{{"type":"layers","diff_ids":[$DIFF_IDS]}}}}"#
    );
    Image::new().layer(&[file("app", b"program")]).config(&text).in_registry(&registry, "app", "labels");
    check("labels").exits(8);
}

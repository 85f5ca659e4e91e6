//! Wrapping, and unwrapping, what another tool changed after it was wrapped, or what was wrapped with other options.

mod support;

use serde_json::{Value, json};
use support::image::{Family, digest};
use support::index::{actions, attestation, child, image_for, manifest, pairs, put_index};
use support::registry::Registry;
use support::run::{Outcome, reapify};
use support::tars::{DIRECTORY, FILE, gzip, tar_of};

fn run(command: &str, from: &str, to: &str, options: &[&str]) -> Outcome {
    reapify([command, "--output", "json"]).args(options).args([from, to]).run()
}

fn wrap(from: &str, to: &str, options: &[&str]) -> Value {
    run("wrap", from, to, options).succeeds().json()
}

/// Tags an index of images for amd64 and arm64, and returns its bytes.
fn two(registry: &Registry, family: Family) -> Vec<u8> {
    let images = ["amd64", "arm64"].map(|architecture| {
        let image = image_for("linux", architecture, "", family);
        image.in_registry(registry, "app", architecture);
        child(&image, "linux", architecture)
    });
    put_index(registry, "app", "all", family, &images)
}

/// Tags an image whose entrypoint is tini.
fn with_init(registry: &Registry, family: Family) -> Value {
    let image = image_for("linux", "amd64", "", family);
    let config = String::from_utf8(image.config_bytes()).unwrap().replace("/app", "/sbin/tini");
    let image = image.config(&config);
    image.in_registry(registry, "app", "init");
    child(&image, "linux", "amd64")
}

/// Edits the texts of config and manifest of one child of an index, as a tool does that keeps all annotations.
fn edit(registry: &Registry, tag: &str, position: usize, edit: fn(&mut String, &mut String)) {
    let (bytes, index) = manifest(registry, "app", tag);
    let old = &index["manifests"][position];
    let (image, parts) = manifest(registry, "app", old["digest"].as_str().unwrap());
    let (was, size) = (parts["config"]["digest"].as_str().unwrap(), &parts["config"]["size"]);
    let mut image = String::from_utf8(image).unwrap();
    let mut config = String::from_utf8(registry.blob("app", was).unwrap()).unwrap();
    edit(&mut config, &mut image);
    let new = registry.put_blob("app", config.as_bytes());
    let digest_of = |digest: &str| format!("\"digest\":\"{digest}\"");
    let image = image.replacen(&digest_of(was), &digest_of(&new), 1);
    let image = image.replacen(&format!("\"size\":{size}"), &format!("\"size\":{}", config.len()), 1);
    let media_type = old["mediaType"].as_str().unwrap();
    let new = registry.put_manifest("app", &digest(image.as_bytes()), media_type, image.as_bytes());
    let text = String::from_utf8(bytes).unwrap();
    let (above, below) = text.split_once(old["digest"].as_str().unwrap()).unwrap();
    let size = |size: &Value| format!("\"size\": {size}");
    let below = below.replacen(&size(&old["size"]), &size(&image.len().into()), 1);
    let text = format!("{above}{new}{below}");
    registry.put_manifest("app", tag, index["mediaType"].as_str().unwrap(), text.as_bytes());
}

fn edit_cmd(config: &mut String, _: &mut String) {
    *config = config.replacen("\"Entrypoint\"", "\"Cmd\":[\"other\"],\"Entrypoint\"", 1);
}

fn annotate(_: &mut String, image: &mut String) {
    *image = image.replacen("\"annotations\":{", "\"annotations\":{\"foo\":\"bar\",", 1);
}

fn in_json(text: &mut String, edit: fn(&mut Value)) {
    let mut value: Value = serde_json::from_str(text).unwrap();
    edit(&mut value);
    *text = value.to_string();
}

#[test]
fn an_index_that_another_tool_changed_keeps_the_record_of_its_source() {
    for family in [Family::Oci, Family::Docker] {
        let registry = Registry::start();
        let source = digest(&two(&registry, family));
        let (from, x) = (registry.name("app", "all"), registry.name("app", "x"));
        wrap(&from, &x, &[]);
        edit(&registry, "x", 1, edit_cmd);
        let (before, _) = manifest(&registry, "app", "x");
        let lost = |outcome: Outcome| {
            let text = outcome.succeeds().prints_some("was changed after it was wrapped");
            text.prints_some(&source).prints_some("for linux/arm64")
        };
        lost(run("unwrap", &x, &registry.name("app", "back"), &[]));

        registry.clear_log();
        let again = lost(run("wrap", &x, &x, &[])).json();
        assert_eq!((&again["action"], &again["written"]), (&"unchanged".into(), &false.into()));
        assert_eq!(manifest(&registry, "app", "x").0, before, "{family:?}");
        assert_eq!(registry.log().count(|e| e.line().starts_with("PUT")), 0, "{:#?}", registry.log().lines());
        lost(run("unwrap", &x, &registry.name("app", "back"), &[]));
        assert_eq!(wrap(&from, &x, &[])["action"], "wrapped");
    }
}

#[test]
fn an_index_with_an_annotated_child_stays_as_it_is() {
    let registry = Registry::start();
    let source = digest(&two(&registry, Family::Oci));
    let x = registry.name("app", "x");
    wrap(&registry.name("app", "all"), &x, &[]);
    edit(&registry, "x", 1, annotate);
    let (before, _) = manifest(&registry, "app", "x");
    assert_eq!(wrap(&x, &x, &[])["written"], false);
    assert_eq!(manifest(&registry, "app", "x").0, before);
    // Its source can be restored nevertheless.
    let back = run("unwrap", &x, &registry.name("app", "back"), &[]).succeeds().never_says("was changed");
    assert_eq!(back.json()["digest"], source.as_str());
}

#[test]
fn a_new_record_of_a_changed_index_is_reported() {
    let registry = Registry::start();
    let source = digest(&two(&registry, Family::Oci));
    let x = registry.name("app", "x");
    wrap(&registry.name("app", "all"), &x, &[]);
    edit(&registry, "x", 1, edit_cmd);
    let outcome = run("wrap", &x, &x, &["--grace", "7"]).succeeds();
    outcome.prints_some(&source).prints_some("is its source now");
}

#[test]
fn unwrapping_a_narrowed_docker_list_says_so() {
    let registry = Registry::start();
    let source = digest(&two(&registry, Family::Docker));
    let (from, x, back) =
        (registry.name("app", "all"), registry.name("app", "x"), registry.name("app", "back"));
    wrap(&from, &x, &["--platform", "linux/amd64"]);
    reapify(["unwrap", &x, &back]).run().succeeds().says("children were removed when the index was wrapped");
    wrap(&from, &x, &[]);
    let whole = run("unwrap", &x, &back, &[]).succeeds().never_says("were removed").never_says("was changed");
    assert_eq!(whole.json()["digest"], source.as_str());

    // Attestations are dropped as well.
    let (_, index) = manifest(&registry, "app", "all");
    let mut children = index["manifests"].as_array().unwrap().clone();
    let subject = children[0]["digest"].as_str().unwrap().to_owned();
    children.push(attestation(&registry, "app", &subject));
    put_index(&registry, "app", "attested", Family::Docker, &children);
    wrap(&registry.name("app", "attested"), &x, &[]);
    reapify(["unwrap", &x, &back]).run().succeeds().says("children were removed when the index was wrapped");
}

#[test]
fn narrowing_a_wrapped_index_gives_the_same_result_as_narrowing_its_source() {
    for (family, platform) in [
        (Family::Oci, "linux/amd64"),
        (Family::Oci, "linux/arm64"),
        (Family::Docker, "linux/amd64"),
        (Family::Docker, "linux/arm64"),
    ] {
        let registry = Registry::start();
        two(&registry, family);
        let (from, x, fresh) =
            (registry.name("app", "all"), registry.name("app", "x"), registry.name("app", "fresh"));
        let options = ["--platform", platform];
        let first = wrap(&from, &fresh, &options);
        wrap(&from, &x, &[]);
        let narrowed = wrap(&x, &x, &options);
        assert_eq!(narrowed["digest"], first["digest"], "{family:?} {platform}");
        assert_eq!(narrowed["action"], "upgraded");
        assert_eq!(wrap(&from, &x, &options)["action"], "unchanged");
        registry.complete("app", "x");
    }
}

#[test]
fn a_narrowed_index_that_is_wrapped_again_is_not_taken_for_a_whole_one() {
    for (family, options) in
        [Family::Oci, Family::Docker].into_iter().flat_map(|f| [(f, &[][..]), (f, &["--grace", "7"][..])])
    {
        let registry = Registry::start();
        two(&registry, family);
        let (from, x) = (registry.name("app", "all"), registry.name("app", "x"));
        wrap(&from, &x, &["--platform", "linux/amd64"]);
        wrap(&x, &x, options);
        let whole = wrap(&from, &x, options);
        assert_eq!(whole["written"], true, "{family:?} {options:?}");
        assert_eq!(manifest(&registry, "app", "x").1["manifests"].as_array().unwrap().len(), 2);
        assert_eq!(wrap(&from, &x, options)["action"], "unchanged", "{family:?} {options:?}");
    }
}

#[test]
fn a_default_wrap_over_a_forced_one_copies_the_source() {
    for family in [Family::Oci, Family::Docker] {
        let registry = Registry::start();
        let image = with_init(&registry, family);
        put_index(&registry, "app", "index", family, &[image]);
        for tag in ["init", "index"] {
            let (from, to) = (registry.name("app", tag), registry.name("copy", tag));
            for options in [&[][..], &["--grace", "7"], &["--path", "/init2"]] {
                wrap(&from, &to, &["--if-init", "wrap"]);
                // In place, it keeps its reaper.
                let kept = run("wrap", &to, &to, options)
                    .succeeds()
                    .prints_some("it is already wrapped and keeps")
                    .json();
                assert_eq!(kept["written"], false);
                let over = wrap(&from, &to, options);
                assert_eq!((&over["action"], &over["written"]), (&"skipped".into(), &true.into()));
                assert_eq!(
                    manifest(&registry, "copy", tag).0,
                    manifest(&registry, "app", tag).0,
                    "{family:?}"
                );
            }
        }
    }
}

#[test]
fn a_missing_platform_of_a_single_image_is_always_noticed() {
    for family in [Family::Oci, Family::Docker] {
        let registry = Registry::start();
        let from = image_for("linux", "amd64", "", family).in_registry(&registry, "app", "v1");
        let to = registry.name("copy", "v1");
        wrap(&from, &to, &[]);
        for source in [&from, &to] {
            for options in [&["--platform", "linux/arm64"][..], &["--platform", "linux/arm64", "--dry-run"]] {
                run("wrap", source, &to, options).exits(2).says("no platform linux/arm64");
            }
            assert_eq!(wrap(source, &to, &["--platform", "linux/amd64"])["written"], false);
        }
    }
}

#[test]
fn a_large_config_or_a_missing_directory_of_one_image_does_not_prevent_the_others() {
    let registry = Registry::start();
    two(&registry, Family::Oci);
    let large = image_for("linux", "s390x", "", Family::Oci);
    let text = String::from_utf8(large.config_bytes()).unwrap();
    let large = large.config(&text.replacen('{', &format!("{{\"x\":\"{}\",", "x".repeat(9 << 20)), 1));
    large.in_registry(&registry, "app", "large");
    let (_, index) = manifest(&registry, "app", "all");
    let mut children = index["manifests"].as_array().unwrap().clone();
    children.push(child(&large, "linux", "s390x"));
    put_index(&registry, "app", "mixed", Family::Oci, &children);
    let (from, to) = (registry.name("app", "mixed"), registry.name("copy", "x"));
    let outcome = run("wrap", &from, &to, &[]).succeeds();
    outcome.prints_some("the limit is 8 MiB");
    assert_eq!(
        actions(&run("wrap", &from, &registry.name("copy", "y"), &[]).json()),
        pairs(&[("linux/amd64", "wrapped"), ("linux/arm64", "wrapped"), ("linux/s390x", "skipped")])
    );
    registry.complete("copy", "x");
    for options in [&["--strict"][..], &["--platform", "linux/s390x"]] {
        run("wrap", &from, &registry.name("copy", "z"), options).exits(5).says("the limit is 8 MiB");
    }

    // A stated size alone is no reason to ask for fewer images.
    let (_, mut image) = manifest(&registry, "app", "amd64");
    image["config"]["size"] = json!(10_u64.pow(12));
    let image = image.to_string();
    registry.put_manifest("app", "stated", Family::Oci.manifest(), image.as_bytes());
    run("wrap", &registry.name("app", "stated"), &to, &[]).exits(5).says("the limit is 8 MiB");

    // Only one image has the directory.
    let tar = tar_of(&[("opt/", DIRECTORY, b""), ("app", FILE, b"app")]);
    let with = image_for("linux", "amd64", "", Family::Oci).raw_layer(&gzip(&tar), &digest(&tar));
    with.in_registry(&registry, "app", "with");
    let without = manifest(&registry, "app", "all").1["manifests"][1].clone();
    put_index(&registry, "app", "paths", Family::Oci, &[child(&with, "linux", "amd64"), without]);
    let report = wrap(&registry.name("app", "paths"), &to, &["--path", "/opt/reaper"]);
    assert_eq!(actions(&report), pairs(&[("linux/amd64", "wrapped"), ("linux/arm64", "skipped")]));
    let reason = report["platforms"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("/opt does not exist in the image"), "{reason}");
    registry.complete("copy", "x");
}

#[test]
fn a_partly_removed_reaper_is_named() {
    let edits: [fn(&mut String, &mut String); 2] = [
        |config, image| {
            in_json(config, |config| _ = config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop());
            in_json(image, |image| _ = image["layers"].as_array_mut().unwrap().pop());
        },
        |config, _| *config = config.replacen("io.reapify.undo", "other", 1),
    ];
    for edit_image in edits {
        for options in [&[][..], &["--path", "/init2"]] {
            let registry = Registry::start();
            two(&registry, Family::Oci);
            let x = registry.name("app", "x");
            wrap(&registry.name("app", "all"), &x, options);
            edit(&registry, "x", 1, edit_image);
            let outcome = run("wrap", &x, &x, &["--platform", "linux/arm64"]);
            outcome.exits(5).says("partly removed").never_says("--path");
        }
    }
}

//! The state of the destination is checked rather than trusted, and reports about it are correct.

mod support;

use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::image::{Family, Image, blob_path, digest, file, layout_manifest, write_blob, write_index};
use support::index::{actions, child, image_for, manifest, pairs, put_index};
use support::registry::{Act, Kind, Registry};
use support::run::{Outcome, reapify};
use support::scratch;

fn wrap(from: &str, to: &str, options: &[&str]) -> Outcome {
    reapify(["wrap", "--output", "json"]).args(options).args([from, to]).run()
}

/// Returns an image for linux/amd64 with this content in its last layer.
fn image_of(content: &str) -> Image {
    Image::new().layer(&[file("base", b"shared")]).layer(&[file("app", content.as_bytes())])
}

/// Tags an index of an image that differs per tag, and of constant images for arm64 and Windows.
fn family(registry: &Registry, tag: &str) -> String {
    let changing = image_of(tag);
    changing.in_registry(registry, "app", &format!("{tag}-amd64"));
    let arm64 = image_for("linux", "arm64", "", Family::Oci);
    arm64.in_registry(registry, "app", "arm64");
    let windows = image_for("windows", "amd64", "", Family::Oci);
    windows.in_registry(registry, "app", "windows");
    let children = [
        child(&changing, "linux", "amd64"),
        child(&arm64, "linux", "arm64"),
        child(&windows, "windows", "amd64"),
    ];
    put_index(registry, "app", tag, Family::Oci, &children);
    registry.name("app", tag)
}

fn children_of(registry: &Registry, repository: &str, tag: &str) -> Vec<String> {
    let (_, index) = manifest(registry, repository, tag);
    let children = index["manifests"].as_array().unwrap();
    children.iter().map(|child| child["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn restores_children_missing_at_the_destination() {
    for (checks, lost) in [(true, 0), (true, 1), (true, 2), (false, 0), (false, 1), (false, 2)] {
        let registry = Registry::start();
        registry.set(|settings| settings.checks_references = checks);
        let (one, two) = (family(&registry, "one"), family(&registry, "two"));
        let to = registry.name("copy", "v1");
        let first = wrap(&one, &to, &[]).succeeds().json();
        registry.remove_manifest("copy", &children_of(&registry, "copy", "v1")[lost]);
        let again = wrap(&one, &to, &[]).succeeds().json();
        assert_eq!(
            (&again["action"], &again["digest"]),
            (&"repaired".into(), &first["digest"]),
            "{checks} {lost}"
        );
        registry.complete("copy", "v1");
        let nothing = wrap(&one, &to, &[]).succeeds().json();
        assert_eq!((&nothing["action"], &nothing["written"]), (&"unchanged".into(), &false.into()));
        assert_eq!(
            actions(&nothing),
            pairs(&[
                ("linux/amd64", "unchanged"),
                ("linux/arm64", "unchanged"),
                ("windows/amd64", "skipped")
            ])
        );

        // The source has changed, and shares the missing child.
        registry.remove_manifest("copy", &children_of(&registry, "copy", "v1")[lost]);
        let newer = wrap(&two, &to, &[]).succeeds().json();
        assert_eq!(newer["action"], "wrapped", "{checks} {lost}");
        registry.complete("copy", "v1");
    }
}

#[test]
fn completes_a_sparsely_copied_index() {
    let registry = Registry::start();
    registry.set(|settings| settings.checks_references = false);
    let from = family(&registry, "one");
    // Another tool copied the index without any of its children.
    let (bytes, _) = manifest(&registry, "app", "one");
    registry.put_manifest("copy", "v1", Family::Oci.index(), &bytes);
    wrap(&from, &registry.name("copy", "v1"), &[]).succeeds();
    registry.complete("copy", "v1");
}

#[test]
fn restores_missing_children_of_nested_indexes() {
    let registry = Registry::start();
    registry.set(|settings| settings.checks_references = false);
    family(&registry, "inner");
    let (inner, _) = manifest(&registry, "app", "inner");
    let nested = json!({"mediaType": Family::Oci.index(), "digest": digest(&inner), "size": inner.len()});
    put_index(&registry, "app", "outer", Family::Oci, &[nested]);
    let (from, to) = (registry.name("app", "outer"), registry.name("copy", "v1"));
    wrap(&from, &to, &[]).succeeds();
    let inner = children_of(&registry, "copy", "v1").remove(0);
    for lost in 0..3 {
        registry.remove_manifest("copy", &children_of(&registry, "copy", &inner)[lost]);
        assert_eq!(wrap(&from, &to, &[]).succeeds().json()["action"], "repaired", "{lost}");
        registry.complete("copy", "v1");
    }
}

#[test]
fn sends_a_layer_missing_at_the_destination_again() {
    let (one, other) = (Registry::start(), Registry::start());
    for (source, destination) in [(&one, &one), (&one, &other)] {
        let (old, new) = (image_of("old"), image_of("new"));
        let [from, newer] =
            [("old", &old), ("new", &new)].map(|(tag, image)| image.in_registry(source, "app", tag));
        let to = destination.name("copy", "v1");
        wrap(&from, &to, &[]).succeeds();
        let base = digest(&old.blobs()[0]);
        destination.remove_blob("copy", &base);
        // The two requests of an up-to-date run cannot detect that; `--recheck` does.
        assert_eq!(wrap(&from, &to, &[]).succeeds().json()["action"], "unchanged");
        assert_eq!(wrap(&from, &to, &["--recheck"]).succeeds().json()["action"], "repaired");
        destination.complete("copy", "v1");
        assert_eq!(wrap(&from, &to, &["--recheck"]).succeeds().json()["action"], "unchanged");

        destination.remove_blob("copy", &base);
        assert_eq!(wrap(&newer, &to, &[]).succeeds().json()["action"], "wrapped");
        destination.complete("copy", "v1");
        let tag = if std::ptr::eq(source, destination) { "again" } else { "v1" };
        destination.remove_blob("copy", &base);
        wrap(&newer, &destination.name("copy", tag), &["--group"]).succeeds();
        destination.complete("copy", tag);
    }
}

#[test]
fn content_missing_at_both_ends_is_an_error_and_nothing_is_tagged() {
    let registry = Registry::start();
    let image = image_of("x");
    let from = image.in_registry(&registry, "app", "v1");
    let base = digest(&image.blobs()[0]);
    registry.remove_blob("app", &base);
    let outcome = wrap(&from, &registry.name("app", "v2"), &[]);
    assert_ne!(outcome.code(), 0, "{outcome}");
    assert!(outcome.stderr.contains(&base), "{outcome}");
    assert!(registry.manifest("app", "v2").is_none());
}

#[test]
fn recheck_finds_a_lost_blob_of_any_child() {
    let registry = Registry::start();
    let (from, to) = (family(&registry, "one"), registry.name("copy", "v1"));
    wrap(&from, &to, &[]).succeeds();
    for child in children_of(&registry, "copy", "v1") {
        let (_, image) = manifest(&registry, "copy", &child);
        let layers = image["layers"].as_array().unwrap().iter().chain([&image["config"]]);
        for blob in layers.map(|blob| blob["digest"].as_str().unwrap()) {
            registry.remove_blob("copy", blob);
            assert_eq!(wrap(&from, &to, &["--recheck"]).succeeds().json()["action"], "repaired", "{blob}");
            registry.complete("copy", "v1");
        }
    }
    assert_eq!(wrap(&from, &to, &["--recheck"]).succeeds().json()["action"], "unchanged");
}

#[test]
fn restores_missing_and_damaged_blobs_of_a_layout() {
    let dir = scratch();
    let image = image_of("old");
    let from = image.in_layout(&dir.path().join("source"), "v1");
    let newer = image_of("new").in_layout(&dir.path().join("newer"), "v1");
    let out = dir.path().join("out");
    let to = format!("oci:{}:v1", out.display());
    let base = digest(&image.blobs()[0]);
    let path = blob_path(&out, &base);
    wrap(&from, &to, &[]).succeeds();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(wrap(&from, &to, &[]).succeeds().json()["action"], "repaired");
    reapify(["verify", "--deep", &to]).run().succeeds();
    // The blob has the right size but other bytes: no tag may refer to it.
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(wrap(&newer, &to, &[]).succeeds().json()["action"], "wrapped");
    reapify(["verify", "--deep", &to]).run().succeeds();
    // With --recheck, the content of all blobs counts.
    let written: Value = serde_json::from_slice(&layout_manifest(&out, "v1")).unwrap();
    let blobs = written["layers"].as_array().unwrap().iter().chain([&written["config"]]);
    for blob in blobs.map(|blob| blob_path(&out, blob["digest"].as_str().unwrap())) {
        let mut bytes = std::fs::read(&blob).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&blob, bytes).unwrap();
        let outcome = wrap(&newer, &to, &["--recheck"]).succeeds();
        assert_eq!(outcome.json()["action"], "repaired", "{}", blob.display());
        reapify(["verify", "--deep", &to]).run().succeeds();
    }
    assert_eq!(wrap(&newer, &to, &["--recheck"]).succeeds().json()["action"], "unchanged");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(wrap(&from, &to, &[]).succeeds().json()["action"], "wrapped");
    reapify(["verify", "--deep", &to]).run().succeeds();
}

/// Writes a copy of the image under a tag in which a text of the config is replaced.
fn edit_config(registry: &Registry, repository: &str, tag: &str, from: &str, to: &str) {
    let (bytes, parsed) = manifest(registry, repository, tag);
    let old = parsed["config"]["digest"].as_str().unwrap();
    let config = String::from_utf8(registry.blob(repository, old).unwrap()).unwrap();
    assert!(config.contains(from), "{config}");
    let config = config.replace(from, to);
    let text = String::from_utf8(bytes).unwrap();
    let size = |size: &str| format!("{old}\",\"size\":{size}");
    let text = text
        .replace(&size(&parsed["config"]["size"].to_string()), &size(&config.len().to_string()))
        .replacen(old, &registry.put_blob(repository, config.as_bytes()), 1);
    registry.put_manifest(repository, tag, Family::Oci.manifest(), text.as_bytes());
}

#[test]
fn detects_a_config_edited_by_another_tool() {
    let registry = Registry::start();
    let from = Image::small().in_registry(&registry, "app", "v1");
    for to in [registry.name("copy", "v1"), registry.name("app", "v2")] {
        let result = wrap(&from, &to, &[]).succeeds().json();
        let (repository, tag) = if to.contains("copy") { ("copy", "v1") } else { ("app", "v2") };
        edit_config(&registry, repository, tag, "\"serve\"", "\"other\"");
        let again = wrap(&from, &to, &[]).succeeds().json();
        assert_eq!((&again["action"], &again["digest"]), (&"wrapped".into(), &result["digest"]));
        // In place there is only the edited image: it must not be reported as unchanged.
        edit_config(&registry, repository, tag, "[\"/.reaper\",\"--\",\"/app\"]", "[\"/app\"]");
        let in_place = wrap(&to, &to, &[]).succeeds().json();
        assert_eq!(in_place["action"], "wrapped", "{in_place}");
        reapify(["inspect", "--check", &to]).run().succeeds();
    }
}

#[test]
fn detects_a_child_that_was_replaced_by_its_original() {
    let registry = Registry::start();
    let (from, to) = (family(&registry, "one"), registry.name("copy", "v1"));
    let result = wrap(&from, &to, &[]).succeeds().json();
    let (bytes, parsed) = manifest(&registry, "copy", "v1");
    let (_, original) = manifest(&registry, "app", "one");
    let mut text = String::from_utf8(bytes).unwrap();
    let [now, then] = [&parsed, &original].map(|index| &index["manifests"][1]);
    text = text.replace(now["digest"].as_str().unwrap(), then["digest"].as_str().unwrap());
    let at = text.find(then["digest"].as_str().unwrap()).unwrap();
    let [now, then] = [now, then].map(|child| format!("\"size\": {}", child["size"]));
    text = format!("{}{}", &text[..at], text[at..].replacen(&now, &then, 1));
    let arm64 = original["manifests"][1]["digest"].as_str().unwrap();
    reapify(["unwrap", &to, &registry.name("copy", "plain")]).run().succeeds();
    assert!(registry.manifest("copy", arm64).is_some());
    for source in [&to, &from] {
        registry.put_manifest("copy", "v1", Family::Oci.index(), text.as_bytes());
        // unwrap reports that the index differs from the wrapped one.
        reapify(["unwrap", &to, &registry.name("copy", "back")])
            .run()
            .succeeds()
            .says("not the originals")
            .says(arm64);
        let again = wrap(source, &to, &[]).succeeds().json();
        assert_eq!((&again["action"], &again["digest"]), (&"wrapped".into(), &result["digest"]), "{source}");
        registry.complete("copy", "v1");
    }
}

#[test]
fn an_up_to_date_docker_image_takes_three_requests_and_no_upload() {
    let registry = Registry::start();
    let from = Image::small().family(Family::Docker).in_registry(&registry, "app", "v1");
    let to = registry.name("copy", "v1");
    let first = wrap(&from, &to, &[]).succeeds().json();
    assert_eq!((&first["action"], &first["written"]), (&"wrapped".into(), &true.into()));
    registry.clear_log();
    let again = wrap(&from, &to, &[]).succeeds().json();
    assert_eq!((&again["action"], &again["written"]), (&"unchanged".into(), &false.into()));
    assert_eq!((&again["digest"], &again["source_digest"]), (&first["digest"], &first["source_digest"]));
    assert_eq!(actions(&again), pairs(&[("linux/amd64", "unchanged")]));
    let log = registry.log();
    assert_eq!((log.len(), log.count(|e| e.line().starts_with("GET"))), (3, 3), "{:#?}", log.lines());
    // Another source with another config is detected too.
    let other = image_of("other").family(Family::Docker).in_registry(&registry, "app", "v2");
    assert_eq!(wrap(&other, &to, &[]).succeeds().json()["action"], "wrapped");
    registry.complete("copy", "v1");
}

#[test]
fn reports_are_correct() {
    let registry = Registry::start();
    let from = Image::small().in_registry(&registry, "app", "v1");
    let to = registry.name("copy", "v1");
    let first = wrap(&from, &to, &[]).succeeds().json();
    let images = |report: &Value| report["platforms"].as_array().unwrap().clone();
    let again = wrap(&from, &to, &[]).succeeds().json();
    assert_eq!((&again["action"], &again["written"]), (&"unchanged".into(), &false.into()));
    assert_eq!(images(&again)[0]["platform"], "linux/amd64");
    for field in ["digest", "source_digest"] {
        assert_eq!(images(&again)[0][field], images(&first)[0][field]);
    }
    assert_ne!(again["reason"].as_str().unwrap_or_default(), "");
    // Unwrapping when the result already exists.
    let back = registry.name("back", "v1");
    let report = |to: &str| {
        reapify(["unwrap", "--output", "json", &registry.name("copy", "v1"), to]).run().succeeds().json()
    };
    assert_eq!(
        (&report(&back)["action"], &report(&back)["action"]),
        (&"unwrapped".into(), &"unchanged".into())
    );
    let dir = scratch();
    let archive = format!("docker-archive:{}:app:v1", dir.path().join("x.tar").display());
    let archived = wrap(&from, &archive, &[]).succeeds().json();
    assert_eq!(images(&archived)[0]["digest"], archived["digest"]);
    reapify(["verify", &archive, "--source", &from]).run().succeeds();
    let other = image_of("other").in_registry(&registry, "app", "other");
    reapify(["verify", &archive, "--source", &other]).run().exits(6).says("not from the source");
}

#[test]
fn a_dry_run_reports_what_would_be_written() {
    let registry = Registry::start();
    let other = Registry::start();
    let from = Image::small().in_registry(&registry, "app", "v1");
    let to = other.name("copy", "v1");
    let dry = |format: &str| reapify(["wrap", "--dry-run", "--output", format, &from, &to]).run().succeeds();
    let report = dry("json").json();
    assert_eq!((&report["dry_run"], &report["written"]), (&true.into(), &false.into()));
    let write = &report["would_write"];
    assert_eq!((&write["creates"], &write["blobs"]), (&true.into(), &3.into()));
    let text = dry("text").text();
    assert!(
        text.contains(&format!(
            "would create {}: 3 blobs, {} bytes",
            &to["docker://".len()..],
            write["bytes"]
        )),
        "{text}"
    );
    let pushed = wrap(&from, &to, &[]).succeeds().json();
    assert_eq!(pushed["digest"], report["digest"]);
    let manifest = other.manifest("copy", "v1").unwrap().bytes.len() as u64;
    assert_eq!(
        pushed["stats"]["bytes_pushed"].as_u64(),
        write["bytes"].as_u64().map(|bytes| bytes + manifest)
    );
    assert!(dry("text").text().contains("nothing would change"));
}

#[test]
fn reports_an_error_as_one_json_object() {
    let registry = Registry::start();
    let from = registry.name("app", "none");
    let outcome = wrap(&from, &registry.name("copy", "v1"), &[]).exits(3);
    let error: Value = serde_json::from_str(outcome.stderr.trim_end()).unwrap();
    assert_eq!((&error["code"], &error["image"]), (&"not-found".into(), &from.clone().into()));
    assert!(error["error"].as_str().unwrap().contains("none"));
    assert!(error.as_object().unwrap().contains_key("hint"));
}

/// A forced wrap is not undone by a wrap that would have skipped the image.
#[test]
fn wrap_never_unwraps() {
    let registry = Registry::start();
    let config = support::image::CONFIG.replace("\"/app\"", "\"/sbin/tini\",\"--\"");
    let image = Image::small().config(&config);
    image.in_registry(&registry, "app", "v1");
    put_index(&registry, "app", "all", Family::Oci, &[child(&image, "linux", "amd64")]);
    for tag in ["v1", "all"] {
        let (from, to, late) =
            (registry.name("app", tag), registry.name("copy", tag), registry.name("late", tag));
        let insisted = wrap(&from, &to, &["--if-init", "wrap"]).succeeds().json();
        assert_eq!(insisted["action"], "wrapped");
        for (to, from) in [(&late, &to), (&to, &to)] {
            let skipped = wrap(from, to, &[]).succeeds().json();
            assert_eq!(
                (&skipped["action"], &skipped["digest"]),
                (&"skipped".into(), &insisted["digest"]),
                "{tag}"
            );
        }
        reapify(["unwrap", &late, &registry.name("back", tag)]).run().succeeds();
        assert_eq!(manifest(&registry, "back", tag).0, manifest(&registry, "app", tag).0);
    }
}

#[test]
fn reads_a_tag_again_that_was_moved_meanwhile() {
    for (moves, code) in [(1, 0), (2, 0), (3, 7)] {
        let registry = Registry::start();
        let from = Image::small().in_registry(&registry, "app", "v1");
        let pushes: Vec<Image> = (0..moves).map(|n| image_of(&format!("push {n}"))).collect();
        let moved: Vec<String> = pushes.iter().map(Image::digest).collect();
        for (n, image) in pushes.iter().enumerate() {
            image.in_registry(&registry, "app", &format!("push{n}"));
        }
        let registry = std::sync::Arc::new(registry);
        let (asked, theirs) = (AtomicUsize::new(0), std::sync::Arc::downgrade(&registry));
        registry.hook(move |request| {
            let is_look = request.method == "HEAD"
                && matches!(&request.kind, Kind::Manifest { reference, .. } if reference == "v1");
            let n = asked.fetch_add(usize::from(is_look), Ordering::SeqCst);
            if is_look && let (Some(image), Some(registry)) = (pushes.get(n), theirs.upgrade()) {
                // Another client pushes just before the tag is checked.
                registry.put_manifest("app", "v1", Family::Oci.manifest(), &image.manifest_bytes());
            }
            Act::Serve
        });
        let outcome = wrap(&from, &from, &[]).exits(code);
        let last = moved.last().unwrap();
        if code == 0 {
            assert_eq!(&outcome.json()["source_digest"], last.as_str());
            registry.complete("app", "v1");
        } else {
            outcome.says("another process moved the tag");
            assert_eq!(&registry.manifest("app", "v1").unwrap().digest, last);
        }
        registry.behave();
    }
}

#[test]
fn optional_requests_do_not_affect_the_result() {
    let registry = Registry::start();
    registry.set(|settings| settings.referrers = true);
    let from = Image::small().in_registry(&registry, "app", "v1");
    registry.hook(|asked| match asked.path.contains("/referrers/") {
        true => Act::Answer(support::registry::Reply::status(500)),
        false => Act::Serve,
    });
    let run = |options: &[&str], tag: &str| {
        reapify(["wrap", "-v", "--retries", "0", "--output", "json"])
            .args(options)
            .args([&from, &registry.name("copy", tag)])
            .run()
    };
    let report = run(&[], "v1").succeeds().says("warning:").json();
    assert!(report["warnings"][0].as_str().unwrap().contains("could not be listed"), "{report}");
    registry.complete("copy", "v1");
    // If a requested statement cannot be written, the command fails, but the result remains.
    registry.hook(|asked| match &asked.kind {
        Kind::Upload { .. } if asked.query.get("digest").is_some_and(|d| *d == digest(b"{}")) => {
            Act::Answer(support::registry::Reply::status(500))
        }
        _ => Act::Serve,
    });
    let outcome = run(&["--provenance"], "v2").exits(7).says("its provenance statement was not");
    assert_eq!(outcome.json()["digest"].as_str(), Some(registry.complete("copy", "v2").as_str()));
}

#[test]
fn an_unsupported_child_does_not_prevent_the_others() {
    let dir = scratch();
    let source = dir.path().join("source");
    let name = |name: &str| format!("oci:{}:v1", dir.path().join(name).display());
    let good = Image::small();
    good.in_layout(&source, "good");
    let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    for (media_type, text) in [
        (old, r#"{"schemaVersion":1,"name":"x","tag":"y","fsLayers":[],"history":[]}"#),
        ("application/vnd.example.manifest.v9+json", r#"{"whatever":[1]}"#),
        (Family::Oci.manifest(), r#"{"schemaVersion":2,"config":[]}"#),
        (Family::Oci.manifest(), "<html>"),
        (Family::Oci.index(), r#"{"schemaVersion":2,"manifests":{}}"#),
    ] {
        let bad = json!({"mediaType": media_type, "digest": digest(text.as_bytes()), "size": text.len()});
        write_blob(&source, text.as_bytes());
        let index = json!({"schemaVersion": 2, "mediaType": Family::Oci.index(), "manifests": [bad, child(&good, "linux", "amd64")]});
        let index = index.to_string().into_bytes();
        write_blob(&source, &index);
        write_index(&source, &[("v1", Family::Oci.index(), &index)]);
        let _ = std::fs::remove_dir_all(dir.path().join("out"));
        let report = wrap(&name("source"), &name("out"), &[]).succeeds().json();
        assert_eq!(report["platforms"][0]["action"], "skipped", "{text}");
        assert_ne!(report["platforms"][0]["reason"].as_str().unwrap_or_default(), "", "{text}");
        assert_eq!(report["platforms"][1]["action"], "wrapped", "{text}");
        assert_eq!(
            std::fs::read(blob_path(&dir.path().join("out"), &digest(text.as_bytes()))).unwrap(),
            text.as_bytes()
        );
        reapify(["verify", &name("out"), "--source", &name("source")]).run().succeeds();
        reapify(["inspect", &name("out")]).run().succeeds();
        reapify(["unwrap", &name("out"), &name("back")]).run().succeeds();
        assert_eq!(layout_manifest(&dir.path().join("back"), "v1"), index);
        wrap(&name("source"), &name("strict"), &["--strict"]).exits(5);
        wrap(&name("source"), &name("chosen"), &["--platform", "linux/amd64"]).succeeds();
    }
}

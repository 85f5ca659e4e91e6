//! Indexes of every kind: wrapped, copied unchanged, narrowed, or rejected.

mod support;

use serde_json::Value;
use support::image::{Family, digest};
use support::index::{actions, attestation, child, image_for, manifest, pairs, put_index};
use support::registry::Registry;
use support::run::{Outcome, reapify};
use support::scratch;

/// Pushes an index for four platforms, one of them Windows, with an attestation.
fn usual(registry: &Registry, family: Family) -> Vec<u8> {
    let mut children = Vec::new();
    for (os, architecture) in
        [("linux", "amd64"), ("linux", "arm64"), ("linux", "s390x"), ("windows", "amd64")]
    {
        let image = image_for(os, architecture, "", family);
        image.in_registry(registry, "app", &format!("{os}-{architecture}"));
        children.push(child(&image, os, architecture));
    }
    if family == Family::Oci {
        let subject = children[0]["digest"].as_str().unwrap().to_string();
        children.push(attestation(registry, "app", &subject));
    }
    put_index(registry, "app", "all", family, &children)
}

#[test]
fn wraps_linux_children_and_copies_the_others() {
    for family in [Family::Oci, Family::Docker] {
        let registry = Registry::start();
        usual(&registry, family);
        registry.clear_log();
        let report = reapify(["wrap", "--output", "json", "--attestations", "keep"])
            .args([registry.name("app", "all"), registry.name("copy", "reaped")])
            .run()
            .succeeds()
            .json();
        assert_eq!(report["action"], "wrapped");
        let mut expected = pairs(&[
            ("linux/amd64", "wrapped"),
            ("linux/arm64", "wrapped"),
            ("linux/s390x", "wrapped"),
            ("windows/amd64", "skipped"),
        ]);
        if family == Family::Oci {
            expected.extend(pairs(&[("unknown/unknown", "skipped")]));
        }
        assert_eq!(actions(&report), expected);
        registry.complete("copy", "reaped");
        let (_, before) = manifest(&registry, "app", "all");
        let (_, after) = manifest(&registry, "copy", "reaped");
        for (i, child) in after["manifests"].as_array().unwrap().iter().enumerate() {
            let same = child["digest"] == before["manifests"][i]["digest"];
            assert_eq!(same, i >= 3, "child {i}");
            assert_eq!(child["platform"], before["manifests"][i]["platform"]);
        }
        assert_eq!(
            after["annotations"].is_null(),
            family == Family::Docker,
            "Docker's lists have no annotations"
        );

        // The second run takes two requests, and those that check whether every child exists; Docker's types are
        // compared by their configs.
        registry.clear_log();
        let again = reapify(["wrap", "--output", "json", "--attestations", "keep"])
            .args([registry.name("app", "all"), registry.name("copy", "reaped")])
            .run()
            .succeeds()
            .json();
        assert_eq!(again["digest"], report["digest"]);
        let children = after["manifests"].as_array().unwrap().len();
        let requests = if family == Family::Oci { 2 + children } else { 2 + 2 * 3 + (children - 3) };
        assert_eq!((&again["action"], &again["written"]), (&"unchanged".into(), &false.into()));
        assert_eq!(again["platforms"].as_array().unwrap().len(), children, "{again}");
        assert_eq!(registry.log().len(), requests, "{:#?}", registry.log().lines());
        assert_eq!(registry.log().count(|e| e.line().starts_with('P')), 0);
    }
}

#[test]
fn unwrap_restores_the_digest_of_an_index() {
    for family in [Family::Oci, Family::Docker] {
        let registry = Registry::start();
        let source = usual(&registry, family);
        let names = [("app", "all"), ("copy", "reaped"), ("back", "again")].map(|(r, t)| registry.name(r, t));
        reapify(["wrap", "--attestations", "keep"]).args(&names[..2]).run().succeeds();
        let report = reapify(["unwrap", "--output", "json"]).args(&names[1..]).run().succeeds().json();
        assert_eq!(report["action"], "unwrapped");
        assert_eq!(report["digest"], digest(&source));
        registry.complete("back", "again");
        assert_eq!(manifest(&registry, "back", "again").0, source);
        reapify(["unwrap"]).args([&names[2], &names[1]]).run().exits(5).says("wrapped");
    }
}

#[test]
fn drops_attestations_of_rewritten_images() {
    let registry = Registry::start();
    usual(&registry, Family::Oci);
    let to = registry.name("copy", "reaped");
    registry.clear_log();
    reapify(["wrap", &registry.name("app", "all"), &to]).run().succeeds().says("1 attestation was dropped");
    // Dropped children are neither read nor transferred.
    let attestation = manifest(&registry, "app", "all").1["manifests"][4]["digest"].clone();
    let (_, parts) = manifest(&registry, "app", attestation.as_str().unwrap());
    for digest in [&attestation, &parts["config"]["digest"], &parts["layers"][0]["digest"]] {
        let hex = digest.as_str().unwrap().trim_start_matches("sha256:");
        assert_eq!(registry.log().count(|e| e.line().contains(hex)), 0, "{:#?}", registry.log().lines());
    }
    let (_, after) = manifest(&registry, "copy", "reaped");
    assert_eq!(after["manifests"].as_array().unwrap().len(), 4);
    // The kept children are restored nevertheless.
    reapify(["unwrap", &to, &registry.name("back", "again")]).run().succeeds().says("1 child was removed");
    let (_, before) = manifest(&registry, "app", "all");
    let (_, back) = manifest(&registry, "back", "again");
    let digests = |v: &Value| {
        v["manifests"].as_array().unwrap().iter().take(4).map(|c| c["digest"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(digests(&back), digests(&before));
    reapify(["verify", &to, "--deep", "--source", &registry.name("app", "all")]).run().succeeds();
}

/// Tools that edit an index keep its annotations, so that the record describes an earlier state.
#[test]
fn wraps_a_modified_index_as_it_is() {
    let registry = Registry::start();
    let plain = String::from_utf8(usual(&registry, Family::Oci)).unwrap();
    let noted = plain.replace("\"x-vendor\"", "\"annotations\":{\"a\":\"b\"},\"x-vendor\"");
    registry.put_manifest("app", "all", Family::Oci.index(), noted.as_bytes());
    let name = |tag: &str| registry.name("app", tag);
    reapify(["wrap", "--attestations", "keep", &name("all"), &name("reaped")]).run().succeeds();
    let (bytes, _) = manifest(&registry, "app", "reaped");
    let text = String::from_utf8(bytes).unwrap();
    let changed = text.replace("},\"x-vendor\"", ",\"x\":\"y\"},\"x-vendor\"");
    assert_ne!(changed, text);
    registry.put_manifest("app", "changed", Family::Oci.index(), changed.as_bytes());

    reapify(["verify", &name("changed")]).run().exits(6).says("does not describe this index");
    let wrap = |from: &str, to: &str| {
        reapify(["wrap", "--attestations", "keep", &name(from), &name(to)]).run().succeeds()
    };
    let first = wrap("changed", "again").says("a reapify record that does not match it").digest();
    assert_eq!(wrap("again", "twice").never_says("does not describe").digest(), first);
    reapify(["verify", &name("again")]).run().succeeds();
    reapify(["unwrap", &name("again"), &name("back")]).run().succeeds();
    let children = |tag: &str| manifest(&registry, "app", tag).1["manifests"].clone();
    assert_eq!(children("back"), children("all"));
    assert_eq!(manifest(&registry, "app", "back").1["annotations"]["x"], "y");
}

/// A record may be forged. It must not determine the children of an index.
#[test]
fn ignores_forged_index_records() {
    let registry = Registry::start();
    usual(&registry, Family::Oci);
    let name = |tag: &str| registry.name("app", tag);
    reapify(["wrap", "--attestations", "keep", &name("all"), &name("reaped")]).run().succeeds();
    let text = String::from_utf8(manifest(&registry, "app", "reaped").0).unwrap();
    let honest = r#"{\"del\":\"/annotations\"}"#;
    assert!(text.contains(honest), "{text}");
    let other = r#"{\"set\":[\"/manifests\",\"[]\"]}"#;
    for forged in [r#"{\"pop\":\"/manifests\"}"#, r#"{\"del\":\"/x-vendor\"}"#, other] {
        let changed = text.replace(honest, forged);
        assert_ne!(changed, text);
        registry.put_manifest("app", "forged", Family::Oci.index(), changed.as_bytes());
        reapify(["verify", &name("forged")]).run().exits(6).says("does not describe this index");
        for command in [&["wrap", "--group", "--attestations", "keep"][..], &["unwrap"]] {
            let to = name("out");
            reapify(command).args([&name("forged"), &to]).run().succeeds().says("does not match it");
            assert_eq!(manifest(&registry, "app", "out").1["manifests"].as_array().unwrap().len(), 5);
        }
    }
}

/// Changes by other tools at the destination are corrected, although the annotations claim that it is up to date.
#[test]
fn does_not_trust_annotations_alone() {
    let registry = Registry::start();
    usual(&registry, Family::Oci);
    let image = image_for("linux", "amd64", "", Family::Oci);
    image.in_registry(&registry, "app", "one");
    let two_requests = |from: &str, options: &[&str]| {
        registry.clear_log();
        let names = [registry.name("app", from), registry.name("copy", from)];
        let outcome = reapify(["wrap", "--output", "json"]).args(options).args(names).run().succeeds();
        let only_asks =
            |e: &support::registry::Entry| e.line().starts_with("GET /v2/") || e.line().starts_with("HEAD");
        let log = registry.log();
        let gets = log.count(|e| e.line().starts_with("GET"));
        (outcome.json()["digest"].clone(), gets == 2 && log.count(only_asks) == log.len())
    };
    let some = ["--platform", "linux/arm64,linux/s390x"];
    for (from, options) in
        [("one", &[][..]), ("all", &[]), ("all", &["--attestations", "keep"]), ("all", &some)]
    {
        let (result, _) = two_requests(from, options);
        assert_eq!(two_requests(from, options), (result.clone(), true), "{from} {options:?}");
        let (bytes, parsed) = manifest(&registry, "copy", from);
        let text = String::from_utf8(bytes).unwrap();
        let is_index = parsed["manifests"].is_array();
        let changes: [(&str, &str); 3] = match is_index {
            true => {
                [("\"x-vendor\" : 1e3", "\"x-vendor\" : 1e4"), ("\"s390x\"", "\"ppc64\""), (" ]", " ,{}]")]
            }
            false => [
                ("\"layers\":[", "\"layers\":[{},"),
                ("io.reapify.source", "x\":\"y\",\"io.reapify.source"),
                ("}]", ",\"x\":1}]"),
            ],
        };
        for (old, new) in changes {
            assert!(text.contains(old), "{old} in {text}");
            // Replaces a required descriptor by another.
            let any = if is_index { "manifests" } else { "layers" };
            let new = new.replace("{}", &parsed[any][0].to_string());
            registry.set(|settings| settings.checks_references = false);
            let media_type = parsed["mediaType"].as_str().unwrap();
            registry.put_manifest("copy", from, media_type, text.replacen(old, &new, 1).as_bytes());
            registry.set(|settings| settings.checks_references = true);
            assert_eq!(two_requests(from, options), (result.clone(), false), "{from} {options:?} {old}");
        }
        assert_eq!(two_requests(from, options), (result, true), "{from} {options:?}");
    }
}

#[test]
fn platforms_narrow_an_index() {
    let registry = Registry::start();
    usual(&registry, Family::Oci);
    let from = registry.name("app", "all");
    let report =
        reapify(["wrap", "--output", "json", "--platform", "linux/arm64/v8", "--platform", "linux/s390x"])
            .args([&from, &registry.name("copy", "some")])
            .run()
            .succeeds()
            .json();
    assert_eq!(actions(&report), pairs(&[("linux/arm64", "wrapped"), ("linux/s390x", "wrapped")]));
    let (_, after) = manifest(&registry, "copy", "some");
    assert_eq!(after["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(after["mediaType"], Family::Oci.index());
    reapify(["verify", &registry.name("copy", "some"), "--source", &from]).run().succeeds();

    reapify(["wrap", "--platform", "linux/riscv64", &from, &registry.name("copy", "none")])
        .run()
        .exits(2)
        .says("no platform linux/riscv64\n")
        .says("linux/amd64, linux/arm64, linux/s390x, windows/amd64");
    reapify(["wrap", "--platform", "linux", &from, &registry.name("copy", "none")]).run().exits(2);
    assert!(registry.manifest("copy", "none").is_none());
}

/// Attestations refer to the digest of the image before it was wrapped.
#[test]
fn recognises_attestations_in_a_wrapped_index() {
    let registry = Registry::start();
    usual(&registry, Family::Oci);
    let kept = registry.name("copy", "kept");
    reapify(["wrap", "--attestations", "keep", &registry.name("app", "all"), &kept]).run().succeeds();
    let some = ["--attestations", "keep", "--platform", "linux/amd64"];
    let others = ["--attestations", "keep", "--platform", "linux/arm64"];
    for (options, left) in [(&[][..], 4), (&some, 2), (&others, 1)] {
        let wrap = |from: &str, tag: &str| {
            let outcome = reapify(["wrap"]).args(options).args([from, &registry.name("out", tag)]).run();
            outcome.succeeds().digest()
        };
        wrap(&kept, "late");
        wrap(&registry.name("app", "all"), "first");
        let text = |tag: &str| String::from_utf8(manifest(&registry, "out", tag).0).unwrap();
        assert_eq!(text("late"), text("first"), "{options:?}");
        let (_, late) = manifest(&registry, "out", "late");
        assert_eq!(late["manifests"].as_array().unwrap().len(), left, "{options:?}");
    }
}

#[test]
fn rejects_a_single_image_for_another_platform() {
    let registry = Registry::start();
    let from = image_for("linux", "arm", "v7", Family::Oci).in_registry(&registry, "app", "v1");
    let wrap =
        |platform: &str| reapify(["wrap", "--platform", platform, &from, &registry.name("copy", "x")]).run();
    wrap("linux/arm64").exits(2).says("no platform linux/arm64").says("single image, for linux/arm/v7");
    wrap("linux/arm,linux/arm64").exits(2).says("no platform linux/arm64");
    assert!(registry.manifest("copy", "x").is_none());
    wrap("linux/arm").succeeds();
}

#[test]
fn names_platforms_missing_at_the_source() {
    let registry = Registry::start();
    registry.set(|settings| settings.checks_references = false);
    let there = image_for("linux", "amd64", "", Family::Oci);
    there.in_registry(&registry, "app", "amd64");
    let gone = image_for("linux", "arm64", "", Family::Oci);
    put_index(
        &registry,
        "app",
        "sparse",
        Family::Oci,
        &[child(&there, "linux", "amd64"), child(&gone, "linux", "arm64")],
    );
    let from = registry.name("app", "sparse");
    reapify(["wrap", &from, &registry.name("copy", "x")])
        .run()
        .exits(3)
        .says("linux/arm64")
        .says(&gone.digest())
        .says("use --platform to pick images that exist");
    assert!(registry.manifest("copy", "x").is_none());
    reapify(["wrap", "--platform", "linux/amd64", &from, &registry.name("copy", "x")]).run().succeeds();
}

#[test]
fn another_reaper_gives_the_same_result_as_if_it_had_been_first() {
    let registry = Registry::start();
    usual(&registry, Family::Oci);
    let from = registry.name("app", "all");
    let (old, new, fresh) = (registry.name("a", "1"), registry.name("b", "1"), registry.name("c", "1"));
    reapify(["wrap", "--group", &from, &old]).run().succeeds();
    let upgraded = reapify(["wrap", "--output", "json", &old, &new]).run().succeeds().json();
    assert_eq!(upgraded["action"], "upgraded");
    let first = reapify(["wrap", "--output", "json", &from, &fresh]).run().succeeds().json();
    assert_eq!(upgraded["digest"], first["digest"]);
}

#[test]
fn copies_children_without_a_reaper_or_with_an_init_and_gives_the_reason() {
    let registry = Registry::start();
    let mut children = Vec::new();
    for (architecture, entrypoint) in [("amd64", "/app"), ("vax", "/app"), ("arm64", "/sbin/tini")] {
        let image = image_for("linux", architecture, "", Family::Oci);
        let config = String::from_utf8(image.config_bytes()).unwrap().replace("/app", entrypoint);
        let image = image.config(&config);
        image.in_registry(&registry, "app", architecture);
        children.push(child(&image, "linux", architecture));
    }
    put_index(&registry, "app", "mixed", Family::Oci, &children);
    let outcome =
        reapify(["wrap", "--output", "json", &registry.name("app", "mixed"), &registry.name("copy", "x")])
            .run()
            .succeeds();
    assert_eq!(
        actions(&outcome.json()),
        pairs(&[("linux/amd64", "wrapped"), ("linux/vax", "skipped"), ("linux/arm64", "skipped")])
    );
    outcome.says("no reaper for linux/vax").says("tini");
    registry.complete("copy", "x");
    reapify(["verify", &registry.name("copy", "x"), "--source", &registry.name("app", "mixed")])
        .run()
        .succeeds();
}

#[test]
fn picks_the_image_that_engines_pick() {
    let registry = Registry::start();
    let of = |variant: &str, family: &str| {
        let image = image_for("linux", "amd64", variant, Family::Oci);
        image.in_registry(&registry, "app", family);
        let mut descriptor = child(&image, "linux", "amd64");
        if !variant.is_empty() {
            descriptor["platform"]["variant"] = variant.into();
        }
        descriptor
    };
    let (v2, v3, plain, other) = (of("v2", "a"), of("v3", "b"), of("", "c"), of("v1", "d"));
    put_index(&registry, "app", "all", Family::Oci, &[v3.clone(), v2.clone(), plain.clone(), other]);
    put_index(&registry, "app", "variants", Family::Oci, &[v3, v2.clone()]);
    let dir = scratch();
    let wrap = |tag: &str, platforms: &str, n: u32| {
        let to = format!("docker-archive:{}:app:v1", dir.path().join(n.to_string()).display());
        reapify(["wrap", "--output", "json", "--platform", platforms, &registry.name("app", tag), &to]).run()
    };
    let source = |outcome: Outcome| outcome.succeeds().json()["source_digest"].clone();
    assert_eq!(source(wrap("all", "linux/amd64", 1)), plain["digest"]);
    assert_eq!(source(wrap("all", "linux/amd64/v2", 2)), v2["digest"]);
    wrap("variants", "linux/amd64", 3).exits(2).says("linux/amd64/v3, linux/amd64/v2");
    wrap("all", "linux/arm64,linux/amd64,linux/s390x", 4)
        .exits(2)
        .says("no platform linux/arm64, linux/s390x");
}

#[test]
fn rejects_an_index_for_a_docker_archive() {
    let registry = Registry::start();
    usual(&registry, Family::Oci);
    let dir = support::scratch();
    let archive = format!("docker-archive:{}", dir.path().join("x.tar").display());
    reapify(["wrap", &registry.name("app", "all"), &archive]).run().exits(2).says("--platform");
    reapify(["wrap", "--platform", "linux/amd64", &registry.name("app", "all"), &archive]).run().succeeds();
    reapify(["inspect", &archive]).run().succeeds();
}

//! Nested indexes: deep and repeated ones, within limits.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::image::{Family, digest};
use support::index::{actions, child, image_for, manifest, pairs, put_index};
use support::registry::{Kind, Registry};
use support::run::reapify;
use support::scratch;

/// Returns the descriptor of an index, without a platform.
fn nested(index: &[u8]) -> Value {
    json!({"mediaType": Family::Oci.index(), "digest": digest(index), "size": index.len()})
}

fn image_in(registry: &Registry, os: &str, architecture: &str) -> Value {
    let image = image_for(os, architecture, "", Family::Oci);
    image.in_registry(registry, "app", &format!("{os}-{architecture}"));
    child(&image, os, architecture)
}

/// Pushes two nested indexes: amd64 and arm64 in the first, s390x and Windows in the second, and riscv64 beside them.
fn family(registry: &Registry) -> Vec<u8> {
    let of = |architecture| image_in(registry, "linux", architecture);
    let first = put_index(registry, "app", "first", Family::Oci, &[of("amd64"), of("arm64")]);
    let windows = image_in(registry, "windows", "amd64");
    let second = put_index(registry, "app", "second", Family::Oci, &[of("s390x"), windows]);
    put_index(registry, "app", "all", Family::Oci, &[nested(&first), nested(&second), of("riscv64")])
}

#[test]
fn wraps_verifies_inspects_and_unwraps_nested_indexes() {
    let registry = Registry::start();
    let source = family(&registry);
    let [from, to, back] =
        [("app", "all"), ("copy", "reaped"), ("back", "again")].map(|(r, t)| registry.name(r, t));
    let report = reapify(["wrap", "--output", "json", &from, &to]).run().succeeds().json();
    let images = ["linux/amd64", "linux/arm64", "linux/s390x", "windows/amd64", "linux/riscv64"];
    let expected = images.map(|p| (p, if p.starts_with("linux") { "wrapped" } else { "skipped" }));
    assert_eq!(actions(&report), pairs(&expected));
    registry.complete("copy", "reaped");

    let verified = reapify(["verify", "--deep", "--output", "json", &to, "--source", &from]).run().succeeds();
    let verified = verified.json();
    assert_eq!(verified["source_digest"], digest(&source));
    assert_eq!(verified["platforms"].as_array().unwrap().len(), 4);
    let inspected = reapify(["inspect", "--output", "json", &to]).run().succeeds().json();
    let found: Vec<&str> =
        inspected["platforms"].as_array().unwrap().iter().map(|p| p["platform"].as_str().unwrap()).collect();
    assert_eq!(found, images);

    // Two requests determine that there is nothing to do; the others check that all children exist.
    registry.clear_log();
    let again = reapify(["wrap", "--output", "json", &from, &to]).run().succeeds().json();
    assert_eq!((&again["digest"], &again["written"]), (&report["digest"], &false.into()));
    let log = registry.log();
    let asked = ["GET /v2/app/", "GET /v2/copy/", "HEAD /v2/copy/manifests/"]
        .map(|start| log.count(|e| e.line().starts_with(start)));
    assert_eq!((asked, log.len()), ([3, 3, 5], 11), "{:#?}", log.lines());
    // A wrapped image that arrived by another way is recognised too.
    let twice = registry.name("twice", "reaped");
    let again = reapify(["wrap", "--output", "json", &to, &twice]).run().succeeds().json();
    assert_eq!((&again["digest"], again["action"].as_str()), (&report["digest"], Some("unchanged")));

    reapify(["unwrap", &to, &back]).run().succeeds();
    assert_eq!(manifest(&registry, "back", "again").0, source);
    reapify(["verify", &from]).run().exits(6).says("linux/amd64").says("not wrapped");
}

#[test]
fn finds_platforms_in_nested_indexes() {
    let registry = Registry::start();
    let source = family(&registry);
    let [from, some] = [("app", "all"), ("copy", "some")].map(|(r, t)| registry.name(r, t));
    let wrap = ["wrap", "--output", "json", "--platform", "linux/arm64", "--platform", "linux/riscv64"];
    let report =
        reapify(wrap).args([&from, &some]).run().succeeds().says("the selected platforms leave out").json();
    assert_eq!(actions(&report), pairs(&[("linux/arm64", "wrapped"), ("linux/riscv64", "wrapped")]));
    registry.complete("copy", "some");
    let (_, after) = manifest(&registry, "copy", "some");
    assert_eq!(after["manifests"].as_array().unwrap().len(), 2, "the second index is gone");
    reapify(["verify", &some, "--source", &from]).run().succeeds();
    reapify(["verify", &some, "--source", &registry.name("app", "second")]).run().exits(6);

    // A second run has nothing to do, by either way, and dropped children remain dropped.
    let twice = registry.name("twice", "some");
    let again = reapify(wrap).args([&some, &twice]).run().succeeds().json();
    assert_eq!((&again["digest"], again["action"].as_str()), (&report["digest"], Some("unchanged")));
    let back = registry.name("back", "some");
    let unwrapped = reapify(["unwrap", "--output", "json", &some, &back]).run().succeeds();
    let unwrapped = unwrapped.says("2 children were removed").never_says("1 child was removed").json();
    assert_ne!(unwrapped["digest"], digest(&source));

    reapify(["wrap", "--platform", "linux/ppc64le", &from, &registry.name("copy", "none")])
        .run()
        .exits(2)
        .says("linux/amd64, linux/arm64, linux/s390x, windows/amd64, linux/riscv64");
    assert!(registry.manifest("copy", "none").is_none());

    let dir = scratch();
    let archive = |name: &str| format!("docker-archive:{}:app:v1", dir.path().join(name).display());
    reapify(["wrap", "--platform", "linux/s390x", &from, &archive("one")]).run().succeeds();
    reapify(["wrap", &from, &archive("all")]).run().exits(2).says("linux/s390x");
}

#[test]
fn reads_and_writes_duplicates_once() {
    let registry = Registry::start();
    let image = image_in(&registry, "linux", "amd64");
    let windows = image_in(&registry, "windows", "amd64");
    let inner = put_index(&registry, "app", "inner", Family::Oci, &[image.clone(), windows.clone()]);
    let children = [nested(&inner), image.clone(), windows, image, nested(&inner)];
    let source = put_index(&registry, "app", "outer", Family::Oci, &children);
    let names = [("app", "outer"), ("copy", "reaped"), ("back", "again")].map(|(r, t)| registry.name(r, t));
    registry.clear_log();
    reapify(["wrap"]).args(&names[..2]).run().succeeds();
    registry.complete("copy", "reaped");
    let log = registry.log();
    let manifests = |method: &str| {
        log.count(|e| e.asked.method == method && matches!(e.asked.kind, Kind::Manifest { .. }))
    };
    // The source, the destination, the nested index, and two images.
    assert_eq!(manifests("GET"), 5, "{:#?}", log.lines());
    assert_eq!(manifests("PUT"), 4, "{:#?}", log.lines());
    // One config is read and sent, and one reaper; those of the other image are mounted.
    assert_eq!(log.count(|e| e.asked.method == "GET" && matches!(e.asked.kind, Kind::Blob { .. })), 1);
    assert_eq!(log.count(|e| e.asked.method == "DELETE"), 0, "{:#?}", log.lines());
    reapify(["verify", &names[1], "--source", &names[0]]).run().succeeds();
    reapify(["unwrap"]).args(&names[1..]).run().succeeds();
    assert_eq!(manifest(&registry, "back", "again").0, source);
}

/// An index of a few kilobytes that refers to a billion images.
#[test]
fn rejects_exponentially_nested_indexes_quickly() {
    for (os, depth, width) in [("linux", 12, 1), ("linux", 7, 20), ("windows", 7, 20), ("linux", 1, 1025)] {
        let registry = Registry::start();
        let mut inner = image_in(&registry, os, "amd64");
        for level in 0..depth {
            let text = put_index(&registry, "app", &format!("l{level}"), Family::Oci, &vec![inner; width]);
            inner = nested(&text);
            if os != "linux" {
                inner["platform"] = json!({"os": os, "architecture": "amd64"});
            }
        }
        let top = registry.name("app", &format!("l{}", depth - 1));
        put_index(&registry, "app", "root", Family::Oci, &[inner]);
        let runs = [
            reapify(["wrap", &top, &registry.name("copy", "x")]),
            reapify(["wrap", &registry.name("app", "root"), &registry.name("copy", "x")]),
            reapify(["wrap", "--platform", "linux/amd64", &top, &registry.name("copy", "x")]),
            reapify(["unwrap", &top, &registry.name("copy", "x")]),
            reapify(["inspect", &top]),
            reapify(["verify", &top]),
        ];
        for (n, run) in runs.into_iter().enumerate() {
            if os == "windows" && n != 1 {
                continue;
            }
            registry.clear_log();
            run.within(Duration::from_secs(20)).run().exits(5).says("deeper").says("hint: ");
            assert!(registry.log().len() < 40, "{}", registry.log().len());
        }
        assert!(registry.manifest("copy", "x").is_none());
    }
}

/// One digest may be listed for several platforms.
#[test]
fn verifies_the_kept_one_of_two_duplicate_children() {
    let registry = Registry::start();
    let image = image_in(&registry, "linux", "amd64");
    let mut nameless = image.clone();
    nameless.as_object_mut().unwrap().remove("platform");
    put_index(&registry, "app", "all", Family::Oci, &[nameless, image]);
    let (from, to) = (registry.name("app", "all"), registry.name("copy", "some"));
    reapify(["wrap", "--platform", "linux/amd64", &from, &to]).run().succeeds();
    reapify(["verify", &to, "--source", &from]).run().succeeds();
}

#[test]
fn verifies_a_narrowed_docker_list_against_its_source() {
    let registry = Registry::start();
    let children: Vec<Value> = ["amd64", "arm64", "s390x"]
        .map(|architecture| {
            let image = image_for("linux", architecture, "", Family::Docker);
            image.in_registry(&registry, "app", architecture);
            child(&image, "linux", architecture)
        })
        .to_vec();
    put_index(&registry, "app", "all", Family::Docker, &children);
    put_index(&registry, "app", "other", Family::Docker, &children[..2]);
    let (from, to) = (registry.name("app", "all"), registry.name("copy", "some"));
    reapify(["wrap", "--platform", "linux/amd64", "--platform", "linux/s390x", &from, &to]).run().succeeds();
    reapify(["verify", &to, "--source", &from]).run().succeeds();
    reapify(["verify", &to, "--source", &registry.name("app", "other")]).run().exits(6).says("not from");
}

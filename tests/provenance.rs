//! Provenance statements about results, and the treatment of referrers of the source.

mod support;

use serde_json::{Value, json};
use support::image::{Family, Image, digest, layout_blob};
use support::index::{child, put_index};
use support::registry::Registry;
use support::run::reapify;
use support::{scratch, zombies};

const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Returns the statement in a referrer of `subject`, after checking its form.
fn statement(referrer: &Value, subject: &str, blob: impl Fn(&str) -> Vec<u8>) -> Value {
    assert_eq!(referrer["subject"]["digest"], subject);
    assert_eq!(referrer["artifactType"], IN_TOTO);
    assert_eq!(blob(referrer["config"]["digest"].as_str().unwrap()), b"{}");
    let text = blob(referrer["layers"][0]["digest"].as_str().unwrap());
    let statement: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(format!("sha256:{}", statement["subject"][0]["digest"]["sha256"].as_str().unwrap()), subject);
    statement
}

#[test]
fn finds_the_statement_by_its_subject_with_and_without_the_referrers_api() {
    for api in [true, false] {
        let registry = Registry::start();
        registry.set(|settings| settings.referrers = api);
        let source = Image::small();
        let from = source.in_registry(&registry, "app", "v1");
        let to = registry.name("copy", "v1");
        let run = || {
            reapify(["wrap", "--provenance", "--group", &from, &to, "--output", "json"])
                .run()
                .succeeds()
                .json()
        };
        let result = run()["digest"].as_str().unwrap().to_owned();
        let tag = result.replace(':', "-");
        assert_eq!(
            registry.tags("copy").contains_key(&tag),
            !api,
            "the tag is for registries without the API"
        );

        let inspected = reapify(["inspect", "--output", "json", &to]).run().succeeds().json();
        let found = inspected["referrers"].as_array().unwrap();
        assert_eq!(found.len(), 1, "{inspected}");
        let line = found[0].as_str().unwrap();
        let referrer = line.split(['(', ')']).nth(1).unwrap();
        let manifest: Value =
            serde_json::from_slice(&registry.manifest("copy", referrer).unwrap().bytes).unwrap();
        let statement = statement(&manifest, &result, |d| registry.blob("copy", d).unwrap());
        let materials = statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
        assert_eq!(format!("sha256:{}", materials[0]["digest"]["sha256"].as_str().unwrap()), source.digest());
        assert_eq!(statement["predicate"]["buildDefinition"]["externalParameters"]["args"], json!(["-g"]));

        // A second run writes the same statement, only once.
        run();
        let again = reapify(["inspect", "--output", "json", &to]).run().succeeds().json();
        assert_eq!(again["referrers"], inspected["referrers"]);
    }
}

#[test]
fn a_layout_lists_the_statement_without_a_name() {
    let dir = scratch();
    let to = format!("oci:{}:v1", dir.path().display());
    let report =
        reapify(["wrap", "--provenance", "--output", "json", &zombies(), &to]).run().succeeds().json();
    let index: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    let manifest: Value =
        serde_json::from_slice(&layout_blob(dir.path(), entries[1]["digest"].as_str().unwrap())).unwrap();
    statement(&manifest, report["digest"].as_str().unwrap(), |d| layout_blob(dir.path(), d));
    // It does not conflict with the layout's only image.
    let inspected = reapify(["inspect", "--output", "json", &format!("oci:{}", dir.path().display())]).run();
    let referrers = inspected.succeeds().json()["referrers"].clone();
    let statement = entries[1]["digest"].as_str().unwrap();
    assert!(referrers[0].as_str().is_some_and(|line| line.contains(statement)), "{referrers}");
    assert_eq!(referrers.as_array().map(Vec::len), Some(1));
    let archive = format!("docker-archive:{}", dir.path().join("x.tar").display());
    reapify(["wrap", "--provenance", &zombies(), &archive])
        .run()
        .exits(2)
        .says("registries and oci: directories");
}

#[test]
fn reports_referrers_of_the_source_and_does_not_copy_them() {
    let registry = Registry::start();
    registry.set(|settings| settings.referrers = true);
    let source = Image::small();
    let from = source.in_registry(&registry, "app", "v1");
    let empty = registry.put_blob("app", b"{}");
    let signature = json!({
        "schemaVersion": 2, "mediaType": Family::Oci.manifest(), "artifactType": "application/vnd.example.signature",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2}, "layers": [],
        "subject": source.descriptor(),
    })
    .to_string();
    registry.put_manifest("app", &digest(signature.as_bytes()), Family::Oci.manifest(), signature.as_bytes());
    // A signature as cosign stores it.
    registry.put_manifest(
        "app",
        &format!("{}.sig", source.digest().replace(':', "-")),
        Family::Oci.manifest(),
        signature.as_bytes(),
    );
    // For an index, the referrers of its images are listed too.
    put_index(&registry, "app", "all", Family::Oci, &[child(&source, "linux", "amd64")]);
    reapify(["wrap", "-v", &registry.name("app", "all"), &registry.name("index", "v1")])
        .run()
        .succeeds()
        .says("referrers of the source image for linux/amd64")
        .says("application/vnd.example.signature");
    assert_eq!(registry.tags("index").len(), 1);
    reapify(["wrap", "-v", &from, &registry.name("copy", "v1")])
        .run()
        .succeeds()
        .says("application/vnd.example.signature")
        .says(".sig")
        .says("were not copied");
    assert_eq!(registry.tags("copy").len(), 1);
}

//! OCI layouts that other tools also use: foreign content is kept, and concurrent writers wait.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use support::image::{self, Image, blob_path, digest, file};
use support::refusal::files_below;
use support::run::{reapify, tool};
use support::{in_parallel, scratch, zombies};

/// Returns the tags of a layout with the digests that they refer to.
fn tags(dir: &Path) -> BTreeMap<String, String> {
    let index = std::fs::read(dir.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    let tag =
        |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().map(str::to_owned);
    entries.map(|entry| (tag(entry).unwrap(), entry["digest"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn concurrent_writers_all_set_their_tag() {
    let dir = scratch();
    let layout = dir.path().join("layout");
    in_parallel(0..24, |n| {
        let source = dir.path().join(format!("source{n}"));
        let from = Image::new().layer(&[file("n", &[n])]).in_layout(&source, "v1");
        reapify(["wrap", &from, &format!("oci:{}:v{n}", layout.display())]).run().succeeds();
    });
    let tags = tags(&layout);
    assert_eq!(tags.len(), 24, "{tags:?}");
    for tag in tags.keys() {
        let to = format!("oci:{}:v1", dir.path().join(format!("copy-{tag}")).display());
        tool("skopeo", ["copy", "-q", &format!("oci:{}:{tag}", layout.display()), &to]).run().succeeds();
    }
}

#[test]
fn keeps_other_tags_and_unreferenced_blobs() {
    let dir = scratch();
    let theirs = Image::small().in_layout(dir.path(), "theirs");
    let loose = b"a blob that nothing refers to";
    image::write_blob(dir.path(), loose);
    std::fs::write(dir.path().join("README"), "by hand").unwrap();
    let before = files_below(dir.path());
    let tagged = tags(dir.path());
    for _ in 0..2 {
        reapify(["wrap", &zombies(), &format!("oci:{}:ours", dir.path().display())]).run().succeeds();
    }
    let after = files_below(dir.path());
    assert!(before.iter().all(|file| after.contains(file)), "{before:?} {after:?}");
    assert_eq!(std::fs::read(blob_path(dir.path(), &digest(loose))).unwrap(), loose);
    assert_eq!(tags(dir.path()).get("theirs"), tagged.get("theirs"));
    assert_eq!(tags(dir.path()).len(), 2);
    tool("skopeo", ["inspect", &theirs]).run().succeeds();
}

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const FULL_NAME: &str = "io.containerd.image.name";

/// Creates a layout with these images, and with more fields in their entries.
fn layout_of(dir: &Path, entries: &[(&Image, Value)]) -> String {
    let entries = entries.iter().map(|(image, more)| {
        image.in_layout(dir, "unused");
        let mut entry = image.descriptor();
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entry
    });
    let index = json!({"schemaVersion": 2, "manifests": entries.collect::<Vec<_>>()});
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    format!("oci:{}", dir.display())
}

fn numbered(n: &str) -> Image {
    Image::new().layer(&[file("n", n.as_bytes())])
}

fn entries(dir: &Path) -> Vec<Value> {
    let index: Value = serde_json::from_slice(&std::fs::read(dir.join("index.json")).unwrap()).unwrap();
    index["manifests"].as_array().unwrap().clone()
}

fn names(pairs: &[(&str, &str)]) -> Value {
    json!({"annotations": pairs.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect::<serde_json::Map<_, _>>()})
}

#[test]
fn replacing_an_image_by_name_keeps_the_rest_of_its_entry() {
    let full = "docker.io/library/app:1.4";
    for name in ["1.4", full, "app:1.4", "index.docker.io/library/app:1.4"] {
        let dir = scratch();
        let mut entry = names(&[(FULL_NAME, full), (REF_NAME, "1.4"), ("vnd.example", "kept")]);
        entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
        entry["artifactType"] = json!("application/vnd.oci.image.config.v1+json");
        let image = numbered(name);
        let other = numbered("other");
        let place = layout_of(dir.path(), &[(&other, json!({})), (&image, entry.clone())]);
        let named = format!("{place}:{name}");
        let digest = reapify(["wrap", &named, &named]).run().succeeds().digest();
        let found = entries(dir.path());
        assert_eq!(found.len(), 2, "{name}: {found:?}");
        assert_eq!(found[1]["digest"], digest);
        for field in ["annotations", "platform", "artifactType"] {
            assert_eq!(found[1][field], entry[field], "{name}");
        }
        // Every name now refers to the new image, which is already wrapped.
        for name in [name, "1.4", full] {
            let named = format!("{place}:{name}");
            assert_eq!(reapify(["wrap", &named, &named]).run().succeeds().digest(), digest);
            reapify(["verify", &named]).run().succeeds();
        }
        // The platform of another image under that name is not that of the entry.
        let from = numbered("another").in_layout(&dir.path().join("from"), "v1");
        let digest = reapify(["wrap", &from, &named]).run().succeeds().digest();
        let found = entries(dir.path());
        assert_eq!((found.len(), &found[1]["digest"]), (2, &json!(digest)));
        assert_eq!(found[1]["annotations"], entry["annotations"]);
        assert_eq!(found[1].get("platform"), None);
    }
}

#[test]
fn writing_without_a_name_keeps_other_images() {
    let dir = scratch();
    let images = ["a", "b", "c"].map(numbered);
    let place = layout_of(
        dir.path(),
        &[
            (&images[0], json!({})),
            (&images[1], json!({"platform": {"os": "linux", "architecture": "amd64"}})),
            (&images[2], names(&[(REF_NAME, "kept")])),
        ],
    );
    let before = entries(dir.path());
    let from = numbered("new").in_layout(&dir.path().join("from"), "v1");
    for _ in 0..2 {
        let digest = reapify(["wrap", &from, &place]).run().succeeds().digest();
        let after = entries(dir.path());
        assert_eq!(after[..3], before[..]);
        assert_eq!((after.len(), &after[3]["digest"]), (4, &json!(digest)));
        tool("skopeo", ["inspect", "--raw", &format!("{place}:kept")]).run().succeeds();
    }
}

#[test]
fn wrapping_a_layout_in_place_replaces_its_only_image() {
    for entry in [json!({}), names(&[(REF_NAME, "v1")])] {
        let dir = scratch();
        let image = numbered("only");
        let place = layout_of(dir.path(), &[(&image, entry.clone())]);
        let again = format!("{place}/../{}", dir.path().file_name().unwrap().to_str().unwrap());
        let digest = reapify(["wrap", &place, &again]).run().succeeds().digest();
        let found = entries(dir.path());
        assert_eq!((found.len(), &found[0]["digest"]), (1, &json!(digest)));
        assert_eq!(found[0].get("annotations"), entry.get("annotations"));
        reapify(["unwrap", &place, &place]).run().succeeds();
        assert_eq!(entries(dir.path())[0]["digest"], image.digest());
    }
}

#[test]
fn hints_name_images_by_valid_references() {
    let dir = scratch();
    let images = ["a", "b", "c", "d", "e", "f"].map(numbered);
    let artifact = numbered("artifact");
    let entry = [
        json!({}),
        names(&[(REF_NAME, "v1")]),
        names(&[(FULL_NAME, "docker.io/library/one:v2"), (REF_NAME, "v2")]),
        names(&[(FULL_NAME, "docker.io/library/two:v2"), (REF_NAME, "v2")]),
        names(&[(REF_NAME, "not a tag")]),
        names(&[(REF_NAME, "@0")]),
    ];
    let mut all: Vec<(&Image, Value)> = images.iter().zip(entry).collect();
    all.push((&artifact, json!({"artifactType": "application/vnd.example"})));
    let place = layout_of(dir.path(), &all);
    let to = format!("{}/to", dir.path().display());
    let refused = reapify(["wrap", &place, &format!("oci:{to}:v1")]).run().exits(2).says("contains 6 images");
    let hint = refused.stderr.lines().find_map(|line| line.strip_prefix("hint: choose one: ")).unwrap();
    let choices: Vec<&str> = hint.split(", ").collect();
    assert_eq!(choices.len(), 6, "{hint}");
    for (choice, image) in choices.into_iter().zip(&images) {
        let report = reapify(["wrap", "--output", "json", choice, &format!("oci:{to}:v1")]).run().succeeds();
        assert_eq!(report.json()["source_digest"], image.digest(), "{choice}");
        let by_digest = format!("{place}@{}", image.digest());
        reapify(["wrap", &by_digest, &format!("oci:{to}:v1")]).run().succeeds();
    }
    // skopeo counts the same way.
    let second = tool("skopeo", ["inspect", "--raw", &format!("{place}:@1")]).run();
    if second.code() == 0 {
        assert_eq!(digest(&second.stdout), images[1].digest());
    }
    reapify(["wrap", &format!("{place}:@9"), &format!("oci:{to}:v1")])
        .run()
        .exits(3)
        .says(":@9: no such image");
    reapify(["wrap", &format!("{place}:@0"), &format!("{place}:@0")]).run().exits(2).says("not a position");
}

#[test]
fn treats_null_lists_as_empty() {
    let dir = scratch();
    std::fs::write(dir.path().join("index.json"), r#"{"schemaVersion":2,"manifests":null}"#).unwrap();
    let place = format!("oci:{}", dir.path().display());
    reapify(["wrap", &place, &format!("{place}:v1")]).run().exits(3).says("contains no image");
    reapify(["wrap", &zombies(), &format!("{place}:v1")]).run().succeeds();
    assert_eq!(tags(dir.path()).len(), 1);
    tool("skopeo", ["inspect", &format!("{place}:v1")]).run().succeeds();
}

#[test]
fn file_modes_follow_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    for (umask, mode) in [("022", 0o644), ("077", 0o600), ("002", 0o664)] {
        let dir = scratch();
        let to = dir.path().join("to");
        std::fs::create_dir(&to).unwrap();
        let script = format!("umask {umask}; for to; do \"$REAPIFY\" wrap {} \"$to\"; done", zombies());
        let destinations = [
            format!("oci:{}/layout:v1", to.display()),
            format!("oci-archive:{}/oci.tar:v1", to.display()),
            format!("docker-archive:{}/docker.tar:app:v1", to.display()),
        ];
        let run = tool("sh", ["-c", &script, "sh"]).args(&destinations);
        run.env("REAPIFY", env!("CARGO_BIN_EXE_reapify")).run().succeeds();
        let files = files_below(&to);
        assert!(files.len() >= 9, "{files:?}");
        for file in files {
            let found = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "umask {umask}: {}", file.display());
        }
    }
}

#[test]
fn errors_name_the_location_once() {
    let dir = scratch();
    let nowhere = format!("oci:{}/nowhere", dir.path().display());
    let readme = format!("oci:{}/README", dir.path().display());
    std::fs::write(dir.path().join("README"), "text").unwrap();
    let sample = zombies();
    for (args, named, unnamed) in [
        (&["wrap", &nowhere, "oci:x"][..], &nowhere, "oci:x"),
        (&["inspect", &nowhere], &nowhere, "oci:x"),
        (&["verify", &nowhere], &nowhere, "oci:x"),
        (&["wrap", &sample, &readme], &readme, &sample),
    ] {
        let outcome = reapify(args).run();
        let error = outcome.stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert_eq!(error.matches(named.as_str()).count(), 1, "{error}");
        assert!(!error.contains(unnamed), "{error}");
    }
}

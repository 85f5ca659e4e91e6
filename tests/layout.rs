//! An OCI layout that others use too: what is not ours stays as it is, and who comes at the same time waits.

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::image::{self, Image, blob_path, digest, file};
use support::refusal::files_below;
use support::run::{reapify, tool};
use support::{in_parallel, scratch, zombies};

/// The tags of a layout and what they point to.
fn tags(dir: &std::path::Path) -> BTreeMap<String, String> {
    let index = std::fs::read(dir.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    let tag =
        |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().map(str::to_owned);
    entries.map(|entry| (tag(entry).unwrap(), entry["digest"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn writers_at_the_same_time_all_get_their_tag() {
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
fn other_tags_and_blobs_of_no_image_stay() {
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

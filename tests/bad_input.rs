//! Images that cannot be wrapped are rejected: with an error that names the image and the reason, the exit code of
//! its kind, and nothing written.

mod support;

use std::path::Path;

use serde_json::Value;
use support::image::{self, CONFIG, Image, blob_path, digest, file};
use support::in_parallel;
use support::refusal::{Place, refused, refused_to, wrap};
use support::registry::{Act, Kind, Reply};
use support::run::tool;

/// Returns an image in whose config the text `from` is replaced by `to`.
fn with_config(from: &str, to: &str) -> Image {
    assert!(CONFIG.contains(from), "{from}");
    Image::small().config(&CONFIG.replace(from, to))
}

fn with_manifest(text: &str) -> Image {
    Image::small().manifest(text)
}

fn with_layers(count: usize) -> Image {
    let add = |image: Image, n: usize| image.layer(&[file("number", n.to_string().as_bytes())]);
    (0..count).fold(Image::new(), add)
}

const SCHEMA1: &str = r#"{"schemaVersion":1,"name":"app","tag":"v1","architecture":"amd64","fsLayers":[{"blobSum":"sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d663cb16422d00e8a7c22955b46d4"}],"history":[{"v1Compatibility":"{}"}],"signatures":[]}"#;
const ARTIFACT: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.example.sbom","config":{"mediaType":"application/vnd.oci.empty.v1+json",$CONFIG},"layers":[$LAYERS]}"#;
const HELM: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.cncf.helm.config.v1+json",$CONFIG},"layers":[$LAYERS]}"#;
const NO_LAYERS: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",$CONFIG}}"#;
const BOTH: &str = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",$CONFIG},"layers":[$LAYERS],"manifests":[]}"#;
const ENCRYPTED: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",$CONFIG},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip+encrypted","digest":"sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d663cb16422d00e8a7c22955b46d4","size":32}]}"#;

#[test]
fn rejects_unsupported_images() {
    let cases = [
        ("schema 1", with_manifest(SCHEMA1), "schema"),
        ("an artifact", with_manifest(ARTIFACT), "artifact"),
        ("a chart", with_manifest(HELM).config(r#"{"name":"app","version":"1.0.0"}"#), "artifact"),
        ("an image and an index at once", with_manifest(BOTH), "ambiguous"),
        ("an encrypted layer", with_manifest(ENCRYPTED), "encrypted"),
        ("no layers member", with_manifest(NO_LAYERS), "layers"),
        ("a manifest that is a list", with_manifest("[]"), "malformed"),
        ("a truncated manifest", with_manifest(r#"{"schemaVersion":2,"#), "malformed"),
        ("a config that is a list", Image::small().config("[]"), "malformed"),
        ("a truncated config", Image::small().config(CONFIG.get(..60).expect("60 bytes")), "malformed"),
        ("a config that is not JSON", Image::small().config("FROM scratch"), "malformed"),
        ("Cmd as a string", with_config(r#"["serve"]"#, r#""serve""#), "Cmd"),
        ("Entrypoint as a string", with_config(r#"["/app"]"#, r#""/app""#), "Entrypoint"),
        ("Entrypoint of numbers", with_config(r#"["/app"]"#, "[1]"), "Entrypoint"),
        ("Labels as a list", with_config(r#""Cmd""#, r#""Labels":["a=b"],"Cmd""#), "malformed"),
        ("cmd, which engines read as Cmd", with_config(r#""Cmd""#, r#""cmd""#), "engines read as"),
        ("a key twice", with_config(r#""Cmd""#, r#""Entrypoint":["/other"],"Cmd""#), "Entrypoint"),
        ("fewer diff_ids than layers", with_config("[$DIFF_IDS]", "[]"), "diff_ids"),
        ("more diff_ids than layers", with_config("[$DIFF_IDS]", "[$DIFF_IDS,$DIFF_IDS]"), "diff_ids"),
        ("no rootfs", with_config(r#","rootfs":{"type":"layers","diff_ids":[$DIFF_IDS]}"#, ""), "rootfs"),
        ("a machine without a reaper", with_config("amd64", "sparc64"), "no reaper for linux/sparc64"),
        ("another system", with_config("linux", "windows"), "no reaper for windows/amd64"),
        ("128 layers", with_layers(128), "128 layers"),
        ("127 layers", with_layers(127), "127 layers"),
    ];
    in_parallel(cases, |(what, image, phrase)| {
        println!("{what}: {}", image.digest());
        let place = Place::new();
        let layout = place.layout(&image);
        refused(&place, &layout, &[], 5, phrase);
        refused_to(&place, &layout, &place.registry.name("copy", "v1"), &[], 5, &layout);
        if phrase != "malformed" {
            refused_to(&place, &layout, &place.registry.name("copy", "v1"), &[], 5, "hint: ");
        }
        let pushed = place.pushed(&image);
        place.registry.clear_log();
        refused_to(&place, &pushed, &place.at("oci", "out/layout:v1"), &[], 5, phrase);
        let name = pushed.trim_start_matches("docker://");
        refused_to(&place, &pushed, &place.registry.name("copy", "v1"), &[], 5, name);
    });
}

#[test]
fn wraps_images_up_to_the_maximum_number_of_layers() {
    let place = Place::new();
    let source = place.layout(&with_layers(126));
    wrap(&source, &place.at("oci", "layout:v1")).run().succeeds();
    let manifest: Value =
        serde_json::from_slice(&image::layout_manifest(&place.path("layout"), "v1")).expect("a manifest");
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(127));
}

#[test]
fn rejects_content_that_does_not_match_its_digest() {
    type Damage = fn(&Path, &Image);
    let blob = |image: &Image, n: usize| digest(&image.blobs()[n]);
    assert_ne!(blob(&Image::small(), 0), blob(&Image::small(), 1));
    fn change(dir: &Path, bytes: &[u8], how: fn(&mut Vec<u8>)) {
        let mut changed = bytes.to_vec();
        how(&mut changed);
        std::fs::write(blob_path(dir, &digest(bytes)), changed).expect("a damaged blob");
    }
    fn cut(bytes: &mut Vec<u8>) {
        bytes.truncate(bytes.len() / 2);
    }
    fn grow(bytes: &mut Vec<u8>) {
        bytes.push(b'\n');
    }
    fn flip(bytes: &mut Vec<u8>) {
        let last = bytes.pop().expect("a blob is not empty");
        bytes.push(last ^ 1);
    }
    // Blob 0 is the layer, blob 1 the config.
    let cases: [(&str, Damage); 9] = [
        ("a truncated layer", |dir, image| change(dir, &image.blobs()[0], cut)),
        ("a layer with extra bytes", |dir, image| change(dir, &image.blobs()[0], grow)),
        ("a layer with a changed byte", |dir, image| change(dir, &image.blobs()[0], flip)),
        ("a truncated config", |dir, image| change(dir, &image.blobs()[1], cut)),
        ("a config with extra bytes", |dir, image| change(dir, &image.blobs()[1], grow)),
        ("a config with a changed byte", |dir, image| change(dir, &image.blobs()[1], flip)),
        ("a truncated manifest", |dir, image| change(dir, &image.manifest_bytes(), cut)),
        ("a manifest with extra bytes", |dir, image| change(dir, &image.manifest_bytes(), grow)),
        ("a manifest with a changed byte", |dir, image| change(dir, &image.manifest_bytes(), flip)),
    ];
    in_parallel(cases, |(what, damage)| {
        println!("{what}");
        let place = Place::new();
        let image = Image::small();
        let source = place.layout(&image);
        damage(&place.path("source"), &image);
        refused(&place, &source, &[], 6, "sha256:");
    });
}

#[test]
fn rejects_wrong_content_from_a_registry() {
    let place = Place::new();
    let image = Image::small();
    place.pushed(&image);
    place.registry.hook(|asked| match &asked.kind {
        Kind::Manifest { repository, .. } if repository == "app" && asked.is_read() => {
            let other = Image::small().layer(&[file("other", b"other")]);
            let reply = Reply::status(200).header("content-type", &other.media_type());
            Act::Answer(reply.body(other.manifest_bytes()))
        }
        _ => Act::Serve,
    });
    refused(&place, &place.registry.name("app", &image.digest()), &[], 6, &image.digest());
}

#[test]
fn reports_missing_parts_of_images() {
    let place = Place::new();
    let image = Image::small();
    let source = place.pushed(&image);
    let names: Vec<String> = image.blobs().iter().map(|blob| digest(blob)).collect();
    for (blob, name) in image.blobs().iter().zip(&names) {
        place.registry.remove_blob("app", name);
        // A destination in the same registry might be complete without the source; this one is not.
        refused(&place, &source, &[], 3, name);
        place.registry.put_blob("app", blob);
    }
    // Blobs that the destination received above must not complete the image here.
    let place = Place::new();
    let layout = place.layout(&image);
    for name in names {
        let path = blob_path(&place.path("source"), &name);
        let bytes = std::fs::read(&path).expect("a blob");
        std::fs::remove_file(&path).expect("a blob to remove");
        refused(&place, &layout, &[], 3, &name);
        std::fs::write(&path, bytes).expect("a blob put back");
    }
}

#[test]
fn rejects_damaged_and_ambiguous_archives() {
    let place = Place::new();
    let whole = place.at("oci-archive", "whole.tar:v1");
    tool("skopeo", ["copy", "-q", &place.layout(&Image::small()), &whole]).run().succeeds();
    let bytes = std::fs::read(place.path("whole.tar")).expect("an archive");
    let cut = bytes.len() / 3;
    std::fs::write(place.path("cut.tar"), bytes.get(..cut).expect("a third")).expect("half an archive");
    std::fs::write(place.path("empty.tar"), b"").expect("an empty file");
    std::fs::write(place.path("text.tar"), "no archive\n".repeat(200)).expect("a text");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(2);
    tar.append_data(&mut header, "hello", &b"hi"[..]).expect("a tar in memory");
    std::fs::write(place.path("other.tar"), tar.into_inner().expect("a tar in memory")).expect("a tar");
    for name in ["cut.tar", "empty.tar", "text.tar", "other.tar"] {
        for transport in ["oci-archive", "docker-archive"] {
            refused(&place, &place.at(transport, name), &[], 5, name);
        }
    }
}

//! The parts that only compute, by size of image: `cargo bench --bench pure`.
//!
//! What they cost must stay small beside one round trip to a registry.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use reapify::image::digest::{Algorithm, Hasher};
use reapify::image::json::Document;
use reapify::image::{Digest, Manifest, media_type};
use reapify::reapers::Reapers;
use reapify::rewrite::layer::Layer;
use reapify::rewrite::{self, Image, Outcome, Policy};

fn main() {
    divan::main();
}

/// Layers of the image at hand; 127 is the most that engines take.
const LAYERS: [usize; 3] = [4, 30, 126];

fn digests(layers: usize) -> impl Iterator<Item = Digest> {
    (0..layers).map(|n| Digest::sha256(n.to_string()))
}

/// A config as builders write it: an entry of history for each layer, with its command.
fn config(layers: usize) -> String {
    let diff_ids: Vec<String> = digests(layers).map(|d| format!("\"{d}\"")).collect();
    let history: Vec<String> = (0..layers)
        .map(|n| {
            format!(
                r#"{{"created":"2024-01-01T00:00:00Z","created_by":"RUN /bin/sh -c make step-{n} && rm -rf /tmp/*","comment":"buildkit.dockerfile.v0"}}"#
            )
        })
        .collect();
    format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["PATH=/usr/bin:/bin"],"Entrypoint":["/app"],"Cmd":["serve"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}},"history":[{}]}}"#,
        diff_ids.join(","),
        history.join(",")
    )
}

fn manifest(layers: usize, config: &str) -> String {
    let layers: Vec<String> = digests(layers)
        .map(|d| format!(r#"{{"mediaType":"{}","digest":"{d}","size":1234567}}"#, media_type::OCI_LAYER_GZIP))
        .collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":{}}},"layers":[{}]}}"#,
        media_type::OCI_MANIFEST,
        media_type::OCI_CONFIG,
        Digest::sha256(config),
        config.len(),
        layers.join(",")
    )
}

fn read(manifest: &str, config: &str) -> Image {
    let manifest = Manifest::parse(manifest.to_owned(), None).expect("a manifest");
    Image::new(manifest, Bytes::from(config.to_owned()), true).expect("an image")
}

/// From the bytes of manifest and config to an image.
#[divan::bench(args = LAYERS)]
fn parse(bencher: Bencher, layers: usize) {
    let config = config(layers);
    let manifest = manifest(layers, &config);
    bencher.counter(BytesCount::new(config.len() + manifest.len())).bench(|| read(&manifest, &config));
}

/// One edit in the middle of a config and one at its end.
#[divan::bench(args = LAYERS)]
fn splice(bencher: Bencher, layers: usize) {
    let config = config(layers);
    bencher.counter(BytesCount::new(config.len())).bench(|| {
        let mut text = Document::new(config.as_bytes()).expect("JSON");
        text.set("/config/Entrypoint", r#"["/.reaper","--","/app"]"#).expect("an object");
        text.push("/history", r#"{"empty_layer":true}"#).expect("an array");
        text.into_bytes()
    });
}

/// A config of about a megabyte, most of it labels and history that are not read, with the edits of a wrap.
#[divan::bench]
fn edit_large_config(bencher: Bencher) {
    let label = format!("\"org.example.{{n}}\":\"{}\",", "text with \\\"escapes\\\" ".repeat(40));
    let labels: String = (0..800).map(|n| label.replace("{n}", &n.to_string())).collect();
    let config = config(126).replacen(
        "\"config\":{",
        &format!("\"config\":{{\"Labels\":{{{labels}\"last\":\"\"}},"),
        1,
    );
    bencher.counter(BytesCount::new(config.len())).bench(|| {
        let mut text = Document::new(config.as_bytes()).expect("JSON");
        text.set("/config/Entrypoint", r#"["/.reaper","--","/app"]"#).expect("an object");
        text.push("/rootfs/diff_ids", "\"sha256:0\"").expect("an array");
        text.push("/history", r#"{"empty_layer":true}"#).expect("an array");
        for n in 0..9 {
            text.set(&format!("/config/Labels/io.reapify.{n}"), "\"\"").expect("an object");
        }
        text.into_bytes()
    });
}

/// Children of an index.
const CHILDREN: [usize; 3] = [20, 1_000, 10_000];

fn index(children: usize) -> String {
    let children: Vec<String> = digests(children)
        .map(|d| {
            format!(
                r#"{{"mediaType":"{}","digest":"{d}","size":1234,"platform":{{"architecture":"amd64","os":"linux"}}}}"#,
                media_type::OCI_MANIFEST
            )
        })
        .collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#,
        media_type::OCI_INDEX,
        children.join(",")
    )
}

/// The edits of a wrap to an index: digest and size of every child.
#[divan::bench(args = CHILDREN)]
fn edit_index(bencher: Bencher, children: usize) {
    let index = index(children);
    let digest = format!("\"{}\"", Digest::sha256("new"));
    bencher.counter(BytesCount::new(index.len())).bench(|| {
        let mut text = Document::new(index.as_bytes()).expect("JSON");
        for n in 0..children {
            text.set(&format!("/manifests/{n}/digest"), &digest).expect("a child");
            text.set(&format!("/manifests/{n}/size"), "4321").expect("a child");
        }
        text.into_bytes()
    });
}

/// An index, read.
#[divan::bench(args = CHILDREN)]
fn parse_index(bencher: Bencher, children: usize) {
    let index = index(children);
    bencher
        .counter(BytesCount::new(index.len()))
        .bench(|| Manifest::parse(index.clone(), None).expect("an index"));
}

fn wrapped(image: &Image, reapers: &Reapers, policy: &Policy) -> Outcome {
    let decision = rewrite::decide(image, &image.config.platform().expect("a platform"), reapers, policy)
        .expect("a decision");
    decision.build(&[]).expect("a wrapped image")
}

/// All that wrap decides and writes, the layer with the reaper too.
#[divan::bench(args = LAYERS)]
fn wrap(bencher: Bencher, layers: usize) {
    let config = config(layers);
    let image = read(&manifest(layers, &config), &config);
    let (reapers, policy) = (Reapers::default(), Policy::default());
    bencher.bench(|| wrapped(&image, &reapers, &policy));
}

/// And back.
#[divan::bench(args = LAYERS)]
fn unwrap(bencher: Bencher, layers: usize) {
    let config = config(layers);
    let image = read(&manifest(layers, &config), &config);
    let outcome = wrapped(&image, &Reapers::default(), &Policy::default());
    let new = outcome.built().expect("a new image");
    let wrapped = Image::new(new.manifest.clone(), new.config.clone(), true).expect("an image");
    bencher.bench(|| rewrite::unwrap(&wrapped).expect("the image as it was"));
}

/// The layer alone: a tar, compressed, and both digests.
#[divan::bench]
fn layer(bencher: Bencher) {
    let reapers = Reapers::default();
    let program = &reapers.embedded().first().expect("a reaper").program;
    let path = "/.reaper".parse().expect("a path");
    bencher.bench(|| Layer::new(&path, program, &[]).expect("a layer"));
}

/// Digests of streams: what a copied byte costs at least.
#[divan::bench]
fn hash(bencher: Bencher) {
    let piece = vec![7; 1 << 20];
    bencher.counter(BytesCount::new(piece.len())).bench(|| {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&piece);
        hasher.finish()
    });
}

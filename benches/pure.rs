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

fn wrapped(image: &Image, reapers: &Reapers, policy: &Policy) -> Outcome {
    let decision = rewrite::decide(image, &image.config.platform, reapers, policy).expect("a decision");
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
    let new = outcome.new().expect("a new image");
    let wrapped = Image::new(new.manifest.clone(), new.config.clone(), true).expect("an image");
    bencher.bench(|| rewrite::unwrap(&wrapped).expect("the image as it was"));
}

/// The layer alone: a tar, compressed, and both digests.
#[divan::bench]
fn layer(bencher: Bencher) {
    let reapers = Reapers::default();
    let program = &reapers.embedded().first().expect("a reaper").program;
    bencher.bench(|| Layer::new("/.reaper", program, &[]).expect("a layer"));
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

//! The test framework: the program under test as a child process, images built byte by byte, a registry in this
//! process that misbehaves on demand, and Debian's real registry and engines.
//!
//! | module | content |
//! |---|---|
//! | [`run`] | runs reapify and other programs (skopeo, umoci …) with a deadline, and checks their outcome |
//! | [`image`], [`index`] | build images and indexes of any kind, in a layout or a registry |
//! | [`registry`] | the in-process registry: faults, hooks, authentication, and a log of every request |
//! | [`hostile`] | a server with random hostile behaviour |
//! | [`secrets`] | a secret, and whether a server received it in any form |
//! | [`dice`] | reproducible randomness |
//! | [`tars`] | tar archives with arbitrary members |
//! | [`changes`] | the changes that a wrap may make |
//! | [`refusal`] | the checks for rejected runs |
//! | [`daemon`] | starts real servers that cannot outlive the test process |
//! | [`engine`] | containers, run by any engine |
//! | [`fake_engine`] | a Docker engine in this process that misbehaves on demand |
//! | [`implementations`] | registries by several authors |
//! | [`mirror`] | configurations of the mirror, and the reports of its passes |
//! | [`stage`] | a directory in which the commands of documents run, with registries in place of the example hosts |
//! | [`truth`] | images made of installed packages, to compare the verdicts of `inspect` with what happens |
//! | [`docker_registry`], [`docker`], [`podman`] | Debian's `docker-registry`, `dockerd` and `podman`, each private to the test |
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

pub mod changes;
pub mod daemon;
pub mod dice;
pub mod docker;
pub mod docker_registry;
pub mod engine;
pub mod fake_engine;
pub mod hostile;
pub mod image;
pub mod implementations;
pub mod index;
pub mod mirror;
pub mod podman;
pub mod refusal;
pub mod registry;
pub mod run;
pub mod secrets;
pub mod stage;
pub mod tars;
pub mod tokens;
pub mod truth;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Returns the path of one of the project's own files, such as those in `testdata/`.
pub fn project(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns the sample image's name for reapify.
pub fn zombies() -> String {
    format!("oci:{}:latest", project("testdata/zombies").display())
}

/// Returns the program in the sample image, a static one for linux/amd64.
pub fn program() -> Vec<u8> {
    use std::io::Read as _;
    let dir = project("testdata/zombies");
    let manifest: serde_json::Value =
        serde_json::from_slice(&image::layout_manifest(&dir, "latest")).expect("a manifest");
    let layers = manifest["layers"].as_array().expect("layers");
    let last = layers.last().and_then(|layer| layer["digest"].as_str()).expect("a layer");
    let blob = image::layout_blob(&dir, last);
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&blob[..]));
    let mut entry = tar.entries().expect("a tar").next().expect("a file").expect("a header");
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).expect("its content");
    bytes
}

/// Creates a temporary directory that is removed when the value is dropped.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("reapify-test-").tempdir().expect("a temporary directory")
}

/// Repeats a question until the answer is `Ok`; panics with the last answer after the deadline.
#[track_caller]
pub fn eventually<T>(deadline: Duration, what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(5);
    loop {
        match ask() {
            Ok(value) => return value,
            Err(last) if Instant::now() >= end => panic!("{what}: not within {deadline:?}: {last}"),
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

/// Runs every case, several concurrently, so that waiting costs no more than the longest wait.
pub fn in_parallel<T: Send>(cases: impl IntoIterator<Item = T>, run: impl Fn(T) + Sync) {
    at_once(6, cases, run);
}

/// Runs every case, this many concurrently.
pub fn at_once<T: Send>(many: usize, cases: impl IntoIterator<Item = T>, run: impl Fn(T) + Sync) {
    let queue = std::sync::Mutex::new(cases.into_iter().collect::<Vec<_>>().into_iter());
    let next = || queue.lock().expect("taking a case cannot panic").next();
    std::thread::scope(|scope| {
        for _ in 0..many {
            scope.spawn(|| {
                while let Some(case) = next() {
                    run(case);
                }
            });
        }
    });
}

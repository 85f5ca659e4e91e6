//! Properties that hold for every input of a parser, as functions that cargo-fuzz runs (`scripts/fuzz`) and that
//! tests run with mutations of `testdata/fuzz`, which also contains inputs that cargo-fuzz found.

use crate::credentials::{Credentials, file};
use crate::error::{Error, Result};
use crate::image::json::Document;
use crate::image::location::FileOrStdio;
use crate::image::{
    Choice, Content, Descriptor, Digest, ImageConfig, Location, Manifest, Platform, Reference, media_type,
};
use crate::layers::{self, Builder, Found, View};
use crate::read::{self, Reader};
use crate::reapers::Reapers;
use crate::reapers::elf::Program;
use crate::registry::auth;
use crate::rewrite::index::{self, History, Replaced};
use crate::rewrite::paths::PathState;
use crate::rewrite::record::Annotations;
use crate::rewrite::{self, Image, ImageOrArtifact, Outcome, Policy, repeat};
use crate::transport::Source;
use crate::transport::docker_archive::DockerArchive;
use crate::transport::oci_archive::OciArchive;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::io::Write;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A fuzz function, with the name of its target.
pub type Body = (&'static str, fn(&[u8]));

/// All fuzz functions.
pub const BODIES: [Body; 14] = [
    ("references", references),
    ("manifests", manifests),
    ("configs", configs),
    ("splice", splice),
    ("archives", archives),
    ("layers", layers),
    ("challenges", challenges),
    ("credential_files", credential_files),
    ("programs", programs),
    ("start_scripts", start_scripts),
    ("pods", pods),
    ("mirror_configs", mirror_configs),
    ("events", events),
    ("engine_answers", engine_answers),
];

/// Checks that a parsed reference, when written, is parsed to the same value.
pub fn references(data: &[u8]) {
    fn again<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) {
        if let Ok(value) = text.parse::<T>() {
            let written = value.to_string();
            assert_eq!(written.parse::<T>().expect("what was written is read"), value);
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    again::<Location>(text);
    again::<Reference>(text);
    again::<Digest>(text);
    again::<Platform>(text);
}

/// Checks that parsing keeps bytes and digest, and that wrapping an index succeeds or fails without an unreadable
/// result. wrap itself checks that the index can be restored.
pub fn manifests(data: &[u8]) {
    for declared in [None, Some(media_type::OCI_MANIFEST), Some(media_type::DOCKER_LIST)] {
        let Ok(manifest) = Manifest::parse(data.to_vec(), declared) else { continue };
        assert_eq!(manifest.bytes, data);
        assert_eq!(manifest.digest, Digest::sha256(data));
        let Content::Index { .. } = manifest.content else {
            image_manifest(&manifest);
            continue;
        };
        let child = Manifest::parse(r#"{"schemaVersion":2,"config":{},"layers":[]}"#, None);
        let children: Vec<Replaced> = (0..manifest.children().len().min(3))
            .filter_map(|position| Some(Replaced { position, manifest: child.clone().ok()? }))
            .collect();
        let history = History {
            input: manifest.clone(),
            source: manifest.digest.clone(),
            dropped: 0,
            recorded: None,
            is_stale: false,
            is_changed: false,
            original: manifest,
        };
        let recipe = Digest::sha256("recipe");
        if let Ok(wrapped) = index::wrap(&history, &children, &[], 0, &recipe, history.original.family()) {
            let again = Manifest::parse(wrapped.bytes.clone(), Some(&wrapped.media_type));
            assert_eq!(
                again.expect("a wrapped index is an index").children().len(),
                history.original.children().len()
            );
        }
        // Dropping a child may fail, but must not give an invalid result.
        let _ = index::wrap(&history, &[], &[0], 0, &recipe, history.original.family());
        let _ = index::unwrap(&history.original, &children, false);
    }
}

/// Checks that unwrapping restores an image manifest with a matching config.
fn image_manifest(manifest: &Manifest) {
    let Content::Image { layers, .. } = &manifest.content else { return };
    let ids: Vec<String> =
        (0..layers.len()).map(|n| format!("\"{}\"", Digest::sha256(n.to_string()))).collect();
    let config = format!(
        r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        ids.join(",")
    );
    let Ok(mut text) = Document::new(&manifest.bytes) else { return };
    let digest = format!("\"{}\"", Digest::sha256(&config));
    let fitted = text.set("/config/digest", &digest).is_ok()
        && text.set("/config/size", &config.len().to_string()).is_ok();
    let parsed = Manifest::parse(text.into_bytes(), Some(&manifest.media_type));
    let Some(manifest) = parsed.ok().filter(|_| fitted) else { return };
    wrap_and_back(manifest, config.into_bytes());
}

/// Checks that unwrap is the inverse of wrap, and that wrapping twice equals wrapping once.
pub fn configs(data: &[u8]) {
    let Ok(config) = ImageConfig::parse(data.to_vec()) else { return };
    let layers: Vec<String> = (0..config.diff_ids.len().min(8))
        .map(|n| {
            format!(
                r#"{{"mediaType":"{}","digest":"{}","size":{n}}}"#,
                media_type::OCI_LAYER_GZIP,
                Digest::sha256(n.to_string())
            )
        })
        .collect();
    let descriptor = Descriptor::of(media_type::OCI_CONFIG, data);
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":{}}},"layers":[{}]}}"#,
        media_type::OCI_MANIFEST,
        media_type::OCI_CONFIG,
        descriptor.digest,
        descriptor.size,
        layers.join(",")
    );
    let manifest = Manifest::parse(text, None).expect("a manifest");
    wrap_and_back(manifest, data.to_vec());
}

fn wrap_and_back(manifest: Manifest, config: Vec<u8>) {
    let Ok(ImageOrArtifact::Image(source)) = Image::read(manifest, config.clone().into(), true) else {
        return;
    };
    let (reapers, policy) = (Reapers::default(), Policy::default());
    let wrap =
        |image: &Image| rewrite::decide(image, &image.config.platform()?, &reapers, &policy)?.build(&[]);
    let Ok(Outcome::Wrapped(new)) = wrap(&source) else { return };
    let wrapped = Image::new(new.manifest, new.config, true).expect("a wrapped image is an image");
    if let Some(annotations) = Annotations::read(&wrapped.manifest) {
        assert!(repeat::is_possible_result(&source.manifest, &wrapped.manifest), "a result is known as one");
        assert!(annotations.describe(&wrapped.manifest), "annotations describe the result");
    }
    let back = rewrite::unwrap(&wrapped).expect("what was wrapped can be unwrapped");
    assert_eq!(back.manifest.bytes, source.manifest.bytes);
    assert_eq!(back.config.bytes, config);
    let twice = wrap(&wrapped).expect("what was wrapped can be wrapped");
    assert!(matches!(twice, Outcome::Unchanged(_)));
}

/// Checks JSON edits. The input is a pointer, a value and a document, one per line. An edit of valid JSON gives valid
/// JSON, and its undo restores every byte.
pub fn splice(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.splitn(3, '\n');
    let (Some(pointer), Some(raw), Some(text)) = (parts.next(), parts.next(), parts.next()) else { return };
    if serde_json::from_str::<serde::de::IgnoredAny>(raw).is_err() {
        return;
    }
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let Ok(document) = Document::new(text.as_bytes()) else { return };
    assert!(is_json(text), "only JSON is edited");
    for push in [false, true] {
        let mut edited = document.clone();
        let outcome = if push { edited.push(pointer, raw) } else { edited.set(pointer, raw) };
        let Ok(undo) = outcome else { continue };
        assert!(is_json(&edited.to_string()), "{:?}", edited.to_string());
        if !push {
            assert_eq!(edited.get(pointer).expect("a place").as_deref(), Some(raw.trim()));
        }
        edited.undo(&undo).expect("an undo");
        assert_eq!(edited.to_string(), text);
    }
    let mut shorter = document;
    if shorter.remove_elements(pointer, &[raw.len() % 4]).is_ok() {
        assert!(is_json(&shorter.to_string()), "{:?}", shorter.to_string());
    }
}

/// Checks that an archive gives an image whose blobs match their descriptors, or an error.
pub fn archives(data: &[u8]) {
    let mut archive = tempfile::NamedTempFile::new().expect("a temporary file");
    archive.write_all(data).expect("a temporary file");
    let name = FileOrStdio::Path(archive.path().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    if let Ok(archive) = runtime.block_on(DockerArchive::open(&name, Choice::Only)) {
        let _ = runtime.block_on(read_all(Arc::new(archive)));
    }
    if let Ok(archive) = runtime.block_on(OciArchive::open(&name, Choice::Only)) {
        let _ = runtime.block_on(read_all(Arc::new(archive)));
    }
}

async fn read_all(archive: Arc<dyn Source>) -> Result<()> {
    let mut manifest = archive.manifest().await?;
    if let Some(child) = manifest.children().first() {
        manifest = archive.child(child).await?;
    }
    for blob in manifest.blobs() {
        let read = read::blob(&*archive, blob, 1 << 20).await?;
        assert!(blob.digest.matches(&read), "a blob is what its descriptor says");
    }
    Reader::new(archive).tree(manifest, &|_| true).await.map(drop)
}

/// Checks layers, which may be hostile.
pub fn layers(data: &[u8]) {
    let _ = crate::verify::layer::read(data);
    let builder = Builder::new(BTreeSet::new(), layers::MAX_SIZE);
    if let Ok((builder, _)) = layers::members(std::io::Cursor::new(data.to_vec()), 4 << 20, builder) {
        let mut view = View::default();
        view.push(Arc::new(builder.finish()));
        view.complete();
        let paths: Vec<String> =
            view.layers()[0].files().map(|(path, _)| path.to_owned()).take(100).collect();
        for path in paths {
            let is_there = !matches!(view.find(&path), Found::Absent | Found::Deeper);
            // Both lookups must agree on whether the path exists.
            assert!(!is_there || view.state(&path).is_some_and(|state| state != PathState::Absent));
        }
    }
}

/// Checks challenges and tokens. The input is the headers of a 401, one per line, or the response of a token server.
/// A challenge that is written again is parsed to the same value; a token is the server's text, and valid for at most
/// a day.
pub fn challenges(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(found) = auth::challenge(text.lines())
    {
        assert_eq!(auth::challenge([written(&found).as_str()]), Some(found));
    }
    let now = Instant::now();
    if let Some(token) = auth::Token::read(data, now) {
        assert!(token.is_fresh(now));
        assert!(!token.is_fresh(now + Duration::from_secs(86_400)));
        let answer: Value = serde_json::from_slice(data).expect("only JSON holds a token");
        let mut words = ["token", "access_token"].iter().filter_map(|key| answer.get(key)?.as_str());
        let header = token.header();
        let word = header.strip_prefix("Bearer ").expect("a header");
        assert!(!word.is_empty() && words.any(|w| w == word), "{header:?}");
    }
}

fn written(challenge: &auth::Challenge) -> String {
    let auth::Challenge::Bearer { realm, service, scope, is_insufficient } = challenge else {
        return "Basic".into();
    };
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let parameter = |key: &str, value: &str| format!(", {key}=\"{}\"", quoted(value));
    let mut header = format!("Bearer realm=\"{}\"", quoted(realm));
    header.extend(service.iter().map(|service| parameter("service", service)));
    header.extend(scope.iter().map(|scope| parameter("scope", scope)));
    header.extend(is_insufficient.then(|| parameter("error", "insufficient_scope")));
    header
}

/// Checks Docker's and Podman's credential files: helpers precede `auths`, and no error contains a secret.
pub fn credential_files(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let path = Path::new("config.json");
    let never_tells = |error: &Error| {
        let error = error.to_string();
        for secret in secrets(text) {
            assert!(!error.contains(&secret), "{error} tells {secret:?}");
        }
    };
    for format in [file::Format::Config, file::Format::Legacy] {
        let logins = match file::Logins::parse(text, path, format) {
            Ok(logins) => logins,
            Err(error) => {
                never_tells(&error);
                continue;
            }
        };
        for host in ["docker.io", "registry.example:5000"] {
            let (entry, auths) = (logins.find(host, "team/app"), logins.auths(host, "team/app"));
            auths.as_ref().err().map(never_tells);
            match (entry, auths) {
                (Err(error), _) => never_tells(&error),
                (Ok(file::Entry::Helper { name, .. }), _) => assert!(!name.is_empty()),
                (Ok(file::Entry::Found(found)), auths) => assert_eq!(found, auths.expect("the same")),
                (Ok(file::Entry::Nothing), auths) => {
                    assert_eq!(auths.expect("the same"), Credentials::Anonymous);
                }
            }
        }
    }
}

/// Returns the secrets in a credential file, except those that are also part of its keys.
fn secrets(text: &str) -> Vec<String> {
    fn collect(value: &Value, keys: &mut Vec<String>, secrets: &mut Vec<String>) {
        let Value::Object(map) = value else { return };
        for (key, value) in map {
            keys.push(format!("{key:?}"));
            match value {
                Value::String(text) if matches!(key.as_str(), "auth" | "password" | "identitytoken") => {
                    secrets.push(text.clone());
                }
                value => collect(value, keys, secrets),
            }
        }
    }
    let (mut keys, mut secrets) = (Vec::new(), Vec::new());
    if let Ok(value) = serde_json::from_str(text) {
        collect(&value, &mut keys, &mut secrets);
    }
    // Shorter ones may occur in a message by chance.
    secrets.retain(|secret| secret.len() > 7 && !keys.iter().any(|key| key.contains(secret.as_str())));
    secrets
}

/// Checks that start scripts are judged within limits, whatever they contain.
pub fn start_scripts(data: &[u8]) {
    let _ = crate::inspect::fuzz_script(data);
}

/// Checks that a patch of Kubernetes documents makes only the intended changes.
pub fn pods(data: &[u8]) {
    crate::pod::fuzz::fuzz_pod(data);
}

/// Checks that a printed configuration of a mirror is parsed to the same value.
pub fn mirror_configs(data: &[u8]) {
    crate::mirror::fuzz::fuzz_config(data);
}

/// Checks webhooks of registries.
pub fn events(data: &[u8]) {
    crate::serve::fuzz::fuzz_event(data);
}

/// Checks that the answer of an engine means the same in pieces of any size, and that its messages are printable.
pub fn engine_answers(data: &[u8]) {
    crate::daemon::fuzz::fuzz_answer(data);
}

/// Checks programs supplied as reapers: one is accepted if it is static and for a known machine, and is then
/// selected.
pub fn programs(data: &[u8]) {
    let program = Program::parse(data).ok();
    if let Some(program) = &program {
        assert_eq!(Program::machine(&data[..20]), Some(program.architecture));
    }
    let serves =
        |architecture: &str| program.as_ref().is_some_and(|p| p.is_static && p.architecture == architecture);
    for platform in ["linux/amd64", "linux/arm/v7", "linux/s390x", "windows/amd64"] {
        let platform: Platform = platform.parse().expect("a platform");
        let fits = platform.os == "linux" && serves(&platform.architecture);
        assert_eq!(Program::check_reaper(data, &platform).is_ok(), fits, "{platform}");
    }
    let mut reapers = Reapers::empty();
    let given = reapers.add(None, data.to_vec().into()).is_ok();
    assert_eq!(given, program.as_ref().is_some_and(|p| p.is_static));
    if let Some(program) = program.filter(|_| given) {
        let platform = Platform::new("linux", program.architecture, None);
        assert_eq!(reapers.select(&platform).expect("the given one").program, data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::Index;
    use std::path::PathBuf;

    /// Fragments of the formats.
    const WORDS: [&str; 24] = [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0000", "null", "1e9", "-1", "\"a\":", "/", "..",
        ".wh.", "@", " ", "\n", "=", "\0", "sha256:", "Bearer ", "é",
    ];

    /// A change: its position, the number of bytes removed, and the bytes inserted.
    #[derive(Debug, Clone)]
    enum Change {
        Word(Index, usize, usize),
        Bytes(Index, usize, Vec<u8>),
        /// Inserts a part of the input itself.
        Again(Index, Index, usize),
        Cut(Index),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (any::<Index>(), 0usize..8, 0..WORDS.len())
                .prop_map(|(at, gone, word)| Change::Word(at, gone, word)),
            (any::<Index>(), 0usize..8, prop::collection::vec(any::<u8>(), 0..8))
                .prop_map(|(at, gone, bytes)| Change::Bytes(at, gone, bytes)),
            (any::<Index>(), any::<Index>(), 1usize..64)
                .prop_map(|(at, from, size)| Change::Again(at, from, size)),
            any::<Index>().prop_map(Change::Cut),
        ]
    }

    fn apply(input: &mut Vec<u8>, change: &Change) {
        let place = |index: &Index, input: &[u8]| index.index(input.len() + 1);
        let splice = |input: &mut Vec<u8>, at: usize, gone: usize, new: &[u8]| {
            let end = input.len().min(at + gone);
            input.splice(at..end, new.iter().copied());
        };
        match change {
            Change::Word(at, gone, word) => splice(input, place(at, input), *gone, WORDS[*word].as_bytes()),
            Change::Bytes(at, gone, bytes) => splice(input, place(at, input), *gone, bytes),
            Change::Again(at, from, size) => {
                let from = place(from, input);
                let piece = input[from..input.len().min(from + size)].to_vec();
                splice(input, place(at, input), 0, &piece);
            }
            Change::Cut(at) => input.truncate(place(at, input)),
        }
    }

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz").join(target);
        let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
    }

    #[test]
    fn properties_hold_for_seeds_and_earlier_findings() {
        for (target, body) in BODIES {
            let seeds = seeds(target);
            assert!(!seeds.is_empty(), "{target}");
            seeds.iter().for_each(|seed| body(seed));
        }
    }

    #[test]
    fn every_function_is_a_target_of_cargo_fuzz() {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
        let mut targets: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        targets.sort();
        let mut names = BODIES.map(|body| body.0);
        names.sort_unstable();
        assert_eq!(targets, names);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn changed_seeds_hold(
            target in 0..BODIES.len(),
            seed in any::<Index>(),
            changes in prop::collection::vec(change(), 1..6),
        ) {
            let (name, body) = BODIES[target];
            let seeds = seeds(name);
            let mut input = seeds[seed.index(seeds.len())].clone();
            changes.iter().for_each(|change| apply(&mut input, change));
            body(&input);
        }
    }
}

//! Images built byte by byte, without using the code under test.
//!
//! ```ignore
//! let image = Image::new().layer(&[file("app", b"…")]).config(r#"{…,"rootfs":{"type":"layers","diff_ids":[$DIFF_IDS]}}"#);
//! let source = image.in_layout(dir, "v1");
//! ```

use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::registry::Registry;

/// Returns the `sha256:…` digest of these bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The media types with which an image is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Oci,
    Docker,
}

impl Family {
    pub fn manifest(self) -> &'static str {
        match self {
            Family::Oci => "application/vnd.oci.image.manifest.v1+json",
            Family::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    pub fn index(self) -> &'static str {
        match self {
            Family::Oci => "application/vnd.oci.image.index.v1+json",
            Family::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    pub fn config(self) -> &'static str {
        match self {
            Family::Oci => "application/vnd.oci.image.config.v1+json",
            Family::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    pub fn layer(self) -> &'static str {
        match self {
            Family::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
            Family::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        }
    }
}

/// A regular file for a layer.
pub struct File<'a> {
    path: &'a str,
    content: &'a [u8],
    mode: u32,
}

/// Returns an executable file at this path.
pub fn file<'a>(path: &'a str, content: &'a [u8]) -> File<'a> {
    File { path, content, mode: 0o755 }
}

/// Returns a file at this path that is not executable.
pub fn plain<'a>(path: &'a str, content: &'a [u8]) -> File<'a> {
    File { mode: 0o644, ..file(path, content) }
}

/// A blob as stored, with the diff_id if it is a layer.
#[derive(Clone)]
struct Layer {
    bytes: Vec<u8>,
    diff_id: String,
}

/// A single image. The default is a small one for linux/amd64 with `/app` as entrypoint.
#[derive(Clone)]
pub struct Image {
    family: Family,
    layers: Vec<Layer>,
    config: String,
    manifest: Option<String>,
}

/// The config of [`Image::new`]: `$DIFF_IDS` stands for the quoted diff_ids, joined by commas.
pub const CONFIG: &str = r#"{"architecture":"amd64","os":"linux","created":"2024-01-02T03:04:05Z","config":{"Entrypoint":["/app"],"Cmd":["serve"]},"rootfs":{"type":"layers","diff_ids":[$DIFF_IDS]}}"#;

impl Default for Image {
    fn default() -> Self {
        Self::new()
    }
}

impl Image {
    pub fn new() -> Self {
        Self { family: Family::Oci, layers: Vec::new(), config: CONFIG.to_owned(), manifest: None }
    }

    /// Returns an image with one small layer, which most tests need.
    pub fn small() -> Self {
        Self::new().layer(&[file("app", b"#!/bin/sh\necho app\n")])
    }

    pub fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Appends a gzip-compressed layer with these files.
    pub fn layer(self, files: &[File]) -> Self {
        let mut tar = tar::Builder::new(Vec::new());
        for file in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(file.content.len() as u64);
            header.set_mode(file.mode);
            header.set_entry_type(tar::EntryType::Regular);
            tar.append_data(&mut header, file.path, file.content).expect("a tar in memory");
        }
        let tar = tar.into_inner().expect("a tar in memory");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&tar).expect("gzip in memory");
        self.raw_layer(&gzip.finish().expect("gzip in memory"), &digest(&tar))
    }

    /// Appends a layer as stored, with the diff_id for the config.
    pub fn raw_layer(mut self, bytes: &[u8], diff_id: &str) -> Self {
        self.layers.push(Layer { bytes: bytes.to_vec(), diff_id: diff_id.to_owned() });
        self
    }

    /// Sets the config, verbatim except for `$DIFF_IDS`.
    pub fn config(mut self, text: &str) -> Self {
        self.config = text.to_owned();
        self
    }

    /// Sets the manifest, verbatim except for `$CONFIG` (the digest and size members of the config's descriptor) and
    /// `$LAYERS` (the descriptors of all layers, joined by commas).
    pub fn manifest(mut self, text: &str) -> Self {
        self.manifest = Some(text.to_owned());
        self
    }

    pub fn config_bytes(&self) -> Vec<u8> {
        let ids: Vec<String> = self.layers.iter().map(|layer| format!("{:?}", layer.diff_id)).collect();
        self.config.replace("$DIFF_IDS", &ids.join(",")).into_bytes()
    }

    pub fn manifest_bytes(&self) -> Vec<u8> {
        let members = |bytes: &[u8]| format!(r#""digest":"{}","size":{}"#, digest(bytes), bytes.len());
        let media_type = self.family.layer();
        let layer = |layer: &Layer| format!(r#"{{"mediaType":"{media_type}",{}}}"#, members(&layer.bytes));
        let layers: Vec<String> = self.layers.iter().map(layer).collect();
        let usual = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}",$CONFIG}},"layers":[$LAYERS]}}"#,
            self.family.manifest(),
            self.family.config()
        );
        let text = self.manifest.as_deref().unwrap_or(&usual);
        text.replace("$CONFIG", &members(&self.config_bytes()))
            .replace("$LAYERS", &layers.join(","))
            .into_bytes()
    }

    /// Returns the media type in the manifest, or else the family's.
    pub fn media_type(&self) -> String {
        let manifest: Value = serde_json::from_slice(&self.manifest_bytes()).unwrap_or_default();
        manifest["mediaType"].as_str().unwrap_or(self.family.manifest()).to_owned()
    }

    pub fn digest(&self) -> String {
        digest(&self.manifest_bytes())
    }

    /// Returns every blob: the layers in order, then the config.
    pub fn blobs(&self) -> Vec<Vec<u8>> {
        self.layers.iter().map(|layer| layer.bytes.clone()).chain([self.config_bytes()]).collect()
    }

    /// Writes an OCI layout with only this image; returns its name for reapify and skopeo.
    pub fn in_layout(&self, dir: &Path, tag: &str) -> String {
        self.write_blobs(dir);
        write_index(dir, &[(tag, &self.media_type(), &self.manifest_bytes())]);
        format!("oci:{}:{tag}", dir.display())
    }

    fn write_blobs(&self, dir: &Path) {
        for blob in self.blobs().iter().chain([&self.manifest_bytes()]) {
            write_blob(dir, blob);
        }
    }

    /// Stores the image in the in-process registry; returns its name for reapify.
    pub fn in_registry(&self, registry: &Registry, repository: &str, tag: &str) -> String {
        for blob in self.blobs() {
            registry.put_blob(repository, &blob);
        }
        registry.put_manifest(repository, tag, &self.media_type(), &self.manifest_bytes());
        registry.name(repository, tag)
    }

    /// Returns the descriptor, for an index.
    pub fn descriptor(&self) -> Value {
        let bytes = self.manifest_bytes();
        json!({"mediaType": self.media_type(), "digest": digest(&bytes), "size": bytes.len()})
    }
}

/// Returns the path of a blob in a layout.
pub fn blob_path(dir: &Path, digest: &str) -> std::path::PathBuf {
    dir.join("blobs").join(digest.replace(':', "/"))
}

/// Stores one blob in a layout.
pub fn write_blob(dir: &Path, bytes: &[u8]) {
    let path = blob_path(dir, &digest(bytes));
    std::fs::create_dir_all(path.parent().expect("blobs lie in a directory")).expect("a layout's directory");
    std::fs::write(path, bytes).expect("a blob in a layout");
}

/// Writes `oci-layout` and an `index.json` with these (tag, media type, manifest) entries.
pub fn write_index(dir: &Path, entries: &[(&str, &str, &[u8])]) {
    let descriptor = |(tag, media_type, bytes): &(&str, &str, &[u8])| {
        json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len(),
               "annotations": {"org.opencontainers.image.ref.name": tag}})
    };
    let manifests: Vec<Value> = entries.iter().map(descriptor).collect();
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    std::fs::create_dir_all(dir).expect("a layout's directory");
    std::fs::write(dir.join("index.json"), index.to_string()).expect("index.json");
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("oci-layout");
}

/// Returns the manifest to which a layout's tag refers.
#[track_caller]
pub fn layout_manifest(dir: &Path, tag: &str) -> Vec<u8> {
    let index = std::fs::read(dir.join("index.json")).expect("index.json");
    let index: Value = serde_json::from_slice(&index).expect("index.json is JSON");
    let entries = index["manifests"].as_array().expect("index.json lists manifests");
    let name = |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"].clone();
    let found: Vec<&Value> = entries.iter().filter(|entry| name(entry) == tag).collect();
    assert_eq!(found.len(), 1, "one entry for {tag} in {index}");
    layout_blob(dir, found[0]["digest"].as_str().expect("a digest"))
}

/// Returns a blob of a layout, after checking that its digest matches its name.
#[track_caller]
pub fn layout_blob(dir: &Path, name: &str) -> Vec<u8> {
    let bytes = std::fs::read(blob_path(dir, name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(digest(&bytes), name, "a blob is stored under its digest");
    bytes
}

/// Returns incompressible bytes, the same every time.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

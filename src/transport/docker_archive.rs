//! What `docker save` writes and `docker load` reads: layers, configs, and a `manifest.json`.
//!
//! There are no manifests in it; one is made from what is there, the same one every time.

use super::archive::{Archive, Writer};
use super::{BlobStream, Offer, Origin, Payload, Sink, Slot, Source};
use crate::error::{Context, Error, Result};
use crate::image::Reference;
use crate::image::digest::{Algorithm, Hasher};
use crate::image::json::{quote, to_json};
use crate::image::location::FileOrStdio;
use crate::image::{
    Content, Descriptor, Digest, ImageConfig, MAX_CONFIG, MAX_MANIFEST, Manifest, media_type,
};
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::HashMap;
use std::io::Read;
use std::sync::OnceLock;
use tokio::sync::Mutex;

/// An entry of `manifest.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// An archive that is read.
pub struct DockerArchive {
    archive: Archive,
    name: Option<Reference>,
    place: String,
    /// Digest → member.
    members: OnceLock<HashMap<Digest, String>>,
}

impl DockerArchive {
    /// Opens an archive.
    pub fn open(file: &FileOrStdio, name: Option<Reference>) -> Result<Self> {
        let place = format!("docker-archive:{file}");
        let archive = Archive::open(file, place.clone())?;
        if !archive.has("manifest.json") {
            return Err(Error::unsupported(format!("{place} has no manifest.json"))
                .hint("read an OCI layout as oci-archive:FILE; engines before 1.10 wrote none"));
        }
        Ok(DockerArchive { archive, name, place, members: OnceLock::new() })
    }

    fn entry(&self) -> Result<Entry> {
        let text = self.archive.read("manifest.json", MAX_MANIFEST)?;
        let entries: Vec<Entry> = serde_json::from_slice(&text)
            .map_err(|e| Error::unsupported(format!("{}: manifest.json is malformed: {e}", self.place)))?;
        let tags = |e: &Entry| e.repo_tags.clone().unwrap_or_default();
        let is_named = |e: &&Entry| match &self.name {
            None => true,
            // Docker writes short names; both are compared written out.
            Some(name) => tags(e).iter().any(|t| t.parse::<Reference>().is_ok_and(|t| t == *name)),
        };
        let found: Vec<&Entry> = entries.iter().filter(is_named).collect();
        let all: Vec<String> = entries.iter().flat_map(tags).collect();
        match (found[..].first(), found.len(), &self.name) {
            (Some(entry), 1, _) => Ok((*entry).clone()),
            (_, 0, Some(name)) => Err(Error::not_found(format!("{} holds no image {name}", self.place))
                .hint(format!("it holds: {}", all.join(", ")))),
            (_, 0, None) => Err(Error::not_found(format!("{} holds no image", self.place))),
            _ => Err(Error::usage(format!("{} holds {} images", self.place, found.len())).hint(format!(
                "say which: {}:NAME:TAG; it holds: {}",
                self.place,
                all.join(", ")
            ))),
        }
    }

    fn layer(&self, member: &str, diff_id: &str) -> Result<Descriptor> {
        let size = self.archive.size(member)?;
        let mut magic = [0; 4];
        let n = self.archive.reader(member)?.take(4).read(&mut magic)?;
        let (media_type, digest) = match &magic[..n] {
            [0x1f, 0x8b, ..] => (media_type::OCI_LAYER_GZIP, self.hash(member)?),
            [0x28, 0xb5, 0x2f, 0xfd] => (media_type::OCI_LAYER_ZSTD, self.hash(member)?),
            // Not compressed: the diff_id is the digest, and is verified when the layer is read.
            _ => (media_type::OCI_LAYER, diff_id.parse().context(|| "diff_ids")?),
        };
        Ok(Descriptor::new(media_type, digest, size))
    }

    fn hash(&self, member: &str) -> Result<Digest> {
        let mut reader = self.archive.reader(member)?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut piece = vec![0; super::layout::PIECE];
        loop {
            match reader.read(&mut piece)? {
                0 => return Ok(hasher.finish()),
                n => hasher.update(&piece[..n]),
            }
        }
    }
}

/// The manifest of a config and layers, in OCI's types: those have a name for every compression, and every
/// tool takes them in an OCI layout.
fn made_manifest(config: &Descriptor, layers: &[Descriptor]) -> Result<Manifest> {
    let descriptor = |d: &Descriptor| {
        format!(
            "{{\"mediaType\":{},\"size\":{},\"digest\":{}}}",
            quote(&d.media_type),
            d.size,
            quote(&d.digest.to_string())
        )
    };
    let layers: Vec<String> = layers.iter().map(descriptor).collect();
    let text = format!(
        "{{\"schemaVersion\":2,\"mediaType\":{},\"config\":{},\"layers\":[{}]}}",
        quote(media_type::OCI_MANIFEST),
        descriptor(config),
        layers.join(",")
    );
    Manifest::parse(text, None)
}

#[async_trait]
impl Source for DockerArchive {
    async fn manifest(&self) -> Result<Manifest> {
        let entry = self.entry()?;
        let text = self.archive.read(&entry.config, MAX_CONFIG)?;
        let config = ImageConfig::parse(text.clone()).context(|| &self.place)?;
        let names = entry.layers.unwrap_or_default();
        if names.len() != config.diff_ids.len() {
            return Err(Error::unsupported(format!(
                "{}: manifest.json names {} layers, but the config has {} diff_ids",
                self.place,
                names.len(),
                config.diff_ids.len()
            )));
        }
        let config = Descriptor::of(media_type::OCI_CONFIG, &text);
        let mut members = HashMap::from([(config.digest.clone(), entry.config)]);
        let parsed = ImageConfig::parse(text)?;
        let mut layers = Vec::new();
        for (name, diff_id) in names.iter().zip(&parsed.diff_ids) {
            let layer = self.layer(name, diff_id)?;
            members.insert(layer.digest.clone(), name.clone());
            layers.push(layer);
        }
        self.members.get_or_init(|| members);
        made_manifest(&config, &layers)
    }

    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest> {
        Err(Error::not_found(format!("{} has no manifest {}", self.place, descriptor.digest)))
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        match self.members.get().and_then(|m| m.get(&descriptor.digest)) {
            Some(member) => self.archive.stream(member),
            None => Err(Error::not_found(format!("{} has no blob {}", self.place, descriptor.digest))),
        }
    }

    fn origin(&self) -> Option<Origin> {
        None
    }

    fn keeps_manifests(&self) -> bool {
        false
    }
}

/// An archive that is written. Layers keep the form they come in: `docker load` takes them compressed.
pub struct DockerArchiveSink {
    state: Mutex<State>,
    name: Option<Reference>,
}

struct State {
    writer: Option<Writer>,
    /// Digest → member.
    written: HashMap<Digest, String>,
}

impl State {
    fn writer(&mut self) -> Result<&mut Writer> {
        self.writer.as_mut().ok_or_else(|| Error::other("the archive is finished"))
    }
}

impl DockerArchiveSink {
    /// Begins an archive.
    pub fn create(file: &FileOrStdio, name: Option<Reference>, force: bool) -> Result<Self> {
        let state = State { writer: Some(Writer::create(file, force)?), written: HashMap::new() };
        Ok(DockerArchiveSink { state: Mutex::new(state), name })
    }
}

fn member_name(descriptor: &Descriptor) -> String {
    let hex = descriptor.digest.hex();
    match descriptor.media_type.as_str() {
        media_type::OCI_CONFIG | media_type::DOCKER_CONFIG => format!("{hex}.json"),
        t if t.ends_with("gzip") => format!("{hex}.tar.gz"),
        t if t.ends_with("zstd") => format!("{hex}.tar.zst"),
        t if t.contains("tar") => format!("{hex}.tar"),
        _ => format!("{hex}.json"),
    }
}

/// The form a layer has in an archive: the family's names are gone.
fn plain_layer(layer: &Descriptor) -> Result<Descriptor> {
    let media_type = match layer.media_type.as_str() {
        t if t.ends_with("zstd") => media_type::OCI_LAYER_ZSTD,
        _ if layer.is_foreign() => {
            return Err(Error::unsupported("docker-archive: has no foreign layers")
                .hint("write it to oci-archive: instead"));
        }
        t if t.ends_with("gzip") => media_type::OCI_LAYER_GZIP,
        _ => media_type::OCI_LAYER,
    };
    Ok(Descriptor::new(media_type, layer.digest.clone(), layer.size))
}

#[async_trait]
impl Sink for DockerArchiveSink {
    async fn current(&self) -> Result<Option<Manifest>> {
        Ok(None)
    }

    async fn offer(&self, descriptor: &Descriptor, _from: Option<&str>) -> Result<Offer> {
        match self.state.lock().await.written.contains_key(&descriptor.digest) {
            true => Ok(Offer::Existing),
            false => Ok(Offer::Wanted(None)),
        }
    }

    async fn put(&self, _slot: Option<Slot>, descriptor: &Descriptor, payload: Payload<'_>) -> Result<()> {
        let mut state = self.state.lock().await;
        if !state.written.contains_key(&descriptor.digest) {
            let name = member_name(descriptor);
            let stream = payload.open().await?;
            state.writer()?.add_stream(&name, descriptor.size, stream).await?;
            state.written.insert(descriptor.digest.clone(), name);
        }
        Ok(())
    }

    async fn put_manifest(&self, manifest: &Manifest, digest: Option<&Digest>) -> Result<Digest> {
        let Content::Image { config, layers } = &manifest.content else { return Err(no_index()) };
        if digest.is_some() {
            return Err(no_index());
        }
        let layers = layers.iter().map(plain_layer).collect::<Result<Vec<_>>>()?;
        let config = Descriptor::new(media_type::OCI_CONFIG, config.digest.clone(), config.size);
        let made = made_manifest(&config, &layers)?;
        let mut state = self.state.lock().await;
        let member = |d: &Descriptor| match state.written.get(&d.digest) {
            Some(name) => to_json(name),
            None => Err(Error::other(format!("the blob {} was not written", d.digest))),
        };
        let config = member(&config)?;
        let layers = layers.iter().map(member).collect::<Result<Vec<_>>>()?;
        let tags = self.name.iter().map(|n| to_json(&short_name(n))).collect::<Result<Vec<_>>>()?;
        let text = format!(
            "[{{\"Config\":{config},\"RepoTags\":[{}],\"Layers\":[{}]}}]\n",
            tags.join(","),
            layers.join(",")
        );
        state.writer()?.add("manifest.json", text.as_bytes())?;
        if let Some(writer) = state.writer.take() {
            writer.finish()?;
        }
        Ok(made.digest)
    }

    fn origin(&self) -> Option<Origin> {
        None
    }

    fn takes_indexes(&self) -> bool {
        false
    }
}

/// As Docker writes names: Docker Hub's host and `library/` are left out.
fn short_name(name: &Reference) -> String {
    let whole = name.to_string();
    let short = whole.strip_prefix("docker.io/").unwrap_or(&whole);
    short
        .strip_prefix("library/")
        .filter(|_| whole.starts_with("docker.io/library/"))
        .unwrap_or(short)
        .to_string()
}

fn no_index() -> Error {
    Error::usage("docker-archive: holds images of one platform, not indexes")
        .hint("choose one with --platform, or write to oci-archive:")
}

//! Archives in the format of `docker save` and `docker load`: layers, configs, and a `manifest.json`.
//!
//! They contain no image manifests; one is created from the content, always with the same bytes.

use super::archive::Archive;
use super::archive_sink::ArchiveSink;
use super::decompress::{Format, decompress};
use super::files::{self, blocking};
use super::limit::{Bounded, GROWS, most_unpacked};
use super::{BlobStream, ImageName, Offer, Origin, Payload, Sink, Slot, Source};
use crate::error::{Context, Error, Remedy, Result};
use crate::image::digest::Algorithm;
use crate::image::json::{Members, quote, to_json};
use crate::image::location::FileOrStdio;
use crate::image::{
    Choice, Content, Descriptor, Digest, ImageConfig, MAX_CONFIG, MAX_MANIFEST, Manifest, Reference,
    authored, media_type,
};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// The maximum number of images that a hint lists.
const LISTED: usize = 20;

/// An entry of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Entry {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl<'de> Deserialize<'de> for Entry {
    /// Ignores the case of keys, as Go does: older builds of Jib write `config`, `repoTags` and `layers`. A duplicate
    /// key, whatever its case, is rejected because readers disagree on which value counts.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        use serde::de::Error;
        fn read<'a, T: Deserialize<'a>, E: Error>(
            key: &str,
            value: &'a RawValue,
        ) -> std::result::Result<T, E> {
            serde_json::from_str(value.get()).map_err(|e| E::custom(format_args!("{key}: {e}")))
        }
        let (mut config, mut repo_tags, mut layers) = (None, None, None);
        for (key, value) in Members::deserialize(deserializer)?.0 {
            let is_repeated = match &*key.to_uppercase() {
                "CONFIG" => config.replace(read(&key, value)?).is_some(),
                "REPOTAGS" => repo_tags.replace(read::<Option<_>, _>(&key, value)?).is_some(),
                "LAYERS" => layers.replace(read::<Option<_>, _>(&key, value)?).is_some(),
                _ => false,
            };
            if is_repeated {
                return Err(D::Error::custom(format_args!("duplicate key {key:?} in one entry")));
            }
        }
        Ok(Entry {
            config: config.ok_or_else(|| D::Error::missing_field("Config"))?,
            repo_tags: repo_tags.flatten().unwrap_or_default(),
            layers: layers.flatten().unwrap_or_default(),
        })
    }
}

/// An archive that is read.
#[derive(Clone)]
pub struct DockerArchive {
    archive: Archive,
    image: Choice<Reference>,
    place: String,
    /// The members by digest.
    members: Arc<OnceLock<HashMap<Digest, String>>>,
}

impl DockerArchive {
    /// Opens an archive.
    pub async fn open(file: &FileOrStdio, image: Choice<Reference>) -> Result<Self> {
        let (file, place) = (file.clone(), format!("docker-archive:{file}"));
        blocking(move || {
            let archive = Archive::open(&file, place.clone())?;
            Self::of(archive, image, place)
        })
        .await
    }

    /// Creates a source from an open archive; `place` is what messages call it.
    pub fn of(archive: Archive, image: Choice<Reference>, place: String) -> Result<Self> {
        if !archive.has("manifest.json") {
            return Err(Error::unsupported(format!("{place} has no manifest.json"))
                .hint("use oci-archive:FILE for an OCI layout; engines before 1.10 wrote no manifest.json"));
        }
        Ok(DockerArchive { archive, image, place, members: Arc::default() })
    }

    /// Returns the image as the user names it.
    fn name(&self) -> String {
        format!("{}{}", self.place, self.image)
    }

    fn entries(&self) -> Result<Vec<Entry>> {
        let text = self.archive.read("manifest.json", MAX_MANIFEST)?;
        serde_json::from_slice(&text)
            .map_err(|e| Error::unsupported(format!("{}: manifest.json is malformed: {e}", self.place)))
    }

    /// Returns the chosen entry, which must be the only one.
    fn entry(&self) -> Result<Entry> {
        let entries = self.entries()?;
        let mut found = self.chosen(&entries)?;
        if found.len() > 1 && found.iter().filter(|(_, entry)| self.is_whole(entry)).count() == 1 {
            // An engine that has only one platform of an image may list the others too.
            found.retain(|(_, entry)| self.is_whole(entry));
        }
        match found[..] {
            [(_, entry)] => Ok(entry.clone()),
            [] => Err(self.no_such_image(&entries)),
            _ => Err(Error::usage(format!("{} contains {} images", self.place, found.len()))
                .hint(format!("choose one: {}", self.choices(&found)))),
        }
    }

    /// Returns whether the archive contains everything that an entry refers to.
    fn is_whole(&self, entry: &Entry) -> bool {
        std::iter::once(&entry.config).chain(&entry.layers).all(|member| self.archive.has(member))
    }

    /// Returns the entries that match the choice, with their positions.
    fn chosen<'e>(&self, entries: &'e [Entry]) -> Result<Vec<(usize, &'e Entry)>> {
        let mut found: Vec<(usize, &Entry)> = entries.iter().enumerate().collect();
        if let Some(name) = self.image.name() {
            found.retain(|(_, entry)| is_named(entry, name));
        }
        match &self.image {
            Choice::Only | Choice::Name(_) => {}
            Choice::Position(position) => found.retain(|(at, _)| at == position),
            Choice::Digest(digest, _) => {
                let mut matching = Vec::new();
                for (at, entry) in found {
                    let made = self.manifest_of(entry)?.0;
                    let config = made.blobs().first().map(|config| config.digest.clone());
                    // Engines identify an image by the digest of its config.
                    if made.digest == *digest || config.as_ref() == Some(digest) {
                        matching.push((at, entry));
                        break;
                    }
                }
                found = matching;
            }
        }
        Ok(found)
    }

    /// Lists the references by which each of several images can be chosen.
    fn choices(&self, entries: &[(usize, &Entry)]) -> String {
        let is_clear = |tag: &&String| {
            let name = tag.parse::<Reference>();
            name.is_ok_and(|name| entries.iter().filter(|(_, entry)| is_named(entry, &name)).count() == 1)
        };
        let choice = |(at, entry): &(usize, &Entry)| match entry.repo_tags.iter().find(is_clear) {
            Some(tag) => format!("{}:{tag}", self.place),
            None => format!("{}:@{at}", self.place),
        };
        let mut choices: Vec<String> = entries.iter().take(LISTED).map(choice).collect();
        choices.extend((entries.len() > LISTED).then(|| format!("and {} more", entries.len() - LISTED)));
        choices.join(", ")
    }

    fn no_such_image(&self, entries: &[Entry]) -> Error {
        let error = match &self.image {
            Choice::Only => Error::not_found(format!("{} contains no image", self.place)),
            _ => Error::not_found(format!("{}: no such image", self.name())),
        };
        if entries.is_empty() {
            return error.hint("use an archive with an image; this one is empty");
        }
        let all: Vec<(usize, &Entry)> = entries.iter().enumerate().collect();
        error.hint(format!("choose one: {}", self.choices(&all)))
    }

    /// Creates the manifest of an entry, and returns it with the members that contain its blobs.
    fn manifest_of(&self, entry: &Entry) -> Result<(Manifest, HashMap<Digest, String>)> {
        let text = self.archive.read(&entry.config, MAX_CONFIG)?;
        let config = Descriptor::of(media_type::OCI_CONFIG, &text);
        let parsed = ImageConfig::parse(text).context(|| self.name())?;
        if entry.layers.len() != parsed.diff_ids.len() {
            return Err(Error::unsupported(format!(
                "{}: manifest.json names {} layers, but the config has {} diff_ids",
                self.name(),
                entry.layers.len(),
                parsed.diff_ids.len()
            )));
        }
        let mut members = HashMap::from([(config.digest.clone(), entry.config.clone())]);
        let mut layers = Vec::new();
        for (name, diff_id) in entry.layers.iter().zip(&parsed.diff_ids) {
            let layer = self.layer(name, diff_id)?;
            members.insert(layer.digest.clone(), name.clone());
            layers.push(layer);
        }
        Ok((authored::image_manifest(&config, &layers)?, members))
    }

    fn layer(&self, member: &str, diff_id: &str) -> Result<Descriptor> {
        let size = self.archive.size(member)?;
        let (media_type, digest) = match self.archive.format(member)? {
            Format::Gzip => (media_type::OCI_LAYER_GZIP, self.compressed(member, size, diff_id)?),
            Format::Zstd => (media_type::OCI_LAYER_ZSTD, self.compressed(member, size, diff_id)?),
            // For an uncompressed layer the diff_id is the digest, which is verified when the layer is read.
            Format::Plain => {
                (media_type::OCI_LAYER, diff_id.parse().context(|| format!("{}: diff_ids", self.place))?)
            }
            Format::Other(name) => {
                return Err(Error::unsupported(format!(
                    "{}: the layer {member:?} is compressed with {name}",
                    self.place
                ))
                .hint("load the archive into an engine and save it again"));
            }
        };
        Ok(Descriptor::new(media_type, digest, size))
    }

    /// Returns the digest of a compressed layer. No manifest states it, so the layer must have the diff_id of the config.
    fn compressed(&self, member: &str, size: u64, diff_id: &str) -> Result<Digest> {
        let here = || format!("{}: the layer {member:?}", self.place);
        let (_, unpacked) = decompress(self.archive.reader(member)?)?;
        let found = files::hash(Bounded::new(unpacked, most_unpacked(size), GROWS), Algorithm::Sha256)
            .map_err(|e| Error::verification(format!("{} is malformed: {e}", here())))?;
        if found.to_string() != diff_id {
            let why = format!("{} has the diff_id {found}, the config says {diff_id}", here());
            return Err(Error::verification(why));
        }
        files::hash(self.archive.reader(member)?, Algorithm::Sha256).context(here)
    }
}

/// Returns whether a name is one of an entry's. Docker writes short names; both are expanded before comparing.
fn is_named(entry: &Entry, name: &Reference) -> bool {
    entry.repo_tags.iter().any(|tag| tag.parse::<Reference>().is_ok_and(|tag| tag == *name))
}

#[async_trait]
impl Source for DockerArchive {
    async fn manifest(&self) -> Result<Manifest> {
        let archive = self.clone();
        blocking(move || {
            let (manifest, members) = archive.manifest_of(&archive.entry()?)?;
            archive.members.get_or_init(|| members);
            Ok(manifest)
        })
        .await
    }

    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest> {
        Err(Error::not_found(format!("{} has no manifest {}", self.place, descriptor.digest)))
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        match self.members.get().and_then(|m| m.get(&descriptor.digest)) {
            Some(member) => self.archive.stream(member),
            None => Err(Error::not_found(format!("{}: missing blob {}", self.name(), descriptor.digest))),
        }
    }

    async fn names(&self) -> Result<Vec<ImageName>> {
        let archive = self.clone();
        let entry = blocking(move || archive.entry()).await?;
        let name = |tag: String| {
            let reference = tag.parse::<Reference>().ok();
            let chosen = self.image.name().is_none_or(|name| reference.as_ref() == Some(name));
            let short = reference.and_then(|reference| reference.tag().map(String::from));
            chosen.then_some(ImageName { tag: short, full: Some(tag) })
        };
        Ok(entry.repo_tags.into_iter().filter_map(name).collect())
    }

    fn origin(&self) -> Option<Origin> {
        None
    }

    fn keeps_manifests(&self) -> bool {
        false
    }
}

/// An archive that is written. Layers keep their compression: `docker load` accepts compressed ones.
pub struct DockerArchiveSink {
    archive: ArchiveSink,
    name: Option<Reference>,
    inherited: OnceLock<Vec<ImageName>>,
}

impl DockerArchiveSink {
    /// Starts an archive.
    pub async fn create(file: &FileOrStdio, image: Choice<Reference>, force: bool) -> Result<Self> {
        let archive = ArchiveSink::create(file, format!("docker-archive:{file}"), force).await?;
        Ok(DockerArchiveSink { archive, name: image.name().cloned(), inherited: OnceLock::new() })
    }

    /// Returns the entries of `RepoTags`.
    fn tags(&self) -> Vec<String> {
        match &self.name {
            Some(name) => vec![name.familiar()],
            None => self.inherited.get().into_iter().flatten().filter_map(repo_tag).collect(),
        }
    }
}

/// Returns the name that an engine gives an image, if its full name is known.
fn repo_tag(name: &ImageName) -> Option<String> {
    let whole = name.full.as_ref().or(name.tag.as_ref().filter(|tag| tag.contains([':', '/'])))?;
    let reference = whole.parse::<Reference>().ok()?;
    // Engines ignore names without a tag.
    Some(if reference.tag().is_some_and(|tag| whole.ends_with(&format!(":{tag}"))) {
        whole.clone()
    } else {
        reference.familiar()
    })
}

/// Writes `manifest.json` for one image: the members that hold its config and its layers, and its names.
pub fn manifest_json(config: &str, tags: &[String], layers: &[String]) -> Result<String> {
    let (config, tags, layers) = (quote(config), to_json(&tags)?, to_json(&layers)?);
    Ok(format!("[{{\"Config\":{config},\"RepoTags\":{tags},\"Layers\":{layers}}}]\n"))
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

/// Returns a layer's descriptor as the archive stores it, with a media type independent of the family.
fn plain_layer(layer: &Descriptor) -> Result<Descriptor> {
    let media_type = match layer.media_type.as_str() {
        t if t.ends_with("zstd") => media_type::OCI_LAYER_ZSTD,
        _ if layer.is_foreign() => {
            return Err(Error::unsupported("docker-archive: cannot store foreign layers")
                .hint("use oci-archive: instead"));
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

    fn takes_early(&self) -> bool {
        self.archive.can_discard()
    }

    async fn offer(&self, descriptor: &Descriptor, _from: Option<&str>) -> Result<Offer> {
        Ok(if self.archive.has(&descriptor.digest).await { Offer::Existing } else { Offer::Wanted(None) })
    }

    async fn put(&self, _slot: Option<Slot>, descriptor: &Descriptor, payload: Payload<'_>) -> Result<()> {
        self.archive.put(member_name(descriptor), descriptor, payload).await
    }

    async fn put_manifest(&self, manifest: &Manifest, digest: Option<&Digest>) -> Result<Digest> {
        let Content::Image { config, layers } = &manifest.content else { return Err(no_index()) };
        if digest.is_some() {
            return Err(no_index());
        }
        let layers = layers.iter().map(plain_layer).collect::<Result<Vec<_>>>()?;
        let mut members = Vec::new();
        for layer in &layers {
            members.push(self.archive.member(&layer.digest).await?);
        }
        let text = manifest_json(&self.archive.member(&config.digest).await?, &self.tags(), &members)?;
        self.archive.add("manifest.json".into(), text.into(), None).await?;
        self.archive.finish().await?;
        // Readers know the image by this digest, because no manifest is stored.
        Ok(config.digest.clone())
    }

    fn inherit(&self, names: Vec<ImageName>) {
        self.inherited.get_or_init(|| names);
    }

    fn origin(&self) -> Option<Origin> {
        None
    }

    fn takes_indexes(&self) -> bool {
        false
    }
}

fn no_index() -> Error {
    Error::usage("docker-archive: can hold only a single-platform image, not an index")
        .hint(Remedy::ChooseOneImage { platforms: Vec::new() })
}

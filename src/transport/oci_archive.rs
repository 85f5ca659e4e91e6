//! An OCI image layout in a tar file, as skopeo and podman write it.

use super::archive::Archive;
use super::archive_sink::ArchiveSink;
use super::checked::checked_manifest;
use super::files::blocking;
use super::{BlobStream, ImageName, Offer, Origin, Payload, Sink, Slot, Source, index_json};
use crate::error::{Context, Error, Result};
use crate::image::location::FileOrStdio;
use crate::image::{Choice, Descriptor, Digest, MAX_MANIFEST, Manifest, authored};
use async_trait::async_trait;
use std::sync::OnceLock;

/// An archive that is read.
#[derive(Clone)]
pub struct OciArchive {
    archive: Archive,
    image: Choice<String>,
    place: String,
}

/// Returns the member that holds a blob or a manifest.
pub fn member(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

impl OciArchive {
    /// Opens an archive.
    pub async fn open(file: &FileOrStdio, image: Choice<String>) -> Result<Self> {
        let (file, place) = (file.clone(), format!("oci-archive:{file}"));
        blocking(move || {
            let archive = Archive::open(&file, place.clone())?;
            if !archive.has("index.json") {
                return Err(Error::unsupported(format!(
                    "{place} is not an OCI layout: it has no index.json"
                ))
                .hint("use docker-archive:FILE for the output of `docker save`"));
            }
            Ok(Self::of(archive, image, place))
        })
        .await
    }

    /// Creates a source from an open archive; `place` is what messages call it.
    pub fn of(archive: Archive, image: Choice<String>, place: String) -> Self {
        OciArchive { archive, image, place }
    }

    /// Returns whether `index.json` lists a manifest with this digest.
    pub async fn lists(&self, digest: &Digest) -> Result<bool> {
        let digest = digest.clone();
        self.off_thread(move |archive| Ok(archive.index()?.children().iter().any(|d| d.digest == digest)))
            .await
    }

    /// Returns whether the archive has a manifest and the blobs that it names.
    pub async fn has_all(&self, descriptor: &Descriptor) -> Result<bool> {
        if !self.archive.has(&member(&descriptor.digest)) {
            return Ok(false);
        }
        let manifest = self.child(descriptor).await?;
        let mut blobs = manifest.blobs().into_iter().filter(|blob| !blob.is_foreign());
        Ok(blobs.all(|blob| self.archive.has(&member(&blob.digest))))
    }

    /// Returns the image as the user names it.
    fn name(&self) -> String {
        format!("{}{}", self.place, self.image)
    }

    fn no_blob(&self, digest: &Digest) -> Error {
        Error::not_found(format!("{}: missing blob {digest}", self.name()))
    }

    fn index(&self) -> Result<Manifest> {
        let text = String::from_utf8(self.archive.read("index.json", index_json::MAX_INDEX)?)
            .map_err(|_| Error::unsupported(format!("{}: index.json is not UTF-8", self.place)))?;
        index_json::parse(text).context(|| &self.place)
    }

    fn read_manifest(&self, descriptor: &Descriptor) -> Result<Manifest> {
        let name = member(&descriptor.digest);
        if !self.archive.has(&name) {
            return Err(self.no_blob(&descriptor.digest));
        }
        let bytes = self.archive.read(&name, MAX_MANIFEST)?;
        checked_manifest(bytes.into(), descriptor).context(|| self.name())
    }

    /// Runs work on a clone, off the thread that drives all transfers.
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(OciArchive) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let archive = self.clone();
        blocking(move || work(archive)).await
    }
}

#[async_trait]
impl Source for OciArchive {
    async fn manifest(&self) -> Result<Manifest> {
        self.off_thread(|archive| {
            let index = archive.index()?;
            match index_json::find(&index, &archive.image, &archive.place)? {
                Some(descriptor) => archive.read_manifest(descriptor),
                None => Err(index_json::no_such_image(&index, &archive.image, &archive.place)),
            }
        })
        .await
    }

    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest> {
        let descriptor = descriptor.clone();
        self.off_thread(move |archive| archive.read_manifest(&descriptor)).await
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        let name = member(&descriptor.digest);
        match self.archive.has(&name) {
            true => self.archive.stream(&name),
            false => Err(self.no_blob(&descriptor.digest)),
        }
    }

    async fn names(&self) -> Result<Vec<ImageName>> {
        self.off_thread(|archive| Ok(index_json::names(&archive.index()?, &archive.image))).await
    }

    fn origin(&self) -> Option<Origin> {
        None
    }
}

/// An archive that is written.
pub struct OciArchiveSink {
    archive: ArchiveSink,
    tag: Option<String>,
    inherited: OnceLock<Vec<ImageName>>,
}

impl OciArchiveSink {
    /// Starts an archive.
    pub async fn create(file: &FileOrStdio, image: Choice<String>, force: bool) -> Result<Self> {
        let archive = ArchiveSink::create(file, format!("oci-archive:{file}"), force).await?;
        let archive = archive.beginning_with("oci-layout", authored::oci_layout()?);
        Ok(OciArchiveSink { archive, tag: image.name().cloned(), inherited: OnceLock::new() })
    }

    /// Returns the names of the image, one per entry; without any, there is one entry without a name.
    fn names(&self) -> Vec<ImageName> {
        match (&self.tag, self.inherited.get()) {
            (None, Some(names)) if !names.is_empty() => names.clone(),
            (tag, _) => vec![ImageName { tag: tag.clone(), full: None }],
        }
    }
}

#[async_trait]
impl Sink for OciArchiveSink {
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
        self.archive.put(member(&descriptor.digest), descriptor, payload).await
    }

    async fn put_manifest(&self, manifest: &Manifest, digest: Option<&Digest>) -> Result<Digest> {
        let stored_as = digest.unwrap_or(&manifest.digest).clone();
        self.archive.add(member(&stored_as), manifest.bytes.clone(), Some(stored_as.clone())).await?;
        if digest.is_none() {
            let mut index = index_json::parse(&authored::empty_index()?)?;
            for name in self.names() {
                index = index_json::parse(index_json::with_image(&index, manifest, &[], None, &name)?)?;
            }
            self.archive.add("index.json".into(), index.bytes.clone(), None).await?;
            self.archive.finish().await?;
        }
        Ok(stored_as)
    }

    fn inherit(&self, names: Vec<ImageName>) {
        self.inherited.get_or_init(|| names);
    }

    fn origin(&self) -> Option<Origin> {
        None
    }
}

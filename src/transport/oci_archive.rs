//! An OCI image layout in a tar file, as skopeo and podman write it.

use super::archive::{Archive, Writer};
use super::checked::checked_manifest;
use super::layout::{self, no_such_image};
use super::{BlobStream, Offer, Origin, Payload, Sink, Slot, Source};
use crate::error::{Error, Result};
use crate::image::location::FileOrStdio;
use crate::image::{Descriptor, Digest, MAX_MANIFEST, Manifest};
use async_trait::async_trait;
use std::collections::HashSet;
use tokio::sync::Mutex;

/// An archive that is read.
pub struct OciArchive {
    archive: Archive,
    tag: Option<String>,
    place: String,
}

fn member(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

impl OciArchive {
    /// Opens an archive.
    pub fn open(file: &FileOrStdio, tag: Option<String>) -> Result<Self> {
        let place = format!("oci-archive:{file}");
        let archive = Archive::open(file, place.clone())?;
        if !archive.has("index.json") {
            return Err(Error::unsupported(format!("{place} is no OCI layout: it has no index.json"))
                .hint("read what `docker save` wrote as docker-archive:FILE"));
        }
        Ok(OciArchive { archive, tag, place })
    }

    fn read_manifest(&self, descriptor: &Descriptor) -> Result<Manifest> {
        let bytes = self.archive.read(&member(&descriptor.digest), MAX_MANIFEST)?;
        checked_manifest(bytes.into(), descriptor)
    }
}

#[async_trait]
impl Source for OciArchive {
    async fn manifest(&self) -> Result<Manifest> {
        let index = String::from_utf8(self.archive.read("index.json", MAX_MANIFEST)?)
            .map_err(|_| Error::unsupported(format!("{}: index.json is not UTF-8", self.place)))?;
        match layout::find(&index, self.tag.as_deref(), None, &self.place)? {
            Some(descriptor) => self.read_manifest(&descriptor),
            None => Err(no_such_image(&self.place, self.tag.as_deref(), None)),
        }
    }

    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest> {
        self.read_manifest(descriptor)
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        self.archive.stream(&member(&descriptor.digest))
    }

    fn origin(&self) -> Option<Origin> {
        None
    }
}

/// An archive that is written.
pub struct OciArchiveSink {
    state: Mutex<State>,
    tag: Option<String>,
}

struct State {
    writer: Option<Writer>,
    written: HashSet<Digest>,
}

impl OciArchiveSink {
    /// Begins an archive.
    pub fn create(file: &FileOrStdio, tag: Option<String>, force: bool) -> Result<Self> {
        let mut writer = Writer::create(file, force)?;
        writer.add("oci-layout", layout::LAYOUT_FILE)?;
        Ok(OciArchiveSink { state: Mutex::new(State { writer: Some(writer), written: HashSet::new() }), tag })
    }
}

impl State {
    fn writer(&mut self) -> Result<&mut Writer> {
        self.writer.as_mut().ok_or_else(|| Error::other("the archive is finished"))
    }
}

#[async_trait]
impl Sink for OciArchiveSink {
    async fn current(&self) -> Result<Option<Manifest>> {
        Ok(None)
    }

    async fn offer(&self, descriptor: &Descriptor, _from: Option<&str>) -> Result<Offer> {
        match self.state.lock().await.written.contains(&descriptor.digest) {
            true => Ok(Offer::Existing),
            false => Ok(Offer::Wanted(None)),
        }
    }

    async fn put(&self, _slot: Option<Slot>, descriptor: &Descriptor, payload: Payload<'_>) -> Result<()> {
        // An archive takes one member at a time.
        let mut state = self.state.lock().await;
        if state.written.insert(descriptor.digest.clone()) {
            let stream = payload.open().await?;
            state.writer()?.add_stream(&member(&descriptor.digest), descriptor.size, stream).await?;
        }
        Ok(())
    }

    async fn put_manifest(&self, manifest: &Manifest, digest: Option<&Digest>) -> Result<Digest> {
        let mut state = self.state.lock().await;
        let stored_as = digest.unwrap_or(&manifest.digest).clone();
        if state.written.insert(stored_as.clone()) {
            state.writer()?.add(&member(&stored_as), &manifest.bytes)?;
        }
        if digest.is_none() {
            let index = layout::with_image(layout::EMPTY_INDEX, manifest, self.tag.as_deref())?;
            state.writer()?.add("index.json", index.as_bytes())?;
            if let Some(writer) = state.writer.take() {
                writer.finish()?;
            }
        }
        Ok(stored_as)
    }

    fn origin(&self) -> Option<Origin> {
        None
    }
}

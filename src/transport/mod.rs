//! The transports, behind the traits [`Source`] and [`Sink`]. They know nothing of reapers.

pub mod archive;
pub mod archive_sink;
pub mod checked;
pub mod decompress;
pub mod docker_archive;
pub mod files;
pub mod index_json;
pub mod layout;
pub mod limit;
pub mod oci_archive;
mod stream;

pub use stream::BlobStream;

use crate::error::{Error, Result};
use crate::image::{Descriptor, Digest, Manifest};
use async_trait::async_trait;
use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;

/// The origin of blobs. Two locations with the same store can mount blobs from each other; with the same repository
/// too, they share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The host of a registry, or a directory.
    pub store: String,
    /// The repository within the store.
    pub repository: String,
}

/// A name of an image within an archive or a layout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageName {
    /// `org.opencontainers.image.ref.name`, which is often only the tag.
    pub tag: Option<String>,
    /// The full name, with which engines tag the image.
    pub full: Option<String>,
}

/// A location from which an image is read.
#[async_trait]
pub trait Source: Send + Sync {
    /// Reads the manifest of the chosen image.
    async fn manifest(&self) -> Result<Manifest>;

    /// Returns what the image's name refers to, without reading it; `None` if that cannot be determined.
    async fn head(&self) -> Result<Option<Head>> {
        Ok(None)
    }

    /// Reads the manifest of a child, and verifies it.
    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest>;

    /// Opens a blob without verifying it. See [`Payload::open`].
    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream>;

    /// Lists the referrers of a manifest: signatures, attestations, bills of materials.
    async fn referrers(&self, _digest: &Digest) -> Result<Vec<Referrer>> {
        Ok(Vec::new())
    }

    /// Returns the names of the image, if the location stores them beside it.
    async fn names(&self) -> Result<Vec<ImageName>> {
        Ok(Vec::new())
    }

    /// Returns the origin of the blobs, if they can be shared.
    fn origin(&self) -> Option<Origin>;

    /// Returns whether the manifests are those with which the image was pushed.
    fn keeps_manifests(&self) -> bool {
        true
    }

    /// Returns whether reading needs no network requests.
    fn is_local(&self) -> bool {
        true
    }
}

/// The response to a `HEAD` request for a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The digest.
    pub digest: Digest,
    /// The media type, if it is stated.
    pub media_type: Option<String>,
}

impl Head {
    /// Returns the response for a manifest.
    pub fn of(manifest: &Manifest) -> Self {
        Head { digest: manifest.digest.clone(), media_type: Some(manifest.media_type.to_string()) }
    }
}

/// A manifest that refers to another one as its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// The artifact type, or a description.
    pub kind: String,
    /// The digest, if it is known.
    pub digest: Option<Digest>,
    /// The tag, if the referrer is found by its tag.
    pub tag: Option<String>,
}

impl From<Descriptor> for Referrer {
    fn from(descriptor: Descriptor) -> Self {
        let kind = descriptor.artifact_type.unwrap_or(descriptor.media_type.to_string());
        Referrer { kind, digest: Some(descriptor.digest), tag: None }
    }
}

impl std::fmt::Display for Referrer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)?;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, " ({digest})"),
            (None, Some(tag)) => write!(f, " (tag {tag})"),
            (None, None) => Ok(()),
        }
    }
}

/// The state of a blob at the destination.
#[derive(Debug)]
pub enum Offer {
    /// The destination has the blob now, mounted from another repository.
    Mounted,
    /// The destination already had the blob.
    Existing,
    /// The destination needs the blob, in this upload if a refused mount opened one.
    Wanted(Option<Slot>),
}

/// An open upload; its content is known only to the transport.
#[derive(Debug)]
pub struct Slot(Box<dyn Any + Send + Sync>);

impl Slot {
    /// Creates a slot that contains what the transport needs to continue an upload.
    pub fn new(session: impl Any + Send + Sync) -> Self {
        Slot(Box::new(session))
    }

    /// Returns the content of the slot; `None` if it belongs to another transport.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

/// A location to which an image is written.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Reads the manifest to which the destination's name currently refers.
    async fn current(&self) -> Result<Option<Manifest>>;

    /// Returns whether the destination has a manifest or a blob. The answer is current but inexpensive: a layout
    /// checks only the size.
    async fn has(&self, _descriptor: &Descriptor) -> Result<bool> {
        Ok(false)
    }

    /// Returns whether the destination has a manifest or a blob, and its content is right as far as that can be checked
    /// without a transfer.
    async fn has_intact(&self, descriptor: &Descriptor) -> Result<bool> {
        self.has(descriptor).await
    }

    /// Returns the digest that the destination has for an image, if its name already refers to that image. Places
    /// whose [`current`](Self::current) manifest shows this need not answer.
    async fn holds(&self, _image: &Manifest) -> Result<Option<Digest>> {
        Ok(None)
    }

    /// Returns whether the destination's name refers to an image that [`current`](Self::current) cannot read.
    async fn is_taken(&self) -> Result<bool> {
        Ok(false)
    }

    /// Returns whether blobs are accepted before the whole image is known.
    fn takes_early(&self) -> bool {
        true
    }

    /// Returns the digest to which the destination's name currently refers.
    async fn tag_digest(&self) -> Result<Option<Digest>> {
        Ok(self.current().await?.map(|manifest| manifest.digest.clone()))
    }

    /// Returns the destination as a source, if it can be read.
    fn as_source(self: Arc<Self>) -> Option<Arc<dyn Source>> {
        None
    }

    /// Returns whether the destination refuses a manifest that refers to missing blobs, with
    /// [`Error::is_missing_part`](crate::error::Error::is_missing_part).
    fn refuses_missing_parts(&self) -> bool {
        false
    }

    /// Returns whether queries need no network requests.
    fn is_local(&self) -> bool {
        true
    }

    /// Asks whether a blob must be sent; `from` is a repository of the same store that has it.
    async fn offer(&self, descriptor: &Descriptor, from: Option<&str>) -> Result<Offer>;

    /// Opens an upload before it is needed.
    async fn open(&self) -> Result<Option<Slot>> {
        Ok(None)
    }

    /// Sends a blob.
    async fn put(&self, slot: Option<Slot>, descriptor: &Descriptor, payload: Payload<'_>) -> Result<()>;

    /// Writes a manifest: under `digest` for a child, or, last of all, under the destination's name for `None`.
    /// Returns its digest at the destination.
    async fn put_manifest(&self, manifest: &Manifest, digest: Option<&Digest>) -> Result<Digest>;

    /// Offers the names of the source image: an archive uses them unless it was given a name.
    fn inherit(&self, _names: Vec<ImageName>) {}

    /// Returns whether referrers can be written here.
    fn takes_referrers(&self) -> bool {
        false
    }

    /// Writes a manifest and lists it as a referrer of its subject.
    async fn put_referrer(&self, _manifest: &Manifest, _subject: &Digest) -> Result<()> {
        Err(Error::usage("the destination cannot store referrers")
            .hint("use a registry or an oci: directory"))
    }

    /// Cancels everything that was started but not finished. Called at the end, and when the user interrupts the run.
    async fn release(&self) {}

    /// Returns the origin of the written blobs, if they can be shared.
    fn origin(&self) -> Option<Origin>;

    /// Returns whether an index can be written here.
    fn takes_indexes(&self) -> bool {
        true
    }
}

/// A sink that discards everything: for dry runs of archives.
pub struct DiscardSink;

#[async_trait]
impl Sink for DiscardSink {
    async fn current(&self) -> Result<Option<Manifest>> {
        Ok(None)
    }

    async fn offer(&self, _descriptor: &Descriptor, _from: Option<&str>) -> Result<Offer> {
        Ok(Offer::Wanted(None))
    }

    async fn put(&self, _slot: Option<Slot>, _descriptor: &Descriptor, _payload: Payload<'_>) -> Result<()> {
        Ok(())
    }

    async fn put_manifest(&self, manifest: &Manifest, digest: Option<&Digest>) -> Result<Digest> {
        Ok(digest.unwrap_or(&manifest.digest).clone())
    }

    fn origin(&self) -> Option<Origin> {
        None
    }
}

/// The content to send: bytes in memory, or a blob of a source.
#[derive(Clone)]
pub enum Payload<'a> {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A blob of a source.
    Blob(&'a dyn Source, &'a Descriptor),
}

impl Payload<'_> {
    /// Opens the content from the start and verifies it while it is read: a stream that does not match the descriptor
    /// fails before its last piece.
    pub async fn open(&self) -> Result<BlobStream> {
        match self {
            Payload::Bytes(bytes) => {
                let bytes = bytes.clone();
                Ok(Box::pin(futures_util::stream::once(async move { Ok(bytes) })))
            }
            Payload::Blob(source, descriptor) => {
                Ok(checked::verified(source.blob(descriptor).await?, descriptor))
            }
        }
    }
}

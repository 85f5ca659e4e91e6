//! Kinds of places an image lives in, behind two traits. Nothing here knows of reapers.

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

/// Where blobs are. Two places with the same store can hand blobs to each other; with the same
/// repository too they share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// A registry's host, or a directory.
    pub store: String,
    /// The repository in it.
    pub repository: String,
}

/// A name that an image has within an archive or a layout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageName {
    /// `org.opencontainers.image.ref.name`, which is often only the tag.
    pub tag: Option<String>,
    /// The whole name, as engines tag the image with it.
    pub full: Option<String>,
}

/// A place an image is read from.
#[async_trait]
pub trait Source: Send + Sync {
    /// The manifest of the image that was named.
    async fn manifest(&self) -> Result<Manifest>;

    /// What the image's name stands for, without reading it; `None` where that cannot be told.
    async fn head(&self) -> Result<Option<Head>> {
        Ok(None)
    }

    /// The manifest of a child; verified.
    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest>;

    /// A blob as the place gives it: not verified. See [`Payload::open`].
    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream>;

    /// What refers to a manifest: signatures, attestations, bills of materials.
    async fn referrers(&self, _digest: &Digest) -> Result<Vec<Referrer>> {
        Ok(Vec::new())
    }

    /// Returns the names of the image, where the place keeps them beside it.
    async fn names(&self) -> Result<Vec<ImageName>> {
        Ok(Vec::new())
    }

    /// Where blobs are, if they can be shared.
    fn origin(&self) -> Option<Origin>;

    /// Whether the manifests are those the image was made with.
    fn keeps_manifests(&self) -> bool {
        true
    }

    /// Whether reading costs no requests over a network.
    fn is_local(&self) -> bool {
        true
    }
}

/// What a registry says of a manifest without sending it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its digest.
    pub digest: Digest,
    /// Its media type, if it is stated.
    pub media_type: Option<String>,
}

/// A manifest that refers to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// Its artifact type, or a word for it.
    pub kind: String,
    /// Its digest, where it is known.
    pub digest: Option<Digest>,
    /// Its tag, where it is found by that.
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

/// Whether a destination has a blob.
#[derive(Debug)]
pub enum Offer {
    /// It has it now, taken over from another repository.
    Mounted,
    /// It had it.
    Existing,
    /// It wants it, into this upload if one was opened on the way.
    Wanted(Option<Slot>),
}

/// An upload that is open: what the transport knows of it, and nobody else.
#[derive(Debug)]
pub struct Slot(Box<dyn Any + Send + Sync>);

impl Slot {
    /// Wraps whatever the transport needs to go on with an upload.
    pub fn new(session: impl Any + Send + Sync) -> Self {
        Slot(Box::new(session))
    }

    /// Returns what the slot was made from; `None` for a slot of another transport.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

/// A place an image is written to.
#[async_trait]
pub trait Sink: Send + Sync {
    /// What the destination's name stands for now.
    async fn current(&self) -> Result<Option<Manifest>>;

    /// Whether the destination has a manifest or a blob: an answer of this run, cheaply given. A layout looks at the
    /// size.
    async fn has(&self, _descriptor: &Descriptor) -> Result<bool> {
        Ok(false)
    }

    /// The digest that the destination has for an image, if its name stands for that image already. Places whose
    /// [`current`](Self::current) image tells so need not answer.
    async fn holds(&self, _image: &Manifest) -> Result<Option<Digest>> {
        Ok(None)
    }

    /// Whether the destination's name stands for an image that [`current`](Self::current) cannot read.
    async fn is_taken(&self) -> Result<bool> {
        Ok(false)
    }

    /// Whether blobs are taken before all is known of the image, and so whether the destination holds it.
    fn takes_early(&self) -> bool {
        true
    }

    /// The digest of what the destination's name stands for at this moment.
    async fn tag_digest(&self) -> Result<Option<Digest>> {
        Ok(self.current().await?.map(|manifest| manifest.digest.clone()))
    }

    /// The destination as a place to read from, if it is one.
    fn as_source(self: Arc<Self>) -> Option<Arc<dyn Source>> {
        None
    }

    /// Whether a manifest that names blobs which are not there is refused, with
    /// [`Error::is_missing_part`](crate::error::Error::is_missing_part).
    fn refuses_missing_parts(&self) -> bool {
        false
    }

    /// Whether asking costs no requests over a network.
    fn is_local(&self) -> bool {
        true
    }

    /// Asks whether a blob has to be sent; `from` is a repository of the same store that has it.
    async fn offer(&self, descriptor: &Descriptor, from: Option<&str>) -> Result<Offer>;

    /// Opens an upload before it is needed.
    async fn open(&self) -> Result<Option<Slot>> {
        Ok(None)
    }

    /// Sends a blob.
    async fn put(&self, slot: Option<Slot>, descriptor: &Descriptor, payload: Payload<'_>) -> Result<()>;

    /// Writes a manifest: under `digest` for a child, under the destination's name for `None`, which
    /// comes last. Returns the digest it has there.
    async fn put_manifest(&self, manifest: &Manifest, digest: Option<&Digest>) -> Result<Digest>;

    /// Offers the names of the source's image: an archive takes them over unless it was given one.
    fn inherit(&self, _names: Vec<ImageName>) {}

    /// Whether what refers to an image can be written here.
    fn takes_referrers(&self) -> bool {
        false
    }

    /// Writes a manifest that refers to another one, so that it is found from there.
    async fn put_referrer(&self, _manifest: &Manifest, _subject: &Digest) -> Result<()> {
        Err(Error::usage("the destination cannot hold what refers to an image")
            .hint("registries and oci: directories can"))
    }

    /// Gives up what was begun and not ended: called at the end, and when the user ends it.
    async fn release(&self) {}

    /// Where blobs go, if they can be shared.
    fn origin(&self) -> Option<Origin>;

    /// Whether an index can be written here.
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

/// What is sent: bytes at hand, or a blob of a source.
#[derive(Clone)]
pub enum Payload<'a> {
    /// Bytes at hand.
    Bytes(Bytes),
    /// A blob of a source.
    Blob(&'a dyn Source, &'a Descriptor),
}

impl Payload<'_> {
    /// Opens the bytes from the start, verified as they pass: a stream that is not what the descriptor
    /// says ends with an error, before its last piece.
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

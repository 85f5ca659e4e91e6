//! Manifests and configs, read whole and verified.

use crate::error::{Context, Error, Result};
use crate::image::{Content, Descriptor, MAX_CONFIG, Manifest};
use crate::rewrite::{Image, Read};
use crate::transport::Source;
use crate::transport::verify::{read_whole, verified};
use bytes::Bytes;

/// The config of an image.
pub async fn config(source: &dyn Source, descriptor: &Descriptor) -> Result<Bytes> {
    if descriptor.size > MAX_CONFIG {
        return Err(Error::unsupported(format!(
            "the image config has {} bytes, more than 8 MiB",
            descriptor.size
        )));
    }
    blob(source, descriptor, MAX_CONFIG).await.context(|| "the image config")
}

/// A blob of no more than `limit` bytes.
pub async fn blob(source: &dyn Source, descriptor: &Descriptor, limit: u64) -> Result<Bytes> {
    let stream = source.blob(descriptor).await?;
    read_whole(verified(stream, descriptor), descriptor, limit).await
}

/// The image of a manifest; `None` for what is something else.
pub async fn image(source: &dyn Source, manifest: Manifest) -> Result<Option<Image>> {
    let Content::Image { config: descriptor, .. } = &manifest.content else { return Ok(None) };
    let bytes = config(source, descriptor).await?;
    match Image::read(manifest, bytes, source.keeps_manifests())? {
        Read::Image(image) => Ok(Some(*image)),
        Read::Artifact(_) => Ok(None),
    }
}

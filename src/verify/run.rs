//! Verification of a whole image or index.

use super::check::{VerifiedImage, check, not_wrapped, tree};
use super::source;
use crate::error::{Context, Error, Remedy, Result};
use crate::image::{Content, Digest, Manifest};
use crate::read::Reader;
use crate::reapers::Reapers;
use crate::rewrite;
use crate::transport::Source;
use crate::transport::checked::verified;
use futures_util::StreamExt;
use std::collections::HashSet;
use std::sync::Arc;

/// The result of a successful verification.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The digest of the verified image or index.
    pub digest: Digest,
    /// The digest of its source.
    pub source_digest: Digest,
    /// The images that were verified.
    pub images: Vec<VerifiedImage>,
    /// How many blobs were read in full.
    pub blobs: usize,
}

/// Verifies an image or an index. With `source`, also verifies that wrapping it gives this result; with `deep`, that
/// every blob is present and intact. The reaper must be one of `reapers`.
///
/// # Errors
///
/// Returns [`Kind::Verification`](crate::error::Kind) with the first difference.
pub async fn verify(
    image: Arc<dyn Source>,
    source: Option<Arc<dyn Source>>,
    reapers: &Reapers,
    deep: bool,
) -> Result<Verified> {
    let (manifest, expected) = match &source {
        Some(source) => {
            let (manifest, expected) = tokio::join!(image.manifest(), source.manifest());
            (manifest?, Some(expected.context(|| "the source")?))
        }
        None => (image.manifest().await?, None),
    };
    let reader = Reader::new(image);
    let checked = check(&reader, tree(&reader, manifest.clone()).await?).await?;
    let images: Vec<VerifiedImage> = checked.images().into_iter().cloned().collect();
    let unwrapped = images.iter().find(|i| i.record.is_none() && !i.exempt);
    let none = images.iter().all(|i| i.record.is_none());
    let same = expected.as_ref().is_some_and(|e| e.digest == manifest.digest);
    if let Some(image) = unwrapped.or(images.first().filter(|_| none && !same)) {
        return Err(not_wrapped(image));
    }
    images.iter().try_for_each(|image| known_reaper(image, reapers))?;
    if images.is_empty() {
        return Err(match manifest.content {
            Content::Index { .. } => Error::verification("the index contains no Linux image"),
            _ => rewrite::artifact(manifest.artifact_type()),
        });
    }
    if let Some((source, expected)) = source.zip(expected) {
        source::verify(source, expected, &checked).await?;
    }
    let digest = match (&manifest.content, &images[..]) {
        (Content::Image { .. }, [image]) => image.digest.clone(),
        _ => manifest.digest.clone(),
    };
    let blobs = if deep { read_all(&reader, manifest).await? } else { 0 };
    Ok(Verified { digest, source_digest: checked.source().clone(), images, blobs })
}

/// Returns an error if an image has an unexpected reaper.
fn known_reaper(image: &VerifiedImage, reapers: &Reapers) -> Result<()> {
    let Some(record) = &image.record else { return Ok(()) };
    if reapers.expects(&record.reaper, image.platform.as_ref()) {
        return Ok(());
    }
    let platform = image.platform.as_ref().map(|p| format!(" for {p}")).unwrap_or_default();
    Err(Error::verification(format!(
        "the image{platform} starts the reaper {}, which is not the expected one",
        record.reaper
    ))
    .hint(Remedy::ExpectReaper))
}

/// Reads every blob in full, and returns their number.
async fn read_all(reader: &Reader, manifest: Manifest) -> Result<usize> {
    let mut pending = vec![Arc::new(manifest)];
    let (mut seen, mut blobs) = (HashSet::new(), HashSet::new());
    while let Some(manifest) = pending.pop() {
        let (children, others): (Vec<_>, Vec<_>) =
            manifest.children().iter().partition(|child| child.is_manifest());
        for descriptor in children {
            if seen.insert((descriptor.digest.clone(), descriptor.size)) {
                let here = || format!("the child {}", descriptor.digest);
                pending.push(reader.child(descriptor).await.context(here)?);
            }
        }
        for descriptor in manifest.blobs().into_iter().chain(others).filter(|d| !d.is_foreign()) {
            if seen.insert((descriptor.digest.clone(), descriptor.size)) {
                blobs.insert(descriptor.digest.clone());
                let mut stream = verified(reader.source().blob(descriptor).await?, descriptor);
                while let Some(piece) = stream.next().await {
                    piece.context(|| format!("the blob {}", descriptor.digest))?;
                }
            }
        }
    }
    Ok(blobs.len())
}

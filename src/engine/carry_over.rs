//! Plans content that is carried over unchanged, with everything below it. It is read only if the destination
//! does not have it.

use super::copy::Copier;
use super::tree::{Carried, CarriedContent};
use crate::error::Result;
use crate::image::{Descriptor, Manifest};
use crate::read::{Limits, Reader};
use futures_util::future::{BoxFuture, FutureExt, try_join_all};

/// Reads content that is carried over, and starts to move it.
pub struct CarryOver<'a> {
    reader: &'a Reader,
    copier: &'a Copier,
    limits: &'a Limits,
    /// Whether transfers are left to the push.
    defer: bool,
}

impl<'a> CarryOver<'a> {
    /// Creates a planner of unchanged content. With `defer` it starts no transfers.
    pub fn new(reader: &'a Reader, copier: &'a Copier, limits: &'a Limits, defer: bool) -> Self {
        CarryOver { reader, copier, limits, defer }
    }

    /// Plans content that was not read yet.
    pub fn unread(
        &self,
        descriptor: Descriptor,
        reason: String,
        depth: usize,
    ) -> BoxFuture<'_, Result<Carried>> {
        async move {
            if !descriptor.is_manifest() {
                // Content of an unknown type is copied as a blob.
                if !self.defer {
                    self.copier.start(&descriptor);
                }
                return Ok(Carried { descriptor, reason, content: CarriedContent::Blob });
            }
            // The destination may have an index without its children.
            if !descriptor.is_index()
                && let Some(claim) = self.copier.claimed(&descriptor.digest)
                && self.copier.check(claim, &descriptor).await?.is_some()
            {
                return Ok(Carried { descriptor, reason, content: CarriedContent::AtDestination });
            }
            let manifest = self.reader.child(&descriptor).await?.as_ref().clone();
            self.copier.was_read(&descriptor.digest);
            self.read(descriptor, reason, manifest, depth).await
        }
        .boxed()
    }

    /// Plans content that was read: starts to move its blobs, and reads everything below it.
    pub async fn read(
        &self,
        descriptor: Descriptor,
        reason: String,
        manifest: Manifest,
        depth: usize,
    ) -> Result<Carried> {
        if !manifest.children().is_empty() {
            self.limits.enter(&manifest, depth + 1)?;
        }
        if !self.defer {
            manifest.blobs().into_iter().for_each(|blob| self.copier.start(blob));
        }
        let below = manifest.children().iter().map(|d| self.unread(d.clone(), reason.clone(), depth + 1));
        let below = try_join_all(below).await?;
        Ok(Carried { descriptor, reason, content: CarriedContent::Manifest(manifest, below) })
    }
}

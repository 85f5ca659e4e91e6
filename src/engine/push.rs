//! Copies a planned image to the destination, from the leaves up: blobs, images, the indexes above them, and
//! finally the tag.

use super::copy::{Copier, Part};
use super::overlay::{Overlay, Planned, parts};
use crate::error::Result;
use crate::image::{Descriptor, Digest, Manifest};
use crate::transport::{Sink, Source};
use futures_util::future::try_join_all;
use std::collections::HashMap;

/// The number of times a manifest is sent again after the destination refused it for missing parts.
const AGAIN: usize = 2;

/// Copies an overlay to a sink.
pub struct Push<'a> {
    overlay: &'a Overlay,
    copier: &'a Copier,
    sink: &'a dyn Sink,
}

impl<'a> Push<'a> {
    /// Creates a push that has not copied anything yet.
    pub fn new(overlay: &'a Overlay, copier: &'a Copier, sink: &'a dyn Sink) -> Self {
        Push { overlay, copier, sink }
    }

    /// Writes everything below the root manifest.
    pub async fn parts(&self) -> Result<()> {
        let mut levels = Levels { overlay: self.overlay, heights: HashMap::new(), by_height: Vec::new() };
        levels.below(self.overlay.root());
        for level in levels.by_height {
            try_join_all(level.into_iter().map(|child| self.child(child))).await?;
        }
        self.blobs(self.overlay.root()).await.map(drop)
    }

    /// Moves the tag, once everything else is written. Returns the destination's digest of the image.
    pub async fn tag(&self) -> Result<Digest> {
        let root = self.overlay.root();
        self.copier.tag().moving(&root.digest, self.put(root, None)).await
    }

    /// Writes a child, unless the destination reports that it has it.
    async fn child(&self, child: &Descriptor) -> Result<()> {
        let Some(Planned { manifest, is_old }) = self.overlay.planned(&child.digest) else { return Ok(()) };
        let claim = if *is_old {
            self.copier.claimed(&child.digest)
        } else {
            self.copier.claimed_there(&child.digest)
        };
        if let Some(claim) = claim
            && self.copier.check(claim, child).await?.is_some()
        {
            return Ok(());
        }
        self.blobs(manifest).await?;
        self.put(manifest, Some(&child.digest)).await.map(drop)
    }

    /// Copies everything that a manifest refers to except manifests.
    async fn blobs(&self, manifest: &Manifest) -> Result<Vec<Part>> {
        try_join_all(parts(manifest).map(async |descriptor| match self.overlay.fresh(&descriptor.digest) {
            Some(bytes) => self.copier.bytes(descriptor, bytes.clone()).await,
            None => self.copier.blob(descriptor).await,
        }))
        .await
    }

    /// Writes a manifest. If the destination refuses it for missing parts, claims are not trusted any more:
    /// all parts are offered again before the next attempt.
    async fn put(&self, manifest: &Manifest, digest: Option<&Digest>) -> Result<Digest> {
        let mut outcome = self.sink.put_manifest(manifest, digest).await;
        for _ in 0..AGAIN {
            match &outcome {
                Err(error) if error.is_missing_part() => {}
                _ => break,
            }
            self.again(manifest).await?;
            outcome = self.sink.put_manifest(manifest, digest).await;
        }
        outcome
    }

    /// Offers all parts of a manifest again.
    async fn again(&self, manifest: &Manifest) -> Result<()> {
        let children = manifest.children().iter().filter(|child| child.is_manifest());
        for child in children {
            if self.sink.has(child).await? {
                continue;
            }
            let manifest = Source::child(self.overlay, child).await?;
            Box::pin(self.again(&manifest)).await?;
            self.sink.put_manifest(&manifest, Some(&child.digest)).await?;
        }
        let offers = parts(manifest).map(async |descriptor| match self.overlay.fresh(&descriptor.digest) {
            Some(bytes) => self.copier.bytes_again(descriptor, bytes.clone()).await,
            None => self.copier.blob_again(descriptor).await,
        });
        try_join_all(offers).await.map(drop)
    }
}

/// The manifests below the root, each digest once, by their height above the leaves.
struct Levels<'a> {
    overlay: &'a Overlay,
    heights: HashMap<&'a Digest, usize>,
    by_height: Vec<Vec<&'a Descriptor>>,
}

impl<'a> Levels<'a> {
    /// Adds everything below a manifest, and returns the manifest's height.
    fn below(&mut self, manifest: &'a Manifest) -> usize {
        let children = manifest.children().iter().filter(|child| child.is_manifest());
        children.map(|child| self.child(child) + 1).max().unwrap_or(0)
    }

    fn child(&mut self, child: &'a Descriptor) -> usize {
        if let Some(height) = self.heights.get(&child.digest) {
            return *height;
        }
        let Some(planned) = self.overlay.planned(&child.digest) else { return 0 };
        let height = self.below(&planned.manifest);
        self.heights.insert(&child.digest, height);
        self.by_height.resize_with(self.by_height.len().max(height + 1), Vec::new);
        self.by_height[height].push(child);
        height
    }
}

//! Whether the destination has all that an image points to, as it answers in this run.

use crate::error::{Kind, Result};
use crate::image::{Descriptor, Digest, Manifest};
use crate::read::Limits;
use crate::transport::{Sink, Source};
use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// How closely the destination is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The children of indexes.
    Children,
    /// Every blob as well.
    Blobs,
}

/// Asks the destination, for each digest once.
pub struct Presence<'a> {
    sink: &'a dyn Sink,
    /// The destination as a place to read from.
    place: Option<Arc<dyn Source>>,
    depth: Depth,
    asked: Mutex<HashSet<Digest>>,
    limits: Limits,
}

impl<'a> Presence<'a> {
    /// Nothing is asked yet.
    pub fn new(sink: &'a Arc<dyn Sink>, depth: Depth) -> Self {
        let place = sink.clone().as_source();
        Presence { sink: &**sink, place, depth, asked: Mutex::default(), limits: Limits::default() }
    }

    /// Whether all is there that a manifest of the destination points to.
    pub async fn is_whole(&self, manifest: &Manifest) -> Result<bool> {
        self.below(manifest, 0).await
    }

    fn below<'s>(&'s self, manifest: &'s Manifest, depth: usize) -> BoxFuture<'s, Result<bool>> {
        async move {
            if !manifest.children().is_empty() {
                self.limits.enter(manifest, depth)?;
            }
            let children = manifest.children().iter().map(|child| self.child(child, depth).boxed());
            let blobs = manifest.blobs().into_iter().filter(|blob| !blob.is_foreign());
            let blobs = blobs.filter(|_| self.depth == Depth::Blobs).map(|blob| self.has(blob).boxed());
            let answers = try_join_all(children.chain(blobs)).await?;
            Ok(answers.into_iter().all(|is_there| is_there))
        }
        .boxed()
    }

    async fn child(&self, child: &Descriptor, depth: usize) -> Result<bool> {
        let is_read = child.is_index() || (child.is_manifest() && self.depth == Depth::Blobs);
        let Some(place) = self.place.as_ref().filter(|_| is_read) else { return self.has(child).await };
        if !self.is_new(child) {
            return Ok(true);
        }
        match place.child(child).await {
            Ok(manifest) => self.below(&manifest, depth + 1).await,
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Verification) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        // Whoever asked first tells.
        if self.is_new(descriptor) { self.sink.has(descriptor).await } else { Ok(true) }
    }

    fn is_new(&self, descriptor: &Descriptor) -> bool {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(descriptor.digest.clone())
    }
}

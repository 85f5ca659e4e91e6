//! The destination's answers in this run: each question is asked once.

use super::relation::Relation;
use crate::error::{Kind, Result};
use crate::image::{Descriptor, Digest, Manifest};
use crate::read::{Limits, Reader};
use crate::transport::Sink;
use futures_util::future::{BoxFuture, FutureExt, Shared, ready, try_join_all};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How closely the destination is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Checks the children of indexes.
    Children,
    /// Checks every blob as well.
    Blobs,
    /// Checks the content of every blob as well, if that needs no transfer.
    Content,
}

type Answer = Shared<BoxFuture<'static, Result<bool>>>;

/// Asks the destination and keeps its answers.
pub struct Destination {
    sink: Arc<dyn Sink>,
    /// Reads from the destination, if it can be read.
    reader: Option<Arc<Reader>>,
    /// The answers, by digest and by whether the content was checked.
    answers: Mutex<HashMap<(Digest, bool), Answer>>,
}

impl Destination {
    /// Creates a destination without answers. It shares the reader `source` if both are the same place.
    pub fn new(sink: Arc<dyn Sink>, source: &Arc<Reader>) -> Self {
        let is_one = Relation::between(&**source.source(), &*sink) == Relation::Same;
        let reader = match sink.clone().as_source() {
            Some(_) if is_one => Some(source.clone()),
            place => place.map(|place| Arc::new(Reader::new(place))),
        };
        Destination { sink, reader, answers: Mutex::default() }
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<(Digest, bool), Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a reader for the destination, if it can be read.
    pub fn reader(&self) -> Option<&Reader> {
        self.reader.as_deref()
    }

    /// Returns whether the destination has a manifest or a blob.
    pub async fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        self.ask(descriptor, false).await
    }

    async fn ask(&self, descriptor: &Descriptor, reads: bool) -> Result<bool> {
        let answer = {
            let (sink, descriptor) = (self.sink.clone(), descriptor.clone());
            let key = (descriptor.digest.clone(), reads);
            let ask = async move {
                match reads {
                    true => sink.has_intact(&descriptor).await,
                    false => sink.has(&descriptor).await,
                }
            };
            self.answers().entry(key).or_insert_with(|| ask.boxed().shared()).clone()
        };
        answer.await
    }

    /// Records that the destination has something, because it was read from there.
    pub fn note(&self, digest: &Digest) {
        self.answers().insert((digest.clone(), false), ready(Ok(true)).boxed().shared());
    }

    /// Returns whether the destination has everything that one of its manifests refers to.
    pub async fn is_whole(&self, manifest: &Manifest, depth: Depth) -> Result<bool> {
        let look = Look { destination: self, depth, seen: Mutex::default(), limits: Limits::default() };
        look.below(manifest, 0).await
    }
}

/// A traversal of the destination's image.
struct Look<'a> {
    destination: &'a Destination,
    depth: Depth,
    /// The manifests that were visited.
    seen: Mutex<HashSet<Digest>>,
    limits: Limits,
}

impl Look<'_> {
    fn below<'s>(&'s self, manifest: &'s Manifest, depth: usize) -> BoxFuture<'s, Result<bool>> {
        async move {
            if !manifest.children().is_empty() {
                self.limits.enter(manifest, depth)?;
            }
            let children = manifest.children().iter().map(|child| self.child(child, depth).boxed());
            let blobs = manifest.blobs().into_iter().filter(|blob| !blob.is_foreign());
            let blobs = blobs.filter(|_| self.depth >= Depth::Blobs);
            let reads = self.depth == Depth::Content;
            let answers =
                try_join_all(children.chain(blobs.map(|b| self.destination.ask(b, reads).boxed()))).await?;
            Ok(answers.into_iter().all(|is_there| is_there))
        }
        .boxed()
    }

    async fn child(&self, child: &Descriptor, depth: usize) -> Result<bool> {
        let is_read = child.is_index() || (child.is_manifest() && self.depth >= Depth::Blobs);
        let Some(reader) = self.destination.reader().filter(|_| is_read) else {
            return self.destination.has(child).await;
        };
        if !self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(child.digest.clone()) {
            // The first visit reports on it.
            return Ok(true);
        }
        match reader.child(child).await {
            Ok(manifest) => self.below(&manifest, depth + 1).await,
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Verification) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

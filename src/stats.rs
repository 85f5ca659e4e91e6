//! Counters of a run.

use crate::error::{Kind, Result};
use crate::image::Digest;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What was done, counted where it is done.
#[derive(Debug, Default)]
pub struct Stats {
    /// HTTP requests, those for tokens and those that were repeated included.
    pub requests: AtomicU64,
    /// Bytes of manifests and blobs read.
    pub bytes_pulled: AtomicU64,
    /// Bytes of manifests and blobs written.
    pub bytes_pushed: AtomicU64,
    /// Blobs that the destination took over from another repository.
    pub blobs_mounted: AtomicU64,
    /// Blobs that the destination had.
    pub blobs_existing: AtomicU64,
    /// Blobs that were sent.
    pub blobs_copied: AtomicU64,
    /// Requests that were repeated.
    pub retries: AtomicU64,
    /// The destination's tag.
    pub tag: Tag,
}

/// Whether the destination's tag was moved, for a run that is interrupted.
#[derive(Debug, Default)]
pub struct Tag(Mutex<TagState>);

/// How far the tag has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TagState {
    /// It is where it was.
    #[default]
    Untouched,
    /// It is being moved to this digest, and may point there already.
    Moving(Digest),
    /// It points to this digest.
    Moved(Digest),
}

impl Tag {
    /// Follows `put`, which moves the tag to a digest and returns the one that it has there.
    pub async fn moving(&self, to: &Digest, put: impl Future<Output = Result<Digest>>) -> Result<Digest> {
        self.set(TagState::Moving(to.clone()));
        let outcome = put.await;
        match &outcome {
            Ok(digest) => self.set(TagState::Moved(digest.clone())),
            // Where the connection broke, the other side may have done it all the same.
            Err(error) if error.kind() == Kind::Network && !error.is_missing_part() => {}
            Err(_) => self.set(TagState::Untouched),
        }
        outcome
    }

    /// How far it has come.
    pub fn state(&self) -> TagState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: TagState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl Stats {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Reads a counter.
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

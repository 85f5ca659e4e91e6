//! Counters of a run.

use crate::error::{Kind, Result};
use crate::image::Digest;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The counters of a run.
#[derive(Debug, Default)]
pub struct Stats {
    /// HTTP requests, including those for tokens and retries.
    pub requests: AtomicU64,
    /// Bytes of manifests and blobs read.
    pub bytes_pulled: AtomicU64,
    /// Bytes of manifests and blobs written.
    pub bytes_pushed: AtomicU64,
    /// Blobs mounted from another repository of the destination.
    pub blobs_mounted: AtomicU64,
    /// Blobs that the destination already had.
    pub blobs_existing: AtomicU64,
    /// Blobs that were uploaded.
    pub blobs_copied: AtomicU64,
    /// Requests that were retried.
    pub retries: AtomicU64,
    /// The state of the destination's tag.
    pub tag: Tag,
}

/// The state of the destination's tag, for reporting an interrupted run.
#[derive(Debug, Default)]
pub struct Tag(Mutex<TagState>);

/// The state of moving a tag.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TagState {
    /// The tag was not moved.
    #[default]
    Untouched,
    /// The tag is being moved to this digest, and may already refer to it.
    Moving(Digest),
    /// The tag refers to this digest.
    Moved(Digest),
}

impl Tag {
    /// Awaits `put`, which moves the tag to a digest and returns its digest at the destination.
    pub async fn moving(&self, to: &Digest, put: impl Future<Output = Result<Digest>>) -> Result<Digest> {
        self.set(TagState::Moving(to.clone()));
        let outcome = put.await;
        match &outcome {
            Ok(digest) => self.set(TagState::Moved(digest.clone())),
            // If the connection failed, the registry may have moved the tag nevertheless.
            Err(error) if error.kind() == Kind::Network && !error.is_missing_part() => {}
            Err(_) => self.set(TagState::Untouched),
        }
        outcome
    }

    /// Returns the state of the tag.
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

    /// Returns the value of a counter.
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

//! Counters of a run.

use std::sync::atomic::{AtomicU64, Ordering};

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

//! The blobs that are being sent, for progress displays.

use crate::error::Result;
use crate::image::{Descriptor, Digest, Manifest};
use crate::transport::{BlobStream, Head, ImageName, Origin, Referrer, Source};
use async_trait::async_trait;
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The transfers of all jobs that share it.
#[derive(Debug, Clone, Default)]
pub struct Transfers(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    active: BTreeMap<u64, Arc<Progress>>,
    done: Total,
}

/// A number of blobs, and their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// The number of blobs.
    pub blobs: u64,
    /// The number of bytes.
    pub bytes: u64,
}

impl Total {
    /// Adds blobs. Manifests may state any sizes, so the sum may be too large to be counted.
    fn add(&mut self, blobs: u64, bytes: u64) {
        self.blobs += blobs;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// The state of all transfers at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The transfers in progress, the oldest first.
    pub active: Vec<Active>,
    /// The bytes and whole blobs sent so far.
    pub sent: Total,
    /// The bytes and blobs sent so far or known to be left.
    pub known: Total,
}

/// One transfer at one moment.
#[derive(Debug, Clone)]
pub struct Active {
    /// The blob.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
    /// The number of bytes read from the source in the last attempt.
    pub sent: u64,
    /// The time since the first byte.
    pub elapsed: Duration,
}

#[derive(Debug)]
struct Progress {
    digest: Digest,
    size: u64,
    sent: AtomicU64,
    begun: OnceLock<Instant>,
}

/// A transfer. It counts as cancelled, or as not needed, if it is dropped before [`Transfer::finish`].
pub struct Transfer {
    all: Transfers,
    number: u64,
    progress: Arc<Progress>,
}

impl Transfers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a transfer that may be needed. It is shown once it begins; until then it counts as left.
    pub fn add(&self, blob: &Descriptor) -> Transfer {
        let (digest, size) = (blob.digest.clone(), blob.size);
        let progress = Arc::new(Progress { digest, size, sent: AtomicU64::new(0), begun: OnceLock::new() });
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.active.insert(number, progress.clone());
        Transfer { all: self.clone(), number, progress }
    }

    /// Returns the state at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        let mut snapshot = Snapshot { active: Vec::new(), sent: state.done, known: state.done };
        for progress in state.active.values() {
            let sent = progress.sent.load(Ordering::Relaxed).min(progress.size);
            snapshot.sent.add(0, sent);
            snapshot.known.add(1, progress.size);
            if let Some(begun) = progress.begun.get() {
                let (digest, size, elapsed) = (progress.digest.clone(), progress.size, begun.elapsed());
                snapshot.active.push(Active { digest, size, sent, elapsed });
            }
        }
        snapshot
    }
}

impl Transfer {
    /// Returns the source with its bytes counted.
    pub fn counted<'s>(&self, source: &'s dyn Source) -> Counted<'s> {
        Counted { source, progress: self.progress.clone() }
    }

    /// Records that the destination has the blob.
    pub fn finish(self) {
        let mut state = self.all.lock();
        state.done.add(1, self.progress.size);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.all.lock().active.remove(&self.number);
    }
}

/// A source whose bytes are counted.
pub struct Counted<'a> {
    source: &'a dyn Source,
    progress: Arc<Progress>,
}

#[async_trait]
impl Source for Counted<'_> {
    async fn manifest(&self) -> Result<Manifest> {
        self.source.manifest().await
    }

    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest> {
        self.source.child(descriptor).await
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        let stream = self.source.blob(descriptor).await?;
        let progress = self.progress.clone();
        progress.begun.get_or_init(Instant::now);
        // A retry starts over.
        progress.sent.store(0, Ordering::Relaxed);
        let counted = stream.inspect(move |piece| {
            if let Ok(bytes) = piece {
                progress.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
        });
        Ok(counted.boxed())
    }

    async fn head(&self) -> Result<Option<Head>> {
        self.source.head().await
    }

    async fn referrers(&self, digest: &Digest) -> Result<Vec<Referrer>> {
        self.source.referrers(digest).await
    }

    async fn names(&self) -> Result<Vec<ImageName>> {
        self.source.names().await
    }

    fn origin(&self) -> Option<Origin> {
        self.source.origin()
    }

    fn keeps_manifests(&self) -> bool {
        self.source.keeps_manifests()
    }

    fn is_local(&self) -> bool {
        self.source.is_local()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_transfers_that_wait_run_and_end() {
        let transfers = Transfers::default();
        let blob = |size| Descriptor::new("application/octet-stream", Digest::sha256("x"), size);
        let (first, second) = (transfers.add(&blob(10)), transfers.add(&blob(5)));
        first.progress.begun.get_or_init(Instant::now);
        first.progress.sent.store(4, Ordering::Relaxed);
        let snapshot = transfers.snapshot();
        assert_eq!(snapshot.active.len(), 1, "the second has not begun");
        assert_eq!(snapshot.known, Total { blobs: 2, bytes: 15 });
        assert_eq!(snapshot.sent, Total { blobs: 0, bytes: 4 });
        first.finish();
        drop(second);
        let snapshot = transfers.snapshot();
        assert!(snapshot.active.is_empty());
        assert_eq!(snapshot.known, Total { blobs: 1, bytes: 10 }, "a cancelled transfer is not counted");
        assert_eq!(snapshot.sent, snapshot.known);
    }

    #[test]
    fn sizes_of_any_sum_are_counted() {
        let transfers = Transfers::default();
        let blob = |size| Descriptor::new("application/octet-stream", Digest::sha256("x"), size);
        let all = [transfers.add(&blob(1 << 63)), transfers.add(&blob(1 << 63)), transfers.add(&blob(1))];
        assert_eq!(transfers.snapshot().known, Total { blobs: 3, bytes: u64::MAX });
        all.into_iter().for_each(Transfer::finish);
        assert_eq!(transfers.snapshot().sent, Total { blobs: 3, bytes: u64::MAX });
    }
}

//! State shared by all jobs of a process: memory for streams, and which repositories have which blobs, so
//! that a blob is sent once for all jobs and mounted elsewhere.

use super::transfers::Transfers;
use crate::image::Digest;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// Memory used per streaming blob, for buffers of both connections.
const STREAM: u64 = 2 << 20;
/// The unit of that memory. Small blobs take fewer units, so that more of them stream at once.
const SHARE: u64 = 128 << 10;

/// The units that a large blob takes.
const STREAM_SHARES: u32 = (STREAM / SHARE) as u32;

/// The number of blobs in a generation; two generations are kept.
const GENERATION: usize = 4096;
/// The lifetime of a generation. A registry may delete blobs that were last seen longer ago.
const LIFETIME: Duration = Duration::from_secs(300);
/// The number of large blobs that stream at once by default. More are not faster, and each takes 2 MB of memory.
const STREAMS: usize = 4;
/// The number of repositories that are kept for a blob.
const REPOSITORIES: usize = 256;

/// Returns the units of memory that a blob of this size takes.
fn shares(size: u64) -> u32 {
    let pieces = size.min(STREAM - SHARE).div_ceil(SHARE) + 1;
    u32::try_from(pieces).unwrap_or(STREAM_SHARES)
}

/// State shared by all jobs.
#[derive(Debug)]
pub struct SharedState {
    /// The number of large blobs that stream at once.
    streams: usize,
    /// The units of memory for streams.
    shares: Arc<Semaphore>,
    transfers: Transfers,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    begun: Instant,
    young: HashMap<(String, Digest), Arc<Spot>>,
    old: HashMap<(String, Digest), Arc<Spot>>,
    /// New blobs that a job announced for a store.
    announced: HashSet<(String, Digest)>,
}

/// A blob in a store.
#[derive(Debug, Default)]
pub struct Spot {
    /// The repositories that have it.
    repositories: Mutex<Vec<String>>,
    /// Locked while the first of several jobs sends the blob.
    lead: Arc<tokio::sync::Mutex<()>>,
    /// Locked while the blob is sent to a repository, because registries confuse concurrent uploads of one
    /// blob.
    uploads: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Default for SharedState {
    fn default() -> Self {
        SharedState::new(STREAMS)
    }
}

impl SharedState {
    /// Creates an empty state. Up to `streams` large blobs are streamed at once, or more small ones.
    pub fn new(streams: usize) -> Self {
        let streams = streams.max(1);
        let state = State {
            begun: Instant::now(),
            young: HashMap::new(),
            old: HashMap::new(),
            announced: HashSet::new(),
        };
        let shares = Arc::new(Semaphore::new(streams * STREAM_SHARES as usize));
        SharedState { streams, shares, transfers: Transfers::default(), state: Mutex::new(state) }
    }

    /// Returns how many large blobs stream at once.
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// Returns the transfers of all jobs.
    pub fn transfers(&self) -> &Transfers {
        &self.transfers
    }

    /// Waits for the memory to stream a blob of this size.
    pub async fn memory(&self, size: u64) -> Option<OwnedSemaphorePermit> {
        // This fails only if the semaphore is closed, which never happens.
        self.shares.clone().acquire_many_owned(shares(size)).await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the state of a blob in a store.
    pub fn spot(&self, store: &str, digest: &Digest) -> Arc<Spot> {
        let mut state = self.lock();
        if state.young.len() >= GENERATION || state.begun.elapsed() > LIFETIME {
            state.old = std::mem::take(&mut state.young);
            state.announced.clear();
            state.begun = Instant::now();
        }
        let key = (store.to_owned(), digest.clone());
        if let Some(spot) = state.young.get(&key) {
            return spot.clone();
        }
        let spot = state.old.remove(&key).unwrap_or_default();
        state.young.insert(key, spot.clone());
        spot
    }

    /// Announces a new blob for a store. Returns whether no other job did so before.
    pub fn announce(&self, store: &str, digest: &Digest) -> bool {
        self.lock().announced.insert((store.to_owned(), digest.clone()))
    }
}

impl Spot {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a repository has the blob.
    pub fn is_in(&self, repository: &str) -> bool {
        self.lock().iter().any(|known| known == repository)
    }

    /// Returns a repository that has the blob: always the first one known.
    pub fn anywhere(&self) -> Option<String> {
        self.lock().first().cloned()
    }

    /// Records that a repository has the blob.
    pub fn add(&self, repository: &str) {
        let mut repositories = self.lock();
        if !repositories.iter().any(|known| known == repository) && repositories.len() < REPOSITORIES {
            repositories.push(repository.to_owned());
        }
    }

    /// Records that a repository may not have the blob.
    pub fn remove(&self, repository: &str) {
        self.lock().retain(|known| known != repository);
    }

    /// Waits while another job is the first to send the blob.
    pub async fn lead(&self) -> OwnedMutexGuard<()> {
        self.lead.clone().lock_owned().await
    }

    /// Waits while another job sends the blob to the same repository.
    pub async fn upload(&self, repository: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
            uploads.retain(|_, lock| Arc::strong_count(lock) > 1);
            uploads.entry(repository.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_remembered_for_two_generations() {
        let shared_state = SharedState::new(1);
        let digest = |n: usize| Digest::sha256(n.to_string());
        shared_state.spot("r.example", &digest(0)).add("app");
        for n in 1..GENERATION {
            shared_state.spot("r.example", &digest(n));
        }
        assert!(!shared_state.spot("other.example", &digest(0)).is_in("app"));
        assert!(shared_state.spot("r.example", &digest(0)).is_in("app"));
        for n in 0..2 * GENERATION {
            shared_state.spot("r.example", &digest(n + GENERATION));
        }
        assert!(!shared_state.spot("r.example", &digest(0)).is_in("app"));
        let state = shared_state.lock();
        assert!(state.young.len() + state.old.len() <= 2 * GENERATION);
    }

    #[tokio::test]
    async fn one_upload_to_a_repository_waits_for_another() {
        use futures_util::FutureExt;
        let spot = Spot::default();
        let first = spot.upload("app").await;
        assert!(spot.upload("app").now_or_never().is_none());
        assert!(spot.upload("other").now_or_never().is_some());
        drop(first);
        assert!(spot.upload("app").now_or_never().is_some());
    }
}

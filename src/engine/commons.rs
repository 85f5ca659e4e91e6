//! What the jobs of one process share: memory for streams, and where blobs were found or put, so that a blob moves once
//! for all of them and is mounted from there.

use super::transfers::Transfers;
use crate::image::Digest;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// Memory used per streaming blob: pieces of it in buffers of both connections.
const STREAM: u64 = 2 << 20;
/// A share of that; a small blob takes fewer, so that many of them go at once.
const SHARE: u64 = 128 << 10;

/// The shares of a large blob.
const STREAM_SHARES: u32 = (STREAM / SHARE) as u32;

/// Blobs that are remembered in a generation; two generations are kept.
const GENERATION: usize = 4096;
/// How long a generation lasts. A registry may delete what is older than two of them.
const LIFETIME: Duration = Duration::from_secs(300);
/// Repositories that are remembered for a blob.
const REPOSITORIES: usize = 256;

/// The shares that a blob of this size takes.
fn shares(size: u64) -> u32 {
    let pieces = size.min(STREAM - SHARE).div_ceil(SHARE) + 1;
    u32::try_from(pieces).unwrap_or(STREAM_SHARES)
}

/// Shared by all jobs of a run.
#[derive(Debug)]
pub struct Commons {
    /// How many large blobs stream at once.
    streams: usize,
    /// Shares of the memory for streams.
    shares: Arc<Semaphore>,
    transfers: Transfers,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    begun: Instant,
    young: HashMap<(String, Digest), Arc<Spot>>,
    old: HashMap<(String, Digest), Arc<Spot>>,
    /// New blobs that a job has announced for a store.
    announced: HashSet<(String, Digest)>,
}

/// One blob in one store.
#[derive(Debug, Default)]
pub struct Spot {
    /// The repositories that have it.
    repositories: Mutex<Vec<String>>,
    /// Held while the first of several jobs sends it.
    lead: Arc<tokio::sync::Mutex<()>>,
    /// Held while it is sent to a repository: registries mix up two uploads of one blob.
    uploads: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Commons {
    /// Nothing is known yet. Up to `streams` large blobs are streamed at once, or more small ones.
    pub fn new(streams: usize) -> Self {
        let streams = streams.max(1);
        let state = State {
            begun: Instant::now(),
            young: HashMap::new(),
            old: HashMap::new(),
            announced: HashSet::new(),
        };
        let shares = Arc::new(Semaphore::new(streams * STREAM_SHARES as usize));
        Commons { streams, shares, transfers: Transfers::default(), state: Mutex::new(state) }
    }

    /// How many large blobs stream at once.
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// Returns the blobs that are being sent.
    pub fn transfers(&self) -> &Transfers {
        &self.transfers
    }

    /// Waits for the memory that a blob of this size streams through.
    pub async fn memory(&self, size: u64) -> Option<OwnedSemaphorePermit> {
        // It fails only if the semaphore is closed, which it never is.
        self.shares.clone().acquire_many_owned(shares(size)).await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a blob in a store.
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

    /// Announces a new blob for a store. Returns whether no other job did.
    pub fn announce(&self, store: &str, digest: &Digest) -> bool {
        self.lock().announced.insert((store.to_owned(), digest.clone()))
    }
}

impl Spot {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a repository has the blob.
    pub fn is_in(&self, repository: &str) -> bool {
        self.lock().iter().any(|known| known == repository)
    }

    /// A repository that has the blob: the first, from which most were mounted already.
    pub fn anywhere(&self) -> Option<String> {
        self.lock().first().cloned()
    }

    /// Notes that a repository has the blob.
    pub fn add(&self, repository: &str) {
        let mut repositories = self.lock();
        if !repositories.iter().any(|known| known == repository) && repositories.len() < REPOSITORIES {
            repositories.push(repository.to_owned());
        }
    }

    /// Notes that a repository may lack the blob.
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
        let commons = Commons::new(1);
        let digest = |n: usize| Digest::sha256(n.to_string());
        commons.spot("r.example", &digest(0)).add("app");
        for n in 1..GENERATION {
            commons.spot("r.example", &digest(n));
        }
        assert!(!commons.spot("other.example", &digest(0)).is_in("app"));
        assert!(commons.spot("r.example", &digest(0)).is_in("app"));
        for n in 0..2 * GENERATION {
            commons.spot("r.example", &digest(n + GENERATION));
        }
        assert!(!commons.spot("r.example", &digest(0)).is_in("app"));
        let state = commons.lock();
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

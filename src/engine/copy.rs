//! The copy engine: which blobs have to be moved, how, and each of them once. It knows neither HTTP nor
//! the fields of configs.

use crate::error::{Error, Result};
use crate::image::{Descriptor, Digest};
use crate::stats::{Stats, Tag};
use crate::transport::{Offer, Payload, Sink, Slot, Source};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, Shared};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

/// Where blobs of the source are, seen from the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// In the same repository: nothing has to be moved.
    Same,
    /// In another repository of the same store, which may hand them over.
    Sibling(String),
    /// Elsewhere.
    Foreign,
}

impl Relation {
    /// The relation of two places.
    pub fn between(source: &dyn Source, sink: &dyn Sink) -> Self {
        match (source.origin(), sink.origin()) {
            (Some(from), Some(to)) if from == to => Relation::Same,
            (Some(from), Some(to)) if from.store == to.store => Relation::Sibling(from.repository),
            _ => Relation::Foreign,
        }
    }
}

/// What is in memory of a blob on its way: pieces of it in buffers of both connections.
const STREAM: u64 = 2 << 20;
/// A share of that; a small blob takes fewer, so that many of them go at once.
const SHARE: u64 = 128 << 10;

/// How many moves are begun at once: more than there are requests, but an index may need thousands.
const BEGUN: usize = 128;

type Move = Shared<BoxFuture<'static, Result<()>>>;

/// Moves blobs from one place to another: each digest once a run, many at a time, in the background.
pub struct Copier {
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    relation: Relation,
    state: Mutex<State>,
    /// Shares of the memory for streams.
    shares: Arc<Semaphore>,
    /// Moves that may be begun.
    gate: Arc<Semaphore>,
    stats: Arc<Stats>,
}

#[derive(Default)]
struct State {
    /// What the destination is known to have.
    has: HashSet<Digest>,
    moves: HashMap<Digest, Move>,
    /// Uploads that were opened before they were needed; any of them does for any blob.
    opened: VecDeque<JoinHandle<Result<Option<Slot>>>>,
    /// Ended with the copier.
    background: JoinSet<()>,
}

impl Copier {
    /// A copier that streams up to `streams` large blobs at once, or more small ones.
    pub fn new(source: Arc<dyn Source>, sink: Arc<dyn Sink>, streams: usize, stats: Arc<Stats>) -> Self {
        let relation = Relation::between(&*source, &*sink);
        let shares = Arc::new(Semaphore::new(streams.max(1) * shares(u64::MAX) as usize));
        let gate = Arc::new(Semaphore::new(BEGUN));
        Copier { source, sink, relation, state: Mutex::default(), shares, gate, stats }
    }

    /// The destination's tag, to be followed when it moves.
    pub fn tag(&self) -> &Tag {
        &self.stats.tag
    }

    /// How the two places stand to each other.
    pub fn relation(&self) -> &Relation {
        &self.relation
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the destination has: what its present image is made of need not be asked for.
    pub fn knows(&self, digests: impl IntoIterator<Item = Digest>) {
        self.lock().has.extend(digests);
    }

    /// Whether the destination has something of the source.
    pub fn has(&self, digest: &Digest) -> bool {
        self.relation == Relation::Same || self.knows_of(digest)
    }

    /// Whether the destination's present image holds something.
    pub fn knows_of(&self, digest: &Digest) -> bool {
        self.lock().has.contains(digest)
    }

    /// Begins to move a blob, if that was not begun already.
    pub fn start(&self, descriptor: &Descriptor) {
        let (moving, is_new) = self.moving(descriptor);
        if is_new {
            self.lock().background.spawn(moving.map(drop));
        }
    }

    /// Moves a blob, or waits for it to be moved.
    pub async fn blob(&self, descriptor: &Descriptor) -> Result<()> {
        let (moving, _) = self.moving(descriptor);
        moving.await
    }

    fn moving(&self, descriptor: &Descriptor) -> (Move, bool) {
        // Engines fetch foreign layers from elsewhere, so there is nothing to move.
        if self.has(&descriptor.digest) || descriptor.is_foreign() {
            return (futures_util::future::ready(Ok(())).boxed().shared(), false);
        }
        let mut state = self.lock();
        if let Some(moving) = state.moves.get(&descriptor.digest) {
            return (moving.clone(), false);
        }
        let from = match &self.relation {
            Relation::Sibling(repository) => Some(repository.clone()),
            _ => None,
        };
        let one = OneMove {
            source: self.source.clone(),
            sink: self.sink.clone(),
            from,
            descriptor: descriptor.clone(),
            shares: self.shares.clone(),
            stats: self.stats.clone(),
        };
        let gate = self.gate.clone();
        // One that waits is no more than its name: boxed when it begins.
        let moving = async move {
            let _begun = gate.acquire().await;
            one.run().boxed().await
        };
        let moving: Move = moving.boxed().shared();
        state.moves.insert(descriptor.digest.clone(), moving.clone());
        (moving, true)
    }

    /// Opens an upload in the background: for the next bytes that are sent. Those that nobody takes are given up
    /// with the sink.
    pub fn open_early(&self) {
        let sink = self.sink.clone();
        let opening = tokio::spawn(async move { sink.open().await });
        self.lock().opened.push_back(opening);
    }

    /// Sends bytes at hand, once a digest.
    pub async fn bytes(&self, descriptor: &Descriptor, bytes: Bytes) -> Result<()> {
        let (sink, stats, target) = (self.sink.clone(), self.stats.clone(), descriptor.clone());
        // Whoever comes first sends.
        let sending = {
            let mut state = self.lock();
            let known =
                state.has.contains(&descriptor.digest) || state.moves.contains_key(&descriptor.digest);
            (!known).then(|| {
                let opened = state.opened.pop_front();
                let sending = async move {
                    let slot = match opened {
                        Some(task) => task
                            .await
                            .unwrap_or_else(|e| Err(Error::other(format!("a task ended early: {e}"))))?,
                        None => None,
                    };
                    sink.put(slot, &target, Payload::Bytes(bytes)).await?;
                    Stats::add(&stats.blobs_copied, 1);
                    Ok(())
                };
                let sending: Move = sending.boxed().shared();
                state.moves.insert(descriptor.digest.clone(), sending.clone());
                sending
            })
        };
        match sending {
            Some(sending) => sending.await,
            None => self.blob(descriptor).await,
        }
    }
}

struct OneMove {
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    from: Option<String>,
    descriptor: Descriptor,
    shares: Arc<Semaphore>,
    stats: Arc<Stats>,
}

/// The shares that a blob of this size takes.
fn shares(size: u64) -> u32 {
    let pieces = size.min(STREAM - SHARE).div_ceil(SHARE) + 1;
    // At most STREAM / SHARE.
    u32::try_from(pieces).unwrap_or(1)
}

impl OneMove {
    async fn run(self) -> Result<()> {
        let slot = match self.sink.offer(&self.descriptor, self.from.as_deref()).await? {
            Offer::Mounted => {
                Stats::add(&self.stats.blobs_mounted, 1);
                return Ok(());
            }
            Offer::Existing => {
                Stats::add(&self.stats.blobs_existing, 1);
                return Ok(());
            }
            Offer::Wanted(slot) => slot,
        };
        // The upload is open by the time it is this blob's turn.
        let opening = async {
            match slot {
                Some(slot) => Ok(Some(slot)),
                None => self.sink.open().await,
            }
        };
        let (_turn, slot) = tokio::join!(self.shares.acquire_many(shares(self.descriptor.size)), opening);
        let slot = slot?;
        self.sink.put(slot, &self.descriptor, Payload::Blob(&*self.source, &self.descriptor)).await?;
        Stats::add(&self.stats.blobs_copied, 1);
        Ok(())
    }
}

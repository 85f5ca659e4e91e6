//! The copy engine: decides which blobs to move and how, and moves each of them once. It knows neither HTTP
//! nor the fields of configs.
//!
//! That the destination has something is [`Claimed`] if only its current image says so, and [`Checked`] if
//! the destination confirmed it in this run: it answered a request, or accepted the blob. Only this module
//! creates both.

use super::destination::Destination;
use super::relation::Relation;
use super::shared_state::{SharedState, Spot};
use super::transfers::Transfer;
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

/// The number of moves in progress. This exceeds the number of concurrent requests, but an index may need
/// thousands of moves.
const BEGUN: usize = 128;

/// A digest that the destination should have, because its current image refers to it or the source is in the
/// same repository. No tag may rely on a claim, unless the destination refuses manifests with missing parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed(Digest);

/// A digest that the destination confirmed in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked(Digest);

/// The state of a manifest's part at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The destination has it.
    Checked(Checked),
    /// The destination should have it.
    Claimed(Claimed),
    /// A foreign layer, which engines fetch from elsewhere.
    Foreign,
}

type Move = Shared<BoxFuture<'static, Result<Checked>>>;

/// Copies blobs from one place to another in the background: many at a time, and each digest once per run.
pub struct Copier {
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    destination: Arc<Destination>,
    relation: Relation,
    state: Mutex<State>,
    /// State shared by all jobs.
    shared_state: Arc<SharedState>,
    /// Limits the moves in progress.
    gate: Arc<Semaphore>,
    stats: Arc<Stats>,
    /// Whether claims are trusted.
    believes: bool,
}

#[derive(Default)]
struct State {
    /// The digests that the destination's current image refers to.
    claims: HashSet<Digest>,
    moves: HashMap<Digest, Move>,
    /// Uploads opened in advance; each can serve any blob.
    opened: VecDeque<JoinHandle<Result<Option<Slot>>>>,
    /// Tasks that end with the copier.
    background: JoinSet<()>,
}

impl Copier {
    /// Creates a copier. With `believes` the blobs of the destination's image are claimed; otherwise the
    /// destination is asked for every blob.
    pub fn new(
        source: Arc<dyn Source>,
        sink: Arc<dyn Sink>,
        destination: Arc<Destination>,
        shared_state: Arc<SharedState>,
        believes: bool,
        stats: Arc<Stats>,
    ) -> Self {
        let relation = Relation::between(&*source, &*sink);
        let gate = Arc::new(Semaphore::new(BEGUN));
        Copier {
            source,
            sink,
            destination,
            relation,
            state: Mutex::default(),
            shared_state,
            gate,
            stats,
            believes,
        }
    }

    /// Returns the state of the destination's tag, which changes when it is moved.
    pub fn tag(&self) -> &Tag {
        &self.stats.tag
    }

    /// Returns the relation of source and destination.
    pub fn relation(&self) -> &Relation {
        &self.relation
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what the destination's current image refers to.
    pub fn claim(&self, digests: impl IntoIterator<Item = Digest>) {
        self.lock().claims.extend(digests);
    }

    /// Returns a claim that the destination has something of the source, if claims are trusted. A destination
    /// that accepts manifests with missing parts is asked for everything.
    pub fn claimed(&self, digest: &Digest) -> Option<Claimed> {
        let is_one = self.believes && self.relation == Relation::Same && self.sink.refuses_missing_parts();
        if is_one { Some(Claimed(digest.clone())) } else { self.claimed_there(digest) }
    }

    /// Returns a claim on something that the source may not have, so that only the destination's image
    /// counts.
    pub fn claimed_there(&self, digest: &Digest) -> Option<Claimed> {
        let counts = self.believes && self.sink.refuses_missing_parts();
        (counts && self.lock().claims.contains(digest)).then(|| Claimed(digest.clone()))
    }

    /// Asks the destination about a claim, once per run.
    pub async fn check(&self, claim: Claimed, descriptor: &Descriptor) -> Result<Option<Checked>> {
        Ok(self.destination.has(descriptor).await?.then_some(Checked(claim.0)))
    }

    /// Records that a manifest was read from the source, which may be the destination, too.
    pub fn was_read(&self, digest: &Digest) {
        if self.relation == Relation::Same {
            self.destination.note(digest);
        }
    }

    /// Starts to move a blob, unless that was started before.
    pub fn start(&self, descriptor: &Descriptor) {
        if self.believed(descriptor).is_some() {
            return;
        }
        let (moving, is_new) = self.moving(descriptor);
        if is_new {
            self.lock().background.spawn(moving.map(drop));
        }
    }

    /// Returns the state of a blob that need not be moved.
    pub fn believed(&self, descriptor: &Descriptor) -> Option<Part> {
        if descriptor.is_foreign() {
            return Some(Part::Foreign);
        }
        self.claimed(&descriptor.digest).map(Part::Claimed)
    }

    /// Moves a blob, or waits for its move, unless the destination is believed to have it.
    pub async fn blob(&self, descriptor: &Descriptor) -> Result<Part> {
        match self.believed(descriptor) {
            Some(part) => Ok(part),
            None => self.moving(descriptor).0.await.map(Part::Checked),
        }
    }

    /// Offers a blob again, whatever is known of it, because the destination reported a missing part.
    pub async fn blob_again(&self, descriptor: &Descriptor) -> Result<Part> {
        if descriptor.is_foreign() {
            return Ok(Part::Foreign);
        }
        self.one_move(descriptor).again(self.whole(descriptor)).await.map(Part::Checked)
    }

    fn one_move(&self, descriptor: &Descriptor) -> OneMove {
        let from = match &self.relation {
            Relation::Sibling(repository) => Some(repository.clone()),
            _ => None,
        };
        OneMove {
            source: self.source.clone(),
            sink: self.sink.clone(),
            from,
            descriptor: descriptor.clone(),
            shared_state: self.shared_state.clone(),
            stats: self.stats.clone(),
        }
    }

    /// Returns a blob of the source to move. It counts as left until then.
    fn whole(&self, descriptor: &Descriptor) -> Cargo {
        Cargo::Blob(self.shared_state.transfers().add(descriptor))
    }

    fn moving(&self, descriptor: &Descriptor) -> (Move, bool) {
        let mut state = self.lock();
        if let Some(moving) = state.moves.get(&descriptor.digest) {
            return (moving.clone(), false);
        }
        let (one, cargo, gate) = (self.one_move(descriptor), self.whole(descriptor), self.gate.clone());
        // Queued moves hold only the descriptor; the large future is boxed on start.
        let moving = async move {
            let _begun = gate.acquire().await;
            one.run(cargo).boxed().await
        };
        let moving: Move = moving.boxed().shared();
        state.moves.insert(descriptor.digest.clone(), moving.clone());
        (moving, true)
    }

    /// Returns whether this job is the first to announce a new blob, which then has to be sent and cannot be
    /// mounted.
    pub fn announces(&self, digest: &Digest) -> bool {
        self.sink.origin().is_none_or(|place| self.shared_state.announce(&place.store, digest))
    }

    /// Opens an upload in the background for the next bytes to send. Unused uploads are cancelled by
    /// [`Sink::release`].
    pub fn open_early(&self) {
        let sink = self.sink.clone();
        let opening = tokio::spawn(async move { sink.open().await });
        self.lock().opened.push_back(opening);
    }

    /// Sends bytes from memory, once per digest.
    pub async fn bytes(&self, descriptor: &Descriptor, bytes: Bytes) -> Result<Part> {
        // A blob of the destination's image is claimed, like any other.
        if let Some(claim) = self.claimed_there(&descriptor.digest) {
            return Ok(Part::Claimed(claim));
        }
        // The first caller sends.
        let sending = {
            let mut state = self.lock();
            match state.moves.get(&descriptor.digest) {
                Some(moving) => moving.clone(),
                None => {
                    let opened = state.opened.pop_front();
                    let sending = self.sending(opened, descriptor, bytes).boxed().shared();
                    state.moves.insert(descriptor.digest.clone(), sending.clone());
                    sending
                }
            }
        };
        sending.await.map(Part::Checked)
    }

    /// Sends bytes from memory again, whatever is known of them.
    pub async fn bytes_again(&self, descriptor: &Descriptor, bytes: Bytes) -> Result<Part> {
        self.one_move(descriptor).again(Cargo::Bytes(bytes, None)).await.map(Part::Checked)
    }

    fn sending(
        &self,
        opened: Option<JoinHandle<Result<Option<Slot>>>>,
        descriptor: &Descriptor,
        bytes: Bytes,
    ) -> impl Future<Output = Result<Checked>> + Send + use<> {
        let one = OneMove { from: None, ..self.one_move(descriptor) };
        let cargo = Cargo::Bytes(bytes, opened);
        async move { one.run(cargo).await }
    }
}

/// The content of a move.
enum Cargo {
    /// A blob of the source.
    Blob(Transfer),
    /// Bytes in memory, and an upload that was opened for them.
    Bytes(Bytes, Option<JoinHandle<Result<Option<Slot>>>>),
}

struct OneMove {
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    from: Option<String>,
    descriptor: Descriptor,
    shared_state: Arc<SharedState>,
    stats: Arc<Stats>,
}

impl OneMove {
    /// Moves the blob, unless another job of this process already knows that the destination has it.
    async fn run(self, cargo: Cargo) -> Result<Checked> {
        let Some(place) = self.sink.origin() else { return self.offer(cargo, None).await };
        let spot = self.shared_state.spot(&place.store, &self.descriptor.digest);
        let known = Known { spot: &spot, repository: &place.repository };
        if spot.is_in(&place.repository) {
            return Ok(self.existing());
        }
        let from = self.from.clone().or_else(|| spot.anywhere());
        if let Some(from) = from {
            return self.offer_from(cargo, Some(&from), known).await;
        }
        let lead = spot.lead().await;
        if spot.is_in(&place.repository) {
            return Ok(self.existing());
        }
        let from = spot.anywhere();
        // The first job sends alone; the others then mount together.
        let _lead = from.is_none().then_some(lead);
        self.offer_from(cargo, from.as_deref(), known).await
    }

    /// Moves the blob, whatever is known of it.
    async fn again(self, cargo: Cargo) -> Result<Checked> {
        if let Some(place) = self.sink.origin() {
            self.shared_state.spot(&place.store, &self.descriptor.digest).remove(&place.repository);
        }
        self.offer(cargo, None).await
    }

    fn checked(&self) -> Checked {
        Checked(self.descriptor.digest.clone())
    }

    fn existing(&self) -> Checked {
        Stats::add(&self.stats.blobs_existing, 1);
        self.checked()
    }

    async fn offer_from(&self, cargo: Cargo, from: Option<&str>, known: Known<'_>) -> Result<Checked> {
        let is_new = matches!(cargo, Cargo::Bytes(..)) && from.is_none();
        let slot = match is_new {
            // New bytes cannot be there already, so the destination is not asked.
            true => None,
            false => match self.sink.offer(&self.descriptor, from.or(self.from.as_deref())).await? {
                Offer::Mounted => {
                    known.spot.add(known.repository);
                    Stats::add(&self.stats.blobs_mounted, 1);
                    return Ok(self.checked());
                }
                Offer::Existing => {
                    known.spot.add(known.repository);
                    return Ok(self.existing());
                }
                Offer::Wanted(slot) => slot,
            },
        };
        let _one = known.spot.upload(known.repository).await;
        if known.spot.is_in(known.repository) {
            return Ok(self.existing());
        }
        let sent = self.send(cargo, slot).await?;
        known.spot.add(known.repository);
        Ok(sent)
    }

    /// Offers the blob without consulting what other jobs know.
    async fn offer(&self, cargo: Cargo, from: Option<&str>) -> Result<Checked> {
        let spot = Spot::default();
        self.offer_from(cargo, from, Known { spot: &spot, repository: "" }).await
    }

    async fn send(&self, cargo: Cargo, slot: Option<Slot>) -> Result<Checked> {
        match cargo {
            Cargo::Bytes(bytes, opened) => {
                let slot = match (slot, opened) {
                    (None, Some(task)) => task.await.unwrap_or_else(|e| {
                        Err(Error::other(format!("internal error: a background task failed: {e}")))
                    })?,
                    (slot, _) => slot,
                };
                self.sink.put(slot, &self.descriptor, Payload::Bytes(bytes)).await?;
            }
            Cargo::Blob(transfer) => {
                // The upload is opened while the blob waits for memory.
                let opening = async {
                    match slot {
                        Some(slot) => Ok(Some(slot)),
                        None => self.sink.open().await,
                    }
                };
                let (_memory, slot) = tokio::join!(self.shared_state.memory(self.descriptor.size), opening);
                let source = transfer.counted(&*self.source);
                self.sink.put(slot?, &self.descriptor, Payload::Blob(&source, &self.descriptor)).await?;
                transfer.finish();
            }
        }
        Stats::add(&self.stats.blobs_copied, 1);
        Ok(self.checked())
    }
}

/// What the jobs of this process know of a blob, and the repository to copy it to.
#[derive(Clone, Copy)]
struct Known<'a> {
    spot: &'a Spot,
    repository: &'a str,
}

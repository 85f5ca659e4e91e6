//! A bounded queue of images, in which events for the same image merge.

use super::intake::Wanted;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The result of queueing an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The image was added.
    Accepted,
    /// The image was in the queue already.
    Merged,
    /// The queue is full or closed.
    Full,
}

/// A bounded queue of images. Clones share the same queue.
#[derive(Debug, Clone)]
pub struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    capacity: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The keys in `waiting` that no worker has taken, in the order of their arrival.
    order: VecDeque<String>,
    waiting: HashMap<String, Wanted>,
    taken: HashSet<String>,
    is_closed: bool,
}

impl State {
    fn take(&mut self) -> Option<Wanted> {
        let wanted = self.waiting.remove(&self.order.pop_front()?)?;
        self.taken.insert(wanted.key.clone());
        Some(wanted)
    }
}

impl Queue {
    /// Creates a queue in which up to `capacity` images can wait. A delivery with more images than that is
    /// never accepted as a whole; [`MAX_EVENTS`](super::events::MAX_EVENTS) per entry of the configuration is
    /// always enough.
    pub fn new(capacity: usize) -> Self {
        Queue(Arc::new(Shared { capacity, state: Mutex::default(), changed: Notify::new() }))
    }

    /// Adds an image. If the image is in the queue already, the two merge and the newest digest is kept. If a
    /// worker has taken the image, it is queued again, because the worker may have read the state before the
    /// event.
    pub fn push(&self, wanted: Wanted) -> Pushed {
        let mut state = self.lock();
        if state.is_closed {
            return Pushed::Full;
        }
        if let Some(earlier) = state.waiting.get_mut(&wanted.key) {
            let digest = wanted.digest.clone().or(earlier.digest.take());
            *earlier = Wanted { digest, ..wanted };
            return Pushed::Merged;
        }
        if state.waiting.len() >= self.0.capacity {
            return Pushed::Full;
        }
        if !state.taken.contains(&wanted.key) {
            state.order.push_back(wanted.key.clone());
        }
        state.waiting.insert(wanted.key.clone(), wanted);
        drop(state);
        self.0.changed.notify_waiters();
        Pushed::Accepted
    }

    /// Waits for an image and takes it. No other worker gets the same image until the [`Work`] is dropped.
    /// Returns `None` when the queue is closed and empty.
    pub async fn take(&self) -> Option<Work> {
        loop {
            // Created before the state is read, so that no later change is missed.
            let changed = self.0.changed.notified();
            {
                let mut state = self.lock();
                if let Some(wanted) = state.take() {
                    return Some(Work { wanted, queue: self.clone() });
                }
                if state.is_closed && state.waiting.is_empty() {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Closes the queue: no more images are added, and the remaining ones can still be taken.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.0.changed.notify_waiters();
    }

    /// Closes the queue and waits until all of its images are done.
    pub async fn drain(&self) {
        self.close();
        loop {
            let changed = self.0.changed.notified();
            if self.is_idle() {
                return;
            }
            changed.await;
        }
    }

    /// Replaces each waiting image, for example after the configuration was reloaded. An image keeps its
    /// place and its key; it is dropped if `again` returns `None`. `again` must not use the queue.
    pub fn reconsider(&self, mut again: impl FnMut(&Wanted) -> Option<Wanted>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.waiting.retain(|key, wanted| match again(wanted) {
            Some(new) => {
                *wanted = Wanted { key: key.clone(), ..new };
                true
            }
            None => false,
        });
        state.order.retain(|key| state.waiting.contains_key(key));
        drop(guard);
        self.0.changed.notify_waiters();
    }

    /// Returns whether an image is waiting.
    pub fn is_waiting(&self, key: &str) -> bool {
        self.lock().waiting.contains_key(key)
    }

    /// Returns the number of images waiting for a worker.
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Returns whether no image is waiting.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether no image is waiting or being processed.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && state.taken.is_empty()
    }

    /// Returns whether the queue is closed.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    fn done(&self, key: &str) {
        let mut state = self.lock();
        state.taken.remove(key);
        if state.waiting.contains_key(key) {
            state.order.push_back(key.to_owned());
        }
        drop(state);
        self.0.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An image that a worker has taken. Dropping it marks the image as done, whether the work succeeded or not.
#[derive(Debug)]
pub struct Work {
    wanted: Wanted,
    queue: Queue,
}

impl Deref for Work {
    type Target = Wanted;

    fn deref(&self) -> &Wanted {
        &self.wanted
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.queue.done(&self.wanted.key);
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;

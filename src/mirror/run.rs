//! What the images of a run share.

use super::config::Recheck;
use super::hosts::Hosts;
use super::image::Effort;
use super::rule::Rule;
use crate::engine::Commons;
use crate::transport::Sink;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shared by all images of a run.
pub struct Shared {
    /// The registries.
    pub hosts: Hosts,
    /// What is known of blobs.
    pub commons: Arc<Commons>,
    /// How images are treated.
    pub effort: Effort,
    /// Ask the destination for every part of what is unchanged.
    pub recheck: bool,
    /// Uploads under way.
    pub sinks: Sinks,
    /// When entries were rechecked.
    pub rechecked: Rechecked,
}

impl Shared {
    /// Whether the parts of unchanged images of an entry are asked for now.
    pub fn rechecks(&self, rule: &Rule) -> bool {
        self.recheck
            || rule.entry.force_recursive
            || match rule.entry.recheck {
                Recheck::Always => true,
                Recheck::Never => false,
                Recheck::Every(every) => self.rechecked.is_due(rule.entry.position, every),
            }
    }
}

/// When the parts of unchanged images are asked for: in the server each image once in the entry's time, spread over the
/// passes. A single pass knows of none before it and asks for nothing.
#[derive(Default)]
pub struct Rechecked {
    begun: Mutex<HashMap<usize, Instant>>,
}

impl Rechecked {
    fn is_due(&self, entry: usize, every: Duration) -> bool {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let since = begun.entry(entry).or_insert_with(Instant::now);
        since.elapsed() >= every
    }

    /// Notes that a pass over an entry has ended, in which what was due was asked for.
    pub fn passed(&self, entry: usize, every: Duration) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.get(&entry).is_some_and(|since| since.elapsed() >= every) {
            begun.insert(entry, Instant::now());
        }
    }
}

/// The destinations of jobs under way: their uploads are cancelled when the run is interrupted.
#[derive(Clone, Default)]
pub struct Sinks(Arc<Mutex<Guests>>);

#[derive(Default)]
struct Guests {
    next: u64,
    sinks: HashMap<u64, Arc<dyn Sink>>,
}

/// Held while a job is under way.
pub struct Guest {
    sinks: Sinks,
    number: u64,
}

impl Sinks {
    /// Adds a destination, until the guest is dropped.
    pub fn enter(&self, sink: Arc<dyn Sink>) -> Guest {
        let mut guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guests.next += 1;
        let number = guests.next;
        guests.sinks.insert(number, sink);
        Guest { sinks: self.clone(), number }
    }

    /// Cancels the uploads of all jobs under way.
    pub async fn release(&self) {
        let sinks: Vec<Arc<dyn Sink>> = {
            let guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            guests.sinks.values().cloned().collect()
        };
        futures_util::future::join_all(sinks.iter().map(|sink| sink.release())).await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.sinks.0.lock().unwrap_or_else(PoisonError::into_inner).sinks.remove(&self.number);
    }
}

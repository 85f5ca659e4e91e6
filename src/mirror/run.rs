//! State shared by the images of a run.

use super::config::Recheck;
use super::hosts::Hosts;
use super::rule::Rule;
use super::rules::schedule::jitter;
use super::rules::shard::{Shard, ShardBy};
use crate::engine::{Known, SharedState, Sinks};
use crate::image::Reference;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Which images a run writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// Mirrors new and changed images.
    #[default]
    Changed,
    /// Mirrors only images that the destination does not have.
    Missing,
    /// Writes nothing, and reports what would be written.
    Check,
}

/// The part of the work that this process does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part {
    /// The shard; `None` for all of the work.
    pub shard: Option<Shard>,
    /// How the work is divided.
    pub by: ShardBy,
}

impl Part {
    /// Returns whether an image belongs to this part.
    pub fn has(&self, destination: &Reference) -> bool {
        let key = || self.by.key(&destination.repository_name(), &destination.target());
        self.shard.is_none_or(|shard| shard.owns(&key()))
    }

    /// Returns whether any image of a repository may belong to this part.
    pub fn may_have(&self, repository: &Reference) -> bool {
        self.by == ShardBy::Tag || self.has(repository)
    }
}

/// State shared by all images of a run.
pub struct Shared {
    /// The registries.
    pub hosts: Hosts,
    /// State shared by all jobs of the engine.
    pub shared_state: Arc<SharedState>,
    /// Which images are written.
    pub effort: Effort,
    /// Whether to ask the destination for every part of unchanged images.
    pub recheck: bool,
    /// The destinations of jobs in progress, which are kept when the configuration is reloaded.
    pub sinks: Sinks,
    /// The times at which entries were rechecked, which are kept when the configuration is reloaded.
    pub rechecked: Arc<Rechecked>,
    /// Results of images for which the source's digest alone does not show that nothing changed.
    pub outcomes: Outcomes,
    /// Ends the run early: images in progress are finished, and no more are started.
    pub halt: CancellationToken,
}

/// Results of earlier passes, by rule and destination. While source and result stay the same, neither has to
/// be read again.
#[derive(Default)]
pub struct Outcomes(Mutex<HashMap<(u64, String), Known>>);

impl Outcomes {
    fn lock(&self) -> MutexGuard<'_, HashMap<(u64, String), Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the known result of an image.
    pub fn get(&self, rule: &Rule, destination: &Reference) -> Option<Known> {
        self.lock().get(&(rule.identity, destination.to_string())).cloned()
    }

    /// Records the result of an image.
    pub fn note(&self, rule: &Rule, destination: &Reference, known: Known) {
        self.lock().insert((rule.identity, destination.to_string()), known);
    }
}

impl Shared {
    /// Returns whether to recheck the parts of an image now, even if it is unchanged.
    pub fn rechecks(&self, rule: &Rule, destination: &Reference) -> bool {
        self.recheck
            || rule.entry.force_recursive
            || match rule.entry.recheck {
                Recheck::Always => true,
                Recheck::Never => false,
                Recheck::Every(every) => {
                    self.rechecked.is_due(rule.identity, every, &destination.to_string())
                }
            }
    }
}

/// The schedule of rechecks: each image is due once per period, at its own moment. Nothing is due in the
/// first pass of a process, because earlier passes are not known.
pub struct Rechecked {
    begun: Instant,
    /// The start times of the last two passes over an entry, by the entry's identity.
    passes: Mutex<HashMap<u64, [Duration; 2]>>,
}

impl Default for Rechecked {
    fn default() -> Self {
        Rechecked { begun: Instant::now(), passes: Mutex::default() }
    }
}

impl Rechecked {
    /// Records that a pass over an entry begins.
    pub fn begin(&self, entry: u64) {
        let now = self.begun.elapsed();
        let mut passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        let last = passes.get(&entry).map_or(now, |[_, last]| *last);
        passes.insert(entry, [last, now]);
    }

    fn is_due(&self, entry: u64, every: Duration, destination: &str) -> bool {
        let passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        passes
            .get(&entry)
            .is_some_and(|[last, now]| is_between(*last, *now, every, jitter(destination, every)))
    }
}

/// Returns whether a moment that repeats every `every`, first at `offset`, is after `last` and not after
/// `now`.
fn is_between(last: Duration, now: Duration, every: Duration, offset: Duration) -> bool {
    let times = |at: Duration| match at.checked_sub(offset) {
        Some(since) if !every.is_zero() => since.as_nanos() / every.as_nanos() + 1,
        _ => 0,
    };
    times(now) > times(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rechecks_every_image_once_per_period() {
        let hours = |n: u64| Duration::from_secs(n * 3600);
        for destination in ["a", "b", "c", "d"] {
            let offset = jitter(destination, hours(24));
            let due = (0..240).filter(|n| is_between(hours(*n), hours(n + 1), hours(24), offset)).count();
            assert_eq!(due, 10, "{destination}");
            assert!(!is_between(hours(3), hours(3), hours(24), offset));
        }
        assert!(!is_between(hours(0), hours(9), Duration::ZERO, Duration::ZERO));
    }
}

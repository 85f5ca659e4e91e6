//! The requests that passed the proxy.

use crate::http::Head;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// All requests since the last [`Log::take`].
#[derive(Default)]
pub struct Log {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ended: Vec<Entry>,
    under_way: usize,
}

/// A request, from its head to the end of its answer.
pub struct Entry {
    pub request: String,
    pub status: String,
    pub start: Instant,
    pub end: Instant,
    /// The size of the request's body.
    pub up: u64,
    /// The size of the answer's body.
    pub down: u64,
}

impl Entry {
    pub fn answered(&mut self, answer: &Head) {
        self.status = answer.word(1).into();
    }
}

impl Log {
    /// Starts a request, which ends with [`Log::add`].
    pub fn begin(&self, request: &Head) -> Entry {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).under_way += 1;
        let now = Instant::now();
        let request = request.first.trim_end_matches(" HTTP/1.1").into();
        Entry { request, status: String::new(), start: now, end: now, up: 0, down: 0 }
    }

    pub fn add(&self, mut entry: Entry) {
        entry.end = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended.push(entry);
        state.under_way -= 1;
        self.changed.notify_all();
    }

    /// Returns and removes all requests so far. A client may end before its last request is recorded.
    pub fn take(&self) -> Vec<Entry> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(state, Duration::from_secs(5), |s| s.under_way > 0);
        std::mem::take(&mut waited.unwrap_or_else(PoisonError::into_inner).0.ended)
    }
}

/// Returns how many requests had to wait for one another: the longest series in which each started after the previous
/// one ended. Always taking the request that ends first finds it.
pub fn depth(entries: &[Entry]) -> usize {
    let mut by_end: Vec<&Entry> = entries.iter().collect();
    by_end.sort_by_key(|entry| entry.end);
    let mut last: Option<Instant> = None;
    let mut depth = 0;
    for entry in by_end {
        if last.is_none_or(|end| entry.start >= end) {
            last = Some(entry.end);
            depth += 1;
        }
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_does_not_add_to_the_depth() {
        let zero = Instant::now();
        let entry = |(start, end)| Entry {
            request: String::new(),
            status: String::new(),
            start: zero + Duration::from_millis(start),
            end: zero + Duration::from_millis(end),
            up: 0,
            down: 0,
        };
        for (spans, expected) in [
            (&[][..], 0),
            (&[(0, 5), (1, 6), (2, 7)], 1),
            (&[(0, 5), (5, 9), (6, 10)], 2),
            (&[(0, 100), (1, 2), (3, 4), (101, 102)], 3),
        ] {
            let entries: Vec<Entry> = spans.iter().copied().map(entry).collect();
            assert_eq!(depth(&entries), expected, "{spans:?}");
        }
    }
}

//! The log of a registry: every request in the order of arrival.

use std::time::Instant;

use hyper::StatusCode;
use hyper::body::Bytes;

use super::route::Asked;

/// A request with its response.
#[derive(Clone, Debug)]
pub struct Entry {
    pub asked: Asked,
    /// The status; `None` before the response, or if the connection was closed instead.
    pub status: Option<StatusCode>,
    /// The number of bytes of the request's body.
    pub received: u64,
    /// The start of the request's body.
    pub body: Bytes,
    /// The number of bytes of the response's body.
    pub sent: u64,
    /// The number of other requests in progress when this one arrived.
    pub in_flight: usize,
    pub began: Instant,
    pub ended: Option<Instant>,
}

/// Every request in the order of arrival.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub entries: Vec<Entry>,
    /// The number of times the log was cleared: responses to earlier requests are not recorded.
    epoch: u64,
}

/// The key of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub index: usize,
    epoch: u64,
}

impl Log {
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.epoch += 1;
    }

    /// Records a request and assigns its index.
    pub(super) fn begin(&mut self, mut asked: Asked) -> (Key, Asked) {
        let key = Key { index: self.entries.len(), epoch: self.epoch };
        asked.index = key.index;
        let in_flight = self.entries.iter().filter(|entry| entry.ended.is_none()).count();
        self.entries.push(Entry {
            asked: asked.clone(),
            status: None,
            received: 0,
            body: Bytes::new(),
            sent: 0,
            in_flight,
            began: Instant::now(),
            ended: None,
        });
        (key, asked)
    }

    pub(super) fn entry(&mut self, key: Key) -> Option<&mut Entry> {
        self.entries.get_mut(key.index).filter(|_| key.epoch == self.epoch)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns `METHOD /path?query STATUS` of each request, for reading and for exact comparison.
    pub fn lines(&self) -> Vec<String> {
        self.entries.iter().map(Entry::line).collect()
    }

    /// Returns how many requests meet a condition.
    pub fn count(&self, is: impl Fn(&Entry) -> bool) -> usize {
        self.entries.iter().filter(|entry| is(entry)).count()
    }

    /// Returns the maximum number of concurrent requests.
    pub fn most_at_once(&self) -> usize {
        self.entries.iter().map(|entry| entry.in_flight + 1).max().unwrap_or(0)
    }

    /// Returns the length of the longest chain of requests that each began after the previous one had ended.
    pub fn depth(&self) -> usize {
        let mut depths: Vec<usize> = Vec::new();
        for entry in &self.entries {
            let before = self.entries.iter().zip(&depths);
            let waited_for = before.filter(|(other, _)| other.ended.is_some_and(|end| end <= entry.began));
            depths.push(1 + waited_for.map(|(_, depth)| *depth).max().unwrap_or(0));
        }
        depths.into_iter().max().unwrap_or(0)
    }

    /// Returns everything received in request lines, headers and bodies, to search for secrets.
    pub fn everything_said(&self) -> String {
        let said = |entry: &Entry| {
            let body = String::from_utf8_lossy(&entry.body);
            format!("{}\n{:?}\n{body}\n", entry.line(), entry.asked.headers)
        };
        self.entries.iter().map(said).collect()
    }
}

impl Entry {
    pub fn line(&self) -> String {
        let status = self.status.map_or("-".to_owned(), |status| status.as_u16().to_string());
        let query = &self.asked.query_text;
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{query} {status}", self.asked.method, self.asked.path)
    }
}

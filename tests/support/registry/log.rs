//! The memory of a registry: every request in the order of arrival.

use std::time::Instant;

use hyper::StatusCode;
use hyper::body::Bytes;

use super::route::Asked;

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Entry {
    pub asked: Asked,
    /// None while there is no answer, and for ever where the connection was closed instead.
    pub status: Option<StatusCode>,
    /// Bytes of the request's body.
    pub received: u64,
    /// What the body begins with.
    pub body: Bytes,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// How many other requests were under way when this one came.
    pub in_flight: usize,
    pub began: Instant,
    pub ended: Option<Instant>,
}

/// Every request in the order of arrival.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub entries: Vec<Entry>,
    /// Which clearing this log follows: an answer to a request from before is not written into it.
    epoch: u64,
}

/// Names one entry.
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

    /// Takes down a request; gives it its index.
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

    /// `METHOD /path?query STATUS` of each, for reading and for exact comparison.
    pub fn lines(&self) -> Vec<String> {
        self.entries.iter().map(Entry::line).collect()
    }

    /// How many requests this is true of.
    pub fn count(&self, is: impl Fn(&Entry) -> bool) -> usize {
        self.entries.iter().filter(|entry| is(entry)).count()
    }

    /// The most requests that were ever under way at once.
    pub fn most_at_once(&self) -> usize {
        self.entries.iter().map(|entry| entry.in_flight + 1).max().unwrap_or(0)
    }

    /// The longest chain of requests each of which began only after the one before it had ended.
    pub fn depth(&self) -> usize {
        let mut depths: Vec<usize> = Vec::new();
        for entry in &self.entries {
            let before = self.entries.iter().zip(&depths);
            let waited_for = before.filter(|(other, _)| other.ended.is_some_and(|end| end <= entry.began));
            depths.push(1 + waited_for.map(|(_, depth)| *depth).max().unwrap_or(0));
        }
        depths.into_iter().max().unwrap_or(0)
    }

    /// Everything that arrived in lines, headers and bodies, to look for secrets in.
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

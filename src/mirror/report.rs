//! What a pass tells: a line for each image, and a summary.

use crate::error::{Error, Kind};
use crate::image::Digest;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What became of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It was not wrapped before, and is now.
    Wrapped,
    /// An older wrap was replaced.
    Upgraded,
    /// The destination held the result, but not all of its parts, which were sent.
    Repaired,
    /// It was copied as it is, as the entry asks for.
    Copied,
    /// It was copied as it is, or left out, with a reason.
    Skipped,
    /// The destination was deleted.
    Pruned,
    /// There was nothing to do.
    Unchanged,
    /// Something went wrong.
    Failed,
    /// It is about to be done: only the hooks before it are told so.
    Pending,
}

impl Action {
    /// Every action, in the order of the summary.
    pub const ALL: [Action; 8] = [
        Action::Wrapped,
        Action::Upgraded,
        Action::Repaired,
        Action::Copied,
        Action::Skipped,
        Action::Pruned,
        Action::Unchanged,
        Action::Failed,
    ];

    /// Returns the word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Action::Wrapped => "wrapped",
            Action::Upgraded => "upgraded",
            Action::Repaired => "repaired",
            Action::Copied => "copied",
            Action::Skipped => "skipped",
            Action::Pruned => "pruned",
            Action::Unchanged => "unchanged",
            Action::Failed => "failed",
            Action::Pending => "pending",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One image of a pass, or an entry that could not be listed.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The entry's number in the configuration, from 1.
    pub entry: usize,
    /// Where the image was read.
    pub source: Option<String>,
    /// Where the result went.
    pub destination: Option<String>,
    /// The digest of what the source's name stands for.
    pub source_digest: Option<Digest>,
    /// The digest of the result.
    pub digest: Option<Digest>,
    /// What became of it.
    pub action: Action,
    /// Whether the destination was, or in a check would be, written.
    pub written: bool,
    /// Why, where it is not plain.
    pub reason: Option<String>,
    /// What failed without harm to the result, and what the user should know.
    pub notes: Vec<String>,
    /// The class of the error, if it failed.
    pub code: Option<&'static str>,
    /// What to do about the error.
    pub hint: Option<String>,
    /// HTTP requests.
    pub requests: u64,
    /// Bytes read and written.
    pub bytes: u64,
    /// Milliseconds.
    pub ms: u64,
    /// Bytes read.
    #[serde(skip)]
    pub pulled: u64,
}

impl Line {
    /// Returns a line about an entry, with nothing done yet.
    pub fn new(entry: usize, action: Action) -> Self {
        Line {
            entry,
            source: None,
            destination: None,
            source_digest: None,
            digest: None,
            action,
            written: false,
            reason: None,
            notes: Vec::new(),
            code: None,
            hint: None,
            requests: 0,
            bytes: 0,
            ms: 0,
            pulled: 0,
        }
    }

    /// Turns the line into that of a failure.
    pub fn failed(mut self, error: &Error) -> Self {
        self.action = Action::Failed;
        self.written = false;
        self.reason = Some(error.to_string());
        self.code = Some(error.kind().code());
        self.hint = error.hint_text().map(String::from);
        self
    }

    /// Returns the line of `--map-file`, if a Kubernetes document that names the source may name the result
    /// instead.
    pub fn map(&self) -> Option<MapLine<'_>> {
        let is_there = self.action != Action::Failed && self.action != Action::Pruned;
        Some(MapLine {
            source: self.source.as_deref().filter(|_| is_there)?,
            destination: self.destination.as_deref()?,
            source_digest: self.source_digest.as_ref()?,
            digest: self.digest.as_ref()?,
        })
    }
}

/// The line as people read it.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        match (&self.source, &self.destination) {
            (Some(source), Some(destination)) => write!(f, " {source} -> {destination}")?,
            (Some(one), None) | (None, Some(one)) => write!(f, " {one}")?,
            (None, None) => write!(f, " entry {}", self.entry)?,
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// A source and what takes its place, as `reapify pod --map-file` reads it.
#[derive(Debug, Serialize)]
pub struct MapLine<'a> {
    source: &'a str,
    destination: &'a str,
    source_digest: &'a Digest,
    digest: &'a Digest,
}

/// A pass in numbers.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    actions: BTreeMap<Action, u64>,
    /// Images that would be written, in a check.
    pub pending: u64,
    requests: u64,
    bytes: u64,
}

impl Summary {
    /// Counts a line.
    pub fn add(&mut self, line: &Line) {
        *self.actions.entry(line.action).or_default() += 1;
        self.requests += line.requests;
        self.bytes += line.bytes;
        self.pending += u64::from(line.written);
    }

    /// Adds requests that belong to no image.
    pub fn add_requests(&mut self, requests: u64) {
        self.requests += requests;
    }

    /// Returns how many images an action befell.
    pub fn count(&self, action: Action) -> u64 {
        self.actions.get(&action).copied().unwrap_or(0)
    }

    /// Returns the error for a pass in which images failed.
    pub fn failure(&self) -> Option<Error> {
        let failed = self.count(Action::Failed);
        let all: u64 = self.actions.values().sum();
        (failed > 0).then(|| {
            Error::new(Kind::Partial, format!("{failed} of {all} images failed"))
                .hint("the other images are done; run it again for those that failed")
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.actions.values().sum();
        write!(f, "{all} {}", if all == 1 { "image" } else { "images" })?;
        for action in Action::ALL {
            if self.count(action) > 0 {
                write!(f, ", {} {action}", self.count(action))?;
            }
        }
        write!(f, "; {} requests, {} bytes", self.requests, self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_what_happened_and_nothing_else() {
        let mut summary = Summary::default();
        assert!(summary.failure().is_none());
        summary.add(&Line { requests: 3, bytes: 10, ..Line::new(1, Action::Unchanged) });
        summary.add(&Line::new(2, Action::Wrapped).failed(&Error::network("no answer").hint("wait")));
        assert_eq!(summary.to_string(), "2 images, 1 unchanged, 1 failed; 3 requests, 10 bytes");
        assert_eq!(summary.failure().unwrap().kind(), Kind::Partial);
    }

    #[test]
    fn failures_and_deletions_map_nothing() {
        let digest = Digest::sha256("x");
        let mut line = Line::new(1, Action::Unchanged);
        line.source = Some("a.example/x:1".into());
        line.destination = Some("b.example/x:1".into());
        (line.source_digest, line.digest) = (Some(digest.clone()), Some(digest));
        assert!(line.map().is_some());
        assert!(Line { action: Action::Pruned, ..line.clone() }.map().is_none());
        assert!(line.failed(&Error::other("x")).map().is_none());
    }
}

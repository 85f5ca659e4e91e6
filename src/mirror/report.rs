//! The report of a pass: a line for each image, and a summary.

use super::run::Effort;
use crate::error::{Error, Kind};
use crate::image::Digest;
use crate::plural::counted;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What happened to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The image was not wrapped before, and is now.
    Wrapped,
    /// An older reaper or other options were replaced.
    Upgraded,
    /// The destination had the result without all of its parts; the missing ones were sent.
    Repaired,
    /// The image was copied unchanged, because the entry requests it or the source is wrapped already.
    Copied,
    /// The image was copied unchanged or left out, for the given reason.
    Skipped,
    /// The destination was deleted.
    Pruned,
    /// There was nothing to do.
    Unchanged,
    /// An error occurred.
    Failed,
    /// The image is about to be processed. Only `pre` hooks see this.
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

    /// Returns what a check says of an image that is not in this state yet, if anything is to be done.
    fn future(self) -> Option<&'static str> {
        match self {
            Action::Wrapped => Some("would wrap"),
            Action::Upgraded => Some("would upgrade"),
            Action::Repaired => Some("would repair"),
            Action::Copied => Some("would copy"),
            Action::Pruned => Some("would prune"),
            Action::Skipped | Action::Unchanged | Action::Failed | Action::Pending => None,
        }
    }
}
/// Writes the word for it in JSON.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One image of a pass, or an entry that could not be listed.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The entry's number in the configuration, from 1.
    pub entry: usize,
    /// The source image.
    pub source: Option<String>,
    /// The destination image.
    pub destination: Option<String>,
    /// The digest that the source's name refers to.
    pub source_digest: Option<Digest>,
    /// The digest of the result.
    pub digest: Option<Digest>,
    /// What happened to the image.
    pub action: Action,
    /// Whether the destination was written.
    pub written: bool,
    /// Whether a check found that the action is still to be taken.
    #[serde(skip)]
    pub pending: bool,
    /// The reason, unless it is obvious.
    pub reason: Option<String>,
    /// Failures that do not affect the result, and notes for the user.
    pub notes: Vec<String>,
    /// The class of the error, if it failed.
    pub code: Option<&'static str>,
    /// How to fix the error.
    pub hint: Option<String>,
    /// The number of HTTP requests.
    pub requests: u64,
    /// The number of bytes read and written.
    pub bytes: u64,
    /// The duration in milliseconds.
    pub ms: u64,
    /// The number of bytes read.
    #[serde(skip)]
    pub pulled: u64,
}

impl Line {
    /// Creates a line about an entry.
    pub fn new(entry: usize, action: Action) -> Self {
        Line {
            entry,
            source: None,
            destination: None,
            source_digest: None,
            digest: None,
            action,
            written: false,
            pending: false,
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
        (self.written, self.pending) = (false, false);
        self.reason = Some(error.to_string());
        self.code = Some(error.kind().code());
        self.hint = error.hint_text().map(String::from);
        self
    }

    /// Returns the line for `--map-file`, if Kubernetes documents may use the result instead of the source.
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

/// The line in plain text.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action.future().filter(|_| self.pending) {
            Some(future) => f.write_str(future)?,
            None => self.action.fmt(f)?,
        }
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

/// A source and its replacement, as `reapify pod --map-file` reads it.
#[derive(Debug, Serialize)]
pub struct MapLine<'a> {
    source: &'a str,
    destination: &'a str,
    source_digest: &'a Digest,
    digest: &'a Digest,
}

/// The totals of a pass.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    actions: BTreeMap<Action, u64>,
    /// The number of images that a check found to be outdated.
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
        self.pending += u64::from(line.pending);
    }

    /// Adds requests that do not belong to an image.
    pub fn add_requests(&mut self, requests: u64) {
        self.requests += requests;
    }

    /// Returns the number of images with an action.
    pub fn count(&self, action: Action) -> u64 {
        self.actions.get(&action).copied().unwrap_or(0)
    }

    /// Returns the error for a pass with failed images.
    pub fn failure(&self, effort: Effort) -> Option<Error> {
        let failed = self.count(Action::Failed);
        let all = counted(self.actions.values().sum(), "image");
        let error = match effort {
            Effort::Check => Error::new(Kind::Partial, format!("{failed} of {all} could not be checked"))
                .hint("each failure has its reason above; nothing was written"),
            Effort::Changed | Effort::Missing => {
                Error::new(Kind::Partial, format!("{failed} of {all} failed")).hint(
                    "each failure has its reason above; run the command again, which skips what is done",
                )
            }
        };
        (failed > 0).then_some(error)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.actions.values().sum();
        f.write_str(&counted(all, "image"))?;
        for action in Action::ALL {
            if self.count(action) > 0 {
                // Whatever a check finds to be done is not done yet.
                let tense = if self.pending > 0 && action.future().is_some() { "would be " } else { "" };
                write!(f, ", {} {tense}{action}", self.count(action))?;
            }
        }
        write!(f, "; {}, {}", counted(self.requests, "request"), counted(self.bytes, "byte"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_lists_only_actions_that_happened() {
        let mut summary = Summary::default();
        assert!(summary.failure(Effort::Changed).is_none());
        summary.add(&Line { requests: 3, bytes: 10, ..Line::new(1, Action::Unchanged) });
        summary.add(&Line::new(2, Action::Wrapped).failed(&Error::network("no answer").hint("wait")));
        assert_eq!(summary.to_string(), "2 images, 1 unchanged, 1 failed; 3 requests, 10 bytes");
        let failed = summary.failure(Effort::Changed).unwrap();
        assert_eq!((failed.kind(), failed.to_string().as_str()), (Kind::Partial, "1 of 2 images failed"));
        let unchecked = summary.failure(Effort::Check).unwrap();
        assert_eq!(unchecked.to_string(), "1 of 2 images could not be checked");
    }

    #[test]
    fn a_check_is_not_in_the_past_tense() {
        let mut line = Line { requests: 1, bytes: 1, pending: true, ..Line::new(1, Action::Wrapped) };
        line.destination = Some("b.example/x:1".into());
        assert_eq!(line.to_string(), "would wrap b.example/x:1");
        let mut summary = Summary::default();
        summary.add(&line);
        assert_eq!(summary.to_string(), "1 image, 1 would be wrapped; 1 request, 1 byte");
        assert_eq!(line.failed(&Error::other("x")).to_string(), "failed b.example/x:1: x");
    }

    #[test]
    fn failures_and_deletions_are_not_in_the_map() {
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

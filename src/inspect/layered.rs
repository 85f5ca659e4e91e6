//! The files of an image's layers, as the judge looks them up.

use super::files::{FileFacts, Files, Found};
use crate::layers::{self, Head, View};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The layers that were read so far.
pub struct Layered<'a> {
    view: &'a View,
    /// How many layers the image has.
    count: usize,
    /// The files whose content was requested: what is still unknown about them remains unknown.
    asked: &'a BTreeSet<String>,
}

impl<'a> Layered<'a> {
    /// Returns the files of an image that has `count` layers.
    pub fn new(view: &'a View, count: usize, asked: &'a BTreeSet<String>) -> Self {
        Layered { view, count, asked }
    }

    /// Returns the facts about a file that was looked up as `path`.
    fn facts(&self, path: &str, place: layers::Place, file: Option<&layers::File>) -> FileFacts {
        let head = match file.map(|file| &file.head) {
            // The judge recognises a program by its first bytes.
            Some(Head::Program { .. }) => Arc::from(&b"\x7fELF"[..]),
            Some(Head::Bytes(head)) => head.clone(),
            Some(Head::Unread) | None => Arc::default(),
        };
        FileFacts {
            // The judge counts layers from the base.
            layer: self.count.checked_sub(place.depth + 1),
            path: place.path,
            is_executable: file.is_some_and(|file| file.mode & 0o111 != 0),
            size: file.map_or(0, |file| file.size),
            is_read: file.is_some_and(|file| file.head != Head::Unread) || self.asked.contains(path),
            head,
            marks: file.map(|file| file.marks).unwrap_or_default(),
        }
    }
}

impl Files for Layered<'_> {
    fn find(&self, path: &str) -> Found {
        match self.view.find(path) {
            layers::Found::Deeper => Found::Unread,
            layers::Found::Absent => Found::Absent,
            layers::Found::Directory => Found::Directory,
            layers::Found::File(_, file) if file.head == Head::Unread && !self.asked.contains(path) => {
                Found::Unread
            }
            layers::Found::File(place, file) => Found::File(self.facts(path, place, Some(&file))),
            layers::Found::Plain(place) => Found::File(self.facts(path, place, None)),
        }
    }
}

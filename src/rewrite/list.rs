//! The record of a Docker manifest list. Such lists have no annotations, so the config of one of their images holds it.

use crate::error::Result;
use crate::image::Digest;
use crate::image::json::{Document, Undo, child, quote};
use std::collections::BTreeMap;
use std::fmt;

/// The label.
pub const LABEL: &str = "io.reapify.list";

/// What shows that a list is up to date: like the annotations of an OCI index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The digest of the list that was wrapped.
    pub source: Digest,
    /// The recipe of the list.
    pub recipe: Digest,
    /// The digest of the result's children, without what describes the image that has the label.
    pub others: Digest,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.source, self.recipe, self.others)
    }
}

impl List {
    /// Reads the label; `None` if it is absent or malformed.
    pub fn read(labels: &BTreeMap<String, String>) -> Option<Self> {
        let mut digests = labels.get(LABEL)?.split(' ').map(|digest| digest.parse::<Digest>().ok());
        let list = List { source: digests.next()??, recipe: digests.next()??, others: digests.next()?? };
        digests.next().is_none().then_some(list)
    }

    /// Writes the label, and returns its undo.
    pub fn write(&self, config: &mut Document) -> Result<Undo> {
        config.set(&child("/config/Labels", LABEL), &quote(&self.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_labels_are_ignored() {
        let digest = |text: &str| Digest::sha256(text);
        let list = List { source: digest("a"), recipe: digest("b"), others: digest("c") };
        let read = |text: String| List::read(&BTreeMap::from([(LABEL.to_owned(), text)]));
        assert_eq!(read(list.to_string()), Some(list.clone()));
        for text in
            [String::new(), digest("a").to_string(), format!("{list} x"), format!("{list} {}", digest("d"))]
        {
            assert_eq!(read(text), None);
        }
    }
}

//! How source and destination are related.

use crate::transport::{Sink, Source};

/// The location of the source's blobs, as seen from the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// The same repository: nothing has to be moved.
    Same,
    /// Another repository of the same store, from which blobs may be mounted.
    Sibling(String),
    /// Another store.
    Foreign,
}

impl Relation {
    /// Returns the relation of two places.
    pub fn between(source: &dyn Source, sink: &dyn Sink) -> Self {
        match (source.origin(), sink.origin()) {
            (Some(from), Some(to)) if from == to => Relation::Same,
            (Some(from), Some(to)) if from.store == to.store => Relation::Sibling(from.repository),
            _ => Relation::Foreign,
        }
    }
}

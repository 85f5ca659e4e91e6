//! How two places stand to each other.

use crate::transport::{Sink, Source};

/// Where blobs of the source are, seen from the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// In the same repository: nothing has to be moved.
    Same,
    /// In another repository of the same store, which may hand them over.
    Sibling(String),
    /// Elsewhere.
    Foreign,
}

impl Relation {
    /// The relation of two places.
    pub fn between(source: &dyn Source, sink: &dyn Sink) -> Self {
        match (source.origin(), sink.origin()) {
            (Some(from), Some(to)) if from == to => Relation::Same,
            (Some(from), Some(to)) if from.store == to.store => Relation::Sibling(from.repository),
            _ => Relation::Foreign,
        }
    }
}

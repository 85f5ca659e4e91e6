//! The layers of an image as one file system, read from the top down (OCI image specification, "Image Layer
//! Filesystem Changeset").
//!
//! [`Layers`] reads a layer only when a question requires it, and only once: entries that later questions may need
//! (programs, scripts, links, directories) are stored in a [`LayerIndex`], which [`Cache`] keeps by diff_id. [`View`]
//! answers questions from the indexes, and reports when it needs a lower layer.

mod cache;
mod index;
pub mod marks;
mod reader;
#[cfg(test)]
mod tests;
mod view;
mod walk;

pub use cache::Cache;
pub use index::{Builder, File, Head, LayerIndex, MAX_SIZE, Node, clean};
pub use reader::Layers;
pub use view::{Found, Place, View};
pub use walk::{Member, Visitor, diff_id, members};

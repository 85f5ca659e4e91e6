//! The layers of an image as one view, from the top down (OCI image specification, "Image Layer Filesystem Changeset").
//!
//! [`Layers`] reads a layer only when a question needs it, and each one once: what may be asked later (programs,
//! scripts, links, directories) goes into a [`LayerIndex`], which [`Cache`] keeps by diff_id. [`View`] answers from the
//! indexes, and says when it needs a lower layer.

mod cache;
mod index;
pub mod marks;
mod reader;
#[cfg(test)]
mod tests;
mod view;
mod walk;

pub use cache::Cache;
pub use index::{Builder, File, Head, LayerIndex, Node, clean};
pub use reader::Layers;
pub use view::{Found, Place, View};
pub use walk::{Member, Visitor, members};

//! What will be at the destination: manifests, and what becomes of those they point to.

use crate::image::{Descriptor, Digest, Manifest, Platform};
use crate::rewrite::Rewritten;
use crate::rewrite::index::Replaced;
use bytes::Bytes;

/// A manifest that will be at the destination.
pub enum Node {
    /// An image, rewritten or not.
    Image(Box<ImageNode>),
    /// An index.
    Index(IndexNode),
    /// Something that is taken along as it is.
    Carried(Carried),
}

/// An image.
pub struct ImageNode {
    pub platform: Option<Platform>,
    pub source: Digest,
    /// The config it came with.
    pub config: Bytes,
    pub rewritten: Rewritten,
}

/// An index.
pub struct IndexNode {
    pub manifest: Manifest,
    pub source: Digest,
    pub children: Vec<Child>,
    pub notes: Vec<String>,
    /// How many children are left out now, here and below.
    pub dropped: usize,
    /// The index before any wrap.
    pub base: Manifest,
    /// Whether some of it was not looked into, so that `base` is not all of what it was.
    pub is_part: bool,
    /// The digest of what it was.
    pub origin: Digest,
}

/// A child, at its position in the source.
pub struct Child {
    pub position: usize,
    pub descriptor: Descriptor,
    /// What the index will call it.
    pub digest: Digest,
    pub node: Node,
}

/// Something that is not rewritten.
pub struct Carried {
    pub descriptor: Descriptor,
    pub platform: Option<Platform>,
    pub reason: String,
    /// `None` where the destination has it already, and where it is no manifest.
    pub manifest: Option<Manifest>,
    /// What is below it, where it is an index.
    pub children: Vec<Carried>,
}

impl Child {
    /// What takes its place in the index as it was before any wrap.
    pub fn replaced(&self, base: &Manifest) -> Option<Replaced> {
        let before = base.children().get(self.position)?;
        let new = match &self.node {
            Node::Carried(_) => return None,
            node => node.manifest(),
        };
        let is_other = before.digest != new.digest && !before.digest.matches(&new.bytes);
        is_other.then(|| Replaced { position: self.position, manifest: new.clone() })
    }
}

impl Node {
    /// The manifest that will be written. A carried one at the root cannot be.
    pub fn manifest(&self) -> &Manifest {
        match self {
            Node::Image(image) => &image.rewritten.manifest,
            Node::Index(index) => &index.manifest,
            Node::Carried(_) => unreachable!("the root is read, not carried"),
        }
    }

    /// How many children an index and those in it lose.
    pub fn dropped(&self) -> usize {
        match self {
            Node::Index(index) => index.dropped,
            _ => 0,
        }
    }

    /// The manifest as it was before any wrap, where that is another than the one read.
    pub fn original(&self) -> Option<Manifest> {
        match self {
            Node::Image(image) => image.rewritten.original.as_ref().map(|o| o.manifest.clone()),
            Node::Index(index) => (index.base.digest != index.source).then(|| index.base.clone()),
            Node::Carried(_) => None,
        }
    }

    /// The manifest in place of the one read, where it is another.
    pub fn replacement(&self) -> Option<&Manifest> {
        match self {
            Node::Image(image) if image.rewritten.manifest.digest != image.source => {
                Some(&image.rewritten.manifest)
            }
            Node::Index(index) if index.manifest.digest != index.source => Some(&index.manifest),
            _ => None,
        }
    }
}

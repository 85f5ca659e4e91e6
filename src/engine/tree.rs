//! The tree of manifests to write to the destination.

use crate::error::{Note, Result};
use crate::image::{Descriptor, Digest, ImageConfig, Manifest, Platform};
use crate::rewrite::index::{History, Replaced};
use crate::rewrite::list::List;
use crate::rewrite::outcome::Relabelled;
use crate::rewrite::{Image, Outcome, record, relabel, with_list};
use bytes::Bytes;

/// The manifest that the tag will refer to.
pub enum Root {
    /// An image.
    Image(Box<ImageNode>),
    /// An index.
    Index(Box<IndexNode>),
    /// Content that is not examined.
    Copied(Box<CopiedNode>),
}

/// A manifest below the root.
pub enum Node {
    /// An image that was examined.
    Image(Box<ImageNode>),
    /// An index.
    Index(Box<IndexNode>),
    /// Content that is carried over unchanged.
    Carried(Box<Carried>),
}

/// An image of the tree.
pub struct ImageNode {
    /// The platform, if known.
    pub platform: Option<Platform>,
    /// The manifest that was read.
    pub input: Manifest,
    /// The config that was read.
    pub config: Bytes,
    /// The outcome of rewriting the image.
    pub outcome: Outcome,
    /// Notes for the user.
    pub notes: Vec<Note>,
}

/// An index of the tree.
pub struct IndexNode {
    /// The index as it is now and as it was before it was wrapped.
    pub history: History,
    /// The manifest to write.
    pub output: Manifest,
    /// The children that are kept.
    pub children: Vec<Child>,
    /// Notes for the user.
    pub notes: Vec<Note>,
    /// The number of children dropped in this run, nested ones included.
    pub dropped: usize,
    /// Whether some children were not examined, so that the history is incomplete.
    pub is_part: bool,
}

/// A child, at its position in the index that was read.
pub struct Child {
    /// The position.
    pub position: usize,
    /// The descriptor in the index that was read.
    pub descriptor: Descriptor,
    /// The digest under which the result lists the child.
    pub digest: Digest,
    /// The child itself.
    pub node: Node,
}

/// Content that is copied unchanged, or with fewer children.
pub struct CopiedNode {
    /// The manifest that was read.
    pub input: Manifest,
    /// The manifest to write.
    pub output: Manifest,
    /// The children that are kept, if it is an index.
    pub below: Vec<Carried>,
    /// The reason why it is not wrapped, if wrapping was requested.
    pub reason: Option<String>,
    /// Notes for the user.
    pub notes: Vec<Note>,
}

/// Content that is not rewritten.
pub struct Carried {
    /// The descriptor in the index above.
    pub descriptor: Descriptor,
    /// The reason why it is not rewritten.
    pub reason: String,
    /// The content to write.
    pub content: CarriedContent,
}

/// The content to write for something that is not rewritten.
pub enum CarriedContent {
    /// Nothing: the destination confirmed that it has it.
    AtDestination,
    /// A blob, because it is not a manifest of any kind.
    Blob,
    /// A manifest, and everything below it if it is an index.
    Manifest(Manifest, Vec<Carried>),
}

impl ImageNode {
    /// Adds a Docker manifest list to the record of the image if it is newly built, and returns its manifest. With
    /// `is_narrower`, an image that is wrapped already is recorded as well: its list lost children in this run.
    pub fn record_list(&mut self, list: &List, is_narrower: bool) -> Result<Option<Manifest>> {
        let original = match self.outcome.original() {
            Some(original) => original.image()?,
            None => Image::new(self.input.clone(), self.config.clone(), true)?,
        };
        match &mut self.outcome {
            Outcome::Wrapped(new) | Outcome::Upgraded(new, _) => {
                **new = with_list(new, &original, list)?;
            }
            Outcome::Unchanged(old) if is_narrower && old.exact => {
                let (manifest, config) = relabel(&self.input, &self.config, &original, list)?;
                self.outcome = Outcome::Relabelled(Box::new(Relabelled { manifest, config }), old.clone());
            }
            _ => return Ok(None),
        }
        Ok(self.outcome.manifest().cloned())
    }

    /// Returns whether the image has labels of a record, valid or not.
    pub fn has_record_key(&self) -> bool {
        ImageConfig::parse(self.config.clone()).is_ok_and(|config| record::has_record_key(&config.labels))
    }

    fn keeps_reaper(&self) -> bool {
        matches!(self.outcome, Outcome::Skipped { original: Some(_), .. })
    }

    /// Returns the manifest to write.
    pub fn output(&self) -> &Manifest {
        self.outcome.manifest().unwrap_or(&self.input)
    }
}

impl Root {
    /// Returns the manifest that was read.
    pub fn input(&self) -> &Manifest {
        match self {
            Root::Image(image) => &image.input,
            Root::Index(index) => &index.history.input,
            Root::Copied(copied) => &copied.input,
        }
    }

    /// Returns the manifest that the tag will refer to.
    pub fn output(&self) -> &Manifest {
        match self {
            Root::Image(image) => image.output(),
            Root::Index(index) => &index.output,
            Root::Copied(copied) => &copied.output,
        }
    }

    /// Returns the digest of the image before it was wrapped.
    pub fn origin(&self) -> &Digest {
        match self {
            Root::Image(image) => {
                image.outcome.original().map_or(&image.input.digest, |original| &original.manifest.digest)
            }
            Root::Index(index) => &index.history.source,
            Root::Copied(copied) => &copied.input.digest,
        }
    }

    /// Returns whether a wrapped image below is skipped, and so keeps a reaper that its original would not get.
    pub fn keeps_reaper(&self) -> bool {
        match self {
            Root::Image(image) => image.keeps_reaper(),
            Root::Index(index) => index.children.iter().any(|child| child.node.keeps_reaper()),
            Root::Copied(_) => false,
        }
    }
}

impl Child {
    /// Returns the replacement for this child in the original index.
    pub fn replaced(&self, original: &Manifest) -> Option<Replaced> {
        let before = original.children().get(self.position)?;
        let new = self.node.output()?;
        let is_other = before.digest != new.digest && !before.digest.matches(&new.bytes);
        is_other.then(|| Replaced { position: self.position, manifest: new.clone() })
    }
}

impl Node {
    /// Returns the manifest to write, unless it is carried over unchanged.
    fn output(&self) -> Option<&Manifest> {
        match self {
            Node::Image(image) => Some(image.output()),
            Node::Index(index) => Some(&index.output),
            Node::Carried(_) => None,
        }
    }

    /// Returns how many children an index and its nested indexes lose.
    pub fn dropped(&self) -> usize {
        match self {
            Node::Index(index) => index.dropped,
            _ => 0,
        }
    }

    /// Returns whether all of it is skipped.
    pub fn is_skipped(&self) -> bool {
        match self {
            Node::Image(image) => matches!(image.outcome, Outcome::Skipped { .. }),
            Node::Index(index) => {
                index.dropped == 0 && index.children.iter().all(|child| child.node.is_skipped())
            }
            Node::Carried(_) => true,
        }
    }

    fn keeps_reaper(&self) -> bool {
        match self {
            Node::Image(image) => image.keeps_reaper(),
            Node::Index(index) => index.children.iter().any(|child| child.node.keeps_reaper()),
            Node::Carried(_) => false,
        }
    }

    /// Returns the manifest as it was before it was wrapped, if it was.
    pub fn original(&self) -> Option<&Manifest> {
        match self {
            Node::Image(image) => image.outcome.original().map(|original| &original.manifest),
            Node::Index(index) => {
                let history = &index.history;
                Some(&history.original).filter(|original| original.digest != history.input.digest)
            }
            Node::Carried(_) => None,
        }
    }

    /// Returns the manifest to write, if it differs from the one that was read.
    pub fn replacement(&self) -> Option<&Manifest> {
        let (input, output) = match self {
            Node::Image(image) => (&image.input, image.output()),
            Node::Index(index) => (&index.history.input, &index.output),
            Node::Carried(_) => return None,
        };
        Some(output).filter(|output| output.digest != input.digest)
    }
}

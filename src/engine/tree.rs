//! What will be at the destination: manifests, and what becomes of those they point to.

use crate::error::Result;
use crate::image::{Descriptor, Digest, ImageConfig, Manifest, Platform};
use crate::rewrite::index::{History, Replaced};
use crate::rewrite::list::List;
use crate::rewrite::record::Original;
use crate::rewrite::{Image, Outcome, with_list};
use bytes::Bytes;

/// The manifest that the tag will point to.
pub enum Root {
    /// An image.
    Image(Box<ImageNode>),
    /// An index.
    Index(Box<IndexNode>),
    /// Something that is not looked into.
    Copied(Box<CopiedNode>),
}

/// A manifest below the root.
pub enum Node {
    /// An image that was looked into.
    Image(Box<ImageNode>),
    /// An index.
    Index(Box<IndexNode>),
    /// Something that is carried over as it is.
    Carried(Box<Carried>),
}

/// An image.
pub struct ImageNode {
    /// What it runs on, where that is known.
    pub platform: Option<Platform>,
    /// The manifest that was read.
    pub input: Manifest,
    /// The config that was read.
    pub config: Bytes,
    /// What became of it.
    pub outcome: Outcome,
    /// What the user should know besides.
    pub notes: Vec<String>,
}

/// An index.
pub struct IndexNode {
    /// What it is now and was before any wrap.
    pub history: History,
    /// What it will be.
    pub output: Manifest,
    /// The children that are kept.
    pub children: Vec<Child>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Children dropped in this run, nested ones included.
    pub dropped: usize,
    /// True if some children were not looked into, so that the history does not know what they were.
    pub is_part: bool,
}

/// A child, at its position in the index that was read.
pub struct Child {
    /// The position.
    pub position: usize,
    /// As the index that was read lists it.
    pub descriptor: Descriptor,
    /// Digest under which the result lists it.
    pub digest: Digest,
    /// What it will be.
    pub node: Node,
}

/// What is copied as it is, or with fewer children.
pub struct CopiedNode {
    /// The manifest that was read.
    pub input: Manifest,
    /// What it will be.
    pub output: Manifest,
    /// The children that are kept, if it is an index.
    pub below: Vec<Carried>,
    /// Why it is not wrapped, if it was meant to be.
    pub reason: Option<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Something that is not rewritten.
pub struct Carried {
    /// As the index above lists it.
    pub descriptor: Descriptor,
    /// Why it is not rewritten.
    pub reason: String,
    /// What there is to write.
    pub content: CarriedContent,
}

/// What there is to write of something that is carried over.
pub enum CarriedContent {
    /// Nothing: the destination was asked, and has it.
    AtDestination,
    /// A blob: it is no manifest of any kind.
    Blob,
    /// A manifest, and what is below it if it is an index.
    Manifest(Manifest, Vec<Carried>),
}

impl ImageNode {
    /// Adds a Docker list to the record of the image if it is newly built, and returns its manifest.
    pub fn record_list(&mut self, list: &List) -> Result<Option<Manifest>> {
        let original = match self.outcome.original() {
            Some(Original { manifest, config, .. }) => (manifest.clone(), config.clone()),
            None => (self.input.clone(), ImageConfig::parse(self.config.clone())?),
        };
        let (Outcome::Wrapped(new) | Outcome::Upgraded(new, _)) = &mut self.outcome else { return Ok(None) };
        let original = Image { manifest: original.0, config: original.1, keeps_manifest: true };
        **new = with_list(new, &original, list)?;
        Ok(Some(new.manifest.clone()))
    }

    /// The manifest that will be written.
    pub fn output(&self) -> &Manifest {
        self.outcome.manifest().unwrap_or(&self.input)
    }
}

impl Root {
    /// The manifest that was read.
    pub fn input(&self) -> &Manifest {
        match self {
            Root::Image(image) => &image.input,
            Root::Index(index) => &index.history.input,
            Root::Copied(copied) => &copied.input,
        }
    }

    /// The manifest that the tag will point to.
    pub fn output(&self) -> &Manifest {
        match self {
            Root::Image(image) => image.output(),
            Root::Index(index) => &index.output,
            Root::Copied(copied) => &copied.output,
        }
    }

    /// The digest of what it was before any wrap.
    pub fn origin(&self) -> &Digest {
        match self {
            Root::Image(image) => {
                image.outcome.original().map_or(&image.input.digest, |original| &original.manifest.digest)
            }
            Root::Index(index) => &index.history.source,
            Root::Copied(copied) => &copied.input.digest,
        }
    }
}

impl Child {
    /// What takes its place in the index as it was before any wrap.
    pub fn replaced(&self, original: &Manifest) -> Option<Replaced> {
        let before = original.children().get(self.position)?;
        let new = self.node.output()?;
        let is_other = before.digest != new.digest && !before.digest.matches(&new.bytes);
        is_other.then(|| Replaced { position: self.position, manifest: new.clone() })
    }
}

impl Node {
    /// The manifest that will be written, where this program has a say in it.
    fn output(&self) -> Option<&Manifest> {
        match self {
            Node::Image(image) => Some(image.output()),
            Node::Index(index) => Some(&index.output),
            Node::Carried(_) => None,
        }
    }

    /// How many children an index and those in it lose.
    pub fn dropped(&self) -> usize {
        match self {
            Node::Index(index) => index.dropped,
            _ => 0,
        }
    }

    /// Whether it stays as it is, and was never meant to be otherwise.
    pub fn is_skipped(&self) -> bool {
        match self {
            Node::Image(image) => matches!(image.outcome, Outcome::Skipped { .. }),
            Node::Index(index) => {
                index.dropped == 0 && index.children.iter().all(|child| child.node.is_skipped())
            }
            Node::Carried(_) => true,
        }
    }

    /// The manifest as it was before any wrap, where that is another than the one read.
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

    /// The manifest in place of the one read, where it is another.
    pub fn replacement(&self) -> Option<&Manifest> {
        let (input, output) = match self {
            Node::Image(image) => (&image.input, image.output()),
            Node::Index(index) => (&index.history.input, &index.output),
            Node::Carried(_) => return None,
        };
        Some(output).filter(|output| output.digest != input.digest)
    }
}

//! A planned image as a source that can be read before it is written: new parts come from memory, all others
//! from the original source. A push copies it to the destination; a dry run copies nothing.

use super::tree::{Carried, CarriedContent, Child, ImageNode, Node, Root};
use crate::error::Result;
use crate::image::{Content, Descriptor, Digest, Manifest};
use crate::transport::{BlobStream, Origin, Source};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A manifest of the planned image.
pub struct Planned {
    /// The manifest.
    pub manifest: Manifest,
    /// Whether the source has it under this digest.
    pub is_old: bool,
}

/// The planned image on top of the source it was made from.
pub struct Overlay {
    below: Arc<dyn Source>,
    root: Manifest,
    /// The manifests by the digest under which they are listed, without those that the destination has.
    manifests: HashMap<Digest, Planned>,
    /// New blobs by their digest.
    blobs: HashMap<Digest, Bytes>,
}

impl Overlay {
    /// Creates the image that a tree describes.
    pub fn new(root: &Root, below: Arc<dyn Source>) -> Self {
        let manifest = root.output().clone();
        let mut overlay = Overlay { below, root: manifest, manifests: HashMap::new(), blobs: HashMap::new() };
        match root {
            Root::Image(image) => overlay.add_image(image),
            Root::Index(index) => index.children.iter().for_each(|child| overlay.add_child(child)),
            Root::Copied(copied) => copied.below.iter().for_each(|carried| overlay.add_carried(carried)),
        }
        overlay
    }

    fn add_child(&mut self, child: &Child) {
        let manifest = match &child.node {
            Node::Carried(carried) => return self.add_carried(carried),
            Node::Image(image) => {
                self.add_image(image);
                image.output()
            }
            Node::Index(index) => {
                index.children.iter().for_each(|child| self.add_child(child));
                &index.output
            }
        };
        let is_old = child.digest == child.descriptor.digest;
        self.add(&child.digest, manifest, is_old);
    }

    fn add_image(&mut self, image: &ImageNode) {
        let Content::Image { config, layers } = &image.output().content else { return };
        if let Some(new) = image.outcome.built()
            && let Some(layer) = layers.last()
        {
            self.blobs.insert(layer.digest.clone(), new.layer.blob.clone());
        }
        if let Some(bytes) = image.outcome.config() {
            self.blobs.insert(config.digest.clone(), bytes.clone());
        }
    }

    fn add_carried(&mut self, carried: &Carried) {
        if let CarriedContent::Manifest(manifest, below) = &carried.content {
            below.iter().for_each(|carried| self.add_carried(carried));
            self.add(&carried.descriptor.digest, manifest, true);
        }
    }

    fn add(&mut self, digest: &Digest, manifest: &Manifest, is_old: bool) {
        let planned = || Planned { manifest: manifest.clone(), is_old };
        self.manifests.entry(digest.clone()).or_insert_with(planned);
    }

    /// Returns the manifest that the tag will refer to.
    pub fn root(&self) -> &Manifest {
        &self.root
    }

    /// Returns a manifest below the root, unless the destination was found to have it.
    pub fn planned(&self, digest: &Digest) -> Option<&Planned> {
        self.manifests.get(digest)
    }

    /// Returns the bytes of a new blob.
    pub fn fresh(&self, digest: &Digest) -> Option<&Bytes> {
        self.blobs.get(digest)
    }

    /// Returns every blob of the planned image, each once. Those below a manifest that the destination has
    /// are not among them.
    pub fn all_blobs(&self) -> Vec<&Descriptor> {
        let mut manifests: Vec<&Manifest> =
            self.manifests.values().map(|planned| &planned.manifest).collect();
        manifests.sort_by_key(|manifest| manifest.digest.to_string());
        manifests.insert(0, &self.root);
        let mut seen = HashSet::new();
        manifests.into_iter().flat_map(parts).filter(|blob| seen.insert(&blob.digest)).collect()
    }
}

/// Returns everything that a manifest refers to except manifests. An index may list other content, too.
pub fn parts(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    let others = manifest.children().iter().filter(|child| !child.is_manifest());
    manifest.blobs().into_iter().chain(others)
}

#[async_trait]
impl Source for Overlay {
    async fn manifest(&self) -> Result<Manifest> {
        Ok(self.root.clone())
    }

    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest> {
        match self.manifests.get(&descriptor.digest) {
            Some(planned) => Ok(planned.manifest.clone()),
            None => self.below.child(descriptor).await,
        }
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        match self.blobs.get(&descriptor.digest) {
            Some(bytes) => {
                let bytes = bytes.clone();
                Ok(Box::pin(futures_util::stream::once(async move { Ok(bytes) })))
            }
            None => self.below.blob(descriptor).await,
        }
    }

    fn origin(&self) -> Option<Origin> {
        self.below.origin()
    }
}

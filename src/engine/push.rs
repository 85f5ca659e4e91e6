//! Writes a tree, from the leaves up: blobs, images, the indexes above them, and the tag last.

use super::copy::Copier;
use super::tree::{Carried, Child, ImageNode, Node};
use crate::error::Result;
use crate::image::{Content, Descriptor, Digest, Manifest};
use crate::transport::Sink;
use futures_util::future::try_join_all;
use std::collections::HashSet;

/// Writes the tree and moves the tag to it.
pub async fn push(copier: &Copier, sink: &dyn Sink, root: &Node) -> Result<Digest> {
    match root {
        Node::Image(image) => image_blobs(copier, image).await?,
        Node::Index(index) => {
            for level in Levels::below(&index.children).by_height {
                try_join_all(level.iter().map(|one| one.write(copier, sink))).await?;
            }
        }
        Node::Carried(_) => {}
    }
    let manifest = root.manifest();
    copier.tag().moving(&manifest.digest, sink.put_manifest(manifest, None)).await
}

/// The manifests below the root, each digest once, by their height above the leaves.
#[derive(Default)]
struct Levels<'a> {
    by_height: Vec<Vec<One<'a>>>,
    seen: HashSet<&'a Digest>,
}

/// Something to be written.
struct One<'a> {
    digest: &'a Digest,
    what: What<'a>,
    /// Whether the source has it.
    is_old: bool,
}

enum What<'a> {
    /// An image that was looked into.
    Image(&'a ImageNode),
    /// Another manifest.
    Manifest(&'a Manifest),
    /// No manifest at all.
    Blob(&'a Descriptor),
}

impl<'a> Levels<'a> {
    fn below(children: &'a [Child]) -> Self {
        let mut levels = Levels::default();
        for child in children {
            levels.child(child);
        }
        levels
    }

    /// Returns the height.
    fn child(&mut self, child: &'a Child) -> usize {
        let (height, what) = match &child.node {
            Node::Carried(carried) => return self.carried(carried),
            Node::Image(image) => (0, What::Image(image)),
            Node::Index(index) => {
                let below = index.children.iter().map(|child| self.child(child) + 1);
                (below.max().unwrap_or(0), What::Manifest(&index.manifest))
            }
        };
        let is_old = child.digest == child.descriptor.digest;
        self.add(One { digest: &child.digest, what, is_old }, height)
    }

    fn carried(&mut self, carried: &'a Carried) -> usize {
        let height = carried.children.iter().map(|child| self.carried(child) + 1).max().unwrap_or(0);
        let what = match &carried.manifest {
            Some(manifest) => What::Manifest(manifest),
            None if carried.descriptor.is_manifest() => return height,
            None => What::Blob(&carried.descriptor),
        };
        self.add(One { digest: &carried.descriptor.digest, what, is_old: true }, height)
    }

    fn add(&mut self, one: One<'a>, height: usize) -> usize {
        if self.seen.insert(one.digest) {
            self.by_height.resize_with(self.by_height.len().max(height + 1), Vec::new);
            self.by_height[height].push(one);
        }
        height
    }
}

impl One<'_> {
    async fn write(&self, copier: &Copier, sink: &dyn Sink) -> Result<()> {
        let manifest = match self.what {
            What::Blob(descriptor) => return copier.blob(descriptor).await,
            What::Image(image) => {
                image_blobs(copier, image).await?;
                &image.rewritten.manifest
            }
            What::Manifest(manifest) => {
                try_join_all(manifest.blobs().into_iter().map(|b| copier.blob(b))).await?;
                manifest
            }
        };
        match copier.knows_of(self.digest) || (self.is_old && copier.has(self.digest)) {
            true => Ok(()),
            false => sink.put_manifest(manifest, Some(self.digest)).await.map(drop),
        }
    }
}

async fn image_blobs(copier: &Copier, image: &ImageNode) -> Result<()> {
    let rewritten = &image.rewritten;
    let Content::Image { config, layers } = &rewritten.manifest.content else { return Ok(()) };
    let added = rewritten.layer.as_ref().map(|layer| (layer, &layers[layers.len() - 1]));
    let kept = &layers[..layers.len() - usize::from(added.is_some())];
    let layer = async {
        match added {
            Some((layer, descriptor)) => copier.bytes(descriptor, layer.blob.clone()).await,
            None => Ok(()),
        }
    };
    let config = async {
        match &rewritten.config {
            Some(bytes) => copier.bytes(config, bytes.clone()).await,
            None => copier.blob(config).await,
        }
    };
    let moves = try_join_all(kept.iter().map(|d| copier.blob(d)));
    tokio::try_join!(layer, config, moves).map(drop)
}

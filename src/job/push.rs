//! Writes a tree, from the leaves up: blobs, children, the index, and the tag last.

use super::plan::{Carried, ImageNode, Node};
use crate::copy::Copier;
use crate::error::Result;
use crate::image::{Content, Digest};
use crate::transport::Sink;
use futures_util::future::{BoxFuture, FutureExt, try_join_all};

/// Writes the tree and moves the tag to it.
pub async fn push(copier: &Copier, sink: &dyn Sink, root: &Node) -> Result<Digest> {
    let pusher = Pusher { copier, sink };
    pusher.below(root).await?;
    sink.put_manifest(root.manifest(), None).await
}

struct Pusher<'a> {
    copier: &'a Copier,
    sink: &'a dyn Sink,
}

impl Pusher<'_> {
    /// Everything a manifest points to.
    fn below<'a>(&'a self, node: &'a Node) -> BoxFuture<'a, Result<()>> {
        async move {
            match node {
                Node::Image(image) => self.image(image).await,
                Node::Index(index) => {
                    let children = index.children.iter().map(|child| async {
                        if let Node::Carried(carried) = &child.node {
                            return self.carried(carried).await;
                        }
                        self.below(&child.node).await?;
                        let manifest = child.node.manifest();
                        // Under its own digest where it is the one that was read, which may be no SHA-256.
                        let (digest, is_old) = match manifest.digest == *child.node.source() {
                            true => (&child.descriptor.digest, true),
                            false => (&manifest.digest, false),
                        };
                        match self.copier.knows_of(digest) || (is_old && self.copier.has(digest)) {
                            true => Ok(()),
                            false => self.sink.put_manifest(manifest, Some(digest)).await.map(drop),
                        }
                    });
                    try_join_all(children).await.map(drop)
                }
                Node::Carried(carried) => self.carried(carried).await,
            }
        }
        .boxed()
    }

    async fn image(&self, image: &ImageNode) -> Result<()> {
        let rewritten = &image.rewritten;
        let Content::Image { config, layers } = &rewritten.manifest.content else { return Ok(()) };
        let added = rewritten.layer.as_ref().map(|layer| (layer, &layers[layers.len() - 1]));
        let kept = &layers[..layers.len() - usize::from(added.is_some())];
        let layer = async {
            match added {
                Some((layer, descriptor)) => self.copier.bytes(descriptor, layer.blob.clone()).await,
                None => Ok(()),
            }
        };
        let config = async {
            match &rewritten.config {
                Some(bytes) => self.copier.bytes(config, bytes.clone()).await,
                None => self.copier.blob(config).await,
            }
        };
        let moves = try_join_all(kept.iter().map(|d| self.copier.blob(d)));
        tokio::try_join!(layer, config, moves).map(drop)
    }

    fn carried<'a>(&'a self, carried: &'a Carried) -> BoxFuture<'a, Result<()>> {
        async move {
            let Some(manifest) = &carried.manifest else { return Ok(()) };
            let blobs = manifest.blobs().into_iter().map(|blob| self.copier.blob(blob));
            let children = carried.children.iter().map(|child| self.carried(child));
            tokio::try_join!(try_join_all(blobs), try_join_all(children))?;
            match self.copier.has(&carried.descriptor.digest) {
                true => Ok(()),
                false => self.sink.put_manifest(manifest, Some(&carried.descriptor.digest)).await.map(drop),
            }
        }
        .boxed()
    }
}

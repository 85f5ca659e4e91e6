//! Reading of manifests and configs: whole, verified, and each of them once.

use crate::error::{Context, Error, Kind, Remedy, Result};
use crate::image::{
    Content, Descriptor, Digest, MAX_CONFIG, MAX_MANIFEST, MAX_MANIFESTS, Manifest, MediaType, StatedPlatform,
};
use crate::rewrite::{Image, ImageOrArtifact};
use crate::transport::Source;
use crate::transport::checked::{read_whole, verified};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, Shared, try_join_all};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The maximum depth of nested indexes.
const MAX_DEPTH: usize = 8;
/// The maximum size of all manifests and configs together; each also has a limit of its own.
const MAX_HELD: u64 = 128 << 20;

/// The limits of one traversal of an image.
#[derive(Debug, Default)]
pub struct Limits {
    met: AtomicUsize,
}

impl Limits {
    /// Enters an index. Returns an error if it is nested too deeply, or if too many manifests were met so far.
    pub fn enter(&self, index: &Manifest, depth: usize) -> Result<()> {
        let children = index.children().len();
        let met = self.met.fetch_add(children, Ordering::Relaxed) + children;
        if depth >= MAX_DEPTH || met > MAX_MANIFESTS {
            return Err(Error::unsupported(format!(
                "the index nests deeper than {MAX_DEPTH} levels or has more than {MAX_MANIFESTS} manifests below it"
            ))
            .hint("use the digest of one of its images"));
        }
        Ok(())
    }
}

/// The digest, size and media type of a descriptor, all of which are checked.
type ManifestKey = (Digest, u64, MediaType);
type Once<T> = Shared<BoxFuture<'static, Result<T>>>;

/// A reader of an image and everything below it.
pub struct Reader {
    source: Arc<dyn Source>,
    manifests: Mutex<HashMap<ManifestKey, Once<Arc<Manifest>>>>,
    configs: Mutex<HashMap<(Digest, u64), Once<Bytes>>>,
    held: Arc<AtomicU64>,
}

impl Reader {
    /// Creates a reader, which has read nothing yet.
    pub fn new(source: Arc<dyn Source>) -> Self {
        Reader { source, manifests: Mutex::default(), configs: Mutex::default(), held: Arc::default() }
    }

    /// Returns the source that is read.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// Reads the manifest of a child.
    pub async fn child(&self, descriptor: &Descriptor) -> Result<Arc<Manifest>> {
        let key = (descriptor.digest.clone(), descriptor.size, descriptor.media_type.clone());
        let (source, wanted) = (self.source.clone(), descriptor.clone());
        let held = self.held.clone();
        let reading = async move {
            check_size("manifest", &wanted, MAX_MANIFEST)?;
            hold(&held, &wanted)?;
            source.child(&wanted).await.map(Arc::new).map_err(|error| match error.kind() {
                Kind::NotFound => error.hint(Remedy::ChoosePresentPlatform),
                _ => error,
            })
        };
        once(&self.manifests, key, reading).await
    }

    /// Reads the config of an image.
    pub fn config(&self, descriptor: &Descriptor) -> impl Future<Output = Result<Bytes>> + Send + use<> {
        let key = (descriptor.digest.clone(), descriptor.size);
        let (source, wanted) = (self.source.clone(), descriptor.clone());
        let held = self.held.clone();
        once(&self.configs, key, async move {
            check_size("image config", &wanted, MAX_CONFIG)?;
            hold(&held, &wanted)?;
            blob(&*source, &wanted, MAX_CONFIG).await.context(|| "the image config")
        })
    }

    /// Reads a blob of at most `limit` bytes, which counts against the memory limit.
    pub async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Bytes> {
        hold(&self.held, descriptor)?;
        blob(&*self.source, descriptor, limit).await
    }

    /// Reads everything below a manifest that is wanted: all children at once, and images with their configs.
    pub fn tree<'a>(
        &'a self,
        manifest: Manifest,
        wanted: &'a (dyn Fn(&Descriptor) -> bool + Sync),
    ) -> BoxFuture<'a, Result<Tree>> {
        let limits = Limits::default();
        async move { self.subtree(manifest, wanted, &limits, 0).await }.boxed()
    }

    fn subtree<'a>(
        &'a self,
        manifest: Manifest,
        wanted: &'a (dyn Fn(&Descriptor) -> bool + Sync),
        limits: &'a Limits,
        depth: usize,
    ) -> BoxFuture<'a, Result<Tree>> {
        async move {
            if !matches!(manifest.content, Content::Index { .. }) {
                return self.image(manifest).await;
            }
            limits.enter(&manifest, depth)?;
            let chosen = manifest.children().iter().enumerate().filter(|(_, child)| wanted(child));
            let below = chosen.map(|(position, child)| async move {
                let tree = self.branch(child, wanted, limits, depth + 1).await;
                tree.context(|| format!("the child {}", child.digest)).map(|tree| (position, tree))
            });
            let below = try_join_all(below).await?;
            Ok(Tree::Index(manifest, below))
        }
        .boxed()
    }

    /// Reads a child. A malformed image does not prevent the others from being read.
    async fn branch(
        &self,
        child: &Descriptor,
        wanted: &(dyn Fn(&Descriptor) -> bool + Sync),
        limits: &Limits,
        depth: usize,
    ) -> Result<Tree> {
        let manifest = match self.child(child).await {
            Err(error) if error.kind() == Kind::Unsupported && !child.is_index() => {
                return Ok(Tree::Other(error.to_string()));
            }
            manifest => manifest?.as_ref().clone(),
        };
        if matches!(manifest.content, Content::Index { .. }) {
            return self.subtree(manifest, wanted, limits, depth).await;
        }
        match self.image(manifest).await {
            Ok(Tree::Image(image, _)) => Ok(Tree::Image(image, child.platform.clone())),
            Err(error) if error.kind() == Kind::Unsupported => Ok(Tree::Other(error.to_string())),
            other => other,
        }
    }

    async fn image(&self, manifest: Manifest) -> Result<Tree> {
        let descriptor = match &manifest.content {
            Content::Image { config, .. } => config.as_ref().clone(),
            Content::Artifact { kind, .. } => return Ok(Tree::Other(kind.clone())),
            Content::Opaque { why, .. } => return Err(why.clone()),
            Content::Index { .. } => {
                return Err(Error::other("internal error: an index was read as an image"));
            }
        };
        let config = self.config(&descriptor).await?;
        Ok(match Image::read(manifest, config, self.source.keeps_manifests())? {
            ImageOrArtifact::Image(image) => Tree::Image(image, None),
            ImageOrArtifact::Artifact(kind) => Tree::Other(kind),
        })
    }
}

/// A manifest with everything below it.
pub enum Tree {
    /// An image, with the platform that an index states for it.
    Image(Box<Image>, Option<StatedPlatform>),
    /// An index, with its wanted children by position.
    Index(Manifest, Vec<(usize, Tree)>),
    /// Other content or a malformed image, with a description or the error.
    Other(String),
}

impl Tree {
    /// Returns the images in it, in order, with the platforms that indexes state for them.
    pub fn images(self) -> Vec<(Image, Option<StatedPlatform>)> {
        match self {
            Tree::Image(image, listed) => vec![(*image, listed)],
            Tree::Index(_, children) => children.into_iter().flat_map(|(_, tree)| tree.images()).collect(),
            Tree::Other(_) => Vec::new(),
        }
    }
}

fn once<K: Hash + Eq, T: Clone + Send + Sync + 'static>(
    all: &Mutex<HashMap<K, Once<T>>>,
    key: K,
    reading: impl Future<Output = Result<T>> + Send + 'static,
) -> Once<T> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.entry(key).or_insert_with(|| reading.boxed().shared()).clone()
}

/// Reserves memory for content that is about to be read.
fn hold(held: &AtomicU64, descriptor: &Descriptor) -> Result<()> {
    let more = |held: u64| held.checked_add(descriptor.size).filter(|all| *all <= MAX_HELD);
    held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map(drop).map_err(|_| {
        Error::unsupported("the manifests and configs of this image exceed 128 MiB in total")
            .hint(Remedy::ChooseFewerImages)
    })
}

/// Checks the stated size of content that is read whole, before it counts against the limit of all together.
fn check_size(what: &str, descriptor: &Descriptor, limit: u64) -> Result<()> {
    if descriptor.size <= limit {
        return Ok(());
    }
    let text = format!("the {what} has {} bytes; the limit is {} MiB", descriptor.size, limit >> 20);
    Err(Error::unsupported(text).hint("rebuild the image with fewer or shorter labels and history entries"))
}

/// Reads a blob of at most `limit` bytes.
pub async fn blob(source: &dyn Source, descriptor: &Descriptor, limit: u64) -> Result<Bytes> {
    let stream = source.blob(descriptor).await?;
    read_whole(verified(stream, descriptor), descriptor, limit).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{BlobStream, Origin};

    /// A source without content that counts its requests.
    #[derive(Default)]
    struct Empty(AtomicUsize);

    #[async_trait::async_trait]
    impl Source for Empty {
        async fn manifest(&self) -> Result<Manifest> {
            Err(Error::not_found("nothing here"))
        }

        async fn child(&self, _: &Descriptor) -> Result<Manifest> {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.manifest().await
        }

        async fn blob(&self, _: &Descriptor) -> Result<BlobStream> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(Error::not_found("nothing here"))
        }

        fn origin(&self) -> Option<Origin> {
            None
        }
    }

    #[tokio::test]
    async fn limits_memory_and_requests_content_once() {
        let place = Arc::new(Empty::default());
        let reader = Reader::new(place.clone());
        let descriptor = |n: u64, size| Descriptor::new("", Digest::sha256(n.to_string()), size);
        for n in 0..16 {
            for _ in 0..3 {
                assert!(reader.child(&descriptor(n, 4 << 20)).await.is_err());
                assert!(reader.config(&descriptor(n, 4 << 20)).await.is_err());
            }
        }
        assert_eq!(place.0.load(Ordering::Relaxed), 32);
        let large = reader.config(&descriptor(99, u64::MAX)).await.unwrap_err();
        assert!(large.to_string().contains("the limit is 8 MiB"), "{large}");
        let large = reader.child(&descriptor(99, u64::MAX)).await.unwrap_err();
        assert!(large.to_string().contains("the limit is 4 MiB"), "{large}");
        for size in [1, 2, 1] {
            let full = reader.config(&descriptor(size, size)).await.unwrap_err();
            assert!(full.to_string().contains("128 MiB"), "{full}");
            assert!(reader.child(&descriptor(size, size)).await.is_err());
        }
        assert_eq!(place.0.load(Ordering::Relaxed), 32, "nothing beyond the limit is requested");
    }
}

//! A source that may also be read from other registries.

use crate::error::Result;
use crate::image::{Descriptor, Digest, Manifest};
use crate::registry::Repository;
use crate::transport::{BlobStream, Head, Origin, Referrer, Source};
use async_trait::async_trait;

/// Several places that have the same image, in order of preference.
pub struct Fallback {
    /// The registries to try first.
    pub mirrors: Vec<Repository>,
    /// The registry to read if they all fail.
    pub upstream: Repository,
}

/// Asks the mirrors in turn, and then the upstream. Answers are verified, so a mirror with wrong content
/// counts as a failure.
macro_rules! first {
    ($self:ident, $place:ident => $ask:expr) => {{
        for $place in &$self.mirrors {
            match $ask.await {
                Ok(answer) => return Ok(answer),
                Err(error) => tracing::info!("{error}; asking the next registry"),
            }
        }
        let $place = &$self.upstream;
        $ask.await
    }};
}

#[async_trait]
impl Source for Fallback {
    async fn manifest(&self) -> Result<Manifest> {
        first!(self, place => place.manifest())
    }

    async fn head(&self) -> Result<Option<Head>> {
        first!(self, place => place.head())
    }

    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest> {
        first!(self, place => place.child(descriptor))
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        first!(self, place => place.blob(descriptor))
    }

    async fn referrers(&self, digest: &Digest) -> Result<Vec<Referrer>> {
        self.upstream.referrers(digest).await
    }

    fn is_local(&self) -> bool {
        false
    }

    /// Has no single origin, because blobs may be in several places.
    fn origin(&self) -> Option<Origin> {
        match self.mirrors.is_empty() {
            true => Source::origin(&self.upstream),
            false => None,
        }
    }
}

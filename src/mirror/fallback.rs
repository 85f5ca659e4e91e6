//! A source with registries in front of it that may have the image too.

use crate::error::Result;
use crate::image::{Descriptor, Digest, Manifest};
use crate::registry::Repository;
use crate::transport::{BlobStream, Head, Origin, Referrer, Source};
use async_trait::async_trait;

/// Places with the same image, the preferred one first.
pub struct Fallback {
    /// Read first.
    pub mirrors: Vec<Repository>,
    /// Read where they fail.
    pub upstream: Repository,
}

/// Asks the mirrors in turn, and the upstream last; what a mirror answers wrongly was verified and counts as a failure.
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

    /// Blobs may be in several places.
    fn origin(&self) -> Option<Origin> {
        match self.mirrors.is_empty() {
            true => Source::origin(&self.upstream),
            false => None,
        }
    }
}

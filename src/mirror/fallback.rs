//! A source that may also be read from other registries.

use crate::error::{Result, Retry};
use crate::image::{Descriptor, Digest, Manifest};
use crate::transport::checked::verified;
use crate::transport::{BlobStream, Head, Origin, Referrer, Source};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Several places that have the same image, in order of preference.
#[derive(Clone)]
pub struct Fallback {
    /// The registries to try first.
    pub mirrors: Vec<Arc<dyn Source>>,
    /// The registry to read if they all fail.
    pub upstream: Arc<dyn Source>,
    /// The blobs that mirrors failed to send.
    pub faults: Faults,
}

/// The blobs that mirrors, by their position, failed to send. Clones share the same list.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<HashSet<(usize, Digest)>>>);

impl Faults {
    fn has(&self, mirror: usize, digest: &Digest) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&(mirror, digest.clone()))
    }

    fn add(&self, mirror: usize, digest: &Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((mirror, digest.clone()));
    }
}

/// Asks the mirrors in turn, and then the upstream. Whatever is requested by its digest is verified, and wrong
/// content counts as a failure. What a tag refers to cannot be verified: there the first answer counts.
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

impl Fallback {
    /// Opens a blob at the first place that did not fail to send it before. Returns which mirror that is.
    async fn open(&self, descriptor: &Descriptor) -> Result<(Option<usize>, BlobStream)> {
        let usable = |(at, _): &(usize, _)| !self.faults.has(*at, &descriptor.digest);
        for (at, mirror) in self.mirrors.iter().enumerate().filter(usable) {
            match mirror.blob(descriptor).await {
                Ok(stream) => return Ok((Some(at), verified(stream, descriptor))),
                Err(error) => tracing::info!("{error}; asking the next registry"),
            }
        }
        Ok((None, self.upstream.blob(descriptor).await?))
    }
}

/// A blob that is being read.
struct Reading {
    places: Fallback,
    descriptor: Descriptor,
    /// The mirror that sends it.
    mirror: Option<usize>,
    stream: BlobStream,
    /// Whether a piece was passed on.
    has_begun: bool,
}

impl Reading {
    /// Returns the next piece. If a mirror fails, the blob is read from the next place, now if nothing was passed on,
    /// and otherwise when it is opened again: wrong pieces cannot be taken back.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let error = match (self.stream.next().await, self.mirror) {
                (Some(Err(error)), Some(mirror)) => {
                    self.places.faults.add(mirror, &self.descriptor.digest);
                    error
                }
                (piece, _) => {
                    self.has_begun |= piece.is_some();
                    return piece.transpose();
                }
            };
            if self.has_begun {
                return Err(error.retryable(Retry::Later { after: None }));
            }
            tracing::info!("{error}; asking the next registry");
            // The failed download ends before another one begins.
            self.stream = stream::empty().boxed();
            (self.mirror, self.stream) = self.places.open(&self.descriptor).await?;
        }
    }
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
        let (mirror, stream) = self.open(descriptor).await?;
        if mirror.is_none() {
            return Ok(stream);
        }
        let (places, descriptor) = (self.clone(), descriptor.clone());
        let reading = Reading { places, descriptor, mirror, stream, has_begun: false };
        Ok(Box::pin(stream::unfold(reading, |mut reading| async move {
            let piece = reading.next().await.transpose()?;
            Some((piece, reading))
        })))
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
            true => self.upstream.origin(),
            false => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Kind};
    use crate::transport::checked::read_whole;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A place that sends these pieces for every blob, and counts how often it is asked.
    struct Place(Vec<Result<&'static str>>, AtomicUsize);

    #[async_trait]
    impl Source for Place {
        async fn manifest(&self) -> Result<Manifest> {
            Err(Error::not_found("nothing here"))
        }

        async fn child(&self, _: &Descriptor) -> Result<Manifest> {
            self.manifest().await
        }

        async fn blob(&self, _: &Descriptor) -> Result<BlobStream> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let pieces: Vec<_> = self.0.iter().cloned().map(|piece| piece.map(Bytes::from)).collect();
            Ok(stream::iter(pieces).boxed())
        }

        fn origin(&self) -> Option<Origin> {
            None
        }
    }

    fn place(pieces: &[Result<&'static str>]) -> Arc<Place> {
        Arc::new(Place(pieces.to_vec(), AtomicUsize::new(0)))
    }

    async fn read(places: &Fallback) -> Result<Bytes> {
        let descriptor = Descriptor::new("", Digest::sha256("abcdef"), 6);
        read_whole(places.blob(&descriptor).await?, &descriptor, 10).await
    }

    #[tokio::test]
    async fn a_mirror_that_fails_to_send_a_blob_is_not_asked_for_it_again() {
        let broken = || Err(Error::network("broken"));
        let (empty, wrong) = (place(&[broken()]), place(&[Ok("abcdeX")]));
        let (partial, cut) = (place(&[Ok("abc"), broken()]), place(&[Ok("abc"), Ok("dX"), Ok("f")]));
        let upstream = place(&[Ok("abc"), Ok("def")]);
        let mirrors: Vec<Arc<dyn Source>> = vec![empty.clone(), wrong.clone(), partial.clone(), cut.clone()];
        let places = Fallback { mirrors, upstream, faults: Faults::default() };
        // Two mirrors fail before anything is passed on, and the next two afterwards.
        for kind in [Kind::Network, Kind::Verification] {
            let error = read(&places).await.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.retry().is_some(), "another place may have it");
        }
        for _ in 0..2 {
            assert_eq!(read(&places).await.unwrap(), "abcdef");
        }
        for mirror in [empty, wrong, partial, cut] {
            assert_eq!(mirror.1.load(Ordering::Relaxed), 1);
        }
    }

    #[tokio::test]
    async fn an_error_of_the_upstream_is_final() {
        let upstream = place(&[Ok("abc"), Err(Error::verification("wrong"))]);
        let mirror = place(&[Err(Error::network("broken"))]);
        let places = Fallback { mirrors: vec![mirror], upstream, faults: Faults::default() };
        let error = read(&places).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (Kind::Verification, None));
    }
}

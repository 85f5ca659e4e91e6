//! The registry transport: a thin client of the OCI distribution specification, on reqwest.

pub mod auth;
mod client;
mod download;
mod error;
mod quirks;
mod referrers;
mod tls;
mod token;
mod upload;

pub use client::{Client, Options, Trace};
pub use quirks::Upload;
pub use tls::{HostOptions, is_loopback};

use crate::error::{Context, Error, Result};
use crate::image::Reference;
use crate::image::{Descriptor, Digest, MAX_MANIFEST, Manifest, media_type};
use crate::stats::Stats;
use crate::transport::checked::checked_manifest;
use crate::transport::{BlobStream, Offer, Origin, Payload, Sink, Slot, Source};
use async_trait::async_trait;
use auth::Scope;
use bytes::Bytes;
use client::{Request, Whole, headers};
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, StatusCode};
use std::sync::Arc;
use upload::{Mount, Uploads};

/// A repository in a registry: read from, or written to.
pub struct Repository {
    client: Arc<Client>,
    name: Reference,
    scopes: [Scope; 1],
    uploads: Uploads,
}

impl Repository {
    /// A repository to read from.
    pub fn source(client: Arc<Client>, name: Reference) -> Self {
        Self::new(client, name, false)
    }

    /// A repository to write to.
    pub fn sink(client: Arc<Client>, name: Reference) -> Self {
        Self::new(client, name, true)
    }

    fn new(client: Arc<Client>, name: Reference, push: bool) -> Self {
        let scope = Scope { repository: name.repository().into(), push };
        client.announce(scope.clone());
        let uploads = Uploads::new(client.clone(), name.repository());
        Repository { client, name, scopes: [scope], uploads }
    }

    fn manifest_request(&self, method: Method, target: &str, what: String) -> Result<Request<'_>> {
        let url = self.client.url(self.name.repository(), &format!("manifests/{target}"))?;
        Ok(Request { method, url, headers: HeaderMap::new(), body: Bytes::new(), scopes: &self.scopes, what })
    }

    /// Asks for a manifest; any answer will do.
    async fn get(&self, target: &str) -> Result<Whole> {
        let mut request = self.manifest_request(Method::GET, target, self.reading(target))?;
        request.headers = headers([(header::ACCEPT, media_type::ACCEPT)])?;
        let limit = usize::try_from(MAX_MANIFEST).unwrap_or(usize::MAX) + 1;
        let answer = self.client.whole(&request, limit).await?;
        if answer.status == StatusCode::OK {
            Stats::add(&self.client.options.stats.bytes_pulled, answer.body.len() as u64);
        }
        Ok(answer)
    }

    /// Asks whether there is a manifest. Where that question is not allowed, the manifest is asked for.
    async fn head(&self, target: &str) -> Result<Whole> {
        let mut request = self.manifest_request(Method::HEAD, target, self.reading(target))?;
        request.headers = headers([(header::ACCEPT, media_type::ACCEPT)])?;
        let answer = self.client.whole(&request, 0).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(answer),
            _ => self.get(target).await,
        }
    }

    /// Asks for a manifest that has to be there.
    async fn expect(&self, target: &str) -> Result<Whole> {
        let answer = self.get(target).await?;
        match answer.status {
            StatusCode::OK => Ok(answer),
            _ => Err(answer.refusal(&self.reading(target))),
        }
    }

    fn reading(&self, target: &str) -> String {
        format!("reading {}", self.described(target))
    }

    fn described(&self, target: &str) -> String {
        let separator = if target.contains(':') { '@' } else { ':' };
        format!("{}{separator}{target}", self.name.repository_name())
    }

    async fn write_manifest(&self, manifest: &Manifest, target: &str) -> Result<()> {
        let what = format!("writing {}", self.described(target));
        let mut request = self.manifest_request(Method::PUT, target, what)?;
        request.headers = headers([(header::CONTENT_TYPE, &manifest.media_type)])?;
        request.body = manifest.bytes.clone();
        let statuses = [StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED];
        let answer = self.client.expect(&request, &statuses).await?;
        let stored = answer
            .headers()
            .get("docker-content-digest")
            .and_then(|v| v.to_str().ok()?.parse::<Digest>().ok());
        if let Some(stored) = stored {
            stored.check(&manifest.bytes, format!("{}: the registry stored something else", request.what))?;
        }
        Stats::add(&self.client.options.stats.bytes_pushed, manifest.bytes.len() as u64);
        Ok(())
    }

    async fn fetch(&self) -> Result<Manifest> {
        let target = self.name.target();
        let answer = self.expect(&target).await?;
        let bytes = answer.body.clone();
        let place = self.described(&target);
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(Error::unsupported(format!("{place}: the manifest is larger than 4 MiB")));
        }
        if let Some(digest) = self.name.digest() {
            digest.check(&bytes, &place)?;
        }
        let kind = answer.header("content-type");
        if kind.is_some_and(|k| k.starts_with("text/html")) {
            return Err(Error::network(format!("{place}: the answer is a web page, not a manifest"))
                .hint("check that the host is a registry, and that no proxy answers for it"));
        }
        if let Some(Ok(claimed)) = answer.header("docker-content-digest").map(str::parse::<Digest>) {
            claimed.check(&bytes, &place)?;
        }
        Manifest::parse(bytes, kind).context(|| place)
    }
}

#[async_trait]
impl Source for Repository {
    async fn manifest(&self) -> Result<Manifest> {
        self.fetch().await
    }

    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest> {
        let target = descriptor.digest.to_string();
        checked_manifest(self.expect(&target).await?.body, descriptor).context(|| self.name.repository_name())
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        download::open(self.client.clone(), self.name.repository(), descriptor).await
    }

    async fn referrers(&self, digest: &Digest) -> Result<Vec<String>> {
        self.list_referrers(digest).await
    }

    fn origin(&self) -> Option<Origin> {
        Some(Origin { store: self.name.host().into(), repository: self.name.repository().into() })
    }

    fn is_local(&self) -> bool {
        false
    }
}

#[async_trait]
impl Sink for Repository {
    async fn current(&self) -> Result<Option<Manifest>> {
        let target = self.name.target();
        let answer = self.get(&target).await?;
        match answer.status {
            // What is of another kind is replaced like anything else.
            StatusCode::OK => Ok(Manifest::parse(answer.body.clone(), answer.header("content-type")).ok()),
            // A repository that is not there yet is 401 or 403 to some.
            StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(None),
            _ => Err(answer.refusal(&self.reading(&target))),
        }
    }

    async fn offer(&self, descriptor: &Descriptor, from: Option<&str>) -> Result<Offer> {
        let slot = match from {
            Some(from) => match self.uploads.mount(descriptor, from).await? {
                Mount::Done => return Ok(Offer::Mounted),
                Mount::Refused(slot) => slot,
            },
            None => None,
        };
        if !self.uploads.exists(descriptor).await? {
            return Ok(Offer::Wanted(slot));
        }
        if let Some(slot) = slot {
            self.uploads.close(slot).await;
        }
        Ok(Offer::Existing)
    }

    async fn open(&self) -> Result<Option<Slot>> {
        self.uploads.open().await.map(Some)
    }

    async fn put(&self, slot: Option<Slot>, descriptor: &Descriptor, payload: Payload<'_>) -> Result<()> {
        self.uploads.put(slot, descriptor, payload).await
    }

    async fn put_manifest(&self, manifest: &Manifest, digest: Option<&Digest>) -> Result<Digest> {
        let target = digest.map_or_else(|| self.name.target(), Digest::to_string);
        self.write_manifest(manifest, &target).await?;
        Ok(digest.unwrap_or(&manifest.digest).clone())
    }

    fn takes_referrers(&self) -> bool {
        true
    }

    async fn put_referrer(&self, manifest: &Manifest, subject: &Digest) -> Result<()> {
        self.push_referrer(manifest, subject).await
    }

    async fn release(&self) {
        self.uploads.release().await;
    }

    fn origin(&self) -> Option<Origin> {
        Source::origin(self)
    }

    async fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        if !descriptor.is_manifest() {
            return self.uploads.exists(descriptor).await;
        }
        let answer = self.head(&descriptor.digest.to_string()).await?;
        Ok(answer.status == StatusCode::OK)
    }

    async fn tag_digest(&self) -> Result<Option<Digest>> {
        let answer = self.head(&self.name.target()).await?;
        let stated = answer.header("docker-content-digest").and_then(|digest| digest.parse().ok());
        match answer.status {
            StatusCode::OK if stated.is_some() => Ok(stated),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Ok(self.current().await?.map(|manifest| manifest.digest)),
        }
    }

    fn as_source(self: Arc<Self>) -> Option<Arc<dyn Source>> {
        Some(self)
    }

    fn refuses_missing_parts(&self) -> bool {
        true
    }

    fn is_local(&self) -> bool {
        false
    }
}

//! One repository of a registry, as a source and as a destination.

use super::answer::FullResponse;
use super::auth::{Access, Scope};
use super::body::Body;
use super::client::Client;
use super::download;
use super::error::Refusal;
use super::http::Request;
use super::session::{Mount, Session, Sessions};
use super::upload::Uploads;
use crate::error::{Context, Error, Kind, Result};
use crate::image::Reference;
use crate::image::{Descriptor, Digest, MAX_MANIFEST, Manifest, media_type};
use crate::stats::Stats;
use crate::transport::checked::checked_manifest;
use crate::transport::{BlobStream, Head, Offer, Origin, Payload, Referrer, Sink, Slot, Source};
use async_trait::async_trait;
use oci_spec::distribution::ErrorCode;
use reqwest::header;
use reqwest::{Method, StatusCode, Url};
use std::sync::Arc;

/// The error codes, at any status, with which a registry refuses a manifest that refers to missing content.
const MISSING_PART: [ErrorCode; 3] =
    [ErrorCode::ManifestBlobUnknown, ErrorCode::BlobUnknown, ErrorCode::ManifestUnknown];
/// The equivalent for children of an index; the specification does not define this code.
const MISSING_CHILD: [&str; 1] = ["MANIFEST_REFERENCES_MANIFEST_UNKNOWN"];

/// A repository of a registry, for reading or writing.
pub struct Repository {
    pub(super) client: Arc<Client>,
    pub(super) name: Reference,
    pub(super) scopes: [Scope; 1],
    sessions: Arc<Sessions>,
    uploads: Uploads,
}

impl Repository {
    /// Creates a repository for reading.
    pub fn source(client: Arc<Client>, name: Reference) -> Self {
        Self::new(client, name, Access::Pull)
    }

    /// Creates a repository for writing.
    pub fn sink(client: Arc<Client>, name: Reference) -> Self {
        Self::new(client, name, Access::Push)
    }

    fn new(client: Arc<Client>, name: Reference, access: Access) -> Self {
        let scope = Scope { repository: name.repository().into(), access };
        client.announce(scope.clone());
        let sessions = Arc::new(Sessions::new(client.clone(), name.repository()));
        let uploads = Uploads::new(client.clone(), name.repository(), sessions.clone());
        Repository { client, name, scopes: [scope], sessions, uploads }
    }

    pub(super) fn manifest_request(
        &self,
        method: Method,
        target: &str,
        operation: String,
    ) -> Result<Request<'static>> {
        let url = self.client.url(self.name.repository(), &format!("manifests/{target}"))?;
        Ok(Request::new(method, url, operation))
    }

    /// Requests a manifest and returns any response.
    pub(super) async fn get(&self, target: &str) -> Result<FullResponse> {
        let request = self
            .manifest_request(Method::GET, target, self.reading(target))?
            .header(header::ACCEPT, media_type::ACCEPT)?;
        let limit = usize::try_from(MAX_MANIFEST).unwrap_or(usize::MAX) + 1;
        let answer = self.client.fetch(&request, &self.scopes, limit).await?;
        if answer.status == StatusCode::OK {
            Stats::add(&self.client.options().stats.bytes_pulled, answer.body.len() as u64);
        }
        Ok(answer)
    }

    /// Requests a manifest and returns an error if it is missing.
    async fn expect(&self, target: &str) -> Result<FullResponse> {
        let answer = self.get(target).await?;
        match answer.status {
            StatusCode::OK => Ok(answer),
            _ => Err(answer.refusal(&self.reading(target)).into_error()),
        }
    }

    pub(super) fn reading(&self, target: &str) -> String {
        format!("reading {}", self.described(target))
    }

    pub(super) fn described(&self, target: &str) -> String {
        let separator = if target.contains(':') { '@' } else { ':' };
        format!("{}{separator}{target}", self.name.repository_name())
    }

    pub(super) async fn write_manifest(&self, manifest: &Manifest, target: &str) -> Result<FullResponse> {
        let operation = format!("writing {}", self.described(target));
        let request = self
            .manifest_request(Method::PUT, target, operation)?
            .header(header::CONTENT_TYPE, &manifest.media_type)?
            .body(Body::Bytes(manifest.bytes.clone()));
        let answer = self.client.fetch(&request, &self.scopes, 64 << 10).await?;
        if !answer.status.is_success() {
            let refusal = answer.refusal(&request.operation);
            return self.after_refusal(manifest, target, answer, refusal).await;
        }
        if let Some(Ok(stored)) = answer.header("docker-content-digest").map(str::parse::<Digest>) {
            let place = format!("{}: the registry stored different content", request.operation);
            stored.check(&manifest.bytes, place)?;
        }
        if !self.client.is_own(&answer.url) {
            self.check_stored(manifest, target, &answer.url).await?;
        }
        Ok(answer)
    }

    /// Checks with the registry itself that it has the manifest that another host claims to have stored.
    async fn check_stored(&self, manifest: &Manifest, target: &str, by: &Url) -> Result<()> {
        let held = self.digest_of(target).await?;
        if held.is_some_and(|held| held.matches(&manifest.bytes)) {
            return Ok(());
        }
        let host = by.host_str().unwrap_or_default();
        Err(Error::network(format!(
            "writing {}: the registry redirected to {host}, which accepted the manifest, but the registry does not have it",
            self.described(target)
        ))
        .hint("check for a proxy that answers in place of the registry"))
    }

    /// Interprets the refusal of a manifest: the tag is immutable but already has this manifest, the registry lacks a
    /// part, or the manifest is rejected.
    async fn after_refusal(
        &self,
        manifest: &Manifest,
        target: &str,
        answer: FullResponse,
        refusal: Refusal,
    ) -> Result<FullResponse> {
        let is_tag = !target.contains(':');
        if is_tag && is_about_immutability(&refusal) {
            // If the tag cannot be read, it counts as another image.
            if matches!(self.digest_of(target).await, Ok(Some(held)) if held.matches(&manifest.bytes)) {
                return Ok(answer);
            }
            return Err(refusal
                .into_error()
                .of_kind(Kind::Denied)
                .lasting()
                .context(format!("the tag {target} is immutable"))
                .hint("choose another tag; the registry does not overwrite existing ones"));
        }
        if refusal.has(&MISSING_PART) || refusal.has_other(&MISSING_CHILD) {
            let error = refusal.into_error().of_kind(Kind::Network).lasting().missing_part();
            return Err(error.hint("run the command again; the destination has lost a part of the image"));
        }
        Err(refusal.into_error())
    }

    /// Returns the digest that a tag currently refers to; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// Fails if the registry does not say: a tag that may not be read may exist.
    pub(super) async fn digest_of(&self, target: &str) -> Result<Option<Digest>> {
        let operation = format!("looking for {}", self.described(target));
        let request = self
            .manifest_request(Method::HEAD, target, operation)?
            .header(header::ACCEPT, media_type::ACCEPT)?;
        // Read the whole body, although it is empty, so that the turn is released for the next request.
        let answer = self.client.fetch(&request, &self.scopes, 1).await?;
        if answer.status == StatusCode::OK
            && let Some(Ok(digest)) = answer.header("docker-content-digest").map(str::parse::<Digest>)
        {
            return Ok(Some(digest));
        }
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        // Some registries do not allow HEAD, or omit the digest.
        let answer = self.get(target).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(Digest::sha256(&answer.body))),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer.refusal(&request.operation).into_error()),
        }
    }

    /// Deletes a manifest, and with it every tag that refers to it.
    pub async fn delete(&self, digest: &Digest) -> Result<()> {
        let target = digest.to_string();
        let operation = format!("deleting {}", self.described(&target));
        let request = self.manifest_request(Method::DELETE, &target, operation)?;
        let scopes = [Scope { repository: self.name.repository().into(), access: Access::Delete }];
        let answer = self.client.fetch(&request, &scopes, 64 << 10).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(()),
            status if status.is_success() => Ok(()),
            StatusCode::METHOD_NOT_ALLOWED => Err(answer
                .refusal(&request.operation)
                .into_error()
                .hint("enable deletions in the registry's configuration")),
            _ => Err(answer.refusal(&request.operation).into_error()),
        }
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
            return Err(Error::network(format!("{place}: the response is a web page, not a manifest"))
                .hint("check that the host is a registry and that no proxy answers in its place"));
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

    async fn head(&self) -> Result<Option<Head>> {
        let target = self.name.target();
        let operation = format!("looking for {}", self.described(&target));
        let request = self
            .manifest_request(Method::HEAD, &target, operation)?
            .header(header::ACCEPT, media_type::ACCEPT)?;
        let answer = self.client.fetch(&request, &self.scopes, 1).await?;
        match answer.status {
            StatusCode::OK => {
                let digest = answer.header("docker-content-digest").and_then(|d| d.parse().ok());
                let media_type = answer.header("content-type").map(str::to_owned);
                Ok(digest.map(|digest| Head { digest, media_type }))
            }
            // Some registries do not allow HEAD.
            StatusCode::METHOD_NOT_ALLOWED => Ok(None),
            _ => Err(answer.refusal(&self.reading(&target)).into_error()),
        }
    }

    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest> {
        let target = descriptor.digest.to_string();
        checked_manifest(self.expect(&target).await?.body, descriptor).context(|| self.name.repository_name())
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        download::open(self.client.clone(), self.name.repository(), descriptor).await
    }

    async fn referrers(&self, digest: &Digest) -> Result<Vec<Referrer>> {
        self.list_referrers(digest).await
    }

    fn is_local(&self) -> bool {
        false
    }

    fn origin(&self) -> Option<Origin> {
        Some(Origin { store: self.name.host().into(), repository: self.name.repository().into() })
    }
}

#[async_trait]
impl Sink for Repository {
    async fn current(&self) -> Result<Option<Manifest>> {
        let target = self.name.target();
        let answer = self.get(&target).await?;
        match answer.status {
            // Content of another kind may be replaced like anything else.
            StatusCode::OK => Ok(Manifest::parse(answer.body.clone(), answer.header("content-type")).ok()),
            // Some registries answer 401 or 403 for a repository that does not exist yet.
            StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(None),
            _ => Err(answer.refusal(&self.reading(&target)).into_error()),
        }
    }

    async fn offer(&self, descriptor: &Descriptor, from: Option<&str>) -> Result<Offer> {
        let session = match from {
            Some(from) => match self.sessions.mount(descriptor, from).await? {
                Mount::Done => return Ok(Offer::Mounted),
                Mount::Refused(session) => session,
            },
            None => None,
        };
        let mut attempts = self.client.options().retry.at_most(1).start();
        if !self.uploads.exists(descriptor, &mut attempts).await? {
            return Ok(Offer::Wanted(session.map(Slot::new)));
        }
        if let Some(session) = session {
            self.sessions.cancel(session).await;
        }
        Ok(Offer::Existing)
    }

    async fn open(&self) -> Result<Option<Slot>> {
        let mut attempts = self.client.options().retry.start();
        self.sessions.open(&mut attempts).await.map(|session| Some(Slot::new(session)))
    }

    async fn put(&self, slot: Option<Slot>, descriptor: &Descriptor, payload: Payload<'_>) -> Result<()> {
        let session = slot.as_ref().and_then(Slot::get::<Session>).cloned();
        self.uploads.put(session, descriptor, payload).await
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
        self.sessions.release().await;
    }

    fn origin(&self) -> Option<Origin> {
        Source::origin(self)
    }

    async fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        if descriptor.is_manifest() {
            return match self.digest_of(&descriptor.digest.to_string()).await {
                Ok(found) => Ok(found.is_some()),
                // What may not be read is sent; that may be allowed.
                Err(error) if error.kind() == Kind::Denied => Ok(false),
                Err(error) => Err(error),
            };
        }
        let mut attempts = self.client.options().retry.at_most(1).start();
        self.uploads.exists(descriptor, &mut attempts).await
    }

    async fn is_taken(&self) -> Result<bool> {
        Ok(self.tag_digest().await?.is_some())
    }

    async fn tag_digest(&self) -> Result<Option<Digest>> {
        self.digest_of(&self.name.target()).await
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

/// Returns whether a registry refuses to move a tag. Registries use different statuses, codes and phrases.
fn is_about_immutability(refusal: &Refusal) -> bool {
    match refusal.status.as_u16() {
        409 | 412 => true,
        400 | 403 => {
            refusal.has_other(&["TAG_INVALID", "TAG_IMMUTABLE", "TAG_ALREADY_EXISTS", "IMMUTABLE_TAG"])
                || refusal.says(&[
                    "immutable",
                    "already exists",
                    "overwrit",
                    "cannot be moved",
                    "read-only tag",
                ])
        }
        _ => false,
    }
}

//! Blobs on their way into a registry (OCI distribution specification, "Pushing Blobs").

use super::auth::Scope;
use super::client::{Client, Request, headers, sensitive, stalled};
use crate::error::{Error, Kind, Result};
use crate::image::Descriptor;
use crate::transport::{BlobStream, Payload, Slot, Stats};
use futures_util::StreamExt;
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, Response, StatusCode, Url};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The uploads of one repository.
pub struct Uploads {
    client: Arc<Client>,
    repository: String,
    scopes: Vec<Scope>,
    /// Sessions that are open, to be cancelled when we give up.
    open: Mutex<HashSet<String>>,
}

/// The outcome of a mount.
pub enum Mount {
    Done,
    /// Not done; perhaps a session was opened instead.
    Refused(Option<Slot>),
}

impl Uploads {
    pub fn new(client: Arc<Client>, repository: &str) -> Self {
        let scopes = vec![Scope { repository: repository.into(), push: true }];
        Uploads { client, repository: repository.into(), scopes, open: Mutex::default() }
    }

    fn request<'a>(&self, method: Method, url: Url, scopes: &'a [Scope], what: String) -> Request<'a> {
        Request { method, url, headers: HeaderMap::new(), body: bytes::Bytes::new(), scopes, what }
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn slot(&self, url: &Url, answer: &Response, what: &str) -> Result<Slot> {
        let location = answer.headers().get(header::LOCATION).ok_or_else(|| {
            Error::network(format!("{what}: the registry named no Location for the upload"))
        })?;
        let location = self.client.follow(url, location, what)?.to_string();
        self.sessions().insert(location.clone());
        Ok(Slot(location))
    }

    /// Opens a session.
    pub async fn open(&self) -> Result<Slot> {
        let url = self.client.url(&self.repository, "blobs/uploads/")?;
        let what = format!("opening an upload to {}/{}", self.client.host(), self.repository);
        let request = self.request(Method::POST, url.clone(), &self.scopes, what);
        let answer = self.client.expect(&request, &[StatusCode::ACCEPTED]).await?;
        self.slot(&url, &answer, &request.what)
    }

    /// Cancels a session. Best effort: registries forget sessions by themselves, later.
    pub async fn close(&self, slot: Slot) {
        self.sessions().remove(&slot.0);
        let Ok(url) = Url::parse(&slot.0) else { return };
        if !self.client.is_own(&url) {
            return;
        }
        let authorization = self.client.authorization(&self.scopes).await.ok().flatten();
        let Ok(http) = self.client.http_for(&url) else { return };
        let mut builder = http.delete(url.clone()).timeout(Duration::from_secs(5));
        if let Some(value) = authorization.and_then(|a| sensitive(&a).ok()) {
            builder = builder.header(header::AUTHORIZATION, value);
        }
        let outcome = builder.send().await.map(|a| a.status()).map_err(|e| self.client.broken(e).to_string());
        self.client.count(&Method::DELETE, &url, outcome);
    }

    /// Cancels all sessions.
    pub async fn abort(&self) {
        let open: Vec<String> = self.sessions().drain().collect();
        futures_util::future::join_all(open.into_iter().map(|location| self.close(Slot(location)))).await;
    }

    /// Asks the registry to take a blob over from another of its repositories.
    pub async fn mount(&self, descriptor: &Descriptor, from: &str) -> Result<Mount> {
        let mut url = self.client.url(&self.repository, "blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &descriptor.digest.to_string()).append_pair("from", from);
        let what = format!("mounting {} from {from}", descriptor.digest);
        let mut scopes = self.scopes.clone();
        scopes.push(Scope { repository: from.into(), push: false });
        let request = self.request(Method::POST, url.clone(), &scopes, what);
        let answer = self.client.send(&request).await?;
        match answer.status() {
            StatusCode::CREATED => Ok(Mount::Done),
            StatusCode::ACCEPTED => Ok(Mount::Refused(self.slot(&url, &answer, &request.what).ok())),
            // Registries say no in many ways, and all mean: send it.
            _ => Ok(Mount::Refused(None)),
        }
    }

    /// Whether the repository has a blob.
    pub async fn exists(&self, descriptor: &Descriptor) -> Result<bool> {
        let url = self.client.url(&self.repository, &format!("blobs/{}", descriptor.digest))?;
        let what = format!("looking for {} in {}/{}", descriptor.digest, self.client.host(), self.repository);
        let request = self.request(Method::HEAD, url, &self.scopes, what);
        let answer = self.client.send(&request).await?;
        match answer.status() {
            StatusCode::OK => {
                let size = answer
                    .headers()
                    .get(header::CONTENT_LENGTH)
                    .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
                Ok(size.is_none_or(|size| size == descriptor.size))
            }
            // 403 is how some say "absent".
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Ok(false),
            _ => Err(self.client.refusal(&request.what, answer).await),
        }
    }

    /// Sends a blob: into `slot` if it was opened before, and again from the start when it fails. What
    /// failed may have arrived all the same, so that is asked first.
    pub async fn put(&self, slot: Option<Slot>, descriptor: &Descriptor, payload: Payload<'_>) -> Result<()> {
        let what = format!("sending {} to {}/{}", descriptor.digest, self.client.host(), self.repository);
        let mut attempt = 0;
        let mut next = slot;
        loop {
            let slot = match next.take() {
                Some(slot) => slot,
                None => self.open().await?,
            };
            let outcome = self.put_once(&slot, descriptor, &payload, &what).await;
            self.sessions().remove(&slot.0);
            let error = match outcome {
                Ok(()) => {
                    Stats::add(&self.client.options.stats.bytes_pushed, descriptor.size);
                    return Ok(());
                }
                Err(error) if error.is_transient() => error,
                Err(error) => {
                    self.close(slot).await;
                    return Err(error);
                }
            };
            self.client.pause(&mut attempt, error, None).await?;
            if self.exists(descriptor).await? {
                return Ok(());
            }
        }
    }

    async fn put_once(
        &self,
        slot: &Slot,
        descriptor: &Descriptor,
        payload: &Payload<'_>,
        what: &str,
    ) -> Result<()> {
        let mut url = Url::parse(&slot.0).map_err(|e| Error::network(format!("{what}: {e}")))?;
        url.query_pairs_mut().append_pair("digest", &descriptor.digest.to_string());
        let mut sent = None;
        for replay in [false, true] {
            let authorization = match sent.take() {
                Some(authorization) => Some(authorization),
                None => self.client.authorization(&self.scopes).await?,
            };
            let answer = self.stream(&url, descriptor, payload, authorization.as_deref(), what).await?;
            match answer.status() {
                StatusCode::CREATED | StatusCode::NO_CONTENT => return Ok(()),
                StatusCode::UNAUTHORIZED if !replay => {
                    sent = self.client.answer_challenge(&answer, authorization, &self.scopes).await?;
                    if sent.is_none() {
                        return Err(self.client.refusal(what, answer).await);
                    }
                }
                // The session is gone; another one may do.
                StatusCode::NOT_FOUND => return Err(self.client.refusal(what, answer).await.transient()),
                _ => return Err(self.client.refusal(what, answer).await),
            }
        }
        Err(Error::denied(what.to_string()))
    }

    /// One request with the blob as its body. There is no limit on how long it takes, only on how long
    /// nothing moves.
    async fn stream(
        &self,
        url: &Url,
        descriptor: &Descriptor,
        payload: &Payload<'_>,
        authorization: Option<&str>,
        what: &str,
    ) -> Result<Response> {
        let stall = self.client.options.stall;
        let moved = Arc::new(AtomicU64::new(0));
        let body = match payload {
            Payload::Bytes(bytes) => reqwest::Body::from(bytes.clone()),
            Payload::Blob(..) => reqwest::Body::wrap_stream(counted(payload.open().await?, moved.clone())),
        };
        let mut builder = self.client.http_for(url)?.put(url.clone()).headers(headers([
            (header::CONTENT_TYPE, "application/octet-stream"),
            (header::CONTENT_LENGTH, &descriptor.size.to_string()),
        ])?);
        if self.client.is_own(url)
            && let Some(authorization) = authorization
        {
            builder = builder.header(header::AUTHORIZATION, sensitive(authorization)?);
        }
        let sending = builder.body(body).send();
        tokio::pin!(sending);
        let mut before = 0;
        let outcome = loop {
            match tokio::time::timeout(stall, &mut sending).await {
                Ok(outcome) => break outcome.map_err(|e| self.client.broken(e)),
                Err(_) => {
                    let now = moved.load(Ordering::Relaxed);
                    if now == before {
                        break Err(stalled(stall));
                    }
                    before = now;
                }
            }
        };
        self.client.count(
            &Method::PUT,
            url,
            outcome.as_ref().map(Response::status).map_err(|e| e.to_string()),
        );
        outcome.map_err(|e| match e.kind() {
            // What the source did wrong is said as it was.
            Kind::Verification | Kind::NotFound => e,
            _ => e.context(what),
        })
    }
}

fn counted(
    stream: BlobStream,
    moved: Arc<AtomicU64>,
) -> impl futures_util::Stream<Item = Result<bytes::Bytes>> {
    stream.inspect(move |piece| {
        if let Ok(piece) = piece {
            moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    })
}

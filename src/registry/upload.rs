//! Blobs on their way into a registry (OCI distribution specification, "Pushing Blobs").

use super::auth::Scope;
use super::client::{self, Client, Request, sensitive, stalled};
use super::quirks::{self, Upload};
use crate::error::{Error, Kind, Result};
use crate::image::Descriptor;
use crate::stats::Stats;
use crate::transport::{BlobStream, Payload, Slot};
use futures_util::StreamExt;
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, Response, StatusCode, Url};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// How long, after a failure, the answers to what was just asked are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// The uploads of one repository.
pub struct Uploads {
    client: Arc<Client>,
    repository: String,
    scopes: Vec<Scope>,
    /// Sessions that are open, to be cancelled when we give up.
    open: Arc<Mutex<HashSet<Url>>>,
    /// Questions that may open more of them.
    opening: TaskTracker,
    /// How blobs are sent here after the usual way was refused.
    fallback: Mutex<Option<Upload>>,
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
        Uploads {
            client,
            repository: repository.into(),
            scopes,
            open: Arc::default(),
            opening: TaskTracker::new(),
            fallback: Mutex::default(),
        }
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashSet<Url>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a session, or for what may become one. Whoever asks may give up before the answer is here;
    /// the answer is taken all the same, or a session would stay open that nobody knows of.
    async fn ask(&self, url: &Url, scopes: Vec<Scope>, what: &str) -> Result<Response> {
        let (client, open) = (self.client.clone(), self.open.clone());
        let (url, what) = (url.clone(), what.to_owned());
        let asking = self.opening.spawn(async move {
            let (headers, body) = (HeaderMap::new(), bytes::Bytes::new());
            let method = Method::POST;
            let request = Request { method, url: url.clone(), headers, body, scopes: &scopes, what };
            let answer = client.send(&request).await?;
            if answer.status() == StatusCode::ACCEPTED
                && let Ok(session) = session(&client, &url, &answer, &request.what)
            {
                open.lock().unwrap_or_else(PoisonError::into_inner).insert(session);
            }
            Ok(answer)
        });
        asking.await.unwrap_or_else(|e| Err(Error::other(format!("a task ended early: {e}"))))
    }

    /// Opens a session.
    pub async fn open(&self) -> Result<Slot> {
        let url = self.client.url(&self.repository, "blobs/uploads/")?;
        let what = format!("opening an upload to {}/{}", self.client.host(), self.repository);
        let answer = self.ask(&url, self.scopes.clone(), &what).await?;
        match answer.status() {
            StatusCode::ACCEPTED => session(&self.client, &url, &answer, &what).map(Slot::new),
            _ => Err(self.client.refusal(&what, answer).await),
        }
    }

    /// Cancels a session. Best effort: registries forget sessions by themselves, later.
    pub async fn close(&self, slot: Slot) {
        let Some(url) = slot.get::<Url>() else { return };
        self.sessions().remove(url);
        if !self.client.is_own(url) {
            return;
        }
        let authorization = self.client.authorization(&self.scopes).await.ok().flatten();
        let Ok(http) = self.client.http_for(url) else { return };
        let mut builder = http.delete(url.clone()).timeout(Duration::from_secs(5));
        if let Some(value) = authorization.and_then(|a| sensitive(&a).ok()) {
            builder = builder.header(header::AUTHORIZATION, value);
        }
        let outcome = builder.send().await.map(|a| a.status()).map_err(|e| self.client.broken(e).to_string());
        self.client.count(&Method::DELETE, url, outcome);
    }

    /// Cancels all sessions, those among them that are only being opened.
    pub async fn release(&self) {
        self.opening.close();
        let _ = tokio::time::timeout(LAST_ANSWERS, self.opening.wait()).await;
        let open: Vec<Url> = self.sessions().drain().collect();
        futures_util::future::join_all(open.into_iter().map(|session| self.close(Slot::new(session)))).await;
    }

    /// Asks the registry to take a blob over from another of its repositories.
    pub async fn mount(&self, descriptor: &Descriptor, from: &str) -> Result<Mount> {
        let mut url = self.client.url(&self.repository, "blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &descriptor.digest.to_string()).append_pair("from", from);
        let what = format!("mounting {} from {from}", descriptor.digest);
        let mut scopes = self.scopes.clone();
        scopes.push(Scope { repository: from.into(), push: false });
        let answer = self.ask(&url, scopes, &what).await?;
        match answer.status() {
            StatusCode::CREATED => Ok(Mount::Done),
            StatusCode::ACCEPTED => {
                Ok(Mount::Refused(session(&self.client, &url, &answer, &what).ok().map(Slot::new)))
            }
            // Registries say no in many ways, and all mean: send it.
            _ => Ok(Mount::Refused(None)),
        }
    }

    /// Whether the repository has a blob.
    pub async fn exists(&self, descriptor: &Descriptor) -> Result<bool> {
        let url = self.client.url(&self.repository, &format!("blobs/{}", descriptor.digest))?;
        let what = format!("looking for {} in {}/{}", descriptor.digest, self.client.host(), self.repository);
        let (headers, body) = (HeaderMap::new(), bytes::Bytes::new());
        let request = Request { method: Method::HEAD, url, headers, body, scopes: &self.scopes, what };
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
            // A session that failed stays among those that are cancelled at the end.
            let error = match self.put_once(&slot, descriptor, &payload, &what).await {
                Ok(()) => {
                    if let Some(session) = slot.get::<Url>() {
                        self.sessions().remove(session);
                    }
                    Stats::add(&self.client.options.stats.bytes_pushed, descriptor.size);
                    return Ok(());
                }
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            self.client.pause(&mut attempt, error).await?;
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
        let location =
            slot.get::<Url>().cloned().ok_or_else(|| Error::other("a slot of another transport"))?;
        let how = self.how(descriptor);
        let outcome = match how {
            Upload::Put => self.finish(&location, descriptor, Some(payload), what).await,
            Upload::Patch => self.patch(location, descriptor, payload, u64::MAX, what).await,
            Upload::Chunks(size) => self.patch(location, descriptor, payload, size, what).await,
        };
        match outcome {
            // Refused for how it was sent: the next attempt is made another way, if there is one.
            Err(Failure::Refused(error)) => match quirks::upload(self.client.host(), descriptor.size).1 {
                Some(otherwise) if self.client.options.upload.is_none() && how != otherwise => {
                    *self.fallback.lock().unwrap_or_else(PoisonError::into_inner) = Some(otherwise);
                    Err(error.transient())
                }
                _ => Err(error),
            },
            Err(Failure::Other(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }

    /// The user's word, what this registry was found to take, or the table's.
    fn how(&self, descriptor: &Descriptor) -> Upload {
        let found = *self.fallback.lock().unwrap_or_else(PoisonError::into_inner);
        let usual = quirks::upload(self.client.host(), descriptor.size).0;
        self.client.options.upload.or(found).unwrap_or(usual)
    }

    /// The PUT that ends an upload; with the blob as its body, or after it.
    async fn finish(
        &self,
        location: &Url,
        descriptor: &Descriptor,
        payload: Option<&Payload<'_>>,
        what: &str,
    ) -> Result<(), Failure> {
        let mut url = location.clone();
        url.query_pairs_mut().append_pair("digest", &descriptor.digest.to_string());
        let body = || async {
            Ok(match payload {
                Some(Payload::Bytes(bytes)) => Body::Bytes(bytes.clone()),
                Some(payload) => Body::Stream(payload.open().await?, descriptor.size),
                None => Body::Bytes(bytes::Bytes::new()),
            })
        };
        let answer = self.replayed(&Method::PUT, &url, HeaderMap::new(), body, what).await?;
        match answer.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
            status if payload.is_some() && refuses_the_way(status) => {
                Err(Failure::Refused(self.client.refusal(what, answer).await))
            }
            // The session is gone; another one may do.
            StatusCode::NOT_FOUND => Err(self.client.refusal(what, answer).await.transient().into()),
            _ => Err(self.client.refusal(what, answer).await.into()),
        }
    }

    /// Sends a blob in pieces of no more than `size` bytes, each in a PATCH.
    async fn patch(
        &self,
        mut location: Url,
        descriptor: &Descriptor,
        payload: &Payload<'_>,
        size: u64,
        what: &str,
    ) -> Result<(), Failure> {
        let whole = size >= descriptor.size;
        let mut stream: BlobStream = match whole {
            true => Box::pin(futures_util::stream::empty()),
            false => payload.open().await?,
        };
        let mut at = 0;
        while at < descriptor.size {
            let piece = size.min(descriptor.size - at);
            let answer = if whole {
                let body = || async { Ok(Body::Stream(payload.open().await?, piece)) };
                self.replayed(&Method::PATCH, &location, HeaderMap::new(), body, what).await?
            } else {
                let headers =
                    client::headers([(header::CONTENT_RANGE, &format!("{at}-{}", at + piece - 1))])?;
                let chunk = collect(&mut stream, piece).await?;
                let body = || async { Ok(Body::Bytes(chunk.clone())) };
                self.replayed(&Method::PATCH, &location, headers, body, what).await?
            };
            match answer.status() {
                StatusCode::ACCEPTED | StatusCode::CREATED | StatusCode::NO_CONTENT => {}
                status if refuses_the_way(status) => {
                    return Err(Failure::Refused(self.client.refusal(what, answer).await));
                }
                _ => return Err(self.client.refusal(what, answer).await.into()),
            }
            if let Some(next) = answer.headers().get(header::LOCATION) {
                location = self.client.follow(&location, next, what)?;
            }
            at += piece;
        }
        self.finish(&location, descriptor, None, what).await
    }

    /// A request with a body, and once more if it is told to say who asks.
    async fn replayed<F>(
        &self,
        method: &Method,
        url: &Url,
        headers: HeaderMap,
        body: impl Fn() -> F,
        what: &str,
    ) -> Result<Response>
    where
        F: Future<Output = Result<Body>>,
    {
        let mut authorization = self.client.authorization(&self.scopes).await?;
        let mut replayed = false;
        loop {
            let sent = authorization.as_deref();
            let answer = self.stream(method, url, headers.clone(), body().await?, sent, what).await?;
            if answer.status() != StatusCode::UNAUTHORIZED || replayed {
                return Ok(answer);
            }
            replayed = true;
            authorization = self.client.answer_challenge(&answer, authorization, &self.scopes).await?;
            if authorization.is_none() {
                return Ok(answer);
            }
        }
    }

    /// One request. There is no limit on how long it takes, only on how long nothing moves.
    async fn stream(
        &self,
        method: &Method,
        url: &Url,
        headers: HeaderMap,
        body: Body,
        authorization: Option<&str>,
        what: &str,
    ) -> Result<Response> {
        let stall = self.client.options.stall;
        let moved = Arc::new(AtomicU64::new(0));
        let mut builder = self.client.http_for(url)?.request(method.clone(), url.clone()).headers(headers);
        builder = builder.header(header::CONTENT_TYPE, "application/octet-stream");
        builder = match body {
            Body::Bytes(bytes) => builder.header(header::CONTENT_LENGTH, bytes.len()).body(bytes),
            Body::Stream(stream, size) => builder
                .header(header::CONTENT_LENGTH, size)
                .body(reqwest::Body::wrap_stream(counted(stream, moved.clone()))),
        };
        if self.client.is_own(url)
            && let Some(authorization) = authorization
        {
            builder = builder.header(header::AUTHORIZATION, sensitive(authorization)?);
        }
        let sending = builder.send();
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
        self.client.count(method, url, outcome.as_ref().map(Response::status).map_err(|e| e.to_string()));
        outcome.map_err(|e| match e.kind() {
            // What the source did wrong is said as it was.
            Kind::Verification | Kind::NotFound => e,
            _ => e.context(what),
        })
    }
}

/// The session that an answer names.
fn session(client: &Client, url: &Url, answer: &Response, what: &str) -> Result<Url> {
    let location = answer
        .headers()
        .get(header::LOCATION)
        .ok_or_else(|| Error::network(format!("{what}: the registry named no Location for the upload")))?;
    client.follow(url, location, what)
}

/// What a request carries.
enum Body {
    Bytes(bytes::Bytes),
    Stream(BlobStream, u64),
}

/// Why an upload failed.
enum Failure {
    /// The registry does not take it this way.
    Refused(Error),
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Other(error)
    }
}

/// Answers of registries that want a blob sent otherwise.
fn refuses_the_way(status: StatusCode) -> bool {
    matches!(status.as_u16(), 405 | 411 | 413 | 415 | 416 | 501)
}

/// The next `size` bytes of a stream, which has them.
async fn collect(stream: &mut BlobStream, size: u64) -> Result<bytes::Bytes> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut chunk = Vec::with_capacity(size);
    while chunk.len() < size {
        let Some(piece) = stream.next().await else { break };
        let mut piece = piece?;
        let taken = piece.split_to(piece.len().min(size - chunk.len()));
        chunk.extend_from_slice(&taken);
        if !piece.is_empty() {
            // What is left of the piece belongs to the next chunk.
            let rest = std::mem::replace(stream, Box::pin(futures_util::stream::empty()));
            *stream = Box::pin(futures_util::stream::once(async move { Ok(piece) }).chain(rest));
        }
    }
    Ok(chunk.into())
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

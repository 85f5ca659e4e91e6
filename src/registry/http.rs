//! HTTP exchanges: connection pools, timeouts, redirects, counting. Knows no credentials: whoever sends a request says,
//! for each origin that it really goes to, what to attach.

use super::governor::{Governor, Turn};
use super::pieces::{skip, take};
use super::retry::Attempts;
use super::tls::{self, HostOptions};
use crate::error::{Error, Kind, Result, Retry};
use crate::stats::Stats;
use crate::transport::{BlobStream, Payload};
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Redirects that are followed, from a registry to its storage for example.
const MAX_REDIRECTS: usize = 5;
/// The least rate of an answer, in bytes per second, once the time for a stall is over.
const LEAST_RATE: u64 = 1024;

/// How long a part of an exchange may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until there is a connection.
    pub connect: Duration,
    /// Without any byte moving.
    pub stall: Duration,
    /// From the last byte of an upload to its answer: registries verify and store a blob in between.
    pub commit: Duration,
}

/// Sends requests: to a registry, and wherever it points.
pub struct Http {
    host: String,
    base: Url,
    hosts: HostOptions,
    timeouts: Timeouts,
    governor: Arc<Governor>,
    stats: Arc<Stats>,
    /// Connection pools by origin, made when an origin is met.
    pools: Mutex<HashMap<String, reqwest::Client>>,
}

/// A request that can be sent again.
pub struct Request<'a> {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Body<'a>,
    /// What is being done, for messages.
    pub operation: String,
}

/// What a request carries.
#[derive(Clone)]
pub enum Body<'a> {
    Empty,
    Bytes(Bytes),
    /// A form that holds a secret: it goes to the origin that the request is for, and to no other.
    Secret(Bytes),
    /// Bytes `from..from + len` of a blob, opened anew each time that they are sent.
    Part {
        payload: Payload<'a>,
        from: u64,
        len: u64,
    },
}

/// Whether an exchange waits for a turn of its own.
#[derive(Debug, Clone, Copy)]
pub enum Lane {
    /// It does.
    Request,
    /// It is part of something that has a turn, or goes to another host.
    Guest,
}

/// The start of a response; its body is still to be read.
pub struct Answer {
    response: Response,
    /// Where it came from, after redirects.
    pub url: Url,
    pace: Pace,
    _turn: Option<Turn>,
}

/// A response with its whole body.
pub struct FullResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Where it came from, after redirects.
    pub url: Url,
    /// Whose credentials the registry refused, if it did.
    pub login: Option<String>,
}

impl<'a> Request<'a> {
    /// A request without headers and body.
    pub fn new(method: Method, url: Url, operation: impl Into<String>) -> Self {
        Request { method, url, headers: HeaderMap::new(), body: Body::Empty, operation: operation.into() }
    }

    /// Adds a header.
    pub fn header(mut self, name: header::HeaderName, value: &str) -> Result<Self> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Error::unsupported(format!("invalid header value {value:?}")))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sets the body.
    pub fn body(mut self, body: Body<'a>) -> Self {
        self.body = body;
        self
    }
}

impl Http {
    /// Nothing is sent yet.
    pub fn new(
        host: &str,
        hosts: &HostOptions,
        timeouts: Timeouts,
        governor: Arc<Governor>,
        stats: Arc<Stats>,
    ) -> Result<Self> {
        let base = tls::base(host, hosts)?;
        let (host, hosts) = (host.to_owned(), hosts.clone());
        Ok(Http { host, base, hosts, timeouts, governor, stats, pools: Mutex::default() })
    }

    /// The registry's address.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The options of hosts.
    pub fn hosts(&self) -> &HostOptions {
        &self.hosts
    }

    /// What all clients of the host share.
    pub fn governor(&self) -> &Governor {
        &self.governor
    }

    /// Sends a request and follows redirects. `authorize` is asked at every hop what may be attached for that URL's
    /// origin. A turn is held until the answer's body has been read.
    pub async fn exchange(
        &self,
        request: &Request<'_>,
        lane: Lane,
        authorize: &(dyn Fn(&Url) -> Option<HeaderValue> + Sync),
    ) -> Result<Answer> {
        let turn = match lane {
            Lane::Request => Some(self.governor.request().await),
            Lane::Guest => None,
        };
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(request, &url, authorize(&url)).await;
            self.count(&request.method, &url, &response);
            let response = response.map_err(|e| of_operation(e, &request.operation))?;
            match redirect(&request.method, &response) {
                Some(location) => {
                    let next = self.resolve(&url, location, &request.operation)?;
                    if matches!(request.body, Body::Secret(_)) && next.origin() != request.url.origin() {
                        return Err(Error::denied(format!(
                            "{}: redirected to {}, which must not see the credentials",
                            request.operation,
                            place(&next)
                        )));
                    }
                    url = next;
                }
                None => {
                    let pace = Pace::new(self.timeouts.stall);
                    return Ok(Answer { response, url, pace, _turn: turn });
                }
            }
        }
        Err(Error::network(format!("{}: more than {MAX_REDIRECTS} redirects", request.operation)))
    }

    async fn send(
        &self,
        request: &Request<'_>,
        url: &Url,
        authorization: Option<HeaderValue>,
    ) -> Result<Response> {
        let progress = Arc::new(Progress::default());
        let mut builder = self.pool(url)?.request(request.method.clone(), url.clone());
        builder = builder.headers(request.headers.clone());
        if let Some(authorization) = authorization {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        let is_write = request.method == Method::PUT || request.method == Method::PATCH;
        builder = match &request.body {
            Body::Empty if is_write || request.method == Method::POST => {
                builder.header(header::CONTENT_LENGTH, 0)
            }
            Body::Empty => builder,
            Body::Bytes(bytes) | Body::Secret(bytes) => {
                builder.header(header::CONTENT_LENGTH, bytes.len()).body(bytes.clone())
            }
            Body::Part { payload, from, len } => {
                let stream = take(skip(payload.open().await?, *from), *len);
                let stream = counted(stream, *len, progress.clone(), self.stats.clone());
                builder.header(header::CONTENT_LENGTH, *len).body(reqwest::Body::wrap_stream(stream))
            }
        };
        if !matches!(request.body, Body::Part { .. }) {
            progress.is_sent.store(true, Ordering::Relaxed);
        }
        let commit = if is_write { self.timeouts.commit } else { self.timeouts.stall };
        let response = progress.watch(builder.send(), self.timeouts.stall, commit).await?;
        let response = response.map_err(|e| connection_error(e, url))?;
        if let Body::Bytes(bytes) = &request.body
            && is_write
        {
            Stats::add(&self.stats.bytes_pushed, bytes.len() as u64);
        }
        Ok(response)
    }

    /// Waits before another attempt, or gives up with `error`. Each cause is reported once.
    pub async fn pause(&self, attempts: &mut Attempts, error: Error) -> Result<()> {
        let cause = error.root().to_owned();
        let message = error.to_string();
        let pause = attempts.after(error)?;
        match self.governor.is_news(&cause) {
            true => tracing::warn!("{message}; trying again"),
            false => tracing::info!("{message}; trying again in {:.1} s", pause.as_secs_f64()),
        }
        Stats::add(&self.stats.retries, 1);
        tokio::time::sleep(pause).await;
        self.governor.ready().await;
        Ok(())
    }

    /// Counts a request and logs it: without its query, which may be signed.
    fn count(&self, method: &Method, url: &Url, outcome: &Result<Response>) {
        Stats::add(&self.stats.requests, 1);
        let outcome = match outcome {
            Ok(response) => response.status().as_u16().to_string(),
            Err(error) => error.to_string(),
        };
        tracing::debug!("{method} {}{} → {outcome}", place(url), url.path());
    }

    /// Resolves the `Location` of an answer from `from`.
    pub fn resolve(&self, from: &Url, location: &HeaderValue, operation: &str) -> Result<Url> {
        let bad = |why: String| {
            Error::network(format!("{operation}: invalid Location from {}: {why}", place(from)))
        };
        let text = location.to_str().map_err(|_| bad("not text".into()))?;
        let url = from.join(text).map_err(|e| bad(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad(format!("the scheme {:?}", url.scheme())));
        }
        let url = self.on_own_origin(url);
        if from.scheme() == "https" && url.scheme() != "https" {
            return Err(bad(format!("from https to {} on {}", url.scheme(), place(&url))));
        }
        Ok(url)
    }

    /// A registry behind a proxy that ends TLS, or forwards a port, may not know its own address: its own host under
    /// plain HTTP, or without the port, is the registry itself.
    fn on_own_origin(&self, url: Url) -> Url {
        let is_own_host = url.host_str() == self.base.host_str();
        let is_less = url.port().is_none() && (url.scheme() == "http" || self.base.scheme() == "https");
        let is_default = self.base.port().is_none();
        if !is_own_host || !is_less || (is_default && url.scheme() == self.base.scheme()) {
            return url;
        }
        let mut own = self.base.clone();
        own.set_path(url.path());
        own.set_query(url.query());
        own
    }

    /// Whether a URL is on the registry itself, rather than on its storage.
    pub fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    fn pool(&self, url: &Url) -> Result<reqwest::Client> {
        let origin = url.origin().ascii_serialization();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&origin) {
            return Ok(pool.clone());
        }
        // The user's options go by the name that the user gave.
        let host = if self.is_own(url) { self.host.clone() } else { place(url) };
        let pool = tls::pool(&host, url, &self.hosts, self.timeouts.connect)?;
        pools.insert(origin, pool.clone());
        Ok(pool)
    }
}

/// Where an answer points, if it is a redirect that keeps the method: RFC 9110, 15.4.
fn redirect<'r>(method: &Method, response: &'r Response) -> Option<&'r HeaderValue> {
    let follows = match response.status().as_u16() {
        307 | 308 => true,
        301..=303 => matches!(*method, Method::GET | Method::HEAD),
        _ => false,
    };
    response.headers().get(header::LOCATION).filter(|_| follows)
}

impl Answer {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// The length of the body, if it is declared.
    pub fn content_length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next piece of the body.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let begun = Instant::now();
        let piece = timeout(self.pace.stall, self.response.chunk()).await;
        let piece = piece.map_err(|_| stalled(self.pace.stall))?;
        let piece = piece.map_err(|e| connection_error(e, &self.url))?;
        let len = piece.as_ref().map_or(0, Bytes::len);
        self.pace.check(begun.elapsed(), len as u64)?;
        Ok(piece)
    }

    /// The whole body, cut off at `limit`.
    pub async fn body(mut self, limit: usize) -> Result<Bytes> {
        let mut whole = Vec::new();
        while let Some(piece) = self.chunk().await? {
            whole.extend_from_slice(&piece);
            if whole.len() >= limit {
                whole.truncate(limit);
                break;
            }
        }
        Ok(whole.into())
    }
}

impl FullResponse {
    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// How fast an answer arrives. Only waiting counts: whoever reads may be slow.
struct Pace {
    stall: Duration,
    waited: Duration,
    received: u64,
}

impl Pace {
    fn new(stall: Duration) -> Self {
        Pace { stall, waited: Duration::ZERO, received: 0 }
    }

    /// Fails an answer that drips: its deadline grows with its size, at [`LEAST_RATE`].
    fn check(&mut self, waited: Duration, received: u64) -> Result<()> {
        self.waited += waited;
        self.received += received;
        if self.waited > self.stall + Duration::from_secs(self.received / LEAST_RATE) {
            return Err(Error::network(format!(
                "the answer is too slow: {} bytes in {} s",
                self.received,
                self.waited.as_secs()
            ))
            .retryable(Retry::Once));
        }
        Ok(())
    }
}

/// How far a request's body has been sent.
#[derive(Default)]
struct Progress {
    bytes: AtomicU64,
    is_sent: AtomicBool,
}

impl Progress {
    /// Waits for an answer: as long as the body moves, and then for `commit`.
    async fn watch<T>(
        &self,
        sending: impl Future<Output = T>,
        stall: Duration,
        commit: Duration,
    ) -> Result<T> {
        tokio::pin!(sending);
        let mut before = 0;
        loop {
            let is_sent = self.is_sent.load(Ordering::Relaxed);
            let wait = if is_sent { commit } else { stall };
            match timeout(wait, &mut sending).await {
                Ok(outcome) => return Ok(outcome),
                Err(_) if is_sent => return Err(stalled(wait)),
                Err(_) => {
                    let now = self.bytes.load(Ordering::Relaxed);
                    let has_moved = now != before || self.is_sent.load(Ordering::Relaxed);
                    if !has_moved {
                        return Err(stalled(wait));
                    }
                    before = now;
                }
            }
        }
    }
}

/// Counts a body of `len` bytes while it is sent. The HTTP library does not ask for more than these.
fn counted(
    stream: BlobStream,
    len: u64,
    progress: Arc<Progress>,
    stats: Arc<Stats>,
) -> impl futures_util::Stream<Item = Result<Bytes>> {
    progress.is_sent.store(len == 0, Ordering::Relaxed);
    stream.inspect(move |piece| {
        if let Ok(piece) = piece {
            let n = piece.len() as u64;
            let sent = progress.bytes.fetch_add(n, Ordering::Relaxed) + n;
            progress.is_sent.store(sent >= len, Ordering::Relaxed);
            Stats::add(&stats.bytes_pushed, n);
        }
    })
}

/// `HOST[:PORT]` of a URL.
pub fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// A failure of the source is reported as it was; any other belongs to the operation.
fn of_operation(error: Error, operation: &str) -> Error {
    match error.kind() {
        Kind::Verification | Kind::NotFound | Kind::Unsupported => error,
        _ => error.context(operation),
    }
}

/// The error for silence.
fn stalled(after: Duration) -> Error {
    Error::network(format!("no answer for {} s", after.as_secs())).retryable(Retry::Later { after: None })
}

/// The error for a connection that failed.
fn connection_error(error: reqwest::Error, url: &Url) -> Error {
    let mut message = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(e) = source {
        // An error of ours that went through the HTTP library as the end of a body.
        if let Some(ours) = e.downcast_ref::<Error>() {
            return ours.clone();
        }
        // The outermost texts repeat the URL; the innermost says what happened.
        message = e.to_string();
        source = e.source();
    }
    if error.is_builder() {
        return Error::other(message);
    }
    let failed = Error::network(format!("{}: {message}", place(url)));
    match tls::explain(&error, url, &place(url)) {
        Some(tls::Explanation { hint, cause: tls::Cause::Certificate }) => failed.hint(hint),
        Some(tls::Explanation { hint, cause: tls::Cause::Protocol }) => {
            failed.hint(hint).retryable(Retry::Once)
        }
        Some(tls::Explanation { hint, cause: tls::Cause::Unclear }) => {
            failed.hint(hint).retryable(Retry::Later { after: None })
        }
        None if error.is_connect() => failed
            .hint("check the host's name and the network; --plain-http HOST is for registries without TLS")
            .retryable(Retry::Once),
        None => failed.retryable(Retry::Later { after: None }),
    }
}

#[cfg(test)]
mod tests;

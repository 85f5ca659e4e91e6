//! HTTP exchanges: connection pools, timeouts, redirects, counting. This module knows no credentials: the caller
//! decides, for each origin that a request actually reaches, what to attach.

use super::answer::{Answer, connection_error, place};
use super::body::{Body, Progress, counted, part};
use super::governor::{Governor, Rate};
use super::retry::Attempts;
use super::tls::{self, HostOptions};
use crate::error::{Error, Kind, Result};
use crate::stats::Stats;
use crate::transport::BlobStream;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response, Url};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The maximum number of redirects, such as from a registry to its storage.
const MAX_REDIRECTS: usize = 5;

/// The timeouts of an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// The limit for connecting.
    pub connect: Duration,
    /// The limit for a period in which no data moves.
    pub stall: Duration,
    /// The limit from the last byte of an upload to its response, in which registries verify and store the blob.
    pub commit: Duration,
}

/// A sender of requests to a registry and to where it redirects. Clones share connections.
#[derive(Clone)]
pub struct Http {
    host: String,
    base: Url,
    hosts: HostOptions,
    timeouts: Timeouts,
    governor: Arc<Governor>,
    stats: Arc<Stats>,
    /// The connection pools by origin, created on first use.
    pools: Arc<Mutex<HashMap<String, reqwest::Client>>>,
}

/// A request that can be sent repeatedly.
pub struct Request<'a> {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Body<'a>,
    /// A description of the operation, for messages.
    pub operation: String,
    /// Called when the request gets its turn, to find out whether it is still needed.
    pub is_wanted: Option<&'a (dyn Fn() -> bool + Sync)>,
}

/// What an exchange waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The exchange waits for a turn of its own.
    Request,
    /// The exchange is part of a download, which holds a turn. It waits for pauses and for the rate limit.
    Download,
    /// The exchange waits for nothing: it is with a token server, or cancels an upload.
    Free,
}

impl<'a> Request<'a> {
    /// Creates a request without headers and body.
    pub fn new(method: Method, url: Url, operation: impl Into<String>) -> Self {
        let (headers, body, operation) = (HeaderMap::new(), Body::Empty, operation.into());
        Request { method, url, headers, body, operation, is_wanted: None }
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
    /// Creates a sender. Sends nothing.
    pub fn new(
        host: &str,
        hosts: &HostOptions,
        timeouts: Timeouts,
        governor: Arc<Governor>,
        stats: Arc<Stats>,
    ) -> Result<Self> {
        let base = tls::base(host, hosts)?;
        let (host, hosts) = (host.to_owned(), hosts.clone());
        Ok(Http { host, base, hosts, timeouts, governor, stats, pools: Arc::default() })
    }

    /// Returns a sender on the same connections with its requests counted in `stats`.
    pub fn counting(&self, stats: Arc<Stats>) -> Self {
        Http { stats, ..self.clone() }
    }

    /// Returns the registry's base URL.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Returns the options of hosts.
    pub fn hosts(&self) -> &HostOptions {
        &self.hosts
    }

    /// Returns the state shared by all clients of the host.
    pub fn governor(&self) -> &Governor {
        &self.governor
    }

    /// Sends a request and follows redirects. `authorize` is called at every hop and returns what may be attached for
    /// that URL's origin. A turn is held until the response's body has been read.
    pub async fn exchange(
        &self,
        request: &Request<'_>,
        lane: Lane,
        authorize: &(dyn Fn(&Url) -> Option<HeaderValue> + Sync),
    ) -> Result<Answer> {
        let mut turn = None;
        let mut url = request.url.clone();
        if lane == Lane::Download {
            self.governor.pace().await;
        }
        for _ in 0..=MAX_REDIRECTS {
            let mut stream = None;
            if let Body::Part { payload, from, len } = &request.body {
                // The blob may come from this host: if uploads held all turns, no download would get one.
                turn = None;
                let opened = payload.open().await.map_err(|e| of_operation(e, &request.operation))?;
                stream = Some(part(opened, *from, *len));
            }
            if turn.is_none() && lane == Lane::Request {
                turn = Some(self.governor.request().await);
            }
            if request.is_wanted.is_some_and(|is_wanted| !is_wanted()) {
                return Err(Error::network(format!("{}: cancelled before it was sent", request.operation)));
            }
            let response = self.send(request, stream, &url, authorize(&url)).await;
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
                None => return Ok(Answer::new(response, url, self.timeouts.stall, turn)),
            }
        }
        Err(Error::network(format!("{}: more than {MAX_REDIRECTS} redirects", request.operation)))
    }

    async fn send(
        &self,
        request: &Request<'_>,
        stream: Option<BlobStream>,
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
        builder = match (&request.body, stream) {
            (&Body::Part { len, .. }, Some(stream)) => {
                let stream = counted(stream, len, progress.clone(), self.stats.clone());
                builder.header(header::CONTENT_LENGTH, len).body(reqwest::Body::wrap_stream(stream))
            }
            (Body::Bytes(bytes) | Body::Secret(bytes), _) => {
                builder.header(header::CONTENT_LENGTH, bytes.len()).body(bytes.clone())
            }
            _ if is_write || request.method == Method::POST => builder.header(header::CONTENT_LENGTH, 0),
            _ => builder,
        };
        if !matches!(request.body, Body::Part { .. }) {
            progress.end();
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

    /// Waits before the next attempt, or returns `error` if there is none. Each cause is reported once.
    pub async fn pause(&self, attempts: &mut Attempts, error: Error) -> Result<()> {
        let cause = error.root().to_owned();
        let message = error.to_string();
        let pause = attempts.after(error)?;
        match self.governor.is_news(&cause) {
            true => tracing::warn!("{message}; retrying"),
            false => tracing::info!("{message}; retrying in {:.1} s", pause.as_secs_f64()),
        }
        Stats::add(&self.stats.retries, 1);
        tokio::time::sleep(pause).await;
        self.governor.ready().await;
        Ok(())
    }

    /// Counts a request and logs it without its query, which may contain a signature.
    fn count(&self, method: &Method, url: &Url, outcome: &Result<Response>) {
        Stats::add(&self.stats.requests, 1);
        self.governor.count(outcome.as_ref().is_ok_and(|r| !r.status().is_server_error()));
        if let Ok(response) = outcome
            && self.is_own(url)
            && let Some(rate) = Rate::read(response.headers())
        {
            self.governor.set_rate(rate);
        }
        let outcome = match outcome {
            Ok(response) => response.status().as_u16().to_string(),
            Err(error) => error.to_string(),
        };
        tracing::debug!("{method} {}{} → {outcome}", place(url), url.path());
    }

    /// Resolves the `Location` of a response from `from`.
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

    /// Resolves the `Link` to the next page of a list, which must be on the same host as the page at `from`.
    pub fn next_page(&self, from: &Url, link: &str, operation: &str) -> Result<Url> {
        let bad = |why: String| Error::network(format!("{operation}: invalid Link {link:?}: {why}"));
        let next = self.on_own_origin(from.join(link).map_err(|e| bad(e.to_string()))?);
        match next.origin() == from.origin() {
            true => Ok(next),
            false => Err(bad("another host".into())),
        }
    }

    /// Corrects the origin of a registry that does not know its own address, because a proxy terminates TLS or
    /// forwards a port: its own host over plain HTTP, or without the port, is the registry itself.
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

    /// Returns whether a URL belongs to the registry itself rather than to its storage.
    pub fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    fn pool(&self, url: &Url) -> Result<reqwest::Client> {
        let origin = url.origin().ascii_serialization();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&origin) {
            return Ok(pool.clone());
        }
        // The user's options refer to the host by the name that the user gave.
        let host = if self.is_own(url) { self.host.clone() } else { place(url) };
        let pool = tls::pool(&host, url, &self.hosts, self.timeouts.connect)?;
        pools.insert(origin, pool.clone());
        Ok(pool)
    }
}

/// Returns the target of a response that is a redirect with the same method (RFC 9110, 15.4).
fn redirect<'r>(method: &Method, response: &'r Response) -> Option<&'r HeaderValue> {
    let follows = match response.status().as_u16() {
        307 | 308 => true,
        301..=303 => matches!(*method, Method::GET | Method::HEAD),
        _ => false,
    };
    response.headers().get(header::LOCATION).filter(|_| follows)
}

/// Adds the operation to an error, unless the source of a blob caused it.
fn of_operation(error: Error, operation: &str) -> Error {
    match error.kind() {
        Kind::Verification | Kind::NotFound | Kind::Unsupported => error,
        _ => error.context(operation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(base: &str) -> Http {
        let timeouts = Timeouts {
            connect: Duration::from_secs(1),
            stall: Duration::from_secs(60),
            commit: Duration::from_secs(600),
        };
        let mut http = Http::new(
            "r.example",
            &HostOptions::default(),
            timeouts,
            Arc::new(Governor::new(1, None)),
            Arc::default(),
        )
        .unwrap();
        http.base = base.parse().unwrap();
        http
    }

    #[test]
    fn resolves_locations_on_own_and_foreign_origins() {
        for (base, location, expected) in [
            ("https://r.example/v2/", "/v2/x?a=b", Some("https://r.example/v2/x?a=b")),
            ("https://r.example/v2/", "http://r.example/v2/x", Some("https://r.example/v2/x")),
            ("https://r.example:5000/v2/", "https://r.example/v2/x", Some("https://r.example:5000/v2/x")),
            ("http://127.0.0.1:5000/v2/", "http://127.0.0.1/v2/x", Some("http://127.0.0.1:5000/v2/x")),
            ("http://127.0.0.1:5000/v2/", "https://127.0.0.1/v2/x", Some("https://127.0.0.1/v2/x")),
            ("https://r.example/v2/", "https://s.example/x", Some("https://s.example/x")),
            ("https://r.example/v2/", "https://r.example:8443/x", Some("https://r.example:8443/x")),
            ("https://r.example/v2/", "http://s.example/x", None),
            ("https://r.example/v2/", "ftp://r.example/x", None),
            ("http://r.example/v2/", "file:///etc/passwd", None),
        ] {
            let http = http(base);
            let location = HeaderValue::from_str(location).unwrap();
            let resolved = http.resolve(&base.parse().unwrap(), &location, "x").ok();
            assert_eq!(resolved.as_ref().map(Url::as_str), expected, "{base} {location:?}");
        }
    }
    #[test]
    fn next_pages_are_on_the_same_host() {
        let http = http("https://r.example/v2/");
        let page: Url = "https://r.example/v2/x/referrers/sha256:0".parse().unwrap();
        for (link, expected) in [
            ("/v2/x/referrers/sha256:0?page=2", Some("https://r.example/v2/x/referrers/sha256:0?page=2")),
            ("?page=2", Some("https://r.example/v2/x/referrers/sha256:0?page=2")),
            ("http://r.example/v2/x?page=2", Some("https://r.example/v2/x?page=2")),
            ("https://other.example/v2/", None),
            ("http://[", None),
        ] {
            let next = http.next_page(&page, link, "x").ok();
            assert_eq!(next.as_ref().map(Url::as_str), expected, "{link}");
        }
    }
}

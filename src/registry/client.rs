//! One registry host: requests with authentication, retries and a budget.

use super::auth::Scope;
use super::error::{self, from_answer, retry_after};
use super::quirks::Upload;
use super::tls::{self, HostOptions};
use super::token::Tokens;
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::stats::Stats;
use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// No registry is asked to wait longer than this by its `Retry-After`.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Redirects from a registry to its storage.
const MAX_REDIRECTS: usize = 5;

/// Told what is sent and answered, one line each; never with secrets.
pub type Trace = Arc<dyn Fn(u8, String) + Send + Sync>;

/// How a client behaves.
#[derive(Clone)]
pub struct Options {
    /// How often a request is repeated after failures that may pass.
    pub retries: u32,
    /// The pause before the first repetition; it doubles.
    pub backoff: Duration,
    /// How long an answer, or the next piece of a body, may take.
    pub stall: Duration,
    /// How long a connection may take.
    pub connect: Duration,
    /// How many requests may be under way at once to one host.
    pub jobs: usize,
    /// How blobs are sent, if the user says so.
    pub upload: Option<Upload>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// The log.
    pub trace: Trace,
}

/// A registry host, as one user.
pub struct Client {
    host: String,
    pub(super) base: Url,
    http: reqwest::Client,
    hosts: HostOptions,
    /// For hosts the registry sends us to, by origin; made when one is met.
    elsewhere: Mutex<HashMap<String, reqwest::Client>>,
    pub(super) credentials: Credentials,
    pub(super) tokens: Tokens,
    budget: Semaphore,
    pub(super) options: Options,
}

/// A request that can be sent again.
pub struct Request<'a> {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What the request itself needs.
    pub scopes: &'a [Scope],
    /// What is being done, for messages.
    pub what: String,
}

/// An answer with its body.
pub struct Whole {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Whole {
    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The error that the answer is.
    pub fn refusal(&self, what: &str) -> Error {
        from_answer(what, self.status, &self.body)
    }
}

impl Client {
    /// A client for a host. Nothing is sent yet.
    pub fn new(host: &str, credentials: Credentials, hosts: &HostOptions, options: Options) -> Result<Self> {
        let (base, http) = tls::connect(host, hosts, options.connect)?;
        Ok(Client {
            host: host.into(),
            base,
            http,
            hosts: hosts.clone(),
            elsewhere: Mutex::default(),
            credentials,
            tokens: Tokens::default(),
            budget: Semaphore::new(options.jobs.max(1)),
            options,
        })
    }

    /// The host, as it was named.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// A URL below `/v2/REPOSITORY/`.
    pub fn url(&self, repository: &str, path: &str) -> Result<Url> {
        self.base
            .join(&format!("/v2/{repository}/{path}"))
            .map_err(|e| Error::usage(format!("{repository}/{path} makes no URL: {e}")))
    }

    /// Sends a request until there is an answer that will not change: retried where it may, authenticated
    /// where that is asked for. Any status is an answer; [`Client::expect`] is for one that must be.
    pub async fn send(&self, request: &Request<'_>) -> Result<Response> {
        let mut attempt = 0;
        loop {
            let outcome = self.authenticated(request).await;
            let error = match outcome {
                Ok(answer) if error::is_transient(answer.status()) => {
                    self.refusal(&request.what, answer).await
                }
                Err(error) if error.is_transient() => error,
                outcome => return outcome,
            };
            self.pause(&mut attempt, error).await?;
        }
    }

    /// Sends a request, and fails unless the answer has one of these statuses.
    pub async fn expect(&self, request: &Request<'_>, statuses: &[StatusCode]) -> Result<Response> {
        let answer = self.send(request).await?;
        match statuses.contains(&answer.status()) {
            true => Ok(answer),
            false => Err(self.refusal(&request.what, answer).await),
        }
    }

    /// Sends a request, and reads the answer whole, cut off at `limit`: again where it breaks off.
    pub async fn whole(&self, request: &Request<'_>, limit: usize) -> Result<Whole> {
        let mut attempt = 0;
        loop {
            let answer = self.send(request).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            match self.body(answer, limit).await {
                Ok(body) => return Ok(Whole { status, headers, body }),
                Err(error) if error.is_transient() => {
                    self.pause(&mut attempt, error.context(&request.what)).await?;
                }
                Err(error) => return Err(error.context(&request.what)),
            }
        }
    }

    /// Waits before another attempt, or gives up with `error`.
    pub async fn pause(&self, attempt: &mut u32, error: Error) -> Result<()> {
        if *attempt >= self.options.retries {
            return Err(match *attempt {
                0 => error,
                n => error.context(format!("given up after {} attempts", n + 1)),
            });
        }
        let backoff = self.options.backoff * 2u32.pow((*attempt).min(6));
        let pause = error.wait().unwrap_or_else(|| jittered(backoff)).min(MAX_WAIT);
        (self.options.trace)(0, format!("{error}; trying again in {:.1} s", pause.as_secs_f64()));
        Stats::add(&self.options.stats.retries, 1);
        *attempt += 1;
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The error for an answer, with what its body says and when to come again.
    pub async fn refusal(&self, what: &str, answer: Response) -> Error {
        let status = answer.status();
        let wait = retry_after(answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()));
        let body = self.body(answer, error::MAX_BODY).await.unwrap_or_default();
        from_answer(what, status, &body).after(wait)
    }

    /// A body, whole, cut off at `limit`.
    pub async fn body(&self, mut answer: Response, limit: usize) -> Result<Bytes> {
        let mut whole = Vec::new();
        loop {
            let piece = tokio::time::timeout(self.options.stall, answer.chunk()).await;
            match piece.map_err(|_| stalled(self.options.stall))?.map_err(|e| self.broken(e))? {
                Some(piece) => whole.extend_from_slice(&piece),
                None => return Ok(whole.into()),
            }
            if whole.len() >= limit {
                whole.truncate(limit);
                return Ok(whole.into());
            }
        }
    }

    /// One attempt, and further ones if it is told to say who asks: one that carried no token, and one whose
    /// token had expired.
    async fn authenticated(&self, request: &Request<'_>) -> Result<Response> {
        let mut authorization = self.authorization(request.scopes).await?;
        let mut replayed = false;
        loop {
            let answer = self.once(request, authorization.as_deref()).await?;
            let refused = authorization.is_some();
            if answer.status() != StatusCode::UNAUTHORIZED || (refused && replayed) {
                return Ok(answer);
            }
            replayed |= refused;
            authorization = self.answer_challenge(&answer, authorization, request.scopes).await?;
            if authorization.is_none() {
                return Ok(answer);
            }
        }
    }

    /// One attempt of a request that is answered before long; redirects are followed.
    pub(super) async fn once(&self, request: &Request<'_>, authorization: Option<&str>) -> Result<Response> {
        let permit = self.budget.acquire().await.map_err(|_| Error::other("the client is closed"))?;
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut builder = self.http_for(&url)?.request(request.method.clone(), url.clone());
            builder = builder.headers(request.headers.clone());
            // Secrets stay with the host they are for (contract C9).
            if self.is_own(&url)
                && let Some(authorization) = authorization
            {
                builder = builder.header(header::AUTHORIZATION, sensitive(authorization)?);
            }
            if !request.body.is_empty() {
                builder = builder.body(request.body.clone());
            } else if request.method == Method::POST || request.method == Method::PUT {
                builder = builder.header(header::CONTENT_LENGTH, 0);
            }
            let answer = tokio::time::timeout(self.options.stall, builder.send()).await;
            let answer =
                answer.map_err(|_| stalled(self.options.stall)).and_then(|a| a.map_err(|e| self.broken(e)));
            self.count(
                &request.method,
                &url,
                answer.as_ref().map(Response::status).map_err(|e| e.to_string()),
            );
            let answer = answer.map_err(|e| e.context(&request.what))?;
            let is_read = matches!(request.method, Method::GET | Method::HEAD);
            match answer
                .headers()
                .get(header::LOCATION)
                .filter(|_| is_read && answer.status().is_redirection())
            {
                Some(location) => url = self.follow(&url, location, &request.what)?,
                None => {
                    drop(permit);
                    return Ok(answer);
                }
            }
        }
        Err(Error::network(format!("{}: more than {MAX_REDIRECTS} redirects", request.what)))
    }

    /// Counts a request and logs it: without its query, which may be signed.
    pub fn count(&self, method: &Method, url: &Url, outcome: Result<StatusCode, String>) {
        Stats::add(&self.options.stats.requests, 1);
        let outcome = match outcome {
            Ok(status) => status.as_u16().to_string(),
            Err(error) => error,
        };
        let host = url.host_str().unwrap_or_default();
        (self.options.trace)(2, format!("{method} {host}{} → {outcome}", url.path()));
    }

    /// Resolves the `Location` of an answer.
    pub fn follow(&self, from: &Url, location: &HeaderValue, what: &str) -> Result<Url> {
        let bad = |why: String| Error::network(format!("{what}: the registry points elsewhere: {why}"));
        let text = location.to_str().map_err(|_| bad("its Location is no text".into()))?;
        let url = from.join(text).map_err(|e| bad(e.to_string()))?;
        if from.scheme() == "https" && url.scheme() != "https" {
            return Err(bad(format!(
                "from https to {} on {}",
                url.scheme(),
                url.host_str().unwrap_or("nowhere")
            )));
        }
        Ok(url)
    }

    /// Whether a URL is on the registry itself, rather than on its storage.
    pub fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// The connection pool for a URL.
    pub fn http_for(&self, url: &Url) -> Result<reqwest::Client> {
        if self.is_own(url) {
            return Ok(self.http.clone());
        }
        let origin = url.origin().ascii_serialization();
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(http) = elsewhere.get(&origin) {
            return Ok(http.clone());
        }
        let http = tls::elsewhere(url, &self.hosts, self.options.connect)?;
        elsewhere.insert(origin, http.clone());
        Ok(http)
    }

    /// The error for a connection that failed.
    pub fn broken(&self, error: reqwest::Error) -> Error {
        let mut message = String::new();
        let mut source: Option<&dyn std::error::Error> = Some(&error);
        while let Some(e) = source {
            // An error of ours that went through the HTTP library as the end of a body.
            if let Some(ours) = e.downcast_ref::<Error>() {
                let error = Error::new(ours.kind(), ours.to_string());
                let error = if ours.is_transient() { error.transient() } else { error };
                return match ours.hint_text() {
                    Some(hint) => error.hint(hint),
                    None => error,
                };
            }
            // The outermost texts repeat the URL; the innermost says what happened.
            message = e.to_string();
            source = e.source();
        }
        if error.is_builder() {
            return Error::other(message);
        }
        let certificate = message.contains("certificate");
        let failed = Error::network(format!("{}: {message}", self.host));
        match (certificate, error.is_connect()) {
            (true, _) => {
                failed.hint("give the registry's CA with --ca-file or in certs.d, or --insecure HOST")
            }
            (_, true) => failed
                .hint(
                    "check the host's name and the network; --plain-http HOST is for registries without TLS",
                )
                .transient(),
            _ => failed.transient(),
        }
    }
}

/// The error for silence.
pub fn stalled(after: Duration) -> Error {
    Error::network(format!("nothing came for {} s", after.as_secs())).transient()
}

/// A header that no log of the HTTP library shows.
pub fn sensitive(value: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| Error::denied("the credentials hold characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Half the time to all of it, at random, so that many clients do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64;
    pause.mul_f64(0.5 + random / 2.0)
}

/// Headers from pairs.
pub fn headers<const N: usize>(pairs: [(HeaderName, &str); N]) -> Result<HeaderMap> {
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| Error::unsupported(format!("{text:?} is no header")))
    };
    pairs.into_iter().map(|(name, text)| Ok((name, value(text)?))).collect()
}

//! One registry host: requests with authentication, retries and a budget.

use super::auth::{self, Challenge, Scope, Token};
use super::error::{self, from_answer, retry_after};
use super::tls::{self, HostOptions};
use crate::credentials::Credentials;
use crate::error::{Error, Kind, Result};
use crate::transport::Stats;
use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// The longest answer of a token server that is read.
const MAX_TOKEN: usize = 256 << 10;
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
    /// Counters.
    pub stats: Arc<Stats>,
    /// The log.
    pub trace: Trace,
}

/// A registry host, as one user.
pub struct Client {
    host: String,
    base: Url,
    http: reqwest::Client,
    /// For hosts the registry sends us to; made when one is met.
    elsewhere: OnceLock<reqwest::Client>,
    credentials: Credentials,
    state: Mutex<State>,
    /// Held while a token is fetched: one fetch serves all that wait.
    fetching: tokio::sync::Mutex<()>,
    budget: Semaphore,
    pub(super) options: Options,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    /// All scopes that will be needed, the destination's first: one token serves all.
    scopes: Vec<Scope>,
    /// The server gave no token for all of them together: one for each request's own.
    split: bool,
    tokens: HashMap<Vec<Scope>, Token>,
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

impl Client {
    /// A client for a host. Nothing is sent yet.
    pub fn new(host: &str, credentials: Credentials, hosts: &HostOptions, options: Options) -> Result<Self> {
        let (base, http) = tls::connect(host, hosts, options.connect)?;
        Ok(Client {
            host: host.into(),
            base,
            http,
            elsewhere: OnceLock::new(),
            credentials,
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
            budget: Semaphore::new(options.jobs.max(1)),
            options,
        })
    }

    /// The host, as it was named.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Says what will be needed of a repository.
    pub fn announce(&self, scope: Scope) {
        let mut state = self.lock();
        state.scopes.retain(|s| s.repository != scope.repository || s.push);
        if !state.scopes.iter().any(|s| s.repository == scope.repository) {
            state.scopes.push(scope);
        }
        // Some servers grant no more than the first.
        state.scopes.sort_by_key(|s| !s.push);
    }

    /// A URL below `/v2/REPOSITORY/`.
    pub fn url(&self, repository: &str, path: &str) -> Result<Url> {
        self.base
            .join(&format!("/v2/{repository}/{path}"))
            .map_err(|e| Error::usage(format!("{repository}/{path} makes no URL: {e}")))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sends a request until there is an answer that will not change: retried where it may, authenticated
    /// where that is asked for. Any status is an answer; [`Client::expect`] is for one that must be.
    pub async fn send(&self, request: &Request<'_>) -> Result<Response> {
        let mut attempt = 0;
        loop {
            let outcome = self.authenticated(request).await;
            let (error, wait) = match outcome {
                Ok(answer) if error::is_transient(answer.status()) => {
                    let header = answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok());
                    let wait = retry_after(header);
                    (self.refusal(&request.what, answer).await, wait)
                }
                Err(error) if error.is_transient() => (error, None),
                outcome => return outcome,
            };
            self.pause(&mut attempt, error, wait).await?;
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

    /// Waits before another attempt, or gives up with `error`.
    pub async fn pause(&self, attempt: &mut u32, error: Error, wait: Option<Duration>) -> Result<()> {
        if *attempt >= self.options.retries {
            return Err(match *attempt {
                0 => error,
                n => error.context(format!("given up after {} attempts", n + 1)),
            });
        }
        let backoff = self.options.backoff * 2u32.pow((*attempt).min(6));
        let pause = wait.unwrap_or_else(|| jittered(backoff)).min(MAX_WAIT);
        (self.options.trace)(0, format!("{error}; trying again in {:.1} s", pause.as_secs_f64()));
        Stats::add(&self.options.stats.retries, 1);
        *attempt += 1;
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The error for an answer, with what its body says.
    pub async fn refusal(&self, what: &str, answer: Response) -> Error {
        let status = answer.status();
        let body = self.body(answer, error::MAX_BODY).await.unwrap_or_default();
        from_answer(what, status, &body)
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

    /// One attempt, and a second one if the first is told to say who asks.
    async fn authenticated(&self, request: &Request<'_>) -> Result<Response> {
        let authorization = self.authorization(request.scopes).await?;
        let answer = self.once(request, authorization.as_deref()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        match self.answer_challenge(&answer, authorization, request.scopes).await? {
            Some(authorization) => self.once(request, Some(&authorization)).await,
            None => Ok(answer),
        }
    }

    /// The `Authorization` to send now: none before the first challenge.
    pub async fn authorization(&self, own: &[Scope]) -> Result<Option<String>> {
        let challenge = self.lock().challenge.clone();
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(auth::basic_header(&self.credentials)),
            Some(Challenge::Bearer { realm, service }) => {
                self.token(&realm, service.as_deref(), own).await.map(Some)
            }
        }
    }

    /// What to send after a 401; `None` if there is nothing better.
    pub async fn answer_challenge(
        &self,
        answer: &Response,
        sent: Option<String>,
        own: &[Scope],
    ) -> Result<Option<String>> {
        let headers = answer.headers().get_all(header::WWW_AUTHENTICATE);
        let Some(challenge) = auth::challenge(headers.iter().filter_map(|h| h.to_str().ok())) else {
            return Ok(None);
        };
        {
            let mut state = self.lock();
            if let Some(sent) = &sent {
                // The token that was refused is not used again; a newer one that is there already is.
                state.tokens.retain(|_, token| token.header() != *sent);
            }
            state.challenge = Some(challenge);
        }
        let next = self.authorization(own).await?;
        Ok(next.filter(|next| sent.as_ref() != Some(next)))
    }

    async fn token(&self, realm: &str, service: Option<&str>, own: &[Scope]) -> Result<String> {
        loop {
            let (scopes, split) = self.wanted(own);
            if let Some(header) = self.fresh_token(&scopes) {
                return Ok(header);
            }
            let _one_at_a_time = self.fetching.lock().await;
            let (again, _) = self.wanted(own);
            if let Some(header) = self.fresh_token(&again) {
                return Ok(header);
            }
            if again != scopes {
                continue;
            }
            match self.fetch_token(realm, service, &scopes).await {
                Ok(token) => {
                    let header = token.header();
                    self.lock().tokens.insert(scopes, token);
                    return Ok(header);
                }
                // Refused for all together: each for itself, so that the error is about the one it concerns.
                Err(e) if e.kind() == Kind::Denied && !split && scopes.len() > own.len() => {
                    self.lock().split = true
                }
                Err(e) => return Err(e),
            }
        }
    }

    fn wanted(&self, own: &[Scope]) -> (Vec<Scope>, bool) {
        let state = self.lock();
        match state.split {
            true => (own.to_vec(), true),
            false => (state.scopes.clone(), false),
        }
    }

    fn fresh_token(&self, scopes: &[Scope]) -> Option<String> {
        let now = Instant::now();
        self.lock().tokens.get(scopes).filter(|t| t.is_fresh(now)).map(Token::header)
    }

    async fn fetch_token(&self, realm: &str, service: Option<&str>, scopes: &[Scope]) -> Result<Token> {
        let what = format!("asking for a token for {}", self.host);
        let mut url = Url::parse(realm)
            .map_err(|e| Error::network(format!("{what}: the realm {realm:?} is no URL: {e}")))?;
        if self.base.scheme() == "https" && url.scheme() != "https" {
            return Err(Error::denied(format!("{what}: the realm {realm:?} is not https"))
                .hint("credentials are not sent there in the clear"));
        }
        let scope_texts: Vec<String> = scopes.iter().map(Scope::text).collect();
        let mut headers = HeaderMap::new();
        let (method, body) = match &self.credentials {
            Credentials::Identity(token) => {
                let mut form = form_encoder();
                form.extend_pairs([
                    ("grant_type", "refresh_token"),
                    ("refresh_token", token),
                    ("client_id", "reapify"),
                ]);
                form.extend_pairs(service.map(|s| ("service", s)));
                form.append_pair("scope", &scope_texts.join(" "));
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(header::CONTENT_TYPE, kind);
                (Method::POST, Bytes::from(form.query().unwrap_or_default().to_string()))
            }
            credentials => {
                {
                    let mut query = url.query_pairs_mut();
                    query.extend_pairs(service.map(|s| ("service", s)));
                    query.extend_pairs(scope_texts.iter().map(|s| ("scope", s)));
                    if let Credentials::Basic { user, .. } = credentials {
                        query.append_pair("account", user);
                    }
                }
                if let Some(basic) = auth::basic_header(credentials) {
                    headers.insert(header::AUTHORIZATION, sensitive(&basic)?);
                }
                (Method::GET, Bytes::new())
            }
        };
        let request = Request { method, url, headers, body, scopes: &[], what };
        let mut attempt = 0;
        loop {
            let received = Instant::now();
            let error = match self.once(&request, None).await {
                Ok(answer) if answer.status().is_success() => {
                    let body = self.body(answer, MAX_TOKEN).await?;
                    return Token::read(&body, received).ok_or_else(|| {
                        Error::network(format!("{}: there is no token in the answer", request.what))
                    });
                }
                Ok(answer) => self.refusal(&request.what, answer).await,
                Err(error) => error,
            };
            if !error.is_transient() {
                return Err(error);
            }
            self.pause(&mut attempt, error, None).await?;
        }
    }

    /// One attempt of a request that is answered before long; redirects are followed.
    async fn once(&self, request: &Request<'_>, authorization: Option<&str>) -> Result<Response> {
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
    pub fn http_for(&self, url: &Url) -> Result<&reqwest::Client> {
        if self.is_own(url) {
            return Ok(&self.http);
        }
        if let Some(http) = self.elsewhere.get() {
            return Ok(http);
        }
        let http = tls::elsewhere(self.options.connect)?;
        Ok(self.elsewhere.get_or_init(|| http))
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

fn form_encoder() -> FormUrl {
    FormUrl(Url::parse("form:/").ok())
}

/// The query of a URL is the encoding of forms.
struct FormUrl(Option<Url>);

impl FormUrl {
    fn extend_pairs<'a>(&mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
        if let Some(url) = &mut self.0 {
            url.query_pairs_mut().extend_pairs(pairs);
        }
    }

    fn append_pair(&mut self, name: &str, value: &str) {
        self.extend_pairs([(name, value)]);
    }

    fn query(&self) -> Option<&str> {
        self.0.as_ref()?.query()
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

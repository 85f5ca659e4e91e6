//! A client of one registry host with one login: authenticated requests, retried where that may help.

use super::answer::{Answer, FullResponse};
use super::auth::Scope;
use super::error::{Refusal, is_transient, response_error};
use super::governor::{Governor, Governors};
use super::http::{Http, Lane, Request, Timeouts};
use super::pages::next_link;
use super::quirks::Upload;
use super::retry::{Attempts, Policy};
use super::tls::HostOptions;
use super::token::{AfterRefusal, Authorization, Tokens};
use crate::credentials::Login;
use crate::error::{Error, Result, Retry};
use crate::stats::Stats;
use reqwest::{Method, StatusCode, Url};
use std::sync::Arc;
use std::time::Duration;

/// The maximum number of times that one attempt is authorized again: no authorization yet, an expired one, or too
/// many scopes.
const MAX_REPLAYS: usize = 3;
/// The pause of all requests after a 429 without `Retry-After`.
const OVERLOAD_PAUSE: Duration = Duration::from_millis(500);

/// The settings of a client.
#[derive(Clone)]
pub struct Options {
    /// The policy for retrying failures.
    pub retry: Policy,
    /// The timeouts of an exchange.
    pub timeouts: Timeouts,
    /// The maximum number of concurrent requests to one host.
    pub jobs: usize,
    /// The maximum number of requests per second to one host; unlimited if `None`.
    pub per_second: Option<f64>,
    /// The upload method, if the user chose one.
    pub upload: Option<Upload>,
    /// The governors, shared by all clients of a run.
    pub governors: Arc<Governors>,
    /// Counters.
    pub stats: Arc<Stats>,
}

impl Default for Options {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Options {
            retry: Policy { retries: 5, backoff: Duration::from_millis(250), total: seconds(300) },
            timeouts: Timeouts { connect: seconds(15), stall: seconds(60), commit: seconds(600) },
            jobs: 128,
            per_second: None,
            upload: None,
            governors: Arc::default(),
            stats: Arc::default(),
        }
    }
}

/// A client of a registry host with one login.
pub struct Client {
    host: String,
    http: Http,
    tokens: Arc<Tokens>,
    options: Options,
    /// Whether the root of the API was asked for its challenge; locked while that request is in flight.
    root: Arc<tokio::sync::Mutex<bool>>,
}

impl Client {
    /// Creates a client for a host. Sends nothing.
    pub fn new(host: &str, login: Login, hosts: &HostOptions, options: Options) -> Result<Self> {
        let governor = options.governors.of(host, options.jobs, options.per_second);
        Ok(Client {
            host: host.into(),
            http: Http::new(host, hosts, options.timeouts, governor, options.stats.clone())?,
            tokens: Arc::new(Tokens::new(host, login, options.retry)),
            options,
            root: Default::default(),
        })
    }

    /// Returns the same client with its requests counted in `stats`.
    pub fn counting(&self, stats: Arc<Stats>) -> Self {
        Client {
            host: self.host.clone(),
            http: self.http.counting(stats.clone()),
            tokens: self.tokens.clone(),
            options: Options { stats, ..self.options.clone() },
            root: self.root.clone(),
        }
    }

    /// Returns a client with the same login and connections for other repositories: registries refuse a token that
    /// names thousands of them.
    pub fn fork(&self) -> Self {
        Client { tokens: Arc::new(self.tokens.fork()), ..self.counting(self.options.stats.clone()) }
    }

    /// Returns the host, as it was named.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the settings.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the state shared with other clients of the host.
    pub fn governor(&self) -> &Governor {
        self.http.governor()
    }

    /// Announces a scope that the run needs, so that one token covers all.
    pub fn announce(&self, scope: Scope) {
        self.tokens.announce(scope);
    }

    /// Returns a URL below `/v2/REPOSITORY/`.
    pub fn url(&self, repository: &str, path: &str) -> Result<Url> {
        self.http
            .base()
            .join(&format!("/v2/{repository}/{path}"))
            .map_err(|e| Error::usage(format!("invalid URL for {repository}/{path}: {e}")))
    }

    /// Returns a URL below `/v2/`.
    pub(super) fn root_url(&self, path: &str) -> Result<Url> {
        let url = self.http.base().join(&format!("/v2/{path}"));
        url.map_err(|e| Error::usage(format!("invalid URL for {path}: {e}")))
    }

    /// Resolves the `Location` of a response.
    pub fn location(&self, answer: &Answer, operation: &str) -> Result<Option<Url>> {
        let location = answer.headers().get(reqwest::header::LOCATION);
        location.map(|location| self.http.resolve(&answer.url, location, operation)).transpose()
    }

    /// Returns the URL of the next page of a list, of which `answer` is the page at `url`.
    pub fn next_page(&self, url: &Url, answer: &FullResponse, operation: &str) -> Result<Option<Url>> {
        let link = answer.header("link").and_then(next_link);
        link.map(|link| self.http.next_page(url, link, operation)).transpose()
    }

    /// Returns whether a URL belongs to the registry itself rather than to its storage.
    pub fn is_own(&self, url: &Url) -> bool {
        self.http.is_own(url)
    }

    /// Sends a request: authenticates it, and retries transient failures while `attempts` allows. Returns the
    /// response with any other status.
    pub async fn send(
        &self,
        request: &Request<'_>,
        scopes: &[Scope],
        lane: Lane,
        attempts: &mut Attempts,
    ) -> Result<Answer> {
        loop {
            match self.send_once(request, scopes, lane).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.http.pause(attempts, error).await?,
            }
        }
    }

    /// Sends a request as an operation of its own.
    pub async fn send_alone(&self, request: &Request<'_>, scopes: &[Scope]) -> Result<Answer> {
        self.send(request, scopes, Lane::Request, &mut self.options.retry.start()).await
    }

    /// Sends a request and reads the whole body, truncated at `limit`.
    pub async fn fetch(&self, request: &Request<'_>, scopes: &[Scope], limit: usize) -> Result<FullResponse> {
        let mut attempts = self.options.retry.start();
        loop {
            match self.fetch_once(request, scopes, limit).await {
                Ok(response) => return Ok(response),
                Err(error) => self.http.pause(&mut attempts, error).await?,
            }
        }
    }

    async fn fetch_once(
        &self,
        request: &Request<'_>,
        scopes: &[Scope],
        limit: usize,
    ) -> Result<FullResponse> {
        let answer = self.send_once(request, scopes, Lane::Request).await?;
        let (status, headers, url) = (answer.status(), answer.headers().clone(), answer.url.clone());
        let login = self.refused_login(&answer);
        let body = answer.body(limit).await.map_err(|e| e.context(&request.operation))?;
        Ok(FullResponse { status, headers, body, url, login })
    }

    /// Makes one attempt. A transient status is an error.
    pub async fn send_once(&self, request: &Request<'_>, scopes: &[Scope], lane: Lane) -> Result<Answer> {
        let answer = self.authenticated(request, scopes, lane).await?;
        let status = answer.status();
        if !is_transient(status) {
            return Ok(answer);
        }
        let error = response_error(&request.operation, answer).await;
        match error.retry() {
            Some(Retry::Later { after: Some(after) }) => {
                self.governor().pause(after.min(Duration::from_secs(60)))
            }
            _ if status == StatusCode::TOO_MANY_REQUESTS => self.governor().pause(OVERLOAD_PAUSE),
            _ => {}
        }
        Err(error)
    }

    /// Sends a request, and sends it again if the registry itself refuses its authorization. Challenges from other
    /// hosts are ignored.
    async fn authenticated(&self, request: &Request<'_>, scopes: &[Scope], lane: Lane) -> Result<Answer> {
        let is_own = self.http.is_own(&request.url);
        let mut narrow = false;
        let mut authorization = match is_own {
            true => self.tokens.authorization(&self.http, scopes, narrow).await?,
            false => None,
        };
        for replay in 0.. {
            let header = authorization.as_ref().map(Authorization::header);
            let authorize = |url: &Url| header.clone().filter(|_| self.http.is_own(url));
            let answer = self.http.exchange(request, lane, &authorize).await?;
            let status = answer.status();
            let is_refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            if narrow && !is_refused {
                self.tokens.split();
            }
            if !is_refused || !is_own || !self.http.is_own(&answer.url) || replay >= MAX_REPLAYS {
                return Ok(answer);
            }
            match self.tokens.on_refusal(&answer, authorization.as_ref(), scopes) {
                AfterRefusal::Final => return Ok(answer),
                // New tokens were refused again: they may grant less than was requested.
                AfterRefusal::Again => narrow = narrow || replay > 0,
                AfterRefusal::Narrow => narrow = true,
                AfterRefusal::Silent => self.ask_root().await?,
            }
            let mut next = self.tokens.authorization(&self.http, scopes, narrow).await?;
            if next == authorization && !narrow {
                // A new token with the same text would be refused again.
                narrow = true;
                next = self.tokens.authorization(&self.http, scopes, narrow).await?;
            }
            if next.is_none() || next == authorization {
                return Ok(answer);
            }
            authorization = next;
        }
        Err(Error::other("internal error: authentication ended without a response"))
    }

    /// Requests the challenge from the root of the API, once: some registries send it from nowhere else.
    async fn ask_root(&self) -> Result<()> {
        let mut is_asked = self.root.lock().await;
        if std::mem::replace(&mut *is_asked, true) {
            return Ok(());
        }
        let url = self.root_url("")?;
        let request = Request::new(Method::GET, url, format!("asking {} for its challenge", self.host));
        let answer = self.http.exchange(&request, Lane::Free, &|_| None).await?;
        if self.http.is_own(&answer.url) {
            self.tokens.on_refusal(&answer, None, &[]);
        }
        Ok(())
    }

    /// Waits before the next attempt, or returns `error` if there is none.
    pub async fn pause(&self, attempts: &mut Attempts, error: Error) -> Result<()> {
        self.http.pause(attempts, error).await
    }

    /// Reads a response as a refusal.
    pub async fn refusal(&self, operation: &str, answer: Answer) -> Refusal {
        let login = self.refused_login(&answer);
        Refusal::read(operation, answer).await.with_login(login.as_deref())
    }

    /// Describes the login that a response of the registry itself refuses.
    fn refused_login(&self, answer: &Answer) -> Option<String> {
        let is_refused = matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        (is_refused && self.http.is_own(&answer.url)).then(|| self.tokens.describe_login())
    }
}

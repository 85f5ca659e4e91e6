//! The credentials of one registry: what a request may carry, and the tokens that its challenges require.

use super::answer::Answer;
use super::auth::{self, Access, Challenge, Scope, Token};
use super::body::Body;
use super::error::response_error;
use super::http::{Http, Lane, Request};
use super::retry::Policy;
use super::tls::is_loopback;
use crate::credentials::{Credentials, Login};
use crate::error::{Error, HostRemedy, Kind, Result};
use bytes::Bytes;
use reqwest::header::{self, HeaderValue};
use reqwest::{Method, Url};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The maximum size of a token server's response.
const MAX_TOKEN: usize = 256 << 10;

/// Credentials, with the tokens obtained for them.
pub struct Tokens {
    host: String,
    login: Login,
    retry: Policy,
    state: Mutex<State>,
    /// Locked while a token is fetched, so that one fetch serves all waiting requests.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    /// All scopes that a run needs, those of the destination first, so that one token covers all.
    scopes: Vec<Scope>,
    /// Whether the token server refuses a combined token, so that each request needs a token for its own scopes.
    is_split: bool,
    /// The registry's names for scopes, if they differ from ours.
    names: HashMap<Vec<Scope>, String>,
    tokens: HashMap<Vec<String>, Token>,
    /// The sets of scopes for which no token is granted.
    refused: HashMap<Vec<String>, Error>,
}

/// The value of an `Authorization` header, which is never logged.
#[derive(Clone, PartialEq)]
pub struct Authorization {
    header: HeaderValue,
    scopes: Vec<String>,
}

impl Authorization {
    fn new(text: &str, scopes: Vec<String>) -> Result<Self> {
        let mut header = HeaderValue::from_str(text).map_err(|_| {
            Error::denied("the credentials contain characters that are not allowed in an HTTP header")
        })?;
        header.set_sensitive(true);
        Ok(Authorization { header, scopes })
    }

    /// Returns the value of the header.
    pub fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl Tokens {
    /// Creates the credentials of a host. Fetches nothing.
    pub fn new(host: &str, login: Login, retry: Policy) -> Self {
        Tokens { host: host.into(), login, retry, state: Mutex::default(), fetching: Default::default() }
    }

    /// Returns the same credentials for other repositories: the challenge is known, the scopes are not.
    pub fn fork(&self) -> Self {
        let known = self.lock();
        let state =
            State { challenge: known.challenge.clone(), is_split: known.is_split, ..State::default() };
        Tokens {
            host: self.host.clone(),
            login: self.login.clone(),
            retry: self.retry,
            state: Mutex::new(state),
            fetching: Default::default(),
        }
    }

    /// Describes the login, for the error if it is refused.
    pub fn describe_login(&self) -> String {
        self.login.describe()
    }

    /// Adds a scope to those that the run needs.
    pub fn announce(&self, scope: Scope) {
        let mut state = self.lock();
        if !state.scopes.iter().any(|known| known.covers(&scope)) {
            state.scopes.retain(|known| !scope.covers(known));
            state.scopes.push(scope);
        }
        // Some servers grant only the first scope.
        state.scopes.sort_by_key(|scope| scope.access != Access::Push);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the authorization for a request that needs the scopes `own`; none before the first challenge. A
    /// `narrow` authorization covers only these scopes.
    pub async fn authorization(
        &self,
        http: &Http,
        own: &[Scope],
        narrow: bool,
    ) -> Result<Option<Authorization>> {
        let challenge = self.lock().challenge.clone();
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => auth::basic_header(&self.login.credentials)
                .map(|text| Authorization::new(&text, Vec::new()))
                .transpose(),
            Some(Challenge::Bearer { realm, service, .. }) => {
                self.token(http, &realm, service.as_deref(), own, narrow).await.map(Some)
            }
        }
    }

    /// Handles a refusal by the registry itself. Returns whether and how the request should be sent again.
    pub fn on_refusal(&self, answer: &Answer, sent: Option<&Authorization>, own: &[Scope]) -> AfterRefusal {
        let headers = answer.headers().get_all(header::WWW_AUTHENTICATE);
        let challenge = auth::challenge(headers.iter().filter_map(|h| h.to_str().ok()));
        let mut state = self.lock();
        let is_combined =
            sent.is_some_and(|sent| sent.scopes.len() > own.len() && sent.scopes != state.own(own));
        match (answer.status().as_u16(), challenge) {
            (401, Some(challenge)) => {
                let is_insufficient = matches!(challenge, Challenge::Bearer { is_insufficient: true, .. });
                if let Some(sent) = sent {
                    // Keep a newer token that another request fetched meanwhile.
                    state.tokens.retain(|_, token| token.header() != sent.header);
                    if let Challenge::Bearer { scope: Some(scope), .. } = &challenge {
                        state.learn_name(own, scope);
                    }
                }
                state.challenge = Some(challenge);
                // The token server grants less than was requested, and would do so again.
                let is_all = sent.is_some_and(|sent| sent.scopes == state.own(own));
                match is_insufficient {
                    true if is_combined => AfterRefusal::Narrow,
                    true if is_all => AfterRefusal::Final,
                    _ => AfterRefusal::Again,
                }
            }
            (403, _) if is_combined => AfterRefusal::Narrow,
            (401, None) if state.challenge.is_none() => AfterRefusal::Silent,
            _ => AfterRefusal::Final,
        }
    }

    /// Records that a narrow authorization was accepted after a combined one was refused.
    pub fn split(&self) {
        self.lock().is_split = true;
    }

    async fn token(
        &self,
        http: &Http,
        realm: &str,
        service: Option<&str>,
        own: &[Scope],
        narrow: bool,
    ) -> Result<Authorization> {
        loop {
            let scopes = self.lock().wanted(own, narrow);
            let known = self.lock().known(&scopes);
            if let Some(known) = known {
                return known;
            }
            let _one_at_a_time = self.fetching.lock().await;
            // Another request may have fetched the token, or have learned that it is not granted.
            let (now_wanted, known) = {
                let state = self.lock();
                (state.wanted(own, narrow), state.known(&scopes))
            };
            if now_wanted != scopes {
                continue;
            }
            if let Some(known) = known {
                return known;
            }
            match self.fetch(http, realm, service, &scopes).await {
                Ok(token) => {
                    let authorization = Authorization::new(&token.header(), scopes.clone());
                    self.lock().tokens.insert(scopes, token);
                    return authorization;
                }
                Err(error) if error.kind() == Kind::Denied => {
                    let mut state = self.lock();
                    // The combined token was refused, so request one per scope set: an error then concerns only its
                    // own request.
                    let is_combined = scopes.len() > state.own(own).len();
                    state.is_split |= is_combined;
                    if !is_combined {
                        state.refused.insert(scopes, error.clone());
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn fetch(
        &self,
        http: &Http,
        realm: &str,
        service: Option<&str>,
        scopes: &[String],
    ) -> Result<Token> {
        let operation = format!("requesting a token for {}", self.host);
        let realm = self.checked_realm(http, realm, &operation)?;
        let request = self.token_request(&realm, service, scopes, operation)?;
        let basic = match request.method {
            Method::GET => auth::basic_header(&self.login.credentials),
            _ => None,
        };
        let basic = basic.map(|text| Authorization::new(&text, Vec::new())).transpose()?;
        let authorize = |url: &Url| {
            let is_realm = url.origin() == realm.origin();
            basic.as_ref().filter(|_| is_realm).map(Authorization::header)
        };
        let mut attempts = self.retry.start();
        loop {
            let received = Instant::now();
            let error = match self.fetch_once(http, &request, &authorize).await {
                Ok(body) => {
                    return Token::read(&body, received).ok_or_else(|| {
                        Error::network(format!("{}: the response contains no token", request.operation))
                    });
                }
                Err(error) => error,
            };
            http.pause(&mut attempts, error).await?;
        }
    }

    async fn fetch_once(
        &self,
        http: &Http,
        request: &Request<'_>,
        authorize: &(dyn Fn(&Url) -> Option<HeaderValue> + Sync),
    ) -> Result<Bytes> {
        let answer = http.exchange(request, Lane::Free, authorize).await?;
        let status = answer.status();
        if status.is_success() {
            return answer.body(MAX_TOKEN).await.map_err(|e| e.context(&request.operation));
        }
        let error = response_error(&request.operation, answer).await;
        // Servers refuse scopes in different ways, so every 4xx status counts as a refusal, unless it is retryable.
        let is_refusal = status.is_client_error() && error.retry().is_none();
        Err(match is_refusal {
            true => error.of_kind(Kind::Denied).because(self.login.describe()),
            false => error,
        })
    }

    /// Returns the token server's address, if credentials may be sent there. Whether plain HTTP is allowed depends
    /// on the realm's host, not on the registry that named it.
    fn checked_realm(&self, http: &Http, realm: &str, operation: &str) -> Result<Url> {
        let url = Url::parse(realm)
            .map_err(|e| Error::network(format!("{operation}: invalid realm {realm:?}: {e}")))?;
        let host = super::answer::place(&url);
        let is_plain = match url.scheme() {
            "https" => false,
            "http" => true,
            scheme => {
                return Err(Error::network(format!(
                    "{operation}: invalid realm {realm:?}: scheme {scheme:?}"
                )));
            }
        };
        let is_allowed = is_loopback(&host)
            || http.hosts().speaks_plain_http(&host)
            || (self.login.credentials == Credentials::Anonymous && http.base().scheme() == "http");
        if is_plain && !is_allowed {
            return Err(Error::denied(format!("{operation}: the realm {realm:?} is not https"))
                .hint(HostRemedy::AllowPlainRealm.of(host)));
        }
        Ok(url)
    }

    fn token_request<'a>(
        &self,
        realm: &Url,
        service: Option<&str>,
        scopes: &[String],
        operation: String,
    ) -> Result<Request<'a>> {
        let mut url = realm.clone();
        if let Credentials::Identity(token) = &self.login.credentials {
            let scope = scopes.join(" ");
            let mut pairs = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
            pairs.push(("client_id", "reapify"));
            pairs.extend(service.map(|s| ("service", s)));
            pairs.push(("scope", &scope));
            let body = Body::Secret(Bytes::from(form(pairs)));
            return Request::new(Method::POST, url, operation)
                .body(body)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(service.map(|s| ("service", s)));
            query.extend_pairs(scopes.iter().map(|s| ("scope", s)));
            if let Credentials::Basic { user, .. } = &self.login.credentials {
                query.append_pair("account", user);
            }
        }
        Ok(Request::new(Method::GET, url, operation))
    }
}

/// The consequence of a refusal for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterRefusal {
    /// Send it again with a new authorization.
    Again,
    /// Send it again with an authorization for its own scopes only.
    Narrow,
    /// The registry sent no challenge; the root of its API may.
    Silent,
    /// Give up, because no better authorization exists.
    Final,
}

impl State {
    fn wanted(&self, own: &[Scope], narrow: bool) -> Vec<String> {
        let is_announced = |own: &Scope| self.scopes.iter().any(|scope| scope.covers(own));
        match narrow || self.is_split || !own.iter().all(is_announced) {
            true => self.own(own),
            false => self.scopes.iter().map(Scope::text).collect(),
        }
    }

    fn own(&self, own: &[Scope]) -> Vec<String> {
        own.iter().map(Scope::text).chain(self.names.get(own).cloned()).collect()
    }

    /// Returns a token that was obtained, or the error if it was refused.
    fn known(&self, scopes: &Vec<String>) -> Option<Result<Authorization>> {
        if let Some(token) = self.tokens.get(scopes).filter(|t| t.is_fresh(Instant::now())) {
            return Some(Authorization::new(&token.header(), scopes.clone()));
        }
        self.refused.get(scopes).map(|error| Err(error.clone()))
    }

    /// Stores the registry's name for the scope of a request, if it names another resource than we do.
    fn learn_name(&mut self, own: &[Scope], scope: &str) {
        let resource = |text: &str| text.rsplit_once(':').map_or(text, |p| p.0).to_owned();
        if !scope.is_empty()
            && !scope.contains(' ')
            && own.iter().all(|o| resource(&o.text()) != resource(scope))
        {
            self.names.insert(own.to_vec(), scope.to_owned());
        }
    }
}

/// Encodes pairs as a form, in the encoding of a URL's query.
fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let url = Url::parse_with_params("form:/", pairs);
    url.ok().and_then(|u| u.query().map(String::from)).unwrap_or_default()
}

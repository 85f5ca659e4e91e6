//! Tokens for a host: fetched when a challenge asks for them, one for all that will be needed.

use super::auth::{self, Challenge, Scope, Token};
use super::client::{Client, Request, sensitive};
use crate::credentials::Credentials;
use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response, Url};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

/// The longest answer of a token server that is read.
const MAX_TOKEN: usize = 256 << 10;

/// What is known about authentication with a host.
#[derive(Default)]
pub struct Tokens {
    state: Mutex<State>,
    /// Held while a token is fetched: one fetch serves all that wait.
    fetching: tokio::sync::Mutex<()>,
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

impl Client {
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

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.tokens.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
            let _one_at_a_time = self.tokens.fetching.lock().await;
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
        let what = format!("asking for a token for {}", self.host());
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
                let scope = scope_texts.join(" ");
                let mut pairs =
                    vec![("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "reapify")];
                pairs.extend(service.map(|s| ("service", s)));
                pairs.push(("scope", &scope));
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(header::CONTENT_TYPE, kind);
                (Method::POST, Bytes::from(form(pairs)))
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
            let answer = match self.once(&request, None).await {
                Ok(answer) if answer.status().is_success() => self.body(answer, MAX_TOKEN).await,
                Ok(answer) => Err(self.refusal(&request.what, answer).await),
                Err(error) => Err(error),
            };
            let error = match answer {
                Ok(body) => {
                    return Token::read(&body, received).ok_or_else(|| {
                        Error::network(format!("{}: there is no token in the answer", request.what))
                    });
                }
                Err(error) => error,
            };
            if !error.is_transient() {
                return Err(error);
            }
            self.pause(&mut attempt, error).await?;
        }
    }
}

/// Pairs in the encoding of forms: that of a URL's query.
fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let url = Url::parse_with_params("form:/", pairs);
    url.ok().and_then(|u| u.query().map(String::from)).unwrap_or_default()
}

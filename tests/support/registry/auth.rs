//! Authentication: Basic, or Bearer with the registry's own token endpoint.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use serde_json::json;

use super::act::Reply;
use super::route::{Asked, Kind, pairs};
use super::store::Store;

/// The authentication that a registry requires.
#[derive(Clone, Debug)]
pub enum Auth {
    None,
    Basic { user: String, password: String },
    Bearer(Bearer),
}

/// Bearer tokens, issued at `/token` of the same registry.
#[derive(Clone, Debug)]
pub struct Bearer {
    pub user: String,
    pub password: String,
    /// Accepted as `refresh_token` in a POST to the token endpoint.
    pub identity_token: Option<String>,
    /// Whether anonymous clients may pull.
    pub anonymous_pull: bool,
    /// The value of `expires_in`; absent if `None`.
    pub says_expires_in: Option<u64>,
    /// The actual lifetime of a token.
    pub lives: Duration,
    /// The number of requests for which a token is valid.
    pub uses: usize,
    /// Whether the response uses `access_token` instead of `token`.
    pub says_access_token: bool,
    /// The realm, if it is not `http://HOST/token`.
    pub realm: Option<String>,
}

impl Bearer {
    pub fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            identity_token: None,
            anonymous_pull: false,
            says_expires_in: Some(300),
            lives: Duration::from_secs(300),
            uses: usize::MAX,
            says_access_token: false,
            realm: None,
        }
    }
}

/// A token that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    pub token: String,
    /// The user; `None` for an anonymous client.
    pub user: Option<String>,
    /// The requested scopes.
    pub asked: BTreeSet<String>,
    /// The granted scopes as `repository:NAME:ACTION`, one action each.
    pub granted: BTreeSet<String>,
    expires: Instant,
    uses: usize,
}

impl Store {
    /// Returns a 401 with a challenge, if access is denied.
    pub(super) fn refuse(&mut self, asked: &Asked, host: &str) -> Option<Reply> {
        match self.settings.auth.clone() {
            Auth::None => None,
            Auth::Basic { user, password } => match logged_in(asked) {
                Some(who) if who == (user, password) => None,
                _ => Some(challenge("Basic realm=\"registry\"")),
            },
            Auth::Bearer(bearer) => self.refuse_token(asked, &bearer, host),
        }
    }

    fn refuse_token(&mut self, asked: &Asked, bearer: &Bearer, host: &str) -> Option<Reply> {
        let needed = scopes(asked);
        let realm = bearer.realm.clone().unwrap_or(format!("http://{host}/token"));
        let mut text = format!("Bearer realm=\"{realm}\",service=\"test-registry\"");
        if !needed.is_empty() {
            let scopes: Vec<String> =
                needed.iter().map(|(name, actions)| format!("repository:{name}:{actions}")).collect();
            text += &format!(",scope=\"{}\"", scopes.join(" "));
        }
        let token = asked.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        let Some(issued) = self.issued.iter_mut().find(|issued| issued.token == token) else {
            return Some(challenge(&text));
        };
        if issued.expires <= Instant::now() || issued.uses == 0 {
            return Some(challenge(&(text + ",error=\"invalid_token\"")));
        }
        let mut single = needed.iter().flat_map(|(name, actions)| single_actions(name, actions));
        if !single.all(|scope| issued.granted.contains(&scope)) {
            return match issued.user {
                Some(_) => Some(challenge(&(text + ",error=\"insufficient_scope\""))),
                None => Some(challenge(&text)),
            };
        }
        issued.uses -= 1;
        None
    }

    /// Handles the token endpoint: GET with a query, or POST with a form.
    pub(super) fn give_token(&mut self, asked: &Asked, body: &Bytes) -> Reply {
        let Auth::Bearer(bearer) = self.settings.auth.clone() else {
            return Reply::status(404);
        };
        let form = pairs(&String::from_utf8_lossy(body));
        let fields = if asked.method == "POST" { &form } else { &asked.query };
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let right = (bearer.user.clone(), bearer.password.clone());
        let user = match field("grant_type").as_str() {
            "refresh_token" if Some(field("refresh_token")) == bearer.identity_token => Some(bearer.user),
            "password" if (field("username"), field("password")) == right => Some(bearer.user),
            "" => match logged_in(asked) {
                Some(who) if who == right => Some(bearer.user),
                Some(_) => return Reply::error(401, "UNAUTHORIZED", "wrong user or password"),
                None => None,
            },
            _ => return Reply::error(401, "UNAUTHORIZED", "wrong user or password"),
        };
        let asked_scopes: BTreeSet<String> = field("scope").split_whitespace().map(str::to_owned).collect();
        let parsed = asked_scopes.iter().filter_map(|scope| {
            let (name, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
            Some((name.to_owned(), actions.to_owned()))
        });
        let single = parsed.flat_map(|(name, actions)| single_actions(&name, &actions));
        let may = |scope: &String| user.is_some() || (bearer.anonymous_pull && scope.ends_with(":pull"));
        let granted: BTreeSet<String> = single.filter(may).collect();
        let token = format!("token-{}-of-{}", self.issued.len() + 1, user.as_deref().unwrap_or("nobody"));
        let expires = Instant::now() + bearer.lives;
        let uses = bearer.uses;
        self.issued.push(Issued { token: token.clone(), user, asked: asked_scopes, granted, expires, uses });
        let mut reply = json!({});
        reply[if bearer.says_access_token { "access_token" } else { "token" }] = token.into();
        if let Some(seconds) = bearer.says_expires_in {
            reply["expires_in"] = seconds.into();
        }
        Reply::status(200).header("content-type", "application/json").body(reply.to_string())
    }
}

/// Returns `repository` and `pull` or `pull,push` for each repository that the request affects.
fn scopes(asked: &Asked) -> Vec<(String, &'static str)> {
    let Some(repository) = asked.kind.repository() else { return Vec::new() };
    let mut scopes = vec![(repository.to_owned(), if asked.is_read() { "pull" } else { "pull,push" })];
    if let (Kind::StartUpload { .. }, Some(from)) = (&asked.kind, asked.query.get("from")) {
        scopes.push((from.clone(), "pull"));
    }
    scopes
}

fn single_actions(name: &str, actions: &str) -> Vec<String> {
    actions.split(',').map(|action| format!("repository:{name}:{action}")).collect()
}

fn logged_in(asked: &Asked) -> Option<(String, String)> {
    let basic = asked.header("authorization").strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn challenge(text: &str) -> Reply {
    Reply::error(401, "UNAUTHORIZED", "authentication required").header("www-authenticate", text)
}

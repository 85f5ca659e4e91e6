//! Authentication: challenges, Basic, and Bearer tokens (RFC 9110, 11.6.1; distribution "Token Authentication").

use crate::credentials::Credentials;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The way in which a server wants requests to be authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A user name and a password with every request.
    Basic,
    /// A token from `realm`.
    Bearer {
        /// The URL of the token server.
        realm: String,
        /// The registry's name for itself.
        service: Option<String>,
        /// The scope that the refused request needs, as the registry names it.
        scope: Option<String>,
        /// Whether a token was refused because it grants too little (RFC 6750, 3.1).
        is_insufficient: bool,
    },
}

/// Parses the `WWW-Authenticate` headers of a response. If several schemes are offered, Bearer takes precedence.
pub fn challenge<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for header in headers {
        for (scheme, params) in schemes(header) {
            match scheme.to_ascii_lowercase().as_str() {
                "bearer" => {
                    if let Some(realm) = params.get("realm") {
                        return Some(Challenge::Bearer {
                            realm: realm.clone(),
                            service: params.get("service").cloned(),
                            scope: params.get("scope").cloned(),
                            is_insufficient: params.get("error").is_some_and(|e| e == "insufficient_scope"),
                        });
                    }
                }
                "basic" => basic = Some(Challenge::Basic),
                _ => {}
            }
        }
    }
    basic
}

/// Splits `Scheme key="value, with commas", key=value, Scheme2 …`.
fn schemes(header: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = header.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let after = after.trim_start_matches([' ', '\t']);
        match after.strip_prefix('=') {
            Some(value) => {
                let (value, after) = value_of(value.trim_start_matches([' ', '\t']));
                if let Some((_, params)) = found.last_mut() {
                    params.insert(word.to_ascii_lowercase(), value);
                }
                rest = after;
            }
            None => {
                if !word.is_empty() {
                    found.push((word.to_string(), BTreeMap::new()));
                }
                rest = after;
            }
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
    }
    found
}

/// Parses a token or a quoted string, and returns it with the text that follows.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_string(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[i + 1..]),
            '\\' => value.extend(chars.next().map(|c| c.1)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// A scope to request: `repository:name:actions`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The repository.
    pub repository: String,
    /// What is done there.
    pub access: Access,
}

/// The actions that a request needs on a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Reads blobs and manifests.
    Pull,
    /// Reads and writes blobs and manifests.
    Push,
    /// Deletes manifests.
    Delete,
}

impl Access {
    /// Returns the actions as the token specification writes them.
    fn actions(self) -> &'static str {
        match self {
            Access::Pull => "pull",
            Access::Push => "pull,push",
            Access::Delete => "pull,delete",
        }
    }
}

impl Scope {
    /// Returns the text of the scope.
    pub fn text(&self) -> String {
        format!("repository:{}:{}", self.repository, self.access.actions())
    }

    /// Returns whether a token for this scope serves a request that needs `other`.
    pub fn covers(&self, other: &Scope) -> bool {
        self.repository == other.repository && (self.access == other.access || other.access == Access::Pull)
    }
}

/// A token and its lifetime.
#[derive(Clone)]
pub struct Token {
    text: String,
    until: Instant,
}

impl Token {
    /// Parses a token server's response, received at `now`. Returns `None` if it contains no token.
    ///
    /// This is as lenient as Go's clients: if `token` is empty, `access_token` is used, and an `expires_in` that is
    /// not a number counts as absent.
    pub fn read(answer: &[u8], now: Instant) -> Option<Self> {
        let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
        let text = |key: &str| answer.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let text = text("token").or_else(|| text("access_token"))?;
        let expires_in = answer.get("expires_in");
        let number = expires_in.and_then(|e| e.as_f64().or_else(|| e.as_str()?.trim().parse().ok()));
        // The default is 60 s. A token is renewed after 80 % of its lifetime, to allow for clock skew.
        let seconds = number.filter(|s| s.is_finite() && *s > 0.0).unwrap_or(60.0).clamp(1.0, 86_400.0);
        Some(Token { text, until: now + Duration::from_secs_f64(seconds * 0.8) })
    }

    /// Returns whether the token is still valid.
    pub fn is_fresh(&self, now: Instant) -> bool {
        now < self.until
    }

    /// Returns the value of the `Authorization` header.
    pub fn header(&self) -> String {
        format!("Bearer {}", self.text)
    }
}

/// Returns the value of the `Authorization` header for a user name and a password.
pub fn basic_header(credentials: &Credentials) -> Option<String> {
    use base64::Engine as _;
    match credentials {
        Credentials::Basic { user, password } => Some(format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_challenges_in_every_form() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.into(),
                service: service.map(Into::into),
                scope: scope.map(Into::into),
                is_insufficient: false,
            })
        };
        for (headers, expected) in [
            (
                vec![r#"Bearer realm="https://a/t",service="s",scope="repository:x:pull,push""#],
                bearer("https://a/t", Some("s"), Some("repository:x:pull,push")),
            ),
            (vec![r#"bearer Realm=https://a/t , service = "s""#], bearer("https://a/t", Some("s"), None)),
            (vec![r#"Basic realm="x", Bearer realm="https://a/t""#], bearer("https://a/t", None, None)),
            (vec!["Basic realm=\"x\"", "Bearer realm=\"https://a/t\""], bearer("https://a/t", None, None)),
            (vec![r#"Basic realm="a, Bearer realm=""#], Some(Challenge::Basic)),
            (vec!["Basic"], Some(Challenge::Basic)),
            (vec![r#"Bearer realm="quo\"ted""#], bearer("quo\"ted", None, None)),
            (vec!["Negotiate abc=="], None),
            (vec!["", ",,,", "= = =", "Bearer realm"], None),
        ] {
            assert_eq!(challenge(headers.clone()), expected, "{headers:?}");
        }
    }

    #[test]
    fn parses_tokens_under_both_names() {
        let now = Instant::now();
        for text in [
            r#"{"token":"t"}"#,
            r#"{"access_token":"t"}"#,
            r#"{"token":"t","access_token":"u","expires_in":60}"#,
            r#"{"token":"","access_token":"t"}"#,
            r#"{"token":null,"access_token":"t","expires_in":"60"}"#,
            r#"{"token":"t","expires_in":null,"issued_at":"yesterday"}"#,
            r#"{"token":"t","expires_in":-1}"#,
            r#"{"token":"t","expires_in":1e-15}"#,
        ] {
            let token = Token::read(text.as_bytes(), now).unwrap();
            assert_eq!(token.header(), "Bearer t");
            assert!(token.is_fresh(now) && !token.is_fresh(now + Duration::from_secs(60)));
        }
        for text in ["{}", "", r#"{"token":""}"#, "[]", "<html>"] {
            assert!(Token::read(text.as_bytes(), now).is_none());
        }
    }
}

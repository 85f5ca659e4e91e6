//! Requests, and the parts of a registry that they address.

use std::collections::BTreeMap;

use hyper::Method;
use hyper::header::HeaderMap;

/// A request, without its body.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its index in the log.
    pub index: usize,
    pub method: Method,
    pub path: String,
    /// The query as sent.
    pub query_text: String,
    /// The decoded query. Values of repeated members are joined by spaces, as for scopes.
    pub query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    pub kind: Kind,
}

/// The part of a registry that a request addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Ping,
    Token,
    Manifest { repository: String, reference: String },
    Blob { repository: String, digest: String },
    StartUpload { repository: String },
    Upload { repository: String, id: String },
    Tags { repository: String },
    Catalog,
    Referrers { repository: String, digest: String },
    Other,
}

impl Kind {
    pub fn of(path: &str) -> Self {
        if path == "/token" {
            return Kind::Token;
        }
        let Some(path) = path.strip_prefix("/v2").map(|path| path.trim_start_matches('/')) else {
            return Kind::Other;
        };
        if path.is_empty() {
            return Kind::Ping;
        }
        if path == "_catalog" {
            return Kind::Catalog;
        }
        let around = |middle: &str| {
            let (repository, rest) = path.rsplit_once(middle)?;
            (!repository.is_empty()).then(|| (repository.to_owned(), rest.to_owned()))
        };
        if let Some((repository, id)) = around("/blobs/uploads") {
            return match id.trim_start_matches('/') {
                "" => Kind::StartUpload { repository },
                id => Kind::Upload { repository, id: id.to_owned() },
            };
        }
        if let Some((repository, digest)) = around("/blobs/") {
            return Kind::Blob { repository, digest };
        }
        if let Some((repository, reference)) = around("/manifests/") {
            return Kind::Manifest { repository, reference };
        }
        if let Some((repository, digest)) = around("/referrers/") {
            return Kind::Referrers { repository, digest };
        }
        match path.strip_suffix("/tags/list") {
            Some(repository) => Kind::Tags { repository: repository.to_owned() },
            None => Kind::Other,
        }
    }

    pub fn repository(&self) -> Option<&str> {
        match self {
            Kind::Ping | Kind::Token | Kind::Catalog | Kind::Other => None,
            Kind::Manifest { repository, .. }
            | Kind::Blob { repository, .. }
            | Kind::StartUpload { repository }
            | Kind::Upload { repository, .. }
            | Kind::Tags { repository }
            | Kind::Referrers { repository, .. } => Some(repository),
        }
    }
}

impl Asked {
    pub(super) fn new(method: Method, path: &str, query: &str, headers: HeaderMap) -> Self {
        let kind = Kind::of(&unescape(path));
        let query_text = query.to_owned();
        Self { index: 0, method, path: path.to_owned(), query: pairs(query), query_text, headers, kind }
    }

    /// Returns the text of a header; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns whether the request moves a tag or stores a manifest.
    pub fn writes_manifest(&self) -> bool {
        self.method == Method::PUT && matches!(self.kind, Kind::Manifest { .. })
    }

    pub fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }
}

/// Decodes `a=1&b=2`, of a query or a form.
pub fn pairs(text: &str) -> BTreeMap<String, String> {
    let mut pairs: BTreeMap<String, String> = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = unescape(&value.replace('+', " "));
        let known = pairs.entry(unescape(name)).or_default();
        if !known.is_empty() {
            known.push(' ');
        }
        known.push_str(&value);
    }
    pairs
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = (byte == b'%').then(|| tail.get(..2)).flatten();
        let code = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

//! Error responses of registries (OCI distribution specification, "Error Codes").

use super::answer::{Answer, FullResponse, place};
use super::tls;
use crate::error::{Error, HostRemedy, Kind, Remedy, Retry};
use oci_spec::distribution::ErrorCode;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap};
use serde::Deserialize;
use std::time::{Duration, SystemTime};

/// The maximum number of errors of one response that a message repeats.
const MOST_ITEMS: usize = 4;
/// The maximum size of an error body that is read.
const MAX_BODY: usize = 64 << 10;

#[derive(Deserialize)]
struct Body {
    errors: Option<Vec<Item>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Item {
    code: Option<serde_json::Value>,
    message: Option<serde_json::Value>,
    detail: Option<serde_json::Value>,
}

/// A response with an unexpected status.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    codes: Vec<ErrorCode>,
    other_codes: Vec<String>,
    words: String,
    error: Error,
}

impl Refusal {
    /// Reads the rest of a response. `operation` describes what was attempted.
    pub async fn read(operation: &str, answer: Answer) -> Self {
        let (status, headers, place) = (answer.status(), answer.headers().clone(), place(&answer.url));
        let body = answer.body(MAX_BODY).await.unwrap_or_default();
        Self::new(operation, &place, status, &headers, &body)
    }

    /// Interprets a response of the host `place`.
    pub fn new(operation: &str, place: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let items = serde_json::from_slice::<Body>(body).ok().and_then(|b| b.errors).unwrap_or_default();
        let mut message = format!("{place} answered {status}");
        let (mut codes, mut other_codes, mut words) = (Vec::new(), Vec::new(), String::new());
        for (n, item) in items.iter().enumerate() {
            let text = |value: &Option<serde_json::Value>| {
                value.as_ref().and_then(|v| v.as_str()).unwrap_or_default().to_owned()
            };
            let (code, text, detail) = (text(&item.code), text(&item.message), text(&item.detail));
            if n < MOST_ITEMS {
                message.push_str(&format!(": {}", shortened([&*code, &*text].join(" ").trim())));
                if !detail.is_empty() && !text.contains(&detail) {
                    message.push_str(&format!(" ({})", shortened(&detail)));
                }
            }
            words.push_str(&format!("{text} {detail} ").to_lowercase());
            match code.parse() {
                Ok(code) => codes.push(code),
                Err(_) => other_codes.push(code),
            }
        }
        if items.is_empty() {
            words = String::from_utf8_lossy(&body[..body.len().min(2000)]).to_lowercase();
        }
        let mut refusal = Refusal { status, codes, other_codes, words, error: Error::other("") };
        let (kind, remedy) = refusal.meaning();
        refusal.error = Error::new(kind, message).context(operation).hint(remedy);
        if matches!(status.as_u16(), 400 | 426) && tls::is_refusal_of_plain_http(&refusal.words) {
            refusal.error = refusal.error.hint(HostRemedy::UseTls.of(place));
        }
        if is_transient(status) {
            let after = retry_after(headers, SystemTime::now());
            refusal.error = refusal.error.retryable(Retry::Later { after });
        }
        refusal
    }

    /// Adds a description of the login that was refused.
    #[must_use]
    pub fn with_login(mut self, login: Option<&str>) -> Self {
        if let Some(login) = login.filter(|_| self.error.kind() == Kind::Denied) {
            self.error = self.error.because(login);
        }
        self
    }

    /// Returns whether the registry reported one of these error codes.
    pub fn has(&self, codes: &[ErrorCode]) -> bool {
        self.codes.iter().any(|code| codes.contains(code))
    }

    /// Returns whether the registry reported one of these error codes, which the specification does not define.
    pub fn has_other(&self, codes: &[&str]) -> bool {
        self.other_codes.iter().any(|code| codes.contains(&code.as_str()))
    }

    /// Returns whether the registry's message contains one of these phrases, given in lower case.
    pub fn says(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.words.contains(phrase))
    }

    /// Converts the refusal into an error.
    pub fn into_error(self) -> Error {
        self.error
    }

    fn meaning(&self) -> (Kind, Remedy) {
        match self.status.as_u16() {
            401 | 403 => (Kind::Denied, Remedy::LogIn),
            404 if self.has(&[ErrorCode::NameUnknown]) => (
                Kind::NotFound,
                "check the repository's name; some registries require that you create it before the first push".into(),
            ),
            404 => (Kind::NotFound, "check the name and the tag".into()),
            400 if self.has(&[ErrorCode::ManifestInvalid]) || self.has_other(&["MANIFEST_UNVERIFIED"]) => {
                (Kind::Unsupported, "use another destination: this one does not accept this kind of manifest".into())
            }
            400 if self.has(&[ErrorCode::DigestInvalid, ErrorCode::SizeInvalid]) => {
                (Kind::Verification, "check for a proxy that changes data on the way to the registry".into())
            }
            413 => (Kind::Network, Remedy::SendSmallerRequests),
            429 => {
                (Kind::Network, "the registry limits the rate of requests; log in, or try again later".into())
            }
            500..=599 => (Kind::Network, "try again later; the registry reported a server error".into()),
            _ => (Kind::Network, Remedy::LogRequests),
        }
    }
}

impl FullResponse {
    /// Interprets the response as a refusal.
    pub fn refusal(&self, operation: &str) -> Refusal {
        let refusal = Refusal::new(operation, &place(&self.url), self.status, &self.headers, &self.body);
        refusal.with_login(self.login.as_deref())
    }
}

/// Returns the error for a response with an unexpected status.
pub async fn response_error(operation: &str, answer: Answer) -> Error {
    Refusal::read(operation, answer).await.into_error()
}

/// Returns whether the same request may succeed later.
pub fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Shortens a registry's message.
fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}

/// Parses `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        // A date in the past requires no pause.
        Err(_) => httpdate::parse_http_date(value).ok().map(|at| at.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Refusal {
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::new("reading x", "r.example:5000", status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn maps_statuses_to_error_kinds() {
        let coded = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"Cannot"}}]}}"#);
        for (status, body, kind) in [
            (401, coded("UNAUTHORIZED"), Kind::Denied),
            (403, String::new(), Kind::Denied),
            (404, coded("NAME_UNKNOWN"), Kind::NotFound),
            (400, coded("MANIFEST_INVALID"), Kind::Unsupported),
            (400, coded("DIGEST_INVALID"), Kind::Verification),
            (429, "<html>".into(), Kind::Network),
            (503, String::new(), Kind::Network),
            (418, String::new(), Kind::Network),
        ] {
            let error = refusal(status, &body).into_error();
            assert_eq!((error.kind(), error.retry().is_some()), (kind, matches!(status, 429 | 503)));
            assert!(error.to_string().starts_with(&format!("reading x: r.example:5000 answered {status}")));
        }
    }

    #[test]
    fn parses_error_bodies_in_every_form() {
        let odd = refusal(400, r#"{"errors":[{"code":7,"message":null,"detail":{"a":1}},{"code":"X"}]}"#);
        assert!(odd.has_other(&["X"]) && !odd.has_other(&["7"]));
        let known = refusal(400, r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"},{"code":"blob_unknown"}]}"#);
        assert!(known.has(&[ErrorCode::BlobUploadUnknown]) && !known.has(&[ErrorCode::BlobUnknown]));
        let page = refusal(400, "<p>Tag is Immutable</p>");
        assert!(page.says(&["immutable"]) && !page.says(&["exists"]));
        for body in ["", "[]", "null", r#"{"errors":null}"#, r#"{"errors":{}}"#] {
            assert!(!refusal(400, body).has_other(&[""]), "{body}");
        }
    }

    #[test]
    fn parses_retry_after_as_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (value, seconds) in [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{value}");
        }
    }
}

//! What a registry's refusal means (OCI distribution specification, "Error Codes").

use crate::error::{Error, Kind};
use reqwest::StatusCode;
use serde::Deserialize;
use std::time::Duration;

/// The longest body of an error that is read.
pub const MAX_BODY: usize = 64 << 10;

#[derive(Deserialize)]
struct Body {
    errors: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    code: Option<String>,
    message: Option<String>,
    detail: Option<serde_json::Value>,
}

/// Whether the same request may succeed later.
pub fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The error for an answer that is none of those hoped for. `what` is what was being done.
pub fn from_answer(what: &str, status: StatusCode, body: &[u8]) -> Error {
    let items = serde_json::from_slice::<Body>(body).ok().and_then(|b| b.errors).unwrap_or_default();
    let has = |code: &str| items.iter().any(|i| i.code.as_deref() == Some(code));
    let mut message = format!("{what}: the registry answered {status}");
    for item in &items {
        let code = item.code.as_deref().unwrap_or_default();
        let text = item.message.as_deref().unwrap_or_default();
        message.push_str(&format!(": {}", clean([code, text].join(" ").trim())));
        if let Some(detail) = item.detail.as_ref().and_then(|d| d.as_str()).filter(|d| !text.contains(d)) {
            message.push_str(&format!(" ({})", clean(detail)));
        }
    }
    let (kind, hint) = match status.as_u16() {
        401 | 403 => (
            Kind::Denied,
            "log in with `docker login` or `podman login`, or give --src-creds or --dest-creds; check the repository's name too",
        ),
        404 if has("NAME_UNKNOWN") => (
            Kind::NotFound,
            "check the repository's name; some registries want it created before the first push",
        ),
        404 => (Kind::NotFound, "check the name and the tag"),
        400 if has("MANIFEST_INVALID") || has("MANIFEST_UNVERIFIED") => {
            (Kind::Unsupported, "the destination does not take this kind of manifest")
        }
        400 if has("DIGEST_INVALID") || has("SIZE_INVALID") => {
            (Kind::Verification, "the bytes were changed on the way to the registry")
        }
        400 if body.windows(12).any(|w| w.eq_ignore_ascii_case(b"HTTPS server")) => {
            (Kind::Network, "the registry speaks TLS: give --ca-file, or put its CA into certs.d")
        }
        409 if has("TAG_INVALID") || has("CONFLICT") => {
            (Kind::Denied, "the tag exists and the registry does not let it move; choose another tag")
        }
        413 => (Kind::Network, "the registry, or a proxy before it, limits the size of a request"),
        429 => (Kind::Network, "the registry limits how often it may be asked; log in, or try later"),
        500..=599 => (Kind::Network, "the registry is in trouble; try later"),
        _ => (Kind::Network, "run with -vv to see the requests"),
    };
    let error = Error::new(kind, message).hint(hint);
    if is_transient(status) { error.transient() } else { error }
}

/// A registry's words on a terminal: no control characters, and not too many.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

/// `Retry-After` in seconds; the form with a date is rare and means "later" all the same.
pub fn retry_after(value: Option<&str>) -> Option<Duration> {
    value?.trim().parse::<u64>().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_kind() {
        let error = |status: u16, body: &str| {
            from_answer("reading x", StatusCode::from_u16(status).unwrap(), body.as_bytes())
        };
        let coded = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"no\u001b[31m"}}]}}"#);
        for (status, body, kind) in [
            (401, coded("UNAUTHORIZED"), Kind::Denied),
            (403, String::new(), Kind::Denied),
            (404, coded("NAME_UNKNOWN"), Kind::NotFound),
            (400, coded("MANIFEST_INVALID"), Kind::Unsupported),
            (429, "<html>".into(), Kind::Network),
            (503, String::new(), Kind::Network),
            (418, String::new(), Kind::Network),
        ] {
            let error = error(status, &body);
            assert_eq!((error.kind(), error.is_transient()), (kind, matches!(status, 429 | 503)));
            assert!(error.to_string().starts_with("reading x: the registry answered"));
            assert!(!error.to_string().contains('\u{1b}'));
        }
    }
}

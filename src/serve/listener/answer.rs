//! Responses of the listener.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// A complete response.
pub(super) type Answer = Response<Full<Bytes>>;

/// The number of seconds after which a sender may try again.
const RETRY: HeaderValue = HeaderValue::from_static("5");

#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
}

/// Builds a response of any media type.
pub(super) fn text(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Builds the response to a probe.
pub(super) fn plain(status: StatusCode, body: &'static str) -> Answer {
    text(status, "text/plain; charset=utf-8", body)
}

/// Builds a JSON response.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    // Serializing structs of text and numbers does not fail.
    text(status, "application/json", serde_json::to_vec(body).unwrap_or_default())
}

/// Builds a JSON response with an error.
pub(super) fn error(status: StatusCode, why: &str) -> Answer {
    json(status, &Refusal { error: why })
}

/// Builds a 401 with a challenge.
pub(super) fn unauthorized() -> Answer {
    let answer = error(StatusCode::UNAUTHORIZED, "send the shared secret as `Authorization: Bearer SECRET`");
    with(answer, WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// Builds a 405 with the allowed methods.
pub(super) fn not_allowed(methods: &'static str) -> Answer {
    let answer = error(StatusCode::METHOD_NOT_ALLOWED, &format!("invalid method: use {methods}"));
    with(answer, ALLOW, HeaderValue::from_static(methods))
}

/// Builds a 503 with the time to wait before the next attempt.
pub(super) fn unavailable(why: &str) -> Answer {
    with(error(StatusCode::SERVICE_UNAVAILABLE, why), RETRY_AFTER, RETRY)
}

fn with(mut answer: Answer, name: HeaderName, value: HeaderValue) -> Answer {
    answer.headers_mut().insert(name, value);
    answer
}

//! Responses being received, with limits: a maximum time without data, and a minimum rate.

use super::governor::Turn;
use super::tls;
use crate::error::{Error, Remedy, Result, Retry};
use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode, Url};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The minimum rate of a response, in bytes per second, after the first stall timeout has passed.
const LEAST_RATE: u64 = 1024;

/// A response whose body is still to be read.
pub struct Answer {
    response: Response,
    /// The URL that sent it, after redirects.
    pub url: Url,
    pace: Pace,
    _turn: Option<Turn>,
}

/// A response with its whole body.
pub struct FullResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The URL that sent it, after redirects.
    pub url: Url,
    /// A description of the login that the registry refused, if it refused one.
    pub login: Option<String>,
}

impl Answer {
    /// Creates a response from `url`. `turn` is released with the last byte.
    pub fn new(response: Response, url: Url, stall: Duration, turn: Option<Turn>) -> Self {
        Answer { response, url, pace: Pace::new(stall), _turn: turn }
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Returns a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Returns the length of the body, if it is declared.
    pub fn content_length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Reads the next piece of the body.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let begun = Instant::now();
        let piece = timeout(self.pace.stall, self.response.chunk()).await;
        let piece = piece.map_err(|_| timeout_error(self.pace.stall))?;
        let piece = piece.map_err(|e| connection_error(e, &self.url))?;
        let len = piece.as_ref().map_or(0, Bytes::len);
        self.pace.check(begun.elapsed(), len as u64)?;
        Ok(piece)
    }

    /// Reads the whole body, truncated at `limit`.
    pub async fn body(mut self, limit: usize) -> Result<Bytes> {
        let mut whole = Vec::new();
        while let Some(piece) = self.chunk().await? {
            whole.extend_from_slice(&piece);
            if whole.len() >= limit {
                whole.truncate(limit);
                break;
            }
        }
        Ok(whole.into())
    }
}

impl FullResponse {
    /// Returns a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The rate at which a response arrives. Only the time spent waiting counts, because the reader may be slow.
struct Pace {
    stall: Duration,
    waited: Duration,
    received: u64,
}

impl Pace {
    fn new(stall: Duration) -> Self {
        Pace { stall, waited: Duration::ZERO, received: 0 }
    }

    /// Returns an error for a response that arrives too slowly: its deadline grows with its size, at [`LEAST_RATE`].
    fn check(&mut self, waited: Duration, received: u64) -> Result<()> {
        self.waited += waited;
        self.received += received;
        if self.waited > self.stall.saturating_add(Duration::from_secs(self.received / LEAST_RATE)) {
            return Err(Error::network(format!(
                "the response is too slow: {} bytes in {} s",
                self.received,
                self.waited.as_secs()
            ))
            .retryable(Retry::Once));
        }
        Ok(())
    }
}

/// Returns `HOST[:PORT]` of a URL.
pub fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// Returns the error for a timeout.
pub fn timeout_error(after: Duration) -> Error {
    Error::network(format!("timed out: no data sent or received for {} s", after.as_secs()))
        .retryable(Retry::Later { after: None })
}

/// Returns the error for a failed connection.
pub fn connection_error(error: reqwest::Error, url: &Url) -> Error {
    let mut message = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(e) = source {
        // One of our own errors, which passed through the HTTP library as the end of a body.
        if let Some(ours) = e.downcast_ref::<Error>() {
            return ours.clone();
        }
        // The outer messages repeat the URL; the innermost one states the cause.
        message = e.to_string();
        source = e.source();
    }
    if error.is_builder() {
        return Error::other(message);
    }
    let failed = Error::network(format!("{}: {message}", place(url)));
    match tls::explain(&error, url, &place(url)) {
        Some(tls::Explanation { remedy, cause: tls::Cause::Certificate }) => failed.hint(remedy),
        Some(tls::Explanation { remedy, cause: tls::Cause::Protocol }) => {
            failed.hint(remedy).retryable(Retry::Once)
        }
        Some(tls::Explanation { remedy, cause: tls::Cause::Unclear }) => {
            failed.hint(remedy).retryable(Retry::Later { after: None })
        }
        None if error.is_connect() => failed.hint(Remedy::CheckHost).retryable(Retry::Once),
        None => failed.retryable(Retry::Later { after: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_responses_below_the_minimum_rate() {
        let seconds = Duration::from_secs;
        let mut pace = Pace::new(seconds(60));
        pace.check(seconds(59), 1).unwrap();
        assert!(pace.check(seconds(2), 1).is_err());
        let mut pace = Pace::new(seconds(60));
        for _ in 0..1000 {
            pace.check(seconds(1), 2048).unwrap();
        }
    }
}

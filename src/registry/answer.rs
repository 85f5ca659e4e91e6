//! Responses on their way in, and what they may take: a bound for silence, and a least rate.

use super::governor::Turn;
use super::tls;
use crate::error::{Error, Remedy, Result, Retry};
use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode, Url};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The least rate of an answer, in bytes per second, once the time for a stall is over.
const LEAST_RATE: u64 = 1024;

/// The start of a response; its body is still to be read.
pub struct Answer {
    response: Response,
    /// Where it came from, after redirects.
    pub url: Url,
    pace: Pace,
    _turn: Option<Turn>,
}

/// A response with its whole body.
pub struct FullResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Where it came from, after redirects.
    pub url: Url,
    /// Whose credentials the registry refused, if it did.
    pub login: Option<String>,
}

impl Answer {
    /// A response of `url`; its turn is given back with the last byte.
    pub fn new(response: Response, url: Url, stall: Duration, turn: Option<Turn>) -> Self {
        Answer { response, url, pace: Pace::new(stall), _turn: turn }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// The length of the body, if it is declared.
    pub fn content_length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next piece of the body.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let begun = Instant::now();
        let piece = timeout(self.pace.stall, self.response.chunk()).await;
        let piece = piece.map_err(|_| stalled(self.pace.stall))?;
        let piece = piece.map_err(|e| connection_error(e, &self.url))?;
        let len = piece.as_ref().map_or(0, Bytes::len);
        self.pace.check(begun.elapsed(), len as u64)?;
        Ok(piece)
    }

    /// The whole body, cut off at `limit`.
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
    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// How fast an answer arrives. Only waiting counts: whoever reads may be slow.
struct Pace {
    stall: Duration,
    waited: Duration,
    received: u64,
}

impl Pace {
    fn new(stall: Duration) -> Self {
        Pace { stall, waited: Duration::ZERO, received: 0 }
    }

    /// Fails an answer that drips: its deadline grows with its size, at [`LEAST_RATE`].
    fn check(&mut self, waited: Duration, received: u64) -> Result<()> {
        self.waited += waited;
        self.received += received;
        if self.waited > self.stall + Duration::from_secs(self.received / LEAST_RATE) {
            return Err(Error::network(format!(
                "the answer is too slow: {} bytes in {} s",
                self.received,
                self.waited.as_secs()
            ))
            .retryable(Retry::Once));
        }
        Ok(())
    }
}

/// `HOST[:PORT]` of a URL.
pub fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// The error for silence.
pub fn stalled(after: Duration) -> Error {
    Error::network(format!("no answer for {} s", after.as_secs())).retryable(Retry::Later { after: None })
}

/// The error for a connection that failed.
pub fn connection_error(error: reqwest::Error, url: &Url) -> Error {
    let mut message = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(e) = source {
        // An error of ours that went through the HTTP library as the end of a body.
        if let Some(ours) = e.downcast_ref::<Error>() {
            return ours.clone();
        }
        // The outermost texts repeat the URL; the innermost says what happened.
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
    fn an_answer_has_to_keep_the_least_rate() {
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

//! The possible reactions of a registry to a request, and its responses.

use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

/// The reaction to one request.
pub enum Act {
    /// Process the request correctly.
    Serve,
    /// Send this response without processing the request.
    Answer(Reply),
    /// Close the connection without processing the request.
    HangUp,
    /// Close the connection after this many bytes of the request's body, without processing the request.
    HangUpAfter(usize),
    /// Process the request, then close the connection without a response.
    ServeAndHangUp,
    /// Never respond, and do not process the request.
    Stall,
    /// Process the request, and respond after this time.
    Delay(Duration),
    /// Process the request, then alter the response.
    Alter(Box<dyn FnOnce(Reply) -> Reply + Send>),
    /// Create the response from the request's body, without processing the request.
    Make(Box<dyn FnOnce(Bytes) -> Reply + Send>),
}

impl Act {
    /// Processes the request, then alters the response.
    pub fn alter(change: impl FnOnce(Reply) -> Reply + Send + 'static) -> Self {
        Act::Alter(Box::new(change))
    }

    /// Creates the response from the request's body.
    pub fn make(answer: impl FnOnce(Bytes) -> Reply + Send + 'static) -> Self {
        Act::Make(Box::new(answer))
    }
}

/// A response, and how it is sent.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Close the connection after this many bytes of the body.
    pub cut_at: Option<usize>,
    /// Send this many bytes of the body, then nothing more.
    pub stall_at: Option<usize>,
    /// The Content-Length to claim, if it is not that of the body.
    pub claim: Option<u64>,
    /// Wait this long before each of a few pieces of the body.
    pub drip: Option<Duration>,
}

impl Reply {
    #[track_caller]
    pub fn status(code: u16) -> Self {
        let status = StatusCode::from_u16(code).expect("a status code");
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self { status, headers, body, cut_at: None, stall_at: None, claim: None, drip: None }
    }

    /// Returns an error in the specification's format.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = json!({"errors": [{"code": code, "message": message, "detail": null}]});
        Self::status(status).header("content-type", "application/json").body(body.to_string().into_bytes())
    }

    /// Returns a web page, as a proxy might.
    pub fn html(status: u16) -> Self {
        let page = "<!doctype html><html><title>Sign in</title><body>Please sign in.</body></html>";
        Self::status(status).header("content-type", "text/html").body(page)
    }

    /// Sets a header, replacing any of that name.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        self.headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
        self
    }

    #[track_caller]
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn cut_at(mut self, offset: usize) -> Self {
        self.cut_at = Some(offset);
        self
    }

    pub fn stall_at(mut self, offset: usize) -> Self {
        self.stall_at = Some(offset);
        self
    }

    pub fn claim_length(mut self, length: u64) -> Self {
        self.claim = Some(length);
        self
    }

    pub fn drip(mut self, pause: Duration) -> Self {
        self.drip = Some(pause);
        self
    }
}

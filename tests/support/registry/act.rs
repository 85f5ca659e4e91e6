//! What a registry can do to a request, and what it answers.

use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

/// What is done to one request.
pub enum Act {
    /// What a registry should do.
    Serve,
    /// This answer; the request changes nothing.
    Answer(Reply),
    /// Close the connection; the request changes nothing.
    HangUp,
    /// Close the connection after this many bytes of the request's body; the request changes nothing.
    HangUpAfter(usize),
    /// Do what was asked, then close the connection without an answer.
    ServeAndHangUp,
    /// Never answer; the request changes nothing.
    Stall,
    /// Do what was asked, and answer after this long.
    Delay(Duration),
    /// Do what was asked, then alter the answer.
    Alter(Box<dyn FnOnce(Reply) -> Reply + Send>),
    /// The answer that is made of the request's body; the request changes nothing.
    Make(Box<dyn FnOnce(Bytes) -> Reply + Send>),
}

impl Act {
    /// Serves, then alters the answer.
    pub fn alter(change: impl FnOnce(Reply) -> Reply + Send + 'static) -> Self {
        Act::Alter(Box::new(change))
    }

    /// Answers with what is made of the request's body.
    pub fn make(answer: impl FnOnce(Bytes) -> Reply + Send + 'static) -> Self {
        Act::Make(Box::new(answer))
    }
}

/// An answer, and how it is sent.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Close the connection after this many bytes of the body.
    pub cut_at: Option<usize>,
    /// Send this many bytes of the body, then nothing more.
    pub stall_at: Option<usize>,
    /// The Content-Length to claim, where it is not that of the body.
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

    /// An error as the specification words it.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = json!({"errors": [{"code": code, "message": message, "detail": null}]});
        Self::status(status).header("content-type", "application/json").body(body.to_string().into_bytes())
    }

    /// The page of a proxy that knows better.
    pub fn html(status: u16) -> Self {
        let page = "<!doctype html><html><title>Sign in</title><body>Please sign in.</body></html>";
        Self::status(status).header("content-type", "text/html").body(page)
    }

    /// Sets a header, in place of any of that name.
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

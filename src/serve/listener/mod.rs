//! The HTTP listener: `/metrics`, `/healthz`, `/readyz`, and webhooks at `/events`.
//!
//! It serves HTTP/1.1 without TLS; an ingress in front of it can add TLS.

mod answer;
mod connections;
mod delivery;
mod path;
#[cfg(test)]
mod tests;

use super::events::Kind;
use super::intake::Intake;
use super::metrics::{MEDIA_TYPE, Metrics};
use super::queue::Queue;
use super::secret::Proof;
use answer::Answer;
use hyper::body::Incoming;
use hyper::header::EXPECT;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};
use path::Place;
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

pub use connections::serve;

/// Limits on the resources that clients can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The maximum size of a body.
    pub body: usize,
    /// The time within which a request's headers must arrive, counted from the end of the last answer. It
    /// therefore also limits how long a connection may be idle.
    pub header_time: Duration,
    /// The time within which a request's body must arrive.
    pub body_time: Duration,
    /// The age at which a connection is closed after its current request.
    pub age: Duration,
    /// The time for the current request to finish when its connection is closed.
    pub grace: Duration,
    /// The maximum number of connections. Further ones wait until another one is closed.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body: 1 << 20,
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            age: Duration::from_secs(60),
            grace: Duration::from_secs(30),
            connections: 256,
        }
    }
}

/// A sender of webhooks, at `/events/NAME`; also at `/events` if it is the only one. A secret in the path follows:
/// `/events/NAME/SECRET` or `/events/SECRET`.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// The name in the path.
    pub name: String,
    /// The form of the bodies.
    pub kind: Kind,
    /// The authentication of the sender. The body is not parsed before it succeeds.
    pub proof: Proof,
}

/// The request handler of the listener.
pub struct Service {
    receivers: RwLock<Arc<Vec<Receiver>>>,
    limits: Limits,
    intake: Arc<dyn Intake>,
    queue: Queue,
    metrics: Arc<Metrics>,
}

/// Returns an error if a receiver's name is not unique or not valid in a path, or if a secret in a path is
/// the name of a receiver.
fn check(receivers: &[Receiver]) -> Result<(), String> {
    let mut names = HashSet::new();
    for Receiver { name, .. } in receivers {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || !name.bytes().all(is_plain) {
            return Err(format!("invalid receiver {name:?}: use lower-case letters, digits and -"));
        }
        if !names.insert(name.as_str()) {
            return Err(format!("invalid receiver {name:?}: the name is used twice"));
        }
    }
    for Receiver { name, proof, .. } in receivers.iter().filter(|receiver| receiver.proof.is_path()) {
        if names.iter().any(|other| proof.check_head(&HeaderMap::new(), Some(other)).is_ok()) {
            return Err(format!("invalid receiver {name:?}: its secret is the name of a receiver"));
        }
    }
    Ok(())
}

impl Service {
    /// Creates a service. Returns an error if a receiver's name is not unique or not valid in a path, or if a
    /// secret in a path is the name of a receiver.
    pub fn new(
        receivers: Vec<Receiver>,
        limits: Limits,
        intake: Arc<dyn Intake>,
        queue: Queue,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        check(&receivers)?;
        Ok(Service { receivers: RwLock::new(Arc::new(receivers)), limits, intake, queue, metrics })
    }

    /// Replaces the receivers. Returns an error in the same cases as [`Service::new`], and then changes
    /// nothing.
    pub fn set_receivers(&self, receivers: Vec<Receiver>) -> Result<(), String> {
        check(&receivers)?;
        *self.receivers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(receivers);
        Ok(())
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, mut body) = request.into_parts();
        let answer = self.respond(&head, &mut body).await;
        // A client that waits for `100 Continue` has not sent its body, and one that was too slow had its
        // time.
        if !head.headers.contains_key(EXPECT) && answer.status() != StatusCode::REQUEST_TIMEOUT {
            self.discard(body).await;
        }
        answer
    }

    async fn respond(&self, head: &Parts, body: &mut Incoming) -> Answer {
        let receivers = self.receivers.read().unwrap_or_else(PoisonError::into_inner).clone();
        let place = match path::find(&receivers, head.uri.path()) {
            Ok(place) => place,
            Err(why) => return answer::error(StatusCode::NOT_FOUND, why),
        };
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        match place {
            Place::Events { receiver, token } if head.method == Method::POST => {
                self.deliver(receiver, token, &head.headers, body).await
            }
            Place::Events { .. } => answer::not_allowed("POST"),
            _ if !is_read => answer::not_allowed("GET, HEAD"),
            Place::Metrics => {
                self.metrics.queue(self.queue.len());
                answer::text(StatusCode::OK, MEDIA_TYPE, self.metrics.encode(SystemTime::now()))
            }
            Place::Health => answer::plain(StatusCode::OK, "ok\n"),
            Place::Ready if self.queue.is_closed() => {
                answer::plain(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
            }
            Place::Ready if !self.intake.is_ready() => {
                answer::plain(StatusCode::SERVICE_UNAVAILABLE, "no valid configuration yet\n")
            }
            Place::Ready => answer::plain(StatusCode::OK, "ok\n"),
        }
    }
}

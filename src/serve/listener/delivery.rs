//! Deliveries of webhooks: authentication, body, events, queue.

use super::answer::{self, Answer};
use super::{Receiver, Service};
use crate::serve::events::{self, Event, Push};
use crate::serve::intake::{Route, Wanted};
use crate::serve::metrics::Outcome;
use crate::serve::queue::Pushed;
use crate::serve::secret::Denied;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use std::time::Duration;
use tokio::time::timeout;

/// The maximum that is read of a refused body, in units of the largest valid body.
const MAX_DISCARDED: usize = 8;
/// The pause in a refused body after which the client is assumed to be waiting for the answer.
const PAUSE: Duration = Duration::from_millis(500);

/// The response to a delivery.
#[derive(Debug, Default, Serialize)]
struct Receipt {
    /// The number of images that were added to the queue.
    queued: usize,
    /// The number of images that were in the queue already.
    merged: usize,
    ignored: Vec<Ignored>,
}

#[derive(Debug, Serialize)]
struct Ignored {
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    reason: String,
}

impl Service {
    /// Handles a delivery. The body is not parsed before the sender is authenticated.
    pub(super) async fn deliver(
        &self,
        receiver: &Receiver,
        token: Option<&str>,
        headers: &HeaderMap,
        body: &mut Incoming,
    ) -> Answer {
        if let Err(denied) = receiver.proof.check_head(headers, token) {
            return self.denied(receiver, denied);
        }
        if self.queue.is_closed() {
            return answer::unavailable("shutting down; send the event again");
        }
        if !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING) {
            return answer::error(
                StatusCode::LENGTH_REQUIRED,
                "invalid body: it has no length; send Content-Length",
            );
        }
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        if let Err(denied) = receiver.proof.check_body(headers, &body) {
            return self.denied(receiver, denied);
        }
        match events::parse(receiver.kind, &body) {
            Ok(events) => self.enqueue(&receiver.name, events),
            Err(bad) => {
                tracing::info!("refused a delivery for receiver {}: {bad}", receiver.name);
                self.metrics.event(&receiver.name, Outcome::Invalid);
                answer::error(StatusCode::BAD_REQUEST, &bad.to_string())
            }
        }
    }

    fn denied(&self, receiver: &Receiver, denied: Denied) -> Answer {
        tracing::info!("refused a delivery for receiver {}: wrong or missing secret", receiver.name);
        self.metrics.event(&receiver.name, Outcome::Denied);
        match denied {
            Denied::Unauthorized => answer::unauthorized(),
            Denied::Forbidden(why) => answer::error(StatusCode::FORBIDDEN, &why),
        }
    }

    async fn read(&self, body: &mut Incoming) -> Result<Bytes, Answer> {
        let limit = self.limits.body;
        let too_large = || {
            answer::error(StatusCode::PAYLOAD_TOO_LARGE, &format!("invalid body: larger than {limit} bytes"))
        };
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        match timeout(self.limits.body_time, Limited::new(body, limit).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(answer::error(StatusCode::BAD_REQUEST, "invalid body: it ended early")),
            Err(_) => Err(answer::error(StatusCode::REQUEST_TIMEOUT, "invalid body: it took too long")),
        }
    }

    /// Reads and discards the rest of a body. A client that is still sending when its connection is closed
    /// would lose the answer.
    pub(super) async fn discard(&self, mut body: Incoming) {
        let mut left = self.limits.body.saturating_mul(MAX_DISCARDED);
        let reading = async {
            while let Ok(Some(Ok(frame))) = timeout(PAUSE, body.frame()).await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(length) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        // The answer is the same, whether or not the whole body arrived.
        let _ = timeout(self.limits.header_time, reading).await;
    }

    /// Queues the images that the events affect. If the queue is full, the whole delivery is refused, so that
    /// the sender repeats it; images that were queued before are then merged.
    fn enqueue(&self, receiver: &str, events: Vec<Event>) -> Answer {
        let mut receipt = Receipt::default();
        for event in events {
            let wanted = match self.route(event) {
                Ok(wanted) => wanted,
                Err(ignored) => {
                    self.metrics.event(receiver, Outcome::Ignored);
                    receipt.ignored.push(ignored);
                    continue;
                }
            };
            for image in wanted {
                match self.queue.push(image) {
                    Pushed::Accepted => {
                        self.metrics.event(receiver, Outcome::Queued);
                        receipt.queued += 1;
                    }
                    Pushed::Merged => {
                        self.metrics.event(receiver, Outcome::Merged);
                        receipt.merged += 1;
                    }
                    Pushed::Full => {
                        self.metrics.event(receiver, Outcome::Refused);
                        return answer::unavailable("the queue is full; send the event again");
                    }
                }
            }
        }
        let status = if receipt.queued + receipt.merged > 0 { StatusCode::ACCEPTED } else { StatusCode::OK };
        answer::json(status, &receipt)
    }

    fn route(&self, event: Event) -> Result<Vec<Wanted>, Ignored> {
        let push = match event {
            Event::Push(push) => push,
            Event::Ignored(reason) => return Err(Ignored { image: None, reason }),
        };
        let ignored = |push: &Push, reason: &str| Ignored { image: Some(push.name()), reason: reason.into() };
        match self.intake.route(&push) {
            Route::Wanted(wanted) if !wanted.is_empty() => Ok(wanted),
            Route::Wanted(_) => Err(ignored(&push, "no entry of the configuration covers it")),
            Route::Ignored(reason) => Err(ignored(&push, &reason)),
        }
    }
}

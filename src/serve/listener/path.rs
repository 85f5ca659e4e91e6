//! Routing of request paths.

use super::Receiver;

/// The target of a request.
#[derive(Debug)]
pub(super) enum Place<'a> {
    Metrics,
    Health,
    Ready,
    Events { receiver: &'a Receiver, token: Option<&'a str> },
}

/// Finds the target of a path, or returns the reason why there is none.
///
/// A receiver is selected by its name only, never by the body or the secret, so that a secret is valid only
/// for its own receiver. The name can be omitted if there is exactly one receiver.
pub(super) fn find<'a>(receivers: &'a [Receiver], path: &'a str) -> Result<Place<'a>, &'static str> {
    let rest = match path {
        "/metrics" => return Ok(Place::Metrics),
        "/healthz" => return Ok(Place::Health),
        "/readyz" => return Ok(Place::Ready),
        "/events" => "",
        _ => path.strip_prefix("/events/").filter(|rest| !rest.is_empty()).ok_or("no such path")?,
    };
    let (first, second) = match rest.split_once('/') {
        Some((first, second)) => (first, Some(second)),
        None => (rest, None),
    };
    let named = receivers.iter().find(|receiver| receiver.name == first);
    let (receiver, token) = match (named, receivers) {
        (Some(receiver), _) => (receiver, second),
        (None, [only]) if second.is_none() => (only, Some(first).filter(|token| !token.is_empty())),
        (None, []) => return Err("the configuration has no receivers of events"),
        (None, _) => {
            return Err("no such receiver: post to /events/NAME, with its name in the configuration");
        }
    };
    match token {
        Some(_) if !receiver.proof.is_path() => {
            Err("no such path: the secret of this receiver is not part of its path")
        }
        token => Ok(Place::Events { receiver, token }),
    }
}

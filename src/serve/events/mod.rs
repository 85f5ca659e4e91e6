//! The bodies of webhooks, and the pushes that they report.
//!
//! Only pushes of tags count. Pulls, mounts and deletions, pushes by digest (the children of an index,
//! blobs), and events without a valid image are [`Event::Ignored`] with their reason: a registry repeats a
//! refused event and holds back later ones. [`BadBody`] means that the whole body is not a webhook of its
//! kind.

mod distribution;
mod docker_hub;
mod harbor;
mod plain;
mod quay;
#[cfg(test)]
mod tests;

use crate::image::Digest;
use crate::image::reference::{check_host, check_repository, check_tag};
use serde::Deserialize;
use std::fmt;

/// The maximum number of events in one body; registries send one, and Quay one per tag.
pub const MAX_EVENTS: usize = 1000;
/// The maximum length of a reason in characters; it may quote the body.
const MAX_REASON: usize = 300;

pub use crate::mirror::config::EventKind as Kind;

/// A push of a tag. The names are valid, but not yet matched with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The registry's host as the sender knows it, in lower case. It may be a name that is internal to the
    /// sender's network.
    pub host: Option<String>,
    /// The repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The digest of the manifest.
    pub digest: Option<Digest>,
    /// The media type of the manifest.
    pub media_type: Option<String>,
    /// The user who pushed.
    pub actor: Option<String>,
    /// The user agent of the request that pushed.
    pub user_agent: Option<String>,
}

impl Push {
    fn new(host: Option<&str>, repository: &str, tag: &str, digest: Option<&str>) -> Result<Self, String> {
        if let Some(host) = host {
            check_host(host).map_err(|why| format!("invalid host: {why}"))?;
        }
        check_repository(repository).map_err(|why| format!("invalid repository: {why}"))?;
        check_tag(tag).map_err(|why| format!("invalid tag: {why}"))?;
        let digest = digest.map(str::parse).transpose().map_err(|why| format!("invalid digest: {why}"))?;
        let (media_type, actor, user_agent) = (None, None, None);
        let host = host.map(str::to_ascii_lowercase);
        Ok(Push {
            host,
            repository: repository.into(),
            tag: tag.into(),
            digest,
            media_type,
            actor,
            user_agent,
        })
    }

    /// Returns the image's name: `HOST/REPOSITORY:TAG`, without the host if the sender did not name one.
    pub fn name(&self) -> String {
        let host = self.host.as_ref().map(|host| format!("{host}/")).unwrap_or_default();
        format!("{host}{}:{}", self.repository, self.tag)
    }
}

/// One event of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A tag was pushed.
    Push(Push),
    /// Any other event, and the reason why it is ignored.
    Ignored(String),
}

impl Event {
    fn ignored(why: impl Into<String>) -> Self {
        Event::Ignored(shortened(why.into()))
    }

    /// Returns an event that is not a push, with its name.
    fn other_action(action: &str) -> Self {
        Event::ignored(format!("not a push: {action:?}"))
    }
}

impl From<Result<Push, String>> for Event {
    fn from(push: Result<Push, String>) -> Self {
        push.map_or_else(Event::ignored, Event::Push)
    }
}

/// The reason why a body is not a webhook of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadBody(String);

impl BadBody {
    fn new(why: impl Into<String>) -> Self {
        BadBody(shortened(why.into()))
    }
}

impl fmt::Display for BadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid body: {}", self.0)
    }
}

impl std::error::Error for BadBody {}

/// Parses the events of a webhook's body. Unknown fields are skipped.
pub fn parse(kind: Kind, body: &[u8]) -> Result<Vec<Event>, BadBody> {
    let events = match kind {
        Kind::Distribution | Kind::Gitlab => distribution::parse(body),
        Kind::Harbor => harbor::parse(body),
        Kind::DockerHub => docker_hub::parse(body).map(|event| vec![event]),
        Kind::Quay => quay::parse(body),
        Kind::Plain => plain::parse(body).map(|push| vec![Event::Push(push)]),
    }?;
    match events.len() <= MAX_EVENTS {
        true => Ok(events),
        false => Err(BadBody::new(format!("more than {MAX_EVENTS} events"))),
    }
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, BadBody> {
    serde_json::from_slice(body).map_err(|error| BadBody::new(error.to_string()))
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Returns non-empty text. Senders omit fields, or set them to `null` or to empty text.
fn filled(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// Returns the host of an image's address, which must name `repository`.
fn host_of<'a>(address: &'a str, repository: &str) -> Result<&'a str, String> {
    let (host, path) = address.split_once('/').ok_or("the image's address has no host")?;
    match path.strip_prefix(repository) {
        Some(rest) if rest.is_empty() || rest.starts_with([':', '@']) => Ok(host),
        _ => Err("the image's address names another repository".into()),
    }
}

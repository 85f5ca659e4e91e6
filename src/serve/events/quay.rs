//! Quay's webhooks. A push contains its tags but no digests.

use super::{BadBody, Event, MAX_EVENTS, Push, filled, host_of, json};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Body {
    repository: String,
    docker_url: Option<String>,
    updated_tags: Option<Tags>,
}

/// The tags: a list, or in older versions a map to the identifiers of layers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tags {
    List(Vec<String>),
    Map(BTreeMap<String, IgnoredAny>),
}

pub(super) fn parse(body: &[u8]) -> Result<Vec<Event>, BadBody> {
    let Body { repository, docker_url, updated_tags } = json(body)?;
    let tags = match updated_tags {
        // Builds, scans and mirroring, which do not state their kind.
        None => return Ok(vec![Event::ignored("not a push: no updated_tags")]),
        Some(Tags::List(tags)) => tags,
        Some(Tags::Map(tags)) => tags.into_keys().collect(),
    };
    if tags.is_empty() {
        return Ok(vec![Event::ignored("pushed without a tag")]);
    }
    let host = filled(&docker_url).map(|address| host_of(address, &repository)).transpose();
    let host = host.map_err(BadBody::new)?;
    // Reads one more than is allowed, so that the caller notices.
    let tags = tags.iter().take(MAX_EVENTS + 1);
    Ok(tags.map(|tag| Event::from(Push::new(host, &repository, tag, None))).collect())
}

//! Docker Hub's webhooks. They contain no digest, and their `callback_url` is never called.

use super::{BadBody, Event, Push, filled, json};
use serde::Deserialize;

/// The host in the names of Docker Hub's images.
const HOST: &str = "docker.io";

#[derive(Deserialize)]
struct Body {
    push_data: PushData,
    repository: Repository,
}

#[derive(Deserialize)]
struct PushData {
    tag: Option<String>,
    pusher: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    repo_name: String,
}

pub(super) fn parse(body: &[u8]) -> Result<Event, BadBody> {
    let Body { push_data, repository: Repository { repo_name: name } } = json(body)?;
    let Some(tag) = filled(&push_data.tag) else { return Ok(Event::ignored("pushed without a tag")) };
    let repository = if name.contains('/') { name } else { format!("library/{name}") };
    let push = Push::new(Some(HOST), &repository, tag, None);
    Ok(Event::from(push.map(|push| Push { actor: filled(&push_data.pusher).map(String::from), ..push })))
}

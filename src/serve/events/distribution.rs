//! The notifications of the Distribution project's registry and of GitLab's.

use super::{BadBody, Event, MAX_EVENTS, Push, filled, json};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Action {
    action: Option<String>,
}

#[derive(Deserialize)]
struct Pushed {
    target: Target,
    request: Option<Request>,
    actor: Option<Actor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    media_type: Option<String>,
    digest: Option<String>,
    repository: Option<String>,
    tag: Option<String>,
}

#[derive(Deserialize)]
struct Request {
    host: Option<String>,
    useragent: Option<String>,
}

#[derive(Deserialize)]
struct Actor {
    name: Option<String>,
}

pub(super) fn parse(body: &[u8]) -> Result<Vec<Event>, BadBody> {
    let Envelope { events } = json(body)?;
    // Reads one more than is allowed, so that the caller notices.
    Ok(events.into_iter().take(MAX_EVENTS + 1).map(|event| read(event.get())).collect())
}

fn read(event: &str) -> Event {
    let action = match serde_json::from_str::<Action>(event) {
        Ok(Action { action }) => action.unwrap_or_default(),
        Err(error) => return Event::ignored(format!("invalid event: {error}")),
    };
    if action != "push" {
        return Event::other_action(&action);
    }
    match serde_json::from_str(event) {
        Ok(pushed) => push(&pushed),
        Err(error) => Event::ignored(format!("invalid event: {error}")),
    }
}

fn push(pushed: &Pushed) -> Event {
    let Pushed { target, request, actor } = pushed;
    let Some(tag) = filled(&target.tag) else { return Event::ignored("pushed without a tag") };
    let repository = filled(&target.repository).unwrap_or_default();
    let host = request.as_ref().and_then(|request| filled(&request.host));
    let push = Push::new(host, repository, tag, filled(&target.digest));
    Event::from(push.map(|push| Push {
        media_type: filled(&target.media_type).map(String::from),
        actor: actor.as_ref().and_then(|actor| filled(&actor.name)).map(String::from),
        user_agent: request.as_ref().and_then(|request| filled(&request.useragent)).map(String::from),
        ..push
    }))
}

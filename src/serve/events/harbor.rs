//! Harbor's webhooks, in its default format and as CloudEvents.

use super::{BadBody, Event, Push, filled, host_of, json};
use serde::Deserialize;

/// The names of a push: in the default format, in CloudEvents, and in the first version.
const PUSHES: [&str; 3] = ["PUSH_ARTIFACT", "harbor.artifact.pushed", "pushImage"];

#[derive(Deserialize)]
struct Kind {
    r#type: String,
}

#[derive(Deserialize)]
struct Pushed {
    /// The data of the event, also under its name in CloudEvents.
    #[serde(alias = "data")]
    event_data: Data,
    operator: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    resources: Vec<Resource>,
    repository: Repository,
}

#[derive(Deserialize)]
struct Resource {
    digest: Option<String>,
    tag: Option<String>,
    resource_url: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    repo_full_name: String,
}

pub(super) fn parse(body: &[u8]) -> Result<Vec<Event>, BadBody> {
    let Kind { r#type: kind } = json(body)?;
    if !PUSHES.contains(&kind.as_str()) {
        return Ok(vec![Event::other_action(&kind)]);
    }
    let Pushed { event_data, operator } = json(body)?;
    let repository = &event_data.repository.repo_full_name;
    Ok(event_data.resources.iter().map(|resource| read(resource, repository, filled(&operator))).collect())
}

fn read(resource: &Resource, repository: &str, operator: Option<&str>) -> Event {
    // A push by digest has the digest in place of a tag.
    let Some(tag) = filled(&resource.tag).filter(|tag| !tag.contains(':')) else {
        return Event::ignored("pushed without a tag");
    };
    let host = filled(&resource.resource_url).map(|address| host_of(address, repository)).transpose();
    let push = host.and_then(|host| Push::new(host, repository, tag, filled(&resource.digest)));
    Event::from(push.map(|push| Push { actor: operator.map(String::from), ..push }))
}

//! Helpers of commands for the places of images.

use super::options::{DestinationOptions, SourceOptions};
use super::suggest;
use crate::credentials::Login;
use crate::error::{Error, Kind, Result};
use crate::image::location::Location;
use crate::places::Places;
use std::time::Duration;
use tokio::time::timeout;

/// The number of images that are inspected at once: each keeps parts of its layers in memory.
pub const TOGETHER: usize = 2;

/// The time limit for listing tags, which are used only for a hint.
const TAGS: Duration = Duration::from_secs(5);

/// Adds a hint with similar tags, if there are any, to an error about a missing image.
pub async fn explained(places: &Places, error: Error, image: &Location) -> Error {
    let Location::Registry(name) = image else { return error };
    let Some(tag) = name.tag().filter(|_| error.kind() == Kind::NotFound && name.digest().is_none()) else {
        return error;
    };
    // Errors are ignored, because this is only a hint.
    let Ok(Some(tags)) = timeout(TAGS, places.tags(image)).await else { return error };
    // The tag is there: something that its image refers to is not.
    if tags.contains(tag) {
        return error;
    }
    match suggest::similar(tag, tags.iter().map(String::as_str)) {
        similar if similar.is_empty() => error,
        similar => error.hint(format!("the repository has similar tags: {}", similar.join(", "))),
    }
}

/// Returns whether both are on one registry host.
pub fn same_host(one: &Location, other: &Location) -> bool {
    match (one, other) {
        (Location::Registry(one), Location::Registry(other)) => one.host() == other.host(),
        _ => false,
    }
}

/// Adds the place of an image to an error that names none of the places. Transports name their own place,
/// while rewrites know none.
pub fn located(error: Error, image: &Location, others: &[&Location]) -> Error {
    let message = error.to_string();
    let is_named = |place: &&Location| message.contains(&place.without_target());
    if std::iter::once(&image).chain(others).any(is_named) { error } else { error.context(image) }
}

/// Returns the credentials for several images. Fails unless all of them are on one host.
pub fn login_of_all(from: &SourceOptions, locations: &[Location]) -> Result<Option<Login>> {
    if from.given().takes_stdin() && locations.iter().any(Location::is_pipe) {
        return Err(stdin_twice());
    }
    let login = from.given().login(&locations.iter().collect::<Vec<_>>())?;
    for_one_host(login.as_ref(), locations.iter())?;
    Ok(login)
}

/// Fails if credentials that were given for one place would be sent to several hosts.
pub fn for_one_host<'a>(login: Option<&Login>, locations: impl Iterator<Item = &'a Location>) -> Result<()> {
    let mut hosts = locations.filter_map(|location| match location {
        Location::Registry(name) => Some(name.host()),
        _ => None,
    });
    let first = hosts.next();
    if login.is_some() && hosts.any(|host| Some(host) != first) {
        return Err(Error::usage("the credentials are for one host, but the images are on several")
            .hint("log in to each host, as with `docker login`, or run the command for one host at a time"));
    }
    Ok(())
}

/// The credentials for the source and the destination of an image, or of all images of a list.
#[derive(Clone)]
pub struct Logins {
    pub source: Option<Login>,
    pub destination: Option<Login>,
}

impl Logins {
    /// Reads the credentials for both `ends` of an image, or for all images of a list if there are none. Standard input
    /// is read at most once. `takes_stdin` states that an image or a list comes from there.
    pub fn read(
        from: &SourceOptions,
        to: &DestinationOptions,
        ends: Option<&(Location, Location)>,
        takes_stdin: bool,
    ) -> Result<Self> {
        let (source, destination) = (from.given(), to.given(from));
        if takes_stdin && (source.takes_stdin() || destination.takes_stdin()) {
            return Err(stdin_twice());
        }
        let (own, other): (Vec<&Location>, Vec<&Location>) =
            ends.map(|(own, other)| (own, other)).into_iter().unzip();
        if source.is_same(&destination) {
            let login = source.login(&[own, other].concat())?;
            return Ok(Logins { source: login.clone(), destination: login });
        }
        Ok(Logins { source: source.login(&own)?, destination: destination.login(&other)? })
    }
}

/// Returns the error for standard input that is used twice.
pub fn stdin_twice() -> Error {
    Error::usage("standard input can be read only once: as an image, a list, a document or a password")
}

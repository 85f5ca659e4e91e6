//! From locations to transports: one client for a registry, whichever sides are on it.

use super::options::{NetworkOptions, SourceOptions};
use super::suggest;
use crate::credentials::{Credentials, Login};
use crate::daemon::{DaemonSink, DaemonSource, Engine, Environment};
use crate::error::{Error, Kind, Result};
use crate::image::Reference;
use crate::image::location::{EngineImage, Location};
use crate::registry::{Client, Options, Policy, Repository, Timeouts};
use crate::stats::Stats;
use crate::transport::docker_archive::{DockerArchive, DockerArchiveSink};
use crate::transport::layout::Layout;
use crate::transport::oci_archive::{OciArchive, OciArchiveSink};
use crate::transport::{DiscardSink, Sink, Source};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How many images are looked at together: each keeps a part of its layers in memory.
pub const TOGETHER: usize = 2;

/// How long the tags of a repository may take, which are only for a hint.
const TAGS: Duration = Duration::from_secs(5);

/// How clients behave by the options of the command line.
pub fn client_options(network: &NetworkOptions, stats: Arc<Stats>) -> Options {
    let seconds = Duration::from_secs;
    Options {
        retry: Policy { retries: network.retries, backoff: Duration::from_millis(250), total: seconds(300) },
        timeouts: Timeouts {
            connect: seconds(15),
            stall: seconds(network.timeout),
            commit: seconds(network.commit_timeout),
        },
        jobs: network.jobs.into(),
        per_second: None,
        upload: None,
        governors: Arc::default(),
        stats,
    }
}

/// Opens places, and shares clients among them.
pub struct Places<'a> {
    network: &'a NetworkOptions,
    options: Options,
    clients: Vec<(String, Credentials, Arc<Client>)>,
    /// The Docker engine, if it is used.
    engine: Option<Arc<Engine>>,
}

/// A place to write to.
#[derive(Clone)]
pub struct Written<'a> {
    pub location: &'a Location,
    /// The place that is read from.
    pub source: &'a Location,
    /// The credentials that were given for it.
    pub login: Option<Login>,
    /// Whether an existing archive is replaced.
    pub force: bool,
}

impl<'a> Places<'a> {
    /// Nothing is opened yet.
    pub fn new(network: &'a NetworkOptions, stats: Arc<Stats>) -> Self {
        Places { network, options: client_options(network, stats), clients: Vec::new(), engine: None }
    }

    /// Returns places with the same logins and connections, and with counters and tokens of their own.
    pub fn fork(&self, stats: Arc<Stats>) -> Self {
        let forked = self.clients.iter().map(|(host, credentials, client)| {
            (host.clone(), credentials.clone(), Arc::new(client.fork().counting(stats.clone())))
        });
        Places {
            network: self.network,
            options: Options { stats: stats.clone(), ..self.options.clone() },
            clients: forked.collect(),
            engine: self.engine.clone(),
        }
    }

    /// Takes over the connections of others to hosts that are new here.
    pub fn adopt(&mut self, others: &Self) {
        for (host, credentials, client) in &others.clients {
            if self.known(host, credentials).is_none() {
                self.clients.push((host.clone(), credentials.clone(), client.clone()));
            }
        }
        self.engine = self.engine.take().or_else(|| others.engine.clone());
    }

    /// Opens the place of an image.
    pub async fn source(&mut self, location: &Location, options: &SourceOptions) -> Result<Arc<dyn Source>> {
        if location.is_pipe() && options.given().takes_stdin() {
            return Err(stdin_twice());
        }
        self.source_as(location, options.given().login()?).await
    }

    /// Opens the place of an image, with the credentials that were given for it.
    pub async fn source_as(&mut self, location: &Location, given: Option<Login>) -> Result<Arc<dyn Source>> {
        Ok(match location {
            Location::Registry(name) => {
                Arc::new(Repository::source(self.client(name, given).await?, name.clone()))
            }
            Location::Layout { dir, image } => Arc::new(Layout::new(dir.clone(), image.clone())),
            Location::OciArchive { file, image } => Arc::new(OciArchive::open(file, image.clone()).await?),
            Location::DockerArchive { file, image } => {
                Arc::new(DockerArchive::open(file, image.clone()).await?)
            }
            Location::DockerDaemon(image) => Arc::new(DaemonSource::new(self.engine()?, image.clone())),
        })
    }

    /// Opens the place of a result. A dry run creates no archive; a layout that is also the source has its image
    /// replaced.
    pub async fn sink(&mut self, place: &Written<'_>, dry_run: bool) -> Result<Arc<dyn Sink>> {
        let (location, force) = (place.location, place.force);
        let in_place = same(place.source, location);
        Ok(match location {
            Location::Registry(name) => {
                Arc::new(Repository::sink(self.client(name, place.login.clone()).await?, name.clone()))
            }
            Location::Layout { dir, image } => {
                let layout = Layout::new(dir.clone(), image.clone());
                Arc::new(if in_place { layout.onto_itself() } else { layout })
            }
            Location::OciArchive { .. } | Location::DockerArchive { .. } if dry_run => Arc::new(DiscardSink),
            Location::OciArchive { file, image } => {
                Arc::new(OciArchiveSink::create(file, image.clone(), force).await?)
            }
            Location::DockerArchive { file, image } => {
                Arc::new(DockerArchiveSink::create(file, image.clone(), force).await?)
            }
            Location::DockerDaemon(EngineImage::Name(name)) => {
                let (engine, name) = (self.engine()?, name.clone());
                Arc::new(match in_place {
                    true => DaemonSink::in_place(engine, name).await?,
                    false => DaemonSink::new(engine, name),
                })
            }
            Location::DockerDaemon(EngineImage::Id(_)) => {
                return Err(Error::usage(format!("the destination {location} must be a tag, not a digest")));
            }
        })
    }

    /// Returns an error about an image that was not found with a hint at tags with similar names, if there are any.
    pub async fn explained(&mut self, error: Error, image: &Location) -> Error {
        let Location::Registry(name) = image else { return error };
        let Some(tag) = name.tag().filter(|_| error.kind() == Kind::NotFound && name.digest().is_none())
        else {
            return error;
        };
        let client = self.clients.iter().find(|(host, ..)| host == name.host()).map(|(_, _, client)| client);
        let Some(client) = client else { return error };
        // Only a hint: whatever goes wrong here does not matter.
        let Ok(Ok(tags)) = timeout(TAGS, client.tags(name.repository())).await else { return error };
        match suggest::similar(tag, tags.iter().map(String::as_str)) {
            similar if similar.is_empty() => error,
            similar => error.hint(format!("the repository has similar tags: {}", similar.join(", "))),
        }
    }

    /// The Docker engine of the environment.
    fn engine(&mut self) -> Result<Arc<Engine>> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let address = Environment::new(&|name| std::env::var_os(name)).engine()?;
        let (timeouts, stats) = (self.options.timeouts, self.options.stats.clone());
        let engine = Arc::new(Engine::new(address, timeouts, stats)?);
        self.engine = Some(engine.clone());
        Ok(engine)
    }

    fn known(&self, host: &str, credentials: &Credentials) -> Option<&Arc<Client>> {
        let is_it = |(of, as_whom, _): &&(String, Credentials, _)| of == host && as_whom == credentials;
        self.clients.iter().find(is_it).map(|(_, _, client)| client)
    }

    async fn client(&mut self, name: &Reference, given: Option<Login>) -> Result<Arc<Client>> {
        let login = match given {
            Some(login) => login,
            None => self.network.store().lookup(name.host(), name.repository()).await?,
        };
        if let Some(client) = self.known(name.host(), &login.credentials) {
            return Ok(client.clone());
        }
        let options = Options { upload: self.network.upload(name.host())?, ..self.options.clone() };
        let hosts = self.network.hosts();
        let credentials = login.credentials.clone();
        let client = Arc::new(Client::new(name.host(), login, &hosts, options)?);
        self.clients.push((name.host().into(), credentials, client.clone()));
        Ok(client)
    }
}

/// Whether both name the same image under the same name.
pub fn same(source: &Location, destination: &Location) -> bool {
    match (source, destination) {
        (Location::Registry(from), Location::Registry(to)) => {
            from.digest().is_none()
                && from.repository_name() == to.repository_name()
                && from.tag() == to.tag()
        }
        (Location::Layout { dir: from, image }, Location::Layout { dir: to, image: written }) => {
            let is_there = from.canonicalize().is_ok_and(|from| to.canonicalize().is_ok_and(|to| from == to));
            image == written && is_there
        }
        (Location::DockerDaemon(EngineImage::Name(from)), Location::DockerDaemon(EngineImage::Name(to))) => {
            from == to
        }
        _ => false,
    }
}

/// Whether both are on one registry host.
pub fn same_host(one: &Location, other: &Location) -> bool {
    match (one, other) {
        (Location::Registry(one), Location::Registry(other)) => one.host() == other.host(),
        _ => false,
    }
}

/// Names the place of an image in an error that names neither it nor one of the other places: transports name their own,
/// rewrites know none.
pub fn located(error: Error, image: &Location, others: &[&Location]) -> Error {
    let message = error.to_string();
    let is_named = |place: &&Location| message.contains(&place.without_target());
    if std::iter::once(&image).chain(others).any(is_named) { error } else { error.context(image) }
}

/// The credentials that were given for several images. Fails unless these are on one host.
pub fn login_of_all(from: &SourceOptions, locations: &[Location]) -> Result<Option<Login>> {
    if from.given().takes_stdin() && locations.iter().any(Location::is_pipe) {
        return Err(stdin_twice());
    }
    let login = from.given().login()?;
    let hosts = locations.iter().filter_map(|location| match location {
        Location::Registry(name) => Some(name.host()),
        _ => None,
    });
    if login.is_some() && hosts.collect::<BTreeSet<_>>().len() > 1 {
        return Err(Error::usage("the credentials are for one host, and the images are on several")
            .hint("log in to each host, as with `docker login`, or look at the images one by one"));
    }
    Ok(login)
}

/// Standard input serves one purpose.
pub fn stdin_twice() -> Error {
    Error::usage("standard input can be read once only: as an image or as a password")
}

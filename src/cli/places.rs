//! From locations to transports: one client for a registry, whichever sides are on it.

use super::interrupt;
use super::options::{DestinationOptions, NetworkOptions, SourceOptions};
use crate::credentials::{Credentials, Login};
use crate::daemon::{DaemonSink, DaemonSource, Engine, Environment};
use crate::error::{Error, Result};
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

/// How many images are looked at together: each keeps a part of its layers in memory.
pub const TOGETHER: usize = 2;

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

impl<'a> Places<'a> {
    /// Nothing is opened yet.
    pub fn new(network: &'a NetworkOptions, stats: Arc<Stats>) -> Self {
        interrupt::watches(stats.clone());
        Places { network, options: client_options(network, stats), clients: Vec::new(), engine: None }
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

    /// Opens the place of a result. A dry run of an archive begins none; a layout that is the source as well has its
    /// image replaced.
    pub async fn sink(
        &mut self,
        location: &Location,
        source: &Location,
        options: &DestinationOptions,
        dry_run: bool,
    ) -> Result<Arc<dyn Sink>> {
        Ok(match location {
            Location::Registry(name) => {
                let given = options.given().login()?;
                Arc::new(Repository::sink(self.client(name, given).await?, name.clone()))
            }
            Location::Layout { dir, image } => {
                let layout = Layout::new(dir.clone(), image.clone());
                Arc::new(if same(source, location) { layout.onto_itself() } else { layout })
            }
            Location::OciArchive { .. } | Location::DockerArchive { .. } if dry_run => Arc::new(DiscardSink),
            Location::OciArchive { file, image } => {
                Arc::new(OciArchiveSink::create(file, image.clone(), options.force).await?)
            }
            Location::DockerArchive { file, image } => {
                Arc::new(DockerArchiveSink::create(file, image.clone(), options.force).await?)
            }
            Location::DockerDaemon(EngineImage::Name(name)) => {
                let (engine, name) = (self.engine()?, name.clone());
                Arc::new(match same(source, location) {
                    true => DaemonSink::in_place(engine, name).await?,
                    false => DaemonSink::new(engine, name),
                })
            }
            Location::DockerDaemon(EngineImage::Id(_)) => {
                return Err(Error::usage(format!("the destination {location} must be a tag, not a digest")));
            }
        })
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

    async fn client(&mut self, name: &Reference, given: Option<Login>) -> Result<Arc<Client>> {
        let login = match given {
            Some(login) => login,
            None => self.network.store().lookup(name.host(), name.repository()).await?,
        };
        let known = self
            .clients
            .iter()
            .find(|(host, as_whom, _)| host == name.host() && *as_whom == login.credentials);
        if let Some((_, _, client)) = known {
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
        return Err(Error::usage("--src-creds is for one host, and the images are on several")
            .hint("log in to each host, as with `docker login`, or look at the images one by one"));
    }
    Ok(login)
}

/// Standard input serves one purpose.
pub fn stdin_twice() -> Error {
    Error::usage("standard input can be read once only: as an image or as a password")
}

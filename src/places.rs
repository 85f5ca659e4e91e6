//! Opens sources and destinations by their locations, with one client per registry and login.

use crate::credentials::{Credentials, Login, Store};
use crate::daemon::{DaemonSink, DaemonSource, Engine, Environment};
use crate::error::{Error, Result};
use crate::image::Reference;
use crate::image::location::{EngineImage, Location};
use crate::registry::{Client, HostOptions, Options, Repository, Upload};
use crate::stats::Stats;
use crate::transport::docker_archive::{DockerArchive, DockerArchiveSink};
use crate::transport::layout::Layout;
use crate::transport::oci_archive::{OciArchive, OciArchiveSink};
use crate::transport::{DiscardSink, Sink, Source};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How to reach registries. The default is that of the command line without options.
#[derive(Clone, Default)]
pub struct Network {
    /// The options of clients.
    pub options: Options,
    /// The options for hosts.
    pub hosts: HostOptions,
    /// Where to look up credentials.
    pub store: Store,
    /// The upload methods, for one host or for all others.
    pub uploads: Vec<(Option<String>, Upload)>,
}

impl Network {
    /// Returns the upload method for a host. An entry for the host takes precedence.
    fn upload(&self, host: &str) -> Option<Upload> {
        let named = self.uploads.iter().find(|(of, _)| of.as_deref() == Some(host));
        named.or_else(|| self.uploads.iter().find(|(of, _)| of.is_none())).map(|(_, upload)| *upload)
    }
}

/// Opens sources and destinations, and shares clients among them.
#[derive(Default)]
pub struct Places {
    network: Network,
    clients: Vec<(String, Credentials, Arc<Client>)>,
    /// The Docker engine, if it is used.
    engine: Option<Arc<Engine>>,
}

/// A destination.
#[derive(Clone)]
pub struct Written<'a> {
    /// The location of the destination.
    pub location: &'a Location,
    /// The location of the source.
    pub source: &'a Location,
    /// The credentials given for the destination.
    pub login: Option<Login>,
    /// Whether to replace an existing archive.
    pub force: bool,
}

impl Places {
    /// Creates an instance without open connections.
    pub fn new(network: Network) -> Self {
        Places { network, clients: Vec::new(), engine: None }
    }

    /// Returns an instance with the same logins and connections, but its own counters and tokens.
    pub fn fork(&self, stats: Arc<Stats>) -> Self {
        let forked = self.clients.iter().map(|(host, credentials, client)| {
            (host.clone(), credentials.clone(), Arc::new(client.fork().counting(stats.clone())))
        });
        let clients = forked.collect();
        let options = Options { stats: stats.clone(), ..self.network.options.clone() };
        Places { network: Network { options, ..self.network.clone() }, clients, engine: self.engine.clone() }
    }

    /// Takes over the connections of another instance to hosts that are new here.
    pub fn adopt(&mut self, others: &Self) {
        for (host, credentials, client) in &others.clients {
            if self.known(host, credentials).is_none() {
                self.clients.push((host.clone(), credentials.clone(), client.clone()));
            }
        }
        self.engine = self.engine.take().or_else(|| others.engine.clone());
    }

    /// Opens a source, with the given credentials, if any.
    pub async fn source(&mut self, location: &Location, given: Option<Login>) -> Result<Arc<dyn Source>> {
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

    /// Opens a destination. A dry run creates no archive. In a layout that is also the source, the image is
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

    /// Returns the tags of an image's repository, if it is in a registry that was opened and that lists them.
    pub async fn tags(&self, image: &Location) -> Option<BTreeSet<String>> {
        let Location::Registry(name) = image else { return None };
        let (.., client) = self.clients.iter().find(|(host, ..)| host == name.host())?;
        client.tags(name.repository()).await.ok()
    }

    /// Returns the Docker engine of the environment.
    fn engine(&mut self) -> Result<Arc<Engine>> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let address = Environment::new(&|name| std::env::var_os(name)).engine()?;
        let (timeouts, stats) = (self.network.options.timeouts, self.network.options.stats.clone());
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
            None => self.network.store.lookup(name.host(), name.repository()).await?,
        };
        if let Some(client) = self.known(name.host(), &login.credentials) {
            return Ok(client.clone());
        }
        let options = Options { upload: self.network.upload(name.host()), ..self.network.options.clone() };
        let credentials = login.credentials.clone();
        let client = Arc::new(Client::new(name.host(), login, &self.network.hosts, options)?);
        self.clients.push((name.host().into(), credentials, client.clone()));
        Ok(client)
    }
}

/// Returns whether both name the same image under the same name.
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

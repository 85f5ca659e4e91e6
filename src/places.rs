//! Opens sources and destinations by their locations, with one client per registry and login.

use crate::credentials::{Credentials, Login, Store};
use crate::daemon::{DaemonSink, DaemonSource, Engine, Environment};
use crate::error::{Error, Result};
use crate::image::Reference;
use crate::image::location::{EngineImage, FileOrStdio, Location};
use crate::registry::{Client, HostOptions, Options, Repository, Upload};
use crate::stats::Stats;
use crate::transport::docker_archive::{DockerArchive, DockerArchiveSink};
use crate::transport::layout::Layout;
use crate::transport::oci_archive::{OciArchive, OciArchiveSink};
use crate::transport::{DiscardSink, Sink, Source};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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
        let engine = self.engine.as_ref().map(|engine| Arc::new(engine.counting(stats.clone())));
        let options = Options { stats, ..self.network.options.clone() };
        Places { network: Network { options, ..self.network.clone() }, clients, engine }
    }

    /// Creates the client that a location needs, so that instances that are forked afterwards share it. Nothing is
    /// read from the location. Returns the credentials to open it with, which need not be looked up again.
    pub async fn prepare(&mut self, location: &Location, given: Option<Login>) -> Result<Option<Login>> {
        match location {
            Location::Registry(name) => {
                let login = self.login(name, given).await?;
                self.client(name, login.clone())?;
                return Ok(Some(login));
            }
            Location::DockerDaemon(_) => drop(self.engine()?),
            Location::Layout { .. } | Location::OciArchive { .. } | Location::DockerArchive { .. } => {}
        }
        Ok(given)
    }

    /// Opens a source, with the given credentials, if any.
    pub async fn source(&mut self, location: &Location, given: Option<Login>) -> Result<Arc<dyn Source>> {
        Ok(match location {
            Location::Registry(name) => {
                let login = self.login(name, given).await?;
                Arc::new(Repository::source(self.client(name, login)?, name.clone()))
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
                let login = self.login(name, place.login.clone()).await?;
                Arc::new(Repository::sink(self.client(name, login)?, name.clone()))
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

    async fn login(&self, name: &Reference, given: Option<Login>) -> Result<Login> {
        match given {
            Some(login) => Ok(login),
            None => self.network.store.lookup(name.host(), name.repository()).await,
        }
    }

    fn client(&mut self, name: &Reference, login: Login) -> Result<Arc<Client>> {
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
        (Location::Layout { image, .. }, Location::Layout { image: written, .. }) => {
            image == written && replaced(source) == replaced(destination)
        }
        (Location::DockerDaemon(EngineImage::Name(from)), Location::DockerDaemon(EngineImage::Name(to))) => {
            from == to
        }
        _ => false,
    }
}

/// Returns one canonical name for what a destination replaces: an archive is one file, whatever the image in it.
pub fn replaced(destination: &Location) -> String {
    match destination {
        Location::Layout { dir, image } => {
            Location::Layout { dir: absolute(dir), image: image.clone() }.to_string()
        }
        Location::OciArchive { file: FileOrStdio::Path(file), .. }
        | Location::DockerArchive { file: FileOrStdio::Path(file), .. } => {
            absolute(file).display().to_string()
        }
        other => other.to_string(),
    }
}

/// Returns the absolute path of a file without symbolic links, `.` and `..`, even if the file does not exist yet.
fn absolute(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (path.parent().map(absolute), path.file_name()) {
        (Some(dir), Some(name)) => dir.join(name),
        // The path ends with `..`.
        (Some(dir), None) => dir.parent().map(PathBuf::from).unwrap_or(dir),
        (None, _) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_file_are_the_same_place() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path).display().to_string();
        std::fs::create_dir(at("real")).unwrap();
        std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
        let place = |text: String| replaced(&text.parse().unwrap());
        let archive = |path: &str| place(format!("oci-archive:{}", at(path)));
        for path in
            ["./a.tar", "real/../a.tar", "none/../a.tar", "none/./x/../../a.tar", "link/../a.tar", "a.tar:v1"]
        {
            assert_eq!(archive(path), archive("a.tar"), "{path}");
        }
        assert_eq!(archive("link/a.tar"), archive("real/a.tar"));
        assert_eq!(place(format!("docker-archive:{}", at("a.tar:app:v1"))), archive("a.tar"));
        assert_ne!(archive("a.tar"), archive("real/a.tar"));
        let layout = |path: &str| place(format!("oci:{}", at(path)));
        assert_eq!(layout("none/../new:v1"), layout("new:v1"));
        assert_ne!(layout("new:v1"), layout("new:v2"));
        assert_eq!(place("oci:new".into()), place("oci:./new".into()));
    }

    #[test]
    fn forks_count_the_requests_of_an_engine_for_themselves() {
        let (first, second) = (Arc::new(Stats::default()), Arc::new(Stats::default()));
        let address = crate::daemon::Address::parse("unix:///nowhere.sock", None).unwrap();
        let engine = Engine::new(address, Options::default().timeouts, first.clone()).unwrap();
        let places = Places { engine: Some(Arc::new(engine)), ..Places::default() };
        let own = places.fork(second.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(own.engine.unwrap().image("app")).unwrap_err();
        assert_eq!((Stats::get(&first.requests), Stats::get(&second.requests)), (0, 1));
    }
}

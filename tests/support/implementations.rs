//! Registries by several authors: what works with one may be a habit of that one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use container_registry::ImageDigest;
use container_registry::auth::{AuthProvider, Permissions, Unverified, ValidCredentials};
use container_registry::storage::ImageLocation;
use serde_json::json;

use super::daemon::Daemon;
use super::docker_registry::DockerRegistry;
use super::project;
use super::run::{Run, reapify, tool};

/// What a registry is asked to do by a test, where not every one can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Keep an index.
    Index,
    /// Keep a manifest that refers to another.
    Referrers,
    /// Take a blob over from another repository.
    Mount,
}

/// One of them.
pub struct Implementation {
    pub name: &'static str,
    start: fn() -> Running,
    /// What it needs to be told of.
    options: &'static [&'static str],
    /// What it cannot do, and how that shows.
    lacks: &'static [(Step, &'static str)],
}

static ALL: [Implementation; 3] = [
    Implementation {
        name: "docker-registry (distribution 2.8)",
        start: || {
            let registry = DockerRegistry::start();
            Running { host: registry.host().to_owned(), login: None, _server: Box::new(registry) }
        },
        options: &[],
        lacks: &[],
    },
    Implementation {
        name: "container-registry",
        start: container_registry,
        // A PUT with the blob is answered 500 "missing content length not implemented", which says nothing
        // about the way of sending.
        options: &["--upload", "patch"],
        lacks: &[
            (Step::Index, "a manifest under its digest is answered 400, an index as well"),
            (Step::Referrers, "a manifest under its digest is answered 400"),
            (Step::Mount, "the query of the POST is ignored: the answer is 202"),
        ],
    },
    Implementation {
        name: "zuul-registry",
        start: zuul_registry,
        options: &[],
        lacks: &[(Step::Mount, "a POST with mount and from is answered 404")],
    },
];

/// A registry that runs, until the value goes.
pub struct Running {
    host: String,
    /// `user:password`, where it takes writes from users only.
    login: Option<&'static str>,
    _server: Box<dyn std::any::Any + Send + Sync>,
}

/// A running registry and what is known of it.
pub struct Real {
    pub implementation: &'static Implementation,
    running: Running,
    home: tempfile::TempDir,
}

/// Starts each in turn.
pub fn each() -> impl Iterator<Item = Real> {
    ALL.iter().map(|implementation| {
        println!("== {}", implementation.name);
        let real = Real { implementation, running: (implementation.start)(), home: super::scratch() };
        std::fs::write(real.auth_file(), real.auths()).expect("a file of credentials");
        real
    })
}

impl Real {
    pub fn host(&self) -> &str {
        &self.running.host
    }

    /// The image's name for reapify and skopeo. Some of them want names of two parts.
    pub fn name(&self, repository: &str, reference: &str) -> String {
        let separator = if reference.contains(':') { '@' } else { ':' };
        format!("docker://{}/real/{repository}{separator}{reference}", self.host())
    }

    /// Whether it can do this; what it cannot is said.
    pub fn can(&self, step: Step) -> bool {
        let lack = self.implementation.lacks.iter().find(|(lacking, _)| *lacking == step);
        if let Some((_, symptom)) = lack {
            println!("{}: {step:?} is left out: {symptom}", self.implementation.name);
        }
        lack.is_none()
    }

    fn auth_file(&self) -> std::path::PathBuf {
        self.home.path().join("auth.json")
    }

    fn auths(&self) -> String {
        use base64::Engine as _;
        let entry = self.running.login.map(|login| {
            let auth = base64::engine::general_purpose::STANDARD.encode(login);
            json!({self.host(): {"auth": auth}})
        });
        json!({"auths": entry.unwrap_or(json!({}))}).to_string()
    }

    /// The options for both sides, where another name of it is not in the file of credentials.
    pub fn credentials(&self) -> Vec<&'static str> {
        let both = |login| ["--src-creds", login, "--dest-creds", login];
        self.running.login.map(both).into_iter().flatten().collect()
    }

    /// A command line of ours, as it has to be for this registry.
    pub fn reapify<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        reapify(args).args(self.implementation.options).arg("--authfile").arg(self.auth_file())
    }

    /// A command line of skopeo's.
    pub fn skopeo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        tool("skopeo", args).arg("--authfile").arg(self.auth_file())
    }

    /// Puts an image there with skopeo.
    #[track_caller]
    pub fn push(&self, source: &str, repository: &str, tag: &str) -> String {
        let name = self.name(repository, tag);
        self.skopeo(["copy", "--all", "--dest-tls-verify=false", source, &name]).run().succeeds();
        name
    }

    /// The digest under a name, as skopeo sees it.
    #[track_caller]
    pub fn digest(&self, name: &str) -> String {
        let manifest = self.skopeo(["inspect", "--raw", "--tls-verify=false", name]).run().succeeds();
        super::image::digest(&manifest.stdout)
    }

    /// skopeo reads every blob and checks it.
    #[track_caller]
    pub fn is_whole(&self, name: &str) {
        let dir = super::scratch();
        let to = format!("dir:{}", dir.path().display());
        self.skopeo(["copy", "--all", "--src-tls-verify=false", name, &to]).run().succeeds();
    }
}

/// Whoever comes may do all. The crate's own way to say so panics, and its 401 holds no challenge.
struct Everybody;

#[async_trait::async_trait]
impl AuthProvider for Everybody {
    async fn check_credentials(&self, _: &Unverified) -> Option<ValidCredentials> {
        Some(ValidCredentials::new(()))
    }

    async fn image_permissions(&self, _: &ValidCredentials, _: &ImageLocation) -> Permissions {
        Permissions::ReadWrite
    }

    async fn blob_permissions(&self, _: &ValidCredentials, _: &ImageDigest) -> Permissions {
        Permissions::ReadWrite
    }
}

/// The crate `container-registry`, in a thread of this process.
fn container_registry() -> Running {
    let dir = super::scratch();
    let registry = container_registry::ContainerRegistry::builder()
        .storage(dir.path())
        .auth_provider(Arc::new(Everybody))
        .build()
        .expect("a registry");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (sender, receiver) = std::sync::mpsc::channel::<SocketAddr>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
            sender.send(listener.local_addr().expect("an address")).expect("the test waits");
            let limit = axum::extract::DefaultBodyLimit::max(64 << 20);
            tokio::select! {
                _ = axum::serve(listener, registry.make_router().layer(limit)) => {}
                _ = stopped => {}
            }
        });
    });
    let host = receiver.recv().expect("the registry starts").to_string();
    Running { host, login: None, _server: Box::new((stop, dir)) }
}

/// `zuul-registry` of PyPI, where `scripts/test` installs it.
fn zuul_registry() -> Running {
    let python = project("target/tools/zuul-registry/bin/python");
    assert!(python.exists(), "zuul-registry is not installed: scripts/test installs what the tests need");
    let dir = Daemon::directory();
    let config = json!({"registry": {
        "address": "127.0.0.1",
        "port": 0,
        "public-url": "http://127.0.0.1",
        "secret": "s3cret",
        "storage": {"driver": "filesystem", "root": dir.join("data")},
        "users": [{"name": "ann", "pass": "s3cret", "access": "write"}],
    }});
    // JSON is YAML.
    std::fs::write(dir.join("config.yml"), config.to_string()).expect("the registry's configuration");
    let text = |path: &Path| path.display().to_string();
    let script = project("tests/support/zuul-registry.py");
    let daemon = Daemon::start(dir.clone(), &[text(&python), text(&script), text(&dir.join("config.yml"))]);
    let host = daemon.ready("zuul-registry", || {
        let log = daemon.log();
        let line = log.lines().find_map(|line| line.strip_prefix("listening on ")).map(str::to_owned);
        line.filter(|_| log.ends_with('\n')).ok_or(log)
    });
    Running { host, login: Some("ann:s3cret"), _server: Box::new(daemon) }
}

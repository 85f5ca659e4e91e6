//! Registries by several authors, so that tests do not depend on the behaviour of one.

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

/// An operation that not every registry supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Store an index.
    Index,
    /// Store a manifest with a subject.
    Referrers,
    /// Mount a blob from another repository.
    Mount,
}

/// One implementation.
pub struct Implementation {
    pub name: &'static str,
    start: fn() -> Running,
    /// The options that it requires.
    options: &'static [&'static str],
    /// The operations that it does not support, with the resulting error.
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
        // It answers a PUT with the blob with 500 "missing content length not implemented", which does not show that
        // the upload method is the problem.
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

/// A registry that runs until the value is dropped.
pub struct Running {
    host: String,
    /// `user:password`, if only users may write.
    login: Option<&'static str>,
    _server: Box<dyn std::any::Any + Send + Sync>,
}

/// A running registry with its properties.
pub struct Real {
    pub implementation: &'static Implementation,
    running: Running,
    home: tempfile::TempDir,
}

/// Starts each registry in turn.
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

    /// Returns the image's name for reapify and skopeo. Some registries require names of two parts.
    pub fn name(&self, repository: &str, reference: &str) -> String {
        let separator = if reference.contains(':') { '@' } else { ':' };
        format!("docker://{}/real/{repository}{separator}{reference}", self.host())
    }

    /// Returns whether it supports this operation, and prints if it does not.
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

    /// Returns the credential options for both sides, if the credential file does not have this host name.
    pub fn credentials(&self) -> Vec<&'static str> {
        let both = |login| ["--src-creds", login, "--dest-creds", login];
        self.running.login.map(both).into_iter().flatten().collect()
    }

    /// Returns a command line of reapify with the options for this registry.
    pub fn reapify<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        reapify(args).args(self.implementation.options).arg("--authfile").arg(self.auth_file())
    }

    /// Returns a command line of skopeo.
    pub fn skopeo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        tool("skopeo", args).arg("--authfile").arg(self.auth_file())
    }

    /// Pushes an image with skopeo.
    #[track_caller]
    pub fn push(&self, source: &str, repository: &str, tag: &str) -> String {
        let name = self.name(repository, tag);
        self.skopeo(["copy", "--all", "--dest-tls-verify=false", source, &name]).run().succeeds();
        name
    }

    /// Returns the digest under a name, as skopeo reads it.
    #[track_caller]
    pub fn digest(&self, name: &str) -> String {
        let manifest = self.skopeo(["inspect", "--raw", "--tls-verify=false", name]).run().succeeds();
        super::image::digest(&manifest.stdout)
    }

    /// Checks with skopeo that every blob exists and matches its digest.
    #[track_caller]
    pub fn is_whole(&self, name: &str) {
        let dir = super::scratch();
        let to = format!("dir:{}", dir.path().display());
        self.skopeo(["copy", "--all", "--src-tls-verify=false", name, &to]).run().succeeds();
    }
}

/// A policy that allows everything. The crate's own one panics, and its 401 has no challenge.
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

/// Starts the crate `container-registry` in a thread of this process.
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

/// Starts PyPI's `zuul-registry`, which `scripts/test` installs.
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
    // JSON is valid YAML.
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

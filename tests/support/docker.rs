//! A private `dockerd`: no bridge, no rules in the host's tables, and all data in a temporary directory.

use std::sync::OnceLock;

use super::daemon::{Daemon, needs};
use super::engine::Engine;
use super::run::{Run, tool};

/// A running Docker engine.
pub struct Docker {
    daemon: Daemon,
}

impl Docker {
    /// Returns the engine of this test process, started at the first use.
    pub fn get() -> &'static Self {
        static ENGINE: OnceLock<Docker> = OnceLock::new();
        ENGINE.get_or_init(|| Self::start(Daemon::directory(), &[]))
    }

    /// The same with containerd's image store, which engines have from 25 on; `None` with an older one.
    pub fn with_containerd() -> Option<&'static Self> {
        static ENGINE: OnceLock<Option<Docker>> = OnceLock::new();
        let start = || {
            needs("dockerd");
            let version = tool("dockerd", ["--version"]).run().succeeds().text();
            let major = version.split(['.', ' ']).find_map(|word| word.parse::<u32>().ok());
            (major.expect("a version") >= 25).then(|| {
                let dir = Daemon::directory();
                let config = dir.join("daemon.json");
                std::fs::write(&config, r#"{"features":{"containerd-snapshotter":true}}"#).expect("a file");
                let config = config.display().to_string();
                Self::start(dir, &["--config-file", &config])
            })
        };
        ENGINE.get_or_init(start).as_ref()
    }

    /// Starts an engine in a directory, with more options.
    pub fn start(dir: std::path::PathBuf, options: &[&str]) -> Self {
        needs("dockerd");
        needs("docker");
        let at = |name: &str| dir.join(name).display().to_string();
        let command = [
            "dockerd",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--shutdown-timeout=1",
            "--log-level=warn",
            "--data-root",
            &at("data"),
            "--exec-root",
            &at("exec"),
            "--pidfile",
            &at("pid"),
            "--host",
            &format!("unix://{}", at("socket")),
        ]
        .map(str::to_owned);
        let command = [&command[..], &options.iter().map(ToString::to_string).collect::<Vec<_>>()].concat();
        let engine = Self { daemon: Daemon::start(dir, &command) };
        engine.daemon.ready("dockerd", || {
            let outcome = engine.run(["version", "--format", "{{.Server.Version}}"]).run();
            if outcome.code() == 0 { Ok(()) } else { Err(outcome.to_string()) }
        });
        engine
    }

    /// Returns the value of `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.daemon.dir().join("socket").display())
    }

    /// Returns a command line of docker.
    pub fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        let socket = self.host();
        // The caller's own configuration and credentials must not affect the test.
        let config = self.daemon.dir().join("client").display().to_string();
        tool("docker", ["--host", &socket, "--config", &config]).args(args)
    }
}

impl Engine for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn command(&self, args: &[&str]) -> Run {
        self.run(args.iter().copied())
    }

    fn pull(&self, image: &str) -> String {
        let name = image.strip_prefix("docker://").unwrap_or(image).to_owned();
        self.command(&["pull", "--quiet", &name]).run().succeeds();
        name
    }
}

/// Certificates for an engine on this machine and for a client, by an authority of their own.
pub struct Certificates(tempfile::TempDir);

impl Certificates {
    pub fn new() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let dir = super::scratch();
        let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).expect("a file");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "reapify test authority");
        write("ca.pem", params.self_signed(&key).expect("a certificate").pem());
        let issuer = Issuer::new(params, key);
        for (name, key_name) in [("server.pem", "server-key.pem"), ("cert.pem", "key.pem")] {
            use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
            let key = KeyPair::generate().expect("a key");
            let mut params = CertificateParams::new(vec!["127.0.0.1".into()]).expect("a name");
            params.extended_key_usages = vec![ClientAuth, ServerAuth];
            write(name, params.signed_by(&key, &issuer).expect("a certificate").pem());
            write(key_name, key.serialize_pem());
        }
        Certificates(dir)
    }

    /// A file in their directory: `ca.pem`, `cert.pem` and `key.pem`, `server.pem` and `server-key.pem`.
    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

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
        ENGINE.get_or_init(Self::start)
    }

    fn start() -> Self {
        needs("dockerd");
        needs("docker");
        let dir = Daemon::directory();
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

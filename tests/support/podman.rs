//! A private Podman: with its own storage and configuration, and runc as the runtime.

use std::sync::OnceLock;

use super::daemon::{Daemon, needs};
use super::engine::Engine;
use super::run::{Run, tool};

/// Podman with its own storage.
pub struct Podman {
    daemon: Daemon,
    service: OnceLock<Daemon>,
}

/// Debian's default limits exceed what some machines allow, and `kube play` has no `--ulimit`; tests need no more
/// than this.
const CONFIG: &str = r#"[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
"#;

impl Podman {
    /// Returns the engine of this test process, set up at the first use.
    pub fn get() -> &'static Self {
        static ENGINE: OnceLock<Podman> = OnceLock::new();
        ENGINE.get_or_init(Self::start)
    }

    fn start() -> Self {
        needs("podman");
        let dir = Daemon::directory();
        std::fs::write(dir.join("containers.conf"), CONFIG).expect("podman's configuration");
        let script = format!(
            "#!/bin/sh\nexport CONTAINERS_CONF={0}/containers.conf\n\
             podman {1} pod rm --all --force --time 0\npodman {1} rm --all --force --time 0\n",
            dir.display(),
            Self::places(&dir).join(" ")
        );
        let cleanup = dir.join("cleanup");
        std::fs::write(&cleanup, script).expect("the clean-up script");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&cleanup, executable).expect("an executable script");
        Self { daemon: Daemon::start(dir, &[]), service: OnceLock::new() }
    }

    fn places(dir: &std::path::Path) -> [String; 6] {
        let at = |name: &str| dir.join(name).display().to_string();
        let [root, runroot, tmp] = [at("root"), at("runroot"), at("tmp")];
        ["--root".into(), root, "--runroot".into(), runroot, "--tmpdir".into(), tmp]
    }

    /// Starts Podman's service at the first use, and returns the value of `DOCKER_HOST` for it.
    pub fn host(&self) -> String {
        let service = self.service.get_or_init(|| {
            let dir = Daemon::directory();
            let socket = format!("unix://{}", dir.join("socket").display());
            let config = format!("CONTAINERS_CONF={}", self.daemon.dir().join("containers.conf").display());
            let mut command = vec!["env".to_owned(), config, "podman".to_owned()];
            command.extend(Self::places(self.daemon.dir()));
            command.extend(["system", "service", "--time", "0", &socket].map(str::to_owned));
            let service = Daemon::start(dir, &command);
            service.ready("podman's service", || {
                let socket = service.dir().join("socket");
                std::os::unix::net::UnixStream::connect(socket).map(drop).map_err(|e| e.to_string())
            });
            service
        });
        format!("unix://{}", service.dir().join("socket").display())
    }

    /// Returns a command line of podman.
    pub fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        let config = self.daemon.dir().join("containers.conf");
        tool("podman", Self::places(self.daemon.dir())).args(args).env("CONTAINERS_CONF", config)
    }
}

impl Engine for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn command(&self, args: &[&str]) -> Run {
        self.run(args.iter().copied())
    }

    fn pull(&self, image: &str) -> String {
        let name = image.strip_prefix("docker://").unwrap_or(image).to_owned();
        self.command(&["pull", "--quiet", "--tls-verify=false", &name]).run().succeeds();
        name
    }
}

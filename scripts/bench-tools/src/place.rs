//! The working directory and its servers, which end with this process, however it ends.

use std::fs;
use std::io::{Error, Result};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The guard of the tests: runs a server until its standard input closes, and then cleans up.
const GUARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/support/guard");

/// A directory, in memory if possible, and an optional server in it.
pub struct Place {
    pub dir: PathBuf,
    guard: Child,
}

impl Place {
    /// Starts a server, whose command `command` builds from the directory.
    pub fn new(name: &str, command: impl FnOnce(&Path) -> Result<Vec<String>>) -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
        let dir = base.join(format!("reapify-bench-{}-{name}", std::process::id()));
        fs::create_dir(&dir)?;
        let command = command(&dir)?;
        let guard = Command::new(GUARD).arg(&dir).args(command).stdin(Stdio::piped()).spawn()?;
        Ok(Place { dir, guard })
    }

    /// Waits until the server is ready.
    pub fn ready(&self, what: &str, is_ready: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !is_ready() {
            if start.elapsed() > Duration::from_secs(60) {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                return Err(Error::other(format!("{what} does not answer:\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Debian's docker-registry, with plain HTTP on loopback.
pub struct Registry {
    place: Place,
    pub host: String,
}

impl Registry {
    pub fn start(name: &str) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let host = format!("127.0.0.1:{port}");
        let place = Place::new(name, |dir| {
            let config = format!(
                "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
                 rootdirectory: {}/data\n  delete:\n    enabled: true\nhttp:\n  addr: {host}\n",
                dir.display()
            );
            let file = dir.join("config.yml");
            fs::write(&file, config)?;
            Ok(["docker-registry", "serve", &file.display().to_string()].map(String::from).into())
        })?;
        place.ready("docker-registry", || TcpStream::connect(&host).is_ok())?;
        Ok(Registry { place, host })
    }

    /// Removes a repository, and with `blobs` everything.
    pub fn clear(&self, repository: Option<&str>) -> Result<()> {
        let root = self.place.dir.join("data/docker/registry/v2");
        match repository {
            Some(repository) => remove(&root.join("repositories").join(repository)),
            None => remove(&root),
        }
    }
}

/// Removes a directory, and mounts that engines left in it.
pub fn remove(dir: &Path) -> Result<()> {
    let prefix = format!("{}/", dir.display());
    for line in fs::read_to_string("/proc/self/mounts")?.lines().rev() {
        if let Some(mount) = line.split(' ').nth(1).filter(|m| m.starts_with(&prefix)) {
            Command::new("umount").args(["-l", mount]).status()?;
        }
    }
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

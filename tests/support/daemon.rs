//! Servers as child processes that cannot outlive the test: see `guard`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{eventually, project};

/// A server with its own directory. Both are removed when the value is dropped, or when the test process ends.
pub struct Daemon {
    dir: PathBuf,
    guard: Child,
}

impl Daemon {
    /// Creates a directory for a server; it is removed only by a [`Daemon`] started in it.
    pub fn directory() -> PathBuf {
        super::scratch().keep()
    }

    /// Starts `command` in this directory; an empty command only keeps the directory. An executable
    /// `cleanup` in the directory is run at the end.
    pub fn start(dir: PathBuf, command: &[String]) -> Self {
        let guard = Command::new(project("tests/support/guard"))
            .arg(&dir)
            .args(command)
            .stdin(Stdio::piped())
            .spawn()
            .expect("bash runs the guard");
        Self { dir, guard }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns what the server has written so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Waits until the server is ready.
    #[track_caller]
    pub fn ready<T>(&self, what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
        let ask = || ask().map_err(|error| format!("{error}\n{}", self.log()));
        eventually(Duration::from_secs(60), what, ask)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // The guard ends by itself within its own deadlines.
        let _ = self.guard.wait();
    }
}

/// Panics with instructions if a program that the tests need is missing.
#[track_caller]
pub fn needs(program: &str) {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path.split(':').any(|dir| Path::new(dir).join(program).exists());
    assert!(found, "{program} is not installed: scripts/test installs what the tests need");
}

//! Starts an init in the same way as a container engine, and observes it.
//!
//! The init under test is `$REAPER_BIN`. [`Start`] runs it, either as PID 1 of a new namespace or
//! not, and returns a [`Running`]. No test sleeps for a fixed time until something happens:
//! [`until`] polls, with a deadline that even a slow machine meets.

pub mod deny;
pub mod process;
pub mod trace;
pub mod tty;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub use process::{Running, Start};

/// The time after which an expected event counts as never happening.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until a condition is true.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns the path of the init under test.
pub fn init() -> String {
    std::env::var("REAPER_BIN").expect("REAPER_BIN is set by scripts/test-reaper")
}

/// Returns the path of the helper program that acts as the main process.
pub fn probe() -> String {
    std::env::var("REAPER_PROBE").expect("REAPER_PROBE is set by scripts/test-reaper")
}

/// Returns a field of `/proc/PID/status`.
pub fn status(pid: i32, field: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.strip_prefix(':')?.trim().to_string())
}

/// Returns the state of a process: `S`, `T`, `Z` …; `X` if it no longer exists.
pub fn state(pid: i32) -> char {
    status(pid, "State").and_then(|state| state.chars().next()).unwrap_or('X')
}

/// Returns the children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Creates a file that will be executed. Another process writes it, because the fork of another
/// test could inherit a descriptor that is open for writing in this process, and the file would
/// then be busy.
pub fn install(path: &Path, bytes: &[u8], mode: &str) {
    let mut copy = Command::new("install");
    copy.args(["-m", mode, "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut copy = copy.spawn().expect("coreutils are there");
    copy.stdin.take().expect("a pipe").write_all(bytes).expect("install reads");
    assert!(copy.wait().expect("it ends").success(), "{}", path.display());
}

/// Sends a signal; returns whether this was possible.
pub fn kill(pid: i32, signal: i32) -> bool {
    // SAFETY: this call accesses no memory.
    unsafe { libc::kill(pid, signal) == 0 }
}

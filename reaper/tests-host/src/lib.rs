//! Starts an init the way a container engine does, and watches it.
//!
//! The init under test is `$REAPER_BIN`; [`Start`] runs it, as PID 1 of a new namespace or not, and
//! [`Running`] is what came of it. Nothing sleeps for a fixed time to see something happen: [`until`]
//! polls with a deadline that a slow machine does not reach.

pub mod deny;
pub mod process;
pub mod trace;
pub mod tty;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub use process::{Running, Start};

/// How long anything may take before it counts as never.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until a condition holds.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The init under test.
pub fn init() -> String {
    std::env::var("REAPER_BIN").expect("REAPER_BIN is set by scripts/test-reaper")
}

/// The helper program that plays the main process.
pub fn probe() -> String {
    std::env::var("REAPER_PROBE").expect("REAPER_PROBE is set by scripts/test-reaper")
}

/// A line of `/proc/PID/status`.
pub fn status(pid: i32, field: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.strip_prefix(':')?.trim().to_string())
}

/// The state of a process: `S`, `T`, `Z` …; `X` once it is gone.
pub fn state(pid: i32) -> char {
    status(pid, "State").and_then(|state| state.chars().next()).unwrap_or('X')
}

/// The children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Puts a file somewhere, to be run. Another process writes it: a descriptor that is open for writing
/// in this one can be inherited by a fork of another test, and then the file is busy.
pub fn install(path: &Path, bytes: &[u8], mode: &str) {
    let mut copy = Command::new("install");
    copy.args(["-m", mode, "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut copy = copy.spawn().expect("coreutils are there");
    copy.stdin.take().expect("a pipe").write_all(bytes).expect("install reads");
    assert!(copy.wait().expect("it ends").success(), "{}", path.display());
}

/// Sends a signal; whether that was possible.
pub fn kill(pid: i32, signal: i32) -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid, signal) == 0 }
}

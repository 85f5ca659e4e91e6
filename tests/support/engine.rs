//! The common interface of Docker and Podman, and containers.

use std::time::Duration;

use super::eventually;
use super::run::{Outcome, Run};

/// A container engine: the common interface of Docker and Podman.
pub trait Engine {
    fn name(&self) -> &'static str;

    /// Returns a command line of this engine.
    fn command(&self, args: &[&str]) -> Run;

    /// Pulls an image named `docker://HOST/…`; returns the name under which it can be run.
    fn pull(&self, image: &str) -> String;

    /// Runs a container to its end, without a network.
    fn run_to_end(&self, options: &[&str], image: &str, args: &[&str]) -> Outcome {
        let all = [&["run", "--rm", "--network", "none"], options, &[image], args].concat();
        self.command(&all).run()
    }

    /// Starts a container in the background, without a network.
    fn start(&self, options: &[&str], image: &str, args: &[&str]) -> Container<'_>
    where
        Self: Sized,
    {
        let all = [&["run", "--detach", "--network", "none"], options, &[image], args].concat();
        let id = self.command(&all).run().succeeds().line();
        Container { engine: self, id }
    }
}

/// A container in the background, removed when the value is dropped.
pub struct Container<'a> {
    pub engine: &'a dyn Engine,
    pub id: String,
}

/// A line of the process table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub state: char,
    pub name: String,
}

impl Container<'_> {
    pub fn logs(&self) -> Outcome {
        self.engine.command(&["logs", &self.id]).run().succeeds()
    }

    /// Waits until the container has logged this line.
    #[track_caller]
    pub fn has_logged(&self, line: &str) {
        eventually(Duration::from_secs(60), "a line in the log", || {
            let logs = self.logs();
            if logs.text().lines().any(|logged| logged == line) { Ok(()) } else { Err(logs.to_string()) }
        });
    }

    /// Returns the output of `/zombies ps` in the container.
    #[track_caller]
    pub fn process_table(&self) -> Vec<Process> {
        let table = self.engine.command(&["exec", &self.id, "/zombies", "ps"]).run().succeeds();
        let parse = |line: &str| {
            let mut words = line.split_whitespace();
            let pid = words.next()?.parse().ok()?;
            let parent = words.next()?.parse().ok()?;
            let state = words.next()?.chars().next()?;
            Some(Process { pid, parent, state, name: words.collect::<Vec<_>>().join(" ") })
        };
        let rows = table.text().lines().skip(1).map(|line| parse(line).expect("four columns")).collect();
        let other = |row: &Process| row.name != "ps";
        Vec::into_iter(rows).filter(other).collect()
    }

    /// Waits until the process table is as wanted, and returns it.
    #[track_caller]
    pub fn processes(&self, what: &str, wanted: impl Fn(&[Process]) -> bool) -> Vec<Process> {
        eventually(Duration::from_secs(30), what, || {
            let table = self.process_table();
            if wanted(&table) { Ok(table) } else { Err(format!("{table:#?}")) }
        })
    }

    /// Runs `stop` with this grace period; returns how long it took.
    #[track_caller]
    pub fn stop(&self, grace: u32) -> Duration {
        self.engine.command(&["stop", "--time", &grace.to_string(), &self.id]).run().succeeds().took
    }

    /// Waits for the end and returns the exit code.
    #[track_caller]
    pub fn exit_code(&self) -> i32 {
        let code = self.engine.command(&["wait", &self.id]).run().succeeds().line();
        code.parse().unwrap_or_else(|_| panic!("an exit code, not {code}"))
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // A failing test must not panic twice; the engine removes remaining containers.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.engine.command(&["rm", "--force", &self.id]).run()
        }));
    }
}

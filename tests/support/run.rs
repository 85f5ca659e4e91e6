//! Child processes: `reapify(["wrap", a, b]).run().succeeds().json()`.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A command line.
pub struct Run {
    command: Command,
    shown: String,
    stdin: Vec<u8>,
    /// Pipes supplied by the test, instead of those that are written and read to their end.
    pipes: [Option<Stdio>; 3],
    deadline: Duration,
    home: Option<tempfile::TempDir>,
}

/// Returns a command line of the program under test, with an empty home directory and without the caller's
/// environment: no credentials, proxies or settings.
pub fn reapify<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Run {
    let home = super::scratch();
    let mut run = Run::new(env!("CARGO_BIN_EXE_reapify").into());
    run.command
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    run.home = Some(home);
    run.args(args)
}

/// Returns a command line of another program, such as an engine's client.
pub fn tool<I: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = I>) -> Run {
    Run::new(name.into()).args(args)
}

impl Run {
    fn new(program: PathBuf) -> Self {
        let shown = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let command = Command::new(program);
        let pipes = [None, None, None];
        Self { command, shown, stdin: Vec::new(), pipes, deadline: Duration::from_secs(120), home: None }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub fn args<I: AsRef<OsStr>>(self, args: impl IntoIterator<Item = I>) -> Self {
        args.into_iter().fold(self, Run::arg)
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Writes a file in the program's home directory, such as `.docker/config.json`.
    pub fn home_file(self, path: &str, content: &str) -> Self {
        let file = self.home.as_ref().expect("only reapify has a home of its own").path().join(path);
        std::fs::create_dir_all(file.parent().expect("a file has a parent"))
            .expect("a directory in the home");
        std::fs::write(file, content).expect("a file in the home");
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Connects standard input, output or error (0, 1, 2) to this pipe.
    pub fn pipe(mut self, number: usize, pipe: impl Into<Stdio>) -> Self {
        self.pipes[number] = Some(pipe.into());
        self
    }

    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sets how long the program may take before it is killed and the test fails (default: two minutes).
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn run(self) -> Outcome {
        self.start().wait()
    }

    /// Starts the program, for tests that interact with it.
    #[track_caller]
    pub fn start(mut self) -> Running {
        let [stdin, stdout, stderr] = self.pipes.map(|pipe| pipe.unwrap_or_else(Stdio::piped));
        self.command.stdin(stdin).stdout(stdout).stderr(stderr);
        let mut child = self.command.spawn().unwrap_or_else(|error| {
            panic!("{}: {error}\nscripts/test installs the Debian packages that the tests need", self.shown)
        });
        drop(self.command);
        if let Some(mut stdin) = child.stdin.take() {
            let input = self.stdin;
            // A program that ends without reading its input closes the pipe, which is not an error.
            std::thread::spawn(move || drop(stdin.write_all(&input)));
        }
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let end = Instant::now() + self.deadline;
        Running { child, shown: self.shown, stdout, stderr, end, started: Instant::now(), _home: self.home }
    }
}

fn drain(from: Option<impl Read + Send + 'static>) -> (Receiver<Vec<u8>>, JoinHandle<()>) {
    let (sender, receiver) = channel();
    let thread = std::thread::spawn(move || {
        let mut all = Vec::new();
        // Data that was read before an error is kept.
        let _ = from.map(|mut from| from.read_to_end(&mut all));
        let _ = sender.send(all);
    });
    (receiver, thread)
}

/// A program that is running.
pub struct Running {
    child: Child,
    shown: String,
    stdout: (Receiver<Vec<u8>>, JoinHandle<()>),
    stderr: (Receiver<Vec<u8>>, JoinHandle<()>),
    started: Instant,
    end: Instant,
    _home: Option<tempfile::TempDir>,
}

impl Running {
    /// Sends SIGKILL; harmless if the program has already ended.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Sends a signal by name, such as `INT`.
    pub fn signal(&mut self, name: &str) {
        tool("kill", [format!("-{name}"), self.child.id().to_string()]).run();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits for the end, and kills the program after its deadline.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let (status, late) = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break (status, false);
            }
            if Instant::now() >= self.end {
                self.kill();
                break (self.child.wait().expect("a killed child ends"), true);
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = self.started.elapsed();
        let stdout = self.stdout.0.recv_timeout(Duration::from_secs(10)).unwrap_or_default();
        let stderr = self.stderr.0.recv_timeout(Duration::from_secs(10)).unwrap_or_default();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        let outcome = Outcome { status, stdout, stderr, took, shown: self.shown };
        assert!(!late, "{outcome}\nit did not end before its deadline");
        outcome
    }
}

/// The exit status and the output of a program.
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub took: Duration,
    shown: String,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.stdout);
        let stdout: String = text.chars().take(4000).collect();
        writeln!(out, "$ {}\n{} after {:?}", self.shown, self.status, self.took)?;
        writeln!(out, "--- stdout\n{stdout}\n--- stderr\n{}", self.stderr)
    }
}

impl Outcome {
    /// Returns the exit code as a shell reports it: 128+n for a signal.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or_default())
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self}");
        self
    }

    /// Checks that standard error contains this phrase, ignoring case; an error in JSON is compared like text.
    #[track_caller]
    pub fn says(self, phrase: &str) -> Self {
        let as_text = |line: &str| {
            let Ok(error) = serde_json::from_str::<Value>(line) else { return line.to_owned() };
            let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
            format!("error: {}\nhint: {}", text("error"), text("hint"))
        };
        let all: Vec<String> = self.stderr.lines().map(as_text).collect();
        let said = format!("{}\n", all.join("\n")).to_lowercase().contains(&phrase.to_lowercase());
        assert!(said, "{self}\nit does not say: {phrase}");
        self
    }

    #[track_caller]
    pub fn never_says(self, phrase: &str) -> Self {
        let all = format!("{}{}", self.text(), self.stderr);
        assert!(!all.contains(phrase), "{self}\nit says: {phrase}");
        self
    }

    /// Checks that standard output contains a phrase.
    #[track_caller]
    pub fn prints_some(self, phrase: &str) -> Self {
        assert!(
            String::from_utf8_lossy(&self.stdout).contains(phrase),
            "{self}\nit does not print {phrase:?}"
        );
        self
    }

    /// Checks that standard output is exactly this text.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert_eq!(self.text(), text, "{self}");
        self
    }

    /// Checks that standard error is empty.
    #[track_caller]
    pub fn silently(self) -> Self {
        assert_eq!(self.stderr, "", "{self}");
        self
    }

    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns standard output without the line end.
    pub fn line(&self) -> String {
        self.text().trim_end().to_owned()
    }

    /// Returns standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{self}\nno JSON: {error}"))
    }

    /// Returns the digest from the only line `name@sha256:…`.
    #[track_caller]
    pub fn digest(&self) -> String {
        let line = self.line();
        let digest = line.rsplit_once('@').map(|(_, digest)| digest.to_owned());
        let digest = digest.filter(|_| !line.contains('\n'));
        digest.unwrap_or_else(|| panic!("{self}\nno single line `name@digest`"))
    }
}

/// Splits a line into arguments, for commands without spaces in their arguments.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

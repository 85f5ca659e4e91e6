//! How an image starts, and who reaps in it. Pure: config in, answer out.

use crate::image::{Digest, ImageConfig, Platform};
use crate::read::machine;
use crate::reapers::Reapers;
use crate::rewrite::record::{Found, Record};
use crate::rewrite::{self, Decision, Image, Policy, known_inits};

/// What PID 1 of a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pid1 {
    /// A reaper of ours, by its record.
    Reaper,
    /// The reaper of a wrapped image that this one was built from.
    Inherited,
    /// An init that reaps.
    Init(&'static str),
    /// A shell that runs a command line (`sh -c`): it may `exec` the last command, or stay.
    Shell,
    /// A program as it is: reaps only what it knows of.
    Program,
    /// The image names none; it comes with the command.
    Nothing,
}

impl Pid1 {
    /// The word in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Pid1::Reaper => "reaper",
            Pid1::Inherited => "inherited-reaper",
            Pid1::Init(_) => "init",
            Pid1::Shell => "shell",
            Pid1::Program => "program",
            Pid1::Nothing => "nothing",
        }
    }

    /// Whether orphans are reaped.
    pub fn reaps(&self) -> bool {
        matches!(self, Pid1::Reaper | Pid1::Inherited | Pid1::Init(_))
    }

    /// A sentence for people.
    pub fn describe(&self) -> String {
        match self {
            Pid1::Reaper => "a reaper that reapify put there".into(),
            Pid1::Inherited => "the reaper of the wrapped image it was built from".into(),
            Pid1::Init(init) => format!("{init}, which reaps"),
            Pid1::Shell => "a shell with a command line; orphans may stay as zombies".into(),
            Pid1::Program => "the program itself; orphans stay as zombies unless it reaps them".into(),
            Pid1::Nothing => "whatever command is given".into(),
        }
    }
}

/// What is known about one image.
#[derive(Debug, Clone)]
pub struct Findings {
    /// What it is for.
    pub platform: Platform,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Entrypoint and Cmd together.
    pub command: Vec<String>,
    /// What PID 1 is.
    pub pid1: Pid1,
    /// Whether wrap would put a reaper there.
    pub is_wrappable: bool,
    /// The record, if it counts.
    pub record: Option<Record>,
    /// The version of the reaper, if it is one of the built-in ones.
    pub reaper_version: Option<String>,
    /// How many layers.
    pub layers: usize,
    /// `User`.
    pub user: Option<String>,
    /// `StopSignal`.
    pub stop_signal: Option<String>,
}

/// Looks at an image. `listed` is the platform for which an index lists it.
pub fn inspect(image: &Image, listed: Option<&Platform>, reapers: &Reapers) -> Findings {
    let config = &image.config;
    let command = command_line(config);
    let (record, inherited) = match image.record() {
        Found::Valid(original) => (Some(original.record), false),
        Found::Stale { reaper_first, .. } => (None, reaper_first),
        Found::Nothing => (None, false),
    };
    let pid1 = match command.first() {
        None => Pid1::Nothing,
        Some(_) if record.is_some() => Pid1::Reaper,
        Some(_) if inherited => Pid1::Inherited,
        Some(_) => known_inits::of(config).map_or_else(|| plain(&command), |init| Pid1::Init(init.what)),
    };
    let reaper_version =
        record.as_ref().and_then(|r| reapers.all().find(|known| known.digest == r.reaper)?.version());
    let platform = machine::stated(image, listed);
    let decided = platform.as_ref().map(|p| rewrite::decide(image, p, reapers, &Policy::default()));
    Findings {
        is_wrappable: matches!(decided, Some(Ok(Decision::Wrap(_) | Decision::Upgrade(..)))),
        platform: platform.unwrap_or_else(|| config.platform.canonical()),
        digest: image.manifest.digest.clone(),
        command,
        pid1,
        record,
        reaper_version,
        layers: config.diff_ids.len(),
        user: config.user.clone(),
        stop_signal: config.stop_signal.clone(),
    }
}

fn command_line(config: &ImageConfig) -> Vec<String> {
    let entrypoint = if config.has_entrypoint() { config.entrypoint.as_slice() } else { &[] };
    entrypoint.iter().chain(&config.cmd).cloned().collect()
}

fn plain(command: &[String]) -> Pid1 {
    let name = command[0].rsplit('/').next().unwrap_or_default();
    let is_shell = matches!(name, "sh" | "bash" | "ash" | "dash" | "busybox");
    if is_shell && command.iter().any(|w| w.starts_with('-') && w.ends_with('c')) {
        Pid1::Shell
    } else {
        Pid1::Program
    }
}

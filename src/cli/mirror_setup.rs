//! The common part of the commands of `reapify mirror`: the configuration, the part of the work, and how to
//! reach registries.

use super::mirror_lines::Files;
use super::options::NetworkOptions;
use super::output::Console;
use super::wrap::given_reapers;
use crate::engine::Sinks;
use crate::error::{Context, Error, Result};
use crate::mirror::config::{self, Config, Outside};
use crate::mirror::rules::shard::{Shard, ShardBy};
use crate::mirror::{Effort, Hosts, Part, Rechecked, Rule, Shared};
use crate::stats::Stats;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The number of images to mirror at once, unless the configuration sets it.
const PARALLEL: usize = 48;

/// The configuration file.
#[derive(clap::Args)]
pub struct ConfigArgs {
    /// The configuration, in the format of regsync; `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

impl ConfigArgs {
    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.config
    }
}

/// The part of the work that a process does.
#[derive(clap::Args)]
pub struct PartArgs {
    /// Process only part I of N, counted from 0 [default: from JOB_COMPLETION_INDEX and REAPIFY_SHARDS, if both are set]
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// How to divide the work
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    shard_by: ShardChoice,
    /// Number of images to mirror at once [default: from the configuration, or 48]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: Option<u16>,
}

/// The common options of commands that run passes.
#[derive(clap::Args)]
pub struct PassArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub files: Files,
    #[command(flatten)]
    pub part: PartArgs,
    #[command(flatten)]
    pub network: NetworkOptions,
}

#[derive(Clone, Copy, ValueEnum, Default)]
enum ShardChoice {
    /// The destination repository
    #[default]
    Repository,
    /// The destination repository and tag
    Tag,
}

/// A configuration with entries that are ready to run.
pub struct Loaded {
    pub config: Config,
    pub rules: Vec<Arc<Rule>>,
}

impl Loaded {
    /// Reads a configuration, and prints notes for its author.
    pub fn read(file: &Path, console: &Console) -> Result<Self> {
        let name = file.display().to_string();
        let text = match name.as_str() {
            "-" => std::io::read_to_string(std::io::stdin()).context(|| "standard input")?,
            _ => std::fs::read_to_string(file)
                .map_err(|e| Error::usage(format!("cannot read the configuration {name}: {e}")))?,
        };
        let loaded = config::load(&text, &name, &World).map_err(|e| {
            let hint = e.hint.clone();
            let error = Error::usage(e.to_string());
            match hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
        for note in &loaded.notes {
            console.note(&format!("note: {name}:{note}"));
        }
        if loaded.config.entries.is_empty() {
            // A file that is being written is empty for a moment, which must not stop a server.
            return Err(Error::usage(format!("{name}: sync has no entries, so there is nothing to mirror"))
                .hint("add the images to mirror under `sync`"));
        }
        let (rules, notes) = Rule::all(&loaded.config, &name, &given_reapers)?;
        for note in notes {
            console.note(&format!("note: {note}"));
        }
        Ok(Loaded { config: loaded.config, rules })
    }
}

/// The environment variables and files that a configuration may use.
struct World;

impl Outside for World {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> std::result::Result<String, String> {
        std::fs::read_to_string(path).map_err(|e| e.to_string())
    }
}

/// The setup of a pass.
pub struct Setup<'a> {
    pub network: &'a NetworkOptions,
    pub part: &'a PartArgs,
    pub effort: Effort,
    pub recheck: bool,
    pub rechecked: Arc<Rechecked>,
    pub sinks: Sinks,
}

impl Setup<'_> {
    /// Returns the state shared by the images of a run.
    pub fn shared(&self, config: &Config, stats: &Arc<Stats>) -> Shared {
        let options = self.network.client(stats.clone());
        let hosts = Hosts::new(config, options, self.network.hosts(), self.network.store());
        Shared {
            hosts,
            shared_state: Arc::default(),
            effort: self.effort,
            recheck: self.recheck,
            sinks: self.sinks.clone(),
            rechecked: self.rechecked.clone(),
            outcomes: Default::default(),
            halt: Default::default(),
        }
    }

    /// Returns the part of the work that this process does.
    pub fn work(&self) -> Result<Part> {
        let variable = |name| std::env::var(name).ok();
        let shard = match &self.part.shard {
            Some(text) => Shard::parse(text).map(Some),
            None => Shard::from_environment(
                variable("JOB_COMPLETION_INDEX").as_deref(),
                variable("REAPIFY_SHARDS").as_deref(),
            ),
        };
        let by = match self.part.shard_by {
            ShardChoice::Repository => ShardBy::Repository,
            ShardChoice::Tag => ShardBy::Tag,
        };
        Ok(Part { shard: shard.map_err(Error::usage)?, by })
    }

    /// Returns the number of images to mirror at once.
    pub fn parallel(&self, config: &Config) -> usize {
        self.part.parallel.map(usize::from).or(config.parallel).unwrap_or(PARALLEL)
    }
}

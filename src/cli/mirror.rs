//! `reapify mirror`: one pass, a check, and what shows a configuration.

use super::interrupt::interruptible;
use super::options::{Format, Global, NetworkOptions};
use super::output::{self, Console, printable};
use super::places::client_options;
use super::wrap::{STREAMS, given_reapers};
use super::{mirror_lines, mirror_server};
use crate::engine::Commons;
use crate::error::{Context, Error, Kind, Result};
use crate::mirror::config::{self, Config, Outside};
use crate::mirror::rules::shard::{Shard, ShardBy};
use crate::mirror::{Effort, Hosts, Part, Pass, Place, Rule, Shared, repositories, results};
use crate::stats::Stats;
use clap::{Subcommand, ValueEnum};
use mirror_lines::Lines;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many images are done at once unless the configuration says otherwise.
const PARALLEL: usize = 48;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Mirror what changed, once
    Once(Box<OnceArgs>),
    /// Tell what `once` would change; exits with 8 if anything
    Check(Box<CheckArgs>),
    /// Mirror by schedule and by webhook until it is told to stop
    Server(Box<mirror_server::Args>),
    /// Print the configuration as it is understood, without its secrets
    Config(ConfigArgs),
    /// List the tags of each repository, and why they are left out if they are
    Tags(Box<TagsArgs>),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
}

/// The file that says what is mirrored.
#[derive(clap::Args)]
pub struct ConfigArgs {
    /// The configuration, in the format of regsync; `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

impl ConfigArgs {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.config
    }
}

/// The part of the work that a process does.
#[derive(clap::Args)]
pub struct PartArgs {
    /// Do part I of N only, counted from 0 [default: JOB_COMPLETION_INDEX of REAPIFY_SHARDS, if both are set]
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// What the parts are cut by
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    shard_by: ShardChoice,
    /// How many images are done at once [default: the configuration's, or 48]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: Option<u16>,
}

#[derive(Clone, Copy, ValueEnum, Default)]
enum ShardChoice {
    /// The destination repository
    #[default]
    Repository,
    /// The destination repository and tag
    Tag,
}

#[derive(clap::Args)]
struct OnceArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Mirror only what the destination does not have at all
    #[arg(long, conflicts_with = "recheck")]
    missing: bool,
    /// Ask the destination for every part of what is unchanged, and send what it lacks
    #[arg(long)]
    recheck: bool,
    #[command(flatten)]
    files: mirror_lines::Files,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    network: NetworkOptions,
}

#[derive(clap::Args)]
struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    files: mirror_lines::Files,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    network: NetworkOptions,
}

#[derive(clap::Args)]
struct TagsArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    network: NetworkOptions,
}

/// Runs one of the commands.
pub async fn run(global: &Global, args: Args, console: &Console) -> Result<()> {
    match args.command {
        Command::Once(args) => {
            let effort = if args.missing { Effort::Missing } else { Effort::Changed };
            let loaded = Loaded::read(args.config.path(), console)?;
            let setup = Setup { network: &args.network, part: &args.part, effort, recheck: args.recheck };
            once(global, &loaded, &setup, &args.files, console).await
        }
        Command::Check(args) => {
            let loaded = Loaded::read(args.config.path(), console)?;
            let setup =
                Setup { network: &args.network, part: &args.part, effort: Effort::Check, recheck: false };
            once(global, &loaded, &setup, &args.files, console).await
        }
        Command::Server(args) => mirror_server::run(global, *args, console).await,
        Command::Config(args) => show(global, &Loaded::read(args.path(), console)?.config),
        Command::Tags(args) => {
            let loaded = Loaded::read(args.config.path(), console)?;
            tags(global, &loaded, &args.network, console).await
        }
        Command::Schema => {
            let schema = serde_json::to_string_pretty(&config::schema())
                .map_err(|e| Error::other(format!("the schema: {e}")))?;
            output::result(&schema, false)
        }
    }
}

/// A configuration with its entries ready to be run.
pub struct Loaded {
    pub config: Config,
    pub rules: Vec<Arc<Rule>>,
}

impl Loaded {
    /// Reads a configuration and says what its author should know.
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
        let (rules, notes) = Rule::all(&loaded.config, &name, &given_reapers)?;
        for note in notes {
            console.note(&format!("note: {note}"));
        }
        Ok(Loaded { config: loaded.config, rules })
    }
}

/// The environment and the files that a configuration may ask for.
struct World;

impl Outside for World {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> std::result::Result<String, String> {
        std::fs::read_to_string(path).map_err(|e| e.to_string())
    }
}

/// How a pass is set up.
pub struct Setup<'a> {
    pub network: &'a NetworkOptions,
    pub part: &'a PartArgs,
    pub effort: Effort,
    pub recheck: bool,
}

impl Setup<'_> {
    /// What the images of a run share.
    pub fn shared(&self, config: &Config, stats: &Arc<Stats>) -> Shared {
        let options = client_options(self.network, stats.clone());
        let hosts = Hosts::new(config, options, self.network.hosts(), self.network.store());
        Shared {
            hosts,
            commons: Arc::new(Commons::new(STREAMS)),
            effort: self.effort,
            recheck: self.recheck,
            sinks: Default::default(),
            rechecked: Default::default(),
        }
    }

    /// The part of the work that this process does.
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

    /// How many images are done at once.
    pub fn parallel(&self, config: &Config) -> usize {
        self.part.parallel.map(usize::from).or(config.parallel).unwrap_or(PARALLEL)
    }
}

async fn once(
    global: &Global,
    loaded: &Loaded,
    setup: &Setup<'_>,
    files: &mirror_lines::Files,
    console: &Console,
) -> Result<()> {
    let stats = Arc::new(Stats::default());
    let mut lines = Lines::open(files, global)?;
    let shared = Arc::new(setup.shared(&loaded.config, &stats));
    let pass = Pass {
        rules: loaded.rules.clone(),
        all: loaded.rules.clone(),
        shared: shared.clone(),
        part: setup.work()?,
        parallel: setup.parallel(&loaded.config),
    };
    let work = async {
        pass.run(&mut |line| lines.tell(&line)).await;
        Ok(())
    };
    let outcome = interruptible(work, async || shared.sinks.release().await).await;
    lines.summary.add_requests(Stats::get(&stats.requests));
    console.note(&lines.summary.to_string());
    lines.close()?;
    outcome?;
    if let Some(failure) = lines.summary.failure() {
        return Err(failure);
    }
    match setup.effort {
        Effort::Check if lines.summary.pending > 0 => {
            let pending = lines.summary.pending;
            Err(Error::new(Kind::Check, format!("{pending} images would change"))
                .hint("run `reapify mirror once` to change them"))
        }
        _ => Ok(()),
    }
}

fn show(global: &Global, config: &Config) -> Result<()> {
    match global.output {
        Format::Json => output::result(&config.to_json(), false),
        _ => output::raw(&config.to_yaml()),
    }
}

/// A tag in JSON.
#[derive(serde::Serialize)]
struct TagLine<'a> {
    entry: usize,
    source: String,
    destination: Option<String>,
    selected: bool,
    reason: Option<&'a str>,
}

async fn tags(global: &Global, loaded: &Loaded, network: &NetworkOptions, console: &Console) -> Result<()> {
    let options = client_options(network, Arc::default());
    let hosts = Hosts::new(&loaded.config, options, network.hosts(), network.store());
    let mut failed = 0;
    for rule in &loaded.rules {
        let listed = async {
            for (source, target) in repositories(rule, &hosts).await? {
                let place = Place::open(rule.clone(), source, target, &hosts).await?;
                let own = results(&loaded.rules, &place.source);
                for listed in place.tags(&hosts, &own).await? {
                    let source = place.source.with_tag(&listed.tag)?;
                    let line = TagLine {
                        entry: rule.entry.position,
                        destination: rule.destination(&source).ok().map(|name| name.to_string()),
                        source: source.to_string(),
                        selected: listed.refused.is_none(),
                        reason: listed.refused.as_deref(),
                    };
                    tell_tag(global, &line)?;
                }
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = listed.await {
            failed += 1;
            console.error(&error.context(format!("entry {}", rule.entry.position)), Some(&rule.entry.source));
        }
    }
    match failed {
        0 => Ok(()),
        n => Err(Error::new(
            Kind::Partial,
            format!("{n} of {} entries could not be listed", loaded.rules.len()),
        )),
    }
}

fn tell_tag(global: &Global, line: &TagLine<'_>) -> Result<()> {
    if global.output == Format::Json {
        return output::result(&crate::image::json::to_json(line)?, false);
    }
    let text = match (&line.reason, &line.destination) {
        (Some(reason), _) => format!("{}: {reason}", line.source),
        (None, Some(destination)) => format!("{} -> {destination}", line.source),
        (None, None) => line.source.clone(),
    };
    output::result(&printable(&text), false)
}

//! `reapify mirror`: passes, checks, and commands that show a configuration.

use super::interrupt::interruptible;
use super::mirror_lines::Lines;
use super::mirror_server;
use super::mirror_setup::{ConfigArgs, Loaded, PassArgs, Setup};
use super::options::{Format, Global, NetworkOptions};
use super::output::{self, Console};
use super::progress::{Counts, Facts};
use crate::error::{Error, Kind, Result};
use crate::image::json::to_json;
use crate::mirror::config::{self, Config};
use crate::mirror::{Action, Effort, Hosts, Pass, Place, Results, repositories};
use crate::plural::counted;
use crate::stats::Stats;
use crate::unseen::printable;
use clap::Subcommand;
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one pass: mirror new and changed images
    Once(Box<OnceArgs>),
    /// Show what `once` would change; exit with 8 if anything would
    Check(Box<PassArgs>),
    /// Mirror by schedule and by webhook, until a signal stops it
    Server(Box<mirror_server::Args>),
    /// Print the effective configuration, without its secrets
    Config(ConfigArgs),
    /// List the tags of each repository, with the reason if they are excluded
    Tags(Box<TagsArgs>),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
}

#[derive(clap::Args)]
struct OnceArgs {
    /// Mirror only images that the destination does not have in any version
    #[arg(long, conflicts_with = "recheck")]
    missing: bool,
    /// Check every part of unchanged images at the destination, and send missing ones
    #[arg(long)]
    recheck: bool,
    #[command(flatten)]
    pass: PassArgs,
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
            once(global, &args.pass, effort, args.recheck, console).await
        }
        Command::Check(args) => once(global, &args, Effort::Check, false, console).await,
        Command::Server(args) => mirror_server::run(global, *args, console).await,
        Command::Config(args) => show(global, &Loaded::read(args.path(), console)?.config),
        Command::Tags(args) => {
            let loaded = Loaded::read(args.config.path(), console)?;
            tags(global, &loaded, &args.network, console).await
        }
        Command::Schema => {
            let schema = serde_json::to_string_pretty(&config::schema())
                .map_err(|e| Error::other(format!("the schema: {e}")))?;
            output::json(&schema, false)
        }
    }
}

async fn once(
    global: &Global,
    args: &PassArgs,
    effort: Effort,
    recheck: bool,
    console: &Console,
) -> Result<()> {
    let loaded = Loaded::read(args.config.path(), console)?;
    let setup = Setup {
        network: &args.network,
        part: &args.part,
        effort,
        recheck,
        rechecked: Default::default(),
        sinks: Default::default(),
    };
    let stats = Arc::new(Stats::default());
    let mut lines = Lines::open(&args.files, global, true)?;
    let shared = Arc::new(setup.shared(&loaded.config, &stats));
    let pass = Pass {
        rules: loaded.rules.clone(),
        all: loaded.rules.clone(),
        results: Arc::new(Results::new(&loaded.rules)),
        shared: shared.clone(),
        part: setup.work()?,
        parallel: setup.parallel(&loaded.config),
    };
    let counts = Arc::new(Counts::default());
    let progress = global.show({
        let (counts, shared_state) = (counts.clone(), shared.shared_state.clone());
        move || Facts {
            blobs: shared_state.transfers().snapshot(),
            images: Some(counts.images(None)),
            pulled: 0,
        }
    });
    let work = async {
        pass.run(&mut |line| {
            counts.add(line.action == Action::Failed);
            lines.add(&line);
        })
        .await;
        Ok(())
    };
    let outcome = interruptible(work, async || shared.sinks.release().await).await;
    drop(progress);
    lines.summary.add_requests(Stats::get(&stats.requests));
    console.note(&lines.summary.to_string());
    lines.close(outcome.is_ok())?;
    outcome?;
    if let Some(failure) = lines.summary.failure(effort) {
        return Err(failure);
    }
    match lines.summary.pending {
        0 => Ok(()),
        pending => Err(Error::new(Kind::Check, format!("{} would change", counted(pending, "image")))
            .hint("run `reapify mirror once` to change them")),
    }
}

fn show(global: &Global, config: &Config) -> Result<()> {
    match global.output {
        Format::Json => output::json(&config.to_json(), false),
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
    let options = network.client(Arc::default());
    let hosts = Hosts::new(&loaded.config, options, network.hosts(), network.store());
    let results = Results::new(&loaded.rules);
    let mut failed = 0;
    for rule in &loaded.rules {
        let listed = async {
            for (source, target) in repositories(rule, &hosts).await? {
                let place = Place::open(rule.clone(), source, target, &hosts).await?;
                let own = results.of(&place.source);
                for listed in place.tags(&hosts, &own).await? {
                    let source = place.source.with_tag(&listed.tag)?;
                    let line = TagLine {
                        entry: rule.entry.position,
                        destination: rule.destination(&source).ok().map(|name| name.to_string()),
                        source: source.to_string(),
                        selected: listed.refused.is_none(),
                        reason: listed.refused.as_deref(),
                    };
                    print_tag(global, &line)?;
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

fn print_tag(global: &Global, line: &TagLine<'_>) -> Result<()> {
    if global.output == Format::Json {
        return output::json(&to_json(line)?, false);
    }
    let text = match (&line.reason, &line.destination) {
        (Some(reason), _) => format!("{}: {reason}", line.source),
        (None, Some(destination)) => format!("{} -> {destination}", line.source),
        (None, None) => line.source.clone(),
    };
    output::result(&printable(&text), false)
}

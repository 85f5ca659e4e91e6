//! `reapify wrap`

use super::interrupt::interruptible;
use super::options::{DestinationOptions, Global, PlatformOptions, SourceOptions};
use super::output::{Console, DigestFile, Outcome};
use super::places::{self, Places};
use super::progress::Facts;
use crate::engine::report::Report;
use crate::engine::{self, Attestations, Commons, Job, Task, Unsupported};
use crate::error::{Context, Error, Result};
use crate::image::media_type::Family;
use crate::image::{ImagePath, Location, Platform};
use crate::reapers::Reapers;
use crate::rewrite::{Format, IfInit, Policy};
use crate::stats::Stats;
use clap::ValueEnum;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Instant;

/// How many large blobs stream at once: more are no faster, and each takes 2 MB of memory.
pub const STREAMS: usize = 4;

#[derive(clap::Args)]
pub struct Args {
    /// The image to wrap
    source: String,
    /// Where the result goes; the same name as the source to wrap it in place
    destination: String,
    /// Where the reaper goes in the image; for any but the default its layers are read
    #[arg(long, value_name = "PATH", default_value = crate::rewrite::DEFAULT_PATH)]
    path: String,
    /// Replace a file that the image has at --path
    #[arg(long)]
    replace: bool,
    /// Wrap with this program instead of the built-in reaper: static, for Linux; may be repeated
    #[arg(long, value_name = "[PLATFORM=]FILE")]
    reaper: Vec<String>,
    /// An option for the reaper, kept in the image; may be repeated
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    reaper_arg: Vec<String>,
    /// How long what the main process leaves behind may take to stop before it is killed
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "reaper")]
    grace: Option<String>,
    /// Send signals to the main process's whole group
    #[arg(long, conflicts_with = "reaper")]
    group: bool,
    /// Turn a signal into another before it is forwarded, as in TERM:INT; may be repeated
    #[arg(long, value_name = "FROM:TO", conflicts_with = "reaper")]
    rewrite: Vec<String>,
    /// What to do with an image that starts with an init of its own
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    if_init: InitChoice,
    #[command(flatten)]
    only: PlatformOptions,
    /// What to do with attestations of images that are rewritten
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    attestations: AttestationChoice,
    /// Media types of the result's manifests; what was another is restored by unwrap
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    format: FormatChoice,
    /// Put an in-toto statement of what was done beside the result, as its referrer
    #[arg(long, conflicts_with = "dry_run")]
    provenance: bool,
    /// Fail if an image of an index cannot be wrapped, instead of carrying it over
    #[arg(long)]
    strict: bool,
    /// Ask the destination for every blob of what it holds already, and send those that it lacks
    #[arg(long)]
    recheck: bool,
    /// Show what would change and what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    from: SourceOptions,
    #[command(flatten)]
    to: DestinationOptions,
}

#[derive(Clone, Copy, ValueEnum, Default)]
enum InitChoice {
    /// Copy it unchanged, and say so
    #[default]
    Skip,
    /// Wrap it like any other
    Wrap,
}

#[derive(Clone, Copy, ValueEnum, Default)]
enum FormatChoice {
    /// Those of the source
    #[default]
    Keep,
    /// The OCI's
    Oci,
    /// Docker's
    Docker,
}

#[derive(Clone, Copy, ValueEnum, Default)]
enum AttestationChoice {
    /// Leave them out: they describe bytes that are no more
    #[default]
    Drop,
    /// Carry them over unchanged
    Keep,
}

impl Args {
    /// The image that the command is about.
    pub fn image(&self) -> &str {
        &self.source
    }

    /// The reaper's options: the friendly ones first, then those given as they are.
    fn reaper_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        if let Some(seconds) = &self.grace {
            args.extend(["-t".to_string(), seconds.clone()]);
        }
        if self.group {
            args.push("-g".into());
        }
        for rewrite in &self.rewrite {
            args.extend(["-r".to_string(), rewrite.clone()]);
        }
        args.extend(self.reaper_arg.iter().cloned());
        args
    }

    fn task(&self) -> Result<engine::Wrap> {
        let path = ImagePath::of_program(&self.path)?;
        let reapers = given_reapers(&self.reaper)?;
        let args = self.reaper_args();
        if self.reaper.is_empty() {
            check_args(&args)?;
        }
        Ok(engine::Wrap {
            reapers,
            policy: Policy {
                path,
                args,
                if_init: match self.if_init {
                    InitChoice::Skip => IfInit::Skip,
                    InitChoice::Wrap => IfInit::Wrap,
                },
                format: match self.format {
                    FormatChoice::Keep => Format::Keep,
                    FormatChoice::Oci => Format::Oci,
                    FormatChoice::Docker => Format::Docker,
                },
            },
            attestations: match self.attestations {
                AttestationChoice::Drop => Attestations::Drop,
                AttestationChoice::Keep => Attestations::Keep,
            },
            platforms: self.only.platforms()?,
            replace: self.replace,
            strict: self.strict,
            unsupported: Unsupported::Fail,
        })
    }
}

/// The built-in reapers, and those given with `--reaper [PLATFORM=]FILE`.
pub fn given_reapers(given: &[String]) -> Result<Reapers> {
    let mut reapers = Reapers::default();
    for given in given {
        let (platform, file) = match given.split_once('=') {
            Some((platform, file)) if !platform.contains('.') => (Some(platform.parse::<Platform>()?), file),
            _ => (None, given.as_str()),
        };
        let program = std::fs::read(file).map_err(|e| Error::other(format!("--reaper {file}: {e}")))?;
        reapers.add(platform.as_ref(), program.into()).context(|| format!("--reaper {file}"))?;
    }
    Ok(reapers)
}

/// What `--grace` takes: seconds, as the reaper reads them.
fn seconds(text: &str) -> std::result::Result<String, String> {
    match reaper::parse([b"-t".as_slice(), text.as_bytes()].into_iter()) {
        Ok(_) => Ok(text.into()),
        Err(_) => Err("give seconds, with up to three decimals, as in 3 or 0.25".into()),
    }
}

/// The built-in reaper's own parser says whether it will take the options: here, not in a pod at night.
fn check_args(args: &[String]) -> Result<()> {
    let words: Vec<&[u8]> = args.iter().map(|a| a.as_bytes()).collect();
    let parsed = reaper::parse(words.iter().copied()).map_err(|e| {
        Error::usage(format!("the reaper does not take these options: {e}")).hint(
            "it takes -g, -t SECONDS, -r FROM:TO, -e CODE, -p SIGNAL, -s, -w and -v; see also --group, --grace and --rewrite",
        )
    })?;
    if parsed.consumed != words.len()
        || parsed.request != reaper::Request::Run
        || args.iter().any(|a| a == "--")
    {
        return Err(Error::usage(format!("these are not only options for the reaper: {}", args.join(" ")))
            .hint("give each option, and its value, in a --reaper-arg of its own; the command stays that of the image"));
    }
    Ok(())
}

pub async fn run(global: &Global, args: Args, console: &Console) -> Result<()> {
    let task = Task::Wrap(args.task()?);
    let places = (args.source.parse::<Location>()?, Location::destination(&args.destination)?);
    let mode = Mode { dry_run: args.dry_run, provenance: args.provenance, recheck: args.recheck };
    transform(global, task, places, &args.from, &args.to, mode, console).await
}

/// How a task is done.
#[derive(Clone, Copy, Default)]
pub struct Mode {
    pub dry_run: bool,
    pub provenance: bool,
    pub recheck: bool,
}

/// What `wrap` and `unwrap` have in common: all but the task.
pub async fn transform(
    global: &Global,
    task: Task,
    (source, destination): (Location, Location),
    from: &SourceOptions,
    to: &DestinationOptions,
    mode: Mode,
    console: &Console,
) -> Result<()> {
    let begun = Instant::now();
    if destination.is_pipe() && !mode.dry_run && std::io::stdout().is_terminal() {
        return Err(Error::usage("standard output is a terminal, and the image would be written to it")
            .hint("redirect standard output to a file or a pipe"));
    }
    let digest_file = DigestFile::open(to.digest_file.as_deref().filter(|_| !mode.dry_run))?;
    if source.is_pipe() && to.takes_stdin() {
        return Err(places::stdin_twice());
    }
    let (stats, commons) = (Arc::new(Stats::default()), Arc::new(Commons::new(STREAMS)));
    let progress = global.show({
        let (stats, commons) = (stats.clone(), commons.clone());
        move || Facts {
            blobs: commons.transfers().snapshot(),
            images: None,
            pulled: Stats::get(&stats.bytes_pulled),
        }
    });
    let mut places = Places::new(&from.network, stats.clone());
    // The destination first: its scope leads in the request for a token.
    let sink = places.sink(&destination, &source, to, mode.dry_run).await?;
    let job = Job {
        source: places.source(&source, from).await?,
        sink: sink.clone(),
        in_place: places::same(&source, &destination),
        task,
        provenance: mode.provenance,
        recheck: mode.recheck,
        referrers: mode.provenance || global.verbose > 0,
        frugal: false,
        only: None,
        permit: None,
        commons,
        stats: stats.clone(),
    };
    sink.inherit(job.source.names().await?);
    let work = async {
        Ok(match mode.dry_run {
            true => job.dry_run().await.map(|(report, changes)| (report, Some(changes)))?,
            false => (job.run().await?, None),
        })
    };
    let done = interruptible(work, async || sink.release().await).await;
    drop(progress);
    let (mut report, changes) = done.map_err(|error| places::located(error, &source, &[&destination]))?;
    report.notes.extend(unseen(&report, &destination));
    let outcome = Outcome {
        source: &source,
        destination: &destination,
        report: &report,
        stats: &stats,
        elapsed: begun.elapsed(),
        changes: changes.as_ref(),
    };
    outcome.tell(global.output, digest_file, console)
}

/// What will not read the result where it is.
fn unseen(report: &Report, destination: &Location) -> Option<String> {
    let is_layout = matches!(destination, Location::Layout { .. } | Location::OciArchive { .. });
    (is_layout && report.family == Family::Docker).then(|| {
        "skopeo and umoci do not find images with Docker's media types in an OCI layout; \
         wrap with --format oci if they should"
            .into()
    })
}

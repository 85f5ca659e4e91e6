//! `reapify wrap`

use super::batch;
use super::options::{
    DestinationOptions, Global, PlatformOptions, ReplaceOptions, ResultOptions, SourceOptions,
};
use super::output::Console;
use super::places::Logins;
use super::suggest;
use super::transform::{Mode, Transform};
use super::values::{AnyText, TRANSPORTS};
use crate::engine::{self, Attestations, Task, Unsupported};
use crate::error::{Context, Error, Result};
use crate::image::{ImagePath, Location, Platform};
use crate::reapers::Reapers;
use crate::rewrite::{Format, IfInit, Policy};
use clap::ValueEnum;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Args {
    /// The image to wrap
    #[arg(required_unless_present = "batch", conflicts_with = "batch", value_parser = AnyText(&TRANSPORTS))]
    #[arg(hide_possible_values = true)]
    source: Option<String>,
    /// The name of the result; the source's own name to wrap it in place
    #[arg(required_unless_present = "batch", conflicts_with = "batch", value_parser = AnyText(&TRANSPORTS))]
    #[arg(hide_possible_values = true)]
    destination: Option<String>,
    /// Wrap all images in this list, `SOURCE DESTINATION` per line; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["digest_file", "backup"])]
    batch: Option<PathBuf>,
    /// Number of images of a list to wrap at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    #[arg(conflicts_with = "source")]
    parallel: u16,
    /// Path of the reaper in the image; a path other than the default requires reading the image's layers
    #[arg(long, value_name = "PATH", default_value = crate::rewrite::DEFAULT_PATH)]
    path: String,
    /// Replace a file that the image has at --path
    #[arg(long)]
    replace: bool,
    /// Use this program instead of the built-in reaper: a static Linux program; may be repeated
    #[arg(long, value_name = "[PLATFORM=]FILE")]
    reaper: Vec<String>,
    /// Extra option for the reaper, stored in the entrypoint; may be repeated
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    reaper_arg: Vec<String>,
    /// Time between SIGTERM and SIGKILL for processes that remain when the main process exits
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true, conflicts_with = "reaper")]
    grace: Option<String>,
    /// Forward signals to the whole process group of the main process
    #[arg(long, conflicts_with = "reaper")]
    group: bool,
    /// Translate a signal before forwarding it, as in TERM:INT; may be repeated
    #[arg(long, value_name = "FROM:TO", value_parser = translation, conflicts_with = "reaper")]
    rewrite: Vec<String>,
    /// What to do if the image already starts with an init
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    if_init: InitChoice,
    #[command(flatten)]
    only: PlatformOptions,
    /// What to do with the attestations of rewritten images
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    attestations: AttestationChoice,
    /// Media types of the result; unwrap restores the original ones
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    format: FormatChoice,
    /// Attach a provenance statement (in-toto, SLSA v1) to the result as a referrer
    #[arg(long, conflicts_with = "dry_run")]
    provenance: bool,
    /// Fail if a Linux image of an index cannot be wrapped, instead of copying it unchanged
    #[arg(long)]
    strict: bool,
    /// Check every blob of an image that the destination already has, and send missing ones
    #[arg(long)]
    recheck: bool,
    /// Show what would change and what would be sent, without sending anything
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    replace_image: ReplaceOptions,
    #[command(flatten)]
    from: SourceOptions,
    #[command(flatten)]
    to: DestinationOptions,
    #[command(flatten)]
    result: ResultOptions,
}

#[derive(Clone, Copy, ValueEnum, Default)]
enum InitChoice {
    /// Copy the image unchanged, and report the reason
    #[default]
    Skip,
    /// Wrap the image anyway
    Wrap,
}

#[derive(Clone, Copy, ValueEnum, Default)]
enum FormatChoice {
    /// The source's media types
    #[default]
    Keep,
    /// OCI media types
    Oci,
    /// Docker media types
    Docker,
}

#[derive(Clone, Copy, ValueEnum, Default)]
enum AttestationChoice {
    /// Drop them: they describe the image before it was changed
    #[default]
    Drop,
    /// Copy them unchanged
    Keep,
}

impl Args {
    /// Returns the image that the command is about.
    pub fn image(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Returns the reaper's options: those with named options first, then the extra ones.
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

    /// Returns how to run the task for an image with these ends, or for a list. `takes_stdin` states that the image or
    /// the list comes from standard input.
    fn transform<'a>(
        &'a self,
        global: &'a Global,
        ends: Option<&(Location, Location)>,
        takes_stdin: bool,
    ) -> Result<Transform<'a>> {
        Ok(Transform {
            global,
            task: Task::Wrap(self.task()?),
            mode: Mode { dry_run: self.dry_run, provenance: self.provenance, recheck: self.recheck },
            network: &self.from.network,
            logins: Logins::read(&self.from, &self.to, ends, takes_stdin)?,
            replace: &self.replace_image,
            shared_state: Arc::default(),
        })
    }
}

/// Returns the built-in reapers, and those given with `--reaper [PLATFORM=]FILE`.
pub fn given_reapers(given: &[String]) -> Result<Reapers> {
    let mut reapers = Reapers::default();
    for given in given {
        let (platform, file) = match given.split_once('=') {
            Some((platform, file)) if !platform.contains('.') => (Some(platform.parse::<Platform>()?), file),
            _ => (None, given.as_str()),
        };
        let program = std::fs::read(file).map_err(|e| Error::usage(format!("--reaper {file}: {e}")))?;
        reapers.add(platform.as_ref(), program.into()).context(|| format!("--reaper {file}"))?;
    }
    Ok(reapers)
}

/// Parses `--grace` as the reaper does: as seconds.
fn seconds(text: &str) -> std::result::Result<String, String> {
    match reaper::parse([b"-t".as_slice(), text.as_bytes()].into_iter()) {
        Ok(_) => Ok(text.into()),
        Err(_) => Err("use seconds with up to three decimals, as in 3 or 0.25".into()),
    }
}

/// Parses `--rewrite` as the reaper does: as two signals.
fn translation(text: &str) -> std::result::Result<String, String> {
    match reaper::parse([b"-r".as_slice(), text.as_bytes()].into_iter()) {
        Ok(_) => Ok(text.into()),
        Err(_) => {
            let mut words = text.splitn(2, ':').filter(|_| text.contains(':'));
            let unknown = words.find(|word| reaper::signal::Signal::parse(word.as_bytes()).is_none());
            let unknown = unknown.map(|word| format!("unknown signal {word:?}; ")).unwrap_or_default();
            Err(format!("{unknown}use two signals, as in TERM:INT"))
        }
    }
}

/// Checks options with the built-in reaper's own parser, so that a mistake is found here and not at the start
/// of a container.
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
        return Err(Error::usage(format!("--reaper-arg accepts only options of the reaper: {}", args.join(" ")))
            .hint("use a separate --reaper-arg for each option and for its value; the image's own command cannot be changed"));
    }
    Ok(())
}

pub async fn run(global: &Global, args: Args, console: &Console) -> Result<()> {
    match (&args.source, &args.destination, &args.batch) {
        (_, _, Some(list)) => {
            let transform = args.transform(global, None, batch::is_stdin(list))?;
            batch::run(&transform, batch::read(list)?, args.parallel.into(), console).await
        }
        (Some(source), Some(destination), None) => {
            let places = (suggest::location(source)?, suggest::destination(destination)?);
            let transform = args.transform(global, Some(&places), places.0.is_pipe())?;
            transform.one(places, args.result.digest_file.as_deref(), console).await
        }
        _ => Err(Error::usage("missing the source and the destination")),
    }
}

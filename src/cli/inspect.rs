//! `reapify inspect`

use super::inspect_text;
use super::interrupt::interruptible;
use super::options::{CREDS_HELP, Format, Global, PlatformOptions, SRC_CREDS_HELP, SourceOptions};
use super::output::{Console, json, result};
use super::places;
use super::progress::Facts;
use super::suggest;
use super::values::{AnyText, TRANSPORTS};
use crate::error::{Error, Kind, Result};
use crate::image::Location;
use crate::image::json::to_json;
use crate::inspect::report::{PlatformReport, Report};
use crate::inspect::{self, Action, Answer};
use crate::layers::Cache;
use crate::places::Places;
use crate::stats::Stats;
use clap::ValueEnum;
use futures_util::StreamExt;
use futures_util::stream;
use std::sync::Arc;

#[derive(clap::Args)]
#[command(mut_arg("creds", |arg| arg.help(CREDS_HELP)), mut_arg("src_creds", |arg| arg.help(SRC_CREDS_HELP)))]
pub struct Args {
    /// The images to inspect; several are shown as a table
    #[arg(required = true, value_name = "IMAGE", value_parser = AnyText(&TRANSPORTS), hide_possible_values = true)]
    images: Vec<String>,
    #[command(flatten)]
    only: PlatformOptions,
    /// Exit with 8 if an image needs a reaper that wrap could add; with `strict` also if that is unknown
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "needed")]
    check: Option<Check>,
    /// Read only the config, and no layers
    #[arg(long)]
    shallow: bool,
    /// Do not use the cache of layer contents in $XDG_CACHE_HOME/reapify
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    from: SourceOptions,
}

/// The findings on which `--check` fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Check {
    /// A reaper is needed
    Needed,
    /// A reaper is needed, or it is unknown whether one is
    Strict,
}

impl Args {
    /// Returns the image that the command is about, if it is one.
    pub fn image(&self) -> Option<&str> {
        match &self.images[..] {
            [image] => Some(image),
            _ => None,
        }
    }
}

/// Fails if an image was meant as the value of `--check`, which only follows an equals sign.
fn check_of_words(args: &Args) -> Result<()> {
    let values = Check::value_variants().iter().filter_map(Check::to_possible_value);
    let names: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
    match args.images.iter().find(|image| names.contains(image)) {
        Some(word) if args.check.is_some() => {
            Err(Error::usage(format!("{word:?} is a value of --check, not the name of an image"))
                .hint(format!("write --check={word}; an image of this name is docker.io/library/{word}")))
        }
        _ => Ok(()),
    }
}

pub async fn run(global: &Global, args: Args, console: &Console) -> Result<()> {
    check_of_words(&args)?;
    let locations =
        args.images.iter().map(|text| suggest::location(text)).collect::<Result<Vec<Location>>>()?;
    let wanted = args.only.platforms()?;
    let cache = Cache::of_user().filter(|_| !args.no_cache);
    let login = places::login_of_all(&args.from, &locations)?;
    let stats = Arc::new(Stats::default());
    let mut places = Places::new(args.from.network.network(stats.clone())?);
    let progress = global.show(move || Facts { pulled: Stats::get(&stats.bytes_pulled), ..Facts::default() });
    let mut sources = Vec::new();
    for location in &locations {
        sources.push((location, places.source(location, login.clone()).await));
    }
    let (wanted, cache) = (&wanted, (!args.shallow).then_some(&cache));
    let looking = sources.into_iter().map(async |(location, source)| {
        let looked = async { inspect::image(location, source?, wanted, cache).await };
        looked.await.map_err(|error| places::located(error, location, &[]))
    });
    let all = async { Ok(stream::iter(looking).buffered(places::TOGETHER).collect::<Vec<_>>().await) };
    let mut looked = interruptible(all, async || {}).await?;
    for (outcome, location) in looked.iter_mut().zip(&locations) {
        if let Err(error) = outcome {
            *error = places::explained(&places, error.clone(), location).await;
        }
    }
    drop(progress);
    print(global, &args, looked, console)
}

/// Prints the reports, and fails with the last error or with the outcome of `--check`.
fn print(global: &Global, args: &Args, looked: Vec<Result<Report>>, console: &Console) -> Result<()> {
    let is_alone = looked.len() == 1;
    let (mut reports, mut failures) = (Vec::new(), Vec::new());
    for (outcome, image) in looked.into_iter().zip(&args.images) {
        match outcome {
            Ok(report) => reports.push(report),
            Err(error) => failures.push((error, image)),
        }
    }
    let last = failures.pop();
    for (error, image) in failures {
        console.error(&error, Some(image));
    }
    match global.output {
        // One object per image, each on its own line.
        Format::Json => {
            for report in &reports {
                json(&to_json(report)?, false)?;
            }
        }
        Format::Text | Format::Sarif if is_alone => {
            reports.iter().try_for_each(|report| result(&inspect_text::of(report), false))?;
        }
        Format::Text | Format::Sarif if reports.is_empty() => {}
        Format::Text | Format::Sarif => result(&inspect_text::table(&reports), false)?,
    }
    match (last, args.check) {
        (Some((error, image)), _) => {
            console.set_last(image);
            Err(error)
        }
        (None, Some(check)) => checked(&reports, check),
        (None, None) => Ok(()),
    }
}

fn checked(reports: &[Report], check: Check) -> Result<()> {
    let answers = |image: &PlatformReport| [image.orphans_reaped, image.term_reaches_service];
    let is_needed = |image: &PlatformReport| {
        answers(image).iter().any(|answer| matches!(answer, Answer::No | Answer::Depends))
    };
    let is_unclear = |image: &PlatformReport| {
        check == Check::Strict && !is_needed(image) && answers(image).contains(&Answer::Unknown)
    };
    let (needed, unclear) = (lacking(reports, is_needed), lacking(reports, is_unclear));
    let message = match (&needed[..], &unclear[..]) {
        ("", "") => return Ok(()),
        ("", unclear) => format!("it is unknown whether a reaper is needed in {unclear}"),
        (needed, "") => format!("a reaper is needed in {needed}"),
        (needed, unclear) => {
            format!("a reaper is needed in {needed}; it is unknown whether one is needed in {unclear}")
        }
    };
    let wrap = (!needed.is_empty()).then_some("run `reapify wrap` to add it");
    // The table of several images has no reasons.
    let reasons = (reports.len() > 1).then_some("`reapify inspect` of a single image gives the reasons");
    let hints: Vec<&str> = wrap.into_iter().chain(reasons).collect();
    let error = Error::new(Kind::Check, message);
    Err(if hints.is_empty() { error } else { error.hint(hints.join("; ")) })
}

/// Returns the names of the images that wrap could change and for which the condition holds.
fn lacking(reports: &[Report], condition: impl Fn(&PlatformReport) -> bool) -> String {
    let images = reports.iter().flat_map(|report| report.platforms.iter().map(move |image| (report, image)));
    let lacking = images.filter(|(_, image)| image.recommendation.action == Action::Wrap && condition(image));
    lacking
        .map(|(report, image)| format!("{} for {}", report.image, image.platform))
        .collect::<Vec<_>>()
        .join(", ")
}

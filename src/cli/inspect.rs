//! `reapify inspect`

use super::interrupt::interruptible;
use super::options::{Format, Global, PlatformOptions, SourceOptions};
use super::output::{Console, printable, result};
use super::places::{self, Places};
use crate::error::{Error, Kind, Result};
use crate::image::{Descriptor, Location, Manifest, Platform};
use crate::inspect::{Findings, inspect};
use crate::read::select::{self, Selection};
use crate::read::{Reader, Tree};
use crate::reapers::Reapers;
use crate::stats::Stats;
use crate::transport::{Referrer, Source};
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Args {
    /// The image to look at
    image: String,
    #[command(flatten)]
    only: PlatformOptions,
    /// Exit with 8 if any image that wrap could wrap has a PID 1 that does not reap
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    from: SourceOptions,
}

impl Args {
    /// The image that the command is about.
    pub fn image(&self) -> &str {
        &self.image
    }
}

pub async fn run(global: &Global, args: Args, _console: &Console) -> Result<()> {
    let location: Location = args.image.parse()?;
    let wanted = args.only.platforms()?;
    let mut places = Places::new(&args.from.network, Arc::new(Stats::default()));
    let source = places.source(&location, &args.from).await?;
    let looking = look(source, &wanted);
    let (manifest, findings, referrers) =
        interruptible(looking, async || {}).await.map_err(|e| places::located(e, &location, &[]))?;
    let text = match global.output {
        Format::Json => json_of(&location, &manifest, &findings, &referrers).to_string(),
        Format::Text => text_of(&location, &manifest, &findings, &referrers),
    };
    result(&text, false)?;
    let bad: Vec<String> = findings
        .iter()
        .filter(|f| f.is_wrappable && !f.pid1.reaps())
        .map(|f| f.platform.to_string())
        .collect();
    if args.check && !bad.is_empty() {
        return Err(Error::new(
            Kind::Check,
            format!("{location}: nothing reaps as PID 1 for {}", bad.join(", ")),
        )
        .hint("reapify wrap puts a reaper there"));
    }
    Ok(())
}

async fn look(
    source: Arc<dyn Source>,
    wanted: &[Platform],
) -> Result<(Manifest, Vec<Findings>, Vec<Referrer>)> {
    let manifest = source.manifest().await?;
    let reader = Reader::new(source.clone());
    let selection = Selection::new(&reader, &manifest, wanted).await?;
    let may_be_image = |child: &Descriptor| {
        let is_unknown = child.platform.as_ref().is_some_and(Platform::is_unknown);
        child.is_manifest() && !child.is_attestation() && !is_unknown
    };
    let is_meant = |child: &Descriptor| may_be_image(child) && selection.keeps(child);
    let tree = reader.tree(manifest.clone(), &is_meant).await?;
    if matches!(tree, Tree::Other(_)) {
        return Err(crate::rewrite::artifact(manifest.artifact_type()));
    }
    if let Tree::Image(image, _) = &tree {
        select::check_alone(image.config.platform().ok(), wanted)?;
    }
    let reapers = Reapers::default();
    let findings: Vec<Findings> =
        tree.images().iter().map(|(image, listed)| inspect(image, listed.as_ref(), &reapers)).collect();
    if findings.is_empty() {
        return Err(Error::unsupported("the index holds no container image"));
    }
    let referrers = source.referrers(&manifest.digest).await?;
    Ok((manifest, findings, referrers))
}

fn text_of(
    location: &Location,
    manifest: &Manifest,
    findings: &[Findings],
    referrers: &[Referrer],
) -> String {
    let mut lines = vec![format!("{}@{}", location.without_target(), manifest.digest)];
    for image in findings {
        let mut row = |name: &str, value: String| lines.push(format!("  {name:<9}{}", printable(&value)));
        row("platform", image.platform.to_string());
        if findings.len() > 1 {
            row("digest", image.digest.to_string());
        }
        row("starts", image.command.join(" "));
        row("pid 1", image.pid1.describe());
        if let Some(record) = &image.record {
            row(
                "reaper",
                format!(
                    "{} {}",
                    image.reaper_version.as_deref().unwrap_or("of another build"),
                    record.reaper
                ),
            );
            row("wrapped", format!("from {}", record.source));
        }
        if let Some(user) = &image.user {
            row("user", user.clone());
        }
        if let Some(signal) = &image.stop_signal {
            row("stops on", signal.clone());
        }
        row("layers", image.layers.to_string());
    }
    lines.extend(referrers.iter().map(|r| format!("  refers   {}", printable(&r.to_string()))));
    lines.join("\n")
}

fn json_of(location: &Location, manifest: &Manifest, findings: &[Findings], referrers: &[Referrer]) -> Value {
    json!({
        "image": location.to_string(),
        "digest": manifest.digest,
        "media_type": manifest.media_type,
        "referrers": referrers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "platforms": findings.iter().map(|image| json!({
            "platform": image.platform.to_string(),
            "digest": image.digest,
            "command": image.command,
            "pid1": image.pid1.word(),
            "reaps": image.pid1.reaps(),
            "wrapped": image.record.is_some(),
            "reaper": image.record.as_ref().map(|record| json!({
                "digest": record.reaper,
                "version": image.reaper_version,
                "path": record.path,
                "args": record.args,
                "layer": record.layer,
                "source_digest": record.source,
                "recipe": record.recipe,
            })),
            "user": image.user.as_deref().unwrap_or_default(),
            "stop_signal": image.stop_signal,
            "layers": image.layers,
        })).collect::<Vec<_>>(),
    })
}

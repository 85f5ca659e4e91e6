//! `reapify verify`

use super::options::{Format, Global, SourceOptions};
use super::output::{Console, result};
use super::places::{self, Places};
use crate::error::Result;
use crate::image::Location;
use crate::stats::Stats;
use crate::verify::{Verified, verify};
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Args {
    /// The wrapped image
    image: String,
    /// Verify also that the image is, digest for digest, what wrapping this one gives
    #[arg(long, value_name = "IMAGE")]
    source: Option<String>,
    /// Read every blob to its end
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    from: SourceOptions,
}

pub async fn run(global: &Global, args: Args, console: &Console) -> Result<()> {
    let location: Location = args.image.parse()?;
    let expected = args.source.as_deref().map(str::parse::<Location>).transpose()?;
    let mut places = Places::new(&args.from.network, console, Arc::new(Stats::default()));
    let image = places.source(&location, &args.from).await?;
    let source = match &expected {
        Some(expected) => Some(places.source(expected, &args.from).await?),
        None => None,
    };
    let verifying = verify(image, source, args.deep);
    let verified =
        super::interruptible(verifying, async || {}).await.map_err(|e| places::located(e, &location, &[]))?;
    let text = match global.output {
        Format::Json => json_of(&location, &verified).to_string(),
        Format::Text => {
            for image in verified.images.iter().filter(|i| i.record.is_none()) {
                let reason = image.reason.as_deref().unwrap_or_default();
                console.note(&format!("not wrapped: {}: {reason}", image.digest));
            }
            format!("{}@{}", location.without_target(), verified.digest)
        }
    };
    result(&text, false)
}

fn json_of(location: &Location, verified: &Verified) -> Value {
    json!({
        "image": location.to_string(),
        "digest": verified.digest,
        "source_digest": verified.source_digest,
        "blobs_read": verified.blobs,
        "platforms": verified.images.iter().map(|image| json!({
            "platform": image.platform.as_ref().map(ToString::to_string),
            "digest": image.digest,
            "wrapped": image.record.is_some(),
            "reason": image.reason,
            "reaper": image.record.as_ref().map(|r| r.reaper.to_string()),
            "source_digest": image.record.as_ref().map(|r| r.source.to_string()),
        })).collect::<Vec<_>>(),
    })
}

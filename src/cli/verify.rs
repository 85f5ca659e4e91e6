//! `reapify verify`

use super::interrupt::interruptible;
use super::options::{ExpectedOptions, Format, Global, SourceOptions};
use super::output::{Console, result};
use super::places::{self, Places};
use super::wrap::given_reapers;
use crate::credentials::Login;
use crate::error::Result;
use crate::image::{Digest, Location};
use crate::reapers::Reapers;
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
    /// Expect this program as the reaper of its platform [default: one that is built in]; may be repeated
    #[arg(long, value_name = "[PLATFORM=]FILE")]
    reaper: Vec<String>,
    /// Read every blob to its end
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    from: SourceOptions,
    #[command(flatten)]
    expected: ExpectedOptions,
}

impl Args {
    /// The image that the command is about.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// The logins for the image and for its source. What was given for the image serves the source too where both are
    /// on one host, and goes to no other.
    fn logins(&self, image: &Location, source: Option<&Location>) -> Result<(Option<Login>, Option<Login>)> {
        let (of_image, of_source) = (self.from.given(), self.expected.given());
        let uses = [
            image.is_pipe(),
            source.is_some_and(Location::is_pipe),
            of_image.takes_stdin(),
            of_source.takes_stdin(),
        ];
        if uses.iter().filter(|used| **used).count() > 1 {
            return Err(places::stdin_twice());
        }
        let login = of_image.login()?;
        let other = match source {
            Some(source) if places::same_host(image, source) => of_source.login()?.or_else(|| login.clone()),
            Some(_) => of_source.login()?,
            None => None,
        };
        Ok((login, other))
    }
}

pub async fn run(global: &Global, args: Args, console: &Console) -> Result<()> {
    let location: Location = args.image.parse()?;
    let expected = args.source.as_deref().map(str::parse::<Location>).transpose()?;
    let mut places = Places::new(&args.from.network, Arc::new(Stats::default()));
    let (login, other) = args.logins(&location, expected.as_ref())?;
    let image = places.source_as(&location, login).await?;
    let source = match &expected {
        Some(expected) => Some(places.source_as(expected, other).await?),
        None => None,
    };
    let reapers = given_reapers(&args.reaper)?;
    let verifying = verify(image, source, &reapers, args.deep);
    let verified =
        interruptible(verifying, async || {}).await.map_err(|e| places::located(e, &location, &[]))?;
    let text = match global.output {
        Format::Json => json_of(&location, &verified, &reapers).to_string(),
        Format::Text | Format::Sarif => {
            for image in verified.images.iter().filter(|i| i.record.is_none()) {
                let reason = image.reason.as_deref().unwrap_or_default();
                console.note(&format!("not wrapped: {}: {reason}", image.digest));
            }
            for image in &verified.images {
                if let Some(record) = &image.record {
                    let is_ours = reapers.embedded().iter().any(|known| known.digest == record.reaper);
                    let whose = if is_ours { "built in" } else { "given" };
                    console.detail(&format!("{}: the reaper is {} ({whose})", image.digest, record.reaper));
                }
            }
            format!("{}@{}", location.without_target(), verified.digest)
        }
    };
    result(&text, false)
}

fn json_of(location: &Location, verified: &Verified, reapers: &Reapers) -> Value {
    let version = |digest: &Digest| reapers.all().find(|known| known.digest == *digest)?.version();
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
            "reaper_version": image.record.as_ref().and_then(|r| version(&r.reaper)),
            "reaper_is_built_in": image.record.as_ref().map(|r| reapers.embedded().iter().any(|known| known.digest == r.reaper)),
            "source_digest": image.record.as_ref().map(|r| r.source.to_string()),
        })).collect::<Vec<_>>(),
    })
}

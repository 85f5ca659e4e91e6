//! `reapify verify`

use super::interrupt::interruptible;
use super::options::{ExpectedOptions, Format, Global, SourceOptions};
use super::output::{Console, json, result};
use super::places;
use super::progress::Facts;
use super::suggest;
use super::values::{AnyText, TRANSPORTS};
use super::wrap::given_reapers;
use crate::credentials::Login;
use crate::error::Result;
use crate::image::json::to_json;
use crate::image::{Digest, Location};
use crate::places::Places;
use crate::reapers::Reapers;
use crate::stats::Stats;
use crate::verify::{Verified, VerifiedImage, verify};
use serde::Serialize;
use std::sync::Arc;

#[derive(clap::Args)]
#[command(mut_arg("creds", |arg| arg.help(
    "Credentials for both IMAGE and the image of --source; a missing password is asked for on a terminal"
)))]
#[command(mut_arg("src_creds", |arg| arg.help("Credentials for IMAGE")))]
#[command(mut_arg("src_password_stdin", |arg| arg.help("Read the password for IMAGE from standard input")))]
pub struct Args {
    /// The wrapped image
    #[arg(value_parser = AnyText(&TRANSPORTS), hide_possible_values = true)]
    image: String,
    /// Also verify that wrapping this image gives exactly IMAGE, digest for digest
    #[arg(long, value_name = "IMAGE", value_parser = AnyText(&TRANSPORTS), hide_possible_values = true)]
    source: Option<String>,
    /// Expect this program as the reaper of its platform [default: a built-in one]; may be repeated
    #[arg(long, value_name = "[PLATFORM=]FILE")]
    reaper: Vec<String>,
    /// Read and verify every blob
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    from: SourceOptions,
    #[command(flatten)]
    expected: ExpectedOptions,
}

impl Args {
    /// Returns the image that the command is about.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Returns the logins for the image and for its source. Credentials for the image are used for the source
    /// only if both are on the same host.
    fn logins(&self, image: &Location, source: Option<&Location>) -> Result<(Option<Login>, Option<Login>)> {
        let (of_image, of_source) = (self.from.given(), self.expected.given(&self.from));
        let uses = [
            image.is_pipe(),
            source.is_some_and(Location::is_pipe),
            of_image.takes_stdin(),
            of_source.takes_stdin(),
        ];
        if uses.iter().filter(|used| **used).count() > 1 {
            return Err(places::stdin_twice());
        }
        let Some(source) = source else { return Ok((of_image.login(&[image])?, None)) };
        if of_image.is_same(&of_source) {
            let login = of_image.login(&[image, source])?;
            return Ok((login.clone(), login));
        }
        let (login, other) = (of_image.login(&[image])?, of_source.login(&[source])?);
        let other = other.or_else(|| login.clone().filter(|_| places::same_host(image, source)));
        Ok((login, other))
    }
}

pub async fn run(global: &Global, args: Args, console: &Console) -> Result<()> {
    let location = suggest::location(&args.image)?;
    let expected = args.source.as_deref().map(suggest::location).transpose()?;
    let stats = Arc::new(Stats::default());
    let mut places = Places::new(args.from.network.network(stats.clone())?);
    // The user may be asked for a password, which nothing must be drawn over.
    let (login, other) = args.logins(&location, expected.as_ref())?;
    let progress = global.show(move || Facts { pulled: Stats::get(&stats.bytes_pulled), ..Facts::default() });
    let image = places.source(&location, login).await?;
    let source = match &expected {
        Some(expected) => Some(places.source(expected, other).await?),
        None => None,
    };
    let reapers = given_reapers(&args.reaper)?;
    let verifying = verify(image, source, &reapers, args.deep);
    let verified = interruptible(verifying, async || {}).await;
    drop(progress);
    let verified = match verified {
        Ok(verified) => verified,
        Err(error) => {
            let others: Vec<&Location> = expected.iter().collect();
            let error = places::explained(&places, error, &location).await;
            return Err(places::located(error, &location, &others));
        }
    };
    match global.output {
        Format::Json => json(&to_json(&VerificationJson::new(&location, &verified, &reapers))?, false),
        Format::Text | Format::Sarif => {
            for image in verified.images.iter().filter(|i| i.record.is_none()) {
                let reason = image.reason.as_deref().unwrap_or_default();
                console.note(&format!("not wrapped: {}: {reason}", image.digest));
            }
            for image in &verified.images {
                if let Some(record) = &image.record {
                    let whose = if is_built_in(&reapers, &record.reaper) { "built in" } else { "given" };
                    console.detail(&format!("{}: the reaper is {} ({whose})", image.digest, record.reaper));
                }
            }
            result(&format!("{}@{}", location.without_target(), verified.digest), false)
        }
    }
}

/// The JSON form of a verification.
#[derive(Serialize)]
struct VerificationJson<'a> {
    blobs_read: usize,
    digest: &'a Digest,
    image: String,
    platforms: Vec<ImageJson<'a>>,
    source_digest: &'a Digest,
}

/// The JSON form of one verified image.
#[derive(Serialize)]
struct ImageJson<'a> {
    digest: &'a Digest,
    platform: Option<String>,
    reaper: Option<&'a Digest>,
    reaper_is_built_in: Option<bool>,
    reaper_version: Option<String>,
    reason: Option<&'a str>,
    source_digest: Option<&'a Digest>,
    wrapped: bool,
}

impl<'a> VerificationJson<'a> {
    fn new(location: &Location, verified: &'a Verified, reapers: &Reapers) -> Self {
        VerificationJson {
            blobs_read: verified.blobs,
            digest: &verified.digest,
            image: location.to_string(),
            platforms: verified.images.iter().map(|image| ImageJson::new(image, reapers)).collect(),
            source_digest: &verified.source_digest,
        }
    }
}

impl<'a> ImageJson<'a> {
    fn new(image: &'a VerifiedImage, reapers: &Reapers) -> Self {
        let record = image.record.as_ref();
        let known = |digest: &Digest| reapers.all().find(|known| known.digest == *digest);
        ImageJson {
            digest: &image.digest,
            platform: image.platform.as_ref().map(ToString::to_string),
            reaper: record.map(|record| &record.reaper),
            reaper_is_built_in: record.map(|record| is_built_in(reapers, &record.reaper)),
            reaper_version: record.and_then(|record| known(&record.reaper)?.version()),
            reason: image.reason.as_deref(),
            source_digest: record.map(|record| &record.source),
            wrapped: record.is_some(),
        }
    }
}

fn is_built_in(reapers: &Reapers, digest: &Digest) -> bool {
    reapers.embedded().iter().any(|known| known.digest == *digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_record_has_the_same_members() {
        let digest = Digest::sha256(b"it");
        let image = VerifiedImage {
            platform: None,
            digest: digest.clone(),
            record: None,
            exempt: true,
            reason: Some("it has an \"init\"".into()),
        };
        let reapers = given_reapers(&[]).unwrap();
        assert_eq!(
            to_json(&ImageJson::new(&image, &reapers)).unwrap(),
            format!(
                "{{\"digest\":\"{digest}\",\"platform\":null,\"reaper\":null,\"reaper_is_built_in\":null,\
                 \"reaper_version\":null,\"reason\":\"it has an \\\"init\\\"\",\"source_digest\":null,\
                 \"wrapped\":false}}"
            )
        );
    }
}

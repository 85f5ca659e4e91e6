//! The report of `inspect` on an image, with the fields of its JSON: see `docs/inspect.schema.json`.

use super::look::Findings;
use super::verdict::{BackgroundJob, Evidence, Recommendation, Verdict};
use super::{Action, Answer, InitFound, Pid1, Way};
use crate::image::{Content, Digest, Location, Manifest};
use crate::rewrite::record::Record;
use crate::transport::Referrer;
use serde::Serialize;

/// An image, or an index of images.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The name, as given.
    pub image: String,
    /// The digest by which the location knows the image: that of the manifest or the index, or that of the config where
    /// manifests are not stored.
    pub digest: Digest,
    /// The media type.
    pub media_type: String,
    /// The referrers.
    pub referrers: Vec<String>,
    /// The images, one per platform.
    pub platforms: Vec<PlatformReport>,
}

/// One image.
#[derive(Debug, Serialize)]
pub struct PlatformReport {
    /// The platform.
    pub platform: String,
    /// The digest of the image, in the same way.
    pub digest: Digest,
    /// Entrypoint and Cmd together.
    pub starts: Vec<String>,
    /// The program that becomes PID 1.
    pub pid1: Pid1,
    /// The way of dealing with zombies.
    pub way: Way,
    /// Whether this way is really taken with the image's own arguments.
    pub holds: Answer,
    /// Whether orphans are reaped.
    pub orphans_reaped: Answer,
    /// Whether the stop signal reaches the service.
    pub term_reaches_service: Answer,
    /// The init that the image starts.
    pub init: Option<InitFound>,
    /// The reaper that reapify added.
    pub wrapped: Option<Wrapped>,
    /// Whether PID 1 refuses to run as another process.
    pub must_be_pid1: bool,
    /// The background jobs of the start script.
    pub background_jobs: Vec<BackgroundJob>,
    /// The facts on which the answers are based.
    pub evidence: Vec<Evidence>,
    /// The recommendation.
    pub recommendation: Advice,
    /// `User`; empty for root.
    pub user: String,
    /// `StopSignal`.
    pub stop_signal: Option<String>,
    /// The number of layers.
    pub layers: usize,
}

/// The reaper of a wrapped image, as recorded.
#[derive(Debug, Serialize)]
pub struct Wrapped {
    /// The digest of the program.
    pub digest: Digest,
    /// The version, if it is a built-in one.
    pub version: Option<String>,
    /// Its path.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The digest of its layer.
    pub layer: Digest,
    /// The digest of the image before the wrap.
    pub source_digest: Digest,
    /// The recipe.
    pub recipe: Digest,
}

/// The recommendation, with the command that carries it out.
#[derive(Debug, Serialize)]
pub struct Advice {
    /// The recommended action.
    pub action: Action,
    /// The command.
    pub command: Option<String>,
    /// The reason.
    pub why: String,
}

/// Creates the report on an inspected image.
pub fn report(
    location: &Location,
    manifest: &Manifest,
    findings: Vec<Findings>,
    referrers: &[Referrer],
) -> Report {
    let digest = match (&manifest.content, &findings[..]) {
        (Content::Image { .. }, [image]) => &image.digest,
        _ => &manifest.digest,
    };
    Report {
        image: location.to_string(),
        digest: digest.clone(),
        media_type: manifest.media_type.to_string(),
        referrers: referrers.iter().map(ToString::to_string).collect(),
        platforms: findings.into_iter().map(|findings| platform(location, findings)).collect(),
    }
}

fn platform(location: &Location, findings: Findings) -> PlatformReport {
    let Verdict { starts, pid1, way, holds, orphans_reaped, term_reaches_service, .. } = findings.verdict;
    let Verdict { init, must_be_pid1, background_jobs, evidence, recommendation, .. } = findings.verdict;
    PlatformReport {
        platform: findings.platform.to_string(),
        digest: findings.digest,
        starts,
        pid1,
        way,
        holds,
        orphans_reaped,
        term_reaches_service,
        init,
        wrapped: findings.record.map(|record| wrapped(&record, findings.reaper_version)),
        must_be_pid1,
        background_jobs,
        evidence,
        recommendation: advice(location, recommendation, findings.refusal),
        user: findings.user.unwrap_or_default(),
        stop_signal: findings.stop_signal,
        layers: findings.layers,
    }
}

fn wrapped(record: &Record, version: Option<String>) -> Wrapped {
    Wrapped {
        digest: record.reaper.clone(),
        version,
        path: record.path.to_string(),
        args: record.args.clone(),
        layer: record.layer.clone(),
        source_digest: record.source.clone(),
        recipe: record.recipe.clone(),
    }
}

/// Returns the recommendation, adjusted to what wrap would do.
fn advice(location: &Location, recommendation: Recommendation, refusal: Option<String>) -> Advice {
    let Recommendation { action, why } = recommendation;
    match (action, refusal) {
        (Action::Wrap, Some(refusal)) => Advice {
            action: Action::Leave,
            command: None,
            why: format!("{why}; however, wrap does not change this image: {refusal}"),
        },
        (Action::Wrap, None) => Advice { action, command: Some(command(location)), why },
        _ => Advice { action, command: None, why },
    }
}

/// Returns the command that wraps an image, to a destination beside it.
fn command(location: &Location) -> String {
    let source = location.to_string();
    let source = source.strip_prefix("docker://").unwrap_or(&source);
    super::quote::command_line(&["reapify", "wrap", source, &location.beside("-reaped")])
}

//! Wraps or unwraps single images. Reads layers only if the manifest and the config do not suffice.

use super::task::{Task, Wrap};
use super::tree::ImageNode;
use crate::error::{Context, Error, Kind, Note, Remedy, Result};
use crate::image::{Manifest, Platform, StatedPlatform};
use crate::layers::Layers;
use crate::read::{Reader, machine, select};
use crate::rewrite::{self, DEFAULT_PATH, Image, ImageOrArtifact, Outcome, Target, record};
use bytes::Bytes;
use tokio::sync::Semaphore;

/// Rewrites images.
pub struct Images<'a> {
    task: &'a Task,
    reader: &'a Reader,
    /// Limits the images whose layers are read at once: each takes a decompressor's memory.
    surveys: Semaphore,
}

/// What a manifest with a config contains.
pub enum Looked {
    /// An image.
    Image(Box<ImageNode>),
    /// Something else, with its type as it states it.
    Artifact(String),
    /// An image that cannot be rewritten, and why. In an index it does not affect the others.
    Bad(Error),
}

impl<'a> Images<'a> {
    /// Creates a rewriter that reads the layers of up to `streams` images at once.
    pub fn new(task: &'a Task, reader: &'a Reader, streams: usize) -> Self {
        Images { task, reader, surveys: Semaphore::new(streams) }
    }

    /// Rewrites an image. `listed` is the platform that an index gives for it.
    pub async fn rewrite(
        &self,
        manifest: Manifest,
        config: Bytes,
        listed: Option<&StatedPlatform>,
        is_child: bool,
    ) -> Result<Looked> {
        let keeps_manifests = self.reader.source().keeps_manifests();
        let image = match Image::read(manifest.clone(), config.clone(), keeps_manifests) {
            Ok(ImageOrArtifact::Image(image)) => *image,
            Ok(ImageOrArtifact::Artifact(kind)) => return Ok(Looked::Artifact(kind)),
            Err(error) => return bad(error),
        };
        let mut notes = Vec::new();
        let (platform, outcome) = match self.task {
            Task::Unwrap | Task::Copy(_) => {
                let platform = machine::stated(&image, listed);
                let outcome = match rewrite::unwrap(&image) {
                    Ok(original) => Outcome::Unwrapped(original),
                    Err(error) if is_child => {
                        let is_stale = record::has_record_key(&image.config.labels);
                        let reason = if is_stale { error.to_string() } else { "it is not wrapped".into() };
                        Outcome::Skipped { reason, original: None }
                    }
                    Err(error) => return Err(error),
                };
                (platform, outcome)
            }
            Task::Wrap(wrap) => {
                let (platform, note) = match self.platform(&image, listed, wrap).await? {
                    Ok(known) => known,
                    Err(reason) => {
                        return bad(Error::unsupported(reason).hint(Remedy::StatePlatform));
                    }
                };
                notes.extend(note);
                if !is_child {
                    select::check_alone(Some(&platform), &wrap.platforms)?;
                }
                match self.wrap(&image, &platform, wrap).await? {
                    Ok(outcome) => (Some(platform.canonical()), outcome),
                    Err(error) => return bad(error),
                }
            }
        };
        if let Outcome::Unwrapped(original) = &outcome
            && !original.exact
        {
            let why = match image.keeps_manifest {
                true => "another program made the present one",
                false => "this transport stores none",
            };
            notes.push(
                format!("the config and diff_ids are restored; the manifest is regenerated, because {why}")
                    .into(),
            );
        }
        notes.extend(outcome.built().into_iter().flat_map(|new| new.notes.clone()));
        Ok(Looked::Image(Box::new(ImageNode { platform, input: manifest, config, outcome, notes })))
    }

    /// Determines the image's platform. The inner error says why it remains unknown.
    async fn platform(
        &self,
        image: &Image,
        listed: Option<&StatedPlatform>,
        wrap: &Wrap,
    ) -> Result<Result<(Platform, Option<Note>), String>> {
        let target = Target::of(listed, &image.config.platform);
        if let Target::Known(platform) = target {
            return Ok(Ok((platform, None)));
        }
        // A user who selects one platform states what the image is for.
        if let [wanted] = &wrap.platforms[..] {
            return Ok(Ok((wanted.clone(), None)));
        }
        let _turn = self.surveys.acquire().await;
        let found = machine::of_program(self.reader.source(), image).await?;
        Ok(target.resolve(found))
    }

    /// Wraps an image. Any path but the default one requires reading the layers. The outer error is about the
    /// source or the options, the inner one about the image.
    async fn wrap(&self, image: &Image, platform: &Platform, wrap: &Wrap) -> Result<Result<Outcome>> {
        let policy = &wrap.policy;
        let decision = match rewrite::decide(image, platform, &wrap.reapers, policy) {
            Ok(decision) => decision,
            Err(error) => return Ok(Err(error)),
        };
        let plan = decision.plan().map(|plan| plan.image()).filter(|_| policy.path != DEFAULT_PATH);
        let parents = match plan {
            None => Vec::new(),
            Some(source) => {
                // The reaper of the base image may be replaced.
                let inherits = record::recorded_path(&image.config.labels) == Some(policy.path.as_str());
                let _turn = self.surveys.acquire().await;
                let replace = wrap.replace || inherits;
                let mut layers =
                    Layers::new(self.reader.source().clone(), &source.manifest, &source.config, None);
                let parents = layers.parents(&policy.path, replace).await;
                match parents.context(|| format!("looking for {}", policy.path)) {
                    Err(error) if error.kind() == Kind::Unsupported => return Ok(Err(error)),
                    parents => parents?,
                }
            }
        };
        Ok(decision.build(&parents))
    }
}

/// Tells an unsupported image from a failing source.
fn bad(error: Error) -> Result<Looked> {
    match error.kind() {
        Kind::Unsupported => Ok(Looked::Bad(error)),
        _ => Err(error),
    }
}

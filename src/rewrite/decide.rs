//! Decides what wrap does to an image before anything is built.

use super::build::Plan;
use super::image::Image;
use super::known_inits;
use super::outcome::Outcome;
use super::paths::Directory;
use super::policy::{DEFAULT_PATH, IfInit, Policy};
use super::record::{self, Original, RecordState};
use crate::error::{Error, Remedy, Result};
use crate::image::Platform;
use crate::reapers::Reapers;

/// The action that wrap takes on an image.
#[derive(Debug)]
pub enum Decision {
    /// Keep the image, which was wrapped by the same recipe. Holds the image before the wrap.
    Keep(Box<Original>),
    /// Leave the image unchanged for a reason.
    Skip {
        /// The reason.
        reason: String,
        /// The image without its reaper, if it has one.
        original: Option<Box<Original>>,
    },
    /// Wrap the image.
    Wrap(Box<Plan>),
    /// Replace an earlier wrap. Also holds the image before that wrap.
    Upgrade(Box<Plan>, Box<Original>),
}

/// Decides what wrap does to an image for `platform`.
pub fn decide(image: &Image, platform: &Platform, reapers: &Reapers, policy: &Policy) -> Result<Decision> {
    let reaper = reapers.select(platform)?;
    let found = image.record();
    let family = match &found {
        RecordState::Valid(original) => original.manifest.family(),
        _ => image.manifest.family(),
    };
    let policy = &policy.for_family(family);
    let recipe = record::recipe(&reaper.digest, policy);
    let starts_reaper = image.config.entrypoint.first().is_some_and(|word| policy.path == **word);
    let skip = |reason: &str| Ok(Decision::Skip { reason: reason.into(), original: None });
    let plan = |image: Image| Plan::new(image, platform, reaper, policy).map(Box::new);
    match found {
        RecordState::Valid(original) if original.record.recipe == recipe => Ok(Decision::Keep(original)),
        RecordState::Valid(original) => {
            let source = original.image()?;
            match own_init(&source, policy) {
                Some(init) => Ok(Decision::Skip {
                    reason: format!("{init}; it is already wrapped and keeps its reaper"),
                    original: Some(original),
                }),
                None => Ok(Decision::Upgrade(plan(source)?, original)),
            }
        }
        RecordState::Stale { reaper_first: true, .. } => skip(match record::has_last_layer(&image.config) {
            true => "it starts with a reaper, but another program changed it after it was wrapped",
            false => "its base image is wrapped, so it already starts with a reaper",
        }),
        RecordState::Stale { why, .. } if starts_recorded(image) => Err(Error::unsupported(format!(
            "the image starts {}, but that reaper was partly removed or its layer was rebuilt: {why}",
            image.config.entrypoint[0]
        ))
        .hint("wrap the image from which it was made, or rebuild it with an entrypoint of its own")),
        RecordState::Absent if starts_reaper && policy.path.as_str() == DEFAULT_PATH => {
            skip(&format!("its entrypoint is already {}, but it has no reapify record", policy.path))
        }
        RecordState::Stale { .. } | RecordState::Absent if starts_reaper => Err(Error::unsupported(format!(
            "the image's own entrypoint is {}, the path chosen for the reaper",
            policy.path
        ))
        .hint(Remedy::ChoosePath)),
        RecordState::Stale { .. } | RecordState::Absent => match own_init(image, policy) {
            Some(reason) => skip(&reason),
            None => Ok(Decision::Wrap(plan(image.clone())?)),
        },
    }
}

/// Returns whether an image starts the program that its record names, complete or not.
fn starts_recorded(image: &Image) -> bool {
    let path = record::recorded_path(&image.config.labels).unwrap_or(DEFAULT_PATH);
    image.config.entrypoint.first().is_some_and(|word| word == path)
}

/// Returns the reason to skip an image that starts with an init.
fn own_init(image: &Image, policy: &Policy) -> Option<String> {
    let init = known_inits::of(&image.config).filter(|_| policy.if_init == IfInit::Skip)?;
    Some(format!("it starts {init}, which already reaps or must be PID 1 ({:?})", init.word))
}

impl Decision {
    /// Returns the plan to build, if there is one.
    pub fn plan(&self) -> Option<&Plan> {
        match self {
            Decision::Keep(_) | Decision::Skip { .. } => None,
            Decision::Wrap(plan) | Decision::Upgrade(plan, _) => Some(plan),
        }
    }

    /// Carries out the decision. `parents` are the image's directories above the reaper.
    pub fn build(self, parents: &[Directory]) -> Result<Outcome> {
        Ok(match self {
            Decision::Keep(original) => Outcome::Unchanged(original),
            Decision::Skip { reason, original } => Outcome::Skipped { reason, original },
            Decision::Wrap(plan) => Outcome::Wrapped(Box::new(plan.build(parents)?)),
            Decision::Upgrade(plan, original) => Outcome::Upgraded(Box::new(plan.build(parents)?), original),
        })
    }
}

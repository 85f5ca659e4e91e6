//! What happens to the image that the destination's name refers to when another one takes its place.

use super::report::Delivery;
use crate::error::{Context, Error, Remedy, Result};
use crate::image::Manifest;
use crate::transport::Sink;
use std::sync::Arc;

/// What happens to an image that is replaced.
#[derive(Default)]
pub enum Existing {
    /// The tag moves to the new image.
    #[default]
    Replace,
    /// Nothing is written.
    Refuse,
    /// The image gets another tag before its own moves.
    Keep(Backup),
}

/// The place where a replaced image stays.
pub struct Backup {
    /// The other tag, in the destination's repository.
    pub sink: Arc<dyn Sink>,
    /// Its name.
    pub name: String,
}

impl Existing {
    /// Checks that an image may be written where `current` is, or whatever else the name refers to.
    pub(super) async fn check(&self, sink: &dyn Sink, current: Option<&Manifest>) -> Result<()> {
        if matches!(self, Existing::Refuse) && (current.is_some() || sink.is_taken().await?) {
            return Err(
                Error::other("the destination already refers to another image").hint(Remedy::ReplaceImage)
            );
        }
        Ok(())
    }

    /// Gives an image its other tag. All of its parts are in that repository already.
    pub(super) async fn keep(&self, current: Option<&Manifest>) -> Result<()> {
        if let (Existing::Keep(backup), Some(current)) = (self, current) {
            let kept = backup.sink.put_manifest(current, None).await;
            kept.context(|| format!("the previous image could not be kept as {}", backup.name))?;
        }
        Ok(())
    }

    /// Returns a note about an image that was kept.
    pub(super) fn note(&self, current: Option<&Manifest>, delivery: &Delivery) -> Option<String> {
        match (self, current, delivery) {
            (Existing::Keep(backup), Some(current), Delivery::Written(written))
                if current.digest != *written =>
            {
                Some(format!("the previous image {} is kept as {}", current.digest, backup.name))
            }
            _ => None,
        }
    }
}

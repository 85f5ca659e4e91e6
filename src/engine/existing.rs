//! What to do with an image that the destination's name refers to before a run.

use super::report::Delivery;
use crate::error::{Context, Error, Note, Remedy, Result};
use crate::image::Manifest;
use crate::transport::Sink;
use std::sync::Arc;

/// What to do with an image that is replaced.
#[derive(Default)]
pub enum Existing {
    /// Moves the tag to the new image.
    #[default]
    Replace,
    /// Fails, and writes nothing.
    Refuse,
    /// Keeps the image under another tag, written before its own tag moves.
    Keep(Backup),
}

/// A tag under which a replaced image is kept.
pub struct Backup {
    /// The other tag, in the destination's repository.
    pub sink: Arc<dyn Sink>,
    /// The tag's full name.
    pub name: String,
}

impl Existing {
    /// Checks that the name may be written, which refers to `current` or to something that cannot be read.
    pub(super) async fn check(&self, sink: &dyn Sink, current: Option<&Manifest>) -> Result<()> {
        if matches!(self, Existing::Refuse) && (current.is_some() || sink.is_taken().await?) {
            return Err(
                Error::other("the destination already refers to another image").hint(Remedy::ReplaceImage)
            );
        }
        Ok(())
    }

    /// Writes the other tag. All parts of the image are in that repository already.
    pub(super) async fn keep(&self, current: Option<&Manifest>) -> Result<()> {
        if let (Existing::Keep(backup), Some(current)) = (self, current) {
            let kept = backup.sink.put_manifest(current, None).await;
            kept.context(|| format!("the previous image could not be kept as {}", backup.name))?;
        }
        Ok(())
    }

    /// Returns a note about an image that was kept.
    pub(super) fn note(&self, current: Option<&Manifest>, delivery: &Delivery) -> Option<Note> {
        match (self, current, delivery) {
            (Existing::Keep(backup), Some(current), Delivery::Written(written))
                if current.digest != *written =>
            {
                Some(format!("the previous image {} is kept as {}", current.digest, backup.name).into())
            }
            _ => None,
        }
    }
}

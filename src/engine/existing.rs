//! What to do with an image that the destination's name refers to before a run.

use super::report::Delivery;
use crate::error::{Context, Error, Note, Remedy, Result};
use crate::image::Manifest;
use crate::transport::Sink;
use async_trait::async_trait;
use std::sync::Arc;

/// What to do with an image that is replaced.
#[derive(Default)]
pub enum Existing {
    /// Moves the tag to the new image.
    #[default]
    Replace,
    /// Fails, and writes nothing.
    Refuse,
    /// Keeps the image under another name, written before its own tag moves.
    Keep(Arc<dyn Backup>),
}

/// Another name for an image that is replaced.
#[async_trait]
pub trait Backup: Send + Sync {
    /// Returns the name.
    fn name(&self) -> String;

    /// Lets the name refer to the image.
    async fn keep(&self, image: &Manifest) -> Result<()>;
}

/// A tag in the destination's repository, which has all parts of the image.
pub struct BackupTag {
    /// The tag.
    pub sink: Arc<dyn Sink>,
    /// The tag's full name.
    pub name: String,
}

#[async_trait]
impl Backup for BackupTag {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn keep(&self, image: &Manifest) -> Result<()> {
        self.sink.put_manifest(image, None).await.map(drop)
    }
}

impl Existing {
    /// Checks that the name may be written. It refers to `current`, to something that cannot be read, or to nothing.
    pub(super) async fn check(&self, sink: &dyn Sink, current: Option<&Manifest>) -> Result<()> {
        let is_taken =
            async || sink.is_taken().await.context(|| "cannot tell whether an image would be replaced");
        match self {
            Existing::Refuse if current.is_some() || is_taken().await? => {
                let which = current.map(|image| format!(", {}", image.digest)).unwrap_or_default();
                Err(Error::usage(format!("the destination already refers to another image{which}"))
                    .hint(Remedy::ReplaceImage))
            }
            // If it can be read now, it was written in the meantime, and the run starts over before the tag moves.
            Existing::Keep(backup)
                if current.is_none() && is_taken().await? && sink.current().await?.is_none() =>
            {
                let name = backup.name();
                Err(Error::unsupported(format!(
                    "the current image cannot be read, so it cannot be kept as {name}"
                ))
                .hint("remove it, or use another tag for the result"))
            }
            _ => Ok(()),
        }
    }

    /// Returns whether an image that somebody else writes in the meantime must not be replaced.
    pub(super) fn is_guarded(&self) -> bool {
        !matches!(self, Existing::Replace)
    }

    /// Keeps the image under the other name.
    pub(super) async fn keep(&self, current: Option<&Manifest>) -> Result<()> {
        if let (Existing::Keep(backup), Some(current)) = (self, current) {
            let context = || format!("the previous image could not be kept as {}", backup.name());
            backup.keep(current).await.context(context)?;
        }
        Ok(())
    }

    /// Returns a note about an image that was kept.
    pub(super) fn note(&self, current: Option<&Manifest>, delivery: &Delivery) -> Option<Note> {
        match (self, current, delivery) {
            (Existing::Keep(backup), Some(current), Delivery::Written(written))
                if current.digest != *written =>
            {
                Some(format!("the previous image {} is kept as {}", current.digest, backup.name()).into())
            }
            _ => None,
        }
    }
}

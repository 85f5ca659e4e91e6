//! Unwraps images.

use super::image::Image;
use super::record::{Original, RecordState};
use crate::error::{Error, Result};

/// Returns the image before the wrap.
///
/// # Errors
///
/// Returns [`Kind::Unsupported`](crate::error::Kind) if the image is not wrapped, or if its record does not describe
/// it.
pub fn unwrap(image: &Image) -> Result<Box<Original>> {
    match image.record() {
        RecordState::Valid(original) => Ok(original),
        RecordState::Stale { why, .. } => Err(why
            .context("the record of the wrap does not describe this image")
            .hint("it was built from a wrapped image or modified later; unwrap its base image instead")),
        RecordState::Absent => Err(Error::unsupported("the image is not wrapped")),
    }
}

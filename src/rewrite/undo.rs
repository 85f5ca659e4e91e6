//! Takes a wrap off.

use super::image::Image;
use super::record::{Found, Original};
use crate::error::{Error, Result};

/// The image as it was before it was wrapped. Fails with [`Kind::Unsupported`](crate::error::Kind) where there is
/// nothing to undo.
pub fn unwrap(image: &Image) -> Result<Box<Original>> {
    match image.record() {
        Found::Valid(original) => Ok(original),
        Found::Stale { why, .. } => Err(why
            .context("the record of the wrap does not describe this image")
            .hint("it was built from a wrapped image or changed since; unwrap the image it was built from")),
        Found::Nothing => Err(Error::unsupported("the image is not wrapped")),
    }
}

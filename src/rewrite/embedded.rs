//! Content that a descriptor embeds in its `data` field.

use crate::error::{Error, Result};
use crate::image::Descriptor;
use crate::image::json::{Document, child, quote};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Updates the embedded `data` of the descriptor at `pointer` after its target was edited.
pub fn embed(text: &mut Document, pointer: &str, content: &[u8]) -> Result<()> {
    text.set(&child(pointer, "data"), &quote(&STANDARD.encode(content))).map(drop)
}

/// Checks that a descriptor embeds the content that it describes, if it embeds any: [`embed`] can then restore it.
///
/// # Errors
///
/// Returns an error if `data` is not valid base64, or is other content.
pub fn check(descriptor: &Descriptor) -> Result<()> {
    let Some(data) = &descriptor.data else { return Ok(()) };
    let why = match STANDARD.decode(data) {
        Ok(content) if descriptor.digest.matches(&content) => return Ok(()),
        Ok(_) => "does not match its digest",
        Err(_) => "is not valid base64",
    };
    Err(Error::unsupported(format!("the `data` embedded for {} {why}", descriptor.digest))
        .hint("push the image again without `data`: the field is optional"))
}

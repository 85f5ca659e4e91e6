//! `{"image": "HOST/REPOSITORY:TAG@DIGEST"}`, for scripts. Short names are expanded as on the command line.

use super::{BadBody, Push, json};
use crate::image::Reference;
use serde::Deserialize;

#[derive(Deserialize)]
struct Body {
    image: String,
}

pub(super) fn parse(body: &[u8]) -> Result<Push, BadBody> {
    let Body { image } = json(body)?;
    let name: Reference = image.parse().map_err(|_| BadBody::new("`image` is not the name of an image"))?;
    let Some(tag) = name.tag() else {
        return Err(BadBody::new("the image has no tag; write REPOSITORY:TAG or REPOSITORY:TAG@DIGEST"));
    };
    let digest = name.digest().map(ToString::to_string);
    Push::new(Some(name.host()), name.repository(), tag, digest.as_deref()).map_err(BadBody::new)
}

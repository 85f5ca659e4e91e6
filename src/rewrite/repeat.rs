//! Whether a manifest can be the result of wrapping another, as far as both tell without the config: all that a wrap
//! keeps is as it was, and what it adds is there. Tools that edit images keep annotations, so those alone prove little.

use super::record::{self, Record};
use super::{index, layer_descriptor};
use crate::error::Result;
use crate::image::json::{Document, child};
use crate::image::media_type::Family;
use crate::image::{Content, Descriptor, Digest, Manifest};

/// Whether `result` is `source` wrapped, but for what only configs and children tell.
pub fn may_be(source: &Manifest, recipe: &Digest, result: &Manifest) -> bool {
    let repeated = match (&source.content, &result.content) {
        (Content::Image { .. }, Content::Image { layers, .. }) => match layers.last() {
            Some(added) => image(source, recipe, result, added),
            None => return false,
        },
        (Content::Index { .. }, Content::Index { .. }) => index(source, recipe, result),
        _ => return false,
    };
    repeated.is_ok_and(|text| text.is_some_and(|text| text.as_bytes() == result.bytes))
}

/// The source, wrapped once more with what is new taken from the result.
fn image(
    source: &Manifest,
    recipe: &Digest,
    result: &Manifest,
    added: &Descriptor,
) -> Result<Option<String>> {
    let theirs = Document::new(&result.bytes)?;
    let mut text = Document::new(&source.bytes)?;
    text.push("/layers", &layer_descriptor(source.family(), &added.digest, added.size))?;
    take_over(&mut text, &theirs, "/config", "/config")?;
    if source.family() == Family::Oci {
        Record::write_annotations(&source.digest, recipe, &mut text)?;
    }
    Ok(Some(text.as_str().to_owned()))
}

fn index(source: &Manifest, recipe: &Digest, result: &Manifest) -> Result<Option<String>> {
    let theirs = Document::new(&result.bytes)?;
    let mut text = Document::new(&source.bytes)?;
    let mut dropped = Vec::new();
    let mut next = 0;
    for position in 0..source.children().len() {
        if next < result.children().len() && masked(&text, position)? == masked(&theirs, next)? {
            take_over(&mut text, &theirs, &at(position), &at(next))?;
            next += 1;
        } else {
            dropped.push(position);
        }
    }
    if next < result.children().len() {
        return Ok(None);
    }
    if source.family() == Family::Oci {
        Record::write_annotations(&source.digest, recipe, &mut text)?;
        let undo = child("/annotations", record::undo_key());
        let Some(value) = theirs.get(&undo)? else { return Ok(None) };
        text.set(&undo, value)?;
    }
    index::remove(&mut text, &dropped)?;
    Ok(Some(text.as_str().to_owned()))
}

/// What of a descriptor follows its target.
const FOLLOWS: [&str; 3] = ["digest", "size", "data"];

fn take_over(text: &mut Document, theirs: &Document, ours: &str, from: &str) -> Result<()> {
    for field in FOLLOWS {
        let place = child(ours, field);
        if let Some(value) = theirs.get(&child(from, field))?
            && text.get(&place)?.is_some()
        {
            text.set(&place, value)?;
        }
    }
    Ok(())
}

fn at(position: usize) -> String {
    format!("/manifests/{position}")
}

/// The descriptor of a child without what follows its target.
pub fn masked(index: &Document, position: usize) -> Result<Option<String>> {
    let Some(descriptor) = index.get(&at(position))? else { return Ok(None) };
    let mut descriptor = Document::new(descriptor.as_bytes())?;
    for field in FOLLOWS {
        let place = child("", field);
        if descriptor.get(&place)?.is_some() {
            descriptor.set(&place, "0")?;
        }
    }
    Ok(Some(descriptor.as_str().to_owned()))
}

//! Checks from manifests alone whether one can be the wrapped form of the other: everything that wrap keeps is
//! unchanged, and everything that it adds is present. Annotations alone prove little, because tools that edit images
//! keep them.

use super::index;
use super::record::{self, Annotations};
use crate::error::Result;
use crate::image::json::{Document, child};
use crate::image::media_type::Family;
use crate::image::{Content, Descriptor, Digest, Manifest, authored};

/// Returns whether `result` can be `source` wrapped, as far as the manifests show.
pub fn is_possible_result(source: &Manifest, result: &Manifest) -> bool {
    let repeated = match (&source.content, &result.content) {
        (Content::Image { .. }, Content::Image { layers, .. }) => match layers.last() {
            Some(added) => image(source, result, added),
            None => return false,
        },
        (Content::Index { .. }, Content::Index { .. }) => index(source, result),
        _ => return false,
    };
    repeated.is_ok_and(|text| text.is_some_and(|text| text.into_bytes() == result.bytes))
}

/// Returns the source, wrapped again with the new parts taken from the result.
fn image(source: &Manifest, result: &Manifest, added: &Descriptor) -> Result<Option<Document>> {
    let mut theirs = Document::new(&result.bytes)?;
    let mut text = Document::new(&source.bytes)?;
    text.push("/layers", &authored::layer(source.family(), &added.digest, added.size)?)?;
    take_over(&mut text, &mut theirs, "/config", "/config")?;
    annotate(&mut text, source, result)?;
    Ok(Some(text))
}

/// Writes the annotations of the result, with the digest of the source.
fn annotate(text: &mut Document, source: &Manifest, result: &Manifest) -> Result<()> {
    if source.family() == Family::Oci
        && let Some(theirs) = Annotations::read(result)
    {
        // The text of the platform, because a config may state a variant that no platform has.
        let platform = result.annotations.get(record::platform_key()).map(String::as_str);
        Annotations { source: source.digest.clone(), ..theirs }.write_with(platform, text)?;
    }
    Ok(())
}

fn index(source: &Manifest, result: &Manifest) -> Result<Option<Document>> {
    let mut theirs = Document::new(&result.bytes)?;
    let mut text = Document::new(&source.bytes)?;
    let pairs = pairs(source, result)?;
    if pairs.len() < result.children().len() {
        return Ok(None);
    }
    for (position, next) in &pairs {
        take_over(&mut text, &mut theirs, &at(*position), &at(*next))?;
    }
    if source.family() == Family::Oci {
        annotate(&mut text, source, result)?;
        let undo = child("/annotations", record::undo_key());
        let Some(value) = theirs.get(&undo)? else { return Ok(None) };
        text.set(&undo, &value)?;
    }
    let is_dropped = |position: &usize| !pairs.iter().any(|(kept, _)| kept == position);
    let dropped: Vec<usize> = (0..source.children().len()).filter(is_dropped).collect();
    index::remove(&mut text, &dropped)?;
    Ok(Some(text))
}

/// Returns which children of the source index became which children of the result, by position: in order, and equal
/// except for the fields that change with the target.
pub fn pairs(source: &Manifest, result: &Manifest) -> Result<Vec<(usize, usize)>> {
    let (mut ours, mut theirs) = (Document::new(&source.bytes)?, Document::new(&result.bytes)?);
    let mut pairs = Vec::new();
    for position in 0..source.children().len() {
        let next = pairs.len();
        if next < result.children().len()
            && without_target(&mut ours, position)? == without_target(&mut theirs, next)?
        {
            pairs.push((position, next));
        }
    }
    Ok(pairs)
}

/// Returns whether the result has all images of the source index: only attestations may be missing.
pub fn has_all_images(source: &Manifest, result: &Manifest) -> bool {
    let is_kept = |pairs: &[(usize, usize)], position| pairs.iter().any(|(kept, _)| *kept == position);
    pairs(source, result).is_ok_and(|pairs| {
        let children = source.children().iter().enumerate();
        children.filter(|(position, _)| !is_kept(&pairs, *position)).all(|(_, child)| child.is_attestation())
    })
}

/// The fields of a descriptor that change with its target.
const TARGET_FIELDS: [&str; 3] = ["digest", "size", "data"];

fn take_over(text: &mut Document, theirs: &mut Document, ours: &str, from: &str) -> Result<()> {
    for field in TARGET_FIELDS {
        let place = child(ours, field);
        if let Some(value) = theirs.get(&child(from, field))?
            && text.get(&place)?.is_some()
        {
            text.set(&place, &value)?;
        }
    }
    Ok(())
}

fn at(position: usize) -> String {
    format!("/manifests/{position}")
}

/// Returns the descriptor of a child without the fields that change with its target.
pub fn without_target(index: &mut Document, position: usize) -> Result<Option<String>> {
    let Some(descriptor) = index.get(&at(position))? else { return Ok(None) };
    let mut descriptor = Document::new(descriptor.as_bytes())?;
    for field in TARGET_FIELDS {
        let place = child("", field);
        if descriptor.get(&place)?.is_some() {
            descriptor.set(&place, "0")?;
        }
    }
    Ok(Some(descriptor.to_string()))
}

/// Returns the digest of the children of an index, without what describes the target of the one at `position`.
///
/// # Errors
///
/// Returns an error if the index is malformed.
pub fn others(index: &Manifest, position: usize) -> Result<Digest> {
    let mut text = Document::new(&index.bytes)?;
    let mut whole = String::new();
    for child in 0..index.children().len() {
        let descriptor = match child == position {
            true => without_target(&mut text, child)?,
            false => text.get(&at(child))?.map(|descriptor| descriptor.to_string()),
        };
        whole.push_str(&descriptor.unwrap_or_default());
        whole.push('\n');
    }
    Ok(Digest::sha256(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::json::work;
    use crate::image::media_type;
    use crate::rewrite::index::{self, Replaced};

    /// Returns an index with this many children, whose digests are their positions.
    fn index_of(children: usize) -> Manifest {
        let entries: Vec<String> = (0..children)
            .map(|n| {
                format!(
                    r#"{{ "mediaType":"{}","digest":"{}","size":{n},"platform":{{"os":"linux","architecture":"amd64"}} }}"#,
                    media_type::OCI_MANIFEST,
                    Digest::sha256(n.to_string())
                )
            })
            .collect();
        Manifest::parse(format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(",")), None)
            .unwrap()
    }

    #[test]
    fn work_is_linear_in_the_size_of_the_index() {
        let child = Manifest::parse(r#"{"schemaVersion":2,"blobs":[]}"#, None).unwrap();
        let parsed = |children: usize| {
            let source = index_of(children);
            let new: Vec<Replaced> =
                (0..children - 1).map(|position| Replaced { position, manifest: child.clone() }).collect();
            let recipe = Digest::sha256("recipe");
            let (parsed, _) = work::during(|| {
                let base = index::unwrap(&source, &[], false).unwrap();
                let wrapped = index::wrap(&base, &new, &[], 0, &recipe, base.original.family()).unwrap();
                assert!(is_possible_result(&source, &wrapped));
                let narrowed =
                    index::wrap(&base, &new, &[children - 1], 0, &recipe, base.original.family()).unwrap();
                assert!(is_possible_result(&source, &narrowed));
            });
            parsed / source.bytes.len()
        };
        let (few, many) = (parsed(20), parsed(1000));
        assert!(
            many <= few + 1,
            "bytes parsed per byte of the index: {few} for 20 children, {many} for 1000"
        );
    }
}

//! Wrap and unwrap for indexes: only the descriptors of children with new manifests change.

use super::embedded;
use super::format;
use super::known_inits;
use super::policy::Policy;
use super::record::{self, Annotations};
use crate::error::{Error, Result};
use crate::image::digest::Algorithm;
use crate::image::json::{Document, Undo, child, quote, to_json};
use crate::image::media_type::Family;
use crate::image::{Digest, MAX_MANIFESTS, Manifest};
use crate::reapers::Reapers;
use serde::{Deserialize, Serialize};

/// A child with a new manifest.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// The position among the children.
    pub position: usize,
    /// The new manifest.
    pub manifest: Manifest,
}

/// The undo record of an OCI index, stored beside source and recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Undos {
    /// The edits that restore the annotations.
    index: Vec<Undo>,
    /// How many children were dropped, nested ones included; unless it is 0, unwrapping cannot restore the source
    /// digest.
    dropped: usize,
    /// The positions of children that wrap did not change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kept: Vec<usize>,
}

/// An index as read, and as it was before any wrap.
#[derive(Debug, Clone)]
pub struct History {
    /// The index as read.
    pub input: Manifest,
    /// The index before any wrap: its children restored, its record removed.
    pub original: Manifest,
    /// The digest of the index that was first wrapped; differs from that of `original` only if children were dropped.
    pub source: Digest,
    /// How many children were dropped from that index, nested ones included.
    pub dropped: usize,
    /// The source digest in the record.
    pub recorded: Option<Digest>,
    /// Whether the record cannot be read; it is then ignored but kept.
    pub is_stale: bool,
    /// Whether the record is readable, but not of the children that the index has now: another tool changed them.
    pub is_changed: bool,
}

impl History {
    /// Returns the recorded source if undoing the wrap does not restore it, although no child was dropped.
    pub fn lost_source(&self) -> Option<&Digest> {
        let recorded = self.recorded.as_ref().filter(|_| !self.is_stale && self.dropped == 0)?;
        Some(recorded).filter(|recorded| **recorded != self.original.digest)
    }
}

/// Returns the recipe of an index, computed like that of an image, but over all reapers and over which children are
/// kept.
pub fn recipe(reapers: &Reapers, policy: &Policy, selection: &str) -> Digest {
    let digests: Vec<String> = reapers.all().map(|r| format!("{} {}", r.platform, r.digest)).collect();
    Digest::sha256(format!(
        "reapify index recipe\n{}\n{}\n{}\n{}\n{selection}",
        record::RECIPE,
        known_inits::VERSION,
        digests.join("\n"),
        policy.fingerprint()
    ))
}

/// Puts one more new child into a result of [`wrap`], by its position there.
///
/// # Errors
///
/// Returns an error if the result would be malformed.
pub fn relink(index: &Manifest, child: Replaced) -> Result<Manifest> {
    let mut text = Document::new(&index.bytes)?;
    replace(&mut text, index, &[child], None)?;
    Manifest::parse(text.into_bytes(), Some(&index.media_type))
}

/// Puts the new children into an index and drops those at `dropped` (positions in the original). Returns the original
/// if there is nothing to do. `dropped_below` counts the children dropped from nested indexes. `family` is that of
/// the result's media types.
pub fn wrap(
    history: &History,
    children: &[Replaced],
    dropped: &[usize],
    dropped_below: usize,
    recipe: &Digest,
    family: Family,
) -> Result<Manifest> {
    let original = &history.original;
    if children.is_empty() && dropped.is_empty() && history.dropped == 0 {
        return Ok(original.clone());
    }
    for child in children {
        embedded::check(&original.children()[child.position])?;
    }
    let mut text = Document::new(&original.bytes)?;
    let converted = Some(family).filter(|family| *family != original.family());
    replace(&mut text, original, children, converted)?;
    let types = match converted {
        Some(family) => vec![text.set("/mediaType", &quote(format::index_type(family)))?],
        None => Vec::new(),
    };
    // Docker's lists have no annotations, but readers ignore them, and an OCI index can be restored from them.
    let is_annotated = family == Family::Oci || !types.is_empty();
    if is_annotated {
        let annotations = Annotations {
            source: history.source.clone(),
            recipe: recipe.clone(),
            platform: None,
            content: None,
        };
        let mut undo = types;
        undo.extend(annotations.write(&mut text)?);
        undo.push(text.set(&undo_pointer(), "\"\"")?);
        let stays = (0..original.children().len()).filter(|position| !dropped.contains(position));
        let is_kept = |position: usize| !children.iter().any(|child| child.position == position);
        let undos = Undos {
            index: record::condense(&undo),
            dropped: history.dropped.saturating_add(dropped.len()).saturating_add(dropped_below),
            kept: stays.enumerate().filter(|(_, was)| is_kept(*was)).map(|(now, _)| now).collect(),
        };
        text.set(&undo_pointer(), &quote(&to_json(&undos)?))?;
    }
    remove(&mut text, dropped)?;
    if is_annotated && let Some(list) = text.get("/manifests")? {
        let content = Digest::sha256(list.as_bytes());
        record::write_content(&mut text, &content)?;
    }
    let media_type =
        if original.family() == family { &original.media_type } else { format::index_type(family) };
    let wrapped = Manifest::parse(text.into_bytes(), Some(media_type))?;
    if dropped.is_empty() {
        prove(&wrapped, original, children)?;
    }
    Ok(wrapped)
}

/// Returns the positions of the children that wrap did not change, from the record of an index.
pub fn kept(index: &Manifest) -> Vec<usize> {
    undos(index).map(|undos| undos.kept).unwrap_or_default()
}

/// Returns the undo record of an index. A record of more dropped children than an index may have is not ours.
fn undos(index: &Manifest) -> Option<Undos> {
    let text = index.annotations.get(record::undo_key())?;
    serde_json::from_str(text).ok().filter(|undos: &Undos| undos.dropped <= MAX_MANIFESTS)
}

/// Returns an error unless undoing the result restores every byte of the original.
fn prove(wrapped: &Manifest, original: &Manifest, children: &[Replaced]) -> Result<()> {
    let mut back = Document::new(&unwrap(wrapped, &[], false)?.original.bytes)?;
    for Replaced { position, .. } in children {
        let was = &original.children()[*position];
        back.set(&at(*position, "digest"), &quote(&was.digest.to_string()))?;
        back.set(&at(*position, "size"), &was.size.to_string())?;
        if let Some(data) = &was.data {
            back.set(&at(*position, "data"), &quote(data))?;
        }
        if wrapped.children()[*position].media_type != was.media_type {
            back.set(&at(*position, "mediaType"), &quote(&was.media_type))?;
        }
    }
    if back.into_bytes() == original.bytes {
        return Ok(());
    }
    Err(Error::unsupported("wrapping this index could not be undone exactly; nothing was written")
        .hint("please report this index: it cannot be restored from the record"))
}

/// Returns an index with other manifests in place of some children.
pub fn with(index: &Manifest, children: &[Replaced]) -> Result<Manifest> {
    let mut text = Document::new(&index.bytes)?;
    replace(&mut text, index, children, None)?;
    Manifest::parse(text.into_bytes(), Some(&index.media_type))
}

/// Returns an index without the children at the given positions.
pub fn without(index: &Manifest, positions: &[usize]) -> Result<Manifest> {
    let mut text = Document::new(&index.bytes)?;
    remove(&mut text, positions)?;
    Manifest::parse(text.into_bytes(), Some(&index.media_type))
}

/// Removes the children at the given positions.
pub(super) fn remove(text: &mut Document, positions: &[usize]) -> Result<()> {
    text.remove_elements("/manifests", positions)
}

/// Removes the record from an index and restores the children that wrap had replaced. `is_part` states that some
/// children were not read and may still be wrapped, so that only the record determines the original index.
pub fn unwrap(index: &Manifest, children: &[Replaced], is_part: bool) -> Result<History> {
    let undos = undos(index);
    let was_converted = undos.as_ref().is_some_and(|undos| undos.index.iter().any(format::is_of_index));
    let other = match index.family() {
        Family::Oci => Family::Docker,
        Family::Docker => Family::Oci,
    };
    let mut text = Document::new(&index.bytes)?;
    replace(&mut text, index, children, was_converted.then_some(other))?;
    let annotations = Annotations::read(index);
    let describes = annotations.as_ref().is_some_and(|annotations| annotations.describe(index));
    let recorded = annotations.map(|annotations| annotations.source);
    let undone = undos.as_ref().zip(recorded.as_ref()).and_then(|(undos, _)| {
        // Our records restore only annotations and types. Ignore any other: it could claim other children.
        let is_ours = undos.index.iter().all(|undo| {
            let rest = undo.pointer().strip_prefix("/annotations");
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) || format::is_of_index(undo)
        });
        if !is_ours {
            return None;
        }
        let mut text = text.clone();
        record::apply(&mut text, &undos.index).ok()?;
        Manifest::parse(text.into_bytes(), Some(format::before(&undos.index, &index.media_type))).ok()
    });
    let is_stale = undone.is_none() && record::has_record_key(&index.annotations);
    let dropped = undone.as_ref().and(undos).map_or(0, |u| u.dropped);
    let original = match undone {
        Some(undone) => undone,
        None => Manifest::parse(text.into_bytes(), Some(&index.media_type))?,
    };
    let is_changed = recorded.is_some() && !is_stale && !describes;
    // A changed index is no longer made from the recorded source, so a new record must not claim that.
    let source = recorded.clone().filter(|_| !is_changed && (dropped > 0 || (is_part && !is_stale)));
    let source = source.unwrap_or_else(|| original.digest.clone());
    Ok(History { input: index.clone(), original, source, dropped, recorded, is_stale, is_changed })
}

/// Sets descriptors to new children. `converted` is the family that the index is converted to, if any: descriptors
/// with a correct media type then get the converted one.
fn replace(
    text: &mut Document,
    index: &Manifest,
    children: &[Replaced],
    converted: Option<Family>,
) -> Result<()> {
    for Replaced { position, manifest } in children {
        text.set(&at(*position, "digest"), &quote(&name(index, *position, manifest).to_string()))?;
        text.set(&at(*position, "size"), &manifest.bytes.len().to_string())?;
        let was = index.children().get(*position).map_or("", |child| child.media_type.as_str());
        if converted == Some(manifest.family()) && format::is_converted(was, &manifest.media_type) {
            text.set(&at(*position, "mediaType"), &quote(&manifest.media_type))?;
        }
        if index.children().get(*position).is_some_and(|c| c.data.is_some()) {
            embedded::embed(text, &format!("/manifests/{position}"), &manifest.bytes)?;
        }
    }
    Ok(())
}

/// Returns the digest by which an index refers to a new manifest of one of its children. The algorithm stays the
/// same, so that unwrapping can restore the original digest.
pub fn name(index: &Manifest, position: usize, manifest: &Manifest) -> Digest {
    match index.children().get(position).map(|child| child.digest.algorithm()) {
        None | Some(Algorithm::Sha256) => manifest.digest.clone(),
        Some(other) => Digest::of(other, &manifest.bytes),
    }
}

fn at(position: usize, field: &str) -> String {
    format!("/manifests/{position}/{field}")
}

fn undo_pointer() -> String {
    child("/annotations", record::undo_key())
}

//! The same for an index: its children's descriptors follow their new manifests, and all else stays.

use super::record::{self, Record};
use super::{Policy, known_inits};
use crate::error::{Error, Result};
use crate::image::digest::Algorithm;
use crate::image::json::{Document, Undo, child, quote, to_json};
use crate::image::media_type::Family;
use crate::image::{Digest, Manifest};
use crate::reapers::Reapers;
use serde::{Deserialize, Serialize};

/// A child that has a new manifest.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// Its position among the children.
    pub position: usize,
    /// Its manifest as it shall be.
    pub manifest: Manifest,
}

/// What an OCI index records besides source and recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Undos {
    /// How the annotations are restored.
    index: Vec<Undo>,
    /// How many children were left out here and below, so that the source's digest cannot come back.
    dropped: usize,
}

/// An index before it was wrapped.
#[derive(Debug, Clone)]
pub struct Base {
    /// The index.
    pub manifest: Manifest,
    /// The digest of the index that was wrapped first.
    pub source: Digest,
    /// How many children it and the indexes in it had more.
    pub dropped: usize,
    /// Whether there is a record that does not describe this index: it was changed since. It stays where it is.
    pub is_stale: bool,
}

/// The recipe of an index: as that of an image, but over all reapers, and over which children are kept.
pub fn recipe(reapers: &Reapers, policy: &Policy, selection: &str) -> Digest {
    let digests: Vec<String> = reapers.all().map(|r| format!("{} {}", r.platform, r.digest)).collect();
    Digest::sha256(format!(
        "reapify index recipe\n1\n{}\n{}\n{}\n{selection}",
        known_inits::VERSION,
        digests.join("\n"),
        policy.fingerprint()
    ))
}

/// Puts the new children into an index and leaves out those at `dropped` (positions). Comes back
/// unchanged if there is nothing to do. `dropped_below`: how many the new children that are indexes have lost.
pub fn wrap(
    base: &Base,
    children: &[Replaced],
    dropped: &[usize],
    dropped_below: usize,
    recipe: &Digest,
) -> Result<Manifest> {
    if children.is_empty() && dropped.is_empty() && base.dropped == 0 {
        return Ok(base.manifest.clone());
    }
    let mut text = Document::new(&base.manifest.bytes)?;
    replace(&mut text, &base.manifest, children)?;
    if base.manifest.family() == Family::Oci {
        let mut undo = Record::write_annotations(&base.source, recipe, &mut text)?;
        undo.push(text.set(&undo_pointer(), "\"\"")?);
        let undos =
            Undos { index: record::condense(&undo), dropped: base.dropped + dropped.len() + dropped_below };
        text.set(&undo_pointer(), &quote(&to_json(&undos)?))?;
    }
    remove(&mut text, dropped)?;
    let wrapped = Manifest::parse(text.into_bytes(), Some(&base.manifest.media_type))?;
    if dropped.is_empty() {
        let mut back = Document::new(&unwrap(&wrapped, &[], false)?.manifest.bytes)?;
        for Replaced { position, .. } in children {
            let was = &base.manifest.children()[*position];
            back.set(&at(*position, "digest"), &quote(&was.digest.to_string()))?;
            back.set(&at(*position, "size"), &was.size.to_string())?;
            if let Some(data) = &was.data {
                back.set(&at(*position, "data"), &quote(data))?;
            }
        }
        if back.into_bytes() != base.manifest.bytes {
            return Err(Error::unsupported(
                "wrapping this index could not be undone exactly; nothing was written",
            )
            .hint("it is written in a way that cannot be restored; please report it"));
        }
    }
    Ok(wrapped)
}

/// An index with other manifests in place of some children.
pub fn with(index: &Manifest, children: &[Replaced]) -> Result<Manifest> {
    let mut text = Document::new(&index.bytes)?;
    replace(&mut text, index, children)?;
    Manifest::parse(text.into_bytes(), Some(&index.media_type))
}

/// An index without the children at some positions.
pub fn without(index: &Manifest, positions: &[usize]) -> Result<Manifest> {
    let mut text = Document::new(&index.bytes)?;
    remove(&mut text, positions)?;
    Manifest::parse(text.into_bytes(), Some(&index.media_type))
}

/// Takes the children at some positions out.
pub(super) fn remove(text: &mut Document, positions: &[usize]) -> Result<()> {
    text.remove_elements("/manifests", positions)
}

/// Takes the record out of an index and puts the children back that wrap had replaced. `is_part`: some children were
/// not looked into and may still be wrapped, so that only the record can say what the index was.
pub fn unwrap(index: &Manifest, children: &[Replaced], is_part: bool) -> Result<Base> {
    let mut text = Document::new(&index.bytes)?;
    replace(&mut text, index, children)?;
    let undos: Option<Undos> =
        index.annotations.get(record::undo_key()).and_then(|u| serde_json::from_str(u).ok());
    let recorded = record::annotated(index).map(|(source, _)| source);
    let undone = undos.as_ref().zip(recorded.as_ref()).and_then(|(undos, _)| {
        // A record of ours restores annotations and nothing else: no other may say what the children were.
        let is_ours = undos.index.iter().all(|undo| {
            undo.pointer()
                .strip_prefix("/annotations")
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if !is_ours {
            return None;
        }
        let mut text = text.clone();
        record::apply(&mut text, &undos.index).ok()?;
        Manifest::parse(text.into_bytes(), Some(&index.media_type)).ok()
    });
    let is_stale = undone.is_none() && record::any_trace(&index.annotations);
    let dropped = undone.as_ref().and(undos).map_or(0, |u| u.dropped);
    let manifest = match undone {
        Some(undone) => undone,
        None => Manifest::parse(text.into_bytes(), Some(&index.media_type))?,
    };
    let source = recorded.filter(|_| dropped > 0 || (is_part && !is_stale));
    let source = source.unwrap_or_else(|| manifest.digest.clone());
    Ok(Base { source, dropped, is_stale, manifest })
}

fn replace(text: &mut Document, index: &Manifest, children: &[Replaced]) -> Result<()> {
    for Replaced { position, manifest } in children {
        text.set(&at(*position, "digest"), &quote(&name(index, *position, manifest).to_string()))?;
        text.set(&at(*position, "size"), &manifest.bytes.len().to_string())?;
        if index.children().get(*position).is_some_and(|c| c.data.is_some()) {
            record::embed(text, &format!("/manifests/{position}"), &manifest.bytes)?;
        }
    }
    Ok(())
}

/// What an index calls another manifest in the place of one of its children. It stays with the algorithm it uses
/// there, so that the digest of the first one can come back.
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

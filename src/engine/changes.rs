//! The changes that a dry run reports: edits of documents, and blobs to send.

use super::copy::Copier;
use super::destination::Destination;
use super::overlay::Overlay;
use super::relation::Relation;
use super::report::name;
use super::tree::{Child, ImageNode, Node, Root};
use crate::error::Result;
use crate::image::json::{Document, Undo};
use crate::image::{Digest, ImageConfig, Platform};
use crate::rewrite::Outcome;
use crate::rewrite::record::Record;
use bytes::Bytes;
use futures_util::future::try_join_all;
use serde::Serialize;

/// A change of one value, or a blob to send.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Change {
    /// A change of a value in a manifest, an index or a config.
    Value {
        /// The platform of the image.
        #[serde(serialize_with = "name")]
        platform: Option<Platform>,
        /// The document: `config`, `manifest` or `index`.
        document: &'static str,
        /// The place of the value, as a JSON Pointer (RFC 6901).
        pointer: String,
        /// The JSON text before the change.
        before: Option<String>,
        /// The JSON text after the change.
        after: Option<String>,
    },
    /// A blob that the destination does not have.
    Blob {
        /// The blob's digest.
        #[serde(rename = "blob")]
        digest: Digest,
        /// The blob's size in bytes.
        size: u64,
        /// How the blob would be transferred: `upload`, `mount` or `copy`.
        how: &'static str,
    },
}

/// The changes that a run would make.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Changes {
    /// The amount that would be written, if anything.
    pub would_write: Option<WouldWrite>,
    /// Every change, in order.
    pub changes: Vec<Change>,
}

/// The amount that a run would write.
#[derive(Debug, Clone, Serialize)]
pub struct WouldWrite {
    /// Whether the destination's name does not refer to an image yet.
    pub creates: bool,
    /// The number of blobs that would be sent.
    pub blobs: usize,
    /// The total size of these blobs in bytes.
    pub bytes: u64,
}

/// Returns the changes of writing an overlay. `creates` says that the destination's name does not exist yet.
pub(super) async fn changes(
    root: &Root,
    overlay: &Overlay,
    copier: &Copier,
    destination: &Destination,
    creates: bool,
) -> Result<Changes> {
    let mut changes = Vec::new();
    match root {
        Root::Image(image) => values(image, &mut changes),
        Root::Index(index) => index.children.iter().for_each(|child| child_values(child, &mut changes)),
        Root::Copied(_) => {}
    }
    let blobs = blobs(overlay, copier, destination).await?;
    let would_write = Some(would_write(&blobs, creates));
    changes.extend(blobs);
    Ok(Changes { would_write, changes })
}

/// Adds up the blobs that would be sent. Manifests may state any sizes, so the sum may be too large to be counted.
fn would_write(blobs: &[Change], creates: bool) -> WouldWrite {
    let sent = blobs.iter().filter_map(|blob| match blob {
        Change::Blob { size, how, .. } if *how != "mount" => Some(*size),
        _ => None,
    });
    let (blobs, bytes) =
        sent.fold((0, 0_u64), |(count, bytes), size| (count + 1, bytes.saturating_add(size)));
    WouldWrite { creates, blobs, bytes }
}

fn child_values(child: &Child, changes: &mut Vec<Change>) {
    match &child.node {
        Node::Image(image) => values(image, changes),
        Node::Index(index) => index.children.iter().for_each(|child| child_values(child, changes)),
        Node::Carried(_) => return,
    }
    if child.digest != child.descriptor.digest {
        changes.push(Change::Value {
            platform: child.descriptor.complete_platform(),
            document: "index",
            pointer: format!("/manifests/{}/digest", child.position),
            before: Some(format!("{:?}", child.descriptor.digest.to_string())),
            after: Some(format!("{:?}", child.digest.to_string())),
        });
    }
}

/// Adds the changed values of an image: the record has the places and old values, the documents the new ones.
fn values(image: &ImageNode, changes: &mut Vec<Change>) {
    let recorded = |config: &Bytes| {
        ImageConfig::parse(config.clone()).ok().and_then(|config| Record::read(&config.labels))
    };
    let (record, config, manifest) = match &image.outcome {
        Outcome::Wrapped(new) | Outcome::Upgraded(new, _) => {
            (recorded(&new.config), &new.config, &new.manifest.bytes)
        }
        Outcome::Relabelled(new, _) => (recorded(&new.config), &new.config, &new.manifest.bytes),
        Outcome::Unwrapped(original) => (Some(original.record.clone()), &image.config, &image.input.bytes),
        Outcome::Unchanged(_) | Outcome::Skipped { .. } => return,
    };
    let is_undone = matches!(image.outcome, Outcome::Unwrapped(_));
    let Some(record) = record else { return };
    for (document, undos, text) in
        [("config", &record.undo.config, config), ("manifest", &record.undo.manifest, manifest)]
    {
        // The wrapped documents have the new values, whether they are the input or the output.
        let Ok(mut wrapped) = Document::new(text) else { continue };
        for undo in undos {
            let (pointer, old) = match undo {
                Undo::Set(pointer, old) => (pointer.clone(), Some(old.clone())),
                Undo::Del(pointer) => (pointer.clone(), None),
                Undo::Pop(pointer) => (last_element(&mut wrapped, pointer), None),
            };
            let new = wrapped.get(&pointer).ok().flatten().map(String::from);
            let (before, after) = if is_undone { (new, old) } else { (old, new) };
            changes.push(Change::Value {
                platform: image.platform.clone(),
                document,
                pointer,
                before,
                after,
            });
        }
    }
}

fn last_element(text: &mut Document, pointer: &str) -> String {
    let len = text.len(pointer).ok().flatten().unwrap_or(0);
    format!("{pointer}/{}", len.saturating_sub(1))
}

/// Returns the blobs that the destination does not have, as far as it reports.
async fn blobs(overlay: &Overlay, copier: &Copier, destination: &Destination) -> Result<Vec<Change>> {
    let asking = overlay.all_blobs().into_iter().map(async |descriptor| {
        let how = match copier.relation() {
            _ if overlay.fresh(&descriptor.digest).is_some() => "upload",
            _ if copier.believed(descriptor).is_some() => return Ok(None),
            _ if destination.has(descriptor).await? => return Ok(None),
            Relation::Sibling(_) => "mount",
            Relation::Same | Relation::Foreign => "copy",
        };
        Result::<_>::Ok(Some(Change::Blob { digest: descriptor.digest.clone(), size: descriptor.size, how }))
    });
    Ok(try_join_all(asking).await?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_any_sum_are_counted() {
        let blob = |size, how| Change::Blob { digest: Digest::sha256("x"), size, how };
        let blobs = [blob(1 << 63, "copy"), blob(1 << 63, "upload"), blob(1, "mount")];
        let all = would_write(&blobs, true);
        assert_eq!((all.blobs, all.bytes), (2, u64::MAX));
    }
}

//! What a planned image would change and send: the answer of a dry run.

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
use futures_util::future::try_join_all;
use serde::Serialize;

/// One change of a text, or one blob that would be sent.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Change {
    /// A value of a manifest or a config.
    Value {
        /// Of which image.
        #[serde(serialize_with = "name")]
        platform: Option<Platform>,
        /// `config`, `manifest` or `index`.
        document: &'static str,
        /// A JSON Pointer (RFC 6901).
        pointer: String,
        /// The JSON text before.
        before: Option<String>,
        /// The JSON text after.
        after: Option<String>,
    },
    /// A blob.
    Blob {
        /// Its digest.
        #[serde(rename = "blob")]
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// How it gets there: `upload`, `mount` or `copy`.
        how: &'static str,
    },
}

/// What a run would do to the destination.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Changes {
    /// What would be written, if anything.
    pub would_write: Option<WouldWrite>,
    /// Every change.
    pub changes: Vec<Change>,
}

/// A write in numbers.
#[derive(Debug, Clone, Serialize)]
pub struct WouldWrite {
    /// Whether the destination has no image of that name yet.
    pub creates: bool,
    /// Blobs that would be sent.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What writing the overlay would change and send. `creates`: the destination has no image of that name.
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
    let sent = blobs.iter().filter_map(|blob| match blob {
        Change::Blob { size, how, .. } if *how != "mount" => Some(*size),
        _ => None,
    });
    let (count, bytes) = sent.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size));
    changes.extend(blobs);
    Ok(Changes { would_write: Some(WouldWrite { creates, blobs: count, bytes }), changes })
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

/// The record says what was changed; the texts say what to.
fn values(image: &ImageNode, changes: &mut Vec<Change>) {
    let (record, config, manifest) = match &image.outcome {
        Outcome::Wrapped(new) | Outcome::Upgraded(new, _) => {
            let record = ImageConfig::parse(new.config.clone()).ok().and_then(|c| Record::read(&c.labels));
            (record, &new.config, &new.manifest.bytes)
        }
        Outcome::Unwrapped(original) => (Some(original.record.clone()), &image.config, &image.input.bytes),
        Outcome::Unchanged(_) | Outcome::Skipped { .. } => return,
    };
    let is_undone = matches!(image.outcome, Outcome::Unwrapped(_));
    let Some(record) = record else { return };
    for (document, undos, text) in
        [("config", &record.undo.config, config), ("manifest", &record.undo.manifest, manifest)]
    {
        // The wrapped texts hold the new values, whichever way we go.
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

/// The blobs that the destination does not have, as far as it says.
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

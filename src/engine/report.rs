//! What was done, or would be: for people and for programs.

use super::copy::{Copier, Relation};
use super::tree::{ImageNode, Node};
use crate::image::json::{Document, Undo};
use crate::image::{Content, Digest, ImageConfig, Manifest, Platform};
use crate::rewrite::Action;
use crate::rewrite::record::Record;

/// What became of an image.
#[derive(Debug, Clone)]
pub struct Report {
    /// The digest of the manifest that was read.
    pub source_digest: Digest,
    /// The digest of the result.
    pub digest: Digest,
    /// What happened.
    pub action: Action,
    /// Why, where it is not plain.
    pub reason: Option<String>,
    /// What the user should know besides.
    pub notes: Vec<String>,
    /// The images within.
    pub platforms: Vec<PlatformReport>,
}

/// What became of one image of an index, or of the only one.
#[derive(Debug, Clone)]
pub struct PlatformReport {
    /// What it is for, where it says so.
    pub platform: Option<Platform>,
    /// What happened.
    pub action: Action,
    /// Why, where it is not plain.
    pub reason: Option<String>,
    /// The digest of the manifest that was read.
    pub source_digest: Digest,
    /// The digest of the result.
    pub digest: Digest,
}

impl Report {
    /// The report of a tree; `written` is the digest that the destination gave it.
    pub(super) fn new(source: &Manifest, root: &Node, written: Option<Digest>) -> Self {
        let platforms = platform_report(root);
        let reason = match root {
            Node::Image(image) => image.rewritten.reason.clone(),
            Node::Index(_) => None,
            Node::Carried(carried) => Some(carried.reason.clone()),
        };
        let mut notes = Vec::new();
        collect_notes(root, &mut notes);
        Report {
            source_digest: source.digest.clone(),
            digest: written.unwrap_or_else(|| root.manifest().digest.clone()),
            action: summary(platforms.iter().map(|p| p.action)),
            reason,
            notes,
            platforms,
        }
    }

    /// The report of a run that found everything done.
    pub(super) fn up_to_date(source: &Manifest, current: &Manifest) -> Self {
        Report {
            source_digest: source.digest.clone(),
            digest: current.digest.clone(),
            action: Action::Unchanged,
            reason: Some(
                "the destination is this image, wrapped with this reaper and these options, already".into(),
            ),
            notes: Vec::new(),
            platforms: Vec::new(),
        }
    }
}

/// Each note once: the children of an index often have the same to say.
fn collect_notes(node: &Node, notes: &mut Vec<String>) {
    let own = match node {
        Node::Image(image) => &image.rewritten.notes,
        Node::Index(index) => &index.notes,
        Node::Carried(_) => return,
    };
    for note in own {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    if let Node::Index(index) = node {
        index.children.iter().for_each(|child| collect_notes(&child.node, notes));
    }
}

/// One change of a text, or one blob that would be sent.
#[derive(Debug, Clone)]
pub enum Change {
    /// A value of a manifest or a config.
    Value {
        /// Of which image.
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
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// How it gets there.
        how: &'static str,
    },
}

/// What a tree would change and send.
pub(super) fn changes(root: &Node, copier: &Copier) -> Vec<Change> {
    let mut changes = Vec::new();
    collect(root, copier, &mut changes);
    changes
}

fn collect(node: &Node, copier: &Copier, changes: &mut Vec<Change>) {
    match node {
        Node::Image(image) => {
            values(image, changes);
            blobs(image, copier, changes);
        }
        Node::Index(index) => {
            for child in &index.children {
                collect(&child.node, copier, changes);
                if let Node::Carried(_) = child.node {
                    continue;
                }
                if child.digest != child.descriptor.digest {
                    changes.push(Change::Value {
                        platform: child.descriptor.platform.clone(),
                        document: "index",
                        pointer: format!("/manifests/{}/digest", child.position),
                        before: Some(format!("{:?}", child.descriptor.digest.to_string())),
                        after: Some(format!("{:?}", child.digest.to_string())),
                    });
                }
            }
        }
        Node::Carried(_) => {}
    }
}

/// The record says what was changed; the texts say what to.
fn values(image: &ImageNode, changes: &mut Vec<Change>) {
    let rewritten = &image.rewritten;
    let Some(new_config) = &rewritten.config else { return };
    let unwrapped = rewritten.action == Action::Unwrapped;
    let record = match (&rewritten.original, unwrapped) {
        (Some(original), true) => Some(original.record.clone()),
        _ => ImageConfig::parse(new_config.clone()).ok().and_then(|c| Record::read(&c.labels)),
    };
    let Some(record) = record else { return };
    // The wrapped texts hold the new values, whichever way we go.
    let texts = match unwrapped {
        true => (Some(image.config.clone()), None),
        false => (Some(new_config.clone()), Some(rewritten.manifest.bytes.clone())),
    };
    for (document, undos, text) in
        [("config", &record.undo.config, texts.0), ("manifest", &record.undo.manifest, texts.1)]
    {
        let Some(mut wrapped) = text.and_then(|t| Document::new(&t).ok()) else { continue };
        for undo in undos {
            let (pointer, old) = match undo {
                Undo::Set(pointer, old) => (pointer.clone(), Some(old.clone())),
                Undo::Del(pointer) => (pointer.clone(), None),
                Undo::Pop(pointer) => (last_element(&mut wrapped, pointer), None),
            };
            let new = wrapped.get(&pointer).ok().flatten().map(String::from);
            let (before, after) = if unwrapped { (new, old) } else { (old, new) };
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

fn blobs(image: &ImageNode, copier: &Copier, changes: &mut Vec<Change>) {
    let rewritten = &image.rewritten;
    let Content::Image { config, layers } = &rewritten.manifest.content else { return };
    let added = rewritten.layer.as_ref().map(|l| &l.digest);
    for (descriptor, is_new) in layers
        .iter()
        .map(|l| (l, Some(&l.digest) == added))
        .chain([(config.as_ref(), rewritten.config.is_some())])
    {
        let how = match copier.relation() {
            _ if is_new => "upload",
            _ if copier.has(&descriptor.digest) || descriptor.is_foreign() => continue,
            Relation::Sibling(_) => "mount",
            _ => "copy, unless it is there",
        };
        changes.push(Change::Blob { digest: descriptor.digest.clone(), size: descriptor.size, how });
    }
}

/// The word for all from the words for each: `wrapped` if any child was, and so on down.
fn summary(actions: impl IntoIterator<Item = Action>) -> Action {
    let order = [Action::Unwrapped, Action::Wrapped, Action::Upgraded, Action::Unchanged, Action::Skipped];
    let actions: Vec<Action> = actions.into_iter().collect();
    order.into_iter().find(|a| actions.contains(a)).unwrap_or(Action::Skipped)
}

/// What an image's own report is.
fn platform_report(node: &Node) -> Vec<PlatformReport> {
    match node {
        Node::Image(image) => vec![PlatformReport {
            platform: image.platform.clone(),
            action: image.rewritten.action,
            reason: image.rewritten.reason.clone(),
            source_digest: image.source.clone(),
            digest: image.rewritten.manifest.digest.clone(),
        }],
        Node::Index(index) => index.children.iter().flat_map(|c| platform_report(&c.node)).collect(),
        Node::Carried(carried) => vec![PlatformReport {
            platform: carried.platform.clone(),
            action: Action::Skipped,
            reason: Some(carried.reason.clone()),
            source_digest: carried.descriptor.digest.clone(),
            digest: carried.descriptor.digest.clone(),
        }],
    }
}

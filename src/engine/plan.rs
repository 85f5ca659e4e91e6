//! Plans the [tree](super::tree) of manifests to write. Reads manifests and configs, and starts to move blobs
//! as soon as they are known, unless transfers are deferred.

use super::attestations;
use super::carry_over::CarryOver;
use super::copy::Copier;
use super::docker_list;
use super::images::{Images, Looked};
use super::task::{Task, Unsupported};
use super::tree::{Carried, Child, CopiedNode, ImageNode, IndexNode, Node, Root};
use crate::error::{Context, Error, Kind, Note, Result};
use crate::image::media_type::Family;
use crate::image::{Content, Descriptor, Digest, Manifest, StatedPlatform};
use crate::read::select::{self, Selection};
use crate::read::{Limits, Reader};
use crate::rewrite::index::{self, History, Replaced};
use crate::rewrite::record::Annotations;
use crate::rewrite::{self, Image, ImageOrArtifact};
use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Builds the tree.
pub struct Planner<'a> {
    task: &'a Task,
    reader: &'a Reader,
    copier: &'a Copier,
    images: Images<'a>,
    limits: Limits,
    /// Whether transfers are left to the push.
    defer: bool,
    /// Digests for which an upload session was already opened: reapers, and configs to be rewritten.
    uploads_opened: Mutex<HashSet<Digest>>,
}

/// What a manifest that is not an index contains.
enum Found {
    Image(Box<ImageNode>),
    /// Something else, with its type as it states it.
    Artifact(String),
    /// An image that cannot be rewritten, or an invalid manifest.
    Bad(Error),
}

impl<'a> Planner<'a> {
    /// Creates a planner. With `defer` it starts no transfers. Reads the layers of up to `streams` images at
    /// once.
    pub fn new(task: &'a Task, reader: &'a Reader, copier: &'a Copier, streams: usize, defer: bool) -> Self {
        let images = Images::new(task, reader, streams);
        Planner {
            task,
            reader,
            copier,
            images,
            limits: Limits::default(),
            defer,
            uploads_opened: Mutex::default(),
        }
    }

    /// Plans the tree of an image. `listed` is the platform that an index gives for it, if it was chosen from
    /// one.
    pub async fn root(&self, manifest: Manifest, listed: Option<&StatedPlatform>) -> Result<Root> {
        if matches!(self.task, Task::Copy(_)) {
            return self.copied(manifest, None).await;
        }
        if !matches!(manifest.content, Content::Index { .. }) {
            let error = match self.image(manifest.clone(), listed, false).await? {
                Found::Image(image) => return Ok(Root::Image(image)),
                Found::Artifact(kind) => rewrite::artifact(&kind),
                Found::Bad(error) => error,
            };
            return match self.task {
                Task::Wrap(wrap) if wrap.unsupported == Unsupported::Carry => {
                    self.copied(manifest, Some(error.to_string())).await
                }
                _ => Err(error),
            };
        }
        let selection = Selection::new(self.reader, &manifest, self.task.platforms()).await?;
        let index = self.index(manifest, &selection, 0).await?;
        let index = match self.task {
            Task::Wrap(wrap) => docker_list::record(index, || wrap.index_recipe(Family::Docker))?,
            Task::Unwrap | Task::Copy(_) => index,
        };
        if matches!(self.task, Task::Unwrap) && index.children.iter().all(|c| c.node.replacement().is_none())
        {
            return Err(Error::unsupported("none of the images in this index is wrapped"));
        }
        Ok(Root::Index(Box::new(index)))
    }

    /// Plans an unchanged copy, or one with fewer children.
    async fn copied(&self, input: Manifest, reason: Option<String>) -> Result<Root> {
        if let Content::Opaque { why, .. } = &input.content {
            return Err(why.clone());
        }
        let mut output = input.clone();
        let mut notes = Vec::new();
        if matches!(input.content, Content::Index { .. }) {
            self.limits.enter(&input, 0)?;
            let kept = Selection::new(self.reader, &input, self.task.platforms()).await?.of(&input);
            let dropped: Vec<usize> =
                (0..input.children().len()).filter(|position| !kept.contains(position)).collect();
            if !dropped.is_empty() {
                output = index::without(&input, &dropped)?;
                let all = input.children().len();
                notes.push(format!("{} of {all} children are left out", dropped.len()).into());
            }
        }
        let carry_over = CarryOver::new(self.reader, self.copier, &self.limits, self.defer);
        if !self.defer {
            output.blobs().into_iter().for_each(|blob| self.copier.start(blob));
        }
        let below = output.children().iter().map(|child| carry_over.unread(child.clone(), String::new(), 0));
        let below = try_join_all(below).await?;
        Ok(Root::Copied(Box::new(CopiedNode { input, output, below, reason, notes })))
    }

    async fn image(
        &self,
        manifest: Manifest,
        listed: Option<&StatedPlatform>,
        is_child: bool,
    ) -> Result<Found> {
        let (config, layers) = match &manifest.content {
            Content::Image { config, layers } => (config.as_ref().clone(), layers.clone()),
            Content::Artifact { kind, .. } => return Ok(Found::Artifact(kind.clone())),
            Content::Opaque { why, .. } => return Ok(Found::Bad(why.clone())),
            Content::Index { .. } => {
                return Err(Error::other("internal error: an index where an image was expected"));
            }
        };
        match Image::other(&manifest) {
            Some(Ok(ImageOrArtifact::Artifact(kind))) => return Ok(Found::Artifact(kind)),
            Some(Err(error)) => return Ok(Found::Bad(error)),
            _ => {}
        }
        let reading = self.reader.config(&config);
        if !self.defer {
            // The config is requested first; mounts follow while it is on its way.
            let is_wrapped = matches!(self.task, Task::Unwrap) || Annotations::read(&manifest).is_some();
            self.start_transfers(&config, &layers, is_wrapped, listed);
        }
        let bytes = match reading.await {
            Err(error) if error.kind() == Kind::Unsupported => return Ok(Found::Bad(error)),
            bytes => bytes?,
        };
        Ok(match self.images.rewrite(manifest, bytes, listed, is_child).await? {
            Looked::Image(image) => Found::Image(image),
            Looked::Artifact(kind) => Found::Artifact(kind),
            Looked::Bad(error) => Found::Bad(error),
        })
    }

    /// Starts to move an image's layers, and opens uploads for its new blobs.
    fn start_transfers(
        &self,
        config: &Descriptor,
        layers: &[Descriptor],
        is_wrapped: bool,
        listed: Option<&StatedPlatform>,
    ) {
        for _ in 0..self.new_blobs(&config.digest, listed) {
            self.copier.open_early();
        }
        // The last layer of a wrapped image is its reaper, which is removed or replaced.
        let layers = match layers {
            [layers @ .., _] if is_wrapped => layers,
            layers => layers,
        };
        for layer in layers {
            self.copier.start(layer);
        }
    }

    /// Estimates how many new blobs an image will have: a config, and a reaper's layer unless another image
    /// has the same reaper.
    fn new_blobs(&self, config: &Digest, listed: Option<&StatedPlatform>) -> usize {
        let mut uploads_opened = self.uploads_opened.lock().unwrap_or_else(PoisonError::into_inner);
        let for_config = usize::from(uploads_opened.insert(config.clone()));
        let Task::Wrap(wrap) = self.task else { return for_config };
        match listed.and_then(StatedPlatform::complete).map(|platform| wrap.reapers.select(&platform)) {
            // The platform is not known yet: one digest represents every reaper, as another job may have sent
            // it.
            None => for_config * (1 + usize::from(self.copier.announces(&Digest::sha256("a reaper")))),
            Some(Ok(reaper)) => {
                let is_new =
                    uploads_opened.insert(reaper.digest.clone()) && self.copier.announces(&reaper.digest);
                for_config + usize::from(is_new)
            }
            Some(Err(_)) => 0,
        }
    }

    async fn index(&self, manifest: Manifest, selection: &Selection<'_>, depth: usize) -> Result<IndexNode> {
        self.limits.enter(&manifest, depth)?;
        let kept = selection.of(&manifest);
        let is_part = kept.len() < manifest.children().len();
        // Attestations are read after their subjects, because rewriting a subject drops its attestation.
        let (attestations, others): (Vec<usize>, Vec<usize>) =
            kept.into_iter().partition(|i| manifest.children()[*i].is_attestation());
        let read = |positions: Vec<usize>| {
            try_join_all(positions.into_iter().map(|i| self.child(i, &manifest, selection, depth)))
        };
        let mut children = read(others).await?;
        let is_part = is_part || children.iter().any(|c| matches!(&c.node, Node::Index(i) if i.is_part));
        let mut history = history(&manifest, &children, is_part)?;
        if depth == 0
            && let Some(recorded) = docker_list::Recorded::read(self.reader, &manifest).await
            && history.recorded.is_none()
        {
            recorded.add_to(&mut history, is_part);
        }
        let mut notes = Vec::new();
        if history.is_stale {
            notes.push(
                "the index carries a reapify record that does not match it; the record is left alone".into(),
            );
        }
        let (replaced, attestations) = match self.task {
            Task::Unwrap | Task::Copy(_) => (Vec::new(), attestations),
            Task::Wrap(wrap) => {
                let original = &history.original;
                let replaced: Vec<_> = children.iter().filter_map(|child| child.replaced(original)).collect();
                let kept = attestations::keep(wrap, attestations, &children, original, &replaced, &mut notes);
                (replaced, kept)
            }
        };
        children.extend(read(attestations).await?);
        children.sort_by_key(|child| child.position);
        let dropped: Vec<usize> =
            (0..manifest.children().len()).filter(|i| !children.iter().any(|c| c.position == *i)).collect();
        let dropped_below = children.iter().map(|c| c.node.dropped()).sum();
        let output = match self.task {
            // If there is nothing to do, the index stays byte for byte as it was, with its record.
            Task::Wrap(_) if dropped.is_empty() && stays(&history, &children) => manifest.clone(),
            Task::Wrap(wrap) => {
                let own = history.original.family();
                let (recipe, family) = (wrap.index_recipe(own), wrap.policy.format.family(own));
                index::wrap(&history, &replaced, &dropped, dropped_below, &recipe, family)?
            }
            Task::Unwrap | Task::Copy(_) => history.original.clone(),
        };
        // Reported once, at the root.
        if depth == 0 {
            notes.extend(self.about_history(&history, &output, &children, is_part));
        }
        let dropped = dropped.len() + dropped_below;
        Ok(IndexNode { history, output, children, notes, dropped, is_part })
    }

    /// Returns notes about what happened to the index between its first wrap and this run.
    fn about_history(
        &self,
        history: &History,
        output: &Manifest,
        children: &[Child],
        is_part: bool,
    ) -> Vec<Note> {
        let changed = || Some((history.recorded.as_ref()?, changed(history, children)?));
        match self.task {
            Task::Unwrap => {
                let changed = changed().map(|(source, which)| {
                    format!(
                        "the index was changed after it was wrapped, so its source {source} was not \
                         restored: {which}"
                    )
                    .into()
                });
                gone(history).into_iter().chain(changed).collect()
            }
            Task::Wrap(_) if !is_part && let Some((source, which)) = changed() => {
                let text = format!(
                    "the index was changed after it was wrapped, so its source {source} can no longer be \
                     restored: {which}"
                );
                // The new record states another source, which hides the change from now on.
                let is_replaced = output.digest != history.input.digest;
                let new = format!("; the index without reapers, {}, is its source now", history.source);
                vec![(text + if is_replaced { &new } else { "" }).into()]
            }
            Task::Wrap(_) | Task::Copy(_) => Vec::new(),
        }
    }

    async fn child(
        &self,
        position: usize,
        index: &Manifest,
        selection: &Selection<'_>,
        depth: usize,
    ) -> Result<Child> {
        let descriptor = &index.children()[position];
        let node = self.node(descriptor, selection, depth).await.context(|| match &descriptor.platform {
            Some(platform) if !platform.is_unknown() => {
                format!("the image for {platform}, {}", descriptor.digest)
            }
            _ => format!("the child {}", descriptor.digest),
        })?;
        let digest = match node.replacement() {
            Some(manifest) => index::name(index, position, manifest),
            None => descriptor.digest.clone(),
        };
        Ok(Child { position, descriptor: descriptor.clone(), digest, node })
    }

    fn node<'s>(
        &'s self,
        descriptor: &'s Descriptor,
        selection: &'s Selection<'_>,
        depth: usize,
    ) -> BoxFuture<'s, Result<Node>> {
        self.unboxed_node(descriptor, selection, depth).boxed()
    }

    async fn unboxed_node(
        &self,
        descriptor: &Descriptor,
        selection: &Selection<'_>,
        depth: usize,
    ) -> Result<Node> {
        let carry_over = CarryOver::new(self.reader, self.copier, &self.limits, self.defer);
        let carried = |carried: Carried| Node::Carried(Box::new(carried));
        if let Some(reason) = select::carried(descriptor) {
            if self.task.is_strict() && descriptor.is_manifest() && select::is_unknown(descriptor) {
                return Err(Error::unsupported(reason));
            }
            return carry_over.unread(descriptor.clone(), reason, depth).await.map(carried);
        }
        let manifest = match self.reader.child(descriptor).await {
            // A manifest that cannot be read is carried over if the destination has it; otherwise this fails again.
            Err(error) if error.kind() == Kind::Unsupported && !self.task.is_strict() => {
                return carry_over.unread(descriptor.clone(), error.to_string(), depth).await.map(carried);
            }
            manifest => manifest?.as_ref().clone(),
        };
        self.copier.was_read(&descriptor.digest);
        if matches!(manifest.content, Content::Index { .. }) {
            let index = self.index(manifest, selection, depth + 1).await?;
            return Ok(Node::Index(Box::new(index)));
        }
        let listed = descriptor.platform.as_ref();
        let reason = match self.image(manifest.clone(), listed, true).await? {
            Found::Image(image) => return Ok(Node::Image(image)),
            Found::Bad(error) if self.task.is_strict() => return Err(error),
            Found::Bad(error) => error.to_string(),
            Found::Artifact(kind) => format!("not a container image ({kind})"),
        };
        carry_over.read(descriptor.clone(), reason, manifest, depth).await.map(carried)
    }
}

/// Returns what an index was before it was wrapped, from what its children were.
fn history(index: &Manifest, children: &[Child], is_part: bool) -> Result<History> {
    let original = |c: &Child| Some(Replaced { position: c.position, manifest: c.node.original()?.clone() });
    let originals: Vec<Replaced> = children.iter().filter_map(original).collect();
    index::unwrap(index, &originals, is_part)
}

/// Returns whether wrap leaves an index as it is, provided that it drops no children. If no image has to be wrapped, an
/// index keeps its record in two cases. If another tool changed it, a new record would lose the digest of its source. If
/// it was narrowed, a new record could claim that other options gave this result.
fn stays(history: &History, children: &[Child]) -> bool {
    let has_history = history.is_changed || history.dropped > 0 || history.lost_source().is_some();
    let all = |stays: fn(&Node) -> bool| children.iter().all(|child| stays(&child.node));
    all(Node::is_skipped) || (has_history && all(|node| node.replacement().is_none()))
}

/// Returns what was changed in an index after it was wrapped, if unwrapping does not restore its source. Names
/// the children that are not originals.
fn changed(history: &History, children: &[Child]) -> Option<String> {
    if history.recorded.is_none() || history.is_stale {
        return None;
    }
    // The record of a Docker manifest list does not say which children were kept.
    let kept = (history.input.family() == Family::Oci).then(|| index::kept(&history.input));
    let was_kept = |child: &Child| kept.as_ref().is_none_or(|kept| kept.contains(&child.position));
    let is_foreign = |child: &&Child| match &child.node {
        Node::Image(image) if image.outcome.original().is_some() => false,
        Node::Image(image) => !was_kept(child) || (kept.is_none() && image.has_record_key()),
        Node::Index(_) => false,
        Node::Carried(_) => !was_kept(child),
    };
    let name = |child: &Child| match &child.descriptor.platform {
        Some(platform) => format!("{} for {platform}", child.descriptor.digest),
        None => child.descriptor.digest.to_string(),
    };
    let foreign: Vec<String> = children.iter().filter(is_foreign).map(name).collect();
    match foreign.is_empty() {
        true => history.lost_source().map(|_| "other fields were changed".into()),
        false => Some(format!("these children are not the originals: {}", foreign.join(", "))),
    }
}

fn gone(history: &History) -> Option<Note> {
    let gone = match history.dropped {
        0 => return None,
        // The record of a Docker manifest list does not say how many.
        _ if history.input.family() == Family::Docker => "children were".to_string(),
        1 => "1 child was".to_string(),
        n => format!("{n} children were"),
    };
    let text = format!("{gone} removed when the index was wrapped, so the restored index has a new digest");
    Some(text.into())
}

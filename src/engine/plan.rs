//! From a manifest to the [tree](super::tree) of what will be written. Reads manifests and configs; begins to move
//! blobs as soon as they are known, unless that is held back.

use super::copy::Copier;
use super::run::Job;
use super::task::{Attestations, Task, Wrap};
use super::tree::{Carried, Child, ImageNode, IndexNode, Node};
use crate::error::{Context, Error, Result};
use crate::image::{Content, Descriptor, Digest, Manifest, Platform};
use crate::read::files;
use crate::read::select::{self, Selection};
use crate::read::{Limits, Reader};
use crate::rewrite::index::{self, Replaced};
use crate::rewrite::{self, Action, Image, Read, Rewritten, record};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Semaphore;

/// What a manifest with a config turned out to be.
enum Outcome {
    Image(Option<Platform>, Box<Rewritten>),
    NotAnImage(Manifest, String),
}

/// Makes the tree.
pub struct Planner<'a> {
    job: &'a Job,
    reader: &'a Reader,
    copier: &'a Copier,
    /// Begin nothing yet.
    hold: bool,
    limits: Limits,
    /// Layers that are looked into at once: each takes a decompressor's memory.
    surveys: Semaphore,
    /// Reapers, and configs to be rewritten, for which an upload was opened.
    expected: Mutex<HashSet<Digest>>,
}

impl<'a> Planner<'a> {
    /// `hold`: begin nothing yet.
    pub fn new(job: &'a Job, reader: &'a Reader, copier: &'a Copier, hold: bool) -> Self {
        let surveys = Semaphore::new(job.streams);
        Planner { job, reader, copier, hold, limits: Limits::default(), surveys, expected: Mutex::default() }
    }

    /// The tree of an image.
    pub async fn root(&self, manifest: Manifest) -> Result<Node> {
        let selection = Selection::new(self.reader, &manifest, self.wanted()).await?;
        let node = self.node(manifest, None, &selection, 0).await?;
        if let (Task::Unwrap, Node::Index(index)) = (&self.job.task, &node)
            && index.children.iter().all(|c| c.node.replacement().is_none())
        {
            return Err(Error::unsupported("no image of this index is wrapped"));
        }
        Ok(node)
    }

    fn wanted(&self) -> &[Platform] {
        self.job.task.platforms()
    }

    fn node<'s>(
        &'s self,
        manifest: Manifest,
        descriptor: Option<&Descriptor>,
        selection: &'s Selection,
        depth: usize,
    ) -> BoxFuture<'s, Result<Node>> {
        let descriptor = descriptor.cloned();
        async move {
            match &manifest.content {
                Content::Index { .. } => self.index(manifest, selection, depth).await,
                _ => self.image(manifest, descriptor.as_ref()).await,
            }
        }
        .boxed()
    }

    async fn image(&self, manifest: Manifest, descriptor: Option<&Descriptor>) -> Result<Node> {
        let (config, layers) = match &manifest.content {
            Content::Image { config, layers } => (config.as_ref().clone(), layers.clone()),
            Content::Artifact { kind, .. } => return self.not_an_image(manifest.clone(), descriptor, kind),
            Content::Index { .. } => return Err(Error::other("an index was taken for an image")),
        };
        let source = manifest.digest.clone();
        let reading = self.reader.config(&config);
        if !self.hold {
            // The config is asked for first, the mounts follow while it is on its way.
            let is_wrapped = matches!(self.job.task, Task::Unwrap) || record::annotated(&manifest).is_some();
            self.begin(&config, &layers, is_wrapped, descriptor.and_then(|d| d.platform.as_ref()));
        }
        let bytes = reading.await?;
        match self.rewrite(manifest, bytes.clone(), descriptor).await? {
            Outcome::Image(platform, rewritten) => {
                let rewritten = *rewritten;
                Ok(Node::Image(Box::new(ImageNode { platform, source, config: bytes, rewritten })))
            }
            Outcome::NotAnImage(manifest, kind) => self.not_an_image(manifest, descriptor, &kind),
        }
    }

    /// Begins all moves of an image's layers, and opens uploads for what will be new.
    fn begin(
        &self,
        config: &Descriptor,
        layers: &[Descriptor],
        is_wrapped: bool,
        platform: Option<&Platform>,
    ) {
        for _ in 0..self.new_blobs(&config.digest, platform) {
            self.copier.open_early();
        }
        // The last layer of a wrapped image is the reaper's, which goes, or gives way to another.
        let layers = match layers {
            [layers @ .., _] if is_wrapped => layers,
            layers => layers,
        };
        for layer in layers {
            self.copier.start(layer);
        }
    }

    /// How many blobs an image will probably have that are nowhere yet: a config, and a layer where its reaper
    /// is not that of another image too.
    fn new_blobs(&self, config: &Digest, platform: Option<&Platform>) -> usize {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        let for_config = usize::from(expected.insert(config.clone()));
        let Task::Wrap(wrap) = &self.job.task else { return for_config };
        match platform.map(|platform| wrap.reapers.select(platform)) {
            None => 2 * for_config,
            Some(Ok(reaper)) => for_config + usize::from(expected.insert(reaper.digest.clone())),
            Some(Err(_)) => 0,
        }
    }

    async fn rewrite(
        &self,
        manifest: Manifest,
        config: Bytes,
        descriptor: Option<&Descriptor>,
    ) -> Result<Outcome> {
        let image = match Image::read(manifest.clone(), config, self.job.source.keeps_manifests())? {
            Read::Image(image) => image,
            Read::Artifact(kind) => return Ok(Outcome::NotAnImage(manifest, kind)),
        };
        let platform = image.config.platform().ok().map(Platform::canonical);
        let in_index = descriptor.is_some();
        if !in_index {
            select::check_alone(platform.as_ref(), self.wanted())?;
        }
        let rewritten = match &self.job.task {
            Task::Wrap(wrap) => match self.wrap(&image, wrap).await {
                // One child that has no reaper does not keep the others from theirs.
                Err(_) if in_index && self.has_no_reaper(&image, wrap) => Rewritten::same(
                    Action::Skipped,
                    Some("there is no reaper for this platform".into()),
                    &manifest,
                ),
                outcome => outcome?,
            },
            Task::Unwrap if in_index && image.original().is_none() => {
                Rewritten::same(Action::Skipped, Some("it is not wrapped".into()), &manifest)
            }
            Task::Unwrap => rewrite::unwrap(&image)?,
        };
        Ok(Outcome::Image(platform, Box::new(rewritten)))
    }

    /// The default path is one that no image uses; for another one the layers have to be looked at.
    async fn wrap(&self, image: &Image, wrap: &Wrap) -> Result<Rewritten> {
        let (reapers, policy) = (&wrap.reapers, &wrap.policy);
        let rewritten = rewrite::wrap(image, reapers, policy, &[])?;
        if policy.path == rewrite::DEFAULT_PATH || rewritten.layer.is_none() {
            return Ok(rewritten);
        }
        let original = rewritten.original.as_ref().map_or(&image.manifest, |o| &o.manifest);
        // An image built from a wrapped one has the reaper of that one in the way.
        let replace =
            wrap.replace || record::recorded_path(&image.config.labels) == Some(policy.path.as_str());
        let _turn = self.surveys.acquire().await;
        let parents = files::parents(&*self.job.source, original, &policy.path, replace).await?;
        rewrite::wrap(image, reapers, policy, &parents)
    }

    fn has_no_reaper(&self, image: &Image, wrap: &Wrap) -> bool {
        image.config.platform().is_ok_and(|p| wrap.reapers.select(p).is_err())
    }

    /// In an index it is carried along; by itself it is refused.
    fn not_an_image(&self, manifest: Manifest, descriptor: Option<&Descriptor>, kind: &str) -> Result<Node> {
        match descriptor {
            Some(descriptor) => Ok(Node::Carried(Carried {
                descriptor: descriptor.clone(),
                platform: descriptor.platform.clone(),
                reason: format!("not a container image ({kind})"),
                manifest: Some(manifest),
                children: Vec::new(),
            })),
            None => Err(rewrite::artifact(kind)),
        }
    }

    async fn index(&self, manifest: Manifest, selection: &Selection<'_>, depth: usize) -> Result<Node> {
        self.limits.enter(&manifest, depth)?;
        let kept = selection.of(&manifest);
        let is_part = kept.len() < manifest.children().len();
        // Whether an attestation stays depends on what becomes of its subject: it is not read before.
        let (attestations, others): (Vec<usize>, Vec<usize>) =
            kept.into_iter().partition(|i| manifest.children()[*i].is_attestation());
        let read = |positions: Vec<usize>| {
            try_join_all(positions.into_iter().map(|i| self.child(i, &manifest, selection, depth)))
        };
        let mut children = read(others).await?;
        let originals: Vec<Replaced> = children
            .iter()
            .filter_map(|c| Some(Replaced { position: c.position, manifest: c.node.original()? }))
            .collect();
        let is_part =
            is_part || children.iter().any(|c| matches!(&c.node, Node::Index(below) if below.is_part));
        let base = index::unwrap(&manifest, &originals, is_part)?;
        let replaced = match &self.job.task {
            Task::Wrap(_) => children.iter().filter_map(|child| child.replaced(&base.manifest)).collect(),
            Task::Unwrap => Vec::new(),
        };
        let mut notes = Vec::new();
        if base.is_stale {
            notes.push("the index has a record that does not describe it; it stays as it is".into());
        }
        let attestations = self.staying(attestations, &children, &base.manifest, &replaced, &mut notes);
        children.extend(read(attestations).await?);
        children.sort_by_key(|child| child.position);
        let dropped: Vec<usize> =
            (0..manifest.children().len()).filter(|i| !children.iter().any(|c| c.position == *i)).collect();
        let dropped_below = children.iter().map(|c| c.node.dropped()).sum();
        let result = match &self.job.task {
            Task::Wrap(wrap) => index::wrap(&base, &replaced, &dropped, dropped_below, &wrap.index_recipe())?,
            Task::Unwrap => {
                // The root counts for all that are in it.
                if base.dropped > 0 && depth == 0 {
                    let gone = match base.dropped {
                        1 => "1 child is".to_string(),
                        n => format!("{n} children are"),
                    };
                    notes.push(format!(
                        "{gone} gone since the index was wrapped, so that its digest is a new one"
                    ));
                }
                base.manifest.clone()
            }
        };
        let source = manifest.digest.clone();
        let dropped = dropped.len() + dropped_below;
        let (base, origin) = (base.manifest, base.source);
        Ok(Node::Index(IndexNode {
            manifest: result,
            source,
            children,
            notes,
            dropped,
            base,
            is_part,
            origin,
        }))
    }

    async fn child(
        &self,
        position: usize,
        index: &Manifest,
        selection: &Selection<'_>,
        depth: usize,
    ) -> Result<Child> {
        let descriptor = &index.children()[position];
        let here = || match &descriptor.platform {
            Some(platform) if !platform.is_unknown() => {
                format!("the image for {platform}, {}", descriptor.digest)
            }
            _ => format!("the child {}", descriptor.digest),
        };
        let node: BoxFuture<'_, Result<Node>> = async {
            if let Some(reason) = select::carried(descriptor) {
                return Ok(Node::Carried(self.carried(descriptor.clone(), reason, depth).await?));
            }
            let manifest = self.reader.child(descriptor).await?.as_ref().clone();
            match self.node(manifest, Some(descriptor), selection, depth + 1).await? {
                Node::Carried(carried) => Ok(Node::Carried(self.filled(carried, depth).await?)),
                node => Ok(node),
            }
        }
        .boxed();
        let node = node.await.context(here)?;
        let digest = match node.replacement() {
            Some(manifest) => index::name(index, position, manifest),
            None => descriptor.digest.clone(),
        };
        Ok(Child { position, descriptor: descriptor.clone(), digest, node })
    }

    /// Something that is taken along: read only if the destination lacks it.
    fn carried(
        &self,
        descriptor: Descriptor,
        reason: String,
        depth: usize,
    ) -> BoxFuture<'_, Result<Carried>> {
        async move {
            let platform = descriptor.platform.clone();
            let mut carried = Carried { platform, reason, manifest: None, children: Vec::new(), descriptor };
            if !carried.descriptor.is_manifest() {
                // Something whose meaning only its owner knows: it goes as a blob.
                if !self.hold {
                    self.copier.start(&carried.descriptor);
                }
            } else if !self.copier.has(&carried.descriptor.digest) {
                carried.manifest = Some(self.reader.child(&carried.descriptor).await?.as_ref().clone());
            }
            self.filled(carried, depth).await
        }
        .boxed()
    }

    /// Begins the moves of what a carried manifest needs, and reads what is below it.
    async fn filled(&self, mut carried: Carried, depth: usize) -> Result<Carried> {
        let Some(manifest) = &carried.manifest else { return Ok(carried) };
        if !manifest.children().is_empty() {
            self.limits.enter(manifest, depth + 1)?;
        }
        if !self.hold {
            manifest.blobs().into_iter().for_each(|blob| self.copier.start(blob));
        }
        let below =
            manifest.children().iter().map(|d| self.carried(d.clone(), carried.reason.clone(), depth + 1));
        carried.children = try_join_all(below).await?;
        Ok(carried)
    }

    /// Which attestations stay: those of what stays, as it is. They name it as it was before any wrap.
    fn staying(
        &self,
        mut attestations: Vec<usize>,
        others: &[Child],
        base: &Manifest,
        replaced: &[Replaced],
        notes: &mut Vec<String>,
    ) -> Vec<usize> {
        let Task::Wrap(wrap) = &self.job.task else { return attestations };
        let all = base.children();
        // What is left of an index may go by the name of the whole.
        let names = |child: &Child| {
            let origin = match &child.node {
                Node::Index(index) => Some(index.origin.to_string()),
                _ => None,
            };
            let name = all.get(child.position).map(|child| child.digest.to_string());
            name.into_iter().chain(origin)
        };
        let subject = |i: usize| all.get(i)?.annotation("vnd.docker.reference.digest");
        if !wrap.platforms.is_empty() {
            let kept: HashSet<String> = others.iter().flat_map(names).collect();
            attestations.retain(|i| subject(*i).is_none_or(|subject| kept.contains(subject)));
            let left = all.len().saturating_sub(others.len() + attestations.len());
            if left > 0 {
                notes.push(format!("--platform leaves out {left} of {} children", all.len()));
            }
        }
        if wrap.attestations == Attestations::Drop {
            let is_rewritten = |child: &&Child| replaced.iter().any(|r| r.position == child.position);
            let rewritten: HashSet<String> = others.iter().filter(is_rewritten).flat_map(names).collect();
            let before = attestations.len();
            attestations.retain(|i| subject(*i).is_none_or(|subject| !rewritten.contains(subject)));
            let what = match before - attestations.len() {
                0 => return attestations,
                1 => "1 attestation is left out: it describes what was rewritten".to_string(),
                n => format!("{n} attestations are left out: they describe what was rewritten"),
            };
            notes.push(format!("{what} (--attestations keep carries over all)"));
        }
        attestations
    }
}

//! One job from end to end: read, rewrite, move, write. Everything that can overlap does; the tag comes
//! last (contract C6).

mod plan;
mod provenance;
mod push;
pub mod read;
pub mod report;
pub(crate) mod select;
pub(crate) mod survey;
mod tree;

use crate::copy::Copier;
use crate::error::{Error, Result};
use crate::image::{Content, Digest, Manifest, Platform};
use crate::reapers::Reapers;
use crate::rewrite::layer::Layer;
use crate::rewrite::{Action, DEFAULT_PATH, Policy, index, record, repeat};
use crate::transport::{Sink, Source, Stats};
use futures_util::future::try_join_all;
use read::Reader;
use report::{PlatformReport, Report};
use std::sync::Arc;
use tree::Node;

/// What becomes of attestations whose subject is rewritten: they describe bytes that are no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attestations {
    /// They are left out.
    #[default]
    Drop,
    /// They are carried over as they are.
    Keep,
}

/// What is to be done to an image.
#[derive(Debug, Clone)]
pub enum Task {
    /// Put the reaper in front.
    Wrap(Wrap),
    /// Take it away again.
    Unwrap,
}

impl Task {
    /// The platforms to keep of an index; all if empty.
    fn platforms(&self) -> &[Platform] {
        match self {
            Task::Wrap(wrap) => &wrap.platforms,
            Task::Unwrap => &[],
        }
    }
}

/// The choices of a wrap.
#[derive(Debug, Clone, Default)]
pub struct Wrap {
    /// The reapers at hand.
    pub reapers: Reapers,
    /// What shapes each image.
    pub policy: Policy,
    /// What becomes of attestations.
    pub attestations: Attestations,
    /// The platforms to keep of an index; all if empty.
    pub platforms: Vec<Platform>,
    /// Replace a file that the image has where the reaper goes.
    pub replace: bool,
}

impl Wrap {
    /// The recipes by which the result of an image may have been made: one a reaper.
    fn recipes(&self) -> impl Iterator<Item = Digest> + '_ {
        self.reapers.all().map(|r| record::recipe(&r.digest, &self.policy))
    }

    /// Whether a layer is one that this wrap adds.
    fn may_have_added(&self, layer: &Digest) -> bool {
        let layers = self.reapers.all().filter_map(|r| Layer::new(&self.policy.path, &r.program, &[]).ok());
        layers.into_iter().any(|l| l.digest == *layer)
    }

    /// The recipe of an index.
    fn index_recipe(&self) -> Digest {
        let platforms: Vec<String> = self.platforms.iter().map(Platform::to_string).collect();
        let attestations = match self.attestations {
            Attestations::Drop => "drop",
            Attestations::Keep => "keep",
        };
        index::recipe(&self.reapers, &self.policy, &format!("{attestations} {}", platforms.join(" ")))
    }
}

/// Two places and what is to be done between them.
pub struct Job {
    /// Where the image is.
    pub source: Arc<dyn Source>,
    /// Where the result goes.
    pub sink: Arc<dyn Sink>,
    /// Whether both are the same image under the same name.
    pub in_place: bool,
    /// What is to be done.
    pub task: Task,
    /// Put a statement of what was done beside the result.
    pub provenance: bool,
    /// Look for what refers to the source, and say that it is not carried over.
    pub referrers: bool,
    /// How many blobs stream at once.
    pub streams: usize,
    /// Counters.
    pub stats: Arc<Stats>,
}

impl Job {
    /// Does the job. On failure nothing is tagged, and open uploads are cancelled.
    pub async fn run(&self) -> Result<Report> {
        let outcome = self.attempt().await;
        self.sink.release().await;
        outcome
    }

    async fn attempt(&self) -> Result<Report> {
        if self.provenance && !self.sink.takes_referrers() {
            return Err(Error::usage("the destination cannot hold a statement beside the image")
                .hint("--provenance is for registries and oci: directories"));
        }
        let reader = Reader::new(self.source.clone());
        let (source, current) = self.read(&reader).await?;
        if let Some(report) = self.nothing_to_do(&source, current.as_ref()).filter(|_| !self.provenance) {
            return Ok(report);
        }
        let copier = self.copier();
        if let Some(current) = &current {
            copier.knows(current.blobs().into_iter().chain(current.children()).map(|d| d.digest.clone()));
        }
        // Where the destination may be up to date and only the configs can tell, nothing is begun before.
        let hold = current.as_ref().is_some_and(|current| self.may_be_done(&source, current));
        let root = plan::Planner::new(self, &reader, &copier, hold).root(source.clone()).await?;
        let mut report = if current.is_some_and(|c| c.digest == root.manifest().digest) {
            Report::new(&source, &root, None)
        } else {
            let digest = push::push(&copier, &*self.sink, &root).await?;
            Report::new(&source, &root, Some(digest))
        };
        if self.referrers {
            report.notes.extend(self.referrers_of(&source, &report).await?);
        }
        if let Task::Wrap(wrap) = &self.task
            && self.provenance
            && report.action != Action::Skipped
        {
            let statement = provenance::push(&*self.sink, wrap, &report, root.manifest()).await?;
            report.notes.push(format!("provenance: {statement}"));
        }
        Ok(report)
    }

    /// Signatures and statements are about the source, and stay with it: those of the image, and of the images in it
    /// that have become others.
    async fn referrers_of(&self, source: &Manifest, report: &Report) -> Result<Vec<String>> {
        let images = report.platforms.iter().filter(|image| image.digest != image.source_digest);
        let mut subjects: Vec<(String, &Digest)> = vec![("the source".into(), &source.digest)];
        for image in images {
            if subjects.iter().all(|subject| *subject.1 != image.source_digest) {
                let platform = image.platform.as_ref().map(ToString::to_string).unwrap_or_default();
                subjects.push((format!("the source's image for {platform}"), &image.source_digest));
            }
        }
        let asking = subjects.into_iter().map(|(name, digest)| async move {
            let found = self.source.referrers(digest).await?;
            let note = format!(
                "what refers to {name} is about it alone and is not carried over: {}",
                found.join(", ")
            );
            Result::<_>::Ok((!found.is_empty()).then_some(note))
        });
        let notes = try_join_all(asking).await?;
        Ok(notes.into_iter().flatten().collect())
    }

    /// What [`Job::run`] would do, without doing any of it.
    pub async fn dry_run(&self) -> Result<(Report, Vec<report::Change>)> {
        let reader = Reader::new(self.source.clone());
        let (source, current) = self.read(&reader).await?;
        if let Some(report) = self.nothing_to_do(&source, current.as_ref()) {
            return Ok((report, Vec::new()));
        }
        let copier = self.copier();
        let root = plan::Planner::new(self, &reader, &copier, true).root(source.clone()).await?;
        let same = current.is_some_and(|c| c.digest == root.manifest().digest);
        let changes = if same { Vec::new() } else { report::changes(&root, &copier) };
        Ok((Report::new(&source, &root, None), changes))
    }

    fn copier(&self) -> Copier {
        Copier::new(self.source.clone(), self.sink.clone(), self.streams, self.stats.clone())
    }

    async fn read(&self, reader: &Reader) -> Result<(Manifest, Option<Manifest>)> {
        if self.in_place {
            let source = self.source.manifest().await?;
            return Ok((source.clone(), Some(source)));
        }
        let (source, current) = tokio::join!(self.source.manifest(), self.sink.current());
        // What the source lacks matters more than what the destination answers.
        Ok((self.fitting(source?, reader).await?, current?))
    }

    /// The image itself, where the destination takes no index.
    async fn fitting(&self, source: Manifest, reader: &Reader) -> Result<Manifest> {
        if self.sink.takes_indexes() || !matches!(source.content, Content::Index { .. }) {
            return Ok(source);
        }
        let image = select::one(reader, &source, self.task.platforms()).await?;
        reader.child(&image).await.map(|manifest| manifest.as_ref().clone())
    }

    /// The answer that two requests give: as far as manifests tell, the destination is what wrap makes of the source.
    fn nothing_to_do(&self, source: &Manifest, current: Option<&Manifest>) -> Option<Report> {
        let (Task::Wrap(wrap), Some(current)) = (&self.task, current) else { return None };
        let (recorded_source, recipe) = record::annotated(current)?;
        let is_index = matches!(current.content, Content::Index { .. });
        let same_recipe = match is_index {
            true => wrap.index_recipe() == recipe,
            false => wrap.recipes().any(|r| r == recipe),
        };
        let added_by_us = match &current.content {
            Content::Image { layers, .. } if wrap.policy.path == DEFAULT_PATH => {
                layers.last().is_some_and(|last| wrap.may_have_added(&last.digest))
            }
            _ => true,
        };
        let same_source = current.digest == source.digest
            || (recorded_source == source.digest && repeat::may_be(source, &recipe, current));
        (same_recipe && added_by_us && same_source).then(|| Report::up_to_date(source, current))
    }

    fn may_be_done(&self, source: &Manifest, current: &Manifest) -> bool {
        match &self.task {
            // In place it tells nothing that both are the same; the layer on top does.
            Task::Wrap(wrap) if self.in_place => match &source.content {
                Content::Image { layers, .. } => {
                    layers.last().is_some_and(|last| wrap.may_have_added(&last.digest))
                }
                _ => false,
            },
            _ => current.digest == source.digest || record::annotated(current).is_none(),
        }
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

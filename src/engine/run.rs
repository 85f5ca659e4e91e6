//! One run from end to end: read, rewrite, move, write. Everything that can overlap does; the tag comes
//! last (contract C6).

use super::copy::Copier;
use super::report::{self, Report};
use super::task::Task;
use super::{plan, provenance, push};
use crate::error::{Error, Result};
use crate::image::{Content, Digest, Manifest};
use crate::read::{Reader, select};
use crate::rewrite::{Action, DEFAULT_PATH, record, repeat};
use crate::stats::Stats;
use crate::transport::{Sink, Source};
use futures_util::future::try_join_all;
use std::sync::Arc;

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
                found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
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

//! One run from end to end: read, rewrite, move, write. Everything that can overlap does; the tag comes
//! last (see docs/contracts.md).

use super::changes::{self, Changes};
use super::commons::Commons;
use super::copy::Copier;
use super::destination::{Depth, Destination};
use super::existing::Existing;
use super::overlay::Overlay;
use super::plan::Planner;
use super::push::Push;
use super::report::{Action, Delivery, Report};
use super::standing::Standing;
use super::task::Task;
use super::tree::Root;
use super::{provenance, referrers};
use crate::error::{Context, Error, Kind, Remedy, Result};
use crate::image::{Content, Digest, Manifest, Platform, StatedPlatform};
use crate::read::{Reader, select};
use crate::stats::Stats;
use crate::transport::{Head, Sink, Source};
use async_trait::async_trait;
use std::sync::Arc;

/// How many large blobs a job streams at once. More are not faster, and each takes 2 MB of memory.
const STREAMS: usize = 4;
/// How often a run starts over because somebody else moved the tag meanwhile.
const OVER: usize = 2;

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
    /// Ask the destination for every blob of what it holds, and send those that it lacks.
    pub recheck: bool,
    /// Tell by the source's digest whether there is anything to do, and ask the destination for no more than its
    /// manifest: an image that is unchanged is not pulled.
    pub frugal: bool,
    /// The only image of an index that is meant: the result is that image alone.
    pub only: Option<Platform>,
    /// What happens to an image that is replaced.
    pub existing: Existing,
    /// Asked before a frugal job reads the source.
    pub permit: Option<Arc<dyn Permit>>,
    /// The result of an earlier run, for a frugal job.
    pub known: Option<Known>,
    /// What is shared with other jobs.
    pub commons: Arc<Commons>,
    /// Counters.
    pub stats: Arc<Stats>,
}

/// Decides whether a job that has something to do may go on. It may also wait, or do something first.
#[async_trait]
pub trait Permit: Send + Sync {
    /// Asked before the source is read.
    async fn permit(&self, pending: Pending<'_>) -> Result<()>;
}

/// What is known before the source is read.
#[derive(Clone, Copy)]
pub struct Pending<'a> {
    /// What the source's name stands for, if its place tells.
    pub source: Option<&'a Head>,
    /// What the destination's name stands for.
    pub current: Option<&'a Manifest>,
}

/// What was read at the start.
struct Start {
    source: Manifest,
    /// The platform for which an index lists the source, if it was chosen from one.
    listed: Option<StatedPlatform>,
    /// What the destination's name stands for.
    current: Option<Manifest>,
    reader: Arc<Reader>,
    destination: Arc<Destination>,
}

/// The planned image.
struct Plan {
    root: Root,
    overlay: Arc<Overlay>,
    copier: Copier,
    /// Whether the destination's image is the planned one.
    is_current: bool,
}

/// What an earlier run of this process found: this source gives this result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The digest that the source's name referred to.
    pub head: Digest,
    /// The digest of the image that was processed: of an index perhaps one of its images.
    pub source: Digest,
    /// The digest of the result.
    pub result: Digest,
}

impl Job {
    /// Creates a job with its settings at their defaults: the places are two, and nothing but the task is done.
    pub fn new(source: Arc<dyn Source>, sink: Arc<dyn Sink>, task: Task) -> Self {
        Job {
            source,
            sink,
            in_place: false,
            task,
            provenance: false,
            referrers: false,
            recheck: false,
            frugal: false,
            only: None,
            existing: Existing::Replace,
            permit: None,
            known: None,
            commons: Arc::new(Commons::new(STREAMS)),
            stats: Arc::default(),
        }
    }

    /// Does the job. On failure nothing is tagged, and open uploads are cancelled.
    pub async fn run(&self) -> Result<Report> {
        let outcome = self.attempts().await;
        self.sink.release().await;
        outcome
    }

    async fn attempts(&self) -> Result<Report> {
        if self.provenance && !self.sink.takes_referrers() {
            return Err(Error::usage("the destination cannot hold a statement beside the image")
                .hint(Remedy::ChooseProvenanceDestination));
        }
        for _ in 0..=OVER {
            if let Some(report) = self.attempt().await? {
                return Ok(report);
            }
        }
        Err(Error::network("the tag was moved by somebody else, each time before this run could move it")
            .hint("nothing was tagged; run it again when the other has finished"))
    }

    /// `None` if the tag was moved by somebody else meanwhile.
    async fn attempt(&self) -> Result<Option<Report>> {
        let start = match self.frugal {
            true => match self.frugal_start().await? {
                Ok(report) => return Ok(Some(report)),
                Err(start) => *start,
            },
            false => self.start().await?,
        };
        if let Some(report) = self.nothing_to_do(&start).await?.filter(|_| !self.provenance) {
            return Ok(Some(report));
        }
        let mut plan = self.plan(&start, true).await?;
        let held = self.held_by(&start, &plan).await?;
        if held.is_none() && plan.is_current {
            plan = self.plan(&start, false).await?;
        }
        let delivery = match held {
            Some(digest) => Delivery::Held(digest),
            None => match self.push(&start, &plan).await? {
                Some(delivery) => delivery,
                None => return Ok(None),
            },
        };
        let mut report = Report::new(&plan.root, &delivery);
        report.notes.extend(self.existing.note(start.current.as_ref(), &delivery));
        self.afterwards(&plan, &mut report).await;
        Ok(Some(report))
    }

    /// The digest that the destination has for the planned image, if it holds all of that.
    async fn held_by(&self, start: &Start, plan: &Plan) -> Result<Option<Digest>> {
        if let Some(digest) = self.sink.holds(plan.root.output()).await? {
            return Ok(Some(digest));
        }
        match start.current.as_ref().filter(|_| plan.is_current) {
            Some(current) if self.is_whole(start, current).await? => Ok(Some(current.digest.clone())),
            _ => Ok(None),
        }
    }

    async fn start(&self) -> Result<Start> {
        let reader = Arc::new(Reader::new(self.source.clone()));
        let destination = Arc::new(Destination::new(self.sink.clone(), &reader));
        if self.in_place {
            let current = self.source.manifest().await?;
            let (source, listed) = match self.sink.takes_indexes() {
                true => (current.clone(), None),
                false => self.fitting(current.clone(), &reader).await?,
            };
            return Ok(Start { current: Some(current), source, listed, reader, destination });
        }
        let (source, current) = tokio::join!(self.source.manifest(), self.sink.current());
        // What the source lacks matters more than what the destination answers.
        let (source, listed) = self.fitting(source?, &reader).await?;
        Ok(Start { source, listed, current: current?, reader, destination })
    }

    /// The report, if the source's digest tells that there is nothing to do; else what was read.
    async fn frugal_start(&self) -> Result<std::result::Result<Report, Box<Start>>> {
        let reader = Arc::new(Reader::new(self.source.clone()));
        let destination = Arc::new(Destination::new(self.sink.clone(), &reader));
        let (head, current) = tokio::join!(self.source.head(), self.sink.current());
        let (head, current) = (head?, current?);
        if let (Some(head), Some(current)) = (&head, &current)
            && let Some(report) = self.held(head, current, &reader, &destination).await?
        {
            return Ok(Ok(report));
        }
        if let Some(permit) = &self.permit {
            permit.permit(Pending { source: head.as_ref(), current: current.as_ref() }).await?;
        }
        let (source, listed) = self.fitting(self.source.manifest().await?, &reader).await?;
        Ok(Err(Box::new(Start { source, listed, current, reader, destination })))
    }

    /// The report, if the destination is what the task makes of the source, by the source's digest.
    async fn held(
        &self,
        head: &Head,
        current: &Manifest,
        reader: &Arc<Reader>,
        destination: &Arc<Destination>,
    ) -> Result<Option<Report>> {
        let known = self.known.as_ref();
        let known = known.filter(|known| known.head == head.digest && known.result == current.digest);
        let report = match (known, &self.task) {
            (Some(known), _) => Some(Report::held(&known.source, current)),
            (None, Task::Wrap(wrap)) => {
                let (source, sink, stats) = (self.source.clone(), self.sink.clone(), self.stats.clone());
                let commons = self.commons.clone();
                let copier = Copier::new(source, sink, destination.clone(), commons, true, stats);
                let standing = Standing { task: &self.task, wrap, reader, copier: &copier, destination };
                standing.by_digest(head, current).await?
            }
            (None, _) => (head.digest == current.digest).then(|| Report::held(&head.digest, current)),
        };
        let is_whole = !self.recheck || destination.is_whole(current, Depth::Blobs).await?;
        Ok(report.filter(|_| is_whole))
    }

    /// Whether the source's digest tells that there is nothing to do. Reads nothing of the source.
    pub async fn check(&self) -> Result<Option<Report>> {
        let reader = Arc::new(Reader::new(self.source.clone()));
        let destination = Arc::new(Destination::new(self.sink.clone(), &reader));
        let (head, current) = tokio::join!(self.source.head(), self.sink.current());
        match (head?, current?) {
            (Some(head), Some(current)) => self.held(&head, &current, &reader, &destination).await,
            _ => Ok(None),
        }
    }

    /// The image itself, where no index is wanted or none fits.
    async fn fitting(&self, source: Manifest, reader: &Reader) -> Result<(Manifest, Option<StatedPlatform>)> {
        let takes_it = self.only.is_none() && self.sink.takes_indexes();
        if takes_it || !matches!(source.content, Content::Index { .. }) {
            return Ok((source, None));
        }
        let platforms = self.only.as_ref().map_or(self.task.platforms(), std::slice::from_ref);
        let image = select::one(reader, &source, platforms).await?;
        let manifest = reader.child(&image).await?.as_ref().clone();
        Ok((manifest, image.platform))
    }

    /// The report, if the destination is what wrap makes of the source and has all of it. What it lacks is found out
    /// later once more, by the plan.
    async fn nothing_to_do(&self, start: &Start) -> Result<Option<Report>> {
        let (Task::Wrap(wrap), Some(current)) = (&self.task, &start.current) else { return Ok(None) };
        let copier = self.copier(start, true);
        let standing = Standing {
            task: &self.task,
            wrap,
            reader: &start.reader,
            copier: &copier,
            destination: &start.destination,
        };
        match standing.up_to_date(&start.source, current).await? {
            Some(report) if self.is_whole(start, current).await? => Ok(Some(report)),
            _ => Ok(None),
        }
    }

    /// Whether the destination has all of its image. A registry is asked for the children of an index, and for every
    /// blob only if the user wants that, or if a single image comes from a source that costs no requests; so that
    /// nothing to do is two requests between registries.
    async fn is_whole(&self, start: &Start, current: &Manifest) -> Result<bool> {
        let is_image = !matches!(start.source.content, Content::Index { .. });
        let is_cheap = self.sink.is_local() || (is_image && self.source.is_local());
        let depth = if self.recheck || is_cheap { Depth::Blobs } else { Depth::Children };
        start.destination.is_whole(current, depth).await
    }

    fn copier(&self, start: &Start, believes: bool) -> Copier {
        let (source, sink, stats) = (self.source.clone(), self.sink.clone(), self.stats.clone());
        let (destination, believes) = (start.destination.clone(), believes && !self.recheck);
        let copier = Copier::new(source, sink, destination, self.commons.clone(), believes, stats);
        if let Some(current) = &start.current {
            copier.claim(current.blobs().into_iter().chain(current.children()).map(|d| d.digest.clone()));
        }
        copier
    }

    /// Plans the result, and begins to move what it needs unless the destination may have it all.
    async fn plan(&self, start: &Start, believes: bool) -> Result<Plan> {
        let may_be_done =
            start.current.as_ref().is_some_and(|current| self.may_be_done(&start.source, current));
        let hold = !self.sink.takes_early() || (may_be_done && believes);
        self.plan_with(start, self.copier(start, believes), hold).await
    }

    async fn plan_with(&self, start: &Start, copier: Copier, hold: bool) -> Result<Plan> {
        let planner = Planner::new(&self.task, &start.reader, &copier, self.commons.streams(), hold);
        let root = planner.root(start.source.clone(), start.listed.as_ref()).await?;
        let overlay = Arc::new(Overlay::new(&root, self.source.clone()));
        let is_current = start.current.as_ref().is_some_and(|c| c.digest == root.output().digest);
        Ok(Plan { root, overlay, copier, is_current })
    }

    /// If only the configs can tell whether the destination is up to date, no transfer is started before.
    fn may_be_done(&self, source: &Manifest, current: &Manifest) -> bool {
        match &self.task {
            // In place, equal digests prove nothing; a layer of ours on top does.
            Task::Wrap(wrap) if self.in_place => match &source.content {
                Content::Image { layers, .. } => {
                    layers.last().is_some_and(|last| wrap.may_have_added(&last.digest))
                }
                _ => false,
            },
            Task::Wrap(_) | Task::Copy(_) => current.digest == source.digest,
            Task::Unwrap => true,
        }
    }

    /// Copies the planned image. `None` if somebody else moved the tag meanwhile.
    async fn push(&self, start: &Start, plan: &Plan) -> Result<Option<Delivery>> {
        let replaced = start.current.as_ref().filter(|_| !plan.is_current);
        if !plan.is_current {
            self.existing.check(&*self.sink, replaced).await?;
        }
        let push = Push::new(&plan.overlay, &plan.copier, &*self.sink);
        push.parts().await?;
        // Nobody's push is undone unseen: in place what was read has to be what is replaced.
        if self.in_place
            && let Some(now) = self.sink.tag_digest().await?
            && start.current.as_ref().is_some_and(|current| current.digest != now)
        {
            return Ok(None);
        }
        self.existing.keep(replaced).await?;
        let digest = push.tag().await?;
        Ok(Some(if plan.is_current { Delivery::Repaired(digest) } else { Delivery::Written(digest) }))
    }

    /// What does not decide whether the run succeeded.
    async fn afterwards(&self, plan: &Plan, report: &mut Report) {
        if self.referrers {
            let found = referrers::of_source(&*self.source, report).await;
            let (notes, warnings) = found;
            report.notes.extend(notes);
            report.warnings.extend(warnings);
        }
        let Task::Wrap(wrap) = &self.task else { return };
        if self.provenance && report.action != Action::Skipped {
            match provenance::push(&*self.sink, wrap, report, plan.root.output()).await {
                Ok(digest) => report.provenance = Some(digest),
                Err(error) => {
                    let error = error.context("the image was written, but not the statement about it");
                    let remedy = error.remedy().cloned();
                    let failure = Error::new(Kind::Network, error.to_string());
                    report.warnings.push(error.to_string());
                    report.failure = Some(match remedy {
                        Some(remedy) => failure.hint(remedy),
                        None => failure,
                    });
                }
            }
        }
    }

    /// What [`Job::run`] would do, without doing any of it.
    pub async fn dry_run(&self) -> Result<(Report, Changes)> {
        let start = self.start().await?;
        if let Some(report) = self.nothing_to_do(&start).await? {
            return Ok((report, Changes::default()));
        }
        let plan = self.plan_with(&start, self.copier(&start, true), true).await?;
        if let Some(digest) = self.held_by(&start, &plan).await? {
            return Ok((Report::new(&plan.root, &Delivery::Held(digest)), Changes::default()));
        }
        if !plan.is_current {
            self.existing.check(&*self.sink, start.current.as_ref()).await?;
        }
        let Plan { root, overlay, copier, .. } = &plan;
        let creates = start.current.is_none() && !self.sink.is_taken().await?;
        let changes = changes::changes(root, overlay, copier, &start.destination, creates)
            .await
            .context(|| "a dry run")?;
        Ok((Report::new(root, &Delivery::Pending), changes))
    }
}

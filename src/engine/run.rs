//! Runs a job from end to end: read, rewrite, copy, write. Steps overlap where they can, and the tag is
//! written last (see docs/contracts.md).

use super::changes::{self, Changes};
use super::comparison::Comparison;
use super::copy::Copier;
use super::destination::{Depth, Destination};
use super::existing::Existing;
use super::overlay::Overlay;
use super::plan::Planner;
use super::push::Push;
use super::report::{Action, Delivery, Report};
use super::shared_state::SharedState;
use super::task::Task;
use super::tree::Root;
use super::{provenance, referrers};
use crate::error::{Context, Error, Remedy, Result};
use crate::image::{Content, Digest, Manifest, MediaType, Platform, StatedPlatform};
use crate::read::{Reader, select};
use crate::stats::Stats;
use crate::transport::{Head, Sink, Source};
use async_trait::async_trait;
use std::sync::Arc;

/// The number of times a run starts over because another process moved the tag in the meantime.
const RESTARTS: usize = 2;

/// A source, a destination and the task to run between them.
pub struct Job {
    /// The source of the image.
    pub source: Arc<dyn Source>,
    /// The destination of the result.
    pub sink: Arc<dyn Sink>,
    /// Whether the source and the destination are the same image under the same name.
    pub in_place: bool,
    /// What to do with the image.
    pub task: Task,
    /// Whether to attach a provenance statement to the result.
    pub provenance: bool,
    /// Whether to list the referrers of the source and report that they are not copied.
    pub referrers: bool,
    /// Whether to ask the destination for every blob of the image that it has, and send those that are
    /// missing.
    pub recheck: bool,
    /// Whether to decide from the source's digest if there is anything to do, asking the destination only for
    /// its manifest. An image that is unchanged is not pulled.
    pub frugal: bool,
    /// The platform to take from an index. The result is then that single image.
    pub only: Option<Platform>,
    /// What to do with an image that is replaced.
    pub existing: Existing,
    /// Consulted if there may be something to do: by a frugal job before it reads the source.
    pub permit: Option<Arc<dyn Permit>>,
    /// The result of an earlier run, for a frugal job.
    pub known: Option<Known>,
    /// State shared with other jobs.
    pub shared_state: Arc<SharedState>,
    /// The counters of this run.
    pub stats: Arc<Stats>,
}

/// Decides whether a job that has something to do may go on. The decision may wait for something, or do it
/// first.
#[async_trait]
pub trait Permit: Send + Sync {
    /// Called before anything is moved, and before a frugal job reads the source. An error stops the job.
    async fn permit(&self, pending: Pending<'_>) -> Result<()>;
}

/// State that is known before the source is read.
#[derive(Clone, Copy)]
pub struct Pending<'a> {
    /// The manifest that the source's name refers to, if it is known.
    pub source: Option<&'a Head>,
    /// The manifest that the destination's name refers to.
    pub current: Option<&'a Manifest>,
}

/// The state of both places at the start of a run.
struct Start {
    /// The digest of the manifest that the source's name refers to.
    root: Digest,
    source: Manifest,
    /// The platform for which an index lists the source, if it was chosen from one.
    listed: Option<StatedPlatform>,
    /// The manifest that the destination's name refers to.
    current: Option<Manifest>,
    reader: Arc<Reader>,
    destination: Arc<Destination>,
}

/// The planned image, and the copier that moves its blobs.
struct Plan {
    root: Root,
    overlay: Arc<Overlay>,
    copier: Copier,
    /// Whether the destination's name refers to the planned image already.
    is_current: bool,
}

/// The result of an earlier run in this process: processing this source gives this result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The digest that the source's name referred to.
    pub head: Digest,
    /// The digest of the image that was processed, which may be one image of an index.
    pub source: Digest,
    /// The digest of the result.
    pub result: Digest,
}

impl Job {
    /// Creates a job with default settings: two different places, and no optional steps.
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
            shared_state: Arc::default(),
            stats: Arc::default(),
        }
    }

    /// Runs the job. On failure no tag is written, and open uploads are cancelled.
    pub async fn run(&self) -> Result<Report> {
        let outcome = self.attempts().await;
        self.sink.release().await;
        outcome
    }

    async fn attempts(&self) -> Result<Report> {
        if self.provenance && !self.sink.takes_referrers() {
            return Err(Error::usage("this destination cannot store a provenance statement")
                .hint(Remedy::ChooseProvenanceDestination));
        }
        for _ in 0..=RESTARTS {
            if let Some(report) = self.attempt().await? {
                return Ok(report);
            }
        }
        Err(Error::network("another process moved the tag each time before this run could")
            .hint("nothing was tagged; run the command again when the other process has finished"))
    }

    /// Runs the job once. Returns `None` if another process moved the tag in the meantime.
    async fn attempt(&self) -> Result<Option<Report>> {
        let start = match self.frugal {
            true => match self.frugal_start().await? {
                Ok(report) => return Ok(Some(report)),
                Err(start) => *start,
            },
            false => self.start().await?,
        };
        if let Some(report) = self.nothing_to_do(&start).await?.filter(|_| !self.provenance) {
            return Ok(Some(Report { source_root: Some(start.root), ..report }));
        }
        if !self.frugal {
            let head = Head::of(&start.source);
            self.permit(Some(&head), start.current.as_ref()).await?;
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
        report.source_root = Some(start.root.clone());
        report.notes.extend(self.existing.note(start.current.as_ref(), &delivery));
        self.afterwards(&plan, &mut report).await;
        Ok(Some(report))
    }

    async fn permit(&self, source: Option<&Head>, current: Option<&Manifest>) -> Result<()> {
        match &self.permit {
            Some(permit) => permit.permit(Pending { source, current }).await,
            None => Ok(()),
        }
    }

    /// Returns the destination's digest of the planned image, if the destination already has all of that
    /// image.
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
            let root = current.digest.clone();
            let (source, listed) = match self.sink.takes_indexes() {
                true => (current.clone(), None),
                false => self.fitting(current.clone(), &reader).await?,
            };
            return Ok(Start { root, current: Some(current), source, listed, reader, destination });
        }
        let (source, current) = tokio::join!(self.source.manifest(), self.sink.current());
        // An error of the source is reported before one of the destination.
        let source = source?;
        let root = source.digest.clone();
        let (source, listed) = self.fitting(source, &reader).await?;
        Ok(Start { root, source, listed, current: current?, reader, destination })
    }

    /// Returns a report if the source's digest shows that there is nothing to do; otherwise what was read.
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
        self.permit(head.as_ref(), current.as_ref()).await?;
        let source = self.source.manifest().await?;
        let root = source.digest.clone();
        let (source, listed) = self.fitting(source, &reader).await?;
        Ok(Err(Box::new(Start { root, source, listed, current, reader, destination })))
    }

    /// Returns a report if the digests show that the destination already is the result of this task.
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
            // Digests do not tell which part of the source the destination has.
            (None, _) if self.takes_part_of(head) => None,
            (None, Task::Wrap(wrap)) => {
                let (source, sink, stats) = (self.source.clone(), self.sink.clone(), self.stats.clone());
                let shared_state = self.shared_state.clone();
                let copier = Copier::new(source, sink, destination.clone(), shared_state, true, stats);
                let comparison = Comparison { task: &self.task, wrap, reader, copier: &copier, destination };
                comparison.by_digest(head, current).await?
            }
            (None, Task::Copy(_)) => {
                (head.digest == current.digest).then(|| Report::held(&head.digest, current))
            }
            // An original does not name the image that it was restored from.
            (None, Task::Unwrap) => None,
        };
        let is_whole = !self.recheck || destination.is_whole(current, Depth::Content).await?;
        Ok(report.filter(|_| is_whole))
    }

    /// Returns a report if there is nothing to do. Reads the source only if its digest cannot show that.
    pub async fn check(&self) -> Result<Option<Report>> {
        let reader = Arc::new(Reader::new(self.source.clone()));
        let destination = Arc::new(Destination::new(self.sink.clone(), &reader));
        let (head, current) = tokio::join!(self.source.head(), self.sink.current());
        let (head, Some(current)) = (head?, current?) else { return Ok(None) };
        if let Some(head) = &head {
            let report = self.held(head, &current, &reader, &destination).await?;
            if report.is_some() || !self.takes_part_of(head) {
                return Ok(report);
            }
        }
        let source = self.source.manifest().await?;
        let root = source.digest.clone();
        let (source, listed) = self.fitting(source, &reader).await?;
        let start = Start { root, source, listed, current: Some(current), reader, destination };
        Ok(self.planned(&start).await?.err())
    }

    /// Returns whether the result may be a part of its source: one image of an index, or an index of some of its
    /// images. Only reading the source shows which part that is.
    pub fn is_part(&self) -> bool {
        self.only.is_some() || matches!(&self.task, Task::Copy(copy) if !copy.platforms.is_empty())
    }

    /// Returns whether the result may be a part of this source.
    fn takes_part_of(&self, head: &Head) -> bool {
        let is_index = |text: &str| MediaType::from(text).is_index();
        self.is_part() && head.media_type.as_deref().is_none_or(is_index)
    }

    /// Picks one image of an index, if the job asks for one or the destination takes no indexes.
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

    /// Returns a report if the destination has the wrapped source in full. If parts are missing, the plan
    /// finds out which.
    async fn nothing_to_do(&self, start: &Start) -> Result<Option<Report>> {
        let (Task::Wrap(wrap), Some(current)) = (&self.task, &start.current) else { return Ok(None) };
        let copier = self.copier(start, true);
        let comparison = Comparison {
            task: &self.task,
            wrap,
            reader: &start.reader,
            copier: &copier,
            destination: &start.destination,
        };
        match comparison.up_to_date(&start.source, current).await? {
            Some(report) if self.is_whole(start, current).await? => Ok(Some(report)),
            _ => Ok(None),
        }
    }

    /// Returns whether the destination has its image in full. The children of an index are always checked;
    /// blobs only if the user asks for it or if checking costs no requests. Two registries that are up to
    /// date thus need two requests.
    async fn is_whole(&self, start: &Start, current: &Manifest) -> Result<bool> {
        let is_image = !matches!(start.source.content, Content::Index { .. });
        let is_cheap = self.sink.is_local() || (is_image && self.source.is_local());
        let depth = match self.recheck {
            true => Depth::Content,
            false if is_cheap => Depth::Blobs,
            false => Depth::Children,
        };
        start.destination.is_whole(current, depth).await
    }

    fn copier(&self, start: &Start, believes: bool) -> Copier {
        let (source, sink, stats) = (self.source.clone(), self.sink.clone(), self.stats.clone());
        let (destination, believes) = (start.destination.clone(), believes && !self.recheck);
        let copier = Copier::new(source, sink, destination, self.shared_state.clone(), believes, stats);
        if let Some(current) = &start.current {
            copier.claim(current.blobs().into_iter().chain(current.children()).map(|d| d.digest.clone()));
        }
        copier
    }

    /// Plans the result. Transfers start at once, unless the destination may turn out to be up to date.
    async fn plan(&self, start: &Start, believes: bool) -> Result<Plan> {
        let may_be_done =
            start.current.as_ref().is_some_and(|current| self.may_be_done(&start.source, current));
        let defer = !self.sink.takes_early() || (may_be_done && believes);
        self.plan_with(start, self.copier(start, believes), defer).await
    }

    async fn plan_with(&self, start: &Start, copier: Copier, defer: bool) -> Result<Plan> {
        let planner = Planner::new(&self.task, &start.reader, &copier, self.shared_state.streams(), defer);
        let root = planner.root(start.source.clone(), start.listed.as_ref()).await?;
        let overlay = Arc::new(Overlay::new(&root, self.source.clone()));
        let is_current = start.current.as_ref().is_some_and(|c| c.digest == root.output().digest);
        Ok(Plan { root, overlay, copier, is_current })
    }

    /// Returns whether only the configs can tell if the destination is up to date; then no transfer starts
    /// before they are read.
    fn may_be_done(&self, source: &Manifest, current: &Manifest) -> bool {
        match &self.task {
            // In place, equal digests prove nothing; a reaper's layer on top does.
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

    /// Copies the planned image. Returns `None` if another process moved the tag in the meantime.
    async fn push(&self, start: &Start, plan: &Plan) -> Result<Option<Delivery>> {
        let replaced = start.current.as_ref().filter(|_| !plan.is_current);
        if !plan.is_current {
            self.existing.check(&*self.sink, replaced).await?;
        }
        let push = Push::new(&plan.overlay, &plan.copier, &*self.sink);
        push.parts().await?;
        // If it matters what is replaced, only the image that was read may be, so that no concurrent push is lost.
        if (self.in_place || self.existing.is_guarded())
            && let Some(now) = self.sink.tag_digest().await?
            && start.current.as_ref().is_none_or(|current| current.digest != now)
        {
            return Ok(None);
        }
        self.existing.keep(replaced).await?;
        let digest = push.tag().await?;
        Ok(Some(if plan.is_current { Delivery::Repaired(digest) } else { Delivery::Written(digest) }))
    }

    /// Runs the steps that do not decide whether the run succeeds.
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
                    let error = error.context("the image was written, but its provenance statement was not");
                    report.warnings.push(error.to_string());
                    report.failure = Some(error);
                }
            }
        }
    }

    /// Plans the result without moving anything. Returns a report instead if there is nothing to do.
    async fn planned(&self, start: &Start) -> Result<std::result::Result<Plan, Report>> {
        if let Some(report) = self.nothing_to_do(start).await? {
            return Ok(Err(report));
        }
        let plan = self.plan_with(start, self.copier(start, true), true).await?;
        let held = self.held_by(start, &plan).await?;
        Ok(match held {
            Some(digest) => Err(Report::new(&plan.root, &Delivery::Held(digest))),
            None => Ok(plan),
        })
    }

    /// Returns what [`Job::run`] would do, without doing it.
    pub async fn dry_run(&self) -> Result<(Report, Changes)> {
        let start = self.start().await?;
        let plan = match self.planned(&start).await? {
            Ok(plan) => plan,
            Err(report) => return Ok((report, Changes::default())),
        };
        if !plan.is_current {
            self.existing.check(&*self.sink, start.current.as_ref()).await?;
        }
        let Plan { root, overlay, copier, .. } = &plan;
        // If the destination does not say whether the tag exists, neither does the dry run.
        let creates = start.current.is_none() && matches!(self.sink.is_taken().await, Ok(false));
        let changes = changes::changes(root, overlay, copier, &start.destination, creates)
            .await
            .context(|| "a dry run")?;
        Ok((Report::new(root, &Delivery::Pending), changes))
    }
}

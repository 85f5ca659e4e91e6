//! Compares one image of a pass with its destination, and mirrors it if necessary.

use super::config::{Mode, OnUnsupported};
use super::fallback::Fallback;
use super::hooks::{self, When};
use super::listing::Item;
use super::report::{Action, Line};
use super::rules::digest_tags::DigestTags;
use super::run::{Effort, Shared};
use crate::engine::report::{self, Report};
use crate::engine::{Backup, BackupTag, Copy, Existing, Job, Known, Pending, Permit, SharedState, Task};
use crate::error::{Error, Kind, Result};
use crate::image::media_type::Family;
use crate::image::{Digest, Manifest, Reference};
use crate::registry::{Client, Repository};
use crate::stats::Stats;
use crate::transport::Source;
use async_trait::async_trait;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Mirrors one image.
pub async fn mirror(item: &Item, shared: &Shared, wanted: Option<&Digest>) -> Line {
    let begun = Instant::now();
    let stats = Arc::new(Stats::default());
    let mut line = Line::new(item.place.rule.entry.position, Action::Unchanged);
    line.source = Some(item.source.to_string());
    line.destination = Some(item.destination.to_string());
    let is_left_out = Arc::new(AtomicBool::new(false));
    let work = Work { item, shared, stats: stats.clone(), line: line.clone(), is_left_out };
    let mut line = match work.run(wanted).await {
        Ok(line) => line,
        Err(error) => {
            shared.hosts.note(&error, &[&item.source, &item.destination]);
            line.failed(&error)
        }
    };
    line.requests = Stats::get(&stats.requests);
    line.pulled = Stats::get(&stats.bytes_pulled);
    line.bytes = line.pulled + Stats::get(&stats.bytes_pushed);
    line.ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    line
}

struct Work<'a> {
    item: &'a Item,
    shared: &'a Shared,
    stats: Arc<Stats>,
    line: Line,
    /// Whether the image is left out: the entry excludes its media type, or the run was halted before it was read.
    is_left_out: Arc<AtomicBool>,
}

impl Work<'_> {
    async fn run(mut self, wanted: Option<&Digest>) -> Result<Line> {
        let source = match wanted {
            // The event gives the digest that was pushed; the tag may not have moved yet.
            Some(digest) => self.item.source.with_digest(digest),
            None => self.item.source.clone(),
        };
        let job = self.job(&source)?;
        let _guest = self.shared.sinks.enter(job.sink.clone());
        match self.shared.effort {
            Effort::Check => return self.check(&job).await,
            Effort::Missing if job.sink.tag_digest().await?.is_some() => {
                self.line.reason = Some("the destination has the tag".into());
                return Ok(self.line);
            }
            _ => {}
        }
        let rule = &self.item.place.rule;
        let report = match job.run().await {
            Ok(report) => report,
            Err(e)
                if self.is_left_out.load(Ordering::Relaxed)
                    || (e.kind() == Kind::Unsupported
                        && rule.entry.on_unsupported == OnUnsupported::Skip) =>
            {
                self.line.action = Action::Skipped;
                self.line.reason = Some(e.to_string());
                return Ok(self.line);
            }
            Err(e) => return Err(e),
        };
        self.note(&job, &report);
        self.fill(&report);
        match self.afterwards(&report).await {
            Ok(()) => Ok(self.line),
            // The image was written nevertheless.
            Err(error) => {
                let written = self.line.written;
                Ok(Line { written, ..self.line.failed(&error) })
            }
        }
    }

    /// Takes the steps after an image is at the destination. Hooks are told of an image that was written, whatever
    /// became of its companions.
    async fn afterwards(&self, report: &Report) -> Result<()> {
        let entry = &self.item.place.rule.entry;
        let companions = match entry.wrap.mode {
            Mode::Copy => self.companions(&report.source_digest).await,
            _ => Ok(()),
        };
        match (self.line.written, companions) {
            (true, companions) => companions.and(hooks::run(&entry.hooks, When::Post, &self.line).await),
            (false, Ok(())) => hooks::run(&entry.hooks, When::Unchanged, &self.line).await,
            (false, Err(error)) => Err(error),
        }
    }

    /// Records the result of an image whose source the destination's manifest does not state: Docker's
    /// manifest lists, and results that are only a part of their source.
    fn note(&self, job: &Job, report: &Report) {
        let rule = &self.item.place.rule;
        if let Some(head) = &report.source_root
            && (job.is_part() || report.family == Family::Docker)
        {
            let (source, result) = (report.source_digest.clone(), report.digest.clone());
            let known = Known { head: head.clone(), source, result };
            self.shared.outcomes.note(rule, &self.item.destination, known);
        }
    }

    /// Returns the registries to ask for a source before its own.
    fn mirrors(&self, source: &Reference) -> Result<Vec<Arc<dyn Source>>> {
        let mirrors = &self.item.place.pair.mirrors;
        let open = |(host, client): &(String, Arc<Client>)| {
            let name = self.shared.hosts.reach(&source.moved(host, source.repository())?)?;
            let client = Arc::new(client.counting(self.stats.clone()));
            Ok(Arc::new(Repository::source(client, name)) as Arc<dyn Source>)
        };
        mirrors.iter().map(open).collect()
    }

    fn job(&self, source_name: &Reference) -> Result<Job> {
        let (place, shared) = (&self.item.place, self.shared);
        let rule = &place.rule;
        let from = Arc::new(place.pair.source.counting(self.stats.clone()));
        let to = match Arc::ptr_eq(&place.pair.source, &place.pair.destination) {
            true => from.clone(),
            false => Arc::new(place.pair.destination.counting(self.stats.clone())),
        };
        let destination = shared.hosts.reach(&self.item.destination)?;
        let source = shared.hosts.reach(source_name)?;
        let in_place = source.digest().is_none() && source == destination;
        let upstream = Arc::new(Repository::source(from.clone(), source));
        let source = Arc::new(Fallback {
            mirrors: self.mirrors(source_name)?,
            upstream: upstream.clone(),
            faults: place.pair.faults.clone(),
        });
        let permit = Before {
            is_left_out: self.is_left_out.clone(),
            item: self.item.clone(),
            line: self.line.clone(),
            upstream,
            client: from,
            halt: shared.halt.clone(),
        };
        let existing = self.existing(&to)?;
        let sink = Arc::new(Repository::sink(to, destination));
        Ok(Job {
            in_place,
            provenance: rule.entry.wrap.provenance && rule.entry.wrap.mode == Mode::Wrap,
            recheck: shared.rechecks(rule, &self.item.destination),
            frugal: !in_place,
            only: rule.only.clone(),
            existing,
            permit: Some(Arc::new(permit)),
            known: shared.outcomes.get(rule, &self.item.destination),
            shared_state: shared.shared_state.clone(),
            stats: self.stats.clone(),
            ..Job::new(source, sink, rule.task.clone())
        })
    }

    /// Returns what to do with a replaced image: to keep it under another name, if the entry requests it.
    fn existing(&self, to: &Arc<Client>) -> Result<Existing> {
        let destination = &self.item.destination;
        let Some(kept) = self.item.place.rule.backup(destination)? else { return Ok(Existing::Replace) };
        if kept.host() != destination.host() {
            return Err(Error::usage(format!("invalid backup {kept}: it is on another registry"))
                .hint("name a repository or a tag of the destination's registry"));
        }
        let sink = Arc::new(Repository::sink(to.clone(), self.shared.hosts.reach(&kept)?));
        let name = kept.to_string();
        Ok(Existing::Keep(match kept.repository() == destination.repository() {
            true => Arc::new(BackupTag { sink, name }),
            false => Arc::new(BackupCopy {
                client: to.clone(),
                from: self.shared.hosts.reach(destination)?,
                sink,
                name,
                shared_state: self.shared.shared_state.clone(),
                stats: self.stats.clone(),
            }),
        }))
    }

    /// Returns a job that copies an image unchanged.
    fn copy(
        &self,
        from: &Arc<Client>,
        to: &Arc<Client>,
        source: &Reference,
        destination: &Reference,
    ) -> Result<Job> {
        let hosts = &self.shared.hosts;
        let source = Arc::new(Repository::source(from.clone(), hosts.reach(source)?));
        let sink = Arc::new(Repository::sink(to.clone(), hosts.reach(destination)?));
        Ok(Job {
            frugal: true,
            shared_state: self.shared.shared_state.clone(),
            stats: self.stats.clone(),
            ..Job::new(source, sink, Task::Copy(Copy::default()))
        })
    }

    async fn check(mut self, job: &Job) -> Result<Line> {
        if let Some(report) = job.check().await? {
            self.fill(&report);
            return Ok(self.line);
        }
        self.line.action = match job.task {
            Task::Copy(_) => Action::Copied,
            _ => Action::Wrapped,
        };
        self.line.pending = true;
        self.line.reason = Some("the source and the destination differ".into());
        Ok(self.line)
    }

    fn fill(&mut self, report: &Report) {
        self.line.action = match report.action {
            report::Action::Wrapped => Action::Wrapped,
            report::Action::Upgraded => Action::Upgraded,
            report::Action::Repaired => Action::Repaired,
            report::Action::Copied => Action::Copied,
            // A source that is wrapped already is copied as it is.
            report::Action::Unchanged if report.written => Action::Copied,
            report::Action::Unchanged => Action::Unchanged,
            // An image that was there before and stays is not worth reporting.
            report::Action::Skipped if !report.written => Action::Unchanged,
            report::Action::Skipped | report::Action::Unwrapped => Action::Skipped,
        };
        self.line.written = report.written;
        self.line.source_digest = Some(report.source_digest.clone());
        self.line.digest = Some(report.digest.clone());
        self.line.reason = report.reason.clone().filter(|_| self.line.action != Action::Unchanged);
        let notes = report.notes.iter().map(ToString::to_string);
        self.line.notes = notes.chain(report.warnings.iter().cloned()).collect();
    }

    /// Copies what belongs to a copied image: its referrers, and the tags named after its digest.
    async fn companions(&self, image: &Digest) -> Result<()> {
        let (item, entry, hosts) = (self.item, &self.item.place.rule.entry, &self.shared.hosts);
        let counting = |client: &Client| Arc::new(client.counting(self.stats.clone()));
        let (from, to) = (counting(&item.place.pair.source), counting(&item.place.pair.destination));
        if entry.digest_tags {
            let tags = item.place.all_tags(hosts).await?;
            let tags = DigestTags::new(tags.iter().map(String::as_str));
            for tag in tags.of(&image.to_string()) {
                let (source, target) = (item.source.with_tag(tag)?, item.destination.with_tag(tag)?);
                let copied = self.copy(&from, &to, &source, &target)?.run().await;
                copied.map_err(|e| e.context(format!("the tag {tag}")))?;
            }
        }
        if !entry.referrers {
            return Ok(());
        }
        let source = Repository::source(from.clone(), hosts.reach(&item.source)?);
        let mut jobs = Vec::new();
        // Referrers without a digest are tags, which `digestTags` covers.
        for digest in source.referrers(image).await?.into_iter().filter_map(|referrer| referrer.digest) {
            let (source, target) = (item.source.with_digest(&digest), item.destination.with_digest(&digest));
            let job = self.copy(&from, &to, &source, &target)?;
            job.run().await.map_err(|e| e.context(format!("the referrer {digest}")))?;
            jobs.push((digest, job));
        }
        if jobs.is_empty() {
            return Ok(());
        }
        // An earlier run may have been interrupted between writing a referrer and listing it.
        let destination = Repository::sink(to, hosts.reach(&item.destination)?);
        let listed: HashSet<Digest> =
            destination.referrers(image).await?.into_iter().filter_map(|referrer| referrer.digest).collect();
        for (digest, job) in jobs.into_iter().filter(|(digest, _)| !listed.contains(digest)) {
            let list = async { job.sink.put_referrer(&job.source.manifest().await?, image).await };
            list.await.map_err(|e| e.context(format!("the referrer {digest}")))?;
        }
        Ok(())
    }
}

/// A name in another repository for an image that is replaced: the image is copied there.
struct BackupCopy {
    client: Arc<Client>,
    from: Reference,
    sink: Arc<Repository>,
    name: String,
    shared_state: Arc<SharedState>,
    stats: Arc<Stats>,
}

#[async_trait]
impl Backup for BackupCopy {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn keep(&self, image: &Manifest) -> Result<()> {
        let name = self.from.with_digest(&image.digest);
        let source = Arc::new(Repository::source(self.client.clone(), name));
        let job = Job {
            shared_state: self.shared_state.clone(),
            stats: self.stats.clone(),
            ..Job::new(source, self.sink.clone(), Task::Copy(Copy::default()))
        };
        job.run().await.map(drop)
    }
}

/// The steps before a source is read.
struct Before {
    item: Item,
    line: Line,
    upstream: Arc<Repository>,
    client: Arc<Client>,
    halt: CancellationToken,
    is_left_out: Arc<AtomicBool>,
}

#[async_trait]
impl Permit for Before {
    async fn permit(&self, pending: Pending<'_>) -> Result<()> {
        let entry = &self.item.place.rule.entry;
        if let Some(media_type) = pending.source.and_then(|head| head.media_type.as_deref())
            && !entry.media_types.is_empty()
            && !entry.media_types.iter().any(|taken| taken == media_type)
        {
            self.is_left_out.store(true, Ordering::Relaxed);
            return Err(Error::unsupported(format!("the entry's mediaTypes do not list {media_type}")));
        }
        if let Some(min) = entry.rate_limit.min {
            self.wait_for_rate(min, entry.rate_limit.retry).await?;
        }
        let mut line = Line { action: Action::Pending, ..self.line.clone() };
        line.source_digest = pending.source.map(|head| head.digest.clone());
        line.digest = pending.current.map(|current| current.digest.clone());
        hooks::run(&entry.hooks, When::Pre, &line).await
    }
}

impl Before {
    /// Waits until the registry allows enough pulls, or the run is halted. HEAD requests do not count as pulls.
    async fn wait_for_rate(&self, min: u64, pause: Duration) -> Result<()> {
        let host = self.client.host();
        while let Some(rate) = self.client.governor().rate().filter(|rate| rate.remaining < min) {
            tracing::warn!(
                "{host} allows {} more pulls, fewer than ratelimit.min {min}; waiting {} s",
                rate.remaining,
                pause.as_secs()
            );
            if timeout(pause, self.halt.cancelled()).await.is_ok() {
                self.is_left_out.store(true, Ordering::Relaxed);
                return Err(Error::other(format!(
                    "stopped while {host} allowed fewer pulls than ratelimit.min {min}"
                )));
            }
            // The mirrors do not know how many pulls the upstream allows.
            self.upstream.head().await?;
        }
        Ok(())
    }
}

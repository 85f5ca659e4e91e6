//! The long-running mirror: passes by schedule, images by event, and reloaded configurations.

use super::events::Push;
use super::intake::{Intake, Route, Wanted};
use super::metrics::{Direction, Metrics};
use super::queue::{Queue, Work};
use super::routing::{self, Routing};
use crate::engine::Task;
use crate::error::{Kind, Result};
use crate::image::Digest;
use crate::mirror::config::Config;
use crate::mirror::{Action, Item, Line, Part, Pass, Results, Rule, Shared, mirror, schedule};
use crate::registry::Repository;
use crate::rewrite::record::Annotations;
use crate::transport::{Sink, Source};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The time to wait for a pushed tag, because some registries send events before they set the tag.
const TAG_WAIT: Duration = Duration::from_secs(10);
/// The first interval at which the tag is checked.
const TAG_PAUSE: Duration = Duration::from_millis(100);
/// The time over which passes of entries with the same schedule are spread.
const JITTER: Duration = Duration::from_secs(30);
/// The time limit for stopped passes to end.
const LAST_STEPS: Duration = Duration::from_secs(1);
/// The interval at which figures of hosts are collected.
const FIGURES: Duration = Duration::from_secs(1);

/// A configuration in effect.
pub struct Current {
    /// The configuration.
    pub config: Config,
    /// Its entries.
    pub rules: Vec<Arc<Rule>>,
    /// State shared by its images.
    pub shared: Arc<Shared>,
    /// The number of images to mirror at once.
    pub parallel: usize,
    /// The results of its entries.
    pub results: Arc<Results>,
}

/// The server.
pub struct Server {
    current: RwLock<Arc<Current>>,
    part: Part,
    queue: Queue,
    metrics: Arc<Metrics>,
    report: Mutex<Box<dyn FnMut(Line) + Send>>,
    /// The last known request counts of each host.
    counts: Mutex<HashMap<String, (u64, u64)>>,
    /// The passes of the current configuration.
    schedules: tokio::sync::Mutex<JoinSet<()>>,
    /// The entries in which an image has failed since their pass began.
    failed: Mutex<HashSet<usize>>,
}

impl Intake for Server {
    fn route(&self, push: &Push) -> Route {
        self.routing(&self.current()).route(push)
    }

    fn is_ready(&self) -> bool {
        true
    }
}

impl Server {
    /// Creates a server without running it. `report` is called with the line of each image.
    pub fn new(
        current: Current,
        part: Part,
        queue: Queue,
        metrics: Arc<Metrics>,
        report: impl FnMut(Line) + Send + 'static,
    ) -> Self {
        let server = Server {
            current: RwLock::new(Arc::new(current)),
            part,
            queue,
            metrics,
            report: Mutex::new(Box::new(report)),
            counts: Mutex::default(),
            schedules: Default::default(),
            failed: Mutex::default(),
        };
        server.name_entries();
        server
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn routing<'a>(&'a self, current: &'a Current) -> Routing<'a> {
        Routing {
            rules: &current.rules,
            results: &current.results,
            hosts: &current.shared.hosts,
            names: &current.config.events.hosts,
            part: &self.part,
        }
    }

    fn name_entries(&self) {
        let names: Vec<String> = self.current().rules.iter().map(|rule| name(rule)).collect();
        self.metrics.set_entries(names.iter().map(String::as_str), SystemTime::now());
    }

    /// Puts another configuration into effect. Its passes start when the images in progress are finished.
    pub fn reload(self: &Arc<Self>, next: Current) {
        let current = Arc::new(next);
        let mut slot = self.current.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *slot, current.clone()).shared.halt.cancel();
        drop(slot);
        // The request counts of new hosts start at zero.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.name_entries();
        // Waiting images are routed again, because their entry may have changed or been removed.
        self.queue.reconsider(|wanted| self.again(&current, wanted));
        let server = self.clone();
        tokio::spawn(async move { server.schedule(current).await });
    }

    fn again(&self, current: &Current, wanted: &Wanted) -> Option<Wanted> {
        let (host, repository) = wanted.source.split_once('/')?;
        let push = Push {
            host: Some(host.to_owned()),
            repository: repository.to_owned(),
            tag: wanted.tag.clone(),
            digest: wanted.digest.clone(),
            media_type: None,
            actor: None,
            user_agent: None,
        };
        match self.routing(current).route(&push) {
            Route::Wanted(all) => all.into_iter().find(|one| one.key == wanted.key),
            Route::Ignored(_) => None,
        }
    }

    /// Runs the server: a pass over every entry, then each entry by its schedule, and `workers` for images
    /// from events. Returns when the queue is closed and empty.
    pub async fn run(self: &Arc<Self>, workers: usize) {
        let mut tasks = JoinSet::new();
        for _ in 0..workers.max(1) {
            let server = self.clone();
            tasks.spawn(async move {
                while let Some(work) = server.queue.take().await {
                    server.work(work).await;
                }
            });
        }
        let mut figures = JoinSet::new();
        let server = self.clone();
        figures.spawn(async move {
            loop {
                server.figures();
                tokio::time::sleep(FIGURES).await;
            }
        });
        self.schedule(self.current()).await;
        while tasks.join_next().await.is_some() {}
        self.schedules.lock().await.shutdown().await;
    }

    /// Stops the passes in progress, and cancels their uploads. The remaining work is done at the next start.
    pub async fn stop(&self) {
        let shared = self.current().shared.clone();
        shared.halt.cancel();
        shared.sinks.release().await;
        // Images whose uploads were cancelled end soon.
        if let Ok(mut schedules) = timeout(LAST_STEPS, self.schedules.lock()).await {
            schedules.shutdown().await;
        }
    }

    /// Starts the passes of a configuration when the images in progress are finished, unless another configuration
    /// took its place.
    async fn schedule(self: &Arc<Self>, current: Arc<Current>) {
        let mut schedules = self.schedules.lock().await;
        let halt = &current.shared.halt;
        while !halt.is_cancelled() && schedules.join_next().await.is_some() {}
        if halt.is_cancelled() {
            return;
        }
        let server = self.clone();
        schedules.spawn(async move {
            server.pass(&current, current.rules.clone()).await;
            let mut entries = JoinSet::new();
            for rule in current.rules.clone() {
                let (server, current) = (server.clone(), current.clone());
                entries.spawn(async move { server.by_schedule(&current, rule).await });
            }
            while entries.join_next().await.is_some() {}
        });
    }

    /// Runs one entry by its schedule until it is stopped. Its runs never overlap.
    async fn by_schedule(&self, current: &Arc<Current>, rule: Arc<Rule>) {
        // Without a schedule an entry follows only events; an invalid schedule was an error when it was read.
        let Ok(Some(schedule)) = schedule(&rule.entry) else { return };
        loop {
            let Some(due) = schedule.next(SystemTime::now()) else { return };
            let at = due + schedule.delay(due, &name(&rule), JITTER);
            tokio::select! {
                () = current.shared.halt.cancelled() => return,
                () = tokio::time::sleep(at.duration_since(SystemTime::now()).unwrap_or_default()) => {}
            }
            self.pass(current, vec![rule.clone()]).await;
        }
    }

    async fn pass(&self, current: &Arc<Current>, rules: Vec<Arc<Rule>>) {
        self.failures().retain(|entry| !rules.iter().any(|rule| rule.entry.position == *entry));
        let pass = Pass {
            rules: rules.clone(),
            all: current.rules.clone(),
            results: current.results.clone(),
            shared: current.shared.clone(),
            part: self.part,
            parallel: current.parallel,
        };
        pass.run(&mut |line| self.report_line(current, line)).await;
        for rule in rules.into_iter().filter(|_| !current.shared.halt.is_cancelled()) {
            if !self.failures().contains(&rule.entry.position) {
                self.metrics.succeeded(&name(&rule), SystemTime::now());
            }
        }
    }

    fn failures(&self) -> MutexGuard<'_, HashSet<usize>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report_line(&self, current: &Current, line: Line) {
        let rule = current.rules.iter().find(|rule| rule.entry.position == line.entry);
        let entry = rule.map_or_else(|| line.entry.to_string(), |rule| name(rule));
        self.metrics.image(&entry, &line.action.to_string());
        if line.action == Action::Failed {
            self.failures().insert(line.entry);
        }
        self.metrics.bytes(Direction::Pulled, line.pulled);
        self.metrics.bytes(Direction::Pushed, line.bytes.saturating_sub(line.pulled));
        (self.report.lock().unwrap_or_else(PoisonError::into_inner))(line);
    }

    /// Mirrors the image that an event asked for.
    async fn work(&self, work: Work) {
        let current = self.current();
        let Some(rule) = current.rules.iter().find(|rule| rule.entry.position == work.entry) else { return };
        let mut line = match self.mirrored(&current, rule, &work).await {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(error) => Line::new(rule.entry.position, Action::Failed).failed(&error),
        };
        if line.destination.is_none() {
            line.destination = Some(work.key.clone());
        }
        // The success of an entry with a schedule is that of its passes.
        if line.action != Action::Failed && matches!(schedule(&rule.entry), Ok(None)) {
            self.metrics.succeeded(&name(rule), SystemTime::now());
        }
        self.report_line(&current, line);
    }

    /// Mirrors an image. Returns `None` if the entry takes only newer tags.
    async fn mirrored(&self, current: &Current, rule: &Arc<Rule>, wanted: &Wanted) -> Result<Option<Line>> {
        let hosts = &current.shared.hosts;
        let item = routing::item(rule, wanted, hosts).await?;
        if rule.recency.newest.is_some() || rule.recency.min_age.is_some() {
            let taken = item.place.items(hosts, &current.results.of(&item.source)).await?;
            if !taken.iter().any(|other| other.source == item.source) {
                return Ok(None);
            }
        }
        let digest = match &wanted.digest {
            Some(digest) => self.awaited(current, &item, &wanted.key, digest).await?,
            None => None,
        };
        let line = mirror(&item, &current.shared, digest).await;
        // Retried once, as in a pass.
        match line.action {
            Action::Failed => Ok(Some(mirror(&item, &current.shared, digest).await)),
            _ => Ok(Some(line)),
        }
    }

    /// Waits until the tag refers to the pushed manifest. Returns the digest if the tag does not exist in
    /// time. If the tag refers to another manifest that was not mirrored yet, it was moved by a later push,
    /// and is right as it is.
    async fn awaited<'d>(
        &self,
        current: &Current,
        item: &Item,
        key: &str,
        digest: &'d Digest,
    ) -> Result<Option<&'d Digest>> {
        let hosts = &current.shared.hosts;
        let (from, to) = (&item.place.pair.source, &item.place.pair.destination);
        let source = Repository::source(from.clone(), hosts.reach(&item.source)?);
        let destination = Repository::sink(to.clone(), hosts.reach(&item.destination)?);
        let mut mirrored = None;
        let until = Instant::now() + TAG_WAIT;
        let mut pause = TAG_PAUSE;
        loop {
            let tag = match source.head().await {
                Ok(head) => head.map(|head| head.digest),
                Err(error) if error.kind() == Kind::NotFound => None,
                Err(error) => return Err(error),
            };
            if mirrored.is_none() {
                mirrored = Some(origin(&item.place.rule, &destination).await?);
            }
            // If it is not known which manifest was mirrored, the tag may refer to that one.
            let origin = mirrored.as_ref().and_then(Option::as_ref);
            let is_old = tag.is_none() || origin.is_none_or(|origin| tag.as_ref() == Some(origin));
            if !is_old || tag.as_ref() == Some(digest) || self.queue.is_waiting(key) {
                return Ok(None);
            }
            if Instant::now() + pause > until {
                return Ok(tag.is_none().then_some(digest));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Updates the metrics of hosts and of the queue.
    fn figures(&self) {
        let current = self.current();
        self.metrics.queue(self.queue.len());
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (host, governor) in current.shared.hosts.governors().all() {
            let (sent, failed) = governor.counts();
            let before = counts.insert(host.clone(), (sent, failed)).unwrap_or_default();
            let failed = failed.saturating_sub(before.1);
            let answered = sent.saturating_sub(before.0).saturating_sub(failed);
            self.metrics.requests(&host, answered, failed);
            if let Some(rate) = governor.rate() {
                self.metrics.rate_limit(&host, rate.remaining);
            }
        }
    }
}

/// Returns the digest that the source's tag referred to when the destination was written, if that is known.
async fn origin(rule: &Rule, destination: &Repository) -> Result<Option<Digest>> {
    let Some(current) = destination.current().await? else { return Ok(None) };
    Ok(match &rule.task {
        // The result may be a part of what the tag refers to.
        _ if rule.only.is_some() => None,
        Task::Copy(copy) => copy.platforms.is_empty().then(|| current.digest.clone()),
        _ => Annotations::read(&current).map(|record| record.source),
    })
}

/// Returns the name of an entry in metrics.
fn name(rule: &Rule) -> String {
    format!("{} {}", rule.entry.position, rule.entry.source)
}

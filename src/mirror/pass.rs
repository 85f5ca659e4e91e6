//! A pass over entries: repositories are listed in the order of the configuration, and many images are
//! mirrored at once. The result depends neither on order nor on concurrency: if two entries have the same
//! destination, the first one writes it.

use super::image;
use super::listing::{self, Item, Place};
use super::prune::Pruner;
use super::report::{Action, Line};
use super::results::Results;
use super::rule::Rule;
use super::rules::shard::{self, Shard};
use super::run::{Part, Shared};
use crate::error::Error;
use crate::image::Reference;
use futures_util::future::FusedFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// The number of repositories whose tags are listed in advance.
const AHEAD: usize = 8;
/// The number of images that wait to be started.
const WAITING: usize = 64;
/// The number of failed images that are retried at the end.
const SECOND_CHANCES: usize = 10_000;

/// A pass over entries.
pub struct Pass {
    /// The entries to process.
    pub rules: Vec<Arc<Rule>>,
    /// All entries of the configuration: what others write is not pruned.
    pub all: Vec<Arc<Rule>>,
    /// The results of all entries, which are not sources of others.
    pub results: Arc<Results>,
    /// State shared by all images.
    pub shared: Arc<Shared>,
    /// The part of the work that this process does.
    pub part: Part,
    /// The number of images to mirror at once.
    pub parallel: usize,
}

/// A repository of an entry and its destination, or the line that reports why it could not be listed.
type Listing = std::result::Result<(Arc<Rule>, (Reference, Reference)), Box<Line>>;

/// An item found by listing.
enum Found {
    Items(Vec<Item>),
    Failed(Box<Line>),
    /// All images of a place, including those of other parts.
    Prune(Box<Place>, Vec<Item>),
}

impl Pass {
    /// Processes the entries, and calls `report` with the line of each image when it is done.
    pub async fn run(&self, report: &mut (dyn FnMut(Line) + Send)) {
        let (sender, mut lines) = mpsc::channel::<(Line, Option<Item>)>(WAITING);
        let mut tasks = JoinSet::new();
        let turns = Arc::new(Semaphore::new(self.parallel.max(1)));
        let mut again: Vec<(Item, Line)> = Vec::new();
        let mut prunes: Vec<(Place, Vec<Item>)> = Vec::new();
        self.rules.iter().for_each(|rule| self.shared.rechecked.begin(rule.identity));
        // The sender is dropped when listing ends, so that the lines end with the last image.
        let mut begin = self.begin(&mut tasks, &turns, sender).boxed().fuse();
        loop {
            tokio::select! {
                found = &mut begin, if !begin.is_terminated() => prunes = found,
                line = lines.recv() => match line {
                    // An image that was written is not retried, whatever failed afterwards.
                    Some((line, Some(item)))
                        if line.action == Action::Failed && !line.written && again.len() < SECOND_CHANCES =>
                    {
                        tracing::info!("{line}; trying again at the end");
                        again.push((item, line));
                    }
                    Some((line, _)) => report(line),
                    None => break,
                },
            }
        }
        self.once_more(again, report).await;
        self.prune(prunes, report).await;
    }

    /// Lists the images, and starts each of them when it has a turn.
    async fn begin(
        &self,
        tasks: &mut JoinSet<()>,
        turns: &Arc<Semaphore>,
        sender: mpsc::Sender<(Line, Option<Item>)>,
    ) -> Vec<(Place, Vec<Item>)> {
        let mut prunes = Vec::new();
        let mut taken = HashMap::new();
        let mut found = self.found();
        while let Some(found) = found.next().await {
            if self.shared.halt.is_cancelled() {
                break;
            }
            let mut items = match found {
                Found::Items(items) => items,
                Found::Failed(line) => {
                    let _ = sender.send((*line, None)).await;
                    continue;
                }
                Found::Prune(place, items) => {
                    prunes.push((*place, items.clone()));
                    items
                }
            };
            items.retain(|item| self.part.has(&item.destination));
            for item in items {
                if let Some(line) = twice(&mut taken, &item) {
                    let _ = sender.send((line, None)).await;
                    continue;
                }
                let turn = turns.clone().acquire_owned().await;
                if self.shared.halt.is_cancelled() {
                    break;
                }
                let (shared, sender) = (self.shared.clone(), sender.clone());
                tasks.spawn(async move {
                    let _turn = turn;
                    let line = mirror(&item, &shared).await;
                    let _ = sender.send((line, Some(item))).await;
                });
                while tasks.try_join_next().is_some() {}
            }
        }
        prunes
    }

    /// Returns the images of all entries, by repository, in the order of the configuration.
    fn found(&self) -> BoxStream<'_, Found> {
        let repositories = stream::iter(&self.rules).map(|rule| self.repositories(rule).boxed());
        let places = repositories.buffered(AHEAD).flat_map(stream::iter);
        places.map(|place| self.items(place).boxed()).buffered(AHEAD).boxed()
    }

    /// Returns the repositories of an entry that may have images in this part.
    async fn repositories(&self, rule: &Arc<Rule>) -> Vec<Listing> {
        match listing::repositories(rule, &self.shared.hosts).await {
            Ok(names) => {
                let names = names.into_iter().filter(|(_, target)| self.part.may_have(target));
                names.map(|name| Ok((rule.clone(), name))).collect()
            }
            // Only one shard reports an entry that cannot be listed.
            Err(error) if self.part.shard.is_none_or(Shard::is_first) => {
                vec![Err(Box::new(entry_line(rule, &error)))]
            }
            Err(_) => Vec::new(),
        }
    }

    async fn items(&self, listing: Listing) -> Found {
        let (rule, (source, target)) = match listing {
            Ok(place) => place,
            Err(line) => return Found::Failed(line),
        };
        let hosts = &self.shared.hosts;
        let results = self.results.of(&source);
        let listed = async {
            let place = Place::open(rule.clone(), source.clone(), target.clone(), hosts).await?;
            let items = place.items(hosts, &results).await?;
            Ok::<_, Error>((place, items))
        };
        match listed.await {
            Ok((place, items)) => {
                // Which results are kept depends on all of them.
                match rule.entry.prune {
                    Some(_) => Found::Prune(Box::new(place), items),
                    None => Found::Items(items),
                }
            }
            Err(error) => {
                hosts.note(&error, &[&source, &target]);
                let mut line = entry_line(&rule, &error);
                line.source = Some(source.repository_name());
                Found::Failed(Box::new(line))
            }
        }
    }

    /// Retries the failed images, a few at a time, in case they failed from too much load. If the pass is halted,
    /// reports their failures.
    async fn once_more(&self, again: Vec<(Item, Line)>, report: &mut (dyn FnMut(Line) + Send)) {
        let once = |(item, line): (Item, Line)| {
            async move {
                match self.shared.halt.is_cancelled() {
                    true => line,
                    false => mirror(&item, &self.shared).await,
                }
            }
            .boxed()
        };
        let mut retried = stream::iter(again).map(once).buffer_unordered(self.parallel.clamp(1, 8));
        while let Some(line) = retried.next().await {
            report(line);
        }
    }

    async fn prune(&self, prunes: Vec<(Place, Vec<Item>)>, report: &mut (dyn FnMut(Line) + Send)) {
        for (place, items) in prunes {
            if self.shared.halt.is_cancelled() {
                return;
            }
            let pruner = Pruner { place: &place, all: &self.all, shared: &self.shared, part: &self.part };
            for line in pruner.prune(&items).await {
                report(line);
            }
        }
    }
}

/// Mirrors an image. A panic is reported as a failure of the image.
async fn mirror(item: &Item, shared: &Shared) -> Line {
    let line = AssertUnwindSafe(image::mirror(item, shared, None)).catch_unwind().await;
    line.unwrap_or_else(|_| {
        let mut line = Line::new(item.place.rule.entry.position, Action::Failed);
        line.source = Some(item.source.to_string());
        line.destination = Some(item.destination.to_string());
        line.failed(&Error::other("internal error: the program panicked"))
    })
}

/// Returns a line for an image whose destination another image already has; `None` for the first.
/// Destinations are stored as hashes, because a pass may have a million.
fn twice(taken: &mut HashMap<u64, usize>, item: &Item) -> Option<Line> {
    let (entry, destination) = (item.place.rule.entry.position, item.destination.to_string());
    match taken.entry(shard::hash(&destination)) {
        Entry::Vacant(place) => {
            place.insert(entry);
            None
        }
        Entry::Occupied(first) => {
            let mut line = Line::new(entry, Action::Skipped);
            line.source = Some(item.source.to_string());
            line.destination = Some(destination);
            line.reason = Some(format!("entry {} has the same destination", first.get()));
            Some(line)
        }
    }
}

/// Returns the line of an entry that could not be listed.
fn entry_line(rule: &Rule, error: &Error) -> Line {
    let mut line = Line::new(rule.entry.position, Action::Failed).failed(error);
    line.source = Some(rule.entry.source.clone());
    line
}

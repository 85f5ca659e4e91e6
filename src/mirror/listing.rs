//! Finds the images of an entry: its repositories, and the tags that it selects.

use super::config::Kind;
use super::hosts::{Hosts, Pair};
use super::rule::Rule;
use super::rules::newest::{Candidate, Choice, Recency};
use super::rules::select::Verdict;
use super::rules::suffix::OwnResults;
use crate::error::{Context, Kind as ErrorKind, Result};
use crate::image::{Content, Reference};
use crate::registry::Repository;
use crate::transport::Source;
use futures_util::{FutureExt, StreamExt, stream};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::OnceCell;

/// The number of configs read at once to find out when images were created.
const CONFIGS: usize = 16;

/// A repository that an entry reads, and the one that it writes.
#[derive(Clone)]
pub struct Place {
    /// The entry.
    pub rule: Arc<Rule>,
    /// A name in the source repository.
    pub source: Reference,
    /// A name in the destination repository.
    pub target: Reference,
    /// The clients for both.
    pub pair: Pair,
    /// The tags of the source, listed on demand.
    listed: Arc<OnceCell<BTreeSet<String>>>,
}

/// An image to mirror.
#[derive(Clone)]
pub struct Item {
    /// Its repositories.
    pub place: Place,
    /// The source image.
    pub source: Reference,
    /// The destination image.
    pub destination: Reference,
}

/// A tag, and whether it is selected.
pub struct Listed {
    /// The tag.
    pub tag: String,
    /// The reason why it is excluded, if it is.
    pub refused: Option<String>,
}

/// Returns a tag that is not excluded.
fn selected(tag: &str) -> Listed {
    Listed { tag: tag.to_owned(), refused: None }
}

/// Returns the repositories of an entry, sorted.
pub async fn repositories(rule: &Arc<Rule>, hosts: &Hosts) -> Result<Vec<(Reference, Reference)>> {
    let names = match rule.entry.kind {
        Kind::Image => {
            let source: Reference = rule.entry.source.parse()?;
            return Ok(vec![(source.clone(), rule.destination(&source)?)]);
        }
        Kind::Repository => vec![rule.source_repository(None)?],
        Kind::Registry => {
            let any = rule.source_repository(Some("any"))?;
            let catalog = hosts.client(&any).await?.catalog().await?;
            // The source may be a path of a registry.
            let prefix = any.repository().strip_suffix("any").unwrap_or_default().to_owned();
            let below = catalog.iter().filter_map(|name| name.strip_prefix(&prefix));
            let taken = below.filter(|name| rule.repositories.verdict(name).is_selected());
            taken.map(|name| rule.source_repository(Some(name))).collect::<Result<_>>()?
        }
    };
    names.into_iter().map(|source| Ok((source.clone(), rule.target_repository(&source)?))).collect()
}

impl Place {
    /// Opens the clients for a repository and its destination.
    pub async fn open(rule: Arc<Rule>, source: Reference, target: Reference, hosts: &Hosts) -> Result<Self> {
        let pair = hosts.pair(&source, &target).await?;
        Ok(Place { rule, source, target, pair, listed: Arc::default() })
    }

    /// Returns the images that the entry selects in this repository. `results` are the shapes of the tags
    /// that entries write to it.
    pub async fn items(&self, hosts: &Hosts, results: &OwnResults) -> Result<Vec<Item>> {
        if self.rule.entry.kind == Kind::Image {
            // A source without a tag is not listed, and has no age.
            let is_taken = self.tags(hosts, results).await?.iter().all(|listed| listed.refused.is_none());
            let (source, destination) = (self.source.clone(), self.target.clone());
            let item = is_taken.then(|| Item { place: self.clone(), source, destination });
            return Ok(item.into_iter().collect());
        }
        let listed = self.tags(hosts, results).await?;
        let taken = listed.into_iter().filter(|listed| listed.refused.is_none());
        taken
            .map(|listed| {
                let source = self.source.with_tag(&listed.tag)?;
                let destination = self.rule.destination(&source)?;
                Ok(Item { place: self.clone(), source, destination })
            })
            .collect()
    }

    /// Returns all tags of the repository, each with the reason if it is excluded.
    pub async fn tags(&self, hosts: &Hosts, results: &OwnResults) -> Result<Vec<Listed>> {
        if self.rule.entry.kind == Kind::Image {
            return self.choose(hosts, self.source.tag().map(selected).into_iter().collect()).await;
        }
        let tags = self.all_tags(hosts).await?.iter();
        let listed = tags.map(|tag| match self.rule.filter.verdict(tag) {
            _ if results.contains(tag) => {
                Listed { tag: tag.clone(), refused: Some("a result of this mirror".into()) }
            }
            Verdict::Selected { .. } => selected(tag),
            refused => Listed { tag: tag.clone(), refused: Some(refused.to_string()) },
        });
        self.choose(hosts, listed.collect()).await
    }

    /// Chooses the newest tags, and those that are old enough, among the ones that are not excluded yet.
    async fn choose(&self, hosts: &Hosts, mut listed: Vec<Listed>) -> Result<Vec<Listed>> {
        let candidates = listed.iter().filter(|one| one.refused.is_none());
        let candidates: Vec<Candidate<'_>> = candidates
            .map(|one| {
                let names_prerelease = matches!(
                    self.rule.filter.verdict(&one.tag),
                    Verdict::Selected { names_prerelease: true }
                );
                Candidate { tag: &one.tag, names_prerelease }
            })
            .collect();
        let created = self.created(hosts, &candidates).await?;
        let created = |tag: &str| created.get(tag).copied();
        // One image is always the newest.
        let recency = match self.rule.entry.kind {
            Kind::Image => Recency { newest: None, ..self.rule.recency },
            _ => self.rule.recency,
        };
        let choices = recency.choose(&candidates, created, SystemTime::now());
        let left_out = choices.into_iter().filter(|(_, choice)| *choice != Choice::Taken);
        let left_out: HashMap<String, String> =
            left_out.map(|(tag, choice)| (tag.to_owned(), choice.to_string())).collect();
        for listed in listed.iter_mut().filter(|listed| listed.refused.is_none()) {
            listed.refused = left_out.get(&listed.tag).cloned();
        }
        Ok(listed)
    }

    /// Returns the tags of the repository, which are listed once.
    pub async fn all_tags(&self, hosts: &Hosts) -> Result<&BTreeSet<String>> {
        let list = async || self.pair.source.tags(hosts.reach(&self.source)?.repository()).await;
        self.listed.get_or_try_init(list).await
    }

    /// Returns when the images of tags were created, for those tags where it matters.
    async fn created(
        &self,
        hosts: &Hosts,
        candidates: &[Candidate<'_>],
    ) -> Result<HashMap<String, SystemTime>> {
        let asked = candidates.iter().filter(|candidate| self.rule.recency.needs_created(candidate));
        let asked: Vec<String> = asked.map(|candidate| candidate.tag.to_owned()).collect();
        let times = stream::iter(asked).map(|tag| self.created_of(hosts, tag).boxed()).buffered(CONFIGS);
        let times: Vec<Result<Option<(String, SystemTime)>>> = times.collect().await;
        times.into_iter().filter_map(Result::transpose).collect()
    }

    async fn created_of(&self, hosts: &Hosts, tag: String) -> Result<Option<(String, SystemTime)>> {
        let name = hosts.reach(&self.source.with_tag(&tag)?)?;
        match created(self.pair.source.clone(), name.clone()).await {
            Ok(time) => Ok(time.map(|time| (tag, time))),
            // Something that is not an image has no creation time.
            Err(e) if e.kind() == ErrorKind::Unsupported => Ok(None),
            // A tag that was listed may be gone; the one that an entry names has to exist.
            Err(e) if e.kind() == ErrorKind::NotFound && self.rule.entry.kind != Kind::Image => Ok(None),
            Err(e) => Err(e.context(format!("reading when {name} was created"))),
        }
    }
}

/// Returns when an image was created, according to its config; for an index, that of its first image.
async fn created(client: Arc<crate::registry::Client>, name: Reference) -> Result<Option<SystemTime>> {
    let repository = Repository::source(client, name);
    let mut manifest = repository.manifest().await?;
    if let Content::Index { children } = &manifest.content {
        let Some(first) = children.iter().find(|child| child.is_image() && !child.is_attestation()) else {
            return Ok(None);
        };
        manifest = repository.child(first).await?;
    }
    let Content::Image { config, .. } = &manifest.content else { return Ok(None) };
    let reader = crate::read::Reader::new(Arc::new(repository));
    let bytes = reader.config(config).await?;
    #[derive(serde::Deserialize)]
    struct Created {
        created: Option<jiff::Timestamp>,
    }
    let config: Created = serde_json::from_slice(&bytes)
        .map_err(|e| crate::error::Error::unsupported(format!("invalid config: {e}")))
        .context(|| "the time of its creation")?;
    Ok(config.created.map(SystemTime::from))
}

//! Finds the images of an entry: its repositories, and the tags that it selects.

use super::config::Kind;
use super::hosts::{Hosts, Pair};
use super::rule::Rule;
use super::rules::newest::{Candidate, Choice};
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
            let (source, destination) = (self.source.clone(), self.target.clone());
            return Ok(vec![Item { place: self.clone(), source, destination }]);
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
        let tags = self.all_tags(hosts).await?;
        let mut candidates = Vec::new();
        let mut listed = Vec::new();
        for tag in tags {
            let refused = match self.rule.filter.verdict(tag) {
                _ if results.contains(tag) => Some("a result of this mirror".to_owned()),
                Verdict::Selected { names_prerelease } => {
                    candidates.push(Candidate { tag, names_prerelease });
                    None
                }
                refused => Some(refused.to_string()),
            };
            listed.push(Listed { tag: tag.clone(), refused });
        }
        let created = self.created(hosts, &candidates).await?;
        let created = |tag: &str| created.get(tag).copied();
        let choices = self.rule.recency.choose(&candidates, created, SystemTime::now());
        let left_out: HashMap<&str, Choice> =
            choices.into_iter().filter(|(_, choice)| *choice != Choice::Taken).collect();
        for listed in listed.iter_mut().filter(|listed| listed.refused.is_none()) {
            listed.refused = left_out.get(listed.tag.as_str()).map(ToString::to_string);
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
            // A missing image has no creation time, nor has something that is not an image.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => Ok(None),
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

//! Deletes results that no entry selects any longer: by digest, and only if their record shows that reapify
//! made them.

use super::config::Prune;
use super::listing::{Item, Place};
use super::report::{Action, Line};
use super::rule::Rule;
use super::rules::newest::{By, Candidate, Choice, Newest, Recency};
use super::run::{Effort, Part, Shared};
use crate::engine::recorded_list;
use crate::error::{Kind, Result};
use crate::image::{Content, Digest, Manifest, MediaType, Reference};
use crate::read::Reader;
use crate::registry::Repository;
use crate::rewrite::Image;
use crate::rewrite::record::Annotations;
use crate::transport::{Sink, Source};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

/// Prunes the results of one place.
pub struct Pruner<'a> {
    /// The place.
    pub place: &'a Place,
    /// All entries: each prunes its own results only.
    pub all: &'a [Arc<Rule>],
    /// State shared by the run.
    pub shared: &'a Shared,
    /// The part of the work that this process does.
    pub part: &'a Part,
}

impl Pruner<'_> {
    /// Deletes the results that are not among `items`, except the newest ones that the entry keeps.
    pub async fn prune(&self, items: &[Item]) -> Vec<Line> {
        let Some(choice) = self.place.rule.entry.prune else { return Vec::new() };
        match self.lines(choice, items).await {
            Ok(lines) => lines,
            Err(error) => {
                let entry = self.place.rule.entry.position;
                let mut line = Line::new(entry, Action::Failed).failed(&error.context("pruning"));
                line.destination = Some(self.place.target.repository_name());
                vec![line]
            }
        }
    }

    async fn lines(&self, choice: Prune, items: &[Item]) -> Result<Vec<Line>> {
        let (place, target) = (self.place, &self.place.target);
        // If the source lists nothing, its list is probably wrong.
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let reached = self.shared.hosts.reach(target)?;
        let present = match place.pair.destination.tags(reached.repository()).await {
            Ok(tags) => tags,
            Err(e) if e.kind() == Kind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let wanted: BTreeSet<String> = items.iter().map(|item| item.destination.target()).collect();
        let others = self.all.iter().filter(|rule| !Arc::ptr_eq(rule, &place.rule));
        let others: Vec<&Arc<Rule>> = others.collect();
        let is_stale = |tag: &&str| {
            let is_backup = self.all.iter().any(|rule| rule.may_keep(target, tag));
            !wanted.contains(*tag) && !is_backup && !others.iter().any(|rule| rule.may_write(target, tag))
        };
        let stale: Vec<&str> = present.iter().map(String::as_str).filter(is_stale).collect();
        let mut old = Vec::new();
        for tag in older(&stale, choice.keep) {
            let name = target.with_tag(tag)?;
            if self.part.has(&name)
                && let Some(digest) = self.ours(&name).await?
            {
                old.push((name, digest));
            }
        }
        if old.is_empty() {
            return Ok(Vec::new());
        }
        let kept = self.kept(&present, &old).await?;
        let mut lines = Vec::new();
        for (name, digest) in old {
            lines.push(self.delete(&name, &digest, &kept).await?);
        }
        Ok(lines)
    }

    fn repository(&self, name: &Reference) -> Result<Repository> {
        Ok(Repository::sink(self.place.pair.destination.clone(), self.shared.hosts.reach(name)?))
    }

    /// Returns the digests to keep: deleting a digest would delete every tag that refers to it, and every index would
    /// lose it as a child.
    async fn kept(&self, present: &BTreeSet<String>, old: &[(Reference, Digest)]) -> Result<HashSet<Digest>> {
        let mut kept = HashSet::new();
        for tag in present {
            let name = self.place.target.with_tag(tag)?;
            if !old.iter().any(|(pruned, _)| *pruned == name) {
                keep(&self.repository(&name)?, &mut kept).await?;
            }
        }
        Ok(kept)
    }

    async fn delete(&self, name: &Reference, digest: &Digest, kept: &HashSet<Digest>) -> Result<Line> {
        let mut line = Line::new(self.place.rule.entry.position, Action::Pruned);
        line.destination = Some(name.to_string());
        line.digest = Some(digest.clone());
        if kept.contains(digest) {
            line.action = Action::Skipped;
            line.reason = Some("another tag or an index refers to the same digest".into());
        } else if self.shared.effort == Effort::Check {
            line.pending = true;
            line.reason = Some("no longer selected".into());
        } else {
            match self.repository(name)?.delete(digest).await {
                Ok(()) => line.written = true,
                Err(error) => line = line.failed(&error),
            }
        }
        Ok(line)
    }

    /// Returns the digest of a result, if its record shows that this program made it.
    async fn ours(&self, name: &Reference) -> Result<Option<Digest>> {
        let repository = Arc::new(self.repository(name)?);
        let Some(manifest) = repository.current().await? else { return Ok(None) };
        let is_ours = Annotations::read(&manifest).is_some_and(|record| record.describe(&manifest))
            || has_record(repository, &manifest).await;
        Ok(is_ours.then(|| manifest.digest.clone()))
    }
}

/// Returns the tags that are not among the `keep` newest. Tags that are not versions count as older than all
/// versions.
fn older<'t>(tags: &[&'t str], keep: usize) -> Vec<&'t str> {
    let candidates: Vec<Candidate<'t>> =
        tags.iter().map(|tag| Candidate { tag, names_prerelease: true }).collect();
    let newest = Recency { newest: Some(Newest { count: keep, by: By::Semver }), min_age: None };
    let choices = newest.choose(&candidates, |_| None, SystemTime::UNIX_EPOCH);
    let is_version = |tag: &str| super::rules::semver::Version::parse(tag).is_some();
    choices
        .into_iter()
        .filter(|(tag, choice)| *choice != Choice::Taken || !is_version(tag))
        .map(|(tag, _)| tag)
        .collect()
}

/// Adds the digest that a tag refers to, and the digests of everything below it.
async fn keep(repository: &Repository, kept: &mut HashSet<Digest>) -> Result<()> {
    let Some(head) = found(repository.head().await)?.flatten() else {
        kept.extend(repository.tag_digest().await?);
        return Ok(());
    };
    kept.insert(head.digest);
    let is_index = head.media_type.is_none_or(|media_type| MediaType::from(media_type.as_str()).is_index());
    let mut indexes: Vec<Manifest> = Vec::new();
    if is_index {
        indexes.extend(found(repository.manifest().await)?);
    }
    while let Some(index) = indexes.pop() {
        for child in index.children() {
            if kept.insert(child.digest.clone()) && child.is_index() {
                indexes.extend(found(repository.child(child).await)?);
            }
        }
    }
    Ok(())
}

/// Returns `None` if something does not exist.
fn found<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether the config of an image, or of the first image of a Docker list, has a valid record of it. Docker's
/// media types have no annotations. Labels alone prove nothing: images that are built from a result inherit them.
async fn has_record(repository: Arc<Repository>, manifest: &Manifest) -> bool {
    let reader = Reader::new(repository);
    match &manifest.content {
        Content::Index { .. } => recorded_list(&reader, manifest).await.is_some(),
        Content::Image { config, .. } => {
            let Ok(config) = reader.config(config).await else { return false };
            Image::new(manifest.clone(), config, true).is_ok_and(|image| image.original().is_some())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_versions_stay() {
        let tags = ["1.0", "1.2", "latest", "1.10", "2.0-rc1"];
        assert_eq!(older(&tags, 0), tags);
        assert_eq!(older(&tags, 2), ["1.0", "1.2", "latest"]);
        assert_eq!(older(&tags, 9), ["latest"]);
    }
}

//! Deletes results that no entry selects any longer: by digest, and only if their record shows that reapify
//! made them.

use super::config::Prune;
use super::listing::{Item, Place};
use super::report::{Action, Line};
use super::rule::Rule;
use super::rules::newest::{By, Candidate, Choice, Newest, Recency};
use super::run::{Effort, Part, Shared};
use crate::error::{Kind, Result};
use crate::image::{Digest, Manifest, Reference};
use crate::registry::Repository;
use crate::rewrite::record::{Annotations, has_record_key};
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
        let is_stale =
            |tag: &&str| !wanted.contains(*tag) && !others.iter().any(|rule| rule.may_write(target, tag));
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

    /// Returns the digests to keep: deleting a digest would delete every tag that refers to it.
    async fn kept(&self, present: &BTreeSet<String>, old: &[(Reference, Digest)]) -> Result<HashSet<Digest>> {
        let mut kept = HashSet::new();
        for tag in present {
            let name = self.place.target.with_tag(tag)?;
            if !old.iter().any(|(pruned, _)| *pruned == name) {
                kept.extend(self.repository(&name)?.tag_digest().await?);
            }
        }
        Ok(kept)
    }

    async fn delete(&self, name: &Reference, digest: &Digest, kept: &HashSet<Digest>) -> Result<Line> {
        let mut line = Line::new(self.place.rule.entry.position, Action::Pruned);
        line.destination = Some(name.to_string());
        line.digest = Some(digest.clone());
        line.written = true;
        if kept.contains(digest) {
            line.action = Action::Skipped;
            line.written = false;
            line.reason = Some("another tag has the same digest".into());
        } else if self.shared.effort == Effort::Check {
            line.reason = Some("no longer selected; nothing was deleted".into());
        } else if let Err(error) = self.repository(name)?.delete(digest).await {
            line = line.failed(&error);
        }
        Ok(line)
    }

    /// Returns the digest of a result, if its record shows that this program made it.
    async fn ours(&self, name: &Reference) -> Result<Option<Digest>> {
        let repository = Arc::new(self.repository(name)?);
        let Some(manifest) = repository.current().await? else { return Ok(None) };
        let is_ours = Annotations::read(&manifest).is_some_and(|record| record.describe(&manifest))
            || has_record(repository, &manifest).await?;
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

/// Returns whether an image, or an image of an index, has a record in its config. Docker's media types have
/// no annotations.
async fn has_record(repository: Arc<Repository>, manifest: &Manifest) -> Result<bool> {
    let reader = crate::read::Reader::new(repository.clone());
    let children: Vec<_> = manifest.children().iter().filter(|child| child.is_image()).take(1).collect();
    let image = match children.first() {
        Some(child) => repository.child(child).await?,
        None => manifest.clone(),
    };
    let crate::image::Content::Image { config, .. } = &image.content else { return Ok(false) };
    let bytes = reader.config(config).await?;
    let Ok(config) = crate::image::ImageConfig::parse(bytes) else { return Ok(false) };
    Ok(has_record_key(&config.labels))
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

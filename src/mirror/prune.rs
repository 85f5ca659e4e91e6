//! Results that no entry asks for any longer are deleted: by digest, and only what its record shows to be ours.

use super::config::Prune;
use super::image::Effort;
use super::listing::{Item, Place};
use super::pass::Part;
use super::report::{Action, Line};
use super::rules::newest::{By, Candidate, Choice, Newest, Recency};
use super::run::Shared;
use crate::error::Result;
use crate::image::{Digest, Manifest, Reference};
use crate::registry::Repository;
use crate::rewrite::record::{Annotations, any_trace};
use crate::transport::{Sink, Source};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

/// Deletes the results of a place that are not among `items`, but for the newest that the entry keeps.
pub async fn prune(place: &Place, items: &[Item], shared: &Shared, part: &Part) -> Vec<Line> {
    let Some(choice) = place.rule.entry.prune else { return Vec::new() };
    let entry = place.rule.entry.position;
    match lines(place, choice, items, shared, part).await {
        Ok(lines) => lines,
        Err(error) => {
            let mut line = Line::new(entry, Action::Failed).failed(&error.context("pruning"));
            line.destination = Some(place.target.repository_name());
            vec![line]
        }
    }
}

async fn lines(
    place: &Place,
    choice: Prune,
    items: &[Item],
    shared: &Shared,
    part: &Part,
) -> Result<Vec<Line>> {
    let reached = shared.hosts.reach(&place.target)?;
    let present = match place.pair.destination.tags(reached.repository()).await {
        Ok(tags) => tags,
        Err(e) if e.kind() == crate::error::Kind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let wanted: BTreeSet<String> = items.iter().map(|item| item.destination.target()).collect();
    let stale: Vec<&str> = present.iter().map(String::as_str).filter(|tag| !wanted.contains(*tag)).collect();
    let stale = older(&stale, choice.keep);
    let mut old = Vec::new();
    for tag in stale {
        let name = place.target.with_tag(tag)?;
        if !part.has(&name) {
            continue;
        }
        if let Some(digest) = ours(place, shared, &name).await? {
            old.push((name, digest));
        }
    }
    if old.is_empty() {
        return Ok(Vec::new());
    }
    // A deletion by digest takes every tag with it that points there.
    let pruned: HashSet<String> = old.iter().map(|(name, _)| name.target()).collect();
    let mut kept = HashSet::new();
    for tag in present.iter().filter(|tag| !pruned.contains(*tag)) {
        let name = shared.hosts.reach(&place.target.with_tag(tag)?)?;
        let repository = Repository::sink(place.pair.destination.clone(), name);
        kept.extend(repository.tag_digest().await?.map(|digest| digest.to_string()));
    }
    let mut lines = Vec::new();
    for (name, digest) in old {
        let mut line = Line::new(place.rule.entry.position, Action::Pruned);
        line.destination = Some(name.to_string());
        line.digest = Some(digest.clone());
        line.written = true;
        if kept.contains(&digest.to_string()) {
            line.action = Action::Skipped;
            line.written = false;
            line.reason = Some("another tag has the same digest".into());
        } else if shared.effort == Effort::Check {
            line.reason = Some("no longer selected; nothing was deleted".into());
        } else {
            let reached = shared.hosts.reach(&name)?;
            let repository = Repository::sink(place.pair.destination.clone(), reached);
            if let Err(error) = repository.delete(&digest).await {
                line = line.failed(&error);
            }
        }
        lines.push(line);
    }
    Ok(lines)
}

/// The tags that are not among the `keep` newest; those that are no versions are older than all versions.
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

/// The digest of a result, if its record shows that this program made it.
async fn ours(place: &Place, shared: &Shared, name: &Reference) -> Result<Option<Digest>> {
    let repository = Arc::new(Repository::sink(place.pair.destination.clone(), shared.hosts.reach(name)?));
    let Some(manifest) = repository.current().await? else { return Ok(None) };
    let is_ours = Annotations::read(&manifest).is_some_and(|record| record.describe(&manifest))
        || has_record(repository, &manifest).await?;
    Ok(is_ours.then(|| manifest.digest.clone()))
}

/// Whether the config of an image, or of an image of an index, has a record: Docker's types have no annotations.
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
    Ok(any_trace(&config.labels))
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

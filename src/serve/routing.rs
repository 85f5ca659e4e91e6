//! Decides which images a push affects, according to the entries of the configuration.

use super::events::Push;
use super::intake::{Route, Wanted};
use crate::image::Reference;
use crate::mirror::config::Kind;
use crate::mirror::{Hosts, Item, Part, Place, Results, Rule};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Decides about pushes.
pub struct Routing<'a> {
    /// The entries.
    pub rules: &'a [Arc<Rule>],
    /// The results of all entries.
    pub results: &'a Results,
    /// The registries.
    pub hosts: &'a Hosts,
    /// Names that registries use for themselves, with their names in the configuration.
    pub names: &'a BTreeMap<String, String>,
    /// The part of the work that this process does.
    pub part: &'a Part,
}

impl Routing<'_> {
    /// Returns the images that a push affects.
    pub fn route(&self, push: &Push) -> Route {
        let mut reason = "no entry reads this repository".to_owned();
        let mut wanted = Vec::new();
        for rule in self.rules {
            match self.wanted(rule, push) {
                Ok(Some(one)) => wanted.push(one),
                Ok(None) => {}
                Err(why) => reason = why,
            }
        }
        match wanted.is_empty() {
            true => Route::Ignored(reason.into()),
            false => Route::Wanted(wanted),
        }
    }

    /// Returns the image of an entry that a push affects; `None` if the entry reads another repository.
    fn wanted(&self, rule: &Arc<Rule>, push: &Push) -> Result<Option<Wanted>, String> {
        let Some(source) = self.source(rule, push) else { return Ok(None) };
        let source = source.with_tag(&push.tag).map_err(|e| e.to_string())?;
        if rule.entry.kind == Kind::Image {
            let own: Reference = rule.entry.source.parse().map_err(|_| "invalid source".to_owned())?;
            if own.tag() != source.tag() || own.digest().is_some() {
                return Err("the entry reads another tag".into());
            }
        } else if !rule.filter.verdict(&push.tag).is_selected() {
            return Err(format!("the tag is not selected: {}", rule.filter.verdict(&push.tag)));
        }
        if self.results.of(&source).contains(&push.tag) {
            return Err("the tag is a result of this mirror".into());
        }
        let destination = rule.destination(&source).map_err(|e| e.to_string())?;
        if !self.part.has(&destination) {
            return Err("another shard processes it".into());
        }
        Ok(Some(Wanted {
            key: destination.to_string(),
            entry: rule.entry.position,
            source: source.repository_name(),
            tag: push.tag.clone(),
            digest: push.digest.clone(),
        }))
    }

    /// Returns the repository of an entry that was pushed to, with its name in the configuration.
    fn source(&self, rule: &Rule, push: &Push) -> Option<Reference> {
        let candidate = match rule.entry.kind {
            Kind::Registry => {
                let any = rule.source_repository(Some("any")).ok()?;
                let prefix = any.repository().strip_suffix("any").unwrap_or_default().to_owned();
                let reached = self.hosts.reach(&any).ok()?;
                let reached = reached.repository().strip_suffix("any").unwrap_or_default().to_owned();
                let below = push
                    .repository
                    .strip_prefix(&reached)
                    .or_else(|| push.repository.strip_prefix(&prefix))
                    .filter(|below| rule.repositories.verdict(below).is_selected())?;
                rule.source_repository(Some(below)).ok()?
            }
            Kind::Repository => rule.source_repository(None).ok()?,
            Kind::Image => rule.entry.source.parse().ok()?,
        };
        self.is_pushed(&candidate, push).then_some(candidate)
    }

    /// Returns whether a push was to this repository, under its own name or the name to which requests are
    /// sent.
    fn is_pushed(&self, source: &Reference, push: &Push) -> bool {
        let Some(host) = &push.host else { return false };
        let bare = host.strip_suffix(":443").unwrap_or(host);
        let known = self.names.get(host).or_else(|| self.names.get(bare));
        let host = known.map_or(bare, String::as_str);
        let is_one = |name: &Reference| name.host() == host && name.repository() == push.repository;
        is_one(source) || self.hosts.reach(source).is_ok_and(|reached| is_one(&reached))
    }
}

/// Returns the wanted image, with clients for it.
pub async fn item(rule: &Arc<Rule>, wanted: &Wanted, hosts: &Hosts) -> crate::error::Result<Item> {
    let source: Reference = format!("{}:{}", wanted.source, wanted.tag).parse()?;
    let destination = rule.destination(&source)?;
    let place = Place::open(rule.clone(), source.clone(), destination.clone(), hosts).await?;
    Ok(Item { place, source, destination })
}

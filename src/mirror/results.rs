//! The tags of a repository that entries write, and that are therefore not sources.

use super::config::Kind;
use super::rule::Rule;
use super::rules::suffix::{Naming, OwnResults};
use crate::image::Reference;
use std::collections::HashMap;
use std::sync::Arc;

/// The shapes of the tags that entries write, by repository.
pub struct Results {
    /// The shapes of entries that write one repository.
    fixed: HashMap<String, Vec<Naming>>,
    /// The entries that write several repositories.
    registries: Vec<Arc<Rule>>,
    /// The entries that keep replaced images.
    keepers: Vec<Arc<Rule>>,
}

impl Results {
    /// Collects the shapes of all entries.
    pub fn new(all: &[Arc<Rule>]) -> Self {
        let mut results = Results { fixed: HashMap::new(), registries: Vec::new(), keepers: Vec::new() };
        for rule in all {
            if rule.entry.backup.is_some() {
                results.keepers.push(rule.clone());
            }
            match rule.entry.kind {
                Kind::Registry => results.registries.push(rule.clone()),
                Kind::Repository | Kind::Image => {
                    if let Ok(target) = rule.entry.target.parse::<Reference>() {
                        let shapes = results.fixed.entry(target.repository_name()).or_default();
                        if !shapes.contains(&rule.naming) {
                            shapes.push(rule.naming.clone());
                        }
                    }
                }
            }
        }
        results
    }

    /// Returns the results in a source's repository, and the replaced images that are kept there.
    pub fn of(&self, source: &Reference) -> OwnResults {
        let here = source.repository_name();
        let fixed = self.fixed.get(&here).into_iter().flatten();
        let writes_here = |rule: &&Arc<Rule>| {
            rule.target_repository(source).is_ok_and(|target| target.repository_name() == here)
        };
        let many = self.registries.iter().filter(writes_here).map(|rule| &rule.naming);
        let kept = self.keepers.iter().filter_map(|rule| rule.backups(source));
        OwnResults::new(fixed.chain(many).cloned().chain(kept))
    }
}

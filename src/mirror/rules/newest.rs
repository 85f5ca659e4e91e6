//! The newest of the tags that the filters select in a repository, and the minimum age of images.
//!
//! `newest: N` counts versions only, after the filters: other tags stay. A prerelease counts if a filter names it (see
//! [`Pattern::names_prerelease`](super::pattern::Pattern::names_prerelease) and
//! [`Range::names_prerelease`](super::range::Range::names_prerelease)) and is left out otherwise. `minAge` comes first, so
//! that the newest are counted among those that are old enough.

use super::semver::Version;
use crate::mirror::duration;
use std::fmt;
use std::time::{Duration, SystemTime};

/// The number of newest tags to take, and how to compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// The number of tags; with 0, only tags that are not versions are left.
    pub count: usize,
    /// The criterion by which tags are compared.
    pub by: By,
}

/// The criterion by which tags are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// The higher version is newer.
    #[default]
    Semver,
    /// The later creation time in the image's config is newer. An image without one is older than all others.
    Created,
}

/// A tag that the filters select.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'t> {
    /// The tag.
    pub tag: &'t str,
    /// Whether a filter explicitly selects prereleases like this one.
    pub names_prerelease: bool,
}

/// The decision on a tag that the filters select.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The tag is taken.
    Taken,
    /// The image is younger than `minAge`.
    TooYoung(Duration),
    /// The age of the image is unknown, and there is a `minAge`.
    AgeUnknown,
    /// The tag is a prerelease that no filter names.
    Prerelease,
    /// The tag is not among the newest.
    TooOld(Newest),
}

/// The rules that depend on the age of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recency {
    /// The newest tags to take; `None` for all.
    pub newest: Option<Newest>,
    /// The minimum age of an image.
    pub min_age: Option<Duration>,
}

impl Recency {
    /// Returns whether the decision on a tag depends on the creation time of its image, which costs two
    /// requests to look up.
    pub fn needs_created(&self, candidate: &Candidate<'_>) -> bool {
        let is_ranked = self.newest.is_some_and(|newest| newest.by == By::Created)
            && matches!(kind(candidate), Kind::Counted(_));
        self.min_age.is_some() || is_ranked
    }

    /// Decides on every candidate, in their order. `created` returns the creation time of a tag's image, if
    /// known. The result does not depend on the order of candidates nor, apart from `min_age`, on the time.
    pub fn choose<'t>(
        &self,
        candidates: &[Candidate<'t>],
        created: impl Fn(&str) -> Option<SystemTime>,
        now: SystemTime,
    ) -> Vec<(&'t str, Choice)> {
        let age =
            |tag| self.min_age.map_or(Choice::Taken, |min_age| is_old_enough(created(tag), min_age, now));
        let mut choices: Vec<_> = candidates.iter().map(|c| (c.tag, age(c.tag))).collect();
        let Some(newest) = self.newest else {
            return choices;
        };
        let mut ranked = Vec::new();
        for (candidate, (tag, choice)) in candidates.iter().zip(&mut choices) {
            match kind(candidate) {
                _ if *choice != Choice::Taken => {}
                Kind::Counted(version) => {
                    let time = (newest.by == By::Created).then(|| created(tag)).flatten();
                    ranked.push(((time, version, *tag), choice));
                }
                Kind::Unnamed => *choice = Choice::Prerelease,
                Kind::Other => {}
            }
        }
        ranked.sort_by(|(a, _), (b, _)| b.cmp(a));
        for (_, choice) in ranked.into_iter().skip(newest.count) {
            *choice = Choice::TooOld(newest);
        }
        choices
    }
}

enum Kind {
    /// Counts among the newest.
    Counted(Version),
    /// A prerelease that no filter names.
    Unnamed,
    /// Not a version.
    Other,
}

fn kind(candidate: &Candidate<'_>) -> Kind {
    match Version::parse(candidate.tag) {
        Some(version) if version.is_prerelease() && !candidate.names_prerelease => Kind::Unnamed,
        Some(version) => Kind::Counted(version),
        None => Kind::Other,
    }
}

/// Decides on the age of an image. A creation time in the future counts as too young.
fn is_old_enough(created: Option<SystemTime>, min_age: Duration, now: SystemTime) -> Choice {
    match created.map(|created| now.duration_since(created)) {
        None => Choice::AgeUnknown,
        Some(Ok(age)) if age >= min_age => Choice::Taken,
        Some(_) => Choice::TooYoung(min_age),
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Taken => f.write_str("selected"),
            Choice::TooYoung(min_age) => write!(f, "younger than minAge {}", duration::format(*min_age)),
            Choice::AgeUnknown => f.write_str("its config has no creation time, so minAge excludes it"),
            Choice::Prerelease => f.write_str("a prerelease that no filter names"),
            Choice::TooOld(Newest { count, by: By::Semver }) => {
                write!(f, "not among the newest {count} by semver")
            }
            Choice::TooOld(Newest { count, by: By::Created }) => {
                write!(f, "not among the newest {count} by created")
            }
        }
    }
}

#[cfg(test)]
#[path = "newest_tests.rs"]
mod tests;

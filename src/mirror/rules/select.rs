//! Decides which tags and repositories an entry selects.
//!
//! A tag passes a tag set if it is in one of its semver ranges, matches one of its allow patterns and matches
//! none of its deny patterns; an empty list restricts nothing. A tag is selected if it passes any set, or if
//! there are no sets. Digest tags such as `sha256-….sig` are treated like any other tag, as in regsync.

use super::pattern::Pattern;
use super::range::Range;
use super::semver::Version;
use std::fmt;

/// The rules of a tag set as written in the configuration. `None` is a null, which matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagSet {
    /// Patterns of which a tag must match one.
    pub allow: Vec<Option<String>>,
    /// Patterns of which a tag must match none.
    pub deny: Vec<Option<String>>,
    /// Semver ranges of which one must contain the tag.
    pub semver_range: Vec<Option<String>>,
}

/// The list of the configuration that contains a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// `allow`.
    Allow,
    /// `deny`.
    Deny,
    /// `semverRange`.
    SemverRange,
}

/// The place of a rule in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The position of the tag set, from 0; 0 for repositories.
    pub set: usize,
    /// The list.
    pub list: List,
    /// The position in the list, from 0.
    pub item: usize,
}

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The place of the rule.
    pub place: Place,
    /// The complete message.
    pub message: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RuleError {}

/// A rule that has another meaning in regsync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The place of the rule.
    pub place: Place,
    /// The complete message.
    pub message: String,
}

/// The compiled rules of an entry for tags.
#[derive(Debug, Clone)]
pub struct Filter {
    sets: Vec<Set>,
}

#[derive(Debug, Clone)]
struct Set {
    ranges: Vec<(String, Option<Range>)>,
    patterns: Patterns,
}

impl Filter {
    /// Compiles tag sets. Returns the filter with warnings, or the first rule that is invalid.
    pub fn new(sets: &[TagSet]) -> Result<(Self, Vec<Warning>), RuleError> {
        let mut warnings = Vec::new();
        let compile = |(position, set): (usize, &TagSet)| {
            Ok(Set {
                ranges: compile_ranges(position, &set.semver_range, &mut warnings)?,
                patterns: Patterns::new(position, &set.allow, &set.deny, &mut warnings)?,
            })
        };
        let sets = sets.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        Ok((Filter { sets }, warnings))
    }

    /// Decides on a tag.
    pub fn verdict(&self, tag: &str) -> Verdict<'_> {
        if !is_tag(tag) {
            return Verdict::Malformed;
        }
        let version = Version::parse(tag);
        let is_prerelease = version.as_ref().is_some_and(Version::is_prerelease);
        let mut refusals = Vec::new();
        let mut is_selected = self.sets.is_empty();
        for (position, set) in self.sets.iter().enumerate() {
            match set.refusal(tag, version.as_ref()) {
                Some(reason) => refusals.push(Refusal { set: self.number(position), reason }),
                // Another set may name the prerelease.
                None if !is_prerelease => return Verdict::Selected { names_prerelease: false },
                None if set.names_prerelease(tag, version.as_ref()) => {
                    return Verdict::Selected { names_prerelease: true };
                }
                None => is_selected = true,
            }
        }
        match is_selected {
            true => Verdict::Selected { names_prerelease: false },
            false => Verdict::Refused(refusals),
        }
    }

    /// Returns the number of a set for messages, unless there is only one.
    fn number(&self, position: usize) -> Option<usize> {
        (self.sets.len() > 1).then_some(position + 1)
    }
}

impl Set {
    fn refusal(&self, tag: &str, version: Option<&Version>) -> Option<Reason<'_>> {
        if self.ranges.is_empty() || self.containing(version).next().is_some() {
            self.patterns.refusal(tag)
        } else if version.is_none() {
            Some(Reason::NotAVersion)
        } else {
            Some(Reason::OutOfRange(self.ranges.iter().map(|(text, _)| text.as_str()).collect()))
        }
    }

    /// Returns the ranges that contain a version.
    fn containing<'s>(&'s self, version: Option<&'s Version>) -> impl Iterator<Item = &'s Range> {
        let ranges = self.ranges.iter().filter_map(|(_, range)| range.as_ref());
        ranges.filter(move |range| version.is_some_and(|version| range.contains(version)))
    }

    /// Returns whether a range or a pattern that selects the tag is meant for prereleases.
    fn names_prerelease(&self, tag: &str, version: Option<&Version>) -> bool {
        self.containing(version).any(Range::names_prerelease)
            || self.patterns.allow.iter().any(|pattern| pattern.names_prerelease(tag))
    }
}

/// The compiled rules of an entry for repositories.
#[derive(Debug, Clone)]
pub struct RepoFilter {
    patterns: Patterns,
}

impl RepoFilter {
    /// Compiles allow and deny patterns. Returns the filter with warnings, or the first pattern that is invalid.
    pub fn new(allow: &[Option<String>], deny: &[Option<String>]) -> Result<(Self, Vec<Warning>), RuleError> {
        let mut warnings = Vec::new();
        let patterns = Patterns::new(0, allow, deny, &mut warnings)?;
        Ok((RepoFilter { patterns }, warnings))
    }

    /// Decides on a repository, whose name is without its registry.
    pub fn verdict(&self, repository: &str) -> Verdict<'_> {
        let is_name = !repository.is_empty() && repository.bytes().all(|b| b.is_ascii_graphic());
        match self.patterns.refusal(repository) {
            _ if !is_name => Verdict::Malformed,
            Some(reason) => Verdict::Refused(vec![Refusal { set: None, reason }]),
            None => Verdict::Selected { names_prerelease: false },
        }
    }
}

/// The decision of a filter on a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<'f> {
    /// The name is selected.
    Selected {
        /// Whether a rule is meant for prereleases like this one, so that [`Newest`](super::newest::Newest) counts it.
        names_prerelease: bool,
    },
    /// The name passes no set; each set gives its reason.
    Refused(Vec<Refusal<'f>>),
    /// The name is not a valid tag or repository name.
    Malformed,
}

/// The reason why a set refuses a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<'f> {
    /// The number of the set, from 1, if there are several.
    pub set: Option<usize>,
    /// The reason.
    pub reason: Reason<'f>,
}

/// A reason to refuse a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason<'f> {
    /// The tag is not a version, and the set has semver ranges.
    NotAVersion,
    /// The version is in none of these semver ranges.
    OutOfRange(Vec<&'f str>),
    /// The name matches no allow pattern.
    NotAllowed,
    /// The name matches this deny pattern.
    Denied(&'f str),
}

impl Verdict<'_> {
    /// Returns whether the name is selected.
    pub fn is_selected(&self) -> bool {
        matches!(self, Verdict::Selected { .. })
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Selected { .. } => f.write_str("selected"),
            Verdict::Malformed => f.write_str("not a valid name"),
            Verdict::Refused(refusals) => {
                let refusals: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
                f.write_str(&refusals.join("; "))
            }
        }
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::NotAVersion => f.write_str("not a version, so outside every semver range")?,
            Reason::OutOfRange(ranges) => {
                let ranges: Vec<String> = ranges.iter().map(|range| format!("{range:?}")).collect();
                let s = if ranges.len() == 1 { "" } else { "s" };
                write!(f, "outside the semver range{s} {}", ranges.join(", "))?;
            }
            Reason::NotAllowed => f.write_str("matches no allow pattern")?,
            Reason::Denied(pattern) => write!(f, "denied by deny pattern {pattern:?}")?,
        }
        match self.set {
            Some(set) => write!(f, " (set {set})"),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Clone)]
struct Patterns {
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
}

impl Patterns {
    fn new(
        set: usize,
        allow: &[Option<String>],
        deny: &[Option<String>],
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, RuleError> {
        let allow = compile_patterns(set, List::Allow, allow, warnings)?;
        Ok(Patterns { allow, deny: compile_patterns(set, List::Deny, deny, warnings)? })
    }

    fn refusal(&self, name: &str) -> Option<Reason<'_>> {
        let matches = |pattern: &&Pattern| pattern.matches(name);
        if !self.allow.is_empty() && !self.allow.iter().any(|pattern| pattern.matches(name)) {
            return Some(Reason::NotAllowed);
        }
        self.deny.iter().find(matches).map(|pattern| Reason::Denied(pattern.as_str()))
    }
}

fn compile_patterns(
    set: usize,
    list: List,
    texts: &[Option<String>],
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Pattern>, RuleError> {
    let name = if list == List::Allow { "allow" } else { "deny" };
    let compile = |(item, text): (usize, &Option<String>)| {
        let place = Place { set, list, item };
        let text = text.as_deref();
        let (pattern, warning) = Pattern::new(text).map_err(|why| {
            let message = format!("invalid {name} pattern {:?}: {why}", text.unwrap_or_default());
            RuleError { place, message }
        })?;
        warnings.extend(warning.map(|message| Warning { place, message: format!("{name} {message}") }));
        Ok(pattern)
    };
    texts.iter().enumerate().map(compile).collect()
}

/// Compiles ranges, with their texts. An empty range is like a null, which regsync ignores. Next to other
/// ranges it makes no difference; alone it selects nothing here.
fn compile_ranges(
    set: usize,
    texts: &[Option<String>],
    warnings: &mut Vec<Warning>,
) -> Result<Vec<(String, Option<Range>)>, RuleError> {
    let compile = |(item, text): (usize, &Option<String>)| {
        let place = Place { set, list: List::SemverRange, item };
        match text.as_deref().filter(|text| !text.is_empty()) {
            None => Ok((text.clone().unwrap_or_else(|| "null".to_string()), None)),
            Some(text) => match Range::parse(text) {
                Ok(range) => Ok((text.to_string(), Some(range))),
                Err(message) => Err(RuleError { place, message }),
            },
        }
    };
    let ranges = texts.iter().enumerate().map(compile).collect::<Result<Vec<_>, _>>()?;
    if !ranges.is_empty() && ranges.iter().all(|(_, range)| range.is_none()) {
        let place = Place { set, list: List::SemverRange, item: 0 };
        let message =
            "semverRange contains only empty items and selects nothing; regsync ignores it".to_string();
        warnings.push(Warning { place, message });
    }
    Ok(ranges)
}

/// Returns whether a text is a valid tag according to the OCI distribution specification.
pub fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = text.bytes();
    text.len() <= 128
        && bytes.next().is_some_and(is_word)
        && bytes.all(|b| is_word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;

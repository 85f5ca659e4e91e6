//! Semver ranges as regsync reads them: conditions separated by spaces, all of which must hold.
//!
//! A prerelease is compared like any other version. `^3.12` is `>=3.12 <4.0.0`, so it excludes `3.12-alpine`, which comes
//! before 3.12, and includes `4.0.0-rc1`, which comes before 4.0.0.

use super::semver::Version;

/// A range of versions.
#[derive(Debug, Clone)]
pub struct Range {
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone)]
struct Condition {
    relation: Relation,
    version: Version,
}

#[derive(Debug, Clone, Copy)]
enum Relation {
    Equal,
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// The operators that compare with one version. Longer ones come before those that they start with.
const COMPARISONS: [(&str, Relation); 6] = [
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    (">", Relation::Above),
    ("<", Relation::Below),
    ("=", Relation::Equal),
    ("", Relation::Equal),
];

impl Range {
    /// Parses a range such as `>=1.2 <2`, `^3.12`, `~1.4` or `1.2.3`. The error names the wrong condition and
    /// the reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        let conditions = text.split_whitespace().map(conditions_of).collect::<Result<Vec<_>, String>>();
        match conditions {
            Ok(conditions) if conditions.is_empty() => {
                Err(format!("invalid semver range {text:?}: it is empty"))
            }
            Ok(conditions) => Ok(Range { conditions: conditions.into_iter().flatten().collect() }),
            Err(why) => Err(format!("invalid semver range {text:?}: {why}")),
        }
    }

    /// Returns whether the range contains a version.
    pub fn contains(&self, version: &Version) -> bool {
        self.conditions.iter().all(|condition| condition.holds(version))
    }

    /// Returns whether one of the range's own versions is a prerelease, as in `>=3.12-alpine`.
    pub fn names_prerelease(&self) -> bool {
        self.conditions.iter().any(|condition| condition.version.is_prerelease())
    }
}

impl Condition {
    fn holds(&self, version: &Version) -> bool {
        match self.relation {
            Relation::Equal => *version == self.version,
            Relation::Above => *version > self.version,
            Relation::AtLeast => *version >= self.version,
            Relation::Below => *version < self.version,
            Relation::AtMost => *version <= self.version,
        }
    }
}

/// Returns the conditions that one word of a range means.
fn conditions_of(word: &str) -> Result<Vec<Condition>, String> {
    if let Some(rest) = word.strip_prefix('^') {
        return version_of(word, rest).map(|lowest| span(caret_end(&lowest), lowest));
    }
    if let Some(rest) = word.strip_prefix('~') {
        let end = |lowest: &Version| Version::release(vec![lowest.number(0), lowest.number(1) + 1]);
        return version_of(word, rest).map(|lowest| span(end(&lowest), lowest));
    }
    let comparison =
        COMPARISONS.iter().find_map(|(sign, relation)| Some((word.strip_prefix(sign)?, *relation)));
    let (rest, relation) = comparison.unwrap_or((word, Relation::Equal));
    Ok(vec![Condition { relation, version: version_of(word, rest)? }])
}

/// Returns the first version above a caret range, in which the leftmost nonzero number of the first three may
/// not change.
fn caret_end(lowest: &Version) -> Version {
    Version::release(match (lowest.number(0), lowest.number(1), lowest.number(2)) {
        (0, 0, patch) => vec![0, 0, patch + 1],
        (0, minor, _) => vec![0, minor + 1],
        (major, _, _) => vec![major + 1],
    })
}

fn span(end: Version, lowest: Version) -> Vec<Condition> {
    vec![
        Condition { relation: Relation::AtLeast, version: lowest },
        Condition { relation: Relation::Below, version: end },
    ]
}

fn version_of(word: &str, version: &str) -> Result<Version, String> {
    // A prerelease may contain almost anything, so a list of conditions could be mistaken for one.
    let is_plain = version.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b));
    match Version::parse(version) {
        Some(version) if is_plain => Ok(version),
        _ => Err(mistake(word, version)),
    }
}

fn mistake(word: &str, version: &str) -> String {
    if word.contains("||") {
        "\"||\" is not supported; write each alternative as a separate item".to_string()
    } else if word.contains(',') {
        "commas are not supported; separate conditions with spaces".to_string()
    } else if word == "-" {
        "hyphen ranges are not supported; write \">=1.0 <=2.0\"".to_string()
    } else if version.is_empty() {
        format!("{word:?} has no version; write the operator and its version without a space")
    } else if version.contains(['<', '>', '=', '^', '~']) {
        format!(
            "{word:?} contains more than one operator, or an unknown one; separate conditions with spaces"
        )
    } else if version.split(['.', '-']).any(|part| matches!(part, "x" | "X" | "*")) {
        format!("{word:?} contains a wildcard, which is not supported; write a range such as \">=1.2 <1.3\"")
    } else {
        format!("invalid version {version:?}")
    }
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;

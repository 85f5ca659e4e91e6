//! Versions as regsync reads them from tags, and their order.
//!
//! These are not the versions of semver.org: any number of numbers is a version (`3`, `3.12`,
//! `10.0.17763.2114`, a date), and everything after the first hyphen is a prerelease, so `3.12-alpine` comes
//! before `3.12`.
//!
//! The order differs from regsync's where regsync considers different prereleases equal: here identifiers
//! after equal ones count (`alpha.1` < `alpha.2`), and numbers in a prerelease may have any length.

use std::cmp::Ordering;

/// A version: numbers, and an optional prerelease.
///
/// Versions that compare equal may be written differently: `1`, `v1.0` and `1.0.0+build` are equal.
#[derive(Debug, Clone)]
pub struct Version {
    /// The numbers without trailing zeros, so that their lexicographic order is the order of versions.
    numbers: Vec<u64>,
    prerelease: String,
}

impl Version {
    /// Parses a version: an optional `v`, numbers separated by dots, `-` and a prerelease, `+` and build
    /// metadata, which is ignored. A number must fit into 63 bits. Returns `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let version = text.split_once('+').map_or(text, |(version, _metadata)| version);
        let (numbers, prerelease) = version.split_once('-').unwrap_or((version, ""));
        let numbers = numbers.split('.').map(number).collect::<Option<Vec<u64>>>()?;
        Some(Version::new(numbers, prerelease))
    }

    /// Creates a version without a prerelease.
    pub(crate) fn release(numbers: Vec<u64>) -> Self {
        Version::new(numbers, "")
    }

    fn new(mut numbers: Vec<u64>, prerelease: &str) -> Self {
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Version { numbers, prerelease: prerelease.to_string() }
    }

    /// Returns the number at a position: 0 is the major version, 1 the minor, 2 the patch. Missing numbers
    /// are 0.
    pub fn number(&self, position: usize) -> u64 {
        self.numbers.get(position).copied().unwrap_or(0)
    }

    /// Returns the prerelease, which is empty for a release.
    pub fn prerelease(&self) -> &str {
        &self.prerelease
    }

    /// Returns whether the version has a prerelease.
    pub fn is_prerelease(&self) -> bool {
        !self.prerelease.is_empty()
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let prerelease = || match (self.is_prerelease(), other.is_prerelease()) {
            (true, true) => identifiers(&self.prerelease).cmp(identifiers(&other.prerelease)),
            (is_prerelease, other_is) => other_is.cmp(&is_prerelease),
        };
        self.numbers.cmp(&other.numbers).then_with(prerelease)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// Parses digits only; the standard parser would accept a sign as well.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|n| is_number && *n <= i64::MAX as u64)
}

/// Splits a prerelease into its identifiers.
fn identifiers(prerelease: &str) -> impl Iterator<Item = Identifier<'_>> {
    prerelease.split('.').map(Identifier)
}

/// An identifier of a prerelease, in which numbers are compared by value: `rc2` comes before `rc11`.
struct Identifier<'t>(&'t str);

impl<'t> Identifier<'t> {
    /// Splits the identifier into pieces of text, each with the number that follows it: the count of its
    /// digits without leading zeros, and the digits, so that pieces are ordered like numbers.
    fn pieces(&self) -> impl Iterator<Item = (&'t str, Option<(usize, &'t str)>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (text, tail) = rest.split_at(rest.find(is_digit).unwrap_or(rest.len()));
            let (digits, tail) = tail.split_at(tail.find(|c| !is_digit(c)).unwrap_or(tail.len()));
            rest = tail;
            let significant = digits.trim_start_matches('0');
            Some((text, (!digits.is_empty()).then_some((significant.len(), significant))))
        })
    }
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

impl Ord for Identifier<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.pieces().cmp(other.pieces())
    }
}

impl PartialOrd for Identifier<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Identifier<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Identifier<'_> {}

#[cfg(test)]
#[path = "semver_tests.rs"]
mod tests;

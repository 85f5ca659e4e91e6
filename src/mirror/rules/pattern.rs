//! Patterns for names of tags and repositories: regular expressions that match a whole name.
//!
//! regsync anchors a pattern as `^pattern$`, where an alternation `a|b` becomes "begins with a, or ends with b". Here the
//! pattern is anchored as a group, and a warning says where that makes a difference.

use super::go_regex;
use regex::bytes::{Regex, RegexBuilder};

/// The greatest size of a compiled pattern, and of the cache that a search may fill, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

/// A pattern for names.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    matcher: Matcher,
    has_hyphen: bool,
}

#[derive(Debug, Clone)]
enum Matcher {
    Nothing,
    Literal(String),
    Regex(Regex),
}

impl Pattern {
    /// Compiles a pattern; `None`, a null in the configuration, matches nothing. Returns a warning where regsync would match
    /// more. Errors and warnings say why without repeating the pattern.
    pub fn new(text: Option<&str>) -> Result<(Self, Option<String>), String> {
        let Some(text) = text else {
            let matcher = Matcher::Nothing;
            return Ok((Pattern { text: "null".to_string(), matcher, has_hyphen: false }, None));
        };
        let translation = go_regex::translate(text)?;
        let matcher = match translation.literal {
            Some(literal) => Matcher::Literal(literal),
            None => Matcher::Regex(compile(&translation.pattern)?),
        };
        let warning = translation.is_loose.then(|| loose(text));
        Ok((Pattern { text: text.to_string(), matcher, has_hyphen: translation.has_hyphen }, warning))
    }

    /// Returns whether the pattern matches a whole name.
    pub fn matches(&self, name: &str) -> bool {
        match &self.matcher {
            Matcher::Nothing => false,
            Matcher::Literal(literal) => literal == name,
            Matcher::Regex(regex) => regex.is_match(name.as_bytes()),
        }
    }

    /// Returns whether the pattern matches a version and its prerelease, and names the prerelease rather than
    /// including it by chance: a hyphen stands in the pattern as itself, as in `\d+-alpine`, and not only in
    /// a class or behind a `.`.
    pub fn names_prerelease(&self, tag: &str) -> bool {
        self.has_hyphen && self.matches(tag)
    }

    /// Returns the pattern as it was written, or `null`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn compile(translated: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!("^(?:{translated})$"))
        .unicode(false)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_string(),
            // The last line says why; those above show the translated pattern.
            other => {
                other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_string()
            }
        })
}

fn loose(pattern: &str) -> String {
    format!(
        "pattern {pattern:?} has to match the whole name, as \"^(?:{pattern})$\"; regsync reads it as \"^{pattern}$\", \
         which anchors its first alternative only at the start and its last only at the end"
    )
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;

//! Patterns for tags and repositories: regular expressions that must match the whole name.
//!
//! regsync anchors a pattern as `^pattern$`, where an alternation `a|b` means "starts with a, or ends with
//! b". Here the pattern is anchored as a group, and a warning points out where that makes a difference.

use super::go_regex;
use regex::bytes::{Regex, RegexBuilder};

/// The maximum size of a compiled pattern, and of its search cache, in bytes.
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
    /// Compiles a pattern; `None`, a null in the configuration, matches nothing. Returns a warning if regsync
    /// would match more. Errors and warnings do not repeat the pattern.
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

    /// Returns whether the pattern matches a version and names its prerelease, instead of including it by
    /// chance: the pattern contains a literal hyphen, as in `\d+-alpine`, outside of classes.
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
            // The last line has the reason; those above show the translated pattern.
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

//! Errors and notes, each with its place in the file.

use std::fmt;

/// A line and a column, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Default for Place {
    /// Returns the start of the file.
    fn default() -> Self {
        Place { line: 1, column: 1 }
    }
}

/// The reason why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as the user named it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to fix it, if known.
    pub hint: Option<String>,
}

impl ConfigError {
    /// Creates an error about one place of a file.
    pub fn new(file: &str, place: Place, message: impl Into<String>) -> Self {
        ConfigError {
            file: file.into(),
            line: place.line,
            column: place.column,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds how to fix the problem.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// A note about a configuration that can still be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The place that the note is about.
    pub place: Place,
    /// The text of the note.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.place.line, self.place.column, self.text)
    }
}

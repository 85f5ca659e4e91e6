//! Notes: what users may want to know about a run that succeeded.

use crate::remedy::Remedy;
use serde::{Serialize, Serializer};
use std::fmt;

/// A note about a run, with a remedy if the user may want another result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    remedy: Option<Remedy>,
}

impl Note {
    /// Adds a remedy.
    #[must_use]
    pub fn hint(self, hint: impl Into<Remedy>) -> Self {
        Note { remedy: Some(hint.into()), ..self }
    }

    /// Returns the remedy.
    pub fn remedy(&self) -> Option<&Remedy> {
        self.remedy.as_ref()
    }
}

impl From<&str> for Note {
    fn from(text: &str) -> Self {
        text.to_string().into()
    }
}

impl From<String> for Note {
    fn from(text: String) -> Self {
        Note { text, remedy: None }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.remedy.iter().try_for_each(|remedy| write!(f, "; {remedy}"))
    }
}

impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

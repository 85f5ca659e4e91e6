//! The inverse of an edit.

use serde::{Deserialize, Serialize};

/// The inverse of an edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Undo {
    /// Sets the value at a pointer back to this text.
    Set(String, String),
    /// Removes the last member of an object.
    Del(String),
    /// Removes the last element of an array.
    Pop(String),
}

impl Undo {
    /// Returns the pointer of the value that this restores.
    pub fn pointer(&self) -> &str {
        match self {
            Undo::Set(pointer, _) | Undo::Del(pointer) | Undo::Pop(pointer) => pointer,
        }
    }
}

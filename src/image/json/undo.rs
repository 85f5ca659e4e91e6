//! How an edit is taken back.

use serde::{Deserialize, Serialize};

/// How an edit is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Undo {
    /// The value at a pointer becomes this text again.
    Set(String, String),
    /// The last member of an object goes.
    Del(String),
    /// The last element of an array goes.
    Pop(String),
}

impl Undo {
    /// The place that it restores.
    pub fn pointer(&self) -> &str {
        match self {
            Undo::Set(pointer, _) | Undo::Del(pointer) | Undo::Pop(pointer) => pointer,
        }
    }
}

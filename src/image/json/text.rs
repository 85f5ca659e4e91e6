//! Serialization of values as JSON text.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Returns a string as JSON text.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns a value as JSON text.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::other(format!("cannot write JSON: {e}")))
}

/// A key of an object, without a copy where possible.
#[derive(Deserialize)]
pub(super) struct Key<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Returns the error for text that is not valid JSON.
pub(super) fn invalid(error: serde_json::Error) -> Error {
    Error::unsupported(format!("invalid JSON: {error}"))
}

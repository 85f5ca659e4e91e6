//! Values as JSON text.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A string as JSON text.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The value as JSON text.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::other(format!("cannot write JSON: {e}")))
}

/// A key of an object.
#[derive(Deserialize)]
pub(super) struct Key<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The error for a text that is no JSON.
pub(super) fn invalid(error: serde_json::Error) -> Error {
    Error::unsupported(format!("invalid JSON: {error}"))
}

//! JSON Pointers (RFC 6901).

use crate::error::{Error, Result};
use std::borrow::Cow;

/// The largest number of keys in the pointer of an edit.
pub(super) const MAX_DEPTH: usize = 16;

/// Returns a pointer with one more reference token.
pub fn child(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Returns the pointer that consists of these keys.
pub(super) fn join(keys: &[Cow<'_, str>]) -> String {
    keys.iter().fold(String::new(), |pointer, key| child(&pointer, key))
}

/// Returns the keys of a pointer.
pub(super) fn keys(pointer: &str) -> Result<Vec<Cow<'_, str>>> {
    let bad = |why: &str| Error::unsupported(format!("invalid JSON pointer: {why}"));
    let mut tokens = pointer.split('/');
    if tokens.next() != Some("") {
        return Err(bad("it must start with a slash"));
    }
    let keys: Vec<Cow<'_, str>> = tokens.take(MAX_DEPTH + 1).map(unescape).collect();
    if keys.len() > MAX_DEPTH {
        return Err(bad(&format!("it has more than {MAX_DEPTH} levels")));
    }
    Ok(keys)
}

fn unescape(token: &str) -> Cow<'_, str> {
    match token.contains('~') {
        true => token.replace("~1", "/").replace("~0", "~").into(),
        false => token.into(),
    }
}

//! Keys in another case. Go's readers, and so the engines, ignore case; we do not. A document where that makes a
//! difference is ambiguous: two readers see two images.

use super::Members;
use crate::error::{Error, Result};
use serde_json::value::RawValue;

/// The keys that are read of an object, each with the keys that are read of its value, or of the elements of its
/// value.
pub struct Keys(pub &'static [(&'static str, Option<&'static Keys>)]);

impl Keys {
    /// Fails if a key differs only in case from one that is read. `what` is the document.
    pub fn check(&self, what: &str, text: &str) -> Result<()> {
        match text.as_bytes().first() {
            Some(b'{') => {
                let Ok(Members(members)) = serde_json::from_str(text) else { return Ok(()) };
                members.iter().try_for_each(|(key, value)| self.check_member(what, key, value))
            }
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
                elements.iter().try_for_each(|element| self.check(what, element.get()))
            }
            _ => Ok(()),
        }
    }

    fn check_member(&self, what: &str, key: &str, value: &RawValue) -> Result<()> {
        match self.0.iter().find(|(known, _)| folds_to(key, known)) {
            Some((known, _)) if *known != key => Err(Error::unsupported(format!(
                "the {what} has the key {key:?}, which engines read as {known:?}"
            ))
            .hint("rebuild the image with a tool that spells the keys as the OCI specification does")),
            Some((_, Some(below))) => below.check(what, value.get()),
            _ => Ok(()),
        }
    }
}

/// Whether Go takes a key for the known one. Two letters beyond ASCII fold to letters within.
fn folds_to(key: &str, known: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(known.chars().map(fold))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_another_case_are_found_at_every_level() {
        const INNER: Keys = Keys(&[("size", None), ("kind", None)]);
        const OUTER: Keys = Keys(&[("layers", Some(&INNER)), ("config", Some(&INNER))]);
        for (text, found) in [
            (r#"{"layers":[{"size":1},{"Size":1}]}"#, Some("Size")),
            (r#"{"config":{"\u0053ize":1}}"#, Some("Size")),
            (r#"{"config":{"size":1,"SIZE":2}}"#, Some("SIZE")),
            ("{\"config\":{\"\u{17f}ize\":1}}", Some("\u{17f}ize")),
            ("{\"config\":{\"\u{212a}ind\":1}}", Some("\u{212a}ind")),
            ("{\"layer\u{17f}\":null}", Some("layer\u{17f}")),
            (r#"{"size":1,"Size":2,"other":{"LAYERS":1},"layerz":0}"#, None),
            (r#"{"layers":{"size":1},"config":[{"size":{"SIZE":1}}]}"#, None),
            (r#"{"layers":"x","config":null}"#, None),
            ("[]", None),
            ("1", None),
        ] {
            let error = OUTER.check("manifest", text).err().map(|e| e.to_string());
            let expected =
                found.map(|key| format!("the manifest has the key {key:?}, which engines read as "));
            assert_eq!(error.is_some(), found.is_some(), "{text}");
            assert!(error.unwrap_or_default().starts_with(&expected.unwrap_or_default()), "{text}");
        }
    }
}

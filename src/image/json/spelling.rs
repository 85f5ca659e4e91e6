//! Checks for keys that differ only in case. Go's JSON decoder, and with it every container engine, ignores the case
//! of keys; reapify does not. Where that makes a difference, the document is ambiguous.

use super::text::Key;
use serde::de::{DeserializeSeed, Error, IntoDeserializer, MapAccess};

/// A view of an object that states which keys it reads.
pub trait View {
    /// The keys that the view reads.
    const KEYS: &'static [&'static str];
}

/// The members of an object. Deserializing fails at a key that differs only in case from one that the view reads.
pub(super) struct Spelled<A> {
    pub members: A,
    pub known: &'static [&'static str],
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Spelled<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(Key(key)) = self.members.next_key()? else { return Ok(None) };
        match self.known.iter().find(|known| folds_to(&key, known)) {
            Some(known) if *known != key => {
                Err(A::Error::custom(format!("it has the key {key:?}, which engines read as {known:?}")))
            }
            _ => seed.deserialize(key.into_deserializer()).map(Some),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.members.next_value_seed(seed)
    }
}

/// Returns whether Go treats `key` as equal to `known`. Two letters outside ASCII fold to ASCII letters.
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
    use super::super::views::Object;
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Sizes {
        #[allow(dead_code)]
        size: Option<u8>,
        #[allow(dead_code)]
        kind: Option<u8>,
    }

    impl View for Sizes {
        const KEYS: &'static [&'static str] = &["size", "kind"];
    }

    #[test]
    fn finds_keys_that_differ_only_in_case() {
        for (text, found) in [
            (r#"{"Size":1}"#, Some("Size")),
            (r#"{"\u0053ize":1}"#, Some("Size")),
            (r#"{"size":1,"SIZE":2}"#, Some("SIZE")),
            ("{\"\u{17f}ize\":1}", Some("\u{17f}ize")),
            ("{\"\u{212a}ind\":1}", Some("\u{212a}ind")),
            (r#"{"size":1,"\u006bind":2,"sizes":{"SIZE":1},"":0}"#, None),
        ] {
            let error = serde_json::from_str::<Object<Sizes>>(text).err().map(|e| e.to_string());
            let expected = found.map(|key| format!("it has the key {key:?}, which engines read as "));
            assert_eq!(error.is_some(), found.is_some(), "{text}: {error:?}");
            assert!(error.unwrap_or_default().starts_with(&expected.unwrap_or_default()), "{text}");
        }
    }
}

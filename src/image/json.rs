//! A JSON editor that splices: what an edit does not name stays as the bytes it was (contract C1).
//!
//! Places are named by JSON Pointers (RFC 6901). Every edit returns the [`Undo`] that takes it back byte
//! for byte; undos are applied in reverse order. Edits never depend on offsets, so a document may
//! be undone long after it was edited and stored.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// A JSON text under edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    text: String,
}

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

impl Document {
    /// Takes a JSON text. It is read only where an edit passes through.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|e| Error::unsupported(format!("not UTF-8: {e}")))?;
        Ok(Document { text: text.into() })
    }

    /// The text as it is now.
    pub fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    /// The text as it is now.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The value at `pointer`, as it stands in the text.
    pub fn get(&self, pointer: &str) -> Result<Option<&str>> {
        let mut at = self.root()?;
        for key in keys(pointer) {
            let next = match Node::parse(&self.text[at.clone()])? {
                Node::Object(members) => members.into_iter().find(|m| m.0 == key).map(|m| m.1),
                Node::Array(elements) => index(&key, elements.len()).map(|i| elements[i].clone()),
                Node::Null | Node::Scalar => None,
            };
            match next {
                Some(range) => at = at.start + range.start..at.start + range.end,
                None => return Ok(None),
            }
        }
        Ok(Some(&self.text[at]))
    }

    /// Makes `raw` the value at `pointer`. A key that is not there is added as the last member of its
    /// object; an object that is absent, `null` or empty is written anew.
    pub fn set(&mut self, pointer: &str, raw: &str) -> Result<Undo> {
        // Blanks around a value are none of its own, and an undo would leave them.
        let raw = raw.trim();
        let keys: Vec<String> = keys(pointer).collect();
        let mut at = self.root()?;
        for (depth, key) in keys.iter().enumerate() {
            let rest = &keys[depth + 1..];
            match Node::parse(&self.text[at.clone()])? {
                Node::Object(members) if !members.is_empty() => {
                    if let Some((_, range)) = members.iter().find(|m| m.0 == *key) {
                        at = at.start + range.start..at.start + range.end;
                        continue;
                    }
                    let end = at.start + members[members.len() - 1].1.end;
                    self.text.insert_str(end, &format!(",{}:{}", quote(key), nest(rest, raw)));
                    return Ok(Undo::Del(join(&keys[..=depth])));
                }
                Node::Object(_) | Node::Null => {
                    let old = self.replace(at, &nest(&keys[depth..], raw));
                    return Ok(Undo::Set(join(&keys[..depth]), old));
                }
                Node::Array(elements) => {
                    let i = index(key, elements.len())
                        .ok_or_else(|| wrong(&join(&keys[..=depth]), "no such element"))?;
                    at = at.start + elements[i].start..at.start + elements[i].end;
                }
                Node::Scalar => return Err(wrong(&join(&keys[..depth]), "an object was expected here")),
            }
        }
        let old = self.replace(at, raw);
        Ok(Undo::Set(pointer.into(), old))
    }

    /// Adds `raw` as the last element of the array at `pointer`; an array that is absent, `null` or
    /// empty is written anew.
    pub fn push(&mut self, pointer: &str, raw: &str) -> Result<Undo> {
        let raw = raw.trim();
        let Some(array) = self.get(pointer)? else { return self.set(pointer, &format!("[{raw}]")) };
        match Node::parse(array)? {
            Node::Array(elements) if !elements.is_empty() => {
                let end = self.offset(array) + elements[elements.len() - 1].end;
                self.text.insert_str(end, &format!(",{raw}"));
                Ok(Undo::Pop(pointer.into()))
            }
            Node::Array(_) | Node::Null => self.set(pointer, &format!("[{raw}]")),
            _ => Err(wrong(pointer, "a list was expected here")),
        }
    }

    /// Takes the element at position `i` out of the array at `pointer`, for good.
    pub fn remove_element(&mut self, pointer: &str, i: usize) -> Result<()> {
        let array = self.get(pointer)?.ok_or_else(|| wrong(pointer, "nothing here"))?;
        let start = self.offset(array);
        let Node::Array(elements) = Node::parse(array)? else {
            return Err(wrong(pointer, "a list was expected here"));
        };
        let cut = match (i, elements.len()) {
            (0, 1) => elements[0].clone(),
            (0, n) if n > 1 => elements[0].start..elements[1].start,
            (i, n) if i < n => elements[i - 1].end..elements[i].end,
            _ => return Err(wrong(pointer, "no such element")),
        };
        self.text.replace_range(start + cut.start..start + cut.end, "");
        Ok(())
    }

    /// Takes one edit back.
    pub fn undo(&mut self, undo: &Undo) -> Result<()> {
        match undo {
            Undo::Set(pointer, raw) => {
                let value = self.get(pointer)?.ok_or_else(|| wrong(pointer, "nothing here to restore"))?;
                let at = self.offset(value);
                let at = at..at + value.len();
                self.replace(at, raw);
            }
            Undo::Del(pointer) => {
                let (parent, key) = pointer.rsplit_once('/').ok_or_else(|| wrong(pointer, "not a member"))?;
                let object = self.get(parent)?.ok_or_else(|| wrong(parent, "nothing here"))?;
                match Node::parse(object)? {
                    Node::Object(members) => match members.as_slice() {
                        [.., before, last] if last.0 == unescape(key) => {
                            let start = self.offset(object);
                            let cut = start + before.1.end..start + last.1.end;
                            self.text.replace_range(cut, "");
                        }
                        _ => return Err(wrong(pointer, "not the last member of its object")),
                    },
                    _ => return Err(wrong(parent, "an object was expected here")),
                }
            }
            Undo::Pop(pointer) => {
                let array = self.get(pointer)?.ok_or_else(|| wrong(pointer, "nothing here"))?;
                match Node::parse(array)? {
                    Node::Array(elements) if elements.len() > 1 => {
                        self.remove_element(pointer, elements.len() - 1)?;
                    }
                    _ => return Err(wrong(pointer, "a list of two or more was expected here")),
                }
            }
        }
        Ok(())
    }

    fn replace(&mut self, at: Range<usize>, raw: &str) -> String {
        let old = self.text[at.clone()].to_string();
        self.text.replace_range(at, raw);
        old
    }

    fn root(&self) -> Result<Range<usize>> {
        let value: &RawValue = serde_json::from_str(&self.text).map_err(invalid)?;
        let start = self.offset(value.get());
        Ok(start..start + value.get().len())
    }

    /// Where a slice of the text starts in it.
    fn offset(&self, slice: &str) -> usize {
        offset(&self.text, slice)
    }
}

/// One level of a value: its parts, by range.
enum Node {
    Object(Vec<(String, Range<usize>)>),
    Array(Vec<Range<usize>>),
    Null,
    Scalar,
}

impl Node {
    /// Reads one level. An object that has a key twice is ambiguous: readers disagree on which one counts.
    fn parse(text: &str) -> Result<Node> {
        let range = |value: &RawValue| {
            let start = offset(text, value.get());
            start..start + value.get().len()
        };
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text).map_err(invalid)?;
                let mut seen = HashSet::new();
                if let Some((key, _)) = members.iter().find(|m| !seen.insert(m.0.as_ref())) {
                    return Err(Error::unsupported(format!("the key {key:?} stands twice in one JSON object"))
                        .hint("readers disagree on which one counts; rebuild the image with a tool that writes it once"));
                }
                Node::Object(members.into_iter().map(|(k, v)| (k.into_owned(), range(v))).collect())
            }
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(invalid)?;
                Node::Array(elements.into_iter().map(range).collect())
            }
            Some(b'n') => Node::Null,
            _ => Node::Scalar,
        })
    }
}

/// The members of an object in their order, duplicates included.
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Visitor<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> serde::de::Visitor<'de> for Visitor<'a> {
            type Value = Members<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

/// A struct that is an object in the text: by itself serde takes a list of the fields' values for one, too.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> std::result::Result<T, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData)).map(Object)
    }
}

/// For `deserialize_with`: an object, `null`, or nothing.
pub fn optional_object<'de, D, T>(deserializer: D) -> std::result::Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|o| o.0))
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// A string as JSON text.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The value as JSON text.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::other(format!("cannot write JSON: {e}")))
}

fn offset(text: &str, slice: &str) -> usize {
    slice.as_ptr() as usize - text.as_ptr() as usize
}

/// `raw` inside one new object for each of `keys`.
fn nest(keys: &[String], raw: &str) -> String {
    let mut text = raw.to_string();
    for key in keys.iter().rev() {
        text = format!("{{{}:{text}}}", quote(key));
    }
    text
}

fn index(key: &str, len: usize) -> Option<usize> {
    key.parse().ok().filter(|i| *i < len)
}

/// Appends one reference token to a pointer.
pub fn child(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn join(keys: &[String]) -> String {
    keys.iter().fold(String::new(), |pointer, key| child(&pointer, key))
}

fn keys(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer.split('/').skip(1).map(unescape)
}

fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

fn invalid(error: serde_json::Error) -> Error {
    Error::unsupported(format!("invalid JSON: {error}"))
}

fn wrong(pointer: &str, what: &str) -> Error {
    Error::unsupported(format!("at {:?} in the JSON: {what}", if pointer.is_empty() { "/" } else { pointer }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(text: &str) -> Document {
        Document::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn set_changes_only_the_value_it_names() {
        for (before, pointer, raw, after) in [
            ("{ \"a\" : 1e3 ,\n\"b\":\"\\u003c\" }", "/a", "2", "{ \"a\" : 2 ,\n\"b\":\"\\u003c\" }"),
            (r#"{"a":{"x":1} }"#, "/a/y", "2", r#"{"a":{"x":1,"y":2} }"#),
            (r#"{"a":null}"#, "/a/y/z", "2", r#"{"a":{"y":{"z":2}}}"#),
            (r#"{"a":{ }}"#, "/a/y", "2", r#"{"a":{"y":2}}"#),
            (r#"{"b":1}"#, "/a/y", "2", r#"{"b":1,"a":{"y":2}}"#),
            ("{}\n", "/a", "2", "{\"a\":2}\n"),
            (r#"{"l":[{"d":1},{"d":2}]}"#, "/l/1/d", "3", r#"{"l":[{"d":1},{"d":3}]}"#),
            (r#"{"a":{"x/y~":1}}"#, "/a/x~1y~0", "2", r#"{"a":{"x/y~":2}}"#),
            (r#"{"\u0061":1}"#, "/a", "2", r#"{"\u0061":2}"#),
        ] {
            let mut d = doc(before);
            let undo = d.set(pointer, raw).unwrap();
            assert_eq!(d.as_str(), after);
            d.undo(&undo).unwrap();
            assert_eq!(d.as_str(), before);
        }
    }

    #[test]
    fn push_adds_one_element() {
        for (before, after) in [
            (r#"{"l":[ 1 ]}"#, r#"{"l":[ 1,9 ]}"#),
            (r#"{"l":[ ]}"#, r#"{"l":[9]}"#),
            (r#"{"l":null}"#, r#"{"l":[9]}"#),
            (r#"{"m":0}"#, r#"{"m":0,"l":[9]}"#),
        ] {
            let mut d = doc(before);
            let undo = d.push("/l", "9").unwrap();
            assert_eq!(d.as_str(), after);
            d.undo(&undo).unwrap();
            assert_eq!(d.as_str(), before);
        }
    }

    #[test]
    fn remove_element_takes_its_comma_along() {
        for (i, after) in [(0, "[2, 3 ]"), (1, "[1, 3 ]"), (2, "[1, 2 ]")] {
            let mut d = doc("[1, 2, 3 ]");
            d.remove_element("", i).unwrap();
            assert_eq!(d.as_str(), after);
        }
        let mut d = doc("[ 1 ]");
        d.remove_element("", 0).unwrap();
        assert_eq!(d.as_str(), "[  ]");
        assert!(d.remove_element("", 0).is_err());
    }

    #[test]
    fn what_is_ambiguous_or_of_another_shape_is_refused() {
        for (text, pointer) in [
            (r#"{"a":1,"a":2}"#, "/a"),
            (r#"{"a":1,"\u0061":2}"#, "/a"),
            (r#"{"a":"x"}"#, "/a/b"),
            (r#"{"a":[]}"#, "/a/0"),
            ("{", "/a"),
            ("\u{feff}{}", "/a"),
        ] {
            assert!(doc(text).set(pointer, "1").is_err(), "{text}");
        }
        assert!(doc(r#"{"a":{}}"#).push("/a", "1").is_err());
        assert!(Document::new(b"\xff").is_err());
        // A duplicate that no edit passes through is none of our business; one beside an edit is.
        assert!(doc(r#"{"x":{"y":1,"y":2},"a":1}"#).set("/a", "1").is_ok());
        assert!(doc(r#"{"x":1,"x":2,"a":1}"#).set("/a", "1").is_err());
    }

    #[test]
    fn deep_nesting_is_no_stack_overflow() {
        let text = format!("{{\"a\":{}{},\"b\":1}}", "[".repeat(200_000), "]".repeat(200_000));
        let mut d = doc(&text);
        d.set("/b", "2").unwrap();
        assert!(d.as_str().ends_with("\"b\":2}"));
    }
}

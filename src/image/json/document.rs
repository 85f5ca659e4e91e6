//! The editor: a JSON text as a tree of spans, of which only the levels that an edit passes through are parsed.

use super::pointer::{join, keys};
use super::text::{invalid, quote};
use super::undo::Undo;
use super::views::Members;
use crate::error::{Error, Result};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// The largest number of members of an object or array that is edited.
const MAX_MEMBERS: usize = 1 << 19;

/// A JSON text that is being edited. Each level is parsed once, when the first edit passes through it, and the text
/// is assembled once, at the end: the work is linear in the size of the text and of the edits.
#[derive(Debug, Clone)]
pub struct Document {
    /// The original text, followed by the text of every edit. Spans point into it.
    texts: String,
    /// The white space before the root.
    head: Span,
    root: Node,
    /// The white space after the root.
    tail: Span,
}

/// A range of [`Document::texts`].
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    fn of(self, texts: &str) -> &str {
        &texts[self.start..self.end]
    }
}

/// A value.
#[derive(Debug, Clone)]
enum Node {
    /// A scalar, or an object or array that no edit has passed through.
    Closed(Span),
    /// An object or array by its members.
    Open(Box<Level>),
}

/// The members of an object or array.
#[derive(Debug, Clone)]
struct Level {
    is_array: bool,
    members: Vec<Member>,
    /// The text after the last member; if there are no members, the whole text, brackets included.
    end: Span,
}

/// A member of an object, or an element of an array.
#[derive(Debug, Clone)]
struct Member {
    /// The text between the previous value, or the opening bracket, and this value: comma, white space, key and
    /// colon.
    lead: Span,
    key: Key,
    value: Node,
}

/// The key of a member; `None` in arrays.
#[derive(Debug, Clone)]
enum Key {
    Plain(Span),
    /// A key that was added, or whose text contains escapes.
    Own(Box<str>),
}

impl Key {
    const NONE: Key = Key::Plain(Span { start: 0, end: 0 });

    fn is(&self, key: &str, texts: &str) -> bool {
        match self {
            Key::Plain(span) => span.of(texts) == key,
            Key::Own(text) => **text == *key,
        }
    }
}

impl Node {
    /// Returns whether this is `null` or an object without members.
    fn is_vacant(&self, texts: &str) -> bool {
        match self {
            Node::Open(level) => !level.is_array && level.members.is_empty(),
            Node::Closed(span) => span.of(texts).starts_with('n'),
        }
    }
}

impl Level {
    /// Returns the position of a member by its key, or of an element by its number.
    fn position(&self, key: &str, texts: &str) -> Option<usize> {
        if self.is_array {
            key.parse().ok().filter(|i| *i < self.members.len())
        } else {
            self.members.iter().position(|member| member.key.is(key, texts))
        }
    }

    fn push(&mut self, pointer: &str, member: Member) -> Result<()> {
        if self.members.len() == MAX_MEMBERS {
            return Err(too_many(pointer));
        }
        self.members.push(member);
        Ok(())
    }
}

impl Document {
    /// Creates a document from a JSON text. Returns an error if the text is not valid JSON.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|e| Error::unsupported(format!("not UTF-8: {e}")))?;
        let root = span(text, value(text)?, 0);
        let (head, tail) = (Span { start: 0, end: root.start }, Span { start: root.end, end: text.len() });
        Ok(Document { texts: text.into(), head, root: Node::Closed(root), tail })
    }

    /// Returns the edited text.
    pub fn into_bytes(self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// Returns the text of the value at `pointer`.
    pub fn get(&mut self, pointer: &str) -> Result<Option<Cow<'_, str>>> {
        let node = find(&self.texts, &mut self.root, &keys(pointer)?)?;
        Ok(node.map(|node| text(&self.texts, node)))
    }

    /// Returns the number of elements of the array at `pointer`.
    pub fn len(&mut self, pointer: &str) -> Result<Option<usize>> {
        let Some(node) = find(&self.texts, &mut self.root, &keys(pointer)?)? else { return Ok(None) };
        open(&self.texts, node)?;
        Ok(match node {
            Node::Open(level) if level.is_array => Some(level.members.len()),
            _ => None,
        })
    }

    /// Sets the value at `pointer` to `raw`. A missing key is added as the last member of its object; an object that
    /// is absent, `null` or empty is replaced by a new one.
    pub fn set(&mut self, pointer: &str, raw: &str) -> Result<Undo> {
        let raw = value(raw)?;
        let keys = keys(pointer)?;
        let Document { texts, root, .. } = self;
        let mut node = root;
        for (depth, key) in keys.iter().enumerate() {
            open(texts, node)?;
            if node.is_vacant(texts) {
                let old = replace(texts, node, &nest(&keys[depth..], raw));
                return Ok(Undo::Set(join(&keys[..depth]), old));
            }
            let Node::Open(level) = node else {
                return Err(wrong(&join(&keys[..depth]), "expected an object"));
            };
            match level.position(key, texts) {
                Some(i) => node = &mut level.members[i].value,
                None if level.is_array => return Err(wrong(&join(&keys[..=depth]), "no such element")),
                None => {
                    let pointer = join(&keys[..=depth]);
                    let lead = append(texts, &format!(",{}:", quote(key)));
                    let value = Node::Closed(append(texts, &nest(&keys[depth + 1..], raw)));
                    level.push(&pointer, Member { lead, key: Key::Own(key.as_ref().into()), value })?;
                    return Ok(Undo::Del(pointer));
                }
            }
        }
        Ok(Undo::Set(pointer.into(), replace(texts, node, raw)))
    }

    /// Adds `raw` as the last element of the array at `pointer`; an array that is absent, `null` or empty is replaced
    /// by a new one.
    pub fn push(&mut self, pointer: &str, raw: &str) -> Result<Undo> {
        let raw = value(raw)?;
        let Document { texts, root, .. } = self;
        match opened(texts, root, pointer)? {
            None => self.set(pointer, &format!("[{raw}]")),
            Some(Node::Open(level)) if level.is_array && !level.members.is_empty() => {
                let (lead, value) = (append(texts, ","), Node::Closed(append(texts, raw)));
                level.push(pointer, Member { lead, key: Key::NONE, value })?;
                Ok(Undo::Pop(pointer.into()))
            }
            Some(Node::Open(level)) if level.is_array => self.set(pointer, &format!("[{raw}]")),
            Some(Node::Closed(span)) if span.of(texts).starts_with('n') => {
                self.set(pointer, &format!("[{raw}]"))
            }
            Some(_) => Err(wrong(pointer, "expected an array")),
        }
    }

    /// Removes the elements at the given positions of the array at `pointer`. This edit cannot be undone.
    pub fn remove_elements(&mut self, pointer: &str, positions: &[usize]) -> Result<()> {
        if positions.is_empty() {
            return Ok(());
        }
        let Document { texts, root, .. } = self;
        let level = match opened(texts, root, pointer)? {
            Some(Node::Open(level)) if level.is_array => level,
            Some(_) => return Err(wrong(pointer, "expected an array")),
            None => return Err(wrong(pointer, "no such value")),
        };
        let mut gone = vec![false; level.members.len()];
        for position in positions {
            *gone.get_mut(*position).ok_or_else(|| wrong(pointer, "no such element"))? = true;
        }
        let Some(lead) = level.members.first().map(|first| first.lead) else { return Ok(()) };
        let mut gone = gone.into_iter();
        level.members.retain(|_| gone.next() == Some(false));
        match level.members.first_mut() {
            Some(first) => first.lead = lead,
            None => level.end = append(texts, &[lead.of(texts), level.end.of(texts)].concat()),
        }
        Ok(())
    }

    /// Undoes one edit.
    pub fn undo(&mut self, undo: &Undo) -> Result<()> {
        let Document { texts, root, .. } = self;
        match undo {
            Undo::Set(pointer, raw) => {
                let raw = value(raw)?;
                let node = find(texts, root, &keys(pointer)?)?;
                let node = node.ok_or_else(|| wrong(pointer, "no value to restore"))?;
                *node = Node::Closed(append(texts, raw));
            }
            Undo::Del(pointer) => {
                let keys = keys(pointer)?;
                let (key, above) = keys.split_last().ok_or_else(|| wrong(pointer, "not a member"))?;
                match opened(texts, root, &join(above))? {
                    Some(Node::Open(level)) if !level.is_array => match level.members.as_slice() {
                        [_, .., last] if last.key.is(key, texts) => drop(level.members.pop()),
                        _ => return Err(wrong(pointer, "not the last member of its object")),
                    },
                    _ => return Err(wrong(&join(above), "expected an object")),
                }
            }
            Undo::Pop(pointer) => match opened(texts, root, pointer)? {
                Some(Node::Open(level)) if level.is_array && level.members.len() > 1 => {
                    drop(level.members.pop());
                }
                _ => return Err(wrong(pointer, "expected an array of two or more elements")),
            },
        }
        Ok(())
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.head.of(&self.texts))?;
        write(&self.texts, &self.root, f)?;
        f.write_str(self.tail.of(&self.texts))
    }
}

/// Finds the node at a pointer.
fn find<'n>(texts: &str, mut node: &'n mut Node, keys: &[Cow<'_, str>]) -> Result<Option<&'n mut Node>> {
    for key in keys {
        open(texts, node)?;
        let Node::Open(level) = node else { return Ok(None) };
        let Some(i) = level.position(key, texts) else { return Ok(None) };
        node = &mut level.members[i].value;
    }
    Ok(Some(node))
}

/// Finds the node at a pointer and parses its level.
fn opened<'n>(texts: &str, root: &'n mut Node, pointer: &str) -> Result<Option<&'n mut Node>> {
    let node = find(texts, root, &keys(pointer)?)?;
    node.map(|node| open(texts, node).map(|()| node)).transpose()
}

/// Parses one level of a value, unless that was done before. An object with a duplicate key is ambiguous, because
/// readers disagree on which value counts.
fn open(texts: &str, node: &mut Node) -> Result<()> {
    let Node::Closed(whole) = *node else { return Ok(()) };
    let text = whole.of(texts);
    // The opening bracket belongs to the first member.
    let mut previous = whole.start;
    let mut member = |key: Key, value: &RawValue| {
        let value = span(text, value.get(), whole.start);
        let lead = Span { start: std::mem::replace(&mut previous, value.end), end: value.start };
        Member { lead, key, value: Node::Closed(value) }
    };
    let key = |key: &Cow<'_, str>| match key {
        Cow::Borrowed(key) => Key::Plain(span(text, key, whole.start)),
        Cow::Owned(key) => Key::Own(key.as_str().into()),
    };
    let (is_array, members): (bool, Vec<Member>) = match text.as_bytes().first() {
        Some(b'{') => {
            let Members(found) = parse(text)?;
            check_unique(&found)?;
            (false, found.iter().map(|(name, value)| member(key(name), value)).collect())
        }
        Some(b'[') => {
            let found: Vec<&RawValue> = parse(text)?;
            (true, found.iter().map(|value| member(Key::NONE, value)).collect())
        }
        _ => return Ok(()),
    };
    if members.len() > MAX_MEMBERS {
        return Err(too_many(""));
    }
    let end = Span { start: previous, end: whole.end };
    *node = Node::Open(Box::new(Level { is_array, members, end }));
    Ok(())
}

fn check_unique(members: &[(Cow<'_, str>, &RawValue)]) -> Result<()> {
    let twice = if members.len() <= 16 {
        // Most objects are small, and comparing is quicker than hashing.
        (1..members.len()).find(|i| members[..*i].iter().any(|before| before.0 == members[*i].0))
    } else {
        let mut seen = HashSet::with_capacity(members.len());
        members.iter().position(|member| !seen.insert(member.0.as_ref()))
    };
    match twice.map(|i| &members[i]) {
        None => Ok(()),
        Some((key, _)) => Err(Error::unsupported(format!("duplicate key {key:?} in a JSON object")).hint(
            "readers disagree on which value counts; rebuild the image with a tool that writes the key once",
        )),
    }
}

/// Returns the text of a value.
fn text<'t>(texts: &'t str, node: &Node) -> Cow<'t, str> {
    match node {
        Node::Closed(span) => span.of(texts).into(),
        Node::Open(_) => {
            let mut out = String::new();
            // Writing to a string does not fail.
            let _ = write(texts, node, &mut out);
            out.into()
        }
    }
}

fn write(texts: &str, node: &Node, out: &mut impl fmt::Write) -> fmt::Result {
    match node {
        Node::Closed(span) => out.write_str(span.of(texts)),
        Node::Open(level) => {
            for member in &level.members {
                out.write_str(member.lead.of(texts))?;
                write(texts, &member.value, out)?;
            }
            out.write_str(level.end.of(texts))
        }
    }
}

/// Replaces the text of a node with `raw` and returns the previous text.
fn replace(texts: &mut String, node: &mut Node, raw: &str) -> String {
    let old = text(texts, node).into_owned();
    *node = Node::Closed(append(texts, raw));
    old
}

fn append(texts: &mut String, text: &str) -> Span {
    let start = texts.len();
    texts.push_str(text);
    Span { start, end: texts.len() }
}

/// Checks that `text` is one JSON value and returns it without the white space around it, which an undo would leave
/// behind.
fn value(text: &str) -> Result<&str> {
    parse::<&RawValue>(text).map(RawValue::get)
}

fn parse<'t, T: serde::Deserialize<'t>>(text: &'t str) -> Result<T> {
    #[cfg(test)]
    work::add(text.len());
    serde_json::from_str(text).map_err(invalid)
}

/// Returns the span of `slice`, which must lie in `text`, if `text` itself starts at `base`.
fn span(text: &str, slice: &str, base: usize) -> Span {
    let start = base + (slice.as_ptr() as usize - text.as_ptr() as usize);
    Span { start, end: start + slice.len() }
}

/// Wraps `raw` in one new object per key.
fn nest(keys: &[Cow<'_, str>], raw: &str) -> String {
    let open: String = keys.iter().map(|key| format!("{{{}:", quote(key))).collect();
    format!("{open}{raw}{}", "}".repeat(keys.len()))
}

fn wrong(pointer: &str, what: &str) -> Error {
    Error::unsupported(format!("at {:?} in the JSON: {what}", if pointer.is_empty() { "/" } else { pointer }))
}

fn too_many(pointer: &str) -> Error {
    wrong(pointer, &format!("more than {MAX_MEMBERS} members in one object or list"))
}

/// A counter of parsed bytes, with which tests tell linear work from quadratic work without a clock.
#[cfg(test)]
pub(crate) mod work {
    use std::cell::Cell;

    thread_local!(static PARSED: Cell<usize> = const { Cell::new(0) });

    pub fn add(bytes: usize) {
        PARSED.set(PARSED.get() + bytes);
    }

    /// Runs `run` and returns how many bytes this thread parsed meanwhile.
    pub fn during<T>(run: impl FnOnce() -> T) -> (usize, T) {
        let before = PARSED.get();
        let result = run();
        (PARSED.get() - before, result)
    }
}
